import { type TestDatabase, testDatabase } from "@howdah/testing";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import {
  batchHandler,
  createQueue,
  defineQueue,
  Fail,
  FenceStaleError,
  type Job,
  JobCancelledError,
  JobLostError,
  JobTimeoutError,
  queueModule,
  RetryLater,
  Snooze,
  type Worker,
  type WorkerEvents,
  WorkerStoppedError,
} from "../src/index.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
  await db.query("create table effects (namespace text, value jsonb)");
});
afterAll(() => db[Symbol.asyncDispose]());

let tenants = 0;
/** A tenant of its own for each test, so that tests share nothing. */
const tenant = (): string => `tenant${++tenants}`;

async function rowsOf<Row>(sql: string, ...values: unknown[]): Promise<Row[]> {
  return (await db.pool.query(sql, values)).rows as Row[];
}

interface JobRow {
  id: string;
  status: string;
  phase: number;
  attempts: number;
  error: string | null;
  progress: unknown;
  /** Milliseconds from now. */
  due_in: number;
  lease_ends_in: number;
}

const jobsOf = (namespace: string): Promise<JobRow[]> =>
  rowsOf(
    `select *, extract(epoch from scheduled_at - now())::float8 * 1000 as due_in,
       extract(epoch from visibility_timeout_at - clock_timestamp())::float8 * 1000 as lease_ends_in
     from queue.jobs where namespace = $1 order by id`,
    namespace,
  );

type JobEvent = Exclude<keyof WorkerEvents, "worker:idle" | "worker:error">;
const next = (worker: Worker, event: JobEvent): Promise<Job> =>
  new Promise((resolve) => {
    worker.once(event, (job: Job) => resolve(job));
  });

/** A promise that a test settles from outside. */
const gate = () => Promise.withResolvers<void>();

const aborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    signal.addEventListener("abort", () => resolve(signal.reason));
  });

