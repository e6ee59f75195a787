import { HowdahError, toHowdahError } from "@howdah/core";
import { crash, race, type TestDatabase, testDatabase } from "@howdah/testing";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { queueModule } from "../src/module.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
beforeEach(async () => {
  await db.query("truncate queue.schedules, queue.jobs, queue.audit_events");
  await db.freeze(new Date("2026-03-10T12:00:00Z"));
});
afterAll(() => db.close());

interface Schedule {
  name: string;
  is_active: boolean;
  next_run_at: Date | null;
  last_run_at: Date | null;
  last_job_id: string | null;
  run_count: string;
  last_error: string | null;
  consecutive_failures: number;
  created_at: Date;
  updated_at: Date;
}
interface Job {
  id: string;
  queue: string;
  payload: unknown;
  priority: number;
  max_attempts: number;
  tags: string[];
  metadata: Record<string, unknown>;
  scheduled_at: Date;
  schedule_name: string;
  actor_id: string | null;
}
interface Tick {
  schedule_name: string;
  job_id: string | null;
  next_run_at: Date | null;
}

const utc = (text: string): Date => new Date(`2026-03-${text}Z`);

const rows = async <R>(text: string, values: unknown[] = []): Promise<R[]> => (await db.query<R>(text, values)).rows;

/** Calls create_schedule with named arguments: `create({ every_interval: "5 minutes" })`. */
const create = async (options: Record<string, unknown> = {}): Promise<string> => {
  const given = { namespace: "acme", name: "s", queue: "q", payload: '{"n": 1}', ...options };
  const names = Object.keys(given).map((name, i) => `p_${name} => $${i + 1}`);
  const [made] = await rows<{ id: string }>(
    `select queue.create_schedule(${names.join(", ")}) as id`,
    Object.values(given),
  );
  return String(made?.id);
};

const schedule = async (name = "s", namespace = "acme"): Promise<Schedule> => {
  const [found] = await rows<Schedule>("select * from queue.schedules where namespace = $1 and name = $2", [
    namespace,
    name,
  ]);
  if (!found) throw new Error(`no schedule ${name}`);
  return found;
};

const tick = (namespace: string | null = "acme"): Promise<Tick[]> =>
  rows<Tick>("select * from queue.tick_schedules($1)", [namespace]);

const jobs = (): Promise<Job[]> => rows<Job>("select * from queue.jobs order by id");

const runs = async (): Promise<unknown[]> => (await jobs()).map((job) => job.metadata.scheduled_for);

const errorOf = async (promise: Promise<unknown>): Promise<HowdahError> => {
  const error = await promise.then(
    () => new Error("no error"),
    (thrown) => toHowdahError(thrown),
  );
  if (error instanceof HowdahError) return error;
  throw error;
};

/** Makes a schedule fail at its next run, in a way that only a plain update can. */
const breakIt = (name: string) => rows("update queue.schedules set queue = '' where name = $1", [name]);
const mendIt = (name: string) => rows("update queue.schedules set queue = 'q' where name = $1", [name]);

