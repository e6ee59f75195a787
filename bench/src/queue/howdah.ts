// Ours, through the public client and worker with default settings. `prefetch` is the batch: how many jobs one exchange claims.
import { migrate } from "@howdah/core";
import { createQueue, queueModule } from "@howdah/queue";
import { Pool } from "pg";
import { CONCURRENCY, CONNECTIONS, type OpenQueue, type Payload } from "./system.ts";

const QUEUE = "email";

export async function howdah(url: string): Promise<OpenQueue> {
  const pool = new Pool({ connectionString: url, max: CONNECTIONS });
  await migrate(pool, [queueModule]);
  const queue = createQueue(pool, { namespace: "acme" });

  return {
    async push(payload) {
      await queue.push(QUEUE, payload);
    },

    async pushMany(payloads) {
      await queue.pushBatch(QUEUE, payloads);
    },

    async work(batch, handle) {
      const worker = queue.worker(
        { [QUEUE]: (job) => handle(job.payload as Payload) },
        { concurrency: CONCURRENCY, prefetch: batch },
      );
      await worker.start();
      return () => worker.stop();
    },

    isEmpty: "select not exists (select from queue.jobs where phase < 9) as is_empty",

    async close() {
      await pool.end();
    },
  };
}
