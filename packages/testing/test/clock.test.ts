import { afterEach, beforeAll, expect, test } from "vitest";
import { explain, type TestDatabase, testDatabase } from "../src/index.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [] });
  return () => db.close();
});
afterEach(() => db.realTime());

const ask = async (sql: string): Promise<unknown> =>
  (await db.query<{ answer: unknown }>(`select (${sql}) as answer`)).rows[0]?.answer;

test("travel moves the time of every connection, and several journeys add up", async () => {
  const other = await db.client();
  const shift = "select extract(epoch from howdah.now() - now())::float as answer";
  await other.query(shift);
  await db.travel("2 days");
  await db.travel("-1 hour");
  await db.travel(1500);
  expect(await ask("extract(epoch from howdah.now() - now())::float")).toBe(47 * 3600 + 1.5);
  expect((await other.query(shift)).rows).toEqual([{ answer: 47 * 3600 + 1.5 }]);
});

test("a function that was planned before the journey tells the new time", async () => {
  const client = await db.client();
  await client.query(`create function public.later() returns interval language plpgsql as $$
    begin return howdah.now() - pg_catalog.now(); end $$`);
  for (let i = 0; i < 10; i += 1) await client.query("select public.later()");
  await db.travel("1 week");
  const { rows } = await client.query("select extract(day from public.later())::int as days");
  expect(rows).toEqual([{ days: 7 }]);
});

test("freeze stops the clock, and travel moves the stopped clock", async () => {
  await db.travel("1 day");
  await db.freeze();
  const frozen = await ask("howdah.now()::text");
  expect(await ask("howdah.now() - now() between interval '23 hours' and interval '24 hours'")).toBe(true);
  expect(await ask("howdah.now()::text")).toBe(frozen);
  await db.travel("90 minutes");
  expect(await ask(`howdah.now() - '${frozen}' = interval '90 minutes'`)).toBe(true);
});

test("freeze takes a time of its own, in any session's time zone", async () => {
  await db.freeze(new Date("2031-02-03T04:05:06.789Z"));
  const client = await db.client();
  await client.query("set timezone = 'Pacific/Chatham'");
  await client.query("set datestyle = 'SQL, DMY'");
  const { rows } = await client.query("select extract(epoch from howdah.now())::float * 1000 as answer");
  expect(rows).toEqual([{ answer: Date.parse("2031-02-03T04:05:06.789Z") }]);
});

test("realTime leaves the function exactly as it was", async () => {
  const definition = "select pg_get_functiondef('howdah.now()'::regprocedure)";
  const before = (await db.query(definition)).rows;
  await db.freeze();
  await db.travel("1 day");
  expect((await db.query(definition)).rows).not.toEqual(before);
  await db.realTime();
  expect((await db.query(definition)).rows).toEqual(before);
  expect(await ask("howdah.now() = now()")).toBe(true);
});

test("the planner still inlines the time, so plans stay those of production", async () => {
  await db.query("create table public.things (at timestamptz primary key)");
  const seeking = "select at from public.things where at < howdah.now()";
  const condition = async (): Promise<string> => JSON.stringify(await explain(db, seeking));
  for (const change of [() => db.travel("1 day"), () => db.freeze()]) {
    await change();
    expect(await condition()).toContain("Index");
    expect(await condition()).not.toContain("howdah.now");
  }
});

test("a database without howdah has no clock to move, and the error says so", async () => {
  await using empty = await testDatabase();
  await expect(empty.travel("1 day")).rejects.toThrow("testDatabase({ modules: [] })");
});
