// Payloads: what a producer gives must arrive unchanged, so what JSON or jsonb would alter or refuse is refused here, by its path.

import { JsonText } from "@howdah/core";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { PayloadInvalidError } from "./errors.ts";

/** A value that JSON can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json | undefined };

/**
 * Writes a payload as JSON, and refuses one that would not arrive as it is: no JSON value at all, a cycle, `NaN`, or text that
 * jsonb cannot hold.
 *
 * One plain `JSON.stringify` decides for nearly every payload: only where its text has a null or an escape that may come from
 * such a value is it made again, watching each value.
 */
export function payloadText(payload: unknown): JsonText {
  let text: string | undefined;
  try {
    text = JSON.stringify(payload);
  } catch (error) {
    throw search(payload) ?? new PayloadInvalidError("$", error instanceof Error ? error.message : String(error));
  }
  if (text === undefined) throw new PayloadInvalidError("$", `a ${typeof payload} is not a JSON value`);
  if (text.includes("null") || text.includes("\\u")) {
    const problem = search(payload);
    if (problem) throw problem;
  }
  return new JsonText(text);
}

/** Finds the value that makes a payload invalid. */
function search(payload: unknown): PayloadInvalidError | undefined {
  const paths = new Map<object, string>();
  const parents = new Map<object, object>();
  function visit(this: object, key: string, value: unknown): unknown {
    const holder = paths.get(this);
    const path = holder === undefined ? "$" : `${holder}${step(this, key)}`;
    const problem = problemOf(value) ?? (key === "" ? undefined : problemOf(key));
    if (problem !== undefined) throw new PayloadInvalidError(path, problem);
    if (typeof value === "object" && value !== null) {
      for (let above: object | undefined = this; above; above = parents.get(above)) {
        if (above === value) throw new PayloadInvalidError(path, "a value contains itself");
      }
      paths.set(value, path);
      parents.set(value, this);
    }
    return value;
  }
  try {
    JSON.stringify(payload, visit);
    return undefined;
  } catch (error) {
    if (error instanceof PayloadInvalidError) return error;
    return new PayloadInvalidError("$", error instanceof Error ? error.message : String(error));
  }
}

const loneSurrogate = /\p{Surrogate}/u;

function problemOf(value: unknown): string | undefined {
  if (typeof value === "bigint") return "a bigint is not a JSON value, send it as text";
  if (typeof value === "number" && !Number.isFinite(value)) return `${value} is not a JSON value`;
  if (typeof value !== "string") return undefined;
  if (value.includes("\0")) return "PostgreSQL's text cannot hold the character U+0000";
  return loneSurrogate.test(value) ? "a lone surrogate is not a character" : undefined;
}

function step(holder: object, key: string): string {
  if (Array.isArray(holder)) return `[${key}]`;
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/**
 * Reads a payload by a queue's schema, with defaults and transforms applied.
 *
 * @returns the value, or a promise of it where the schema itself is asynchronous
 * @throws {PayloadInvalidError} naming the first issue, and all of them in `detail.issues`
 */
export function parsePayload<Output>(
  schema: StandardSchemaV1<unknown, Output>,
  payload: unknown,
): Output | Promise<Output> {
  const result = schema["~standard"].validate(payload);
  return result instanceof Promise ? result.then(accepted) : accepted(result);
}

function accepted<Output>(result: StandardSchemaV1.Result<Output>): Output {
  if (!result.issues) return result.value;
  const issues = result.issues.map(({ message, path = [] }) => ({
    path: path.reduce<string>((text, part) => {
      const key = typeof part === "object" ? part.key : part;
      return text + (typeof key === "number" ? `[${key}]` : step({}, String(key)));
    }, "$"),
    message,
  }));
  const first = issues[0] ?? { path: "$", message: "the schema refuses it" };
  throw new PayloadInvalidError(first.path, first.message, {
    detail: { path: first.path, issues: issues.slice(0, 20) },
  });
}
