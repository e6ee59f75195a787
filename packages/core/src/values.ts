import { type Duration, interval } from "./duration.ts";
import { ValidationError } from "./errors.ts";

/** JSON that is written already, for an argument of type jsonb. `new JsonText("null")` is JSON's null, where `null` is SQL's. */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A SQL type that arguments and results may have. */
export type SqlType = ScalarType | `${ScalarType}[]`;

type ScalarType =
  | "bigint"
  | "boolean"
  | "inet"
  | "int"
  | "interval"
  | "jsonb"
  | "name"
  | "numeric"
  | "real"
  | "text"
  | "timestamptz"
  | "uuid";

/** Writes a value as PostgreSQL reads it, so that every driver sends the same bytes: text, or null. */
export function encoder(type: SqlType): (value: unknown) => string | null {
  if (!type.endsWith("[]")) return (value) => (value === null ? null : encodeScalar(type as ScalarType, value));
  const element = type.slice(0, -2) as ScalarType;
  return (value) =>
    value === null ? null : `{${(value as readonly unknown[]).map((item) => encodeElement(element, item)).join(",")}}`;
}

function encodeElement(type: ScalarType, value: unknown): string {
  if (value === null || value === undefined) return "NULL";
  const text = encodeScalar(type, value);
  return type === "bigint" || type === "int" ? text : `"${text.replace(/["\\]/g, "\\$&")}"`;
}

function encodeScalar(type: ScalarType, value: unknown): string {
  switch (type) {
    case "jsonb":
      return encodeJson(value);
    case "interval":
      return interval(value as Duration);
    case "timestamptz":
      return value instanceof Date ? value.toISOString() : String(value);
    default:
      return typeof value === "string" ? value : String(value);
  }
}

function encodeJson(value: unknown): string {
  if (value instanceof JsonText) return value.text;
  const text = JSON.stringify(value);
  if (text !== undefined) return text;
  throw new ValidationError(`a ${typeof value} is not a JSON value`, {
    module: "howdah",
    code: "json_invalid",
    sqlstate: "22023",
  });
}

/** Reads a value from what a driver made of it: 64-bit and decimal numbers as text, times as `Date`, JSON parsed. */
export function decode(type: SqlType | undefined, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  switch (type) {
    case "bigint":
    case "numeric":
      return typeof value === "string" ? value : String(value);
    case "bigint[]":
    case "numeric[]":
      return (value as unknown[]).map((item) => (item === null ? null : String(item)));
    case "timestamptz":
      return toDate(value);
    default:
      return value;
  }
}

/**
 * A time, also where the application has pg read times as text. `infinity` is the last moment that a `Date` can hold, and
 * `-infinity` the first.
 */
function toDate(value: unknown): Date {
  const time = value instanceof Date ? value : new Date(String(value));
  if (!Number.isNaN(time.getTime())) return time;
  return new Date(String(value).startsWith("-") ? -8.64e15 : 8.64e15);
}
