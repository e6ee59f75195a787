// The SQL functions that the client calls, in the order of the SQL files.
import { type Duration, type Fn, fn } from "@howdah/core";
import type { DeadLetter } from "./dead-letters.ts";
import type { JobId } from "./job.ts";
import type { JobEntry, JobRecord, PulledJob, QueueStats, Stats } from "./queue.ts";
import type { Schedule, ScheduleEntry } from "./schedules.ts";

interface HeldArgs {
  jobId: JobId;
  fence: string;
}
const held = { jobId: "bigint", fence: "bigint" } as const;

interface NameArgs {
  name: string;
}

// --- cancel

export const cancel = fn<{ jobId: JobId }, boolean>("queue.cancel", { args: { jobId: "bigint" }, returns: "value" });

export const requestCancel = fn<{ jobId: JobId; reason?: string | undefined }, "cancelled" | "requested" | "not_found">(
  "queue.request_cancel",
  { args: { jobId: "bigint", reason: "text" }, returns: "value" },
);

export const controlChannel = fn<Record<never, never>, string>("queue.control_channel", {
  args: {},
  returns: "value",
  isReadOnly: true,
});

export const cancelled = fn<HeldArgs, boolean>("queue.cancelled", { args: held, returns: "value" });

export const purgeQueue = fn<{ queue: string }, number>("queue.purge_queue", {
  args: { queue: "text" },
  returns: "value",
});

// --- dead letters

export const retryDeadLetter = fn<{ deadLetterId: string; queue?: string | undefined }, JobId>(
  "queue.retry_dead_letter",
  { args: { deadLetterId: "bigint", queue: "text" }, returns: "value", value: "bigint" },
);

export const retryDeadLetters = fn<
  { queue: string; limit?: number | undefined },
  { deadLetterId: string; jobId: JobId }[]
>("queue.retry_dead_letters", {
  args: { queue: "text", limit: "int" },
  returns: "rows",
  columns: { deadLetterId: "bigint", jobId: "bigint" },
});

export const purgeDeadLetters = fn<{ queue?: string | undefined; olderThan?: Duration | undefined }, number>(
  "queue.purge_dead_letters",
  { args: { queue: "text", olderThan: "interval" }, returns: "value" },
);

const deadLetterColumns = {
  id: "bigint",
  queue: "text",
  originalJobId: "bigint",
  payload: "jsonb",
  priority: "int",
  tags: "text[]",
  metadata: "jsonb",
  failedAt: "timestamptz",
  attempts: "int",
  maxAttempts: "int",
  lastError: "text",
  reasonCode: "text",
  errors: "jsonb",
  retriedAt: "timestamptz",
  retryJobId: "bigint",
  scheduleName: "text",
  actorId: "text",
  requestId: "text",
  onBehalfOf: "text",
  reason: "text",
  createdAt: "timestamptz",
} as const;

export const getDeadLetter = fn<{ deadLetterId: string }, DeadLetter | null>("queue.get_dead_letter", {
  args: { deadLetterId: "bigint" },
  returns: "row",
  columns: deadLetterColumns,
  isReadOnly: true,
});

export const listDeadLetters = fn<
  {
    queue?: string | undefined;
    retried?: boolean | undefined;
    limit?: number | undefined;
    cursor?: string | undefined;
  },
  DeadLetter[]
>("queue.list_dead_letters", {
  args: { queue: "text", retried: "boolean", limit: "int", cursor: "bigint" },
  returns: "rows",
  columns: deadLetterColumns,
  isReadOnly: true,
});

// --- heartbeat

export const heartbeat = fn<
  { workerId: string; jobIds: readonly JobId[]; fences: readonly string[]; extend: Duration | null },
  { jobId: JobId; alive: boolean; cancelRequested: boolean }[]
>("queue.heartbeat", {
  args: { workerId: "text", jobIds: "bigint[]", fences: "bigint[]", extend: "interval" },
  returns: "rows",
  columns: { jobId: "bigint", alive: "boolean", cancelRequested: "boolean" },
});

export const registerWorker = fn<
  { workerId: string; queues: readonly string[]; host: string; pid: number; concurrency: number },
  void
