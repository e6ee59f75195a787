import ms, { type StringValue } from "ms";
import { ValidationError } from "./errors.ts";

/** A length of time: milliseconds, or text such as `"5 minutes"`, `"5m"`, `"250ms"`. */
export type Duration = number | string;

/**
 * Reads a {@link Duration} into milliseconds.
 *
 * @throws {ValidationError} `duration_invalid` when it is neither a finite number nor a text that says one
 */
export function milliseconds(duration: Duration): number {
  const value = typeof duration === "number" ? duration : ms(duration as StringValue);
  if (Number.isFinite(value)) return value as number;
  throw new ValidationError(`duration ${JSON.stringify(duration)} is not a length of time`, {
    module: "howdah",
    code: "duration_invalid",
    sqlstate: "22023",
    hint: 'Give milliseconds, or a text such as "5 minutes"',
  });
}

/** Writes a {@link Duration} as an interval that every version of PostgreSQL reads; before 15, milliseconds end after 24 days. */
export function interval(duration: Duration): string {
  return `${(milliseconds(duration) / 1000).toFixed(6)} seconds`;
}