describe("create_schedule", () => {
  test("by cron counts its first run from now, in the zone's clocks", async () => {
    const id = await create({ cron_expression: "0 9 * * 1-5", cron_timezone: "Europe/Berlin" });
    const [made] = await rows("select * from queue.get_schedule('acme', 's')");
    expect(made).toEqual({
      id,
      name: "s",
      queue: "q",
      payload: { n: 1 },
      priority: 0,
      max_attempts: 3,
      tags: [],
      cron_expression: "0 9 * * 1-5",
      cron_timezone: "Europe/Berlin",
      every_interval: null,
      is_active: true,
      last_run_at: null,
      last_job_id: null,
      next_run_at: utc("11T08:00:00"),
      run_count: "0",
      created_at: utc("10T12:00:00"),
      updated_at: utc("10T12:00:00"),
    });
  });

  test("by interval runs first one interval from now", async () => {
    await create({ every_interval: "90 minutes" });
    expect((await schedule()).next_run_at).toEqual(utc("10T13:30:00"));
  });

  test.each([
    ["in the future is itself the first run of an interval", "11T07:00:00", "11T07:00:00"],
    ["in the past sets the rhythm of an interval", "10T09:10:00", "10T12:10:00"],
  ])("a start %s", async (_what, startsAt, first) => {
    await create({ every_interval: "1 hour", starts_at: utc(startsAt) });
    expect((await schedule()).next_run_at).toEqual(utc(first));
  });

  test("a cron expression may run at the very time it starts, and not before", async () => {
    await create({ cron_expression: "0 9 * * *", starts_at: utc("20T09:00:00") });
    expect((await schedule()).next_run_at).toEqual(utc("20T09:00:00"));
  });

  test("months and days are counted by the calendar of UTC, whatever the session's zone", async () => {
    const client = await db.client();
    await client.query("set timezone = 'America/New_York'");
    await client.query(
      "select queue.create_schedule('acme', 's', 'q', '{}', p_every_interval => '1 month', p_starts_at => $1)",
      ["2025-10-31T00:30:00Z"],
    );
    expect((await schedule()).next_run_at).toEqual(utc("31T00:30:00"));
  });

  test("makes it paused if asked to, but refuses even then what would never run", async () => {
    await create({ every_interval: "1 hour", is_active: false });
    expect(await schedule()).toMatchObject({ is_active: false, next_run_at: null });
    expect(await errorOf(create({ name: "t", cron_expression: "0 0 30 2 *", is_active: false }))).toMatchObject({
      code: "cron_never",
    });
  });

  test("refuses a name that is taken, and leaves that schedule as it is", async () => {
    await create({ every_interval: "1 hour" });
    const before = await schedule();
    const error = await errorOf(create({ every_interval: "1 day" }));
    expect(error).toMatchObject({ module: "queue", code: "schedule_duplicate", sqlstate: "23505" });
    expect(await schedule()).toEqual(before);
    await create({ every_interval: "1 day", namespace: "other" });
  });

  test.each<[string, string, string, Record<string, unknown>]>([
    ["namespace_null", "22004", "", { namespace: null }],
    ["schedule_name_null", "22004", "", { name: null }],
    ["schedule_name_empty", "22026", "", { name: "" }],
    ["schedule_name_too_long", "22001", "257", { name: "x".repeat(257) }],
    ["schedule_name_too_long", "22001", "2400", { name: "x".repeat(256), namespace: "\u{1d11e}".repeat(600) }],
    ["schedule_name_invalid_chars", "22023", "control", { name: "a\nb" }],
    ["schedule_name_whitespace", "22023", "' a'", { name: " a" }],
    ["schedule_name_whitespace", "22023", "white space", { name: "a\u3000" }],
    ["queue_null", "22004", "", { queue: null }],
    ["queue_empty", "22026", "", { queue: "" }],
    ["queue_too_long", "22001", "257", { queue: "x".repeat(257) }],
    ["queue_invalid_chars", "22023", "control", { queue: "a\u0085b" }],
    ["queue_whitespace", "22023", "white space", { queue: "a " }],
    ["payload_null", "22004", "payload is null", { payload: null }],
    ["payload_too_large", "22023", "1048576", { payload: JSON.stringify("x".repeat(1_048_576)) }],
    ["schedule_cron_and_interval", "22023", "both", { cron_expression: "@daily" }],
    ["schedule_requires_schedule", "22023", "none", { every_interval: null }],
    ["cron_empty", "22026", "", { every_interval: null, cron_expression: "" }],
    ["cron_too_long", "22001", "257", { every_interval: null, cron_expression: "*".repeat(257) }],
    ["cron_fields", "22023", "3 fields", { every_interval: null, cron_expression: "* * *" }],
    ["cron_invalid", "22023", "hour '25'", { every_interval: null, cron_expression: "* 25 * * *" }],
    ["cron_step_zero", "22023", "'*/0'", { every_interval: null, cron_expression: "*/0 * * * *" }],
    ["cron_never", "22023", "0 0 31 6 *", { every_interval: null, cron_expression: "0 0 31 6 *" }],
    ["cron_never", "22023", "2026", { ends_at: "2026-03-10T12:30Z" }],
    ["cron_never", "22023", "2020", { ends_at: "2020-01-01T00:00Z" }],
    ["cron_never", "22023", "never starts", { starts_at: "infinity" }],
    ["timezone_unknown", "22023", "Mars/Olympus", { cron_timezone: "Mars/Olympus" }],
    ["interval_not_positive", "22023", "00:00:00", { every_interval: "0" }],
    ["interval_not_positive", "22023", "-01:00:00", { every_interval: "-1 hour" }],
    ["interval_not_positive", "22023", "1 mon -29 days", { every_interval: "1 month -29 days" }],
    ["range_too_large", "22023", "101 years", { every_interval: "101 years" }],
    ["priority_range", "22023", "1001", { priority: 1001 }],
    ["priority_range", "22023", "-1001", { priority: -1001 }],
    ["max_attempts_range", "22023", "0", { max_attempts: 0 }],
    ["max_attempts_range", "22023", "31", { max_attempts: 31 }],
    ["tags_limit", "22023", "50", { tags: Array.from({ length: 51 }, String) }],
    ["tags_limit", "22023", "256", { tags: ["x".repeat(257)] }],
    ["misfire_invalid", "22023", "twice", { misfire: "twice" }],
    ["misfire_invalid", "22023", "NULL", { misfire: null }],
    ["overlap_invalid", "22023", "never", { overlap: "never" }],
    ["overlap_invalid", "22023", "NULL", { overlap: null }],
    ["not_positive", "22023", "jitter", { jitter: "0" }],
    ["not_positive", "22023", "jitter", { jitter: "-1 second" }],
  ])("refuses with %s (%s) and says %j", async (code, sqlstate, message, options) => {
    const error = await errorOf(create({ every_interval: "1 hour", ...options }));
    expect(error).toMatchObject({ module: "queue", code, sqlstate });
    expect(error.message).toContain(message);
    expect(await rows("select from queue.schedules")).toEqual([]);
    expect(await rows("select from queue.audit_events")).toEqual([]);
  });

  test("accepts each argument at its limit", async () => {
    await create({
      name: "ä".repeat(256),
      queue: "ö".repeat(256),
      every_interval: "100 years",
      priority: -1000,
      max_attempts: 30,
      tags: Array.from({ length: 50 }, (_, i) => String(i).padEnd(256, "x")),
      ends_at: "infinity",
    });
    await create({ cron_expression: `${"0,".repeat(123)}0 * * * *`, payload: "null", cron_timezone: null });
    expect((await schedule()).next_run_at).toEqual(utc("10T13:00:00"));
  });
});

