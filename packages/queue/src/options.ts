import { type Duration, milliseconds } from "@howdah/core";
import { z } from "zod";
import { invalid } from "./errors.ts";

/** A {@link Duration} that can be read. */
export const duration = z.custom<Duration>((value) => {
  if (typeof value === "number") return Number.isFinite(value);
  try {
    return typeof value === "string" && milliseconds(value) >= 0;
  } catch {
    return false;
  }
}, 'must be milliseconds or a text such as "5 minutes"');

/**
 * Checks options before they cost a round trip.
 *
 * @throws {ValidationError} `options_invalid`, naming the option
 */
export function parseOptions<Schema extends z.ZodType>(schema: Schema, options: unknown, of: string): z.output<Schema> {
  const result = schema.safeParse(options);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => ({ path: path.join("."), message }));
  const text = issues.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`)).join("; ");
  throw invalid("options_invalid", `options of ${of} are invalid: ${text}`, { detail: { issues } });
}
