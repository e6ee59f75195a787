import { race, type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { queueModule } from "../src/module.ts";
import { expire, pull, push, refuses, row, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

describe("cancel", () => {
  const cancel = (id: string | null): Promise<boolean> => value(db, "select queue.cancel('t', $1)", [id]);

  test("deletes a job that waits, ready or delayed", async () => {
    expect(await cancel(await push(db))).toBe(true);
    expect(await cancel(await push(db, 1, "p_delay => '1 hour'"))).toBe(true);
    expect(await value(db, "select count(*)::int from queue.jobs")).toBe(0);
  });

  test("leaves alone what runs, has ended or does not exist", async () => {
    const id = await push(db);
    const job = await pull(db);
    expect(await cancel(id)).toBe(false);
    await db.query("select queue.fail('t', $1, $2)", [id, job.fence_token]);
    expect(await cancel(id)).toBe(false);
    expect(await cancel("0")).toBe(false);
    await refuses(cancel(null), "job_id_null 22004");
  });

  test("and pull at once: one of them gets the job", async () => {
    for (let i = 0; i < 10; i++) {
      const id = await push(db);
      const [cancelled, pulled] = await race(db, 2, async (client, index) =>
        index === 0
          ? (await client.query("select queue.cancel('t', $1) as won", [id])).rows[0].won
          : (await client.query("select id from queue.pull('t', 'q')")).rows.length === 1,
      );
      expect([cancelled, pulled].map((result) => result?.status === "fulfilled" && result.value).sort()).toEqual([
        false,
        true,
      ]);
      await db.query("delete from queue.jobs");
    }
  });
});

describe("request_cancel", () => {
  const request = (id: string): Promise<string> => value(db, "select queue.request_cancel('t', $1, 'why')", [id]);

  test("cancels what waits, asks what runs, and does not know the rest", async () => {
    expect(await request(await push(db))).toBe("cancelled");
    const id = await push(db);
    const job = await pull(db);
    expect(await request(id)).toBe("requested");
    expect(await row(db, id)).toMatchObject({
      status: "running",
      cancel_reason: "why",
      cancel_requested_at: expect.any(Date),
    });
    expect(await value(db, "select queue.cancelled('t', $1, $2)", [id, job.fence_token])).toBe(true);
    expect(await row(db, id)).toMatchObject({ status: "cancelled", phase: 9, completed_at: expect.any(Date) });
    expect(await request(id)).toBe("not_found");
  });

  test("tells the workers on the control channel", async () => {
    const client = await db.client();
    const channel = await value<string>(db, "select queue.control_channel('t')");
    await client.query(`listen ${channel}`);
    const id = await push(db);
    await pull(db);
    const told = new Promise<string | undefined>((done) => client.once("notification", ({ payload }) => done(payload)));
    await request(id);
    expect(JSON.parse((await told) ?? "")).toEqual({ cancel: Number(id) });
  });
});

test("request_cancel cancels a job that comes back to the queue meanwhile", async () => {
  const id = await push(db);
  const job = await pull(db);
  const [settling, cancelling] = await db.clients(2);
  if (!settling || !cancelling) throw new Error("no clients");
  await settling.query("begin");
  await settling.query("select queue.nack('t', $1, $2)", [job.id, job.fence_token]);
  const cancelled = cancelling.query("select queue.request_cancel('t', $1)", [id]);
  const { processID } = cancelling as unknown as { processID: number };
  while (!(await value<boolean>(db, "select cardinality(pg_blocking_pids($1)) > 0", [processID])));
  await settling.query("commit");
  expect((await cancelled).rows).toEqual([{ request_cancel: "cancelled" }]);
});

describe("purge_queue", () => {
  test("deletes what waits in the queue and nothing else", async () => {
    await push(db, 1);
    await pull(db);
    await push(db, 2);
    await push(db, 3, "p_delay => '1 hour'");
    await db.query("select queue.push('t', 'other', '4')");
    expect(await value(db, "select queue.purge_queue('t', 'q')")).toBe(2);
    expect(await rows(db, "select payload from queue.jobs order by id")).toEqual([{ payload: 1 }, { payload: 4 }]);
    expect(await value(db, "select new_values from queue.audit_events where event_type = 'queue.purged'")).toEqual({
      deleted: 2,
    });
  });
});

/** One job in each state, and what get_stats must say. */
async function variety(): Promise<Record<string, string>> {
  const dead = await push(db, "dead");
  const failed = await pull(db);
  await db.query("select queue.fail('t', $1, $2, 'broken')", [dead, failed.fence_token]);
  await db.query("insert into queue.config (namespace, archive_completed) values ('t', true)");
  const completed = await push(db, "completed");
  await db.query("select queue.ack('t', $1, $2)", [completed, (await pull(db)).fence_token]);
  const cancelled = await push(db, "cancelled");
  await db.query("select queue.cancelled('t', $1, $2)", [cancelled, (await pull(db)).fence_token]);
  const running = await push(db, "running");
  await pull(db);
  const ready = await push(db, "ready", "p_tags => array['a', 'b'], p_unique_key => 'key'");
  const delayed = await push(db, "delayed", "p_delay => '1 hour'");
  await db.query("select queue.push('t', 'other', '1')");
  return { dead, completed, cancelled, running, ready, delayed };
}

describe("statistics", () => {
  test("count the jobs of a tenant in each state", async () => {
    await variety();
    await db.query("select queue.push('t2', 'q', '1')");
    expect(await rows(db, "select * from queue.get_stats('t')")).toEqual([
      {
        total_jobs: "7",
        pending: "3",
        running: "1",
        completed: "1",
        dead: "1",
        total_queues: "2",
        delayed: "1",
        ready: "2",
        parked: "0",
        blocked: "0",
        cancelled: "1",
      },
    ]);
    expect(await rows(db, "select total_jobs, total_queues from queue.get_stats('nobody')")).toEqual([
      { total_jobs: "0", total_queues: "0" },
    ]);
  });

  test("count the jobs of each queue", async () => {
    await variety();
    await db.query("select queue.pause_queue('t', 'other')");
    await db.query("update queue.jobs set created_at = now() - interval '90 s' where payload = '\"ready\"'");
    const all = await rows<Record<string, unknown>>(db, "select * from queue.get_queue_stats('t')");
    expect(all).toMatchObject([
      { queue: "other", pending: "1", ready: "1", dead_letters: "0", paused: true },
      {
        queue: "q",
        pending: "2",
        running: "1",
        completed: "1",
        dead: "1",
        dead_letters: "1",
        delayed: "1",
        ready: "1",
        paused: false,
      },
    ]);
    expect(Number(all[1]?.oldest_pending_seconds)).toBeGreaterThanOrEqual(90);
    expect(await rows(db, "select queue from queue.get_queue_stats('t', 'q')")).toEqual([{ queue: "q" }]);
    expect(await rows(db, "select queue from queue.get_queue_stats('t', 'none')")).toEqual([]);
  });
});

describe("looking at jobs", () => {
  interface Listed {
    id: string;
    state: string;
    cursor: string;
    searched: number;
  }
  const list = (args = "", values: unknown[] = []): Promise<Listed[]> =>
    rows(db, `select * from queue.list_jobs('t'${args})`, values);

  test("get_job answers one job or no row", async () => {
    const id = await push(db, { a: 1 });
    expect(await rows(db, "select id, payload from queue.get_job('t', $1)", [id])).toEqual([{ id, payload: { a: 1 } }]);
    expect(await rows(db, "select id from queue.get_job('t2', $1)", [id])).toEqual([]);
  });

  test("list_jobs finds each job by its state", async () => {
    const ids = await variety();
    for (const [state, id] of Object.entries(ids)) {
      expect((await list(`, 'q', '${state}'`)).map((job) => [job.id, job.state])).toEqual([[id, state]]);
    }
    expect(await list(", null, 'ready'")).toHaveLength(2);
    expect(await list(", null, 'parked'")).toEqual([]);
    expect(await list(", null, 'blocked'")).toEqual([]);
    expect((await list(", 'q'")).map((job) => job.id)).toEqual(
      Object.values(ids).sort((a, b) => Number(b) - Number(a)),
    );
    await refuses(list(", null, 'odd'"), "state_invalid 22023");
  });

  test.each(["ready", "delayed", "running", "completed", "dead", "cancelled", null])(
    "pages of %s jobs together are the whole list",
    async (state) => {
      await db.query("insert into queue.config (namespace, archive_completed) values ('t', true)");
      const ended = ["completed", "dead", "cancelled"].includes(state ?? "");
      for (let i = 0; i < 7; i++) {
        const delay = state === "delayed" ? "1 hour" : null;
        await db.query("select queue.push('t', $1, $2, $3, $4)", [`q${i % 2}`, i, delay, i % 3]);
        if (ended || state === "running") {
          const [job] = await rows<{ id: string; fence_token: string }>(db, "select * from queue.pull('t', $1)", [
            `q${i % 2}`,
          ]);
          const how = { completed: "ack", dead: "fail", cancelled: "cancelled" }[state ?? ""];
          if (how) await db.query(`select queue.${how}('t', $1, $2)`, [job?.id, job?.fence_token]);
        }
      }
      const whole = await list(", null, $1", [state]);
      expect(whole).toHaveLength(7);
      const paged: Listed[] = [];
      for (let page = await list(", null, $1, null, 3", [state]); page.length > 0; ) {
        paged.push(...page);
        page = await list(", null, $1, null, 3, $2", [state, page.at(-1)?.cursor]);
      }
      expect(paged.map((job) => job.id)).toEqual(whole.map((job) => job.id));
    },
  );

  test("list_jobs filters by tags and searches ids, keys, payloads and errors", async () => {
    const ids = await variety();
    expect((await list(", p_tags => array['b']")).map((job) => job.id)).toEqual([ids.ready]);
    expect((await list(", p_search => 'key'")).map((job) => job.id)).toEqual([ids.ready]);
    expect((await list(", p_search => 'broken'")).map((job) => job.id)).toEqual([ids.dead]);
    expect((await list(", p_search => 'delay'")).map((job) => job.id)).toEqual([ids.delayed]);
    expect((await list(", p_search => $1", [ids.running])).map((job) => job.id)).toContain(ids.running);
    expect((await list(", p_search => 'broken'"))[0]?.searched).toBe(7);
  });

  test("list_jobs refuses a cursor of something else", async () => {
    await refuses(list(", p_cursor => 'x'"), "cursor_invalid 22023");
    await refuses(list(", p_cursor => '[]'"), "cursor_invalid 22023");
    await refuses(list(", p_limit => 0"), "not_positive 22023");
    await refuses(list(", p_limit => 1001"), "limit_too_large 22023");
  });
});

describe("settings", () => {
  const configure = (settings: unknown): Promise<unknown> =>
    value(db, "select queue.configure_queue('t', 'q', $1)", [JSON.stringify(settings)]);
  const effective = async (): Promise<unknown> =>
    (await rows(db, "select * from queue.get_queue_settings('t', 'q')"))[0];

  test("are built-in, then global, then the namespace's, then the queue's", async () => {
    expect(await effective()).toMatchObject({
      paused: false,
      max_attempts: 3,
      notify: "always",
      fair: false,
      rate_limit: null,
    });
    await db.query("insert into queue.config (namespace, default_max_attempts, notify_on_push) values ('t', 4, false)");
    expect(await effective()).toMatchObject({ max_attempts: 4, notify: "off" });
    await configure({ max_attempts: 5, notify: "idle", rate_limit: 10, rate_per: "1 s", fair: true });
    expect(await effective()).toMatchObject({ max_attempts: 5, notify: "idle", rate_limit: 10, fair: true });
    await configure({ max_attempts: null });
    expect(await effective()).toMatchObject({ max_attempts: 4, notify: "idle" });
  });

  test("that are unknown or impossible are refused and change nothing", async () => {
    await configure({ max_attempts: 5 });
    await refuses(configure({ max_attempts: 6, speed: 1 }), "field_unknown 22023");
    await refuses(configure({ max_attempts: 31 }), "settings_invalid 22023");
    await refuses(configure({ max_attempts: 6, backoff_type: "odd" }), "settings_invalid 22023");
    await refuses(configure({ visibility_timeout: "soon" }), "settings_invalid 22023");
    await refuses(configure([]), "settings_invalid 22023");
    await refuses(value(db, "select queue.configure_queue('t', 'q', null)"), "settings_invalid 22023");
    expect(await effective()).toMatchObject({ max_attempts: 5 });
  });

  test("keep who changed them and what they were", async () => {
    await configure({ max_attempts: 5 });
    await configure({ max_attempts: 6 });
    expect(
      await rows(db, "select event_type, old_values, new_values from queue.audit_events order by id offset 1"),
    ).toEqual([{ event_type: "queue.configured", old_values: { max_attempts: 5 }, new_values: { max_attempts: 6 } }]);
  });

  test("pause and resume say whether they changed anything", async () => {
    const call = (name: string): Promise<boolean> => value(db, `select queue.${name}('t', 'q')`);
    expect(await call("resume_queue")).toBe(false);
    expect(await call("pause_queue")).toBe(true);
    expect(await call("pause_queue")).toBe(false);
    expect(await call("resume_queue")).toBe(true);
    expect(await effective()).toMatchObject({ paused: false });
  });
});

describe("maintenance", () => {
  test("prune deletes ended jobs after the retention of their queue, and nothing else", async () => {
    const { running, ready, delayed } = await variety();
    await db.query(`select queue.configure_queue('t', 'q', '{"retention": "1 day"}')`);
    expect(await value(db, "select queue.prune('t')")).toBe("0");
    await db.travel("25 hours");
    expect(await value(db, "select queue.prune('t', 1)")).toBe("1");
    expect(await value(db, "select queue.prune()")).toBe("2");
    expect(
      (await rows<{ id: string }>(db, "select id from queue.jobs where queue = 'q' order by id")).map(({ id }) => id),
    ).toEqual([running, ready, delayed]);
    await db.realTime();
  });

  test("maintain does every task, makes partitions once, and moves nothing that is current", async () => {
    await variety();
    await push(db, 1, "p_unique_key => 'thr', p_throttle => '1 s'");
    await db.query("select queue.register_worker('t', 'old', null)");
    await db.query("update queue.workers set seen_at = seen_at - interval '2 days'");
    await db.travel("8 days");
    const tasks = await rows<{ task: string; affected: string; more: boolean }>(db, "select * from queue.maintain()");
    const affected = Object.fromEntries(tasks.map((task) => [task.task, Number(task.affected)]));
    expect(affected).toMatchObject({ tick: 1, prune: 3, "prune keys": 1, "forget workers": 1 });
    expect(affected["make partitions"]).toBeGreaterThan(0);
    expect(tasks.every((task) => !task.more)).toBe(true);
    const again = await rows<{ task: string; affected: string }>(db, "select * from queue.maintain()");
    expect(again.every((task) => task.affected === "0")).toBe(true);
    await db.realTime();
  });

  test("maintain is left to one caller at a time, and howdah.maintain calls it", async () => {
    const client = await db.client();
    await client.query("begin; select queue.maintain()");
    expect(await rows(db, "select * from queue.maintain()")).toEqual([]);
    await client.query("rollback");
    expect(
      (await rows<{ module: string }>(db, "select * from howdah.maintain()")).some((task) => task.module === "queue"),
    ).toBe(true);
  });

  test("prune of all tenants goes on, whatever one of them has set", async () => {
    await refuses(
      value(db, `select queue.configure_queue('u', 'q', '{"retention": "9000 years"}')`),
      "settings_invalid 22023",
    );
    await expect(
      db.query("insert into queue.config (namespace, retention) values ('u', '9000 years')"),
    ).rejects.toMatchObject({ code: "23514" });
    expect(await value(db, "select queue.prune()")).toBe("0");
  });

  test("maintain takes overdue jobs back", async () => {
    const id = await push(db);
    await pull(db);
    await expire(db, id);
    await db.query("select queue.maintain()");
    expect((await row(db, id))?.status).toBe("pending");
  });
});
