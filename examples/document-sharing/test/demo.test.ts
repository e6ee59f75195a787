import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const source = join(import.meta.dirname, "../src");

test("the demo shares real files, and answers who may read them", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(source, "main.ts")], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  const answers = [...stdout.matchAll(/^may (\w+) read .*\? (yes|no|cannot.*)$/gm)].map(
    ([, user, answer]) => `${user} ${answer}`,
  );
  expect(answers).toEqual([
    "ann yes",
    "ina yes",
    "bob no",
    "bob yes",
    "eve no",
    "eve yes",
    "gil yes",
    "gil no",
    "gil cannot be told without ip",
  ]);
  expect(stdout).toMatch(/RESOURCE: user:ina has viewer .* team:interns#member/);
  const [, readable] = /ina may read (\d+) of \d+ files/.exec(stdout) ?? [];
  expect(Number(readable)).toBeGreaterThan(100);
  expect(stdout).toContain(`for ann: ${readable}\n`);
  expect(stdout).toContain(`for bob: ${Number(readable) - 1}\n`);
  expect(stdout).toContain("for eve: 1\n");
  expect(stdout).toMatch(/a version with a mistake is refused: .*true, expected false/);
  expect(stdout).toMatch(/the first version is active again, 3 changes/);
});

test("the demo is under 250 lines, because it is read as documentation", () => {
  const lines = readdirSync(source).map((file) => readFileSync(join(source, file), "utf8").split("\n").length - 1);
  expect(lines.reduce((a, b) => a + b, 0)).toBeLessThan(250);
});
