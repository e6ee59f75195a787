// What must not throw a worker off: outcomes that the database refuses, a database that does not answer, a pool that is used up,
// calls that come too early, too late or twice.
import type { Database, SubscriptionHandlers } from "@howdah/core";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Clock } from "../src/clock.ts";
import { createQueue, Fail, type Job, queueModule, RetryLater, type Worker, type WorkerEvents } from "../src/index.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
afterAll(() => db[Symbol.asyncDispose]());

let tenants = 0;
const tenant = (): string => `tenant${++tenants}`;

interface JobRow {
  status: string;
  attempts: number;
  payload: unknown;
  error: string | null;
}

const jobsOf = async (namespace: string): Promise<JobRow[]> =>
  (await db.pool.query<JobRow>("select * from queue.jobs where namespace = $1 order by id", [namespace])).rows;

type JobEvent = Exclude<keyof WorkerEvents, "worker:idle" | "worker:error">;
const next = (worker: Worker, event: JobEvent): Promise<Job> =>
  new Promise((resolve) => {
    worker.once(event, (job: Job) => resolve(job));
  });

/** What a worker reports. */
function errorsOf(worker: Worker): unknown[] {
  const errors: unknown[] = [];
  worker.on("worker:error", (error) => errors.push(error));
  return errors;
}

const gate = () => Promise.withResolvers<void>();

describe("an outcome that the database refuses", () => {
  test("makes a dead letter with the refusal, and holds up no other job", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.pushBatch("mail", ["good", "too long", "bad", "later"]);
    let running = 0;
    const all = gate();
    const worker = queue.worker(
      {
        mail: async (job) => {
          if (++running === 4) all.resolve();
          await all.promise; // so that all of them are settled together
          if (job.payload === "too long") throw new RetryLater("200 years");
          if (job.payload === "bad") throw new Fail("bad");
          if (job.payload === "later") throw new RetryLater("1h");
        },
      },
      { prefetch: 4, concurrency: 4 },
    );
    const errors = errorsOf(worker);
    await worker.run({ until: "empty" });
    expect(await jobsOf(namespace)).toMatchObject([
      {
        payload: "too long",
        status: "dead",
        attempts: 1,
        error: expect.stringMatching(/at most 100 years|out of range/),
      },
      { payload: "bad", status: "dead", attempts: 1 },
      { payload: "later", status: "pending", attempts: 1 },
    ]);
    expect(await queue.deadLetters.list()).toHaveLength(2);
    expect(errors).not.toEqual([]);
  });

  test("an acknowledgement, too, ends in a dead letter and leaves the others alone", async () => {
    const namespace = tenant();
    await db.query(`
      create function refuse() returns trigger language plpgsql as $$
      begin raise 'no such customer'; end $$;
      create trigger refuse before delete on queue.jobs for each row when (old.payload = '"poison"')
      execute function refuse()`);
    const queue = createQueue(db, { namespace });
    await queue.pushBatch("mail", [1, "poison", 2]);
    const worker = queue.worker({ mail: () => {} }, { prefetch: 3 });
    const errors = errorsOf(worker);
    const completed: unknown[] = [];
    worker.on("job:complete", (job) => completed.push(job.payload));
    const dead = next(worker, "job:dead");
    await worker.run({ until: "empty" });
    await db.query("drop function refuse cascade");
    expect(completed.sort()).toEqual([1, 2]);
    expect(await dead).toMatchObject({ payload: "poison" });
    expect(await jobsOf(namespace)).toMatchObject([
      { payload: "poison", status: "dead", error: expect.stringContaining("no such customer") },
    ]);
    expect(errors).not.toEqual([]);
  });

  test("is given up after its refusal was refused, and the worker stops as ever", async () => {
    const namespace = tenant();
    await db.query(`
      create function refuse() returns trigger language plpgsql as $$
      begin raise 'hands off'; end $$;
      create trigger refuse before update on queue.jobs for each row when (old.status = 'running')
      execute function refuse()`);
    const queue = createQueue(db, { namespace });
    await queue.pushBatch("mail", ["good", "bad"]);
    const worker = queue.worker(
      {
        mail: (job) => {
          if (job.payload === "bad") throw new Error("bad");
        },
      },
      { prefetch: 2 },
    );
    const errors = errorsOf(worker);
    const lost = next(worker, "job:lost");
    await worker.run({ until: "empty" });
    await db.query("drop function refuse cascade");
    expect(await lost).toMatchObject({ payload: "bad" });
    expect(await jobsOf(namespace)).toMatchObject([{ payload: "bad", status: "running" }]);
    expect(errors).not.toEqual([]);
  });

  test("a job that one worker came to hold twice is settled by its last lease alone", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.push("mail", 1);
    const { promise, resolve } = gate();
    let running = 0;
    await using worker = queue.worker(
      {
        mail: async () => {
          running++;
          await promise;
          throw new RetryLater("1h");
        },
      },
      { concurrency: 2, heartbeat: "1h" },
    );
    const lost = next(worker, "job:lost");
    const retried = next(worker, "job:retry");
    errorsOf(worker);
    await worker.start();
    await expect.poll(() => running).toBe(1);
    await db.query("select queue.release_jobs($1, $2)", [namespace, worker.id]);
    await expect.poll(() => running).toBe(2);
    resolve();
    expect(await lost).toMatchObject({ attempt: 1 });
    expect(await retried).toMatchObject({ attempt: 2 });
    expect(await jobsOf(namespace)).toMatchObject([{ status: "pending", attempts: 2 }]);
  });

  test("a heartbeat of a job that is held twice keeps the last lease", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.push("mail", 1);
    const { promise, resolve } = gate();
    const attempts: number[] = [];
    await using worker = queue.worker(
      {
        mail: (job) => {
          attempts.push(job.attempt);
          return promise;
        },
      },
      { concurrency: 2, heartbeat: "2s" },
    );
    const lost = next(worker, "job:lost");
    const completed = next(worker, "job:complete");
    await worker.start();
    await expect.poll(() => attempts).toEqual([1]);
    await db.query("select queue.release_jobs($1, $2)", [namespace, worker.id]);
    await expect.poll(() => attempts).toEqual([1, 2]);
    expect(await lost).toMatchObject({ attempt: 1 });
    resolve();
    expect(await completed).toMatchObject({ attempt: 2 });
  });

  test("a thrown value that cannot even be looked at fails its job", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.push("mail", 1, { maxAttempts: 1 });
    const mail = () => {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      throw proxy;
    };
    await queue.worker({ mail }).run({ until: "empty" });
    expect(await jobsOf(namespace)).toMatchObject([{ status: "dead", attempts: 1 }]);
  });

  test("a delay into the past is none", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.push("mail", 1);
    const mail = (job: Job) => {
      if (job.attempt === 1) throw new RetryLater(-5000);
    };
    const worker = queue.worker({ mail });
    const completed = next(worker, "job:complete");
    await worker.start();
    expect(await completed).toMatchObject({ attempt: 2 });
    await worker.stop();
  });
});

