import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const source = join(import.meta.dirname, "../src");

test("the demo proves that pushed = completed + dead, with a worker killed on the way", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(source, "main.ts")], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  const [, pushed, completed, dead] = /pushed = completed \+ dead: (\d+) = (\d+) \+ (\d+)$/m.exec(stdout) ?? [];
  expect(Number(pushed)).toBeGreaterThan(100);
  expect(Number(completed) + Number(dead)).toBe(Number(pushed));
  for (const file of ["broken.json", "nameless.json", "large.json"]) expect(stdout).toContain(file);
  expect(stdout).toMatch(/MIT$/m);
});

test("the demo is under 200 lines, because it is read as documentation", () => {
  const lines = readdirSync(source).map((file) => readFileSync(join(source, file), "utf8").split("\n").length - 1);
  expect(lines.reduce((a, b) => a + b, 0)).toBeLessThan(200);
});
