// Rules about rights: what everybody may do, and what a role that may only look may do.
import { isPublic, type SqlFunction } from "./catalog.ts";
import type { Rule, Subject } from "./rule.ts";

/** What the schema howdah lets everybody do: enter it, and read the settings of their own transaction. */
const given = ["howdah usage", "howdah.tenant execute", "howdah.actor execute", "howdah.now execute"];

export const publicRights: Rule = {
  name: "public-rights",
  says: "PUBLIC has no rights, but those to read tenant, actor and time in howdah",
  check: ({ catalog }) =>
    catalog.publicRights
      .filter(({ object, right }) => !given.includes(`${object} ${right}`))
      .map(({ object, right }) => ({ object, problem: `gives PUBLIC the right to ${right}` })),
};

/** The functions that a role with `view` may call: those of `use` that only read and whose results are no secrets. */
function viewed({ catalog, module }: Subject): SqlFunction[] {
  const { admin = [], secret = [] } = module.manifest.access ?? {};
  return catalog.functions.filter(
    (f) => isPublic(f) && f.volatility !== "volatile" && !admin.includes(f.name) && !secret.includes(f.name),
  );
}

export const viewAccess: Rule = {
  name: "view-access",
  says: "a role with view may call every reading function of use that is no secret, and nothing else",
  async check(subject) {
    const { db, module, catalog } = subject;
    const mayCall = new Set(viewed(subject).map((f) => f.oid));
    await using role = await db.role("viewer");
    await role.grant(module.name, "view");
    const { rows } = await db.query<{ oid: number; may: boolean }>(
      `select p.oid::int, has_function_privilege($2, p.oid, 'execute') as may
       from pg_proc p where p.pronamespace = to_regnamespace($1)`,
      [module.name, role.name],
    );
    const { rows: tables } = await db.query<{ object: string }>(
      `select $1 || '.' || c.relname as object from pg_class c
       where c.relnamespace = to_regnamespace($1) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
         and case c.relkind when 'S' then has_sequence_privilege($2, c.oid, 'usage, select, update')
           else has_any_column_privilege($2, c.oid, 'select, insert, update') end`,
      [module.name, role.name],
    );
    await db.query("select howdah.revoke_module($1, $2)", [module.name, role.name]);
    const may = new Set(rows.filter((row) => row.may).map((row) => row.oid));
    return [
      ...catalog.functions
        .filter((f) => mayCall.has(f.oid) !== may.has(f.oid))
        .map((f) => ({ object: f.object, problem: may.has(f.oid) ? "is open to view" : "is closed to view" })),
      ...tables.map(({ object }) => ({ object, problem: "is open to view" })),
    ];
  },
};

export const viewSecrets: Rule = {
  name: "view-secrets",
  says: "no function that view may call has a result that holds a hash, a secret or a sealed key",
  check: (subject) =>
    viewed(subject).flatMap((f) =>
      f.columns
        .filter((column) => /(^|_)(hash|secret|sealed|salt|password)(_|$)/.test(column))
        .map((column) => ({ object: f.object, problem: `shows ${column}: name it in the access set "secret"` })),
    ),
};
