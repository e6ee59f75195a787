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

const settle = (how: string, job: Claimed, ...more: unknown[]): Promise<unknown> =>
  value(db, `select queue.${how}('t', $1, $2${more.map((_, i) => `, $${i + 3}`).join("")})`, [
    job.id,
    job.fence_token,
    ...more,
  ]);
const archive = (): Promise<unknown> =>
  db.query("insert into queue.config (namespace, archive_completed) values ('t', true)");
const pushed = async (n: number): Promise<Claimed[]> => {
  await db.query("select queue.push_batch('t', 'q', array_fill('1'::jsonb, array[$1::int]))", [n]);
  return rows(db, "select * from queue.pull_batch('t', 'q', $1, 'w')", [n]);
};
const ids = (jobs: Claimed[]): string[] => jobs.map((job) => job.id);
const fences = (jobs: Claimed[]): string[] => jobs.map((job) => job.fence_token);
const ackBatch = (jobs: Claimed[]): Promise<number> =>
  value(db, "select queue.ack_batch('t', $1, $2)", [ids(jobs), fences(jobs)]);

describe("ack", () => {
  test("deletes the job", async () => {
    const id = await push(db);
    expect(await settle("ack", await pull(db))).toBe(true);
    expect(await row(db, id)).toBeUndefined();
  });

  test("keeps the job as completed where the namespace archives, without its lease", async () => {
    await archive();
    const id = await push(db);
    await settle("ack", await pull(db, "w1"));
    expect(await row(db, id)).toMatchObject({
      status: "completed",
      phase: 9,
      completed_at: expect.any(Date),
      fence_token: null,
      visibility_timeout_at: null,
      locked_by: "w1",
    });
  });

  test("accepts a result", async () => {
    await push(db);
    expect(await settle("ack", await pull(db), '{"messageId": 5}')).toBe(true);
  });

  test("is undone with the transaction", async () => {
    const id = await push(db);
    const job = await pull(db);
    const client = await db.client();
    await client.query("begin");
    await client.query("select queue.ack('t', $1, $2)", [job.id, job.fence_token]);
    await client.query("rollback");
    expect((await row(db, id))?.status).toBe("running");
    expect(await settle("ack", job)).toBe(true);
  });
});

describe("ack_batch", () => {
  test("settles 1,000 jobs and not 1,001", async () => {
    const jobs = await pushed(1000);
    await refuses(ackBatch([...jobs, ...jobs.slice(0, 1)]), "batch_too_large 22023");
    expect(await ackBatch(jobs)).toBe(1000);
    expect(await value(db, "select count(*)::int from queue.jobs")).toBe(0);
  });

  test("keeps the jobs where the namespace archives", async () => {
    await archive();
    await ackBatch(await pushed(3));
    expect(await rows(db, "select distinct status from queue.jobs")).toEqual([{ status: "completed" }]);
  });

  test("settles none if one of them is lost", async () => {
    const jobs = await pushed(3);
    await settle("ack", jobs[1] as Claimed);
    await refuses(ackBatch(jobs), "fence_stale 40001");
    expect(await value(db, "select count(*)::int from queue.jobs where status = 'running'")).toBe(2);
  });

  test("refuses lists that do not belong together", async () => {
    const jobs = await pushed(2);
    const call = (a: unknown, b: unknown): Promise<unknown> => value(db, "select queue.ack_batch('t', $1, $2)", [a, b]);
    await refuses(call(ids(jobs), fences(jobs).slice(1)), "ack_batch_length 22023");
    await refuses(call(ids(jobs), null), "ack_batch_length 22023");
    await refuses(call([ids(jobs)[0], ids(jobs)[0]], fences(jobs)), "ack_batch_duplicate_job 22023");
    await refuses(call([ids(jobs)[0], null], fences(jobs)), "job_id_null 22004");
    await refuses(call(ids(jobs), [fences(jobs)[0], null]), "fence_null 22004");
  });

  test("of nothing settles nothing", async () => {
    expect(await value(db, "select queue.ack_batch('t', null, null)")).toBe(0);
    expect(await value(db, "select queue.ack_batch('t', '{}', '{}')")).toBe(0);
  });
});

