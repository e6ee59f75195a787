import { race, type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { defineModule, maintain, maintenance, migrate, toHowdahError } from "../src/index.ts";

const module = (name: string, body: string) =>
  defineModule({
    name,
    release: "1.0.0",
    api: 1,
    minApi: 1,
    manifest: {},
    files: {
      "migrations/0001_tables.sql": `create schema ${name}; create table ${name}.log (at timestamptz default clock_timestamp());`,
      "functions/maintain.sql": `create or replace function ${name}.maintain(p_budget interval default '10 s')
        returns table (task text, affected bigint, more boolean) language plpgsql as $$ begin ${body} end $$;`,
    },
  });
const good = module(
  "good",
  "insert into good.log default values; return query values ('prune', 3::bigint, false), ('sample', 0, true);",
);
const bad = module("bad", "insert into bad.log default values; raise exception 'disk is made of cheese';");

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [] });
  await migrate(db, [good, bad]);
});
afterAll(() => db.close());
beforeEach(() => db.query("truncate good.log, bad.log, howdah.maintenance"));

const logged = async (name: string): Promise<number> =>
  (await db.query<{ n: number }>(`select count(*)::int as n from ${name}.log`)).rows[0]?.n ?? -1;

test("a module that fails is rolled back alone, its error is kept, and the others run", async () => {
  const tasks = await maintain(db);
  expect(tasks).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ module: "good", task: "prune", affected: "3", more: false }),
      expect.objectContaining({ module: "good", task: "sample", affected: "0", more: true }),
      expect.objectContaining({ module: "bad", task: "maintain", more: true }),
    ]),
  );
  expect([await logged("good"), await logged("bad")]).toEqual([1, 0]);
  const { rows } = await db.query("select module, task, error from howdah.maintenance order by module, task");
  expect(rows).toEqual([
    { module: "bad", task: "maintain", error: "disk is made of cheese" },
    { module: "good", task: "prune", error: null },
    { module: "good", task: "sample", error: null },
  ]);
});

test("one module may be asked for", async () => {
  const tasks = await maintain(db, { module: "good" });
  expect(tasks.map((task) => task.module)).toEqual(["good", "good"]);
});

test("of two callers at once one does the work and the other is told nothing", async () => {
  const holder = await db.client();
  await holder.query("begin; select * from howdah.maintain()");
  expect(await maintain(db)).toEqual([]);
  await holder.query("commit");
  const outcomes = await race(
    db,
    5,
    async (client) => (await client.query("select * from howdah.maintain()")).rows.length,
  );
  expect(outcomes.every((outcome) => outcome.status === "fulfilled")).toBe(true);
});

test("a budget of nothing is refused", async () => {
  for (const budget of [0, -1]) {
    expect(await maintain(db, { budget }).catch(toHowdahError)).toMatchObject({ code: "not_positive" });
  }
});

test("the loop runs until it is stopped, and a run under way is finished first", async () => {
  const runs: number[] = [];
  const loop = maintenance(db, { every: 5, onRun: (tasks) => void runs.push(tasks.length) });
  loop.start();
  await expect.poll(() => runs.length).toBeGreaterThan(2);
  await loop.stop();
  const { length } = runs;
  await maintain(db);
  expect(runs).toHaveLength(length);
});

test("a loop goes on after an error", async () => {
  const errors: unknown[] = [];
  await using loop = maintenance("postgres://127.0.0.1:1/nothing", {
    every: 5,
    onError: (error) => void errors.push(error),
  });
  loop.start();
  await expect.poll(() => errors.length).toBeGreaterThan(1);
});
