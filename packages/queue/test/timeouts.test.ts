import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { queueModule } from "../src/module.ts";
import { type Claimed, expire, pull, push, refuses, row, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

const timeouts = (limit = 100): Promise<{ job_id: string; queue: string; stuck_duration: unknown }[]> =>
  rows(db, "select * from queue.tick_timeouts('t', $1)", [limit]);
const claim = async (n: number, worker = "w", timeout = "1 hour"): Promise<Claimed[]> => {
  await db.query("select queue.push_batch('t', 'q', array_fill('1'::jsonb, array[$1::int]))", [n]);
  return rows(db, "select * from queue.pull_batch('t', 'q', $1, $2, $3)", [n, worker, timeout]);
};
/** Lets the leases, not only the jobs, look expired. */
const age = (): Promise<unknown> => db.query("update queue.leases set expires_at = clock_timestamp() - interval '1 s'");

describe("tick_timeouts", () => {
  test("makes overdue jobs ready again; the attempt counts, and so does the timeout", async () => {
    const [job] = await claim(1);
    await expire(db, job?.id ?? "");
    expect(await timeouts()).toMatchObject([{ job_id: job?.id, queue: "q" }]);
    expect(await row(db, job?.id ?? "")).toMatchObject({
      status: "pending",
      phase: 1,
      attempts: 1,
      timeouts: 1,
      locked_by: null,
      locked_at: null,
      visibility_timeout_at: null,
      fence_token: null,
    });
    expect(await timeouts()).toEqual([]);
  });

  test("cancels a job that was asked to stop and whose worker died before it heard", async () => {
    const [asked, other] = await claim(2);
    await db.query("select queue.request_cancel('t', $1, 'why')", [asked?.id]);
    for (const job of [asked, other]) await expire(db, job?.id ?? "");
    expect(await timeouts()).toMatchObject([{ job_id: other?.id }]);
    expect(await row(db, asked?.id ?? "")).toMatchObject({ status: "cancelled", phase: 9, fence_token: null });
    expect(await timeouts()).toEqual([]);
  });

  test("finds a job whose deadline was shortened by a plain update", async () => {
    const [job] = await claim(1);
    await db.query("update queue.jobs set visibility_timeout_at = clock_timestamp() + interval '1 ms' where id = $1", [
      job?.id,
    ]);
    await db.query("select pg_sleep(0.002)");
    expect(await timeouts()).toHaveLength(1);
  });

  test("leaves jobs alone that are not overdue, and keeps their lease with the earliest deadline", async () => {
    const [a, b, c] = await claim(3);
    await db.query("select queue.extend_visibility('t', $1, $2, '2 hours')", [a?.id, a?.fence_token]);
    await db.query("select queue.extend_visibility('t', $1, $2, '1 hour')", [b?.id, b?.fence_token]);
    await db.query("select queue.ack('t', $1, $2)", [c?.id, c?.fence_token]);
    await age();
    expect(await timeouts()).toEqual([]);
    expect(await rows(db, "select job_ids, expires_at from queue.leases")).toEqual([
      { job_ids: [a?.id, b?.id], expires_at: (await row(db, b?.id ?? ""))?.visibility_timeout_at },
    ]);
  });

  test("drops the lease of a batch that has ended", async () => {
    const jobs = await claim(3);
    await db.query("select queue.ack_batch('t', $1, $2)", [
      jobs.map((job) => job.id),
      jobs.map((job) => job.fence_token),
    ]);
    await age();
    expect(await timeouts()).toEqual([]);
    expect(await rows(db, "select * from queue.leases")).toEqual([]);
  });

  test("takes back as many as it may, and the rest with the next call", async () => {
    await claim(5, "w", "1 millisecond");
    await db.query("select pg_sleep(0.003)");
    expect(await timeouts(2)).toHaveLength(2);
    expect(await timeouts(1000)).toHaveLength(3);
    await refuses(timeouts(0), "not_positive 22023");
    await refuses(timeouts(1001), "limit_too_large 22023");
  });

  test("finds an overdue job behind many leases whose jobs have ended", async () => {
    await db.query(
      `insert into queue.leases (namespace, expires_at, worker_id, job_ids)
       select 't', now() - interval '1 hour', 'w', array[-i] from generate_series(1, 2500) i`,
    );
    const [job] = await claim(1, "w", "1 millisecond");
    await db.query("select pg_sleep(0.003)");
    expect(await timeouts()).toMatchObject([{ job_id: job?.id }]);
    expect(await rows(db, "select * from queue.leases")).toEqual([]);
  });

  test("looks at a bounded number of jobs at a time", async () => {
    await db.query(
      `insert into queue.leases (namespace, expires_at, worker_id, job_ids)
       select 't', now() - interval '1 hour', 'w', array(select -j from generate_series(1, 1000) j)
       from generate_series(1, 50) i`,
    );
    await rows(db, "select * from queue._reclaim('t', 1000)");
    expect(await value(db, "select count(*)::int from queue.leases")).toBe(30);
  });

  test("buries a job that wore out more leases than allowed", async () => {
    await db.query("insert into queue.config (namespace, max_timeouts) values ('t', 2)");
    const id = await push(db, 1, "p_max_attempts => 30");
    for (let i = 0; i < 2; i++) {
      await pull(db);
      await expire(db, id);
      expect(await timeouts()).toHaveLength(1);
    }
    await pull(db);
    await expire(db, id);
    expect(await timeouts()).toEqual([]);
    expect((await row(db, id))?.status).toBe("dead");
    expect(await rows(db, "select reason_code, attempts from queue.dead_letters")).toEqual([
      { reason_code: "timeouts", attempts: 3 },
    ]);
  });

  test("takes the jobs of a registered worker back that was silent for half a minute, before they expire", async () => {
    await db.query("select queue.register_worker('t', 'silent', array['q'])");
    await db.query("select queue.register_worker('t', 'alive', array['q'])");
    await claim(2, "silent");
    await claim(1, "alive");
    await claim(1, "unregistered");
    await db.query("update queue.workers set seen_at = seen_at - interval '31 s' where worker_id = 'silent'");
    expect(await timeouts()).toHaveLength(2);
    expect(await rows(db, "select locked_by from queue.jobs where status = 'running' order by 1")).toEqual([
      { locked_by: "alive" },
      { locked_by: "unregistered" },
    ]);
  });

  test("works on all tenants when none is named", async () => {
    for (const tenant of ["t", "u", "v"]) {
      await db.query("select queue.push($1, 'q', '1')", [tenant]);
      await rows(db, "select * from queue.pull($1, 'q', 'w', '1 millisecond')", [tenant]);
    }
    await db.query("select pg_sleep(0.003)");
    expect(await rows(db, "select * from queue.tick_timeouts(null, 2)")).toHaveLength(2);
    expect(await rows(db, "select * from queue.tick_timeouts()")).toHaveLength(1);
  });

  test("is undone with its transaction", async () => {
    const [job] = await claim(1);
    await expire(db, job?.id ?? "");
    const client = await db.client();
    await client.query("begin; select queue.tick_timeouts('t'); rollback");
    expect((await row(db, job?.id ?? ""))?.status).toBe("running");
    expect(await timeouts()).toHaveLength(1);
  });
});

describe("tick", () => {
  test("does all that is due and says when the next thing is", async () => {
    const stuck = await push(db, "stuck");
    await pull(db);
    await expire(db, stuck);
    await push(db, "due", "p_delay => '1 minute'");
    await db.query("select queue.push('t', 'r', '1', p_delay => '1 minute')");
    const later = await push(db, "later", "p_delay => '1 hour'");
    await db.travel("2 minutes");
    const [tick] = await rows<{ next_due_at: Date }>(db, "select * from queue.tick('t')");
    expect(tick).toMatchObject({ promoted: 2, fired: 0, reclaimed: 1, admitted: 0 });
    expect(tick?.next_due_at).toEqual((await row(db, later))?.scheduled_at);
    expect(await value(db, "select count(*)::int from queue.jobs where phase = 1")).toBe(3);
    await db.realTime();
  });

  test("fires schedules and counts them to what is due next", async () => {
    await db.query("select queue.create_schedule('t', 's', 'q', '{}', p_every_interval => '1 hour')");
    const next = await value<Date>(db, "select next_due_at from queue.tick('t')");
    expect(next).toEqual(await value(db, "select next_run_at from queue.schedules"));
    await db.travel("61 minutes");
    expect(await value(db, "select fired from queue.tick('t')")).toBe(1);
    await db.realTime();
    await db.query("delete from queue.schedules");
  });

  test("has nothing to do for a tenant without jobs", async () => {
    expect(await rows(db, "select * from queue.tick('nobody')")).toEqual([
      { promoted: 0, fired: 0, reclaimed: 0, admitted: 0, next_due_at: null },
    ]);
  });

  test("covers all tenants when none is named", async () => {
    for (const tenant of ["t", "u"]) await db.query("select queue.push($1, 'q', '1', '1 minute')", [tenant]);
    await db.travel("2 minutes");
    expect(await value(db, "select promoted from queue.tick()")).toBe(2);
    await db.realTime();
  });
});
