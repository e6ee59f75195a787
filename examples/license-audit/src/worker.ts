// A worker process. It may be killed at any moment: what it had in its hands is run again by another.
import { createQueue } from "@howdah/queue";
import { licenses, namespace } from "./audit.ts";
import { findLicense } from "./license.ts";

const [url = "", name = "worker"] = process.argv.slice(2);
const queue = createQueue(url, { namespace, queues: { licenses } });

const worker = queue.worker(
  {
    licenses: async (job, context) => {
      const { name: title, license, kind } = await findLicense(job.payload.path);
      // The row and the acknowledgement commit together or not at all, so each package is counted exactly once.
      await context.tx((tx) =>
        tx.query(
          `update audit.packages set name = $3, license = $4, kind = $5, attempt = $6, found_by = $7
           where namespace = $1 and path = $2`,
          [namespace, job.payload.path, title, license, kind, job.attempt, name],
        ),
      );
    },
  },
  { workerId: name, concurrency: 4, prefetch: 8, visibilityTimeout: "2s" },
);

await worker.start();
process.once("SIGTERM", () => void worker.stop().then(() => process.exit(0)));
