// What becomes of a job whose handler did not simply return.
import { interval } from "@howdah/core";
import {
  Fail,
  JobCancelledError,
  JobLostError,
  PayloadInvalidError,
  RetryLater,
  Snooze,
  WorkerStoppedError,
} from "./errors.ts";
import type { Claim } from "./job.ts";

/** How a job goes back to the database other than done. */
export interface Settlement {
  readonly claim: Claim;
  readonly outcome: "nack" | "fail" | "snooze" | "release" | "cancelled";
  readonly error?: unknown;
  /** Until it runs again; the queue's backoff if not given. */
  readonly delay?: number | undefined;
}

/** The settlement that an error of a handler asks for; nothing for a job that is lost anyway. */
export function settlementOf(claim: Claim, error: unknown): Settlement | undefined {
  const { reason } = claim;
  if (reason instanceof JobLostError) return undefined;
  if (error instanceof Snooze) return { claim, outcome: "snooze", delay: error.delay };
  if (error instanceof RetryLater) return { claim, outcome: "nack", error, delay: error.delay };
  if (error instanceof Fail || error instanceof PayloadInvalidError) return { claim, outcome: "fail", error };
  if (reason instanceof JobCancelledError) return { claim, outcome: "cancelled", error };
  if (reason instanceof WorkerStoppedError) return { claim, outcome: "release" };
  return { claim, outcome: "nack", error: reason ?? error };
}

/** A settlement as `queue.settle_batch` takes it. */
export const settlementItem = ({ claim, outcome, error, delay }: Settlement): object => ({
  id: claim.id,
  fence: claim.fence,
  outcome,
  error: error === undefined ? undefined : errorText(error),
  delay: delay === undefined ? undefined : interval(delay),
});

/** An error as its job keeps it: name, message and where it was thrown; jsonb cannot hold U+0000. */
export function errorText(error: unknown): string {
  return textOf(error)
    .slice(0, 8192)
    .replaceAll("\0", "\\0")
    .replace(/\p{Surrogate}/gu, "\ufffd");
}

/** Handlers may throw anything, even what cannot be turned into text. */
function textOf(error: unknown): string {
  try {
    return String(error instanceof Error ? (error.stack ?? error) : error);
  } catch {
    return "the handler threw something that has no text";
  }
}
