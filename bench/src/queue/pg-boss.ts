// pg-boss, as fast as its documented options make it. It publishes no benchmark settings, so these were chosen by trying.
//
// - Batches with `burstWhenBatchFull`, so that a worker polls at once while batches come back full. Of 2, 4, 8, 12 and 24 such
//   loops, 4 were fastest with batches of 500 and 8 with batches of 10. Calling fetch() and complete() by hand instead of
//   work() was 2 to 5 percent faster; the comparison is between workers.
// - `notify` only where latency is the question: pushes ring for each job then, and a full queue gains nothing.
// - Supervision and cron off: both would only take time from the rows.
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
      const localConcurrency = batch < 100 ? 8 : 4;
      const options = { batchSize: batch, localConcurrency, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 };
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