describe("create_schedule with p_upsert", () => {
  test("makes a schedule that does not exist", async () => {
    await create({ every_interval: "1 hour", upsert: true });
    expect((await schedule()).next_run_at).toEqual(utc("10T13:00:00"));
  });

  test("keeps the next run while the timing stays, so that deploys do not postpone it", async () => {
    const id = await create({ every_interval: "1 hour" });
    await db.travel("40 minutes");
    expect(await create({ every_interval: "1 hour", payload: '{"n": 2}', priority: 5, upsert: true })).toBe(id);
    expect(await schedule()).toMatchObject({ next_run_at: utc("10T13:00:00"), payload: { n: 2 }, priority: 5 });
  });

  test("counts from now when the timing changes", async () => {
    await create({ every_interval: "1 hour" });
    await db.travel("40 minutes");
    await create({ every_interval: "2 hours", upsert: true });
    expect((await schedule()).next_run_at).toEqual(utc("10T14:40:00"));
    await create({ cron_expression: "0 0 * * *", upsert: true });
    expect(await schedule()).toMatchObject({ next_run_at: utc("11T00:00:00"), every_interval: null });
  });

  test("pauses and resumes as it says", async () => {
    await create({ every_interval: "1 hour" });
    await create({ every_interval: "1 hour", is_active: false, upsert: true });
    expect(await schedule()).toMatchObject({ is_active: false, next_run_at: null });
    await db.travel("40 minutes");
    await create({ every_interval: "1 hour", upsert: true });
    expect(await schedule()).toMatchObject({ is_active: true, next_run_at: utc("10T13:40:00") });
  });

  test("of one name from many connections at once makes one schedule", async () => {
    const results = await race(db, 8, (client) =>
      client.query("select queue.create_schedule('acme', 's', 'q', '{}', '@daily', p_upsert => true)"),
    );
    expect(results.map((result) => result.status)).toEqual(Array(8).fill("fulfilled"));
    expect(await rows("select from queue.schedules")).toHaveLength(1);
  });
});

describe("get_schedule and list_schedules", () => {
  test("get_schedule of a name that does not exist is no row", async () => {
    await create({ every_interval: "1 hour", namespace: "other" });
    expect(await rows("select * from queue.get_schedule('acme', 's')")).toEqual([]);
  });

  test("pages go by name, each after the last of the one before", async () => {
    for (const name of ["b", "a", "Z", "ä", "c"]) await create({ name, every_interval: "1 hour" });
    await create({ name: "aa", every_interval: "1 hour", namespace: "other" });
    const names: string[] = [];
    for (let cursor: string | null = null; ; ) {
      const page: { name: string }[] = await rows(
        "select name from queue.list_schedules('acme', p_limit => 2, p_cursor => $1)",
        [cursor],
      );
      names.push(...page.map((row) => row.name));
      cursor = page[1]?.name ?? null;
      if (!cursor) break;
    }
    expect(names).toEqual(["Z", "a", "b", "c", "ä"]);
  });

  test("a list shows one queue's, or only active or inactive ones", async () => {
    await create({ name: "a", every_interval: "1 hour" });
    await create({ name: "b", queue: "r", every_interval: "1 hour" });
    await create({ name: "c", queue: "r", cron_expression: "@daily", is_active: false });
    const names = async (filter: string) =>
      (await rows<{ name: string }>(`select * from queue.list_schedules('acme', ${filter})`)).map((row) => row.name);
    expect(await names("'r'")).toEqual(["b", "c"]);
    expect(await names("'r', true")).toEqual(["b"]);
    expect(await names("null, false")).toEqual(["c"]);
    const [first] = await rows("select * from queue.list_schedules('acme')");
    expect(Object.keys(first as object)).toEqual([
      "name",
      "queue",
      "cron_expression",
      "every_interval",
      "is_active",
      "next_run_at",
      "last_run_at",
      "run_count",
      "created_at",
    ]);
  });

  test.each([
    ["not_positive", "22023", 0],
    ["limit_too_large", "22023", 1001],
    ["limit_null", "22004", null],
  ])("refuse with %s (%s) a limit of %s", async (code, sqlstate, limit) => {
    const list = rows("select * from queue.list_schedules('acme', p_limit => $1)", [limit]);
    expect(await errorOf(list)).toMatchObject({ code, sqlstate });
    expect(await errorOf(rows("select queue.tick_schedules('acme', $1)", [limit]))).toMatchObject({ code, sqlstate });
  });
});

