import { crash, race, type TestDatabase, testDatabase } from "@howdah/testing";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { queueModule } from "../src/module.ts";
import { type Claimed, expire, pull, push, refuses, row, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

/** Every way to settle one job, as SQL on $1 (its id) and $2 (its fence). */
const ways = {
  ack: "select queue.ack('t', $1, $2)",
  ack_batch: "select queue.ack_batch('t', array[$1::bigint], array[$2::bigint])",
  nack: "select queue.nack('t', $1, $2, 'e')",
  fail: "select queue.fail('t', $1, $2, 'e')",
  release: "select queue.release('t', $1, $2)",
  snooze: "select queue.snooze('t', $1, $2, '1 hour')",
  extend_visibility: "select queue.extend_visibility('t', $1, $2, '1 hour')",
  set_progress: "select queue.set_progress('t', $1, $2, '0.5')",
  cancelled: "select queue.cancelled('t', $1, $2)",
};
const names = Object.keys(ways) as (keyof typeof ways)[];
const how = (
  way: keyof typeof ways,
  job: Claimed,
  client: Pick<TestDatabase, "query"> | pg.Client = db,
): Promise<unknown> => (client as TestDatabase).query(ways[way], [job.id, job.fence_token]);

/** Whether a backend comes to wait for a lock that another one holds, before its statement ends. */
async function waits(client: pg.Client, statement: Promise<unknown>): Promise<boolean> {
  const { processID } = client as unknown as { processID: number };
  let hasEnded = false;
  const end = (): void => {
    hasEnded = true;
  };
  statement.then(end, end);
  for (;;) {
    if (await value<boolean>(db, "select cardinality(pg_blocking_pids($1)) > 0", [processID])) return true;
    if (hasEnded) return false;
  }
}

/** Tries what has to begin before a lease ends, with ever longer leases: a busy machine may be too late for a short one. */
async function withinLease(attempt: (job: Claimed) => Promise<boolean>): Promise<void> {
  for (const seconds of [0.3, 3, 30]) {
    await wipe(db);
    await push(db);
    if (await attempt(await pull(db, "w", `${seconds} seconds`))) return;
  }
  expect.fail("30 seconds were not enough");
}

/** Waits, on a connection, until a job's lease has ended: leases follow the server's clock, which no test can move. */
const outlast = (client: pg.Client, job: Claimed): Promise<unknown> =>
  client.query("select pg_sleep(greatest(0, extract(epoch from $1::timestamptz - clock_timestamp())) + 0.002)", [
    job.visibility_timeout_at,
  ]);

describe.each(names)("%s", (way) => {
  test("with the fence of a claim that timed out changes nothing, also for the same worker", async () => {
    await push(db);
    const old = await pull(db, "w");
    await expire(db, old.id);
    await db.query("select queue.tick_timeouts('t')");
    await refuses(how(way, old), "fence_stale 40001");
    const now = await pull(db, "w");
    await refuses(how(way, old), "fence_stale 40001");
    expect(await row(db, now.id)).toEqual(now);
  });

  test("after the deadline changes nothing, though nobody took the job back yet", async () => {
    await push(db);
    const job = await pull(db);
    await expire(db, job.id);
    await refuses(how(way, job), "fence_stale 40001");
    expect((await row(db, job.id))?.status).toBe("running");
  });

  test("that waits for the row until the deadline has passed changes nothing", async () => {
    const [holder, settler] = await db.clients(2);
    if (!holder || !settler) throw new Error("no clients");
    await withinLease(async (job) => {
      await holder.query("begin");
      await holder.query("select 1 from queue.jobs where id = $1 for update", [job.id]);
      const settled = how(way, job, settler);
      const isInTime =
        (await waits(settler, settled)) &&
        (await value<boolean>(db, "select clock_timestamp() < $1", [job.visibility_timeout_at]));
      await outlast(holder, job);
      await holder.query("commit");
      await refuses(settled, "fence_stale 40001");
      expect((await row(db, job.id))?.fence_token).toBe(job.fence_token);
      return isInTime;
    });
  });

  test("of a job that waits, has ended or never was is refused, as is a missing id or fence", async () => {
    const id = await push(db);
    await refuses(how(way, { id, fence_token: "1" } as Claimed), "fence_stale 40001");
    await refuses(how(way, { id: "0", fence_token: "1" } as Claimed), "fence_stale 40001");
    const job = await pull(db);
    await refuses(how(way, { ...job, id: null } as unknown as Claimed), "job_id_null 22004");
    await refuses(how(way, { ...job, fence_token: null } as unknown as Claimed), "fence_null 22004");
    await db.query("select queue.fail('t', $1, $2)", [job.id, job.fence_token]);
    await refuses(how(way, job), "fence_stale 40001");
  });
});

describe("of two that settle one job at once", () => {
  test.each([
    ["ack", "fail"],
    ["nack", "release"],
    ["fail", "fail"],
    ["ack", "ack"],
    ["snooze", "cancelled"],
    ["ack_batch", "nack"],
  ] as const)("%s and %s, exactly one wins", async (a, b) => {
    for (let i = 0; i < 10; i++) {
      await wipe(db);
      await push(db);
      const job = await pull(db);
      const results = await race(db, 2, (client, index) => how(index === 0 ? a : b, job, client));
      expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(1);
      expect(await value(db, "select count(*)::int from queue.dead_letters")).toBeLessThanOrEqual(1);
    }
  });

  test("an extension beats the reclaim that waits behind it", async () => {
    const client = await db.client();
    await withinLease(async (job) => {
      await client.query("begin");
      const isExtended = await how("extend_visibility", job, client).then(
        () => true,
        () => false,
      );
      await outlast(client, job);
      if (isExtended) expect(await rows(db, "select * from queue.tick_timeouts('t')")).toEqual([]);
      await client.query("commit");
      if (!isExtended) return false;
      expect(await rows(db, "select * from queue.tick_timeouts('t')")).toEqual([]);
      expect(await how("ack", job)).toBeDefined();
      return true;
    });
  });

  test("an expired holder that sits on the row never blocks the reclaim of the others", async () => {
    await push(db);
    await push(db);
    const jobs = await rows<Claimed>(db, "select * from queue.pull_batch('t', 'q', 2)");
    for (const job of jobs) await expire(db, job.id);
    const client = await db.client();
    await client.query("begin");
    await client.query("select 1 from queue.jobs where id = $1 for update", [jobs[0]?.id]);
    expect(await rows(db, "select job_id from queue.tick_timeouts('t')")).toEqual([{ job_id: jobs[1]?.id }]);
    await client.query("commit");
    expect(await rows(db, "select job_id from queue.tick_timeouts('t')")).toEqual([{ job_id: jobs[0]?.id }]);
  });
});

test("ack batches that name the same jobs in opposite orders do not deadlock", async () => {
  await db.query("select queue.push_batch('t', 'q', array_fill('1'::jsonb, array[500]))");
  const jobs = await rows<Claimed>(db, "select * from queue.pull_batch('t', 'q', 500)");
  const results = await race(db, 4, (client, index) => {
    const order = index % 2 ? jobs : jobs.toReversed();
    return client.query("select queue.ack_batch('t', $1, $2)", [
      order.map((job) => job.id),
      order.map((job) => job.fence_token),
    ]);
  });
  expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(1);
  for (const result of results) {
    if (result.status === "rejected") expect((result.reason as { constraint?: string }).constraint).toBe("fence_stale");
  }
});

test("a client that dies before its claim commits leaves the jobs ready", async () => {
  const id = await push(db);
  const client = await db.client();
  await client.query("begin");
  await pull(client);
  await crash(client);
  expect((await pull(db)).id).toBe(id);
});

test("a client that dies between the commit of its claim and the reply gets its jobs back by timeout or by release_jobs", async () => {
  await push(db);
  await push(db);
  const client = await db.client();
  const lost = await pull(client, "w1", "1 hour");
  const late = await pull(client, "w2", "1 hour");
  await crash(client);
  await expire(db, lost.id);
  expect(await rows(db, "select job_id from queue.tick_timeouts('t')")).toEqual([{ job_id: lost.id }]);
  expect(await value(db, "select queue.release_jobs('t', 'w2')")).toBe(1);
  expect((await row(db, late.id))?.status).toBe("pending");
});
