import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { queueModule } from "../src/module.ts";
import { push, refuses, rows, value, wipe } from "./sql.ts";

interface Exchanged {
  kind: string;
  id: string;
  fence_token: string;
  attempts: number | null;
  payload: unknown;
  priority: number;
  scheduled_at: Date;
  lease_id: string;
}

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

const exchange = (limit: number | null, done: Exchanged[] = [], more = ""): Promise<Exchanged[]> =>
  rows(db, `select * from queue.exchange('t', 'q', $1, 'w', '1 minute', $2, $3${more}) order by kind, id`, [
    limit,
    done.map((job) => job.id),
    done.map((job) => job.fence_token),
  ]);
const fill = (n: number): Promise<unknown> =>
  db.query("select queue.push_batch('t', 'q', array_fill('1'::jsonb, array[$1::int]))", [n]);

describe("exchange", () => {
  test("settles the last jobs and takes the next in one call", async () => {
    await fill(5);
    const first = await exchange(3);
    expect(first.map((job) => job.kind)).toEqual(["job", "job", "job"]);
    expect(first[0]).toMatchObject({ attempts: 1, payload: 1, priority: 0, scheduled_at: expect.any(Date) });
    const second = await exchange(3, first);
    expect(second).toHaveLength(2);
    expect(await rows(db, "select id from queue.jobs order by id")).toEqual(second.map(({ id }) => ({ id })));
  });

  test("returns lean rows: these columns and no more", async () => {
    await push(db, { a: 1 }, `p_metadata => '{"m": 1}', p_trace => '{"t": 1}'`);
    const [job] = await exchange(1);
    expect(job).toMatchObject({
      payload: { a: 1 },
      metadata: { m: 1 },
      trace: { t: 1 },
      max_attempts: 3,
      fair_seq: "0",
    });
    expect(Object.keys(job ?? {})).toEqual([
      ...["kind", "id", "fence_token", "attempts", "max_attempts", "payload", "metadata", "priority", "scheduled_at"],
      ...["fair_seq", "lease_id", "trace"],
    ]);
  });

  test("answers an ack that came too late as lost and settles the others", async () => {
    await fill(3);
    const jobs = await exchange(3);
    await db.query("select queue.release('t', $1, $2)", [jobs[1]?.id, jobs[1]?.fence_token]);
    expect(await exchange(0, jobs)).toMatchObject([
      { kind: "lost", id: jobs[1]?.id, fence_token: jobs[1]?.fence_token, attempts: null },
    ]);
    expect(await value(db, "select count(*)::int from queue.jobs")).toBe(1);
    const [again] = await exchange(1, jobs);
    expect(again).toMatchObject({ kind: "job", id: jobs[1]?.id });
  });

  test("without a limit of its own only settles, and reports all acks of a repeated call as lost", async () => {
    await fill(3);
    const jobs = await exchange(2);
    expect(await exchange(0, jobs)).toEqual([]);
    expect((await exchange(0, jobs)).map((row) => row.kind)).toEqual(["lost", "lost"]);
    expect(await value(db, "select count(*)::int from queue.jobs where status = 'pending'")).toBe(1);
  });

  test("keeps completed jobs where the namespace archives", async () => {
    await db.query("insert into queue.config (namespace, archive_completed) values ('t', true)");
    await fill(2);
    await exchange(0, await exchange(2));
    expect(await rows(db, "select distinct status, phase from queue.jobs")).toEqual([
      { status: "completed", phase: 9 },
    ]);
  });

  test("settles jobs of a paused queue but takes none", async () => {
    await fill(2);
    const jobs = await exchange(1);
    await db.query("select queue.pause_queue('t', 'q')");
    expect(await exchange(1, jobs)).toEqual([]);
    expect(await value(db, "select count(*)::int from queue.jobs")).toBe(1);
  });

  test("deletes the leases that the worker is done with", async () => {
    await fill(4);
    const [a, a2] = await exchange(2);
    const [b] = await exchange(2);
    if (!a || !a2) throw new Error("no jobs");
    await exchange(0, [a, a2], `, p_done_leases => array[${a.lease_id}]`);
    expect(await rows(db, "select lease_id from queue.leases")).toEqual([{ lease_id: b?.lease_id }]);
  });

  test("keeps a lease that the worker is done with as long as one of its jobs runs", async () => {
    await fill(2);
    const [a, b] = await exchange(2);
    if (!a || !b) throw new Error("no jobs");
    await exchange(0, [a], `, p_done_leases => array[${a.lease_id}]`);
    expect(await rows(db, "select lease_id from queue.leases")).toEqual([{ lease_id: a.lease_id }]);
    await exchange(0, [b], `, p_done_leases => array[${a.lease_id}]`);
    expect(await rows(db, "select lease_id from queue.leases")).toEqual([]);
  });

  test("keeps a lease that ran out, so that a job whose ack came too late is found", async () => {
    await fill(1);
    const jobs = await exchange(1);
    await db.query("alter table queue.jobs disable trigger jobs_lease_shortened");
    await db.query("update queue.jobs set visibility_timeout_at = clock_timestamp()");
    await db.query("alter table queue.jobs enable trigger jobs_lease_shortened");
    await db.query("update queue.leases set expires_at = clock_timestamp()");
    expect(await exchange(0, jobs)).toMatchObject([{ kind: "lost" }]);
    await exchange(0, [], `, p_done_leases => array[${jobs[0]?.lease_id}]`);
    expect(await rows(db, "select job_id from queue.tick_timeouts('t')")).toEqual([{ job_id: jobs[0]?.id }]);
    expect(await rows(db, "select * from queue.leases")).toEqual([]);
  });

  test("claims from floors", async () => {
    await push(db, "old", "p_run_at => '2001-01-01'");
    await push(db, "new", "p_run_at => '2002-01-01'");
    const floors = `, p_floors => '[{"priority": 0, "fair_seq": 0, "scheduled_at": "2002-01-01"}]'`;
    expect(await exchange(10, [], floors)).toMatchObject([{ payload: "new" }]);
    expect(await exchange(10)).toMatchObject([{ payload: "old" }]);
  });

  test("takes up to 1,000 jobs and acks", async () => {
    await fill(1000);
    const jobs = await exchange(1000);
    expect(jobs).toHaveLength(1000);
    expect(await exchange(0, jobs)).toEqual([]);
    await refuses(exchange(1001), "limit_too_large 22023");
    await refuses(exchange(-1), "not_positive 22023");
    await refuses(exchange(null), "limit_null 22004");
    await refuses(exchange(0, [...jobs, ...jobs.slice(0, 1)]), "batch_too_large 22023");
    await refuses(
      rows(db, "select * from queue.exchange('t', 'q', 0, 'w', null, array[1], null)"),
      "batch_length 22023",
    );
    await refuses(rows(db, "select * from queue.exchange('t', 'q', 1, 'w', '0 s', null, null)"), "not_positive 22023");
  });

  test("accepts results and nulls for what there is not", async () => {
    await fill(1);
    const [job] = await rows<Exchanged>(db, "select * from queue.exchange('t', 'q', 1, null, null, null, null)");
    expect(await value(db, "select locked_by from queue.jobs")).toBe("anonymous");
    expect(
      await rows(db, "select * from queue.exchange('t', 'q', 0, 'w', null, $1, $2, array['1']::jsonb[], null, null)", [
        [job?.id],
        [job?.fence_token],
      ]),
    ).toEqual([]);
    expect(await value(db, "select count(*)::int from queue.jobs")).toBe(0);
  });
});