describe("pause, resume, delete", () => {
  const change = async (what: string, name = "s"): Promise<boolean | undefined> =>
    (await rows<{ done: boolean }>(`select queue.${what}_schedule('acme', $1) as done`, [name]))[0]?.done;

  test("a paused schedule does not run, and resumes from now without what it missed", async () => {
    await create({ cron_expression: "0 * * * *", misfire: "all" });
    expect(await change("pause")).toBe(true);
    expect(await schedule()).toMatchObject({ is_active: false, next_run_at: null });
    await db.travel("5 hours");
    expect(await tick()).toEqual([]);
    expect(await change("resume")).toBe(true);
    expect(await schedule()).toMatchObject({ is_active: true, next_run_at: utc("10T18:00:00") });
  });

  test("an interval resumes one interval from now, or in the rhythm of its start", async () => {
    await create({ name: "a", every_interval: "1 hour" });
    await create({ name: "b", every_interval: "1 hour", starts_at: utc("10T12:30:00") });
    for (const name of ["a", "b"]) await change("pause", name);
    await db.travel("100 minutes");
    for (const name of ["a", "b"]) await change("resume", name);
    expect((await schedule("a")).next_run_at).toEqual(utc("10T14:40:00"));
    expect((await schedule("b")).next_run_at).toEqual(utc("10T14:30:00"));
  });

  test("resuming an active schedule leaves it as it is", async () => {
    await create({ every_interval: "1 hour" });
    await db.travel("30 minutes");
    expect(await change("resume")).toBe(true);
    expect((await schedule()).next_run_at).toEqual(utc("10T13:00:00"));
  });

  test("a schedule that has ended cannot be resumed", async () => {
    await create({ every_interval: "1 hour", ends_at: utc("10T13:00:00") });
    await change("pause");
    await db.travel("2 hours");
    expect(await errorOf(change("resume"))).toMatchObject({ code: "cron_never", sqlstate: "22023" });
  });

  test("a deleted schedule is gone, its jobs stay", async () => {
    await create({ every_interval: "1 hour" });
    await db.travel("1 hour");
    await tick();
    expect(await change("delete")).toBe(true);
    expect(await rows("select * from queue.get_schedule('acme', 's')")).toEqual([]);
    expect(await jobs()).toHaveLength(1);
  });

  test("a name that does not exist is false", async () => {
    await create({ every_interval: "1 hour", namespace: "other" });
    expect([await change("pause"), await change("resume"), await change("delete")]).toEqual([false, false, false]);
    expect(await rows("select from queue.audit_events where namespace = 'acme'")).toEqual([]);
  });

  test.each(["get", "pause", "resume", "delete"])("%s_schedule refuses a name that is none", async (what) => {
    const of = (name: string | null) => errorOf(rows(`select queue.${what}_schedule('acme', $1)`, [name]));
    expect(await of(null)).toMatchObject({ code: "schedule_name_null", sqlstate: "22004" });
    expect(await of("")).toMatchObject({ code: "schedule_name_empty", sqlstate: "22026" });
    expect(await of("x".repeat(257))).toMatchObject({ code: "schedule_name_too_long", sqlstate: "22001" });
  });

  test("what people do is audited, with the actor and without the payload", async () => {
    await db.transaction(async (tx) => {
      await tx.query("select queue.set_actor('user:ann', 'req-7')");
      await tx.query("select queue.create_schedule('acme', 's', 'q', '\"secret\"', '@daily')");
      await tx.query("select queue.create_schedule('acme', 's', 'r', '\"secret\"', '@daily', p_upsert => true)");
      for (const what of ["pause", "resume", "delete"]) await tx.query(`select queue.${what}_schedule('acme', 's')`);
    });
    const events = await rows<{ event_type: string }>(
      `select event_type, actor_id, request_id, resource_type, resource_id, old_values ->> 'queue' as old_queue,
         new_values ->> 'queue' as new_queue
       from queue.audit_events where namespace = 'acme' order by id`,
    );
    const common = { actor_id: "user:ann", request_id: "req-7", resource_type: "schedule", resource_id: "s" };
    expect(events).toEqual([
      { ...common, event_type: "schedule.created", old_queue: null, new_queue: "q" },
      { ...common, event_type: "schedule.updated", old_queue: "q", new_queue: "r" },
      { ...common, event_type: "schedule.paused", old_queue: null, new_queue: null },
      { ...common, event_type: "schedule.resumed", old_queue: null, new_queue: null },
      { ...common, event_type: "schedule.deleted", old_queue: "r", new_queue: null },
    ]);
    expect(JSON.stringify(await rows("select * from queue.audit_events"))).not.toContain("secret");
  });
});