describe("nack", () => {
  const backoff = async (id: string): Promise<number> => {
    const [job] = await rows<{ seconds: number }>(
      db,
      "select extract(epoch from scheduled_at - updated_at)::float8 as seconds from queue.jobs where id = $1",
      [id],
    );
    return Math.round((job?.seconds ?? 0) * 1000) / 1000;
  };

  test("tries again after 30 seconds doubled with each attempt, at most an hour", async () => {
    const id = await push(db, 1, "p_max_attempts => 30");
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      await db.query("update queue.jobs set phase = 1, scheduled_at = now()");
      expect(await settle("nack", await pull(db), "boom")).toBe(true);
      waits.push(await backoff(id));
    }
    expect(waits).toEqual([30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    expect(await row(db, id)).toMatchObject({
      status: "pending",
      phase: 0,
      error: "boom",
      locked_by: null,
      fence_token: null,
    });
  });

  test.each([
    [{ backoff_type: "fixed", backoff_base: "5 s" }, [5, 5, 5]],
    [{ backoff_type: "linear", backoff_base: "5 s" }, [5, 10, 15]],
    [{ backoff_type: "exponential", backoff_base: "5 s", backoff_max: "12 s" }, [5, 10, 12]],
  ])("waits as the queue says: %j", async (settings, expected) => {
    await db.query("select queue.configure_queue('t', 'q', $1)", [settings]);
    const id = await push(db, 1, "p_max_attempts => 30");
    for (const seconds of expected) {
      await db.query("update queue.jobs set phase = 1, scheduled_at = now()");
      await settle("nack", await pull(db));
      expect(await backoff(id)).toBe(seconds);
    }
  });

  test("strews the wait by the queue's jitter", async () => {
    await db.query(
      `select queue.configure_queue('t', 'q', '{"backoff_type": "fixed", "backoff_base": "100 s", "backoff_jitter": 0.2}')`,
    );
    const jobs = await pushed(50);
    for (const job of jobs) await settle("nack", job);
    const waits = await Promise.all(jobs.map((job) => backoff(job.id)));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(80);
    expect(Math.max(...waits)).toBeLessThanOrEqual(120);
    expect(new Set(waits).size).toBeGreaterThan(40);
  });

  test("takes the caller's wait over all settings", async () => {
    const id = await push(db);
    await settle("nack", await pull(db), null, "7 s");
    expect(await backoff(id)).toBe(7);
    await refuses(settle("nack", { id, fence_token: "1" } as Claimed, null, "-1 s"), "not_positive 22023");
  });

  test("of the last attempt makes a dead letter with the errors of all attempts, and frees the unique key", async () => {
    const id = await push(
      db,
      { a: 1 },
      "p_max_attempts => 2, p_unique_key => 'k', p_tags => array['x'], p_priority => 3",
    );
    await settle("nack", await pull(db), "first", "0 s");
    expect(await settle("nack", await pull(db), "second")).toBe(false);
    expect(await row(db, id)).toMatchObject({
      status: "dead",
      phase: 9,
      error: "second",
      completed_at: expect.any(Date),
    });
    expect(await rows(db, "select * from queue.dead_letters")).toMatchObject([
      {
        original_job_id: id,
        queue: "q",
        payload: { a: 1 },
        priority: 3,
        tags: ["x"],
        attempts: 2,
        max_attempts: 2,
        last_error: "second",
        reason_code: "attempts_exhausted",
        errors: [
          { attempt: 1, error: "first" },
          { attempt: 2, error: "second" },
        ],
        retried_at: null,
      },
    ]);
    expect(await push(db, 2, "p_unique_key => 'k'")).not.toBeNull();
  });

  test("keeps the last ten errors and cuts long ones", async () => {
    const id = await push(db, 1, "p_max_attempts => 30");
    for (let i = 1; i <= 12; i++) await settle("nack", await pull(db), `${i}`.padEnd(9000, "x"), "0 s");
    const job = await row(db, id);
    expect(job?.error).toHaveLength(8192);
    expect(job?.errors?.map((error) => error.attempt)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });
});

describe("fail", () => {
  test("makes a dead letter whatever attempts are left", async () => {
    const id = await push(db);
    expect(await settle("fail", await pull(db), "no such customer")).toBe(true);
    expect((await row(db, id))?.status).toBe("dead");
    expect(await rows(db, "select reason_code, last_error from queue.dead_letters")).toEqual([
      { reason_code: "failed", last_error: "no such customer" },
    ]);
  });
});

describe("release", () => {
  test("makes the job ready in its old place, and the attempt counts", async () => {
    const id = await push(db, 1);
    await push(db, 2);
    const before = await row(db, id);
    expect(await settle("release", await pull(db))).toBe(true);
    expect(await row(db, id)).toMatchObject({ status: "pending", attempts: 1, scheduled_at: before?.scheduled_at });
    expect((await pull(db)).id).toBe(id);
  });
});

describe("release_batch", () => {
  const release = (jobs: Claimed[], refund?: boolean | null): Promise<number> =>
    value(db, `select queue.release_batch('t', $1, $2${refund === undefined ? "" : `, ${refund}`})`, [
      ids(jobs),
      fences(jobs),
    ]);

  test("gives the attempts back unless told not to", async () => {
    expect(await release(await pushed(2))).toBe(2);
    expect(await rows(db, "select distinct status, attempts from queue.jobs")).toEqual([
      { status: "pending", attempts: 0 },
    ]);
    await release(await rows(db, "select * from queue.pull_batch('t', 'q')"), null);
    expect(await rows(db, "select distinct attempts from queue.jobs")).toEqual([{ attempts: 0 }]);
    await release(await rows(db, "select * from queue.pull_batch('t', 'q')"), false);
    expect(await rows(db, "select distinct attempts from queue.jobs")).toEqual([{ attempts: 1 }]);
  });

  test("leaves out what the caller lost", async () => {
    const jobs = await pushed(3);
    await settle("ack", jobs[0] as Claimed);
    expect(await release(jobs)).toBe(2);
    expect(await release(jobs)).toBe(0);
    expect(await value(db, "select queue.release_batch('t', null, null)")).toBe(0);
    await refuses(value(db, "select queue.release_batch('t', array[1], array[1, 2])"), "batch_length 22023");
  });
});

test("what waits for no time rings: a nack, a snooze and an item of settle_batch", async () => {
  const listener = await db.client();
  const rung: unknown[] = [];
  listener.on("notification", ({ payload }) => rung.push(JSON.parse(payload ?? "")));
  for (const sql of [
    "select queue.nack('t', $1, $2, 'e', '0 s')",
    "select queue.snooze('t', $1, $2, '0 s')",
    `select queue.settle_batch('t', jsonb_build_array(
       jsonb_build_object('id', $1::bigint, 'fence', $2::bigint, 'outcome', 'nack', 'delay', '0 s')))`,
  ]) {
    await wipe(db);
    await push(db);
    const job = await pull(db);
    await listener.query(`listen ${await value(db, "select queue.channel_name('t', 'q')")}`);
    await db.query(sql, [job.id, job.fence_token]);
    await listener.query("unlisten *");
    expect(rung.splice(0), sql).toEqual([{ queue: "q", count: 1 }]);
    expect((await pull(db)).id).toBe(job.id);
  }
});

test("the longest backoff of the most attempts is reckoned without overflow", async () => {
  for (const [base, most, seconds] of [
    ["6 hours", "7 days", 604_800],
    ["90 years", "100 years", 36_525 * 86_400],
  ] as const) {
    const wait = "select extract(epoch from queue._backoff(30, 'exponential', $1, $2, 0))::float8";
    expect(await value<number>(db, wait, [base, most])).toBeCloseTo(seconds, -6);
  }
});

describe("release_jobs", () => {
  test("gives back all jobs of the worker and no other's", async () => {
    await db.query("select queue.push_batch('t', 'q', array_fill('1'::jsonb, array[5]))");
    await rows(db, "select * from queue.pull_batch('t', 'q', 2, 'a')");
    await pull(db, "a");
    await pull(db, "b");
    expect(await value(db, "select queue.release_jobs('t', 'a')")).toBe(3);
    expect(await rows(db, "select locked_by from queue.jobs where status = 'running'")).toEqual([{ locked_by: "b" }]);
    expect(await rows(db, "select worker_id from queue.leases")).toEqual([{ worker_id: "b" }]);
    expect(await value(db, "select queue.release_jobs('t', 'a')")).toBe(0);
  });

  test("gives back a job whose heartbeat it had to wait for", async () => {
    const id = await push(db);
    const job = await pull(db, "w");
    const [beating, releasing] = await db.clients(2);
    if (!beating || !releasing) throw new Error("no clients");
    await beating.query("begin");
    await beating.query("select queue.heartbeat('t', 'w', array[$1::bigint], array[$2::bigint], '1 hour')", [
      job.id,
      job.fence_token,
    ]);
    const released = releasing.query("select queue.release_jobs('t', 'w')");
    const { processID } = releasing as unknown as { processID: number };
    while (!(await value<boolean>(db, "select cardinality(pg_blocking_pids($1)) > 0", [processID])));
    await beating.query("commit");
    expect((await released).rows).toEqual([{ release_jobs: 1 }]);
    expect((await row(db, id))?.status).toBe("pending");
  });

  test("needs a worker", async () => {
    await refuses(value(db, "select queue.release_jobs('t', null)"), "worker_id_null 22004");
    await refuses(value(db, "select queue.release_jobs('t', '')"), "worker_id_empty 22026");
    await refuses(value(db, "select queue.release_jobs('t', repeat('w', 257))"), "worker_id_too_long 22001");
  });
});

describe("snooze", () => {
  test("puts the job off and gives the attempt back", async () => {
    const id = await push(db, 1);
    expect(await settle("snooze", await pull(db), "1 hour")).toBe(true);
    expect(await row(db, id)).toMatchObject({ status: "pending", phase: 0, attempts: 0, payload: 1, locked_by: null });
    await db.travel("61 minutes");
    expect((await pull(db)).id).toBe(id);
    await db.realTime();
  });

  test("may change the payload", async () => {
    const id = await push(db, 1);
    await settle("snooze", await pull(db), "1 hour", "[2]");
    expect((await row(db, id))?.payload).toEqual([2]);
  });

  test("needs a delay and a payload of a fair size", async () => {
    await push(db);
    const job = await pull(db);
    await refuses(settle("snooze", job, null), "delay_null 22004");
    await refuses(settle("snooze", job, "-1 s"), "not_positive 22023");
    await refuses(settle("snooze", job, "1 s", JSON.stringify("x".repeat(1048576))), "payload_too_large 22023");
    expect(await settle("ack", job)).toBe(true);
  });
});

describe("extend_visibility", () => {
  test("moves the deadline by the extension", async () => {
    await push(db);
    const job = await pull(db, "w", "10 s");
    expect(await settle("extend_visibility", job, "1 minute")).toBe(true);
    expect((await row(db, job.id))?.visibility_timeout_at?.getTime()).toBe(
      (job.visibility_timeout_at?.getTime() ?? 0) + 60_000,
    );
  });

  test("needs an extension above zero", async () => {
    await push(db);
    const job = await pull(db);
    await refuses(settle("extend_visibility", job, "0 s"), "extension_positive 22023");
    await refuses(settle("extend_visibility", job, "-1 s"), "extension_positive 22023");
    await refuses(settle("extend_visibility", job, null), "extension_null 22004");
  });
});

describe("settle_batch", () => {
  const items = (all: Record<string, unknown>[]): Promise<{ job_id: string; outcome: string }[]> =>
    rows(db, "select * from queue.settle_batch('t', $1) order by job_id", [JSON.stringify(all)]);

  test("settles each job in its own way and tells what became of it", async () => {
    const jobs = await pushed(8);
    await db.query("update queue.jobs set max_attempts = 1 where id = $1", [jobs[2]?.id]);
    const lost = jobs[7] as Claimed;
    await settle("ack", lost);
    const outcomes = ["ack", "nack", "nack", "fail", "snooze", "release", "cancelled", "ack"];
    const result = await items(
      jobs.map((job, i) => ({
        id: job.id,
        fence: job.fence_token,
        outcome: outcomes[i],
        error: `e${i}`,
        delay: "1 hour",
        payload: i,
      })),
    );
    expect(result.map((item) => item.outcome)).toEqual([
      "completed",
      "retry",
      "dead",
      "dead",
      "snoozed",
      "released",
      "cancelled",
      "lost",
    ]);
    expect(await rows(db, "select id, status, phase, attempts, error, payload from queue.jobs order by id")).toEqual([
      { id: jobs[1]?.id, status: "pending", phase: 0, attempts: 1, error: "e1", payload: 1 },
      { id: jobs[2]?.id, status: "dead", phase: 9, attempts: 1, error: "e2", payload: 1 },
      { id: jobs[3]?.id, status: "dead", phase: 9, attempts: 1, error: "e3", payload: 1 },
      { id: jobs[4]?.id, status: "pending", phase: 0, attempts: 0, error: null, payload: 4 },
      { id: jobs[5]?.id, status: "pending", phase: 1, attempts: 1, error: null, payload: 1 },
      { id: jobs[6]?.id, status: "cancelled", phase: 9, attempts: 1, error: null, payload: 1 },
    ]);
    expect(await rows(db, "select reason_code, last_error from queue.dead_letters order by id")).toEqual([
      { reason_code: "attempts_exhausted", last_error: "e2" },
      { reason_code: "failed", last_error: "e3" },
    ]);
  });

  test("waits as the queue says where a nack has no delay", async () => {
    await db.query(`select queue.configure_queue('t', 'q', '{"backoff_type": "fixed", "backoff_base": "5 s"}')`);
    const [job] = await pushed(1);
    await items([{ id: job?.id, fence: job?.fence_token, outcome: "nack" }]);
    expect(
      await value(db, "select extract(epoch from scheduled_at - updated_at)::int from queue.jobs where id = $1", [
        job?.id,
      ]),
    ).toBe(5);
  });

  test("takes a payload as large as the tenant allows", async () => {
    await db.query("insert into queue.config (namespace, max_payload_bytes) values ('t', 3000000)");
    const [job] = await pushed(1);
    const item = { id: job?.id, fence: job?.fence_token, outcome: "snooze", delay: "1 s" };
    await refuses(items([{ ...item, payload: "x".repeat(3_000_000) }]), "payload_too_large 22023");
    expect(await items([{ ...item, payload: "x".repeat(2_000_000) }])).toMatchObject([{ outcome: "snoozed" }]);
  });

  test("refuses what it cannot understand and changes nothing", async () => {
    const [job] = await pushed(1);
    const item = { id: job?.id, fence: job?.fence_token };
    await refuses(items([1 as unknown as Record<string, unknown>]), "items_invalid 22023");
    await refuses(items([{ ...item, outcome: "nack", delay: "200 years" }]), "range_too_large 22023");
    await refuses(items([{ ...item, outcome: "explode" }]), "outcome_invalid 22023");
    await refuses(items([{ ...item }]), "outcome_invalid 22023");
    await refuses(items([{ ...item, outcome: "snooze" }]), "delay_null 22004");
    await refuses(items([{ ...item, outcome: "nack", delay: "-1 s" }]), "not_positive 22023");
    await refuses(items([{ ...item, outcome: "nack", delay: "soon" }]), "items_invalid 22023");
    await refuses(items([{ id: "x", outcome: "ack" }]), "items_invalid 22023");
    await refuses(items([{ outcome: "ack", fence: 1 }]), "job_id_null 22004");
    await refuses(items([{ outcome: "ack", id: 1 }]), "fence_null 22004");
    await refuses(
      items([
        { ...item, outcome: "ack" },
        { ...item, outcome: "fail" },
      ]),
      "items_invalid 22023",
    );
    await refuses(
      items(Array.from({ length: 1001 }, (_, id) => ({ id, fence: 1, outcome: "ack" }))),
      "batch_too_large 22023",
    );
    await refuses(rows(db, "select * from queue.settle_batch('t', null)"), "items_invalid 22023");
    await refuses(rows(db, "select * from queue.settle_batch('t', '{}')"), "items_invalid 22023");
    expect(await items([])).toEqual([]);
    expect((await row(db, job?.id ?? ""))?.status).toBe("running");
  });
});
