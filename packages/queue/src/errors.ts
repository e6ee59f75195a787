import {
  ConflictError,
  type Duration,
  type ErrorFields,
  HowdahError,
  milliseconds,
  toHowdahError,
  ValidationError,
} from "@howdah/core";

/** Every code of an error that the queue raises, in the database or in the client. */
export type QueueErrorCode =
  | "ack_batch_duplicate_job"
  | "ack_batch_length"
  | "all_namespaces_requires_bypass"
  | "batch_length"
  | "batch_too_large"
  | "concurrency_key_empty"
  | "concurrency_key_too_long"
  | "counters_invalid"
  | "cron_empty"
  | "cron_fields"
  | "cron_invalid"
  | "cron_never"
  | "cron_step_zero"
  | "cron_too_long"
  | "cursor_invalid"
  | "dead_letter_already_retried"
  | "dead_letter_id_null"
  | "dead_letter_not_found"
  | "delay_null"
  | "duplicate_job"
  | "extension_null"
  | "extension_positive"
  | "fair_key_empty"
  | "fair_key_too_long"
  | "fence_null"
  | "fence_stale"
  | "field_unknown"
  | "floors_invalid"
  | "interval_not_positive"
  | "items_invalid"
  | "job_cancelled"
  | "job_id_null"
  | "job_not_found"
  | "job_not_running"
  | "job_timeout"
  | "limit_null"
  | "limit_too_large"
  | "max_attempts_range"
  | "misfire_invalid"
  | "namespace_empty"
  | "namespace_invalid_chars"
  | "namespace_null"
  | "namespace_too_long"
  | "namespace_whitespace"
  | "not_positive"
  | "older_than_null"
  | "on_conflict_invalid"
  | "options_invalid"
  | "outcome_invalid"
  | "overlap_invalid"
  | "payload_invalid"
  | "payload_null"
  | "payload_too_large"
  | "priority_range"
  | "queue_empty"
  | "queue_invalid_chars"
  | "queue_name_mismatch"
  | "queue_null"
  | "queue_too_long"
  | "queue_unknown"
  | "queue_whitespace"
  | "range_too_large"
  | "rls_not_active"
  | "schedule_cron_and_interval"
  | "schedule_duplicate"
  | "schedule_name_empty"
  | "schedule_name_invalid_chars"
  | "schedule_name_null"
  | "schedule_name_too_long"
  | "schedule_name_whitespace"
  | "schedule_not_found"
  | "schedule_requires_schedule"
  | "settings_invalid"
  | "state_invalid"
  | "tags_limit"
  | "tenant_mismatch"
  | "timezone_unknown"
  | "unique_key_empty"
  | "unique_key_null"
  | "unique_key_too_long"
  | "worker_id_empty"
  | "worker_id_null"
  | "worker_id_too_long"
  | "worker_stopped";

type Fields = Partial<Omit<ErrorFields, "module" | "code">>;

/** The job is no longer the caller's: its lease ended, and whatever was computed for it must be thrown away. */
export class FenceStaleError extends ConflictError {}

/** A payload cannot be stored as JSON, or is not what the queue's schema says. */
export class PayloadInvalidError extends ValidationError {
  /** Where in the payload, such as `$.to[0]`. */
  readonly path: string;

  constructor(path: string, problem: string, fields: Fields = {}) {
    super(`payload is invalid at ${path}: ${problem}`, {
      module: "queue",
      code: "payload_invalid",
      sqlstate: "22023",
      detail: { path },
      ...fields,
    });
    this.path = path;
  }
}

/** Why a job's `signal` was aborted: one subclass for each reason. */
export class JobAbortedError extends HowdahError {}

/** Somebody asked for the job to be cancelled. */
export class JobCancelledError extends JobAbortedError {
  constructor(id: string) {
    super(`job ${id} was asked to stop`, { module: "queue", code: "job_cancelled", sqlstate: "57014" });
  }
}

/** The lease ended and the job may run elsewhere by now. */
export class JobLostError extends JobAbortedError {
  constructor(id: string) {
    super(`job ${id} is no longer leased to this worker`, { module: "queue", code: "fence_stale", sqlstate: "40001" });
  }
}

/** The job ran longer than the worker's `timeout`. */
export class JobTimeoutError extends JobAbortedError {
  constructor(id: string, timeout: number) {
    super(`job ${id} ran longer than ${timeout} ms`, {
      module: "queue",
      code: "job_timeout",
      sqlstate: "57014",
      detail: { limit: timeout },
    });
  }
}

/** The worker stops and its deadline has passed. The job goes back to the queue with its attempt given back. */
export class WorkerStoppedError extends JobAbortedError {
  constructor() {
    super("the worker stops", { module: "queue", code: "worker_stopped", sqlstate: "57P01" });
  }
}

/** Thrown by a handler: try again after this time, whatever the queue's backoff says. It counts as an attempt. */
export class RetryLater extends Error {
  readonly delay: number;

  constructor(delay: Duration, message = "retry later", options?: ErrorOptions) {
    super(message, options);
    this.name = "RetryLater";
    this.delay = Math.max(0, milliseconds(delay));
  }
}

/** Thrown by a handler: this will never work. The job becomes a dead letter at once. */
export class Fail extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "Fail";
  }
}

/** Thrown by a handler: not now. The job runs again after this time, and this attempt does not count. */
export class Snooze extends Error {
  readonly delay: number;

  constructor(delay: Duration) {
    super("snoozed");
    this.name = "Snooze";
    this.delay = Math.max(0, milliseconds(delay));
  }
}

export const invalid = (code: QueueErrorCode, message: string, fields: Fields = {}): ValidationError =>
  new ValidationError(message, { module: "queue", code, sqlstate: "22023", ...fields });

/** Throws an error of a call as the class that the queue has for it. */
export function rethrow(thrown: unknown): never {
  const error = toHowdahError(thrown);
  if (error instanceof ConflictError && error.module === "queue" && error.code === "fence_stale") {
    if (error instanceof FenceStaleError) throw error;
    const { message, module, code, sqlstate, detail, hint } = error;
    throw new FenceStaleError(message, { module, code, sqlstate, detail, hint, cause: error });
  }
  throw error;
}

/** The SQLSTATE of an error, or an empty text. */
export function sqlstateOf(error: unknown): string {
  if (error instanceof HowdahError) return error.sqlstate;
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}

/** Whether a call failed because the job belongs to somebody else by now. */
export const isFenceStale = (error: unknown): boolean =>
  error instanceof HowdahError && error.module === "queue" && error.code === "fence_stale";