describe("a run", () => {
  test("makes a job of the schedule's kind, which says when it was due", async () => {
    await create({ cron_expression: "0 13 * * *", priority: 7, max_attempts: 9, tags: ["x"], payload: '{"n": 3}' });
    await db.travel("3620 seconds");
    const [made] = await tick();
    const [job] = await jobs();
    expect(made).toEqual({ schedule_name: "s", job_id: job?.id, next_run_at: utc("11T13:00:00") });
    expect(job).toMatchObject({
      queue: "q",
      payload: { n: 3 },
      priority: 7,
      max_attempts: 9,
      tags: ["x"],
      schedule_name: "s",
      metadata: { scheduled_for: "2026-03-10T13:00:00.000Z" },
      scheduled_at: utc("10T13:00:20"),
      phase: 1,
    });
    expect(await schedule()).toMatchObject({
      next_run_at: utc("11T13:00:00"),
      last_run_at: utc("10T13:00:20"),
      last_job_id: job?.id,
      run_count: "1",
    });
  });

  test("is due at its time, not before, and is made once", async () => {
    await create({ every_interval: "1 hour" });
    await db.travel("59 minutes");
    expect(await tick()).toEqual([]);
    await db.travel("1 minute");
    expect(await tick()).toHaveLength(1);
    expect(await tick()).toEqual([]);
  });

  test("keeps the schedule's metadata beside its own", async () => {
    await create({ every_interval: "1 hour" });
    await rows(`update queue.schedules set metadata = '{"team": "blue"}'`);
    await db.travel("1 hour");
    await tick();
    expect((await jobs())[0]?.metadata).toEqual({ team: "blue", scheduled_for: "2026-03-10T13:00:00.000Z" });
  });

  test("can be pulled like any job, and its listeners learn which schedule it is from", async () => {
    const client = await db.client();
    const messages: string[] = [];
    client.on("notification", (message) => messages.push(message.payload ?? ""));
    await client
      .query(`select queue.channel_name('acme', 'q') as name`)
      .then(({ rows: [channel] }) => client.query(`listen "${channel.name}"`));
    await create({ every_interval: "1 hour" });
    await db.travel("1 hour");
    const [made] = await tick();
    await client.query("select 1");
    expect(messages.map((message) => JSON.parse(message))).toEqual([
      { id: Number(made?.job_id), queue: "q", schedule: "s" },
    ]);
    expect(await rows("select id from queue.pull('acme', 'q')")).toEqual([{ id: made?.job_id }]);
  });

  test("rolled back leaves no trace, and is made by the next tick", async () => {
    await create({ every_interval: "1 hour" });
    await db.travel("1 hour");
    const client = await db.client();
    await client.query("begin");
    await client.query("select queue.tick_schedules('acme')");
    await crash(client);
    expect(await jobs()).toEqual([]);
    expect(await tick()).toHaveLength(1);
  });

  test("an interval keeps its rhythm however late the ticks come", async () => {
    await create({ every_interval: "1 hour" });
    for (const late of ["61 minutes", "70 minutes", "1 hour", "200 minutes"]) {
      await db.travel(late);
      await tick();
      expect((await schedule()).next_run_at?.getUTCMinutes()).toBe(0);
    }
  });

  test("after the last one before its end the schedule is inactive", async () => {
    await create({ every_interval: "1 hour", ends_at: utc("10T14:00:00") });
    await db.travel("1 hour");
    expect((await tick())[0]?.next_run_at).toEqual(utc("10T14:00:00"));
    await db.travel("1 hour");
    expect((await tick())[0]?.next_run_at).toBeNull();
    expect(await schedule()).toMatchObject({ is_active: false, next_run_at: null, run_count: "2" });
  });

  test("whose unique key is taken makes no job and moves on", async () => {
    await create({ every_interval: "1 hour" });
    await rows("update queue.schedules set unique_key = 'one'");
    await db.travel("1 hour");
    const [first] = await tick();
    await db.travel("1 hour");
    expect(await tick()).toEqual([{ schedule_name: "s", job_id: null, next_run_at: utc("10T15:00:00") }]);
    expect(await schedule()).toMatchObject({ last_job_id: first?.job_id, run_count: "1" });
  });

  test("at most p_limit schedules run in a tick, those due longest first", async () => {
    for (const [name, hours] of [
      ["a", 3],
      ["b", 1],
      ["c", 2],
    ]) {
      await create({ name, every_interval: `${hours} hours` });
    }
    await db.travel("3 hours");
    const made = await rows<Tick>("select * from queue.tick_schedules('acme', 2)");
    expect(made.map((row) => row.schedule_name)).toEqual(["b", "c"]);
  });
});

describe("misfire", () => {
  // Hourly from 13:00; the tick comes at 15:30, when three runs are due.
  test.each<[string, string[]]>([
    ["once", ["13:00"]],
    ["all", ["13:00", "14:00", "15:00"]],
    ["skip", []],
  ])("%s, with three runs due, makes %j", async (misfire, expected) => {
    await create({ name: "cron", cron_expression: "0 * * * *", misfire });
    await create({ name: "every", every_interval: "1 hour", misfire });
    await db.travel("3.5 hours");
    const made = await tick();
    for (const name of ["cron", "every"]) {
      const times = (await jobs()).filter((job) => job.schedule_name === name).map((job) => job.metadata.scheduled_for);
      expect(times).toEqual(expected.map((time) => `2026-03-10T${time}:00.000Z`));
      expect(await schedule(name)).toMatchObject({
        next_run_at: utc("10T16:00:00"),
        run_count: String(expected.length),
        is_active: true,
      });
    }
    expect(made).toHaveLength(2 * expected.length);
  });

  test.each(["once", "all", "skip"])("%s makes a run that is a little late", async (misfire) => {
    await create({ every_interval: "1 hour", misfire });
    await db.travel("3719 seconds");
    await tick();
    expect(await runs()).toEqual(["2026-03-10T13:00:00.000Z"]);
  });

  test("skip makes the latest run when only the ones before it were missed", async () => {
    await create({ name: "cron", cron_expression: "0 * * * *", misfire: "skip" });
    await create({ name: "every", every_interval: "1 hour", misfire: "skip" });
    await db.travel("241 minutes");
    await tick();
    expect(await runs()).toEqual(["2026-03-10T16:00:00.000Z", "2026-03-10T16:00:00.000Z"]);
    expect((await schedule("every")).next_run_at).toEqual(utc("10T17:00:00"));
  });

  test("all makes at most the oldest 100 and then goes on from now", async () => {
    await create({ every_interval: "1 minute", misfire: "all" });
    await db.travel("1 day");
    expect(await tick()).toHaveLength(100);
    expect((await runs()).at(-1)).toBe("2026-03-10T13:40:00.000Z");
    expect(await schedule()).toMatchObject({ next_run_at: utc("11T12:01:00"), run_count: "100" });
  });

  test("skip and once cost the same after a long outage as after a short one", async () => {
    await create({ name: "a", every_interval: "1 microsecond", misfire: "skip" });
    await create({ name: "b", every_interval: "1 microsecond", misfire: "once" });
    await create({ name: "c", cron_expression: "* * * * *", misfire: "skip" });
    await db.freeze(new Date("2036-03-10T12:00:00Z"));
    const { length } = await tick();
    expect(length).toBe(3);
  });
});

