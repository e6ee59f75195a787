// graphile-worker, with the settings of its own published benchmark (https://worker.graphile.org/docs/performance):
// 24 concurrent jobs, 25 connections, a local queue as large as the batch, completions gathered per turn of the event loop.
// Gathering them for 5 or 250 ms, as its documentation suggests to try, took less CPU per job in large batches but ran fewer.
import { Logger, makeWorkerUtils, run, runMigrations } from "graphile-worker";
import { Pool } from "pg";
import { CONCURRENCY, CONNECTIONS, type Favour, type OpenQueue, type Payload } from "./system.ts";

const TASK = "email";

export async function graphileWorker(url: string, favour: Favour): Promise<OpenQueue> {
  // One pool for producers and worker, as for the other systems. The listeners only keep it from warning about their absence.
  const pgPool = new Pool({ connectionString: url, max: CONNECTIONS });
  pgPool.on("error", () => {});
  pgPool.on("connect", (client) => client.on("error", () => {}));
  const logger = new Logger(() => () => {});
  await runMigrations({ pgPool, logger });
  const producer = await makeWorkerUtils({ pgPool, logger });

  return {
    async push(payload) {
      await producer.addJob(TASK, payload);
    },

    async pushMany(payloads) {
      await producer.addJobs(payloads.map((payload) => ({ identifier: TASK, payload })));
    },

    async work(batch, handle) {
      const runner = await run({
        pgPool,
        logger,
        noHandleSignals: true,
        taskList: { [TASK]: (payload) => handle(payload as Payload) },
        preset: {
          worker: {
            concurrentJobs: CONCURRENCY,
            maxPoolSize: CONNECTIONS,
            localQueue: {
              size: batch,
              // Meant for very high scale: a worker that finds nothing waits a little, instead of answering each NOTIFY with a
              // query. Pushing beside a worker was a quarter faster, and a job may start this much later.
              ...(favour === "throughput" ? { refetchDelay: { durationMs: 100 } } : {}),
            },
            completeJobBatchDelay: 0,
            failJobBatchDelay: 0,
          },
        },
      });
      return () => runner.stop();
    },

    isEmpty: "select not exists (select from graphile_worker._private_jobs) as is_empty",

    async close() {
      await producer.release();
      await pgPool.end();
    },
  };
}
