import { createHash } from "node:crypto";
import { actorParts, type Context } from "./context.ts";
import type { Query, Queryable } from "./driver.ts";
import { sqlstateOf, toHowdahError } from "./errors.ts";
import { decode, encoder, type SqlType } from "./values.ts";

/** How a SQL function is called: its arguments' types and the shape of its answer. */
export interface FnSpec {
  /** The SQL type of each argument, by its name in TypeScript: `maxAttempts` is sent as `p_max_attempts`. */
  args: Readonly<Record<string, SqlType>>;
  /** Nothing, one value, one row or null, or all rows. */
  returns: "void" | "value" | "row" | "rows";
  /** The type of the value, if it is not one that every driver reads alike. */
  value?: SqlType;
  /** The types of the columns by their names in TypeScript; columns not named here are left out. */
  columns?: Readonly<Record<string, SqlType>>;
  /** False for a function without `p_namespace`; default true. */
  isNamespaced?: boolean;
  /** True for a function that writes nothing, which may be called again after a broken connection. */
  isReadOnly?: boolean;
}

/** A SQL function as TypeScript sees it, made by {@link fn}. `A` and `R` are its arguments and its answer. */
export interface Fn<A, R> {
  readonly name: string;
  readonly spec: FnSpec;
  /** The statement for these arguments. */
  query(args: A, context: Context): CallQuery;
  /** The answer in the rows that came back. */
  read(rows: Record<string, unknown>[]): R;
}

/** A statement that calls a function; what it calls is known to hooks, retries and prepared statements. */
export interface CallQuery extends Query {
  call: { name: string; namespace: string | null | undefined; isReadOnly: boolean; statement: string };
}

const encodeNamespace = encoder("text", "namespace");
const encodeActor = encoder("jsonb", "actor");

const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/**
 * Describes a SQL function once, so that {@link call} can make it in one statement.
 *
 * Arguments go by name and only those given are sent, so that a release may append defaulted parameters; each set of given
 * arguments has one text, made at its first use.
 */
export function fn<A extends object, R>(name: string, spec: FnSpec): Fn<A, R> {
  const args = Object.entries(spec.args).map(([key, type]) => ({
    key: key as keyof A,
    type,
    encode: encoder(type, snakeCase(key)),
    sql: `p_${snakeCase(key)}`,
  }));
  if (args.length > 31) throw new RangeError(`${name} has ${args.length} arguments, at most 31 are supported`);
  const columns =
    spec.columns && Object.entries(spec.columns).map(([key, type]) => ({ key, type, sql: snakeCase(key) }));
  const isNamespaced = spec.isNamespaced ?? true;
  const isReadOnly = spec.isReadOnly ?? false;
  const texts = new Map<number, { text: string; statement: string }>();

  function text(given: number, hasActor: boolean) {
    const parts: string[] = [];
    let n = 0;
    if (isNamespaced) {
      parts.push(`p_namespace => ${hasActor ? `howdah.enter($${++n}::text, $${++n}::jsonb)` : `$${++n}::text`}`);
    }
    args.forEach(({ type, sql }, i) => {
      if (given & (1 << i)) parts.push(`${sql} => $${++n}::${type}`);
    });
    const invocation = `${name}(${parts.join(", ")})`;
    const isRow = spec.returns === "row" || spec.returns === "rows";
    const sql = isRow ? `select * from ${invocation}` : `select ${invocation} as value`;
    const hash = createHash("sha256").update(sql).digest("base64url").slice(0, 24);
    return { text: sql, statement: `howdah_${hash}` };
  }

  function readRow(row: Record<string, unknown>): unknown {
    if (!columns) return row;
    const result: Record<string, unknown> = {};
    for (const { key, type, sql } of columns) result[key] = decode(type, row[sql]);
    return result;
  }

  return {
    name,
    spec,
    query(given, context) {
      const hasActor = isNamespaced && context.actor !== undefined;
      const values: unknown[] = isNamespaced ? [encodeNamespace(context.namespace ?? null)] : [];
      if (hasActor) values.push(encodeActor(actorParts(context.actor ?? {})));
      let mask = 0;
      for (let i = 0; i < args.length; i++) {
        const { key, encode } = args[i] as (typeof args)[number];
        const value = given[key];
        if (value === undefined) continue;
        mask |= 1 << i;
        values.push(encode(value));
      }
      const shape = hasActor ? -1 - mask : mask;
      let known = texts.get(shape);
      if (!known) {
        known = text(mask, hasActor);
        texts.set(shape, known);
      }
      const { statement } = known;
      return { text: known.text, values, call: { name, namespace: context.namespace, isReadOnly, statement } };
    },
    read(rows) {
      switch (spec.returns) {
        case "void":
          return undefined as R;
        case "value":
          return decode(spec.value, rows[0]?.value) as R;
        case "row":
          return (rows[0] ? readRow(rows[0]) : null) as R;
        case "rows":
          return rows.map(readRow) as R;
      }
    },
  };
}

/**
 * Calls a SQL function: one statement, one round trip.
 *
 * @throws {HowdahError} what a module raised, as the class of its SQLSTATE; other errors as the driver threw them
 */
export async function call<A, R>(db: Queryable, f: Fn<A, R>, args: A, context: Context = {}): Promise<R> {
  const query = f.query(args, context);
  try {
    return f.read((await db.query<Record<string, unknown>>(query)).rows);
  } catch (error) {
    // A function that a migration dropped and made again while this call was on its way.
    const isReplaced = sqlstateOf(error) === "XX000" && /cache lookup failed for function/.test(String(error));
    if (!isReplaced) throw toHowdahError(error);
  }
  try {
    return f.read((await db.query<Record<string, unknown>>(query)).rows);
  } catch (error) {
    throw toHowdahError(error);
  }
}