describe("overlap skip", () => {
  test("makes no job while the last one waits or runs, and one when it has ended", async () => {
    await create({ every_interval: "1 hour", overlap: "skip" });
    await db.travel("1 hour");
    const [first] = await tick();
    await db.travel("1 hour");
    expect(await tick()).toEqual([{ schedule_name: "s", job_id: null, next_run_at: utc("10T15:00:00") }]);
    const [job] = await rows<{ id: string; fence_token: string }>(
      "select * from queue.pull('acme', 'q', 'w', '1 day')",
    );
    expect(job?.id).toBe(first?.job_id);
    await db.travel("1 hour");
    expect((await tick())[0]?.job_id).toBeNull();
    expect(await schedule()).toMatchObject({ run_count: "1", last_job_id: first?.job_id });

    await rows("select queue.ack('acme', $1, $2)", [job?.id, job?.fence_token]);
    await db.travel("1 hour");
    expect((await tick())[0]?.job_id).not.toBeNull();
    expect(await jobs()).toHaveLength(1);
  });

  test("makes one job of all that were missed", async () => {
    await create({ every_interval: "1 hour", overlap: "skip", misfire: "all" });
    await db.travel("3 hours");
    expect((await tick()).map((row) => row.job_id === null)).toEqual([false, true, true]);
  });
});

describe("jitter", () => {
  const delayOf = async (name: string, hours: number): Promise<number> => {
    const [job] = (await jobs()).filter((each) => each.schedule_name === name).slice(-1);
    return (job?.scheduled_at.getTime() ?? Number.NaN) - utc(`10T${12 + hours}:00:00`).getTime();
  };

  test("delays each job by the schedule's own share, and never the next run", async () => {
    const names = Array.from({ length: 40 }, (_, i) => `s${i}`);
    for (const name of names) await create({ name, cron_expression: "0 * * * *", jitter: "10 minutes" });
    await db.travel("1 hour");
    await tick();
    const first = await Promise.all(names.map((name) => delayOf(name, 1)));
    await db.travel("1 hour");
    await tick();
    const second = await Promise.all(names.map((name) => delayOf(name, 2)));
    expect(second).toEqual(first);
    expect(Math.min(...first)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...first)).toBeLessThan(600_000);
    expect(new Set(first.map((delay) => Math.floor(delay / 150_000))).size).toBe(4);
    expect((await schedule("s0")).next_run_at).toEqual(utc("10T15:00:00"));
    expect((await runs())[0]).toBe("2026-03-10T13:00:00.000Z");
  });

  test("keeps the job from being pulled before its time", async () => {
    await create({ every_interval: "1 hour", jitter: "10 minutes" });
    await db.travel("1 hour");
    await tick();
    expect(await delayOf("s", 1)).toBeGreaterThan(0);
    expect(await rows("select from queue.pull('acme', 'q')")).toEqual([]);
    await db.travel("10 minutes");
    expect(await rows("select from queue.pull('acme', 'q')")).toHaveLength(1);
  });
});