describe("running jobs", () => {
  test("a worker runs what waits, in order, and leaves nothing behind", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.pushBatch("mail", [1, 2, 3]);
    await queue.push("mail", 0, { priority: 5 });
    const seen: unknown[] = [];
    await queue.worker({ mail: (job) => void seen.push(job.payload) }).run({ until: "empty" });
    expect(seen).toEqual([0, 1, 2, 3]);
    expect(await jobsOf(namespace)).toEqual([]);
    expect(await rowsOf("select from queue.leases where namespace = $1", namespace)).toEqual([]);
    expect(await rowsOf("select from queue.workers where namespace = $1", namespace)).toEqual([]);
  });

  test("a handler sees its job's particulars", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    const id = await queue.push("mail", { to: "a" }, { metadata: { source: "web" }, maxAttempts: 7, trace: { t: 1 } });
    let seen: Job | undefined;
    await queue
      .worker({
        mail: (job) => {
          seen = job;
        },
      })
      .run({ until: "empty" });
    expect(seen).toMatchObject({ id, queue: "mail", payload: { to: "a" }, attempt: 1, maxAttempts: 7, priority: 0 });
    expect(seen).toMatchObject({ metadata: { source: "web" }, trace: { t: 1 } });
    expect(Math.abs((seen?.scheduledAt.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
  });

  test("10,000 jobs run once each on two workers", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.pushBatch(
      "mail",
      Array.from({ length: 10_000 }, (_, i) => i),
    );
    const seen: unknown[] = [];
    const run = () => queue.worker({ mail: async (job) => void seen.push(job.payload) }).run({ until: "empty" });
    await Promise.all([run(), run()]);
    expect(seen).toHaveLength(10_000);
    expect(new Set(seen).size).toBe(10_000);
    expect(await jobsOf(namespace)).toEqual([]);
  });

  test("one worker serves several queues and keeps the limit of each", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    await queue.pushBatch("fast", Array(40).fill(1));
    await queue.pushBatch("slow", Array(40).fill(2));
    let slow = 0;
    let most = 0;
    let done = 0;
    const worker = queue.worker(
      {
        fast: async () => void done++,
        slow: async () => {
          most = Math.max(most, ++slow);
          await new Promise((resolve) => setImmediate(resolve));
          slow--;
          done++;
        },
      },
      { concurrency: 8, perQueue: { slow: 2 } },
    );
    await worker.run({ until: "empty" });
    expect(done).toBe(80);
    expect(most).toBe(2);
  });

  test("a batch handler gets many jobs at once and says what became of each", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.pushBatch("mail", [1, 2, 3, 4, 5]);
    const sizes: number[] = [];
    const mail = batchHandler<unknown>(5, (jobs) => {
      sizes.push(jobs.length);
      return jobs.map((job) => (job.payload === 3 ? new Fail("three") : undefined));
    });
    await queue.worker({ mail }, { concurrency: 1 }).run({ until: "empty" });
    expect(sizes).toEqual([5]);
    expect(await queue.deadLetters.list({ queue: "mail" })).toMatchObject([{ payload: 3 }]);
    expect(await jobsOf(namespace)).toMatchObject([{ status: "dead" }]);
  });

  test("a sleeping worker is woken by a push, and a delayed job runs when it is due", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace, queues: { mail: defineQueue("mail") } });
    await queue.sync();
    await using worker = queue.worker({ mail: () => {} }, { pollInterval: "1h" });
    const asleep = new Promise<void>((resolve) => worker.once("worker:idle", resolve));
    await worker.start();
    await asleep;
    for (const delay of [undefined, 50]) {
      const completed = next(worker, "job:complete");
      await queue.push("mail", 1, { delay });
      expect(await completed).toMatchObject({ payload: 1 });
    }
  });

  test("a paused worker claims nothing until it is resumed", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await using worker = queue.worker({ mail: () => {} });
    await worker.start();
    await worker.drain();
    worker.pause();
    await queue.push("mail", 1);
    await queue.push("other", 1);
    await queue.worker({ other: () => {} }).run({ until: "empty" });
    expect(await jobsOf(namespace)).toMatchObject([{ status: "pending", attempts: 0 }]);
    const completed = next(worker, "job:complete");
    worker.resume();
    await completed;
  });

  test("a paused worker's drain waits for what runs, and a stop ends a drain that waits", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    await queue.pushBatch("mail", [1, 2]);
    const { promise, resolve } = gate();
    const worker = queue.worker({ mail: () => promise }, { concurrency: 1 });
    const started = next(worker, "job:start");
    await worker.start();
    await started;
    worker.pause();
    const drained = worker.drain();
    resolve();
    await drained;
    expect(await queue.stats()).toMatchObject({ totalJobs: "1", pending: "1" });
    worker.resume();
    await Promise.all([worker.drain(), worker.stop()]);
  });

  test("a schedule's jobs are pushed by the worker's clock", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    await queue.schedules.create("tick", "mail", { from: "schedule" }, { every: "100ms" });
    await using worker = queue.worker({ mail: () => {} });
    const completed = next(worker, "job:complete");
    await worker.start();
    expect(await completed).toMatchObject({ payload: { from: "schedule" } });
  });

  test("handlers that are slow get no more jobs than can start", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.pushBatch("mail", Array(100).fill(1));
    const { promise, resolve } = gate();
    let started = 0;
    await using worker = queue.worker(
      {
        mail: () => {
          started++;
          return promise;
        },
      },
      { concurrency: 3 },
    );
    await worker.start();
    await expect.poll(() => started).toBe(3);
    worker.pause();
    const running = (await jobsOf(namespace)).filter((job) => job.status === "running");
    expect(running).toHaveLength(3);
    resolve();
  });

  test("claimed jobs that cannot start soon are given back with their attempt", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.pushBatch("mail", Array(10).fill(1));
    const { promise, resolve } = gate();
    await using worker = queue.worker({ mail: () => promise }, { concurrency: 1, prefetch: 10 });
    const claims = async (): Promise<number> =>
      Number((await rowsOf<{ n: string }>("select last_value as n from queue.fence_token_seq"))[0]?.n);
    const before = await claims();
    await worker.start();
    await expect.poll(async () => (await claims()) - before).toBeGreaterThanOrEqual(10);
    const states = async () => {
      const jobs = await jobsOf(namespace);
      return jobs.map(({ status, attempts }) => `${status} ${attempts}`).sort();
    };
    await expect.poll(states).toEqual([...Array(9).fill("pending 0"), "running 1"]);
    resolve();
  });
});

