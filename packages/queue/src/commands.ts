import { type Command, defineCommand } from "@howdah/core";
import { z } from "zod";
import { createQueue } from "./queue.ts";

const namespace = z.string().describe("the tenant");
const queue = z.string().optional().describe("one queue only");
const limit = z.int().min(1).max(1000).default(50).describe("how many at most");
const name = z.string().describe("the schedule");

/** What the queue adds to the `howdah` command line. */
export const commands: readonly Command[] = [
  defineCommand({
    path: "queue stats",
    summary: "count the jobs of each queue",
    options: z.object({ namespace, queue }),
    run: (db, options) => createQueue(db, options).queueStats(options.queue),
  }),
  defineCommand({
    path: "queue dead-letters list",
    summary: "list jobs that failed for good, newest first",
    options: z.object({
      namespace,
      queue,
      limit,
      retried: z.boolean().default(false).describe("those that were tried again"),
    }),
    run: async (db, { namespace, queue, limit, retried }) => {
      const letters = await createQueue(db, { namespace }).deadLetters.list({ ...given({ queue }), limit, retried });
      return letters.map((letter) => ({
        id: letter.id,
        queue: letter.queue,
        failedAt: letter.failedAt,
        attempts: letter.attempts,
        reasonCode: letter.reasonCode,
        lastError: letter.lastError?.split("\n", 1)[0] ?? null,
      }));
    },
  }),
  defineCommand({
    path: "queue dead-letters retry",
    summary: "make dead letters jobs again: one by its id, or the oldest of a queue",
    options: z.object({
      namespace,
      queue,
      id: z.string().regex(/^\d+$/, "must be a number").optional().describe("one dead letter"),
      limit,
    }),
    run: async (db, { namespace, queue, id, limit }) => {
      const { deadLetters } = createQueue(db, { namespace });
      if (id !== undefined) return [{ deadLetterId: id, jobId: await deadLetters.retry(id, given({ queue })) }];
      return deadLetters.retryMany(queue ?? "", { limit });
    },
  }),
  defineCommand({
    path: "queue dead-letters purge",
    summary: "delete dead letters that were never tried again",
    options: z.object({
      namespace,
      queue,
      olderThan: z.string().default("30 days").describe("how long ago they failed at least"),
    }),
    confirm: ({ namespace, queue, olderThan }) =>
      `Delete the dead letters of ${queue === undefined ? "all queues" : `queue ${queue}`} of ${namespace} that failed more than ${olderThan} ago?`,
    run: async (db, { namespace, queue, olderThan }) => ({
      deleted: await createQueue(db, { namespace }).deadLetters.purge({ ...given({ queue }), olderThan }),
    }),
  }),
  defineCommand({
    path: "queue schedules list",
    summary: "list schedules by name",
    options: z.object({ namespace, queue, limit }),
    run: (db, { namespace, queue, limit }) =>
      createQueue(db, { namespace }).schedules.list({ ...given({ queue }), limit }),
  }),
  defineCommand({
    path: "queue schedules pause",
    summary: "stop a schedule until it is resumed",
    options: z.object({ namespace, name }),
    run: async (db, { namespace, name }) => ({ paused: await createQueue(db, { namespace }).schedules.pause(name) }),
  }),
  defineCommand({
    path: "queue schedules resume",
    summary: "let a schedule run again, from now on",
    options: z.object({ namespace, name }),
    run: async (db, { namespace, name }) => ({ resumed: await createQueue(db, { namespace }).schedules.resume(name) }),
  }),
  defineCommand({
    path: "queue schedules run",
    summary: "push a schedule's job now, beside its regular runs",
    options: z.object({ namespace, name }),
    run: async (db, { namespace, name }) => ({ jobId: await createQueue(db, { namespace }).schedules.runNow(name) }),
  }),
];

/** The options that were given. */
const given = ({ queue }: { queue: string | undefined }): { queue?: string } => (queue === undefined ? {} : { queue });
