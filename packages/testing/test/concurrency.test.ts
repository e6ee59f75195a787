import { beforeAll, expect, test } from "vitest";
import { crash, inRollback, race, type TestDatabase, testDatabase } from "../src/index.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await db.query("create table public.slots (id int primary key, winner int)");
  return () => db.close();
});

test("race runs on connections of their own that are all open before the first one starts", async () => {
  let started = 0;
  const results = await race(db, 20, async (client, index) => {
    if (started++ === 0) {
      const open = await client.query("select count(*)::int as n from pg_stat_activity where datname = $1", [db.name]);
      expect(open.rows[0].n).toBeGreaterThanOrEqual(20);
    }
    const { rows } = await client.query("select pg_backend_pid() as pid");
    return { index, pid: rows[0].pid as number };
  });
  const values = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  expect(values.map(({ index }) => index)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  expect(new Set(values.map(({ pid }) => pid)).size).toBe(20);
});

test("race tells who won and why the others lost", async () => {
  const results = await race(db, 8, (client, i) => client.query("insert into public.slots values (1, $1)", [i]));
  expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(1);
  const reasons = results.flatMap((result) => (result.status === "rejected" ? [result.reason.code] : []));
  expect(reasons).toEqual(Array(7).fill("23505"));
});

test("the racers of one round are in their transactions at the same time", async () => {
  // Each waits for all others by a lock that only all of them together release: run one by one, this would never end.
  const n = 6;
  const results = await race(db, n, async (client, i) => {
    await client.query("select pg_advisory_lock($1)", [i]);
    for (;;) {
      const { rows } = await client.query(
        "select count(*)::int as held from pg_locks where locktype = 'advisory' and objid < $1 and database = (select oid from pg_database where datname = current_database())",
        [n],
      );
      if (rows[0].held === n) return;
    }
  });
  expect(results.every((result) => result.status === "fulfilled")).toBe(true);
});

test("crash rolls the client's transaction back, releases its locks, and rejects its query in flight", async () => {
  const [victim, other] = await db.clients(2);
  if (!victim || !other) return expect.fail();
  await victim.query("begin");
  await victim.query("insert into public.slots values (2, 1)");
  await victim.query("select pg_advisory_xact_lock(42)");
  const inFlight = expect(victim.query("select pg_sleep(60)")).rejects.toMatchObject({ code: "57P01" });
  await crash(victim);
  await inFlight;
  expect((await other.query("select from public.slots where id = 2")).rowCount).toBe(0);
  expect((await other.query("select pg_try_advisory_lock(42) as free")).rows).toEqual([{ free: true }]);
  await expect(victim.query("select 1")).rejects.toThrow();
});

test("an idle client may crash, pooled or not, and the process lives on", async () => {
  await crash(await db.client());
  const pooled = await db.pool.connect();
  await crash(pooled);
  pooled.release(true);
  expect((await db.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
});

test("a client that has ended cannot crash once more, and the error says so", async () => {
  const client = await db.client();
  await crash(client);
  await expect(crash(client)).rejects.toThrow("has ended before");
});

test("inRollback leaves nothing behind, whether its function returns or throws", async () => {
  const add = "insert into public.slots values (3, 1)";
  const seen = await inRollback(db, async (tx) => {
    await tx.query(add);
    return (await tx.query("select from public.slots where id = 3")).rowCount;
  });
  expect(seen).toBe(1);
  const failed = inRollback(db, async (tx) => {
    await tx.query(add);
    throw new Error("no");
  });
  await expect(failed).rejects.toThrow("no");
  expect((await db.query("select from public.slots where id = 3")).rows).toEqual([]);
});
