// Who sees and changes which rows of which table, for every table that the catalog knows and each kind of role, pinned or not.
import { type TestDatabase, type TestRole, testDatabase } from "@howdah/testing";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { deploy, documentsProgram, useModel } from "./program.ts";
import { rows, value } from "./sql.ts";

const db: TestDatabase = await testDatabase({ modules: [authzModule] });
afterAll(() => db.close());
const tables = (
  await rows<{ name: string }>(
    db,
    `select c.oid::regclass::text as name
     from pg_class c
     where c.relnamespace = 'authz'::regnamespace and c.relkind in ('r', 'p')
       and (not c.relispartition or c.relname = 'audit_events_default')
     order by 1`,
  )
).map(({ name }) => name);
/** Those whose rows of namespace global are everybody's to read, and nobody's to write with plain SQL. */
const shared = [
  "permission_hierarchy",
  "permission_closure",
  "roles",
  "permissions",
  "models",
  "active_models",
  "programs",
].map((name) => `authz.${name}`);
/** Those whose rows of namespace global count for everybody. */
const guarded = ["authz.tuples", ...shared];

let plain: TestRole;
let bypass: TestRole;
beforeAll(async () => {
  // Events of a month without a partition are in the default one.
  await db.freeze(new Date("2035-05-05T00:00:00Z"));
  for (const namespace of ["a", "b", "global"]) {
    await deploy(db, documentsProgram(), { namespace });
    await db.query("select authz.write('rbac_role', 'x', 'member', 'user', 'ann', $1)", [namespace]);
    await db.query("select authz.add_hierarchy('doc', 'write', 'read', $1)", [namespace]);
    await db.query("select authz.create_role('editor', p_namespace => $1)", [namespace]);
    await db.query("select authz.create_permission('write', p_namespace => $1)", [namespace]);
  }
  [plain, bypass] = [await db.role("plain"), await db.role("bypass")];
  for (const { name } of [plain, bypass]) {
    await db.query(`alter role ${name} ${name === bypass.name ? "bypassrls" : "nobypassrls"}`);
    await db.query(`grant usage on schema authz, howdah to ${name}; grant select, insert, update, delete on ${tables} to ${name};
      grant execute on all functions in schema howdah to ${name}; grant usage on all sequences in schema authz to ${name}`);
  }
});

/** Runs something as a role that is pinned to a tenant, or not, and takes it back. */
async function as<T>(
  who: "owner" | TestRole,
  tenant: string | null,
  fn: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = who === "owner" ? await db.client() : await who.client();
  await client.query("begin");
  try {
    if (who === "owner") {
      // One that is no superuser.
      await client.query(
        `${tables.map((name) => `alter table ${name} owner to ${plain.name}`).join(";")}; set local role ${plain.name}`,
      );
    }
    await client.query("select set_config('howdah.tenant', $1, true)", [tenant ?? ""]);
    return await fn(client);
  } finally {
    await client.query("rollback");
    await client.end();
  }
}
const namespaces = async (client: pg.Client, sql: string): Promise<string[]> =>
  [...new Set((await rows<{ namespace: string }>(client, sql)).map((row) => row.namespace))].sort();

