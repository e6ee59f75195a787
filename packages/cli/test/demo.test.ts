import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ended, howdah, said, start } from "./support.ts";

test("the demo shows each module at work, cause before effect, and leaves nothing behind", async () => {
  const folder = mkdtempSync(join(tmpdir(), "howdah-demo-"));
  chmodSync(folder, 0o755);
  const { code, stdout, stderr } = await howdah(["demo"], { env: { TMPDIR: folder } });
  expect({ code, stderr }).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^PostgreSQL \d+, \d+ migrations/m),
  });
  expect(stdout.match(/^select.*$/gm)).toEqual(["select library.add_book('acme', 'Dune');", "select *"]);
  expect(stdout).toMatch(/^ +1 +Dune +9\.50$/m);
  const left = existsSync(folder) ? readdirSync(folder).filter((name) => !name.includes("native")) : [];
  expect(left).toEqual([]);
  rmSync(folder, { recursive: true, force: true });
});

test("--keep leaves the server up until ctrl-C", async () => {
  const child = start(["demo", "--keep"]);
  const done = ended(child);
  await said(child.stderr, "  psql postgres://");
  child.kill("SIGINT");
  expect((await done).code).toBe(130);
});