describe("a schedule that fails", () => {
  test("does not stop the others, keeps the error, and is tried again in a minute", async () => {
    for (const name of ["a", "bad", "c"]) await create({ name, every_interval: "1 hour" });
    await breakIt("bad");
    await db.travel("1 hour");
    expect((await tick()).map((row) => row.schedule_name)).toEqual(["a", "c"]);
    expect(await schedule("bad")).toMatchObject({
      last_error: "queue is empty",
      consecutive_failures: 1,
      is_active: true,
      next_run_at: utc("10T13:01:00"),
      run_count: "0",
      last_run_at: null,
    });
    expect(await tick()).toEqual([]);
    await db.travel("1 minute");
    await mendIt("bad");
    expect((await tick()).map((row) => row.schedule_name)).toEqual(["bad"]);
    expect(await schedule("bad")).toMatchObject({ last_error: null, consecutive_failures: 0, run_count: "1" });
  });

  test.each([
    ["a payload too large", `update queue.schedules set payload = to_jsonb(repeat('x', 1048576))`, "payload takes"],
    ["a cron expression that is none", `update queue.schedules set cron_expression = 'x'`, "1 fields"],
    ["a time zone that is gone", `update queue.schedules set cron_timezone = 'Mars/Olympus'`, "Mars/Olympus"],
    ["attempts out of range", `update queue.schedules set max_attempts = 99`, "max_attempts is 99"],
  ])("may have %s", async (_what, damage, message) => {
    await create({ cron_expression: "0 * * * *" });
    await rows(damage);
    await db.travel("1 hour");
    expect(await tick()).toEqual([]);
    expect((await schedule()).last_error).toContain(message);
    expect(await jobs()).toEqual([]);
  });

  test.each([
    ["cron_expression", "0 * * * *"],
    ["every_interval", "1 hour"],
  ])("still makes the run it failed, in its rhythm (%s)", async (kind, value) => {
    await create({ [kind]: value });
    await db.travel("3607 seconds");
    await breakIt("s");
    for (let i = 0; i < 3; i += 1) {
      await tick();
      await db.travel("65 seconds");
    }
    await mendIt("s");
    const [made] = await tick();
    expect(await runs()).toEqual(["2026-03-10T13:00:00.000Z"]);
    expect(made?.next_run_at).toEqual(utc("10T14:00:00"));
  });

  test("makes up for all runs since, if it shall", async () => {
    await create({ every_interval: "1 hour", misfire: "all" });
    await db.travel("1 hour");
    await tick();
    await db.travel("2 hours");
    await breakIt("s");
    await tick();
    await db.travel("2 hours");
    await mendIt("s");
    await tick();
    expect(await runs()).toEqual([13, 14, 15, 16, 17].map((hour) => `2026-03-10T${hour}:00:00.000Z`));
  });

  test("does not make up for the time it was paused", async () => {
    await create({ cron_expression: "0 * * * *", misfire: "all" });
    await rows("select queue.pause_schedule('acme', 's')");
    await db.travel("5.5 hours");
    await rows("select queue.resume_schedule('acme', 's')");
    await breakIt("s");
    await db.travel("30 minutes");
    await tick();
    await db.travel("1 minute");
    await mendIt("s");
    await tick();
    expect(await runs()).toEqual(["2026-03-10T18:00:00.000Z"]);
  });

  test("is switched off at the tenth failure in a row, and starts afresh when resumed", async () => {
    await create({ every_interval: "1 hour" });
    await breakIt("s");
    await db.travel("1 hour");
    for (let i = 1; i <= 10; i += 1) {
      expect(await schedule()).toMatchObject({ is_active: true, consecutive_failures: i - 1 });
      await tick();
      await db.travel("1 minute");
    }
    expect(await schedule()).toMatchObject({ is_active: false, next_run_at: null, consecutive_failures: 10 });
    await mendIt("s");
    await rows("select queue.resume_schedule('acme', 's')");
    expect(await schedule()).toMatchObject({ is_active: true, consecutive_failures: 0, last_error: null });
  });

  test("is mended by an upsert, and the retry stays", async () => {
    await create({ every_interval: "1 hour" });
    await breakIt("s");
    await db.travel("1 hour");
    await tick();
    await create({ every_interval: "1 hour", upsert: true });
    await db.travel("1 minute");
    expect(await tick()).toHaveLength(1);
    expect(await schedule()).toMatchObject({ last_error: null, consecutive_failures: 0 });
  });
});

describe("run_schedule_now", () => {
  const runNow = async (name = "s") =>
    (await rows<{ id: string | null }>("select queue.run_schedule_now('acme', $1) as id", [name]))[0]?.id;

  test("makes the job at once and leaves the next run as it is", async () => {
    await create({ every_interval: "1 hour", jitter: "10 minutes", overlap: "skip", tags: ["x"] });
    await db.travel("20 minutes");
    const id = await runNow();
    expect(await runNow()).not.toBe(id);
    expect((await jobs())[0]).toMatchObject({
      id,
      tags: ["x"],
      schedule_name: "s",
      scheduled_at: utc("10T12:20:00"),
      metadata: { scheduled_for: "2026-03-10T12:20:00.000Z" },
    });
    expect(await schedule()).toMatchObject({
      next_run_at: utc("10T13:00:00"),
      last_run_at: utc("10T12:20:00"),
      run_count: "2",
    });
    expect(await rows("select event_type from queue.audit_events where event_type = 'schedule.run'")).toHaveLength(2);
  });

  test("runs a paused schedule too, which stays paused", async () => {
    await create({ every_interval: "1 hour", is_active: false });
    expect(await runNow()).toBeTruthy();
    expect(await schedule()).toMatchObject({ is_active: false, next_run_at: null });
  });

  test("is null when the schedule's unique key is taken", async () => {
    await create({ every_interval: "1 hour" });
    await rows("update queue.schedules set unique_key = 'one'");
    await runNow();
    expect(await runNow()).toBeNull();
    expect((await schedule()).run_count).toBe("1");
  });

  test("fails for a schedule that does not exist, or that is broken", async () => {
    expect(await errorOf(runNow("none"))).toMatchObject({ code: "schedule_not_found", sqlstate: "P0002" });
    await create({ every_interval: "1 hour" });
    await breakIt("s");
    expect(await errorOf(runNow())).toMatchObject({ code: "queue_empty" });
  });
});

describe("many tickers", () => {
  test("at once make each run exactly once", async () => {
    for (let i = 0; i < 60; i += 1) await create({ name: `s${i}`, every_interval: "1 hour" });
    for (let round = 1; round <= 3; round += 1) {
      await db.travel("1 hour");
      const results = await race(db, 6, (client) => client.query("select * from queue.tick_schedules('acme', 25)"));
      const made = results.flatMap((result) => (result.status === "fulfilled" ? result.value.rows : [result.reason]));
      made.push(...(await tick()));
      expect(made.map((row: Tick) => row.schedule_name).sort()).toEqual(
        Array.from({ length: 60 }, (_, i) => `s${i}`).sort(),
      );
      expect(await jobs()).toHaveLength(60 * round);
    }
  });

  test("do not wait for one that is not done yet", async () => {
    for (const name of ["a", "b"]) await create({ name, every_interval: "1 hour" });
    await db.travel("1 hour");
    const [slow, other] = await db.clients(2);
    await slow?.query("begin");
    try {
      await slow?.query("select queue.tick_schedules('acme', 1)");
      await other?.query("set lock_timeout = '10s'"); // counts the time of waiting alone, however slow the machine is
      expect((await other?.query("select * from queue.tick_schedules('acme')"))?.rows).toHaveLength(1);
    } finally {
      await slow?.query("commit");
    }
    expect(await tick()).toEqual([]);
    expect(await jobs()).toHaveLength(2);
  });

  test("that start before another has committed do not repeat its runs", async () => {
    await create({ every_interval: "1 hour" });
    await db.travel("1 hour");
    const [first, second] = await db.clients(2);
    await second?.query("begin");
    await second?.query("select howdah.now()");
    await first?.query("select queue.tick_schedules('acme')");
    expect((await second?.query("select * from queue.tick_schedules('acme')"))?.rows).toEqual([]);
    await second?.query("commit");
    expect(await jobs()).toHaveLength(1);
  });
});

