import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { queueModule } from "../src/module.ts";
import { expire, pull, push, refuses, row, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

const call = (args: string, values: unknown[] = []): Promise<string | null> =>
  value(db, `select queue.push(${args})`, values);

describe("push", () => {
  test("makes a ready job with the defaults of its queue", async () => {
    const id = await push(db, { to: "bob" });
    expect(await row(db, id)).toMatchObject({
      queue: "q",
      status: "pending",
      phase: 1,
      payload: { to: "bob" },
      priority: 0,
      attempts: 0,
      max_attempts: 3,
      tags: [],
      fence_token: null,
    });
  });

  test("keeps the actor of the transaction with the job", async () => {
    const id = await db.transaction(async (tx) => {
      await tx.query("select queue.set_actor('ann', 'req-7', 'bob', 'ticket')");
      return push(tx);
    });
    expect(await row(db, id)).toMatchObject({
      actor_id: "ann",
      request_id: "req-7",
      on_behalf_of: "bob",
      reason: "ticket",
    });
  });

  test("leaves no trace when its transaction rolls back, not even of a throttle", async () => {
    await expect(
      db.transaction(async (tx) => {
        await push(tx, 1, "p_unique_key => 'k', p_throttle => '1 hour'");
        throw new Error("no");
      }),
    ).rejects.toThrow("no");
    expect(await value(db, "select count(*)::int from queue.jobs")).toBe(0);
    expect(await push(db, 1, "p_unique_key => 'k', p_throttle => '1 hour'")).not.toBeNull();
  });

  test("is undone by a savepoint like any other write", async () => {
    const client = await db.client();
    await client.query("begin; savepoint s");
    await push(client);
    await client.query("rollback to s");
    const kept = await push(client);
    await client.query("commit");
    expect(await rows(db, "select id from queue.jobs")).toEqual([{ id: kept }]);
  });

  test("stores what its options say", async () => {
    const id = await push(
      db,
      null,
      `p_delay => '1 hour', p_priority => -1000, p_max_attempts => 30, p_unique_key => 'k', p_tags => array['a', 'b'],
       p_metadata => '{"m": 1}', p_concurrency_key => 'c', p_fair_key => 'f', p_expires_in => '2 hours',
       p_keep_result => true, p_trace => '{"traceparent": "00"}'`,
    );
    const job = await row(db, id);
    expect(job).toMatchObject({
      phase: 0,
      payload: null,
      priority: -1000,
      max_attempts: 30,
      unique_key: "k",
      tags: ["a", "b"],
      metadata: { m: 1 },
      concurrency_key: "c",
      fair_key: "f",
      keep_result: true,
      trace: { traceparent: "00" },
    });
    expect(job?.expires_at?.getTime()).toBe((job?.created_at.getTime() ?? 0) + 2 * 3600_000);
  });

  test("counts the delay from run_at if there is one", async () => {
    const id = await call("'t', 'q', '1', p_delay => '1 hour', p_run_at => '2100-01-01T00:00Z'");
    expect((await row(db, id ?? ""))?.scheduled_at).toEqual(new Date("2100-01-01T01:00:00Z"));
  });

  test("makes a job that is due at once ready and one that is due later delayed", async () => {
    const past = await call("'t', 'q', '1', p_run_at => '2000-01-01'");
    const zero = await call("'t', 'q', '1', '0 seconds'");
    const later = await call("'t', 'q', '1', '1 second'");
    expect(await rows(db, "select id, phase from queue.jobs order by id")).toEqual([
      { id: past, phase: 1 },
      { id: zero, phase: 1 },
      { id: later, phase: 0 },
    ]);
  });

  test("takes the number of attempts from the queue, then the namespace, then the global settings", async () => {
    const attempts = async (): Promise<number | undefined> => (await row(db, await push(db)))?.max_attempts;
    expect(await attempts()).toBe(3);
    await db.query("insert into queue.config (namespace, default_max_attempts) values ('t', 4)");
    expect(await attempts()).toBe(4);
    await db.query(`select queue.configure_queue('t', 'q', '{"max_attempts": 5}')`);
    expect(await attempts()).toBe(5);
  });

  test("accepts a plain insert of documented columns as a ready job", async () => {
    const id = await value<string>(
      db,
      "insert into queue.jobs (namespace, queue, payload) values ('t', 'q', '1') returning id",
    );
    expect((await pull(db)).id).toBe(id);
  });
});

describe("a unique key", () => {
  test("makes one job while that waits or runs, and another when it has ended", async () => {
    const first = await push(db, 1, "p_unique_key => 'k'");
    expect(await push(db, 2, "p_unique_key => 'k'")).toBeNull();
    const job = await pull(db);
    expect(await push(db, 3, "p_unique_key => 'k'")).toBeNull();
    await db.query("select queue.fail('t', $1, $2)", [job.id, job.fence_token]);
    const second = await push(db, 4, "p_unique_key => 'k'");
    expect(second).not.toBeNull();
    expect(second).not.toBe(first);
  });

  test("belongs to its queue and tenant", async () => {
    expect(await call("'t', 'q', '1', p_unique_key => 'k'")).not.toBeNull();
    expect(await call("'t', 'q2', '1', p_unique_key => 'k'")).not.toBeNull();
    expect(await call("'t2', 'q', '1', p_unique_key => 'k'")).not.toBeNull();
  });

  test("is free again when the push that took it rolls back while another waits for it", async () => {
    const [a, b] = await db.clients(2);
    if (!a || !b) throw new Error("no clients");
    await a.query("begin");
    await push(a, 1, "p_unique_key => 'k'");
    const waiting = push(b, 2, "p_unique_key => 'k'");
    await a.query("rollback");
    expect(await waiting).not.toBeNull();
  });

  test("with raise refuses the second job", async () => {
    await push(db, 1, "p_unique_key => 'k'");
    await refuses(push(db, 2, "p_unique_key => 'k', p_on_conflict => 'raise'"), "duplicate_job 23505");
  });

  test("with replace changes payload, priority and delay of a job that waits", async () => {
    const id = await push(db, 1, "p_unique_key => 'k'");
    expect(
      await push(db, 2, "p_unique_key => 'k', p_on_conflict => 'replace', p_priority => 7, p_delay => '1 hour'"),
    ).toBe(id);
    expect(await row(db, id)).toMatchObject({ payload: 2, priority: 7, phase: 0 });
    expect(await push(db, 3, "p_unique_key => 'k', p_on_conflict => 'replace'")).toBe(id);
    expect(await row(db, id)).toMatchObject({ payload: 3, priority: 0, phase: 1 });
    expect(await value(db, "select count(*)::int from queue.jobs")).toBe(1);
  });

  test("with replace does not touch a job that runs", async () => {
    const id = await push(db, 1, "p_unique_key => 'k'");
    await pull(db);
    expect(await push(db, 2, "p_unique_key => 'k', p_on_conflict => 'replace'")).toBeNull();
    expect((await row(db, id))?.payload).toBe(1);
  });

  test("with replace makes the job if there is none", async () => {
    expect(await push(db, 2, "p_unique_key => 'k', p_on_conflict => 'replace'")).not.toBeNull();
  });

  test("with debounce restarts the delay, up to ten times the delay after the job's creation", async () => {
    await db.freeze(new Date("2026-01-01T00:00:00Z"));
    const due = async (): Promise<number> =>
      ((await row(db, id))?.scheduled_at.getTime() ?? 0) - Date.parse("2026-01-01T00:00:00Z");
    const options = "p_unique_key => 'k', p_on_conflict => 'debounce', p_delay => '10 seconds'";
    const id = await push(db, 1, options);
    expect(await due()).toBe(10_000);
    await db.travel("5 seconds");
    await push(db, 2, options);
    expect(await due()).toBe(15_000);
    await db.travel("93 seconds");
    await push(db, 3, options);
    expect(await due()).toBe(100_000);
    expect((await row(db, id))?.payload).toBe(3);
    await db.realTime();
  });
});

describe("a throttle", () => {
  test("accepts one push per key and time, whatever became of the job", async () => {
    const options = "p_unique_key => 'k', p_throttle => '1 minute'";
    expect(await push(db, 1, options)).not.toBeNull();
    const job = await pull(db);
    await db.query("select queue.ack('t', $1, $2)", [job.id, job.fence_token]);
    expect(await push(db, 2, options)).toBeNull();
    await db.travel("61 seconds");
    expect(await push(db, 3, options)).not.toBeNull();
    await db.realTime();
  });

  test("is not used up by a push that the unique key refuses", async () => {
    await push(db, 1, "p_unique_key => 'k'");
    expect(await push(db, 2, "p_unique_key => 'k', p_throttle => '1 minute'")).toBeNull();
    const job = await pull(db);
    await db.query("select queue.ack('t', $1, $2)", [job.id, job.fence_token]);
    expect(await push(db, 3, "p_unique_key => 'k', p_throttle => '1 minute'")).not.toBeNull();
  });
});

describe("an expiry", () => {
  test("turns a job that was not started in time into a dead letter when it is about to be pulled", async () => {
    await push(db, 1, "p_expires_in => '1 minute'");
    const kept = await push(db, 2);
    await db.travel("61 seconds");
    expect((await pull(db)).id).toBe(kept);
    expect(await rows(db, "select payload, reason_code, attempts from queue.dead_letters")).toEqual([
      { payload: 1, reason_code: "expired", attempts: 0 },
    ]);
    await db.realTime();
  });

  test("does not let an expired batch hide the jobs behind it", async () => {
    await db.query(
      `select queue.push('t', 'q', '1', p_expires_in => '1 minute', p_priority => 1) from generate_series(1, 30)`,
    );
    const id = await push(db, 2);
    await db.travel("61 seconds");
    expect(await rows(db, "select id from queue.pull_batch('t', 'q', 5)")).toEqual([{ id }]);
    expect(await value(db, "select count(*)::int from queue.dead_letters")).toBe(30);
    await db.realTime();
  });

  test("frees the unique key of a job that can never run", async () => {
    const keyed = "p_unique_key => 'k', p_expires_in => '1 minute'";
    await push(db, 1, keyed);
    await db.travel("61 seconds");
    expect(await push(db, 2, keyed)).not.toBeNull();
    await db.travel("61 seconds");
    const batch = "select queue.push_batch('t', 'q', array['3', '4']::jsonb[], p_unique_keys => array['k', 'l'])";
    expect(await value(db, batch)).toEqual([expect.any(String), expect.any(String)]);
    expect(await rows(db, "select payload, reason_code from queue.dead_letters order by id")).toEqual([
      { payload: 1, reason_code: "expired" },
      { payload: 2, reason_code: "expired" },
    ]);
    expect(await push(db, 5, keyed)).toBeNull();
    await db.realTime();
  });

  test("is replaced with the job", async () => {
    const id = await push(db, 1, "p_unique_key => 'k', p_expires_in => '1 minute'");
    await push(db, 2, "p_unique_key => 'k', p_on_conflict => 'replace', p_expires_in => '1 hour'");
    await db.travel("30 minutes");
    expect(await pull(db)).toMatchObject({ id, payload: 2 });
    await db.realTime();
  });

  test("is found by a tick, also of a delayed job, but leaves a job that runs alone", async () => {
    await push(db, 1, "p_expires_in => '1 minute', p_delay => '1 hour'");
    await push(db, 2, "p_expires_in => '1 minute'");
    const running = await pull(db, "w", "1 hour");
    await db.travel("61 seconds");
    await db.query("select queue.tick('t')");
    expect(await rows(db, "select payload from queue.dead_letters")).toEqual([{ payload: 1 }]);
    expect((await row(db, running.id))?.status).toBe("running");
    await db.realTime();
    await expire(db, running.id);
  });
});

describe("push_batch", () => {
  test("returns the ids in input order, null where a key is taken, also within the batch", async () => {
    await push(db, 0, "p_unique_key => 'b'");
    const ids = await value<(string | null)[]>(
      db,
      `select queue.push_batch('t', 'q', array['1', '2', '3', '4', '5']::jsonb[],
         p_unique_keys => array['z', 'b', null, 'z', 'a'])`,
    );
    expect(ids.map((id) => id !== null)).toEqual([true, false, true, false, true]);
    expect(await rows(db, "select id, payload from queue.jobs where payload <> '0' order by id")).toEqual([
      { id: ids[0], payload: 1 },
      { id: ids[2], payload: 3 },
      { id: ids[4], payload: 5 },
    ]);
  });

  test("gives each job its own options", async () => {
    await db.query(
      `select queue.push_batch('t', 'q', array['1', '2']::jsonb[], 5, 7, array['x'], p_delays => array[null, interval '1 hour'],
         p_priorities => array[null, 9], p_metadata => array['{"a": 1}', null]::jsonb[], p_concurrency_keys => array['c', null],
         p_fair_keys => array[null, 'f'])`,
    );
    expect(await rows(db, "select * from queue.jobs order by id")).toMatchObject([
      { priority: 5, max_attempts: 7, tags: ["x"], phase: 1, metadata: { a: 1 }, concurrency_key: "c", fair_key: null },
      { priority: 9, max_attempts: 7, tags: ["x"], phase: 0, metadata: null, concurrency_key: null, fair_key: "f" },
    ]);
  });

  test("answers an empty or missing array with none", async () => {
    expect(await value(db, "select queue.push_batch('t', 'q', '{}')")).toEqual([]);
    expect(await value(db, "select queue.push_batch('t', 'q', null)")).toEqual([]);
  });

  test("takes 1,000 jobs and not 1,001", async () => {
    const batch = (n: number): Promise<string[]> =>
      value(db, "select queue.push_batch('t', 'q', array_fill('1'::jsonb, array[$1::int]))", [n]);
    expect(await batch(1)).toHaveLength(1);
    expect(await batch(1000)).toHaveLength(1000);
    await refuses(batch(1001), "batch_too_large 22023");
  });

  test("changes nothing when one of its jobs is refused", async () => {
    await refuses(value(db, "select queue.push_batch('t', 'q', array['1', null]::jsonb[])"), "payload_null 22004");
    await refuses(
      value(db, "select queue.push_batch('t', 'q', array['1', '2']::jsonb[], p_priorities => array[1, 1001])"),
      "priority_range 22023",
    );
    await refuses(
      value(db, "select queue.push_batch('t', 'q', array['1', '2']::jsonb[], p_unique_keys => array['a'])"),
      "batch_length 22023",
    );
    await refuses(
      value(db, "select queue.push_batch('t', 'q', array['1']::jsonb[], p_tags => array_fill('t'::text, array[51]))"),
      "tags_limit 22023",
    );
    expect(await value(db, "select count(*)::int from queue.jobs")).toBe(0);
  });

  test("with the same keys in another order does not deadlock", async () => {
    const keys = Array.from({ length: 200 }, (_, i) => `k${i}`);
    const results = await Promise.all(
      [keys, keys.toReversed(), keys, keys.toReversed()].map((order) =>
        value<(string | null)[]>(
          db,
          "select queue.push_batch('t', 'q', array_fill('1'::jsonb, array[200]), p_unique_keys => $1)",
          [order],
        ),
      ),
    );
    expect(results.flat().filter((id) => id !== null)).toHaveLength(200);
  });
});
