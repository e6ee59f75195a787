// What the tests of the SQL functions share.
import { HowdahError, type Queryable, toHowdahError } from "@howdah/core";
import { expect } from "vitest";

/** A row of queue.jobs as `pg` reads it. */
export interface Job {
  id: string;
  queue: string;
  status: string;
  phase: number;
  payload: unknown;
  priority: number;
  attempts: number;
  max_attempts: number;
  timeouts: number;
  scheduled_at: Date;
  created_at: Date;
  completed_at: Date | null;
  expires_at: Date | null;
  locked_by: string | null;
  locked_at: Date | null;
  visibility_timeout_at: Date | null;
  fence_token: string | null;
  fair_seq: string;
  unique_key: string | null;
  concurrency_key: string | null;
  fair_key: string | null;
  error: string | null;
  errors: { attempt: number; error: string | null }[] | null;
  tags: string[];
  metadata: unknown;
  progress: unknown;
  trace: unknown;
  keep_result: boolean | null;
  cancel_reason: string | null;
  actor_id: string | null;
  request_id: string | null;
  on_behalf_of: string | null;
  reason: string | null;
}

/** A job as it was claimed. */
export type Claimed = Job & { fence_token: string };

/** All rows of a statement. */
export async function rows<R>(db: Queryable, sql: string, values: unknown[] = []): Promise<R[]> {
  return (await db.query<R>(sql, values)).rows;
}

/** The only column of the only row of a statement. */
export async function value<V>(db: Queryable, sql: string, values: unknown[] = []): Promise<V> {
  const [row] = await rows<Record<string, V>>(db, sql, values);
  return Object.values(row ?? {})[0] as V;
}

/** Pushes a job on queue q of tenant t. */
export const push = (db: Queryable, payload: unknown = 1, options = ""): Promise<string> =>
  value(db, `select queue.push('t', 'q', $1${options && `, ${options}`})`, [JSON.stringify(payload)]);

/** Pulls one job from queue q of tenant t, which must have one. */
export async function pull(db: Queryable, worker = "w", timeout: string | null = null): Promise<Claimed> {
  const [job] = await rows<Claimed>(db, "select * from queue.pull('t', 'q', $1, $2)", [worker, timeout]);
  if (!job) throw new Error("No job was ready");
  return job;
}

/** The row of a job of tenant t; undefined if it is gone. */
export const row = async (db: Queryable, id: string): Promise<Job | undefined> =>
  (await rows<Job>(db, "select * from queue.jobs where namespace = 't' and id = $1", [id]))[0];

/** Ends a job's lease now. */
export const expire = (db: Queryable, id: string): Promise<unknown> =>
  db.query(
    `update queue.jobs set visibility_timeout_at = clock_timestamp() - interval '1 millisecond'
     where namespace = 't' and id = $1`,
    [id],
  );

/** Asserts that a call fails with a code of the queue, such as `fence_stale 40001`. */
export async function refuses(call: Promise<unknown>, code: string): Promise<void> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => toHowdahError(reason),
  );
  if (error !== undefined && !(error instanceof HowdahError)) throw error;
  expect(error && `${error.module} ${error.code} ${error.sqlstate}`).toBe(`queue ${code}`);
}

/** Empties what jobs leave behind. */
export const wipe = (db: Queryable): Promise<unknown> =>
  db.query(
    `truncate queue.jobs, queue.leases, queue.dead_letters, queue.queues, queue.throttle_keys, queue.workers, queue.metrics,
       queue.audit_events;
     delete from queue.config where namespace <> 'global'`,
  );