describe("failing jobs", () => {
  test("an error has the job tried again after the queue's backoff", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    await queue.configure("mail", { backoff_type: "fixed", backoff_base: "1 millisecond" });
    await queue.push("mail", 1, { maxAttempts: 3 });
    const attempts: number[] = [];
    await using worker = queue.worker({
      mail: (job) => {
        attempts.push(job.attempt);
        if (job.attempt < 3) throw new Error("smtp down");
      },
    });
    const completed = next(worker, "job:complete");
    await worker.start();
    await completed;
    expect(attempts).toEqual([1, 2, 3]);
  });

  test("the last attempt's error makes a dead letter", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.push("mail", 1, { maxAttempts: 1 });
    const worker = queue.worker({ mail: () => Promise.reject(new Error("smtp down")) });
    const dead = next(worker, "job:dead");
    await worker.run({ until: "empty" });
    expect(await dead).toMatchObject({ payload: 1 });
    const [letter] = await queue.deadLetters.list({ queue: "mail" });
    expect(letter).toMatchObject({ reasonCode: "attempts_exhausted", attempts: 1 });
    expect(letter?.lastError).toMatch(/^Error: smtp down/);
  });

  test("Fail makes a dead letter at the first attempt", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    await queue.push("mail", 1, { maxAttempts: 9 });
    const mail = () => {
      throw new Fail("no such customer");
    };
    await queue.worker({ mail }).run({ until: "empty" });
    expect(await queue.deadLetters.list()).toMatchObject([{ reasonCode: "failed", attempts: 1 }]);
  });

  test("RetryLater says when, and the attempt counts", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.push("mail", 1);
    const mail = () => {
      throw new RetryLater("1h");
    };
    await queue.worker({ mail }).run({ until: "empty" });
    const [job] = await jobsOf(namespace);
    expect(job).toMatchObject({ status: "pending", phase: 0, attempts: 1 });
    expect(job?.due_in).toBeGreaterThan(3_500_000);
    expect(job?.due_in).toBeLessThan(3_700_000);
  });

  test("Snooze puts a job off, and the attempt does not count", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.push("mail", 1);
    const mail = () => {
      throw new Snooze("1h");
    };
    await queue.worker({ mail }).run({ until: "empty" });
    const [job] = await jobsOf(namespace);
    expect(job).toMatchObject({ status: "pending", phase: 0, attempts: 0, error: null });
    expect(job?.due_in).toBeGreaterThan(3_500_000);
  });

  test("a payload that the schema refuses makes a dead letter without running the handler", async () => {
    const namespace = tenant();
    await createQueue(db, { namespace }).push("mail", { to: 5 });
    const mail = defineQueue("mail", { schema: z.object({ to: z.string() }) });
    const queue = createQueue(db, { namespace, queues: { mail } });
    let ran = false;
    await queue
      .worker({
        mail: () => {
          ran = true;
        },
      })
      .run({ until: "empty" });
    expect(ran).toBe(false);
    const [letter] = await queue.deadLetters.list();
    expect(letter).toMatchObject({ reasonCode: "failed", attempts: 1 });
    expect(letter?.lastError).toContain("$.to");
  });

  test("handlers get payloads with the schema's defaults and transforms", async () => {
    const schema = z.object({ to: z.string().transform((to) => to.length), copies: z.number().default(1) });
    const mail = defineQueue("mail", { schema });
    const queue = createQueue(db, { namespace: tenant(), queues: { mail } });
    await queue.push("mail", { to: "four" });
    let seen: unknown;
    await queue
      .worker({
        mail: (job) => {
          seen = job.payload;
        },
      })
      .run({ until: "empty" });
    expect(seen).toEqual({ to: 4, copies: 1 });
  });

  test("listeners that throw do no harm", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.pushBatch("mail", [1, 2, 3]);
    const errors: unknown[] = [];
    const onError = (error: unknown) => {
      errors.push((error as Error).message);
      throw new Error("onError");
    };
    let ran = 0;
    const worker = queue.worker({ mail: () => void ran++ }, { onError });
    for (const event of ["job:start", "job:complete", "worker:error"] as const) {
      worker.on(event, () => {
        throw new Error(event);
      });
    }
    const warnings = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    await worker.run({ until: "empty" });
    warnings.mockRestore();
    expect(ran).toBe(3);
    expect(errors).toEqual(expect.arrayContaining(["job:start", "job:complete"]));
    expect(await jobsOf(namespace)).toEqual([]);
  });

  test("an error text with U+0000 is recorded", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    await queue.push("mail", 1);
    const mail = () => {
      throw new Fail("bad \0 text");
    };
    await queue.worker({ mail }).run({ until: "empty" });
    expect((await queue.deadLetters.list())[0]?.lastError).toContain("bad \\0 text");
  });
});

