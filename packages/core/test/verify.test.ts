import { inRollback, type TestDatabase, testDatabase } from "@howdah/testing";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defineModule, migrate } from "../src/index.ts";

const tables = `
  create schema shop;
  create type shop.status as enum ('ready', 'done');
  create sequence shop.fence_seq;
  create table shop.customers (namespace text not null, id int not null, primary key (namespace, id));
  create table shop.orders (
    namespace text collate "C" not null,
    id bigint generated always as identity,
    customer int,
    status shop.status not null default 'ready',
    note text constraint orders_note_check check (note <> ''),
    size int generated always as (length(note)) stored,
    primary key (namespace, id),
    constraint orders_customer_fkey foreign key (namespace, customer) references shop.customers
  );
  create index orders_status_idx on shop.orders (namespace, status desc) include (id) where status = 'ready';
  create table shop.events (namespace text not null, at timestamptz not null, note text) partition by range (at);
  create index events_note_idx on shop.events (namespace, note);
  create table shop.events_default partition of shop.events default;
  create view shop.notes as select note from shop.orders;`;
const functions = `
  create or replace function shop.push(p_namespace text, p_note text default null) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$ begin return 1; end $$;
  create or replace function shop.touch() returns trigger language plpgsql as $$ begin return new; end $$;
  drop trigger if exists orders_touch on shop.orders;
  create trigger orders_touch before update on shop.orders for each row execute function shop.touch();
  drop trigger if exists events_touch on shop.events;
  create trigger events_touch before update on shop.events for each row execute function shop.touch();
  alter table shop.orders enable row level security;
  alter table shop.events enable row level security;
  drop policy if exists orders_tenant on shop.orders;
  create policy orders_tenant on shop.orders using (namespace = howdah.tenant());
  drop policy if exists events_tenant on shop.events;
  create policy events_tenant on shop.events using (namespace = howdah.tenant());
  do $$ begin perform howdah.ensure_month_partitions('shop.events', 0, '2026-11-21'); end $$;`;
const shop = defineModule({
  name: "shop",
  release: "1.0.0",
  api: 1,
  minApi: 1,
  files: { "migrations/0001_tables.sql": tables, "functions/all.sql": functions },
  manifest: {},
  access: { admin: ["push"] },
});

interface Drift {
  severity: string;
  module: string;
  kind: string;
  object: string;
  problem: string;
  expected: string | null;
  actual: string | null;
}

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [] });
  await migrate(db, [shop]);
  await db.query(
    `update howdah.modules set manifest = howdah.manifest(module) || jsonb_build_object('access', manifest -> 'access')`,
  );
});
afterAll(() => db.close());

const verify = async (on: Pick<pg.Client, "query"> = db.pool, manifest: unknown = null): Promise<Drift[]> =>
  (await on.query("select * from howdah.verify($1)", [manifest && JSON.stringify(manifest)])).rows;
/** What verify says after a change, which is taken back. */
const after = (change: string): Promise<Drift[]> =>
  inRollback(db, async (client) => {
    await client.query(change);
    return await verify(client);
  });
const brief = (rows: Drift[]): string[] =>
  rows.map((row) => `${row.severity} ${row.kind} ${row.object} ${row.problem} ${row.expected} -> ${row.actual}`);

test("a database that is as it was installed has no differences", async () => {
  expect(await verify()).toEqual([]);
});

