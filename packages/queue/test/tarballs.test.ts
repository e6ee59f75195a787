import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Project, projectWith, readmeExample } from "../../../scripts/tarballs.ts";

let project: Project;
beforeAll(() => {
  project = projectWith(["core", "queue"]);
});
afterAll(() => project[Symbol.dispose]());

test.each(readmeExample("queue"))("the README's example runs in an empty project as %s", async (_, file, text) => {
  await using db = await testDatabase();
  expect(project.run(file, text, { DATABASE_URL: db.url })).toBe("attempt 1: welcome to ann@example.com\n");
});

test("a tarball holds the license, the SQL files and a script for any driver", () => {
  for (const [name, module] of [
    ["core", "howdah"],
    ["queue", "queue"],
  ] as const) {
    const installed = join(project.folder, "node_modules/@howdah", name);
    expect(readFileSync(join(installed, "LICENSE"), "utf8")).toContain("Apache License");
    expect(readdirSync(join(installed, "sql/migrations"))).toContain("0001_tables.sql");
    expect(readFileSync(join(installed, `dist/${module}.sql`), "utf8")).toContain(
      `create schema if not exists ${module};`,
    );
  }
});