>("queue.register_worker", {
  args: { workerId: "text", queues: "text[]", host: "text", pid: "int", concurrency: "int" },
  returns: "void",
});

export const unregisterWorker = fn<{ workerId: string }, number>("queue.unregister_worker", {
  args: { workerId: "text" },
  returns: "value",
});

export const setProgress = fn<HeldArgs & { progress: unknown }, boolean>("queue.set_progress", {
  args: { ...held, progress: "jsonb" },
  returns: "value",
});

// --- notify

export const channelName = fn<{ queue: string }, string>("queue.channel_name", {
  args: { queue: "text" },
  returns: "value",
  isReadOnly: true,
});

export const bell = fn<{ queue: string }, string>("queue.bell", {
  args: { queue: "text" },
  returns: "value",
  value: "bigint",
  isReadOnly: true,
});

// --- pull

const pulledColumns = {
  id: "bigint",
  fenceToken: "bigint",
  queue: "text",
  payload: "jsonb",
  attempts: "int",
  maxAttempts: "int",
  priority: "int",
  scheduledAt: "timestamptz",
  visibilityTimeoutAt: "timestamptz",
  tags: "text[]",
  metadata: "jsonb",
  trace: "jsonb",
} as const;

interface PullArgs {
  workerId?: string | undefined;
  visibilityTimeout?: Duration | undefined;
}
const pullArgs = { workerId: "text", visibilityTimeout: "interval" } as const;

export const pull: Fn<PullArgs & { queue: string }, PulledJob | null> = fn("queue.pull", {
  args: { queue: "text", ...pullArgs },
  returns: "row",
  columns: pulledColumns,
});

export const pullBatch: Fn<PullArgs & { queue: string; limit: number }, PulledJob[]> = fn("queue.pull_batch", {
  args: { queue: "text", limit: "int", ...pullArgs },
  returns: "rows",
  columns: pulledColumns,
});

export const pullAny: Fn<PullArgs & { queues: readonly string[] }, PulledJob | null> = fn("queue.pull_any", {
  args: { queues: "text[]", ...pullArgs },
  returns: "row",
  columns: pulledColumns,
});

// --- push

/** The arguments of `queue.push`. */
export interface PushArgs {
  queue: string;
  payload: unknown;
  delay?: Duration | undefined;
  priority?: number | undefined;
  maxAttempts?: number | undefined;
  uniqueKey?: string | undefined;
  tags?: readonly string[] | undefined;
  metadata?: unknown;
  runAt?: Date | undefined;
  expiresIn?: Duration | undefined;
  onConflict?: string | undefined;
  throttle?: Duration | undefined;
  trace?: unknown;
}

export const push = fn<PushArgs, JobId | null>("queue.push", {
  args: {
    queue: "text",
    payload: "jsonb",
    delay: "interval",
    priority: "int",
    maxAttempts: "int",
    uniqueKey: "text",
    tags: "text[]",
    metadata: "jsonb",
    runAt: "timestamptz",
    expiresIn: "interval",
    onConflict: "text",
    throttle: "interval",
    trace: "jsonb",
  },
  returns: "value",
  value: "bigint",
});

/** The arguments of `queue.push_batch`: what holds for all jobs, and one element per job. */
export interface PushBatchArgs {
  queue: string;
  payloads: readonly unknown[];
  priority?: number | undefined;
  maxAttempts?: number | undefined;
  tags?: readonly string[] | undefined;
  uniqueKeys?: readonly (string | undefined)[] | undefined;
  delays?: readonly (Duration | undefined)[] | undefined;
  metadata?: readonly unknown[] | undefined;
  priorities?: readonly (number | undefined)[] | undefined;
}

export const pushBatch = fn<PushBatchArgs, (JobId | null)[]>("queue.push_batch", {
  args: {
    queue: "text",
    payloads: "jsonb[]",
    priority: "int",
    maxAttempts: "int",
    tags: "text[]",
    uniqueKeys: "text[]",
    delays: "interval[]",
    metadata: "jsonb[]",
    priorities: "int[]",
  },
  returns: "value",
  value: "bigint[]",
});

