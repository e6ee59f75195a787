// What becomes of a job whose handler did not simply return.
import { interval } from "@howdah/core";
import {
  Fail,
  JobCancelledError,
  JobLostError,
  PayloadInvalidError,
  RetryLater,
  Snooze,
  sqlstateOf,
  WorkerStoppedError,
} from "./errors.ts";
import type { Claim } from "./job.ts";

/** How a job goes back to the database other than done in an exchange. */
export interface Settlement {
  readonly claim: Claim;
  readonly outcome: "ack" | "nack" | "fail" | "snooze" | "release" | "cancelled";
  readonly error?: unknown;
  /** An interval until it runs again; the queue's backoff if not given. */
  readonly delay?: string | undefined;
  /** Set once the database has refused it among others, or refused what it stands for: then it goes alone. */
  readonly refused?: "among others" | "itself";
}

/** The settlement that an error of a handler asks for; nothing for a job that is lost anyway. */
export function settlementOf(claim: Claim, error: unknown): Settlement | undefined {
  try {
    return settlementBy(claim, error);
  } catch (hostile) {
    return { claim, outcome: "nack", error: hostile }; // an error that cannot be looked at
  }
}

function settlementBy(claim: Claim, error: unknown): Settlement | undefined {
  const { reason } = claim;
  if (reason instanceof JobLostError) return undefined;
  if (error instanceof Snooze) return { claim, outcome: "snooze", delay: interval(error.delay) };
  if (error instanceof RetryLater) return { claim, outcome: "nack", error, delay: interval(error.delay) };
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
  delay,
});

/** Whether the database refused a settlement for what it says, and so would refuse it for ever: by a rule, a limit or a trigger. */
export const isRefusedForGood = (error: unknown): boolean => /^(22|23|54|P0)/.test(sqlstateOf(error));

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
