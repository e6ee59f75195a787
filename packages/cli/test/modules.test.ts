import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { discover } from "../src/modules.ts";
import { howdah } from "./support.ts";

const project = realpathSync(mkdtempSync(join(tmpdir(), "howdah-project-")));
afterAll(() => rmSync(project, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(project, path)), { recursive: true });
  writeFileSync(join(project, path), text);
}

/** An installed package whose module has one table. */
function install(name: string, extra = ""): void {
  const folder = `node_modules/@howdah/${name}`;
  write(
    `${folder}/package.json`,
    JSON.stringify({ name: `@howdah/${name}`, type: "module", exports: { ".": { import: "./dist/index.js" } } }),
  );
  write(`${folder}/sql/migrations/0001_tables.sql`, "create schema x;");
  write(
    `${folder}/dist/index.js`,
    `import { defineModule } from "@howdah/core";
export const ${name}Module = defineModule({ name: "${name}", release: "1.0.0", api: 1, minApi: 1,
  files: { "migrations/0001_tables.sql": "create schema ${name}; ${extra}" }, manifest: { schema: "${name}" } });
export const other = 7;`,
  );
}

write("package.json", JSON.stringify({ name: "app" }));
install("mugs");
install("cups");
symlinkSync(fileURLToPath(new URL("../../core", import.meta.url)), join(project, "node_modules/@howdah/core"));
write("node_modules/@howdah/adapter/package.json", JSON.stringify({ name: "@howdah/adapter", main: "index.js" }));
write("node_modules/@howdah/adapter/index.js", "throw new Error('packages without migrations are not loaded')");
write("deep/down/readme", "");

test("installed packages with migrations are found from any folder of the project", async () => {
  const { modules, failures } = await discover(join(project, "deep/down"));
  expect(modules.map((module) => module.name)).toEqual(["cups", "mugs"]);
  expect(failures.size).toBe(0);
});

test("--module picks some of them, in the order in which they were found", async () => {
  const { stdout } = await howdah(["sql", "mugs"], { cwd: project });
  expect(stdout).toContain("create schema mugs");
  expect(stdout).not.toContain("create schema cups");
});

test("a package that cannot be loaded stops only the commands that mean it", async () => {
  write("node_modules/@howdah/broken/package.json", JSON.stringify({ name: "@howdah/broken", main: "index.js" }));
  write("node_modules/@howdah/broken/sql/migrations/0001_tables.sql", "create schema broken;");
  try {
    const help = await howdah(["--help"], { cwd: project });
    expect(help.code).toBe(0);
    expect(help.stderr).toContain("warning: @howdah/broken cannot be loaded");
    expect((await howdah(["sql", "cups"], { cwd: project })).code).toBe(0);
    const failed = await howdah(["sql", "broken"], { cwd: project });
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain("error: @howdah/broken cannot be loaded: ");
    expect((await howdah(["status"], { cwd: project })).code).toBe(1);
  } finally {
    rmSync(join(project, "node_modules/@howdah/broken"), { recursive: true });
  }
});

test("the nearest howdah.config file wins over installed packages", async () => {
  write(
    "configured/howdah.config.js",
    'export { mugsModule } from "@howdah/mugs"; import { mugsModule } from "@howdah/mugs"; export const modules = [mugsModule];',
  );
  const { modules } = await discover(join(project, "configured"));
  expect(modules.map((module) => module.name)).toEqual(["mugs"]);
});

test("a howdah.config file without modules is named with what it lacks", async () => {
  write("misconfigured/howdah.config.js", "export default [];");
  const { code, stderr } = await howdah(["status"], { cwd: join(project, "misconfigured") });
  expect(code).toBe(1);
  expect(stderr).toContain("howdah.config.js cannot be loaded: it must export `modules`");
});

test("a folder without any module says how to get one", async () => {
  const empty = mkdtempSync(join(tmpdir(), "howdah-empty-"));
  const { code, stderr } = await howdah(["status"], { cwd: empty });
  rmSync(empty, { recursive: true });
  expect(code).toBe(2);
  expect(stderr).toContain("no module is installed here");
});
