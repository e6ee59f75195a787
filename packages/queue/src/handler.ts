import type { Job, JobContext } from "./job.ts";

/** What may become of one job of a batch: nothing for done, or what a handler would have thrown. */
export type BatchResult = undefined | Error;

/** A handler of many jobs at once, made by {@link batchHandler}. */
export interface BatchHandler<Payload, Push = unknown> {
  readonly size: number;
  readonly run: (jobs: readonly Job<Payload>[], contexts: readonly JobContext<Push>[]) => unknown;
}

/**
 * Makes a handler that gets up to `size` waiting jobs at once, for work that is cheaper together.
 *
 * `run` may return (a promise of) one {@link BatchResult} per job, in their order: undefined for done, or an error, treated as
 * if a handler of that job had thrown it. If it throws, all of them failed; if it returns nothing, all of them are done.
 */
export function batchHandler<Payload, Push = unknown>(
  size: number,
  run: BatchHandler<Payload, Push>["run"],
): BatchHandler<Payload, Push> {
  return { size, run };
}

/** A handler of single jobs, or of batches. What it returns is awaited and otherwise ignored. */
export type Handler<Payload, Push = unknown> =
  | ((job: Job<Payload>, context: JobContext<Push>) => unknown)
  | BatchHandler<Payload, Push>;
