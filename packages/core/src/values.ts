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

/**
 * Writes the values of an argument as PostgreSQL reads them, so that every driver sends the same bytes: text, or null.
 *
 * The function that it returns throws a {@link ValidationError} `json_invalid` or `text_invalid`.
 */
export function encoder(type: SqlType, field: string): (value: unknown) => string | null {
  if (!type.endsWith("[]")) return (value) => (value === null ? null : encodeScalar(type as ScalarType, value, field));
  const element = type.slice(0, -2) as ScalarType;
  const encodeItem = (item: unknown): string => encodeElement(element, item, field);
  return (value) => (value === null ? null : `{${(value as readonly unknown[]).map(encodeItem).join(",")}}`);
}

function encodeElement(type: ScalarType, value: unknown, field: string): string {
  if (value === null || value === undefined) return "NULL";
  const text = encodeScalar(type, value, field);
  return type === "bigint" || type === "int" ? text : `"${text.replace(/["\\]/g, "\\$&")}"`;
}

function encodeScalar(type: ScalarType, value: unknown, field: string): string {
  switch (type) {
    case "jsonb":
      return encodeJson(value, field);
    case "interval":
      return interval(value as Duration);
    case "timestamptz":
      return value instanceof Date ? value.toISOString() : String(value);
    default:
      return storable(typeof value === "string" ? value : String(value), field);
  }
}

/** A text that PostgreSQL can hold, as it is: a driver would put another character in the place of half a pair. */
function storable(text: string, field: string): string {
  if (text.includes("\0") || !text.isWellFormed()) throw unstorable(field);
  return text;
}

/** How `JSON.stringify` writes U+0000 and halves of surrogate pairs, and nothing else. */
const unstorableJson = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/;

function encodeJson(value: unknown, field: string): string {
  if (value instanceof JsonText) return value.text;
  const text = JSON.stringify(value);
  if (text !== undefined) {
    if (text.includes("\\u") && unstorableJson.test(text)) throw unstorable(field);
    return text;
  }
  throw new ValidationError(`a ${typeof value} is not a JSON value`, {
    module: "howdah",
    code: "json_invalid",
    sqlstate: "22023",
  });
}

const unstorable = (field: string): ValidationError =>
  new ValidationError(`${field} contains U+0000 or half of a surrogate pair, which PostgreSQL cannot store`, {
    module: "howdah",
    code: "text_invalid",
    sqlstate: "22021",
    detail: { field },
  });

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