describe("a handler's context", () => {
  test("a request to cancel aborts the signal, and the job ends as cancelled", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    const id = (await queue.push("mail", 1)) as string;
    let reason: unknown;
    await using worker = queue.worker({
      mail: async (_job, { signal }) => {
        reason = await aborted(signal);
        throw reason;
      },
    });
    const started = next(worker, "job:start");
    const cancelled = next(worker, "job:cancelled");
    await worker.start();
    await started;
    expect(await queue.requestCancel(id, "changed their mind")).toBe("requested");
    await cancelled;
    expect(reason).toBeInstanceOf(JobCancelledError);
    expect(await jobsOf(namespace)).toMatchObject([{ status: "cancelled", phase: 9 }]);
  });

  test("without a listener, a request to cancel arrives with the heartbeat", async () => {
    const queue = createQueue(db, { namespace: tenant(), listen: false });
    const id = (await queue.push("mail", 1)) as string;
    await using worker = queue.worker(
      {
        mail: async (_job, { signal }) => {
          throw await aborted(signal);
        },
      },
      { heartbeat: "10ms" },
    );
    const started = next(worker, "job:start");
    const cancelled = next(worker, "job:cancelled");
    await worker.start();
    await started;
    await queue.requestCancel(id);
    expect(await cancelled).toMatchObject({ id });
  });

  test("a job over its timeout has its signal aborted and is tried again", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.push("mail", 1);
    let reason: unknown;
    await using worker = queue.worker(
      {
        mail: async (_job, { signal }) => {
          reason = await aborted(signal);
          throw reason;
        },
      },
      { timeout: "50ms" },
    );
    const retried = next(worker, "job:retry");
    await worker.start();
    await retried;
    expect(reason).toBeInstanceOf(JobTimeoutError);
    expect((await jobsOf(namespace))[0]?.error).toContain("ran longer than 50 ms");
  });

  test("a lost lease aborts the signal, and the job's end changes nothing", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.push("mail", 1);
    let reason: unknown;
    const { promise: end, resolve } = gate();
    await using worker = queue.worker(
      {
        mail: async (_job, { signal }) => {
          reason = await aborted(signal);
          resolve();
        },
      },
      { heartbeat: "10ms", tick: false, concurrency: 1 },
    );
    const started = next(worker, "job:start");
    const lost = next(worker, "job:lost");
    await worker.start();
    await started;
    await db.query(
      `update queue.jobs set fence_token = nextval('queue.fence_token_seq'), locked_by = 'thief' where namespace = $1`,
      [namespace],
    );
    await Promise.all([lost, end]);
    expect(reason).toBeInstanceOf(JobLostError);
    await worker.stop();
    expect(await rowsOf("select locked_by from queue.jobs where namespace = $1", namespace)).toEqual([
      { locked_by: "thief" },
    ]);
  });

  test("the lease of a long-running job is renewed", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.push("mail", 1);
    const { promise, resolve } = gate();
    await using worker = queue.worker({ mail: () => promise }, { visibilityTimeout: "10s" });
    const started = next(worker, "job:start");
    await worker.start();
    await started;
    const [before] = await rowsOf<{ at: Date }>(
      "select visibility_timeout_at as at from queue.jobs where namespace = $1",
      namespace,
    );
    const completed = next(worker, "job:complete");
    const renewed = async () => {
      const [now] = await rowsOf<{ at: Date }>(
        "select visibility_timeout_at as at from queue.jobs where namespace = $1 and status = 'running'",
        namespace,
      );
      return now?.at.getTime();
    };
    await expect.poll(renewed).toBeGreaterThan(before?.at.getTime() ?? Number.NaN);
    resolve();
    expect(await completed).toMatchObject({ attempt: 1 });
  });

  test("progress is written, extend moves the deadline, push carries the trace on", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.push("mail", 1, { trace: { traceparent: "00-1" } });
    const { promise, resolve } = gate();
    await using worker = queue.worker(
      {
        mail: async (_job, context) => {
          context.progress({ sent: 1 });
          context.progress({ sent: 2 });
          await context.extend("1h");
          await context.push("other", "child");
          await promise;
        },
      },
      { visibilityTimeout: "1 minute" },
    );
    await worker.start();
    await expect
      .poll(() => jobsOf(namespace))
      .toMatchObject([{ progress: { sent: 2 } }, { payload: "child", trace: { traceparent: "00-1" } }]);
    expect((await jobsOf(namespace))[0]?.lease_ends_in).toBeGreaterThan(3_600_000);
    resolve();
  });

  test("tx commits effects and acknowledgement together, or neither", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.pushBatch("mail", ["good", "bad"]);
    const effect = "insert into effects values ($1, $2::jsonb)";
    await queue
      .worker({
        mail: (job, context) =>
          context.tx(async (tx) => {
            await tx.query(effect, [namespace, JSON.stringify(job.payload)]);
            if (job.payload === "bad") throw new Fail("bad");
          }),
      })
      .run({ until: "empty" });
    expect(await rowsOf("select value from effects where namespace = $1", namespace)).toEqual([{ value: "good" }]);
    expect(await queue.deadLetters.list()).toMatchObject([{ payload: "bad" }]);
  });

  test("tx of a job that was lost rolls everything back", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.push("mail", 1);
    let error: unknown;
    await using worker = queue.worker({
      mail: (_job, context) =>
        context
          .tx(async (tx) => {
            await tx.query("insert into effects values ($1, '1')", [namespace]);
            await db.query(
              "update queue.jobs set fence_token = nextval('queue.fence_token_seq') where namespace = $1",
              [namespace],
            );
          })
          .catch((thrown: unknown) => {
            error = thrown;
          }),
    });
    const lost = next(worker, "job:lost");
    await worker.start();
    await lost;
    await expect.poll(() => error).toBeInstanceOf(FenceStaleError);
    expect(await rowsOf("select from effects where namespace = $1", namespace)).toEqual([]);
  });
});

