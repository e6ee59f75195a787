// Removes what the tasks leave behind: build outputs, turbo's cache, and the folders of test servers that no longer run.
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
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

function isRunning(folder) {
  try {
    const [pid] = readFileSync(join(folder, "data/postmaster.pid"), "utf8").split("\n");
    return process.kill(Number(pid), 0);
  } catch (error) {
    return error.code === "EPERM";
  }
}
for (const home of new Set([tmpdir(), "/dev/shm"])) {
  for (const name of existsSync(home) ? readdirSync(home) : []) {
    if (name.startsWith("howdah-pg-") && !isRunning(join(home, name))) remove(join(home, name));
  }
}