describe.each(tables)("%s", (table) => {
  const isShared = shared.includes(table);
  const isGuarded = guarded.includes(table);
  const own = table === "authz.programs" ? [] : ["a"];
  const all = table === "authz.programs" ? ["global"] : ["a", "b", "global"];
  const select = `select namespace from ${table}`;

  test.each([null, "a", "global", "nobody"])(
    "shows its owner and roles that bypass row-level security everything, pinned to %s",
    async (tenant) => {
      expect(await as("owner", tenant, (client) => namespaces(client, select))).toEqual(all);
      expect(await as(bypass, tenant, (client) => namespaces(client, select))).toEqual(all);
    },
  );

  test("shows a plain role the rows of the tenant that it is pinned to, and those of global where they are for all", async () => {
    const globals = isShared ? ["global"] : [];
    const seen = async (tenant: string | null) => as(plain, tenant, (client) => namespaces(client, select));
    expect(await seen(null)).toEqual(globals);
    expect(await seen("nobody")).toEqual(globals);
    expect(await seen("a")).toEqual([...own, ...globals]);
    expect(await seen("global")).toEqual(["global"]);
  });

  test("lets a plain role change and delete the rows of that tenant alone, and of global only where they count for nobody else", async () => {
    const globals = isGuarded ? [] : ["global"];
    const changed = async (tenant: string | null, sql: string) =>
      as(plain, tenant, async (client) => {
        // What refers to a model goes before it.
        if (table === "authz.models") await client.query("delete from authz.active_models");
        return namespaces(client, sql);
      });
    for (const sql of [
      `update ${table} set namespace = namespace returning namespace`,
      `delete from ${table} returning namespace`,
    ]) {
      expect([sql, await changed(null, sql)]).toEqual([sql, []]);
      expect([sql, await changed("nobody", sql)]).toEqual([sql, []]);
      expect([sql, await changed("a", sql)]).toEqual([sql, own]);
      expect([sql, await changed("global", sql)]).toEqual([sql, globals]);
    }
    for (const tenant of own) {
      const moved = as(plain, tenant, (client) => client.query(`update ${table} set namespace = 'b'`));
      await expect(moved).rejects.toMatchObject({ code: "42501" });
    }
  });

  test("takes from a plain role no row of another tenant, nor of global where it counts for all", async () => {
    const [row] = await rows<{ row: object }>(db, `select to_jsonb(t) as row from ${table} t limit 1`);
    const insert = async (tenant: string | null, namespace: string) =>
      as(plain, tenant, (client) =>
        client.query(
          `insert into ${table} overriding system value select (jsonb_populate_record(null::${table}, $1)).*`,
          [{ ...row?.row, namespace }],
        ),
      );
    for (const [tenant, namespace] of [
      [null, "a"],
      ["b", "a"],
      ["a", "global"],
      [null, "global"],
      ...(isGuarded ? [["global", "global"]] : []),
    ] as [string | null, string][]) {
      await expect(insert(tenant, namespace)).rejects.toMatchObject({
        code: "42501",
        message: expect.stringContaining("row-level security"),
      });
    }
  });

  test("is closed to roles that may only call functions", async () => {
    for (const access of ["view", "use"]) {
      await using role = await db.role(access);
      await role.grant("authz", access);
      for (const sql of [select, `delete from ${table}`, `truncate ${table}`]) {
        await expect(as(role, "a", (client) => client.query(sql))).rejects.toMatchObject({ code: "42501" });
      }
    }
  });
});

describe("A policy that asks list_objects", () => {
  test.each(["dynamic", "modelled"])(
    "shows exactly the rows that check allows, and asks once, whether the type is %s",
    async (kind) => {
      const relation = "viewer";
      if (kind === "modelled") {
        await useModel(
          db,
          `
type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define viewer: [user, group#member]
type document
  relations
    define parent: [folder]
    define blocked: [user]
    define viewer: ([user, group#member] or viewer from parent) but not blocked`,
          { namespace: kind },
        );
      } else {
        // A namespace of its own has no model of its own, so that of global must go.
        await db.query("delete from authz.active_models where namespace = 'global'");
      }
      const tuples = ["document:1#viewer@user:ann", "document:2#parent@folder:f", "folder:f#viewer@group:g#member"];
      await db.query("select authz.write_tuples($1, '[]', $2)", [
        JSON.stringify([
          ...tuples,
          "group:g#member@group:h#member",
          "group:h#member@user:ann",
          "document:3#viewer@user:bob",
        ]),
        kind,
      ]);
      await db.query(
        `drop table if exists documents; create table documents (id text primary key); insert into documents select i::text from generate_series(1, 2000) i;
       alter table documents enable row level security;
       create policy see on documents for select using (id = any (array(
         select resource_id from authz.list_objects('user', current_setting('app.user', true), 'document', '${relation}', '${kind}'))))`,
      );
      const reader = await db.role("reader");
      await reader.grant("authz", "use");
      await db.query(
        `grant select on documents to ${reader.name}; alter role ${reader.name} set track_functions = 'all'`,
      );
      const seen = await as(reader, null, async (client) => {
        await client.query("select set_config('app.user', 'ann', true)");
        const found = await rows<{ id: string }>(client, "select id from documents order by id");
        const calls = await value<number>(
          client,
          "select pg_stat_get_xact_function_calls('authz.list_objects(text,text,text,text,text,text,jsonb,jsonb)'::regprocedure)::int",
        );
        return { ids: found.map(({ id }) => id), calls };
      });
      const checked = await rows<{ id: string }>(
        db,
        `select id from documents where authz.check('user', 'ann', '${relation}', 'document', id, $1) order by id`,
        [kind],
      );
      expect(seen).toEqual({ ids: ["1", "2"], calls: 1 });
      expect(checked.map(({ id }) => id)).toEqual(seen.ids);
    },
  );
});
