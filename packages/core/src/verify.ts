import { type Database, type Target, withDatabase } from "./database.ts";
import { type Drift, SchemaDriftError } from "./errors.ts";
import { withCore } from "./migrate.ts";
import type { Module } from "./module.ts";

/** What {@link verify} tolerates. */
export interface VerifyOptions {
  /** Objects, as `Drift.object` names them, whose differences are known and meant. */
  allow?: readonly string[];
  /** Return all differences and throw for none. */
  report?: boolean;
}

/**
 * Compares the installed schemas with what their migrations made, in one round trip.
 *
 * @returns every difference, the harmless ones too
 * @throws {SchemaDriftError} when one of them breaks a module, unless `report` is set
 */
export async function verify(
  target: Target | Database,
  modules: readonly Module[],
  options: VerifyOptions = {},
): Promise<Drift[]> {
  const names = withCore(modules).map((module) => module.name);
  const { rows } = await withDatabase(target, (db) =>
    db.query<Drift>(
      `select v.* from howdah.verify() v where v.module = any($1::text[])
     union all
     select 'error', name, 'module', name, 'is not installed', null, null
     from unnest($1::text[]) name where not exists (select from howdah.modules m where m.module = name)`,
      [`{${names.join(",")}}`],
    ),
  );
  const drift = rows.filter((row) => !options.allow?.includes(row.object));
  if (!options.report && drift.some((row) => row.severity === "error")) throw new SchemaDriftError(drift);
  return drift;
}
