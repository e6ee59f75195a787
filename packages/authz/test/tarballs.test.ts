import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Project, projectWith, readmeExample } from "../../../scripts/tarballs.ts";

let project: Project;
let installed: string;
beforeAll(() => {
  project = projectWith(["core", "authz"]);
  installed = join(project.folder, "node_modules/@howdah/authz");
});
afterAll(() => project[Symbol.dispose]());

test.each(readmeExample("authz"))("the README's example runs in an empty project as %s", async (_, file, text) => {
  await using db = await testDatabase();
  expect(project.run(file, text, { DATABASE_URL: db.url })).toBe("true\napi\n");
});

test("every entry point loads in both formats, without the frameworks that it is for", () => {
  const { exports } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  const names = Object.keys(exports).map((entry) => JSON.stringify(`@howdah/authz${entry.slice(1)}`));
  const required = names.map((name) => `require(${name});`).join("\n");
  expect(names).toContain('"@howdah/authz/hono"');
  expect(project.run("entries.cjs", `${required}\nconsole.log("loaded");`)).toBe("loaded\n");
  const modules = names.filter((name) => !name.includes("package.json")).map((name) => `import ${name};`);
  expect(project.run("entries.mjs", `${modules.join("\n")}\nconsole.log("loaded");`)).toBe("loaded\n");
});

test("the tarball holds the license, the SQL files and a script for any driver", () => {
  expect(readFileSync(join(installed, "LICENSE"), "utf8")).toContain("Apache License");
  expect(readdirSync(join(installed, "sql/migrations"))).toContain("0001_tables.sql");
  expect(readFileSync(join(installed, "dist/authz.sql"), "utf8")).toContain("create schema if not exists authz;");
});