/** Waits until a statement waits for a lock. */
const blocked = (statement: string): Promise<void> =>
  expect
    .poll(async () => {
      const text = `select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and strpos(query, $1) > 0`;
      return (await db.query(text, [statement])).rows;
    })
    .toHaveLength(1);

describe("a database that does not answer", () => {
  test("keeps no worker from stopping, and settles a drain", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.push("mail", 1);
    const { promise, resolve } = gate();
    const worker = queue.worker({ mail: () => promise }, { heartbeat: "10ms", pollInterval: 100 });
    const errors = errorsOf(worker);
    const started = next(worker, "job:start");
    await worker.start();
    await started;
    const drained = worker.drain();
    const blocker = await db.client();
    await blocker.query("begin; lock table queue.jobs in access exclusive mode");
    for (const statement of ["queue.tick", "queue.heartbeat"]) await blocked(statement);
    resolve();
    await worker.stop({ deadline: 10 });
    await drained;
    expect(errors).toContainEqual(expect.objectContaining({ code: "worker_stopped" }));
    await blocker.query("rollback");
    await blocker.end();
  });

  test("keeps no worker from stopping that has not quite started", async () => {
    const database = watched();
    const worker = createQueue(database, { namespace: tenant() }).worker({ mail: () => {} });
    const errors = errorsOf(worker);
    const blocker = await db.client();
    await blocker.query("begin; lock table queue.workers in access exclusive mode");
    const started = worker.start();
    const failed = expect(started).rejects.toThrow();
    await blocked("queue.register_worker");
    await worker.stop({ deadline: 10 });
    await failed;
    expect(errors).toContainEqual(expect.objectContaining({ code: "worker_stopped" }));
    expect([...database.open]).toEqual([]);
    await blocker.query("rollback");
    await blocker.end();
  });

  test("while a handler ignores the end of its worker, a drain ends with the stop", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    await queue.push("mail", 1);
    const { promise, resolve } = gate();
    const worker = queue.worker({ mail: () => promise });
    const started = next(worker, "job:start");
    await worker.start();
    await started;
    const drained = worker.drain();
    await worker.stop({ deadline: 10 });
    await drained;
    resolve();
  });
});

