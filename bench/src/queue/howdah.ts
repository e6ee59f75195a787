// Ours, through the public client and worker. Only the batch is given, so that all systems claim as many jobs at a time: by
// default the worker finds a size itself. The definition's settings are the defaults, among them the quiet NOTIFY.
import { migrate } from "@howdah/core";
import { createQueue, defineQueue, queueModule } from "@howdah/queue";
import { Pool } from "pg";
import { CONCURRENCY, CONNECTIONS, type OpenQueue, type Payload } from "./system.ts";

const email = defineQueue<"email", Payload>("email");

export async function howdah(url: string): Promise<OpenQueue> {
  const pool = new Pool({ connectionString: url, max: CONNECTIONS });
  await migrate(pool, [queueModule]);
  const queue = createQueue(pool, { namespace: "acme", queues: { email } });
  await queue.sync();

  return {
    async push(payload) {
      await queue.push("email", payload);
    },

    async pushMany(payloads) {
      await queue.pushBatch("email", payloads);
    },

    async work(batch, handle) {
      const worker = queue.worker(
        { email: (job) => handle(job.payload) },
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
