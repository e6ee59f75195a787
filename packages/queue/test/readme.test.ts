// The first examples of the README are run as they stand.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { queueModule } from "../src/index.ts";

const readme = readFileSync(join(import.meta.dirname, "../README.md"), "utf8");
const example = (language: string): string => {
  const found = new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(readme)?.[1];
  if (found === undefined) throw new Error(`the README has no ${language}`);
  return found.replace('"@howdah/queue"', JSON.stringify("../../src/index.ts"));
};

let folder: string;
let db: TestDatabase;
beforeAll(async () => {
  folder = mkdtempSync(join(import.meta.dirname, ".readme-"));
  db = await testDatabase({ modules: [queueModule] });
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await db[Symbol.asyncDispose]();
});

test("the TypeScript runs, and does what it says", async () => {
  const file = join(folder, "example.ts");
  writeFileSync(file, example("ts"));
  vi.stubEnv("DATABASE_URL", db.url);
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  await import(file);
  expect(log.mock.calls).toEqual([["attempt 1: welcome to ann@example.com"]]);
});

test("the TypeScript compiles, and a wrong payload does not", async () => {
  const config = { extends: "../../tsconfig.json", include: ["*.ts", "../../../../sql.d.ts"] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  const wrong = 'await queue.push("emails", { to: "ann@example.com" });';
  writeFileSync(join(folder, "example.ts"), example("ts"));
  writeFileSync(join(folder, "wrong.ts"), `${example("ts")}\n${wrong}\n`);
  const check = promisify(execFile)("tsc", ["-p", folder]).then(
    () => "",
    ({ stdout }: { stdout: string }) => stdout,
  );
  const errors = (await check).split("\n").filter((line) => line.includes(": error "));
  expect(errors).toHaveLength(1);
  expect(errors[0]).toMatch(/wrong\.ts.*template/);
});

test("the SQL runs", async () => {
  const client = await db.client();
  const results = (await client.query(example("sql"))) as unknown as { rows: Record<string, unknown>[] }[];
  expect(results.map(({ rows }) => rows)).toEqual([
    [{ push: expect.any(String) }],
    [{ push: expect.any(String) }],
    [{ payload: { month: "2024-05" }, ack: true }],
    [{ create_schedule: expect.any(String) }],
    [{ queue: "reports", ready: "0", delayed: "1", running: "0", dead_letters: "0" }],
  ]);
});
