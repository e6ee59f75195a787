export type { DeadLetter, DeadLetters } from "./dead-letters.ts";
export { defineQueue, type QueueDefinition, type QueueSettings } from "./definition.ts";
export {
  Fail,
  FenceStaleError,
  JobAbortedError,
  JobCancelledError,
  JobLostError,
  JobTimeoutError,
  PayloadInvalidError,
  type QueueErrorCode,
  RetryLater,
  Snooze,
  WorkerStoppedError,
} from "./errors.ts";
export { type BatchHandler, type BatchResult, batchHandler, type Handler } from "./handler.ts";
export type { Job, JobContext, JobId } from "./job.ts";
export { queueModule } from "./module.ts";
export type { Json } from "./payload.ts";
export {
  createQueue,
  type Definitions,
  type EachOptions,
  type Handlers,
  type Held,
  type InputOf,
  type JobEntry,
  type JobRecord,
  type JobState,
  type ListOptions,
  type OutputOf,
  type PulledJob,
  type PullOptions,
  type Push,
  type PushBatchOptions,
  type PushOptions,
  Queue,
  type QueueOptions,
  type QueueStats,
  type Stats,
} from "./queue.ts";
export type { Schedule, ScheduleEntry, ScheduleOptions, Schedules } from "./schedules.ts";
export { Worker, type WorkerEvents, type WorkerOptions } from "./worker.ts";
