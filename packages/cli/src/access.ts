import { type Database, type HowdahError, toHowdahError } from "@howdah/core";
import { UsageError } from "./errors.ts";
import { unknownName } from "./nearest.ts";

/** Turns what `howdah.grant_module` says of a name that it does not know into a usage error with the nearest one. */
export async function explainAccessError(db: Database, thrown: unknown): Promise<unknown> {
  const { module, code, detail, hint = "" } = toHowdahError(thrown) as HowdahError;
  switch (module === "howdah" ? code : undefined) {
    case "module_not_found":
      return unknownName("module", String(detail.module), await installedModules(db));
    case "role_not_found": {
      const error = unknownName("role", String(detail.role), await roles(db));
      return new UsageError(error.message, `${error.hint?.replace(/[^?]$/, "$&.")} ${hint}`);
    }
    case "access_unknown":
      return unknownName("access", String(detail.access), hint.replace(/^\w+: /, "").split(", "));
    default:
      return thrown;
  }
}

/**
 * Makes sure that a module and a role exist.
 *
 * @throws {UsageError} with the nearest name
 */
export async function assertKnown(db: Database, module: string, role: string): Promise<void> {
  const modules = await installedModules(db);
  if (!modules.includes(module)) throw unknownName("module", module, modules);
  const known = await roles(db);
  if (!known.includes(role)) throw unknownName("role", role, known);
}

const names = async (db: Database, query: string): Promise<string[]> =>
  (await db.query<{ name: string }>(query)).rows.map((row) => row.name);

const installedModules = (db: Database): Promise<string[]> =>
  names(db, "select module as name from howdah.modules order by 1");
const roles = (db: Database): Promise<string[]> =>
  names(db, "select rolname::text as name from pg_catalog.pg_roles where rolname !~ '^pg_' order by 1");
