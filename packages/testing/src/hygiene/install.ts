// Rules about what an installation gives: the same schema each time, the one that the module's manifest describes.
import { isDeepStrictEqual } from "node:util";
import { type Database, migrate } from "@howdah/core";
import { testDatabase } from "../database.ts";
import type { Rule, Violation } from "./rule.ts";

async function readManifest(db: Database, schema: string): Promise<unknown> {
  const { rows } = await db.query<{ manifest: unknown }>("select howdah.manifest($1) as manifest", [schema]);
  return rows[0]?.manifest;
}

/** Where two values of JSON differ, as the paths to the outermost differences. */
function differences(a: unknown, b: unknown, path = ""): string[] {
  if (isDeepStrictEqual(a, b)) return [];
  if (!isObject(a) || !isObject(b)) return [path];
  return [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .sort()
    .flatMap((key) => differences(a[key], b[key], path ? `${path} ${key}` : key));
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === "object" && !Array.isArray(value);

export const freshManifest: Rule = {
  name: "manifest",
  says: "manifest.json describes the schema that is installed; `pnpm manifest` writes it anew",
  async check({ db, module }) {
    const { access: _, ...committed } = module.manifest;
    return differences(committed, await readManifest(db, module.name)).map(
      (path): Violation => ({ object: "manifest.json", problem: `differs in ${path}` }),
    );
  },
};

export const equalInstalls: Rule = {
  name: "installs",
  says: "two installations give the same schema",
  async check({ db, module }) {
    await using other = await testDatabase();
    await migrate(other, module.name === "howdah" ? [] : [module]);
    const [first, second] = [await readManifest(db, module.name), await readManifest(other, module.name)];
    return differences(first, second).map(
      (path): Violation => ({ object: module.name, problem: `differs in ${path}` }),
    );
  },
};

export const plpgsqlCheck: Rule = {
  name: "plpgsql-check",
  says: "plpgsql_check finds no error in any function",
  skip: ({ catalog }) => (catalog.hasPlpgsqlCheck ? undefined : "this server has no extension plpgsql_check"),
  async check({ module }) {
    await using db = await testDatabase({ modules: module.name === "howdah" ? [] : [module] });
    await db.query("create extension plpgsql_check");
    const { rows } = await db.query<Violation>(
      `select $1 || '.' || p.proname as object, concat_ws(': ', c.level, c.lineno, c.message) as problem
       from pg_proc p
       join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
       left join pg_trigger t on t.tgfoid = p.oid,
         lateral plpgsql_check_function_tb(p.oid::regprocedure, coalesce(t.tgrelid, 0),
           oldtable => t.tgoldtable, newtable => t.tgnewtable, other_warnings => false, extra_warnings => false, performance_warnings => false) c
       where p.pronamespace = to_regnamespace($1)`,
      [module.name],
    );
    return rows;
  },
};