describe("heartbeat", () => {
  const beat = (
    jobs: Exchanged[],
    more = "",
  ): Promise<{ job_id: string; alive: boolean; cancel_requested: boolean }[]> =>
    rows(db, `select * from queue.heartbeat('t', 'w', $1, $2, '1 hour'${more}) order by job_id`, [
      jobs.map((job) => job.id),
      jobs.map((job) => job.fence_token),
    ]);

  test("extends the jobs that are alive and tells which are lost or shall stop", async () => {
    await fill(3);
    const jobs = await exchange(3);
    await db.query("select queue.ack('t', $1, $2)", [jobs[0]?.id, jobs[0]?.fence_token]);
    await db.query("select queue.request_cancel('t', $1, 'stop it')", [jobs[1]?.id]);
    expect(await beat(jobs)).toEqual([
      { job_id: jobs[0]?.id, alive: false, cancel_requested: false },
      { job_id: jobs[1]?.id, alive: true, cancel_requested: true },
      { job_id: jobs[2]?.id, alive: true, cancel_requested: false },
    ]);
    expect(
      await value(
        db,
        "select bool_and(visibility_timeout_at > clock_timestamp() + interval '59 minutes') from queue.jobs",
      ),
    ).toBe(true);
  });

  test("never shortens a deadline", async () => {
    await fill(1);
    const [job] = await rows<Exchanged>(db, "select * from queue.exchange('t', 'q', 1, 'w', '2 hours', null, null)");
    const deadline = await value(db, "select visibility_timeout_at from queue.jobs");
    await beat(job ? [job] : []);
    expect(await value(db, "select visibility_timeout_at from queue.jobs")).toEqual(deadline);
  });

  test("keeps the worker's row", async () => {
    await db.query("select queue.register_worker('t', 'w', array['q'], 'host', 7, 10, 'v1')");
    await beat([]);
    await db.query("update queue.workers set seen_at = seen_at - interval '1 minute'");
    await fill(2);
    await beat(await exchange(2));
    expect(
      await rows(db, "select worker_id, queues, host, pid, concurrency, version, running from queue.workers"),
    ).toEqual([{ worker_id: "w", queues: ["q"], host: "host", pid: 7, concurrency: 10, version: "v1", running: 2 }]);
    expect(await value(db, "select seen_at > clock_timestamp() - interval '10 s' from queue.workers")).toBe(true);
  });

  test("does not register its worker, so that one which beats seldom keeps what it extended", async () => {
    await fill(1);
    const jobs = await exchange(1);
    await beat(jobs);
    await db.query("update queue.workers set seen_at = seen_at - interval '1 minute'");
    expect(await rows(db, "select * from queue.tick_timeouts('t')")).toEqual([]);
    expect((await beat(jobs)).map(({ alive }) => alive)).toEqual([true]);
  });

  test("adds the counters to the worker's own minutes", async () => {
    const counters = (completed: number): string =>
      `, '${JSON.stringify([
        { queue: "q", bucket: "2026-01-01T00:00:59Z", completed, retried: 1, wait_hist: Array(16).fill(completed) },
        { queue: "r", bucket: "2026-01-01T00:01:00Z", dead: 2, lost: 3, run_hist: Array(16).fill(1) },
      ])}'`;
    await beat([], counters(5));
    await beat([], counters(7));
    expect(await rows(db, "select * from queue.metrics order by queue")).toMatchObject([
      {
        queue: "q",
        source: "w",
        bucket: new Date("2026-01-01T00:00:00Z"),
        completed: "12",
        retried: "2",
        dead: "0",
        wait_hist: Array(16).fill("12"),
        run_hist: null,
      },
      {
        queue: "r",
        bucket: new Date("2026-01-01T00:01:00Z"),
        completed: "0",
        dead: "4",
        lost: "6",
        run_hist: Array(16).fill("2"),
      },
    ]);
  });

  test("refuses counters it cannot add, and then changes nothing", async () => {
    await refuses(beat([], `, '{}'`), "counters_invalid 22023");
    await refuses(beat([], `, '[{"queue": "q", "completed": 1}]'`), "counters_invalid 22023");
    await refuses(beat([], `, '[{"queue": "q", "bucket": "2026-01-01", "completed": -1}]'`), "counters_invalid 22023");
    await refuses(beat([], `, '[{"queue": "q", "bucket": "2026-01-01", "run_hist": [1]}]'`), "counters_invalid 22023");
    await refuses(beat([], `, '[{"bucket": "2026-01-01"}]'`), "queue_null 22004");
    await refuses(beat([], `, '[1]'`), "counters_invalid 22023");
    await refuses(beat([], `, '[{"queue": "q", "bucket": "soon"}]'`), "counters_invalid 22023");
    expect(await value(db, "select count(*)::int from queue.workers")).toBe(0);
    await refuses(rows(db, "select * from queue.heartbeat('t', null, null, null, null)"), "worker_id_null 22004");
    await refuses(rows(db, "select * from queue.heartbeat('t', 'w', null, null, '0 s')"), "not_positive 22023");
  });

  test("unregister_worker gives the jobs back and forgets the worker", async () => {
    await db.query("select queue.register_worker('t', 'w', null)");
    await fill(2);
    await exchange(2);
    expect(await value(db, "select queue.unregister_worker('t', 'w')")).toBe(2);
    expect(await rows(db, "select * from queue.workers")).toEqual([]);
    expect(await value(db, "select queue.unregister_worker('t', 'w')")).toBe(0);
  });

  test("unregister_worker and a heartbeat of the same worker do not deadlock", async () => {
    await db.query("select queue.register_worker('t', 'w', null)");
    await fill(1);
    const jobs = await exchange(1);
    const [beating, leaving] = await db.clients(2);
    if (!beating || !leaving) throw new Error("no clients");
    await beating.query("begin");
    await beating.query("select queue.heartbeat('t', 'w', null, null, null)");
    const left = leaving.query("select queue.unregister_worker('t', 'w')");
    const { processID } = leaving as unknown as { processID: number };
    while (!(await value<boolean>(db, "select cardinality(pg_blocking_pids($1)) > 0", [processID])));
    await beating.query("select queue.heartbeat('t', 'w', $1, $2, '1 minute')", [
      jobs.map((job) => job.id),
      jobs.map((job) => job.fence_token),
    ]);
    await beating.query("commit");
    expect((await left).rows).toEqual([{ unregister_worker: 1 }]);
  });

  test("set_progress keeps what the handler says until the next report", async () => {
    await fill(1);
    const [job] = await exchange(1);
    expect(await value(db, "select queue.set_progress('t', $1, $2, '0.5')", [job?.id, job?.fence_token])).toBe(true);
    expect(await value(db, "select progress from queue.jobs")).toBe(0.5);
    const big = JSON.stringify("x".repeat(65536));
    await refuses(
      value(db, "select queue.set_progress('t', $1, $2, $3)", [job?.id, job?.fence_token, big]),
      "payload_too_large 22023",
    );
  });
});
