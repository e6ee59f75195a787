import { setTimeout as sleep } from "node:timers/promises";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  batchHandler,
  createQueue,
  Fail,
  type Job,
  JobCancelledError,
  JobLostError,
  JobTimeoutError,
  type Queue,
  queueModule,
  RetryLater,
  Snooze,
  type Worker,
  WorkerStoppedError,
} from "../src/index.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
afterAll(() => db[Symbol.asyncDispose]());

let tenants = 0;
/** A client of a tenant of its own, so that tests share nothing. */
const client = (): Queue => createQueue(db, { namespace: `tenant${++tenants}` });

const namespaceOf = (queue: Queue): string =>
  (queue as unknown as { context: { namespace: string } }).context.namespace;

/** The jobs that are left in a tenant's tables. */
async function jobsOf(queue: Queue): Promise<Record<string, unknown>[]> {
  const { rows } = await db.pool.query("select * from queue.jobs where namespace = $1 order by id", [
    namespaceOf(queue),
  ]);
  return rows;
}

const once = (worker: Worker, event: "job:retry" | "job:dead" | "job:lost" | "job:complete" | "job:cancelled") =>
  new Promise<Job>((resolve) => worker.once(event, (job: Job) => resolve(job)));

describe("running jobs", () => {
  test("a worker runs what waits and leaves nothing behind", async () => {
    const queue = client();
    await queue.pushBatch("mail", [1, 2, 3]);
    const seen: unknown[] = [];
    await queue.worker({ mail: (job) => void seen.push(job.payload) }).run({ until: "empty" });
    expect(seen).toEqual([1, 2, 3]);
    expect(await jobsOf(queue)).toEqual([]);
    const { rows } = await db.pool.query(
      "select (select count(*)::int from queue.leases where namespace = $1) as leases, (select count(*)::int from queue.workers where namespace = $1) as workers",
      [namespaceOf(queue)],
    );
    expect(rows).toEqual([{ leases: 0, workers: 0 }]);
  });

  test("a handler that throws has its job tried again after the queue's backoff", async () => {
    const queue = client();
    await queue.configure("mail", { backoff_type: "fixed", backoff_base: "1 millisecond" });
    await queue.push("mail", 1, { maxAttempts: 3 });
    const attempts: number[] = [];
    await using worker = queue.worker({
      mail: (job) => {
        attempts.push(job.attempt);
        if (job.attempt < 3) throw new Error("smtp down");
      },
    });
    const completed = once(worker, "job:complete");
    await worker.start();
    await completed;
    expect(attempts).toEqual([1, 2, 3]);
  });
});
