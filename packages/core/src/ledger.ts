import type { Queryable } from "./driver.ts";
import { sqlstateOf } from "./errors.ts";

/** A file that a database has seen. */
export interface LedgerFile {
  module: string;
  file: string;
  kind: "versioned" | "repeatable";
  checksum: string;
  release: string;
  applied_at: Date;
}

/** A module that a database has. */
export interface LedgerModule {
  module: string;
  release: string;
  fingerprint: string;
  api: number;
  min_api: number;
  /** False if somebody dropped the schema behind the ledger's back. */
  has_schema: boolean;
}

/** What a database knows of its modules. */
export interface Ledger {
  modules: ReadonlyMap<string, LedgerModule>;
  files: readonly LedgerFile[];
  /** Schemas that exist, of those asked for. */
  schemas: ReadonlySet<string>;
}

/** Reads the installed modules: the one round trip that tells whether anything is to be done. */
export async function readModules(db: Queryable): Promise<Map<string, LedgerModule>> {
  try {
    const { rows } = await db.query<LedgerModule>("select * from howdah.installed()");
    return new Map(rows.map((row) => [row.module, row]));
  } catch (error) {
    const sqlstate = sqlstateOf(error);
    if (sqlstate === "42883" || sqlstate === "3F000") return new Map();
    throw error;
  }
}

/** Reads everything that a plan is made from. */
export async function readLedger(db: Queryable, names: readonly string[]): Promise<Ledger> {
  const found = await db.query<{ schemas: string[]; has_ledger: boolean }>(
    `select array(select nspname::text from pg_namespace where nspname = any($1::text[])) as schemas,
       to_regclass('howdah.migrations') is not null and to_regclass('howdah.modules') is not null as has_ledger`,
    [`{${names.join(",")}}`],
  );
  const { schemas, has_ledger } = found.rows[0] ?? { schemas: [], has_ledger: false };
  if (!has_ledger) return { modules: new Map(), files: [], schemas: new Set(schemas) };
  const modules = await readModules(db);
  const { rows } = await db.query<LedgerFile>(
    "select module, file, kind, checksum, release, applied_at from howdah.migrations order by module, file",
  );
  return { modules, files: rows, schemas: new Set(schemas) };
}
