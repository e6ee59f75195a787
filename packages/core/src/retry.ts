import { setTimeout as sleep } from "node:timers/promises";
import { type Duration, milliseconds } from "./duration.ts";

/** How often and how patiently a failed call is made again. */
export interface RetryOptions {
  /** Tries in all, the first one included; default 5. */
  attempts?: number;
  /** The longest wait before the second try, doubled for each further one; default 20 ms. */
  minDelay?: Duration;
  /** The longest wait before any try; default 1 s. */
  maxDelay?: Duration;
}

/** Runs `fn` until it succeeds, `isRetryable` says no, or the tries are used up. Waits are spread by full jitter. */
export async function retry<T>(
  options: RetryOptions,
  isRetryable: (error: unknown) => boolean,
  fn: () => Promise<T>,
): Promise<T> {
  const { attempts = 5, minDelay = 20, maxDelay = 1000 } = options;
  for (let attempt = 1; ; attempt++) {
    try {
      return await fn();
    } catch (error) {
      if (attempt >= attempts || !isRetryable(error)) throw error;
      await sleep(Math.random() * backoff(attempt, minDelay, maxDelay));
    }
  }
}

/** The longest wait after a number of failures: `min`, doubled for each further one, at most `max`; milliseconds. */
export function backoff(failures: number, min: Duration, max: Duration): number {
  return Math.min(milliseconds(max), milliseconds(min) * 2 ** (failures - 1));
}
