// Removes what the tasks leave behind: build outputs, turbo's cache, and test servers whose parent died.
import { readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const remove = (path) => rmSync(path, { recursive: true, force: true });

for (const home of ["packages", "examples"]) {
  for (const name of readdirSync(join(root, home))) {
    for (const folder of ["dist", ".turbo"]) remove(join(root, home, name, folder));
  }
}
for (const path of [".turbo", "node_modules/.cache", "bench/.turbo", "docs/.turbo"]) remove(join(root, path));
for (const name of readdirSync(tmpdir())) {
  if (name.startsWith("howdah-pg-")) remove(join(tmpdir(), name));
}
