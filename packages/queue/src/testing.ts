// Tests of code that pushes jobs: jobs run inline, time is moved, and what was pushed can be looked at.
import { type Database, type Duration, HowdahError, interval } from "@howdah/core";
import type { Job } from "./job.ts";
import {
  createQueue,
  type Definitions,
  type Handlers,
  type JobRecord,
  type Queue,
  type QueueOptions,
} from "./queue.ts";

/** A database whose clock can be moved, as `testDatabase` of `@howdah/testing` makes it. */
export interface TimeTravellingDatabase extends Database {
  travel(duration: Duration): Promise<void>;
}

/** What became of a job in a test. */
export type Outcome = "completed" | "retry" | "dead" | "cancelled" | "lost";

/** What {@link createTestQueue} takes. */
export interface TestQueueOptions<Defs extends Definitions> extends Omit<QueueOptions<Defs>, "namespace" | "listen"> {
  /** Default `test`. */
  namespace?: string;
  /** Handlers for {@link TestQueue.drain}. */
  handlers?: Handlers<Defs>;
}

/** A client for tests, with a worker that runs only when told to. */
export interface TestQueue<Defs extends Definitions> {
  /** The client itself. */
  readonly queue: Queue<Defs>;
  /** Runs all jobs that are ready, and those that they push, and returns when none is left. */
  drain(): Promise<void>;
  /** Moves the clock: delayed jobs and schedules fall due, leases that would have ended end. */
  advance(duration: Duration): Promise<void>;
  /**
   * Asserts that a job whose payload has at least these values waits or runs on a queue.
   *
   * @returns the job
   */
  expectPushed<Name extends keyof Defs & string>(queue: Name, payload?: unknown): Promise<JobRecord>;
  /** Drains until a job that the predicate accepts has come to this end, now or in an earlier drain. */
  waitForJob(predicate: (job: Job) => boolean, outcome: Outcome): Promise<Job>;
}

const limit = 5000;

/** Makes a client for tests. */
export function createTestQueue<const Defs extends Definitions = Definitions>(
  db: TimeTravellingDatabase,
  options: TestQueueOptions<Defs>,
): TestQueue<Defs> {
  const { handlers = {}, namespace = "test", ...rest } = options;
  const queue = createQueue<Defs>(db, { ...rest, namespace, listen: false } as QueueOptions<Defs>);
  const ends: { job: Job; outcome: Outcome }[] = [];

  async function drain(): Promise<void> {
    const worker = queue.worker(handlers as Handlers<Defs>, { lanes: 1 });
    const errors: unknown[] = [];
    worker.on("worker:error", (error) => errors.push(error));
    worker.on("job:complete", (job) => ends.push({ job, outcome: "completed" }));
    for (const outcome of ["retry", "dead", "cancelled", "lost"] as const) {
      worker.on(`job:${outcome}`, (job: Job) => ends.push({ job, outcome }));
    }
    await worker.run({ until: "empty" });
    if (errors.length > 0) throw errors[0];
  }

  return {
    queue,
    drain,

    async advance(duration) {
      await db.travel(duration);
      // Leases are measured by the server's own clock, which cannot be moved, so their deadlines move instead.
      await db.query(
        `update queue.jobs set visibility_timeout_at = visibility_timeout_at - $2::interval
         where namespace = $1 and status = 'running'`,
        [namespace, interval(duration)],
      );
      await db.query("select * from queue.tick($1)", [namespace]);
    },

    async expectPushed(name, payload) {
      const { rows } = await db.query<{ id: string; payload: unknown }>(
        `select id::text as id, payload from queue.jobs
         where namespace = $1 and queue = $2 and phase < 9 order by jobs.id desc limit 100`,
        [namespace, name],
      );
      const found = rows.find((row) => payload === undefined || contains(row.payload, payload));
      const job = found && (await queue.getJob(found.id));
      if (job) return job;
      const seen = rows.map((row) => JSON.stringify(row.payload).slice(0, 200));
      throw new Error(
        `no job of queue ${name} has a payload with ${JSON.stringify(payload)}; there are ${
          seen.length === 0 ? "none" : `\n  ${seen.join("\n  ")}`
        }`,
      );
    },

    async waitForJob(predicate, outcome) {
      const until = performance.now() + limit;
      for (;;) {
        const end = ends.find((one) => one.outcome === outcome && predicate(one.job));
        if (end) return end.job;
        if (performance.now() > until) {
          const seen = ends.map((one) => `${one.job.queue} ${one.job.id} ${one.outcome}`);
          throw new HowdahError(`no such job has ended as ${outcome}; ended have: ${seen.join(", ") || "none"}`, {
            module: "queue",
            code: "job_not_found",
            sqlstate: "P0002",
          });
        }
        await drain();
      }
    },
  };
}

/** Whether a value has at least the parts of another. */
function contains(value: unknown, part: unknown): boolean {
  if (typeof part !== "object" || part === null) return Object.is(value, part);
  if (typeof value !== "object" || value === null || Array.isArray(value) !== Array.isArray(part)) return false;
  return Object.entries(part).every(([key, inner]) => contains((value as Record<string, unknown>)[key], inner));
}