describe("an error is", () => {
  test.each([
    ["drop view shop.notes", "table notes missing null -> null"],
    ["alter table shop.orders rename to purchases", "table orders missing null -> null"],
    ["alter table shop.orders drop size", "column orders.size missing integer -> null"],
    ["alter table shop.customers alter id type bigint", "column customers.id type differs integer -> bigint"],
    [
      'alter table shop.customers alter namespace type text collate "POSIX"',
      "column customers.namespace collation differs null -> POSIX",
    ],
    [
      "alter table shop.orders alter status drop not null",
      "column orders.status nullability differs not null -> nullable",
    ],
    ["alter table shop.orders alter note set not null", "column orders.note nullability differs nullable -> not null"],
    [
      "alter table shop.orders alter status set default 'done'",
      "column orders.status default differs 'ready'::shop.status -> 'done'::shop.status",
    ],
    [
      "alter table shop.orders alter status drop default",
      "column orders.status default differs 'ready'::shop.status -> null",
    ],
    ["alter table shop.orders alter id drop identity", "column orders.id identity differs always -> null"],
    [
      "alter table shop.orders alter id set generated by default",
      "column orders.id identity differs always -> by default",
    ],
    [
      "alter table shop.orders alter size drop expression",
      "column orders.size generation expression differs length(note) -> null",
    ],
    [
      "alter table shop.orders drop constraint orders_note_check",
      "constraint orders.orders_note_check missing CHECK ((note <> ''::text)) -> null",
    ],
    [
      "alter table shop.orders drop constraint orders_note_check, add constraint orders_note_check check (note <> 'x')",
      "constraint orders.orders_note_check definition differs CHECK ((note <> ''::text)) -> CHECK ((note <> 'x'::text))",
    ],
    [
      "alter table shop.orders drop constraint orders_pkey, add constraint orders_pkey primary key (id, namespace)",
      "constraint orders.orders_pkey definition differs PRIMARY KEY (namespace, id) -> PRIMARY KEY (id, namespace)",
    ],
    [
      "alter table shop.orders drop constraint orders_customer_fkey",
      "constraint orders.orders_customer_fkey missing FOREIGN KEY (namespace, customer) REFERENCES shop.customers(namespace, id) -> null",
    ],
    [
      "drop index shop.orders_status_idx",
      "index orders.orders_status_idx missing btree (namespace, status DESC) where (status = 'ready'::shop.status) -> null",
    ],
    [
      "drop index shop.orders_status_idx; create index orders_status_idx on shop.orders (status, namespace) include (id) where status = 'ready'",
      "index orders.orders_status_idx key columns differ namespace, status DESC -> status, namespace",
    ],
    [
      "drop index shop.orders_status_idx; create index orders_status_idx on shop.orders (namespace, status desc) include (id)",
      "index orders.orders_status_idx predicate differs (status = 'ready'::shop.status) -> null",
    ],
    [
      "drop index shop.orders_status_idx; create unique index orders_status_idx on shop.orders (namespace, status desc) include (id) where status = 'ready'",
      "index orders.orders_status_idx uniqueness differs false -> true",
    ],
    [
      "drop index shop.orders_status_idx; create index orders_status_idx on shop.orders (namespace, status desc) where status = 'ready'",
      "index orders.orders_status_idx included columns differ id -> null",
    ],
    [
      "update pg_index set indisvalid = false where indexrelid = 'shop.orders_status_idx'::regclass",
      "index orders.orders_status_idx is invalid null -> true",
    ],
    ["alter table shop.orders disable row level security", "table orders row-level security is off true -> false"],
    ["alter table shop.orders force row level security", "table orders row-level security is forced null -> true"],
    [
      "alter table shop.events_default disable row level security",
      "partition events_default row-level security is off true -> false",
    ],
    [
      "drop policy orders_tenant on shop.orders",
      "policy orders.orders_tenant missing (namespace = howdah.tenant()) -> null",
    ],
    [
      "alter policy orders_tenant on shop.orders using (true)",
      "policy orders.orders_tenant using expression differs (namespace = howdah.tenant()) -> true",
    ],
    [
      "alter policy orders_tenant on shop.orders to pg_monitor",
      "policy orders.orders_tenant roles differ public -> pg_monitor",
    ],
    [
      "create policy mine on shop.orders for select using (note = 'x')",
      "policy orders.mine extra and lets more rows through null -> (note = 'x'::text)",
    ],
    [
      "drop policy events_tenant on shop.events_y2026m11",
      "partition events_y2026m11 policies differ from those of events null -> null",
    ],
    [
      "drop trigger orders_touch on shop.orders",
      "trigger orders.orders_touch missing CREATE TRIGGER orders_touch BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.touch() -> null",
    ],
    ["alter table shop.orders disable trigger orders_touch", "trigger orders.orders_touch is disabled true -> false"],
    [
      "alter table shop.events_y2026m11 disable trigger events_touch",
      "trigger events_y2026m11.events_touch is disabled true -> false",
    ],
    ["drop function shop.push(text, text)", "function push(text,text) missing returns bigint -> null"],
    ["alter function shop.push(text, text) stable", "function push(text,text) volatility differs volatile -> stable"],
    [
      "alter function shop.push(text, text) security invoker",
      "function push(text,text) security differs security definer -> security invoker",
    ],
    [
      "alter function shop.push(text, text) set search_path = shop",
      "function push(text,text) settings differ search_path=pg_catalog, pg_temp -> search_path=shop",
    ],
    [
      "alter function shop.push(text, text) reset all",
      "function push(text,text) settings differ search_path=pg_catalog, pg_temp -> null",
    ],
    ["grant execute on function shop.push to public", "function push(text,text) public may execute null -> null"],
    ["grant execute on function howdah.manifest to public", "function manifest(text) public may execute null -> null"],
    ["grant select, insert on shop.orders to public", "table orders public may insert, select null -> null"],
    ["grant select on shop.events_default to public", "table events_default public may select null -> null"],
    ["grant update (note) on shop.orders to public", "column orders.note public may update null -> null"],
    ["grant usage on sequence shop.fence_seq to public", "sequence fence_seq public may use null -> null"],
    ["grant usage on schema shop to public", "schema shop public may use null -> null"],
    ["grant create on schema howdah to public", "schema howdah public may create null -> null"],
    ["drop sequence shop.fence_seq", "sequence fence_seq missing bigint -> null"],
    ["alter type shop.status add value 'lost'", "enum status labels differ ready, done -> ready, done, lost"],
    [
      "alter table shop.orders add extra int not null",
      "column orders.extra extra and has no default, so inserts fail null -> integer not null",
    ],
    ["drop schema shop cascade", "schema shop missing null -> null"],
  ])("%s", async (change, row) => {
    expect(brief(await after(change)).filter((line) => line.startsWith("error"))).toEqual([`error ${row}`]);
  });

  test("a replaced body, of howdah.now too", async () => {
    const [drift, ...more] = await after(
      "create or replace function howdah.now() returns timestamptz language sql stable parallel safe as $$ select 'epoch'::timestamptz $$",
    );
    expect(more).toEqual([]);
    expect(drift).toMatchObject({
      severity: "error",
      module: "howdah",
      kind: "function",
      object: "now()",
      problem: "body differs",
      expected: expect.stringMatching(/^[0-9a-f]{64}$/),
      actual: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  test("a function in another shape, with the shape that is there", async () => {
    const change = `drop function shop.push(text, text);
      create function shop.push(p_namespace text, p_note bigint) returns bigint language sql as 'select 1';
      revoke all on function shop.push from public`;
    expect(brief(await after(change))).toEqual([
      "error function push(text,text) missing returns bigint -> only push(text,bigint)",
      "info function push(text,bigint) extra null -> returns bigint",
    ]);
  });

  test("a changed default of a parameter", async () => {
    const change = `create or replace function shop.push(p_namespace text, p_note text default 'x') returns bigint
      language plpgsql security definer set search_path = pg_catalog, pg_temp as $$ begin return 1; end $$`;
    expect(brief(await after(change))).toEqual([
      "error function push(text,text) arguments differ p_namespace text, p_note text default NULL::text -> p_namespace text, p_note text default 'x'::text",
    ]);
  });

  test("another name of a constraint, which is told", async () => {
    expect(brief(await after("alter table shop.orders rename constraint orders_note_check to mine"))).toEqual([
      "error constraint orders.orders_note_check missing CHECK ((note <> ''::text)) -> renamed to mine",
      "info constraint orders.mine extra null -> CHECK ((note <> ''::text))",
    ]);
  });

  test("an invalid index of a partition", async () => {
    const change =
      "update pg_index set indisvalid = false where indexrelid = 'shop.events_default_namespace_note_idx'::regclass";
    expect(brief(await after(change))).toEqual([
      "error index events_default.events_default_namespace_note_idx is invalid null -> true",
    ]);
  });
});

describe("tolerated and mentioned as info is", () => {
  test.each([
    ["alter table shop.orders add mine text", "column orders.mine extra null -> text"],
    ["alter table shop.orders add mine int not null default 7", "column orders.mine extra null -> integer not null"],
    [
      "alter table shop.orders add mine int not null generated always as identity",
      "column orders.mine extra null -> integer not null",
    ],
    ["create index mine on shop.orders (note)", "index orders.mine extra null -> btree (note)"],
    [
      "create unique index mine on shop.orders (note desc) where size > 1",
      "index orders.mine extra null -> unique btree (note DESC) where (size > 1)",
    ],
    ["create table shop.mine (id int primary key, note text not null)", "table mine extra null -> null"],
    [
      "alter table shop.orders add constraint mine check (size < 9)",
      "constraint orders.mine extra null -> CHECK ((size < 9))",
    ],
    [
      "create policy mine on shop.orders as restrictive using (note <> 'x')",
      "policy orders.mine extra null -> (note <> 'x'::text)",
    ],
    ["alter table shop.orders set (fillfactor = 70)", "table orders storage options differ null -> fillfactor=70"],
    ["create sequence shop.mine", "sequence mine extra null -> bigint"],
    ["create type shop.mine as enum ('a', 'b')", "enum mine extra null -> a, b"],
    [
      "create function shop.mine() returns int language sql as 'select 1'; revoke all on function shop.mine from public",
      "function mine() extra null -> returns integer",
    ],
  ])("%s", async (change, row) => {
    expect(brief(await after(change))).toEqual([`info ${row}`]);
  });

  test("nothing at all: what is beside the modules, new partitions, grants to roles", async () => {
    const change = `create table public.mine (id int); grant all on public.mine to public;
      select howdah.ensure_month_partitions('shop.events', 3, '2027-01-01');
      grant usage on schema shop to pg_monitor; grant select on shop.orders to pg_monitor`;
    expect(await after(change)).toEqual([]);
  });
});

test("errors come before infos", async () => {
  const rows = await after("alter table shop.customers add mine text; alter table shop.orders drop note cascade");
  expect(rows.map((row) => row.severity)).toEqual([...rows.map((row) => row.severity)].sort());
  expect(new Set(rows.map((row) => row.severity))).toEqual(new Set(["error", "info"]));
});

describe("a given manifest", () => {
  const stored = async (): Promise<Record<string, unknown>> =>
    (await db.pool.query("select manifest from howdah.modules where module = 'shop'")).rows[0].manifest;

  test("is compared instead of the stored ones, without its access", async () => {
    expect(await stored()).toHaveProperty("access");
    expect(await verify(db.pool, await stored())).toEqual([]);
    expect(brief(await verify(db.pool, { ...(await stored()), sequences: { other_seq: { type: "bigint" } } }))).toEqual(
      ["error sequence other_seq missing bigint -> null", "info sequence fence_seq extra null -> bigint"],
    );
  });

  test("may be a list of several", async () => {
    const rows = await verify(db.pool, [await stored(), { schema: "nowhere", tables: { a: {} } }]);
    expect(rows).toMatchObject([
      { severity: "error", module: "nowhere", kind: "schema", object: "nowhere", problem: "missing" },
    ]);
  });

  test.each([{}, "shop", [[]], 7])("is refused as manifest_invalid when it is %j", async (manifest) => {
    await expect(verify(db.pool, manifest)).rejects.toMatchObject({ code: "22023", constraint: "manifest_invalid" });
  });
});

test("a role that may only view can verify, in a read-only transaction", async () => {
  const role = await db.role("auditor");
  await role.grant("howdah", "view");
  await role.transaction(async (tx) => expect((await tx.query("select * from howdah.verify()")).rows).toEqual([]), {
    readOnly: true,
  });
  await db.query("select howdah.revoke_module('howdah', $1)", [role.name]);
});
