import type { StandardSchemaV1 } from "@standard-schema/spec";
import { z } from "zod";
import { duration, parseOptions } from "./options.ts";

const settings = z.strictObject({
  retry: z
    .strictObject({
      /** How often a job runs before it becomes a dead letter, 1 to 30. */
      maxAttempts: z.int().min(1).max(30).optional(),
      /** How long a failed job waits. */
      backoff: z
        .strictObject({
          type: z.enum(["fixed", "linear", "exponential"]).optional(),
          /** The wait after the first attempt. */
          base: duration.optional(),
          /** The longest wait. */
          max: duration.optional(),
          /** By which part of itself a wait is varied at random, 0 to 1. */
          jitter: z.number().min(0).max(1).optional(),
        })
        .optional(),
    })
    .optional(),
  /** How long a lease lasts. */
  visibilityTimeout: duration.optional(),
  /** When a push notifies: only while a worker sleeps (`idle`, the default), always, or never. */
  notify: z.enum(["idle", "always", "off"]).default("idle"),
  /** How long ended jobs are kept, where they are kept. */
  retention: duration.optional(),
});

/** Settings of a queue that `sync()` writes to the database. */
export type QueueSettings = z.input<typeof settings>;

/** A queue, its payloads' types and its settings, made by {@link defineQueue}. */
export interface QueueDefinition<Name extends string = string, Input = unknown, Output = unknown> {
  readonly name: Name;
  readonly schema: StandardSchemaV1<Input, Output> | undefined;
  readonly settings: z.output<typeof settings>;
}

/**
 * Describes a queue once for its producers and its workers.
 *
 * @param name    the queue's name in the database
 * @param options `schema`, any Standard Schema (zod, valibot, arktype, ...), types and checks payloads; the rest are settings
 *   that `sync()` writes to the database
 */
export function defineQueue<const Name extends string, Input = unknown, Output = Input>(
  name: Name,
  options: QueueSettings & { schema?: StandardSchemaV1<Input, Output> } = {},
): QueueDefinition<Name, Input, Output> {
  const { schema, ...rest } = options;
  return { name, schema, settings: parseOptions(settings, rest, `queue ${name}`) };
}
