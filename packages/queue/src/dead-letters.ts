import { type Duration, ModuleClient } from "@howdah/core";
import { rethrow } from "./errors.ts";
import * as sql from "./functions.ts";
import type { JobId } from "./job.ts";

/** A job that failed for good. */
export interface DeadLetter {
  id: string;
  queue: string;
  /** The id that the job had. */
  originalJobId: JobId;
  payload: unknown;
  priority: number;
  tags: string[];
  metadata: unknown;
  failedAt: Date;
  attempts: number;
  maxAttempts: number;
  lastError: string | null;
  reasonCode: "attempts_exhausted" | "failed" | "timeouts" | "expired" | "dependency";
  /** The last ten errors. */
  errors: { attempt: number; at: string; error: string }[] | null;
  retriedAt: Date | null;
  retryJobId: JobId | null;
  scheduleName: string | null;
  actorId: string | null;
  requestId: string | null;
  onBehalfOf: string | null;
  reason: string | null;
  createdAt: Date;
}

/** Jobs that failed for good: to look at, to run again, to throw away. */
export class DeadLetters extends ModuleClient {
  /** Lists dead letters, newest first; `cursor` is the id of the last one of the page before. */
  list(options: { queue?: string; retried?: boolean; limit?: number; cursor?: string } = {}): Promise<DeadLetter[]> {
    return this.call(sql.listDeadLetters, options).catch(rethrow);
  }

  /** One dead letter, or null. */
  get(id: string): Promise<DeadLetter | null> {
    return this.call(sql.getDeadLetter, { deadLetterId: id }).catch(rethrow);
  }

  /**
   * Makes a dead letter a job again, with all its attempts, on its own queue or another one.
   *
   * @throws {NotFoundError} `dead_letter_not_found`
   * @throws {ValidationError} `dead_letter_already_retried`
   */
  retry(id: string, options: { queue?: string } = {}): Promise<JobId> {
    return this.call(sql.retryDeadLetter, { deadLetterId: id, ...options }).catch(rethrow);
  }

  /** Makes up to `limit` (100, at most 1000) dead letters of a queue jobs again, oldest first. */
  retryMany(queue: string, options: { limit?: number } = {}): Promise<{ deadLetterId: string; jobId: JobId }[]> {
    return this.call(sql.retryDeadLetters, { queue, ...options }).catch(rethrow);
  }

  /**
   * Deletes dead letters that were never retried and are older than `olderThan` (30 days).
   *
   * @returns how many
   */
  purge(options: { queue?: string; olderThan?: Duration } = {}): Promise<number> {
    return this.call(sql.purgeDeadLetters, options).catch(rethrow);
  }
}
