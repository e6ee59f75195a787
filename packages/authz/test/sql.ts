// What the tests of the SQL functions share.
import { HowdahError, type Queryable, toHowdahError } from "@howdah/core";
import { expect } from "vitest";

/** All rows of a statement. */
export async function rows<R>(db: Queryable, sql: string, values: unknown[] = []): Promise<R[]> {
  return (await db.query<R>(sql, values)).rows;
}

/** The only column of the only row of a statement. */
export async function value<V>(db: Queryable, sql: string, values: unknown[] = []): Promise<V> {
  const [row] = await rows<Record<string, V>>(db, sql, values);
  return Object.values(row ?? {})[0] as V;
}

/** Asserts that a call fails with a code of authz, such as `id_empty 22026`. */
export async function refuses(call: Promise<unknown>, code: string): Promise<void> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => toHowdahError(reason),
  );
  if (error !== undefined && !(error instanceof HowdahError)) throw error;
  expect(error && `${error.module} ${error.code} ${error.sqlstate}`).toBe(`authz ${code}`);
}

/** Empties all tables of authz. */
export const wipe = (db: Queryable): Promise<unknown> =>
  db.query(
    `truncate authz.tuples, authz.permission_hierarchy, authz.permission_closure, authz.active_models, authz.models,
       authz.roles, authz.permissions, authz.audit_events`,
  );