// --- schedules

/** The arguments of `queue.create_schedule`. */
export interface CreateScheduleArgs extends NameArgs {
  queue: string;
  payload: unknown;
  cronExpression?: string | undefined;
  cronTimezone?: string | undefined;
  everyInterval?: Duration | undefined;
  priority?: number | undefined;
  maxAttempts?: number | undefined;
  tags?: readonly string[] | undefined;
  isActive?: boolean | undefined;
  misfire?: string | undefined;
  overlap?: string | undefined;
  jitter?: Duration | undefined;
  startsAt?: Date | undefined;
  endsAt?: Date | undefined;
  upsert?: boolean | undefined;
}

export const createSchedule = fn<CreateScheduleArgs, string>("queue.create_schedule", {
  args: {
    name: "text",
    queue: "text",
    payload: "jsonb",
    cronExpression: "text",
    cronTimezone: "text",
    everyInterval: "interval",
    priority: "int",
    maxAttempts: "int",
    tags: "text[]",
    isActive: "boolean",
    misfire: "text",
    overlap: "text",
    jitter: "interval",
    startsAt: "timestamptz",
    endsAt: "timestamptz",
    upsert: "boolean",
  },
  returns: "value",
  value: "bigint",
});

const entryColumns = {
  name: "text",
  queue: "text",
  cronExpression: "text",
  everyInterval: "interval",
  isActive: "boolean",
  nextRunAt: "timestamptz",
  lastRunAt: "timestamptz",
  runCount: "bigint",
  createdAt: "timestamptz",
} as const;

export const getSchedule = fn<NameArgs, Schedule | null>("queue.get_schedule", {
  args: { name: "text" },
  returns: "row",
  columns: {
    id: "bigint",
    ...entryColumns,
    payload: "jsonb",
    priority: "int",
    maxAttempts: "int",
    tags: "text[]",
    cronTimezone: "text",
    lastJobId: "bigint",
    updatedAt: "timestamptz",
  },
  isReadOnly: true,
});

export const listSchedules = fn<
  {
    queue?: string | undefined;
    isActive?: boolean | undefined;
    limit?: number | undefined;
    cursor?: string | undefined;
  },
  ScheduleEntry[]
>("queue.list_schedules", {
  args: { queue: "text", isActive: "boolean", limit: "int", cursor: "text" },
  returns: "rows",
  columns: entryColumns,
  isReadOnly: true,
});

const onSchedule = (name: string): Fn<NameArgs, boolean> => fn(name, { args: { name: "text" }, returns: "value" });

export const deleteSchedule = onSchedule("queue.delete_schedule");
export const pauseSchedule = onSchedule("queue.pause_schedule");
export const resumeSchedule = onSchedule("queue.resume_schedule");

export const runScheduleNow = fn<NameArgs, JobId>("queue.run_schedule_now", {
  args: { name: "text" },
  returns: "value",
  value: "bigint",
});

export const previewCron = fn<
  { expression: string; timezone?: string | undefined; from?: Date | undefined; count?: number | undefined },
  { runAt: Date }[]
>("queue.preview_cron", {
  args: { expression: "text", timezone: "text", from: "timestamptz", count: "int" },
  returns: "rows",
  columns: { runAt: "timestamptz" },
  isNamespaced: false,
  isReadOnly: true,
});

// --- settings

export const configureQueue = fn<{ queue: string; settings: unknown }, void>("queue.configure_queue", {
  args: { queue: "text", settings: "jsonb" },
  returns: "void",
});

export const pauseQueue = fn<{ queue: string }, boolean>("queue.pause_queue", {
  args: { queue: "text" },
  returns: "value",
});

export const resumeQueue = fn<{ queue: string }, boolean>("queue.resume_queue", {
  args: { queue: "text" },
  returns: "value",
});

// --- settle

export const ack = fn<HeldArgs, boolean>("queue.ack", { args: held, returns: "value" });

export const ackBatch = fn<{ jobIds: readonly JobId[]; fences: readonly string[] }, number>("queue.ack_batch", {
  args: { jobIds: "bigint[]", fences: "bigint[]" },
  returns: "value",
});

