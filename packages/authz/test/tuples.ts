// Tuples for tests, as `document:1#viewer@group:g#member`.
import type { Queryable } from "@howdah/core";
import { rowOf, store, tuple } from "./store.ts";

/** Where and how long tuples hold; by default in namespace acme, and for ever. */
export interface Holding {
  namespace?: string;
  expiresAt?: Date;
}

const split = (args: [Holding, ...string[]] | string[]): [Holding, string[]] =>
  typeof args[0] === "object" ? [args[0], args.slice(1) as string[]] : [{}, args as string[]];

/** Writes tuples as an application does. */
export async function grant(db: Queryable, ...args: [Holding, ...string[]] | string[]): Promise<void> {
  const [{ namespace = "acme", expiresAt }, texts] = split(args);
  for (const row of texts.map((text) => rowOf(tuple(text), namespace))) {
    await db.query("select authz.write_tuple($1, $2, $3, $4, $5, $6, $7, $8)", [
      row.resource_type,
      row.resource_id,
      row.relation,
      row.subject_type,
      row.subject_id,
      row.subject_relation,
      namespace,
      expiresAt ?? null,
    ]);
  }
}

/** Inserts tuples with plain SQL, also those that write_tuple() would refuse. */
export const insert = (db: Queryable, ...texts: string[]): Promise<unknown> =>
  store(
    db,
    texts.map((text) => rowOf(tuple(text), "acme")),
  );