describe("tenants", () => {
  test("a tick of one namespace leaves the others' schedules alone", async () => {
    await create({ every_interval: "1 hour" });
    await create({ every_interval: "1 hour", namespace: "other" });
    await db.travel("1 hour");
    expect(await tick("acme")).toHaveLength(1);
    expect(await schedule("s", "other")).toMatchObject({ run_count: "0" });
  });

  test("a tick without a namespace runs all, each job in its own namespace", async () => {
    await create({ every_interval: "1 hour" });
    await create({ every_interval: "1 hour", namespace: "other" });
    await db.travel("1 hour");
    expect(await tick(null)).toHaveLength(2);
    expect(await rows("select namespace from queue.jobs order by 1")).toEqual([
      { namespace: "acme" },
      { namespace: "other" },
    ]);
  });

  test.each([
    "create_schedule('other', 's', 'q', '{}', '@daily')",
    "create_schedule('other', 's', 'q', '{}', '@daily', p_upsert => true)",
    "get_schedule('other', 's')",
    "list_schedules('other')",
    "pause_schedule('other', 's')",
    "resume_schedule('other', 's')",
    "delete_schedule('other', 's')",
    "run_schedule_now('other', 's')",
    "tick_schedules('other')",
  ])("a pinned transaction cannot call %s", async (call) => {
    await create({ every_interval: "1 hour", namespace: "other" });
    const before = await schedule("s", "other");
    const error = await errorOf(
      db.transaction(async (tx) => {
        await tx.query("select queue.set_tenant('acme')");
        await tx.query(`select * from queue.${call}`);
      }),
    );
    expect(error).toMatchObject({ code: "tenant_mismatch", sqlstate: "42501" });
    expect(await schedule("s", "other")).toEqual(before);
  });

  test("a pinned transaction cannot tick all namespaces", async () => {
    const error = await errorOf(
      db.transaction(async (tx) => {
        await tx.query("select queue.set_tenant('acme')");
        await tx.query("select * from queue.tick_schedules()");
      }),
    );
    expect(error).toMatchObject({ code: "all_namespaces_requires_bypass", sqlstate: "42501" });
  });

  test("a plain role may use schedules of a namespace, and not tick them all", async () => {
    const app = await db.role("app");
    await app.grant("queue", "use");
    await app.query("select queue.create_schedule('acme', 's', 'q', '{}', p_every_interval => '1 hour')");
    await db.travel("1 hour");
    expect((await app.query("select * from queue.tick_schedules('acme')")).rows).toHaveLength(1);
    expect((await app.query("select * from queue.preview_cron('@daily')")).rows).toHaveLength(5);
    expect(await errorOf(app.query("select * from queue.tick_schedules()"))).toMatchObject({
      code: "all_namespaces_requires_bypass",
    });
  });
});

test("an interval of any parts meets every multiple of itself, from any anchor", async () => {
  const parts = fc.record({
    months: fc.integer({ min: 0, max: 30 }),
    days: fc.integer({ min: 0, max: 60 }),
    secs: fc.integer({ min: 0, max: 200_000 }),
  });
  await fc.assert(
    fc.asyncProperty(
      parts.filter(({ months, days, secs }) => months + days + secs > 0),
      fc.date({ min: new Date("1970-01-01"), max: new Date("2026-03-10"), noInvalidDate: true }),
      fc.integer({ min: 0, max: 2_000_000_000 }),
      async ({ months, days, secs }, anchor, later) => {
        const [found] = await rows<{ next: Date; low: Date; high: Date; base: Date; k: number }>(
          `with given as (
             select make_interval(months => $1, days => $2, secs => $3) as every, $4::timestamptz as anchor,
               $4::timestamptz + make_interval(secs => $5) as base
           ), answer as (
             select *, queue._next_run(null, 'UTC', every, null, null, anchor, base) as next from given
           ), multiple as (
             select (anchor at time zone 'UTC' + every * n) at time zone 'UTC' as at
             from answer, generate_series(
               greatest(1, (extract(epoch from base - anchor) / extract(epoch from every) * 0.9)::bigint - 5),
               (extract(epoch from base - anchor) / extract(epoch from every) * 1.1)::bigint + 5) n
           )
           select next, base, (select min(at) from multiple where at > base) as high from answer`,
          [months, days, secs, anchor, later],
        );
        expect(found?.next).toEqual(found?.high);
        expect(found?.next.getTime()).toBeGreaterThan(found?.base.getTime() ?? 0);
      },
    ),
    { numRuns: 150 },
  );
});
