import type { Database, HowdahError } from "@howdah/core";
import { toHowdahError } from "@howdah/core";
import { UsageError } from "./errors.ts";
import { unknownName } from "./nearest.ts";

/** Says of an error of `howdah.grant_module` which name was probably meant. */
export async function explainAccessError(db: Database, thrown: unknown): Promise<unknown> {
  const error = toHowdahError(thrown) as HowdahError;
  const list = async (query: string): Promise<string[]> =>
    (await db.query<{ name: string }>(query)).rows.map((row) => row.name);
  switch (error.module === "howdah" ? error.code : undefined) {
    case "module_not_found":
      return unknownName("module", String(error.detail.module), await list(installedModules));
    case "role_not_found": {
      const role = String(error.detail.role);
      const unknown = unknownName("role", role, await list(ownRoles));
      return new UsageError(unknown.message, [unknown.hint, error.hint].filter(Boolean).join(" "));
    }
    case "access_unknown":
      return new UsageError(error.message, error.hint);
    default:
      return thrown;
  }
}

const installedModules = "select module as name from howdah.modules order by 1";
const ownRoles = "select rolname::text as name from pg_catalog.pg_roles where rolname !~ '^pg_' order by 1";