describe("a pool that handlers use up", () => {
  test("lets leases be renewed and schedules run", async () => {
    const pool = new pg.Pool({ connectionString: db.url, max: 2 });
    const namespace = tenant();
    const queue = createQueue(pool, { namespace });
    await queue.pushBatch("mail", [1, 2]);
    const { promise, resolve } = gate();
    let holding = 0;
    const worker = queue.worker(
      {
        mail: async () => {
          const client = await pool.connect();
          holding++;
          await promise;
          client.release();
        },
        other: () => {},
      },
      { heartbeat: "10ms" },
    );
    const lost: Job[] = [];
    worker.on("job:lost", (job) => lost.push(job));
    const completed: Job[] = [];
    worker.on("job:complete", (job) => completed.push(job));
    const errors = errorsOf(worker);
    await worker.start();
    await expect.poll(() => holding).toBe(2);
    const renewed = `select from queue.jobs where namespace = $1 and queue = 'mail'
      and visibility_timeout_at - locked_at > (select visibility_timeout from queue.get_queue_settings($1, 'mail'))`;
    await expect.poll(async () => (await db.query(renewed, [namespace])).rows).toHaveLength(2);
    await createQueue(db, { namespace }).schedules.create("often", "other", 3, { every: "100ms" });
    await expect.poll(() => completed).toContainEqual(expect.objectContaining({ payload: 3 }));
    resolve();
    await expect.poll(() => completed.filter((job) => job.queue === "mail")).toHaveLength(2);
    expect(completed.filter((job) => job.queue === "mail").map((job) => job.attempt)).toEqual([1, 1]);
    await worker.stop();
    expect(lost).toEqual([]);
    expect(errors).toEqual([]);
    await pool.end();
  });

  test("does not keep a handler from extending its lease inside its transaction", async () => {
    const pool = new pg.Pool({ connectionString: db.url, max: 1 });
    const namespace = tenant();
    const queue = createQueue(pool, { namespace });
    await queue.push("mail", 1);
    await queue
      .worker({ mail: (_job, context) => context.tx(() => context.extend("1 minute")) })
      .run({ until: "empty" });
    expect(await jobsOf(namespace)).toEqual([]);
    await pool.end();
  });
});

test("a worker and its handlers take turns on a single connection", async () => {
  const client = await db.client();
  const queue = createQueue(client, { namespace: tenant() });
  await queue.pushBatch("mail", [1, 2, 3]);
  const seen: unknown[] = [];
  const worker = queue.worker({
    mail: async (job, context) => {
      if (job.payload === 1) await context.push("mail", 4);
      await context.tx((tx) => tx.query("select 1"));
      seen.push(job.payload);
    },
  });
  await worker.run({ until: "empty" });
  expect(seen.sort()).toEqual([1, 2, 3, 4]);
});

/** The same database, with what was subscribed to and has not stopped. */
function watched(
  change: (channel: string, handlers: SubscriptionHandlers) => void = () => {},
): Database & { open: Set<string> } {
  const open = new Set<string>();
  const subscribe: Database["subscribe"] = async (channel, handlers, options) => {
    change(channel, handlers);
    const subscription = await db.subscribe(channel, handlers, options);
    open.add(channel);
    const stop = async () => {
      await subscription.stop();
      open.delete(channel);
    };
    return Object.assign(Object.create(subscription), { stop });
  };
  return Object.assign(Object.create(db) as Database, { subscribe, open });
}