describe("stopping", () => {
  test("a stop under load finishes what runs, gives back the rest, and loses nothing", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.pushBatch("mail", Array(2000).fill(1));
    let done = 0;
    let ran = 0;
    const reached = gate();
    const worker = queue.worker(
      {
        mail: async () => {
          if (++ran === 300) reached.resolve();
          await new Promise((resolve) => setImmediate(resolve));
          done++;
        },
      },
      { concurrency: 5, prefetch: 100 },
    );
    await worker.start();
    await reached.promise;
    await worker.stop();
    expect(done).toBe(ran);
    const left = await jobsOf(namespace);
    expect(left).toHaveLength(2000 - done);
    expect(new Set(left.map((job) => `${job.status} ${job.attempts}`))).toEqual(new Set(["pending 0"]));
  });

  test("at the deadline signals are aborted, and jobs go back with their attempt", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.push("mail", 1);
    let reason: unknown;
    const worker = queue.worker({
      mail: async (_job, { signal }) => {
        reason = await aborted(signal);
        throw reason;
      },
    });
    const started = next(worker, "job:start");
    await worker.start();
    await started;
    await worker.stop({ deadline: 10 });
    expect(reason).toBeInstanceOf(WorkerStoppedError);
    expect(await jobsOf(namespace)).toMatchObject([{ status: "pending", attempts: 0 }]);
  });

  test("a handler that ignores its signal does not keep the worker, and its late end changes nothing", async () => {
    const namespace = tenant();
    const queue = createQueue(db, { namespace });
    await queue.push("mail", 1);
    const { promise, resolve } = gate();
    const worker = queue.worker({ mail: () => promise });
    const started = next(worker, "job:start");
    await worker.start();
    await started;
    await worker.stop({ deadline: 10 });
    expect(await jobsOf(namespace)).toMatchObject([{ status: "pending", attempts: 0 }]);
    resolve();
    await promise;
    expect(await jobsOf(namespace)).toMatchObject([{ status: "pending", attempts: 0 }]);
  });

  test("a worker that was never started stops", async () => {
    await createQueue(db, { namespace: tenant() })
      .worker({ mail: () => {} })
      .stop();
  });
});

test.each([1, 2])("a pool of %i connections is enough, because lanes take none of it", async (max) => {
  const pool = new pg.Pool({ connectionString: db.url, max });
  try {
    const queue = createQueue(pool, { namespace: tenant() });
    await queue.pushBatch("mail", [1, 2, 3]);
    const seen: unknown[] = [];
    const worker = queue.worker({
      mail: (job, context) =>
        context.tx(async (tx) => {
          await tx.query("select 1");
          seen.push(job.payload);
        }),
    });
    await worker.run({ until: "empty" });
    expect(seen.sort()).toEqual([1, 2, 3]);
  } finally {
    await pool.end();
  }
});

test("what a handler throws need not be an error, nor have a text", async () => {
  const namespace = tenant();
  const queue = createQueue(db, { namespace });
  await queue.push("mail", 1, { maxAttempts: 1 });
  const worker = queue.worker({
    mail: () => {
      throw Object.create(null);
    },
  });
  await worker.run({ until: "empty" });
  expect(await queue.deadLetters.list()).toMatchObject([
    { lastError: "the handler threw something that has no text", attempts: 1 },
  ]);
});
