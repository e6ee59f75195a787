import { race, type TestDatabase, type TestRole, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { defineModule, migrate, prepare, SchemaBehindError, toHowdahError } from "../src/index.ts";

const files = {
  "migrations/0001_tables.sql": `create schema shop;
    create table shop.orders (namespace text not null, id int not null, primary key (namespace, id));
    alter table shop.orders enable row level security;
    create policy orders_tenant on shop.orders using (namespace = howdah.tenant());`,
  "functions/all.sql": ["look", "buy", "purge", "_helper", "key_hash", "check"]
    .map(
      (name) => `create or replace function shop.${name}() returns int language sql
        ${["look", "key_hash", "check"].includes(name) ? "stable" : "volatile"}
        security definer set search_path = pg_catalog, pg_temp as $$ select 1 $$;`,
    )
    .join("\n"),
};
const manifest = {
  schema: "shop",
  functions: Object.fromEntries(
    ["look", "buy", "purge", "_helper", "key_hash", '"check"'].map((name) => [`${name}()`, {}]),
  ),
};
const access = { admin: ["purge"], secret: ["key_hash"], buyer: ["buy"] };
const shop = (release: string, changed = files) =>
  defineModule({ name: "shop", release, api: 1, minApi: 1, files: changed, manifest: {}, access });

let db: TestDatabase;
let role: TestRole;
beforeAll(async () => {
  db = await testDatabase({ modules: [] });
  await migrate(db, [shop("1.0.0")]);
  await db.query("update howdah.modules set manifest = manifest || $1 where module = 'shop'", [
    JSON.stringify(manifest),
  ]);
  role = await db.role("app");
});
afterAll(() => db.close());

async function mayCall(): Promise<string[]> {
  const { rows } = await db.query<{ name: string }>(
    `select proname as name from pg_proc where pronamespace = 'shop'::regnamespace
       and has_schema_privilege($1, 'shop', 'usage') and has_function_privilege($1, oid, 'execute') order by 1`,
    [role.name],
  );
  return rows.map((row) => row.name);
}
const grant = (access: string) => db.query("select howdah.grant_module('shop', $1, $2)", [role.name, access]);

test("PUBLIC may do nothing with a module", async () => {
  expect(await mayCall()).toEqual([]);
});

test.each([
  ["view", ["check", "look"]],
  ["use", ["buy", "check", "key_hash", "look"]],
  ["read", ["buy", "check", "key_hash", "look"]],
  ["admin", ["buy", "check", "key_hash", "look", "purge"]],
  ["buyer", ["buy"]],
])("%s lets a role call %j, whatever it could before", async (access, functions) => {
  await grant("admin");
  await grant(access);
  expect(await mayCall()).toEqual(functions);
});

test("read adds the tables, of which row-level security shows one tenant's rows", async () => {
  await db.query("insert into shop.orders values ('acme', 1), ('other', 2) on conflict do nothing");
  await grant("use");
  await expect(role.query("select * from shop.orders")).rejects.toThrow(/permission denied/);
  await grant("read");
  expect((await role.query("select * from shop.orders")).rows).toEqual([]);
  await role.transaction(async (tx) => {
    await tx.query("select howdah.set_tenant('acme')");
    expect((await tx.query("select id from shop.orders")).rows).toEqual([{ id: 1 }]);
  });
});

test("a role that may only use a module can check at its start that the database fits", async () => {
  await grant("use");
  await expect(prepare(role, [shop("1.0.0")], { migrate: "check" })).resolves.toBeUndefined();
  const newer = prepare(role, [shop("1.1.0")], { migrate: "check" });
  await expect(newer).rejects.toBeInstanceOf(SchemaBehindError);
});

test("of a module without a manifest, every function without an underscore may be granted", async () => {
  const bare = defineModule({
    name: "bare",
    release: "1.0.0",
    api: 1,
    minApi: 1,
    manifest: {},
    files: {
      "migrations/0001_tables.sql": "create schema bare; create table bare.t ();",
      "functions/f.sql": `create or replace function bare.f() returns int language sql as 'select 1';
        create or replace function bare._g() returns int language sql as 'select 1';`,
    },
  });
  await migrate(db, [bare]);
  await db.query("select howdah.grant_module('bare', $1)", [role.name]);
  expect((await role.query("select bare.f() as f")).rows).toEqual([{ f: 1 }]);
  await expect(role.query("select bare._g()")).rejects.toThrow(/permission denied/);
});

test("a role of any module may set tenant and actor, and nothing else of howdah", async () => {
  await grant("use");
  await role.query("select howdah.enter('acme', '{}', true), howdah.set_actor('user:ann'), howdah.tenant()");
  await expect(role.query("select howdah.grant_module('shop', current_user, 'admin')")).rejects.toThrow(
    /permission denied/,
  );
  await expect(role.query("select * from howdah.modules")).rejects.toThrow(/permission denied/);
});

test("grants survive a migration that drops and makes a function again", async () => {
  await grant("use");
  await db.query("drop function shop.buy(); create function shop.buy() returns int language sql as 'select 2'");
  await db.query("update howdah.modules set manifest = manifest where module = 'shop'; select howdah.apply_grants()");
  expect(await mayCall()).toEqual(["buy", "check", "key_hash", "look"]);
});

test("revoke_module takes everything and says whether there was something to take", async () => {
  await grant("use");
  const revoke = () => db.query("select howdah.revoke_module('shop', $1) as had", [role.name]);
  expect((await revoke()).rows).toEqual([{ had: true }]);
  expect(await mayCall()).toEqual([]);
  expect((await revoke()).rows).toEqual([{ had: false }]);
});

test("a role that all is taken from can be dropped", async () => {
  await db.query("create role leaver");
  await db.query(
    "select howdah.grant_module('shop', 'leaver', 'admin'), howdah.grant_module('howdah', 'leaver', 'view')",
  );
  await db.query("select howdah.revoke_module('howdah', 'leaver')");
  await db.query("set role leaver; select howdah.enter('acme'); reset role");
  await db.query("select howdah.revoke_module('shop', 'leaver')");
  await db.query("drop role leaver");
});

test("access to howdah itself takes nothing from a role of a module", async () => {
  await grant("use");
  await role.grant("howdah", "view");
  await role.query("select howdah.enter('acme', '{}', true), howdah.verify()");
  await db.query("select howdah.revoke_module('howdah', $1)", [role.name]);
  await role.query("select howdah.enter('acme', '{}', true)");
  await expect(role.query("select howdah.verify()")).rejects.toThrow(/permission denied/);
});

test("many grants at once wait for each other", async () => {
  const roles = await Promise.all(["one", "two", "three"].map((name) => db.role(name)));
  const outcomes = await race(db, 6, (client, i) =>
    client.query("select howdah.grant_module('shop', $1, $2)", [roles[i % 3]?.name, i < 3 ? "use" : "view"]),
  );
  expect(outcomes.map((outcome) => outcome.status)).toEqual(Array(6).fill("fulfilled"));
});

test.each([
  ["a module that is not installed", "select howdah.grant_module('nope', current_user)", "module_not_found"],
  ["a role that does not exist", "select howdah.grant_module('shop', 'nobody-here')", "role_not_found"],
  ["an access that the module has not", "select howdah.grant_module('shop', current_user, 'seller')", "access_unknown"],
  ["the list of secrets", "select howdah.grant_module('shop', current_user, 'secret')", "access_unknown"],
])("a grant of %s is refused", async (_what, sql, code) => {
  expect(await db.query(sql).catch(toHowdahError)).toMatchObject({ module: "howdah", code });
});

test("a name with quotes in it is a role like any other", async () => {
  const odd = await db.role(`o'dd "role"`);
  await db.query("select howdah.grant_module('shop', $1, 'use')", [odd.name]);
  expect((await odd.query("select shop.look() as n")).rows).toEqual([{ n: 1 }]);
});
