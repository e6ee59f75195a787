import { testDatabase } from "@howdah/testing";
import { afterAll, beforeEach, expect, test } from "vitest";
import { libraryModule } from "./fixture/library.ts";
import { ended, howdah, said, start } from "./support.ts";

const db = await testDatabase({ modules: [libraryModule] });
afterAll(() => db.close());
beforeEach(() => db.query("truncate library.books"));

test("one run prints what each task did", async () => {
  await db.query("select library.add_book('acme', 'Free', 0)");
  const { code, stdout } = await howdah(["maintain", "--json"], db);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual([
    { module: "library", task: "give_away", affected: "1", ms: expect.any(String), more: false },
  ]);
});

test("a module whose maintenance fails is named with its error, and the exit code is 1", async () => {
  await db.query("select library.add_book('acme', 'cursed')");
  const { code, stderr } = await howdah(["maintain"], db);
  expect(code).toBe(1);
  expect(stderr).toContain("warning: maintenance of library failed: the book is cursed");
});

test.each([
  ["SIGTERM", 0],
  ["SIGINT", 130],
] as const)("the loop ends after its run on %s with exit code %i", async (signal, expected) => {
  const child = start(["maintain", "--every", "1h", "--json"], db);
  const done = ended(child);
  await said(child.stdout, "give_away");
  child.kill(signal);
  const { code, stderr } = await done;
  expect(code).toBe(expected);
  expect(stderr).toContain("Stopping after the run that is under way");
});

test("the loop ends only when the run that is under way has ended", async () => {
  const [blocker] = await db.clients(1);
  await blocker?.query("begin; lock table library.books");
  const child = start(["maintain", "--every", "1h"], db);
  const done = ended(child);
  const waiters = () =>
    db.query("select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()");
  await expect.poll(async () => (await waiters()).rows.length).toBe(1);
  child.kill("SIGTERM");
  await said(child.stderr, "Stopping");
  expect(child.exitCode).toBeNull();
  await blocker?.query("rollback");
  const { code, stdout } = await done;
  expect(code).toBe(0);
  expect(stdout).toContain("give_away");
});

test("--every with several modules is refused, because a loop maintains one or all", async () => {
  const { code, stderr } = await howdah(["maintain", "--every", "1h", "--module", "library,howdah"], {
    url: "postgres://x",
  });
  expect(code).toBe(2);
  expect(stderr).toContain("a loop maintains one module or all");
});