export const nack = fn<HeldArgs & { error?: string | undefined; backoff?: Duration | undefined }, boolean>(
  "queue.nack",
  { args: { ...held, error: "text", backoff: "interval" }, returns: "value" },
);

export const fail = fn<HeldArgs & { error?: string | undefined }, boolean>("queue.fail", {
  args: { ...held, error: "text" },
  returns: "value",
});

export const releaseBatch = fn<{ jobIds: readonly JobId[]; fences: readonly string[] }, number>("queue.release_batch", {
  args: { jobIds: "bigint[]", fences: "bigint[]" },
  returns: "value",
});

export const settleBatch = fn<{ items: readonly unknown[] }, { jobId: JobId; outcome: string }[]>(
  "queue.settle_batch",
  {
    args: { items: "jsonb" },
    returns: "rows",
    columns: { jobId: "bigint", outcome: "text" },
  },
);

export const release = fn<HeldArgs, boolean>("queue.release", { args: held, returns: "value" });

export const snooze = fn<HeldArgs & { delay: Duration; payload?: unknown }, boolean>("queue.snooze", {
  args: { ...held, delay: "interval", payload: "jsonb" },
  returns: "value",
});

export const extendVisibility = fn<HeldArgs & { extension: Duration }, boolean>("queue.extend_visibility", {
  args: { ...held, extension: "interval" },
  returns: "value",
});

// --- stats

export const getStats = fn<Record<never, never>, Stats>("queue.get_stats", {
  args: {},
  returns: "row",
  columns: {
    totalJobs: "bigint",
    pending: "bigint",
    running: "bigint",
    completed: "bigint",
    dead: "bigint",
    totalQueues: "bigint",
    delayed: "bigint",
    ready: "bigint",
    parked: "bigint",
    blocked: "bigint",
    cancelled: "bigint",
  },
  isReadOnly: true,
});

export const getQueueStats = fn<{ queue?: string | undefined }, QueueStats[]>("queue.get_queue_stats", {
  args: { queue: "text" },
  returns: "rows",
  columns: {
    queue: "text",
    pending: "bigint",
    running: "bigint",
    completed: "bigint",
    dead: "bigint",
    oldestPendingSeconds: "numeric",
    deadLetters: "bigint",
    delayed: "bigint",
    ready: "bigint",
    parked: "bigint",
    blocked: "bigint",
    paused: "boolean",
  },
  isReadOnly: true,
});

const entryColumnsOfJob = {
  id: "bigint",
  queue: "text",
  state: "text",
  status: "text",
  payload: "jsonb",
  priority: "int",
  attempts: "int",
  maxAttempts: "int",
  scheduledAt: "timestamptz",
  createdAt: "timestamptz",
  updatedAt: "timestamptz",
  lockedBy: "text",
  lockedAt: "timestamptz",
  visibilityTimeoutAt: "timestamptz",
  completedAt: "timestamptz",
  error: "text",
  uniqueKey: "text",
  tags: "text[]",
  metadata: "jsonb",
  progress: "jsonb",
  actorId: "text",
} as const;
const { state: _state, ...sharedColumns } = entryColumnsOfJob;
const recordColumns = {
  ...sharedColumns,
  trace: "jsonb",
  scheduleName: "text",
  requestId: "text",
  onBehalfOf: "text",
  reason: "text",
} as const;

export const getJob = fn<{ jobId: JobId }, JobRecord | null>("queue.get_job", {
  args: { jobId: "bigint" },
  returns: "row",
  columns: recordColumns,
  isReadOnly: true,
});

export const listJobs = fn<
  {
    queue?: string | undefined;
    state?: string | undefined;
    tags?: readonly string[] | undefined;
    limit?: number | undefined;
    cursor?: string | undefined;
    search?: string | undefined;
  },
  JobEntry[]
>("queue.list_jobs", {
  args: { queue: "text", state: "text", tags: "text[]", limit: "int", cursor: "text", search: "text" },
  returns: "rows",
  columns: { ...entryColumnsOfJob, searched: "int", cursor: "text" },
  isReadOnly: true,
});
