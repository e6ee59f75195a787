// pg-boss, as fast as its documented options make it. It publishes no benchmark settings, so these were chosen by trying.
//
// - Batches with `burstWhenBatchFull`, so that a worker polls at once while batches come back full, and 4 of these loops:
//   with 2 or 24 loops it was slower, and calling fetch() and complete() by hand was no faster than its worker.
// - `notify` only where latency is the question: it halves the rate of single pushes and gains nothing for full queues.
// - Supervision and cron off: both would only take time from the rows below.
import { PgBoss } from "pg-boss";
import { CONNECTIONS, type Favour, type OpenQueue, type Payload } from "./system.ts";

const QUEUE = "email";

export async function pgBoss(url: string, favour: Favour): Promise<OpenQueue> {
  const notify = favour === "latency";
  const boss = new PgBoss({
    connectionString: url,
    max: CONNECTIONS,
    supervise: false,
    schedule: false,
    useListenNotify: notify,
  });
  boss.on("error", (error) => console.error(error));
  await boss.start();
  await boss.createQueue(QUEUE, { notify });

  return {
    async push(payload) {
      await boss.send(QUEUE, payload);
    },

    async pushMany(payloads) {
      await boss.insert(
        QUEUE,
        payloads.map((data) => ({ data })),
      );
    },

    async work(batch, handle) {
      const options = { batchSize: batch, localConcurrency: 4, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 };
      await boss.work<Payload>(QUEUE, options, async (jobs) => {
        for (const job of jobs) await handle(job.data);
      });
      return () => boss.offWork(QUEUE, { wait: true });
    },

    isEmpty: "select not exists (select from pgboss.job where state < 'completed') as is_empty",

    async close() {
      await boss.stop({ graceful: false, close: true });
    },
  };
}