describe("starting and stopping", () => {
  test("a worker that was stopped does not start, nor drain, and listens to nothing", async () => {
    const database = watched();
    const never = createQueue(database, { namespace: tenant() }).worker({ mail: () => {} });
    await never.stop();
    await expect(never.start()).rejects.toMatchObject({ code: "worker_stopped" });
    await expect(never.drain()).rejects.toMatchObject({ code: "worker_stopped" });
    const once = createQueue(database, { namespace: tenant() }).worker({ mail: () => {} });
    await once.start();
    expect(database.open.size).toBe(2);
    await once.stop();
    await expect(once.start()).rejects.toMatchObject({ code: "worker_stopped" });
    expect([...database.open]).toEqual([]);
  });

  test("a start that failed leaves nothing open and may be tried again", async () => {
    let failures = 2;
    const database = watched((channel) => {
      if (channel.startsWith("queue_control") || --failures < 0) return;
      throw new Error("not now");
    });
    const queue = createQueue(database, { namespace: tenant() });
    await queue.push("mail", 1);
    await using worker = queue.worker({ other: () => {}, mail: () => {} });
    const completed = next(worker, "job:complete");
    await expect(worker.start()).rejects.toThrow("not now");
    expect([...database.open]).toEqual([]);
    await expect(worker.start()).rejects.toThrow("not now");
    await worker.start();
    await completed;
  });

  test("a worker that cannot register leaves nothing open", async () => {
    const database = watched();
    const worker = createQueue(database, { namespace: tenant() }).worker({ mail: () => {} }, { workerId: "a\0b" });
    await expect(worker.start()).rejects.toThrow();
    expect([...database.open]).toEqual([]);
    await worker.stop();
  });

  test("a second start is the first one", async () => {
    const namespace = tenant();
    const database = watched();
    await using worker = createQueue(database, { namespace }).worker({ mail: () => {} });
    await Promise.all([worker.start(), worker.start()]);
    await worker.start();
    expect(database.open.size).toBe(2);
    expect((await db.query("select from queue.workers where namespace = $1", [namespace])).rows).toHaveLength(1);
  });

  test("a stop during the start ends it", async () => {
    const namespace = tenant();
    const database = watched();
    const worker = createQueue(database, { namespace }).worker({ mail: () => {} });
    await Promise.all([worker.start(), worker.stop()]);
    expect([...database.open]).toEqual([]);
    expect((await db.query("select from queue.workers where namespace = $1", [namespace])).rows).toEqual([]);
  });

  test("a worker that is paused before it starts claims nothing until it is resumed", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.push("mail", 1);
    await using worker = queue.worker({ mail: () => {} });
    worker.pause();
    await worker.start();
    await worker.drain();
    expect(await jobsOf(namespace)).toMatchObject([{ status: "pending", attempts: 0 }]);
    const completed = next(worker, "job:complete");
    worker.resume();
    await completed;
  });

  test("a run until empty includes what schedules and expired leases have due", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.schedules.create("hourly", "mail", "schedule", { every: "1h" });
    await queue.push("mail", "lease");
    await queue.pull("mail");
    await db.query("update queue.schedules set next_run_at = now() - interval '1 s' where namespace = $1", [namespace]);
    await db.query(
      "update queue.jobs set visibility_timeout_at = now() - interval '1 s' where namespace = $1 and status = 'running'",
      [namespace],
    );
    const seen: unknown[] = [];
    await queue.worker({ mail: (job) => void seen.push(job.payload) }).run({ until: "empty" });
    expect(seen.sort()).toEqual(["lease", "schedule"]);
  });

  test("a notification that is no message harms nobody", async () => {
    const heard: SubscriptionHandlers[] = [];
    const queue = createQueue(
      watched((_channel, handlers) => heard.push(handlers)),
      { namespace: tenant() },
    );
    await using worker = queue.worker({ mail: () => {} });
    await worker.start();
    for (const text of ["", "no json", "null", "5", "{", '{"cancel":{}}']) {
      for (const handlers of heard) expect(() => handlers.onMessage(text)).not.toThrow();
    }
  });
});

test("a tick that is asked for during a tick follows it", async () => {
  vi.useFakeTimers();
  try {
    const ticks: (() => void)[] = [];
    const clock = new Clock({
      db: { query: () => new Promise((resolve) => ticks.push(() => resolve({ rows: [] }))) },
      namespace: "acme",
      interval: 3_600_000,
      onWork: () => {},
      onError: () => {},
    });
    clock.tickIn(0);
    await vi.advanceTimersByTimeAsync(1000);
    clock.tickIn(100);
    clock.tickIn(500);
    await vi.advanceTimersByTimeAsync(1000);
    expect(ticks).toHaveLength(1);
    ticks[0]?.();
    await vi.advanceTimersByTimeAsync(1000);
    expect(ticks).toHaveLength(2);
    ticks[1]?.();
    await vi.advanceTimersByTimeAsync(1000);
    expect(ticks).toHaveLength(2);
    await clock.stop();
  } finally {
    vi.useRealTimers();
  }
});
