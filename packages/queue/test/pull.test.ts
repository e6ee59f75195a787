import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { queueModule } from "../src/module.ts";
import { type Claimed, pull, push, refuses, row, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

const batch = (limit: number | null, more = ""): Promise<Claimed[]> =>
  rows(db, `select * from queue.pull_batch('t', 'q', $1${more})`, [limit]);
const payloads = (jobs: Claimed[]): unknown[] => jobs.map((job) => job.payload);

describe("pull", () => {
  test("leases the job: who, since when, until when, under which fence, at which attempt", async () => {
    const id = await push(db);
    const job = await pull(db, "w1", "90 seconds");
    expect(job).toMatchObject({ id, status: "running", phase: 1, locked_by: "w1", attempts: 1 });
    expect(Number(job.fence_token)).toBeGreaterThan(0);
    expect((job.visibility_timeout_at?.getTime() ?? 0) - (job.locked_at?.getTime() ?? 0)).toBe(90_000);
    expect(await row(db, id)).toEqual(job);
    expect(await rows(db, "select worker_id, job_ids, expires_at from queue.leases")).toEqual([
      { worker_id: "w1", job_ids: [id], expires_at: job.visibility_timeout_at },
    ]);
  });

  test("answers no row for a queue that is empty, unknown, paused or of another tenant", async () => {
    expect(await rows(db, "select * from queue.pull('t', 'q')")).toEqual([]);
    await push(db);
    expect(await rows(db, "select * from queue.pull('t', 'other')")).toEqual([]);
    expect(await rows(db, "select * from queue.pull('t2', 'q')")).toEqual([]);
    await db.query("select queue.pause_queue('t', 'q')");
    expect(await rows(db, "select * from queue.pull('t', 'q')")).toEqual([]);
    expect(await rows(db, "select * from queue.pull_batch('t', 'q')")).toEqual([]);
    expect(await rows(db, "select * from queue.pull_any('t', array['q'])")).toEqual([]);
    expect(await rows(db, "select * from queue.exchange('t', 'q', 1, 'w', null, null, null)")).toEqual([]);
    await db.query("select queue.resume_queue('t', 'q')");
    expect((await pull(db)).payload).toBe(1);
  });

  test("is anonymous without a worker and leases for the queue's time without a timeout", async () => {
    await push(db);
    await push(db);
    const timeout = async (): Promise<number> => {
      const [job] = await rows<Claimed>(db, "select * from queue.pull('t', 'q')");
      expect(job?.locked_by).toBe("anonymous");
      return (job?.visibility_timeout_at?.getTime() ?? 0) - (job?.locked_at?.getTime() ?? 0);
    };
    expect(await timeout()).toBe(300_000);
    await db.query(`select queue.configure_queue('t', 'q', '{"visibility_timeout": "7 seconds"}')`);
    expect(await timeout()).toBe(7000);
  });

  test("draws a higher fence for each claim", async () => {
    await push(db);
    let last = 0;
    for (let i = 0; i < 5; i++) {
      const job = await pull(db);
      expect(Number(job.fence_token)).toBeGreaterThan(last);
      last = Number(job.fence_token);
      expect(job.attempts).toBe(i + 1);
      await db.query("select queue.release('t', $1, $2)", [job.id, job.fence_token]);
    }
  });

  test("gives out a delayed job when it is due, and not before", async () => {
    await push(db, 1, "p_delay => '1 hour'");
    await db.travel("59 minutes");
    expect(await batch(10)).toEqual([]);
    await db.travel("1 minute");
    expect(payloads(await batch(10))).toEqual([1]);
    await db.realTime();
  });

  test("sees what fell due during its own transaction", async () => {
    const job = await db.transaction(async (tx) => {
      await tx.query("select 1");
      await push(db);
      return pull(tx);
    });
    expect(job.payload).toBe(1);
  });

  test("leaves a row that was inserted ready but for later alone until then", async () => {
    await db.query(
      "insert into queue.jobs (namespace, queue, payload, scheduled_at) values ('t', 'q', '1', now() + interval '1 hour')",
    );
    expect(await batch(10)).toEqual([]);
    await db.travel("61 minutes");
    expect(payloads(await batch(10))).toEqual([1]);
    await db.realTime();
  });

  test("is undone when its transaction rolls back", async () => {
    const id = await push(db);
    const client = await db.client();
    await client.query("begin");
    await pull(client);
    await client.query("rollback");
    expect(await row(db, id)).toMatchObject({ status: "pending", attempts: 0, fence_token: null });
    expect(await rows(db, "select * from queue.leases")).toEqual([]);
  });
});

describe("pull_batch", () => {
  test("gives out jobs by priority, then the time they were due, then id", async () => {
    await push(db, "c");
    await push(db, "a", "p_priority => 1");
    await push(db, "d", "p_priority => -1");
    await push(db, "b", "p_run_at => '2000-01-01'");
    expect(payloads(await batch(3))).toEqual(["a", "b", "c"]);
    expect(payloads(await batch(3))).toEqual(["d"]);
  });

  test("gives each job a fence of its own under one lease", async () => {
    await db.query("select queue.push_batch('t', 'q', array_fill('1'::jsonb, array[10]))");
    const jobs = await batch(10);
    expect(new Set(jobs.map((job) => job.fence_token)).size).toBe(10);
    expect(await value(db, "select count(*)::int from queue.leases")).toBe(1);
  });

  test("takes 1 to 1,000 jobs", async () => {
    await db.query("select queue.push_batch('t', 'q', array_fill('1'::jsonb, array[1000]))");
    await refuses(batch(0), "not_positive 22023");
    await refuses(batch(1001), "limit_too_large 22023");
    await refuses(batch(null), "limit_null 22004");
    expect(await batch(1)).toHaveLength(1);
    expect(await batch(1000)).toHaveLength(999);
  });

  test("skips what another transaction is claiming instead of waiting for it", async () => {
    await push(db, 1);
    await push(db, 2);
    const client = await db.client();
    await client.query("begin");
    expect((await pull(client)).payload).toBe(1);
    expect((await pull(db)).payload).toBe(2);
    await client.query("rollback");
  });
});

describe("floors", () => {
  const floor = (job: Claimed): Record<string, unknown> => ({
    priority: job.priority,
    fair_seq: job.fair_seq,
    scheduled_at: job.scheduled_at,
  });
  const from = (floors: unknown): Promise<Claimed[]> =>
    rows(db, "select * from queue.pull_batch('t', 'q', 10, p_floors => $1)", [JSON.stringify(floors)]);

  test("limit a claim to their lanes from their places on, the highest lane first", async () => {
    await push(db, "old", "p_run_at => '2001-01-01'");
    await push(db, "at", "p_run_at => '2002-01-01'");
    await push(db, "after", "p_run_at => '2003-01-01'");
    await push(db, "high", "p_priority => 5");
    await push(db, "other lane", "p_priority => 3");
    const jobs = await from([
      { priority: 0, fair_seq: 0, scheduled_at: "2002-01-01T00:00:00Z" },
      { priority: 5, fair_seq: 0, scheduled_at: "2002-01-01T00:00:00Z" },
    ]);
    expect(payloads(jobs)).toEqual(["high", "at", "after"]);
    expect(payloads(await batch(10))).toEqual(["other lane", "old"]);
  });

  test("that a job's own row gives include the job", async () => {
    await push(db, 1);
    await push(db, 2);
    const first = await pull(db);
    await db.query("select queue.release('t', $1, $2)", [first.id, first.fence_token]);
    expect(payloads(await from([floor(first)]))).toEqual([1, 2]);
  });

  test("leave delayed jobs that fell due to the next claim without them", async () => {
    await push(db, 1, "p_delay => '1 minute'");
    await db.travel("2 minutes");
    const anywhere = [{ priority: 0, fair_seq: 0, scheduled_at: "2000-01-01T00:00:00Z" }];
    expect(await from(anywhere)).toEqual([]);
    expect(payloads(await batch(10))).toEqual([1]);
    await db.realTime();
  });

  test("that name a lane twice count as the lower one", async () => {
    await push(db, "old", "p_run_at => '2001-01-01'");
    await push(db, "new", "p_run_at => '2003-01-01'");
    const at = (year: number): unknown => ({ priority: 0, fair_seq: 0, scheduled_at: `${year}-01-01T00:00:00Z` });
    expect(payloads(await from([at(2002), at(2000)]))).toEqual(["old", "new"]);
    expect(await value(db, "select cardinality(job_ids) from queue.leases")).toBe(2);
  });

  test("of no lane claim nothing, and of another form are refused", async () => {
    await push(db);
    expect(await from([])).toEqual([]);
    await refuses(from({}), "floors_invalid 22023");
    await refuses(from(5), "floors_invalid 22023");
  });
});

test("floors that are no lanes are refused", async () => {
  for (const floors of [
    "{}",
    "1",
    "[1]",
    '[{"priority": "x"}]',
    '[{"priority": 1e400}]',
    '[{"scheduled_at": "soon"}]',
  ]) {
    await refuses(
      rows(db, "select * from queue.pull_batch('t', 'q', 1, p_floors => $1)", [floors]),
      "floors_invalid 22023",
    );
  }
});

test("a claim buries a few thousand expired jobs at most and finds the one behind them", async () => {
  await db.query(
    `insert into queue.jobs (namespace, queue, payload, expires_at, scheduled_at)
     select 't', 'q', '1', now() - interval '1 hour', now() - interval '1 hour' from generate_series(1, 6000)`,
  );
  const id = await push(db);
  expect((await pull(db)).id).toBe(id);
  expect(await value(db, "select count(*)::int from queue.dead_letters")).toBe(4000);
});

describe("pull_any", () => {
  test("takes one job of the first queue that has any", async () => {
    const id = await push(db);
    await db.query("select queue.push('t', 'r', '2')");
    expect(await rows(db, "select id from queue.pull_any('t', array['empty', 'q', 'r'])")).toEqual([{ id }]);
    expect(await rows(db, "select queue from queue.pull_any('t', array['empty', 'q', 'r'])")).toEqual([{ queue: "r" }]);
    expect(await rows(db, "select queue from queue.pull_any('t', array['empty', 'q', 'r'])")).toEqual([]);
  });

  test("promotes a delayed job that fell due", async () => {
    await push(db, 1, "p_delay => '1 minute'");
    await db.travel("2 minutes");
    expect(await rows(db, "select payload from queue.pull_any('t', array['p', 'q'])")).toEqual([{ payload: 1 }]);
    await db.realTime();
  });

  test("takes up to 1,000 queues and answers none with no row", async () => {
    expect(await rows(db, "select * from queue.pull_any('t', null)")).toEqual([]);
    expect(await rows(db, "select * from queue.pull_any('t', '{}')")).toEqual([]);
    expect(await rows(db, "select * from queue.pull_any('t', array_fill('q'::text, array[1000]))")).toEqual([]);
    await refuses(
      rows(db, "select * from queue.pull_any('t', array_fill('q'::text, array[1001]))"),
      "batch_too_large 22023",
    );
    await refuses(rows(db, "select * from queue.pull_any('t', array['q', null])"), "queue_null 22004");
  });
});
