import { defineModule, type Manifest, migrate } from "@howdah/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ClientFunction, inspect, type OptOut, report, rules } from "../src/hygiene.ts";
import { type TestDatabase, testDatabase } from "../src/index.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [] });
});
afterAll(() => db.close());

const tables = `-- Orders of a shop.

create schema if not exists shop;

create table shop.customers (
  namespace text not null,
  id bigint not null,
  primary key (namespace, id)
);

create table shop.orders (
  namespace text not null,
  id bigint not null,
  customer_id bigint,
  at timestamptz not null,
  primary key (namespace, id, at),
  constraint orders_customer_fkey foreign key (namespace, customer_id) references shop.customers
) partition by range (at);

create table shop.orders_default partition of shop.orders default;

create index orders_customer_idx on shop.orders (namespace, customer_id);

comment on table shop.customers is 'Who buys.';
comment on column shop.customers.namespace is 'The tenant';
comment on column shop.customers.id is 'The customer';
comment on table shop.orders is 'What was bought.';
comment on column shop.orders.namespace is 'The tenant';
comment on column shop.orders.id is 'The order';
comment on column shop.orders.customer_id is 'Who bought';
comment on column shop.orders.at is 'When it was bought';
`;

const functions = `-- Buying, looking, and cleaning up.

create or replace function shop.place_order(
  p_namespace text,
  p_order_id bigint,
  p_tags text[] default null
) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_order shop.orders%rowtype;
  v_table regclass := 'shop.orders';
begin
  v_order.id := p_order_id;
  with bought as (
    insert into shop.orders (namespace, id, at)
    values (p_namespace, v_order.id, howdah.now())
    returning id
  )
  select b.id into p_order_id from bought b;
  perform 1 from shop.orders o where o.namespace = p_namespace for update of o;
  execute format('select 1 from %s where %I = %L and id = $1', v_table, 'namespace', p_namespace)
  using p_order_id;
  return p_order_id;
end
$$;

comment on function shop.place_order(text, bigint, text[]) is
'Buy something.

p_namespace  the tenant
p_order_id   the order, which
             must be new
p_tags       what to remember it by
Returns      the order
Errors       none
Example      select shop.place_order(''acme'', 7);';

create or replace function shop.list_orders(p_namespace text)
returns table (order_id bigint, bought_at timestamptz)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  select o.id, o.at from shop.orders o where o.namespace = p_namespace
$$;

comment on function shop.list_orders(text) is
'List orders.

p_namespace  the tenant
Returns      order_id and bought_at of each
Errors       none
Example      select * from shop.list_orders(''acme'');';

create or replace function shop.last_orders(p_namespace text)
returns table (id bigint, at timestamptz, is_new boolean)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  select o.id, o.at, o.at > howdah.now() from shop.orders o where o.namespace = p_namespace
$$;

comment on function shop.last_orders(text) is
'List the last orders.

p_namespace  the tenant
Returns      id and others of shop.orders, and
             is_new if it was just made
Errors       none
Example      select *
             from shop.last_orders(
               ''acme''
             );';

create or replace function shop.maintain(p_budget interval default '10 s')
returns table (task text, affected bigint, more boolean)
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
  select 'nothing', 0::bigint, false
$$;

comment on function shop.maintain(interval) is
'Do nothing.

p_budget  how long it may take
Returns   task, affected and more
Errors    none
Example   select * from shop.maintain();';

create or replace function shop._double(p_n int) returns int
language sql
immutable
as $$
  select p_n * 2
$$;

comment on function shop._double(int) is 'Twice a number.';
`;

const policies = `-- Rows are seen by their tenant.

alter table shop.customers enable row level security;
alter table shop.orders enable row level security;
alter table shop.orders_default enable row level security;

drop policy if exists customers_tenant on shop.customers;
create policy customers_tenant on shop.customers using (namespace = howdah.tenant());
drop policy if exists orders_tenant on shop.orders;
create policy orders_tenant on shop.orders using (namespace = howdah.tenant());
drop policy if exists orders_tenant on shop.orders_default;
create policy orders_tenant on shop.orders_default using (namespace = howdah.tenant());
`;

const clients: ClientFunction[] = [
  { name: "shop.place_order", spec: { args: { orderId: "bigint", tags: "text[]" } } },
  { name: "shop.list_orders", spec: { args: {}, columns: { orderId: "bigint" }, isReadOnly: true } },
  { name: "shop.last_orders", spec: { args: {}, isReadOnly: true } },
];
const tests = {
  "shop.test.ts": "shop.placeOrder(7); shop.listOrders(); shop.lastOrders(); db.query('select shop.maintain()')",
};

interface Example {
  /** SQL that a second migration adds to the good module. */
  sql?: string;
  /** SQL that runs after the installation. */
  after?: string;
  access?: Readonly<Record<string, readonly string[]>>;
  clients?: ClientFunction[];
  tests?: Readonly<Record<string, string>>;
  manifest?: Manifest;
}

/** Installs the good module with what an example changes, and says what one rule thinks of it. */
async function violations(name: string, example: Example = {}): Promise<string[]> {
  const rule = rules.find((candidate) => candidate.name === name);
  if (!rule) throw new Error(`no rule ${name}`);
  const definition = {
    name: "shop",
    release: "1.0.0",
    api: 1,
    minApi: 1,
    files: {
      "migrations/0001_tables.sql": tables,
      ...(example.sql ? { "migrations/0002_more.sql": example.sql } : {}),
      "functions/functions.sql": functions,
      "functions/policies.sql": policies,
    },
    access: example.access ?? {},
  };
  await db.query("drop schema if exists shop cascade");
  await migrate(db, [defineModule({ ...definition, manifest: {} })]);
  const { rows } = await db.query<{ manifest: Manifest }>("select howdah.manifest('shop') as manifest");
  const module = defineModule({ ...definition, manifest: example.manifest ?? rows[0]?.manifest ?? {} });
  await migrate(db, [module]);
  if (example.after) await db.query(example.after);
  const subject = await inspect(db, module, { clients, tests, ...example });
  if (rule.skip?.(subject)) return [`skipped: ${rule.skip(subject)}`];
  return (await rule.check(subject)).map(({ object, problem }) => `${object} ${problem}`);
}

/** A function that is good but for what is changed in it. */
const someFunction = (
  changes: { signature?: string; options?: string; body?: string; comment?: string } = {},
): string => {
  const {
    signature = "some(p_namespace text) returns int",
    options = "language sql security definer set search_path = pg_catalog, pg_temp",
    body = "select 1",
    comment = "Be one.\n\np_namespace  the tenant\nReturns      1\nErrors       none\nExample      select shop.some('acme');",
  } = changes;
  return `-- One more function.

create function shop.${signature}
${options}
as $$
${body}
$$;
${comment && `comment on function shop.some is '${comment.replaceAll("'", "''")}';`}
`;
};
const plpgsql = "language plpgsql security definer set search_path = pg_catalog, pg_temp";

describe("a good module", () => {
  test.each(rules.map((rule) => rule.name))("keeps the rule %s", async (name) => {
    const found = await violations(name);
    expect(name === "plpgsql-check" ? found.filter((text) => !text.startsWith("skipped")) : found).toEqual([]);
  });
});

const bad: [rule: string, why: string, example: Example, found: string[]][] = [
  ["function-comment", "no comment", { sql: someFunction({ comment: "" }) }, ["shop.some has no comment"]],
  [
    "function-comment",
    "a helper without a comment",
    { sql: "create function shop._some() returns int language sql as 'select 1';" },
    ["shop._some has no comment"],
  ],
  [
    "function-comment",
    "prose alone",
    { sql: someFunction({ comment: "Be one." }) },
    ["shop.some has a comment without headings"],
  ],
  [
    "function-comment",
    "headings missing, unknown and in disorder",
    { sql: someFunction({ comment: "Be one.\n\nReturns      1\np_name       a name\nErrors       none" }) },
    [
      "shop.some has a comment without p_namespace, Example",
      "shop.some has a comment on p_name, which is no parameter",
    ],
  ],
  [
    "function-comment",
    "another order",
    {
      sql: someFunction({
        comment:
          "Be one.\n\nReturns      1\nErrors       none\np_namespace  the tenant\nExample      select shop.some('acme');",
      }),
    },
    ["shop.some has comments in another order than p_namespace, Returns, Errors, Example"],
  ],
  [
    "function-comment",
    "no meaning, no alignment, loose lines, and an example of something else",
    {
      sql: someFunction({
        comment: "p_namespace  the tenant\nReturns  1\nnever 2\nErrors       none\nExample      some('acme');",
      }),
    },
    [
      "shop.some has a comment that does not begin with what the function means",
      "shop.some has a comment line that belongs to no heading: never 2",
      "shop.some has a comment that is not aligned",
      "shop.some has an Example that is not a SQL statement that calls it",
    ],
  ],
  [
    "function-comment",
    "a silent result",
    {
      sql: someFunction({
        signature: "some(p_namespace text, out one int, out two int)",
        body: "select 1, 2",
        comment:
          "Count.\n\np_namespace  the tenant\nReturns      one\nErrors       none\nExample      select shop.some('acme');",
      }),
    },
    ["shop.some has a comment whose Returns does not explain two"],
  ],
  [
    "search-path",
    "a path of the caller",
    { sql: someFunction({ options: "language sql volatile" }) },
    ["shop.some has no set search_path = pg_catalog, pg_temp"],
  ],
  [
    "definer-path",
    "pg_temp first, which is where it stands when it is not named",
    { sql: someFunction({ options: "language sql security definer set search_path = pg_catalog" }) },
    ["shop.some runs as its owner with search_path pg_catalog, so a temporary object may pose as another"],
  ],
  [
    "parameter-names",
    "a bare name and no name",
    { sql: someFunction({ signature: "some(namespace text, int) returns int" }) },
    ["shop.some has a parameter namespace", "shop.some has a parameter without a name"],
  ],
  [
    "maintain",
    "another result",
    {
      after: `drop function shop.maintain(interval);
        create function shop.maintain(p_budget interval) returns int language sql as 'select 1'`,
    },
    [
      "shop.maintain is not maintain(p_budget interval default ...) returns table (task text, affected bigint, more boolean)",
    ],
  ],
  [
    "table-comment",
    "a silent table and column",
    { after: "comment on table shop.orders is null; comment on column shop.orders.at is null" },
    ["shop.orders has no comment", "shop.orders.at has no comment"],
  ],
  [
    "row-security",
    "an open table",
    { after: "alter table shop.orders disable row level security" },
    ["shop.orders has no row-level security"],
  ],
  [
    "row-security",
    "an open partition",
    {
      after: `create table shop.orders_2026 partition of shop.orders
        for values from ('2026-01-01') to ('2027-01-01')`,
    },
    ["shop.orders_2026 has no row-level security", "shop.orders_2026 has no policy for select, insert, update, delete"],
  ],
  [
    "row-security",
    "a policy for some commands, and one for all tenants",
    { after: "drop policy orders_tenant on shop.orders; create policy p on shop.orders for select using (true)" },
    [
      "shop.orders has no policy for insert, update, delete",
      "shop.orders has a policy that does not say namespace = howdah.tenant()",
    ],
  ],
  [
    "tenant-keys",
    "keys over all tenants",
    {
      after: `create table shop.bare (namespace text);
        create table shop.items (namespace text not null, id int primary key, order_id int unique);
        alter table shop.items add constraint items_self_fkey foreign key (order_id) references shop.items`,
    },
    [
      "shop.bare has no primary key",
      "shop.items_order_id_key begins with order_id",
      "shop.items_pkey begins with id",
      "shop.items_self_fkey begins with order_id",
    ],
  ],
  [
    "foreign-key-index",
    "a key that must be searched for",
    { after: "drop index shop.orders_customer_idx" },
    ["shop.orders_customer_fkey has no index on (namespace, customer_id)"],
  ],
  [
    "duplicate-index",
    "a beginning and a twin",
    {
      after: `create index orders_first_idx on shop.orders (namespace, id);
        create index orders_twin_idx on shop.orders (namespace, customer_id);
        create index orders_desc_idx on shop.orders (namespace, customer_id desc);
        create index orders_some_idx on shop.orders (namespace, customer_id) where customer_id > 7`,
    },
    [
      "shop.orders_first_idx is the beginning of shop.orders_pkey",
      "shop.orders_twin_idx is the beginning of shop.orders_customer_idx",
    ],
  ],
  [
    "public-rights",
    "an open schema, function, table, column and sequence",
    {
      after: `grant usage on schema shop to public;
        grant execute on function shop.list_orders(text) to public;
        grant select on shop.orders to public;
        grant update (id) on shop.customers to public;
        create sequence shop.numbers;
        grant usage on shop.numbers to public`,
    },
    [
      "shop gives PUBLIC the right to usage",
      "shop.customers.id gives PUBLIC the right to update",
      "shop.list_orders gives PUBLIC the right to execute",
      "shop.numbers gives PUBLIC the right to usage",
      "shop.orders gives PUBLIC the right to select",
    ],
  ],
  [
    "view-access",
    "a function that the database knows nothing of, and an administrator's that it takes for everyone's",
    {
      access: { admin: ["list_orders"], secret: ["last_orders"] },
      after: `create function shop.count_orders() returns int stable language sql as 'select 1';
        revoke execute on function shop.count_orders from public;
        update howdah.modules set manifest = manifest - 'access' where module = 'shop'`,
    },
    ["shop.count_orders is closed to view", "shop.last_orders is open to view", "shop.list_orders is open to view"],
  ],
  [
    "view-secrets",
    "a hash that is not kept out of view",
    {
      sql: someFunction({
        signature: "some(out id int, out key_hash text)",
        options: "language sql stable",
        body: "select 1, 'x'",
      }),
    },
    ['shop.some shows key_hash: name it in the access set "secret"'],
  ],
  [
    "qualified-names",
    "bodies whose names depend on the search path",
    {
      after: `begin;
        set local check_function_bodies = off;
        create function shop.one() returns void language plpgsql as $$
          declare
            v_order orders;
            v_id orders.id%type;
          begin
            v_id := double(1);
            for v_order in select * from orders o for update of o loop
              perform 1 from shop.orders, customers;
            end loop;
          end
        $$;
        create function shop.two() returns int language sql as
          'with mine as (select now()) select double(1)::amount from mine';
        commit`,
    },
    [
      "shop.one names function double without its schema",
      "shop.one names relation customers without its schema",
      "shop.one names relation orders without its schema",
      "shop.one names type orders without its schema",
      "shop.two names function double without its schema",
      "shop.two names type amount without its schema",
    ],
  ],
  [
    "qualified-names",
    "a file whose names depend on the search path",
    { sql: "set local search_path = shop; create table things (id bigserial); reset search_path;" },
    ["migrations/0002_more.sql names relation things without its schema"],
  ],
  [
    "other-modules",
    "another module in a body and in a file",
    {
      sql: `create schema if not exists queue;
        create table if not exists queue.things (id int);
        set local check_function_bodies = off;
        ${someFunction({ options: plpgsql, body: "begin return queue.size(); end" })}`,
    },
    [
      "migrations/0002_more.sql names schema queue",
      "migrations/0002_more.sql names relation queue.things",
      "shop.some names function queue.size",
    ],
  ],
  [
    "dynamic-sql",
    "texts with anything in them",
    {
      sql: someFunction({
        options: plpgsql,
        body: `declare
          v_row record;
          v_cursor refcursor;
        begin
          for v_row in execute p_namespace || 1 loop null; end loop;
          open v_cursor for execute p_namespace || 2;
          execute 'drop table ' || p_namespace;
          execute format('drop table %s', p_namespace);
          execute format(p_namespace);
          execute 'select $1' using p_namespace;
          execute format('select %2$s, %1$L', p_namespace, quote_ident(p_namespace));
          execute format('lock table %s', p_namespace::regclass);
          return 1;
        end`,
      }),
    },
    [
      "shop.some executes 'drop table ' || p_namespace",
      "shop.some executes format('drop table %s', p_namespace)",
      "shop.some executes format(p_namespace)",
      "shop.some executes p_namespace || 1",
      "shop.some executes p_namespace || 2",
    ],
  ],
  [
    "client-methods",
    "a function that no method calls",
    { sql: someFunction() },
    ["shop.some is not called by the client"],
  ],
  [
    "client-calls",
    "calls of another release",
    {
      clients: [
        {
          name: "shop.place_order",
          spec: { args: { id: "bigint", tags: "text" }, columns: { at: "text" }, isReadOnly: true },
        },
        { name: "shop.gone", spec: { args: {} } },
      ],
    },
    [
      "shop.place_order is called with p_id, which it does not have",
      "shop.place_order is called with p_tags as text, not text[]",
      "shop.place_order is called without p_order_id",
      "shop.place_order is read for a column at, which it does not have",
      "shop.place_order is marked as read-only and is volatile",
      "shop.gone is called by the client and does not exist",
    ],
  ],
  [
    "read-only",
    "a write that only some calls come to",
    {
      after: `create function shop._log() returns void language plpgsql as $$ begin
          if false then delete from shop.orders; end if;
        end $$;
        create function shop.look() returns void stable language plpgsql as $$ begin perform shop._log(); end $$`,
    },
    ["shop.look writes: shop._log has a DeleteStmt"],
  ],
  [
    "read-only",
    "a write that the parser does not see, and a call of nothing",
    {
      after: `create function shop.hide(p_a text) returns int stable language plpgsql as $$ begin
          execute 'create table shop.made ()';
          return 1;
        end $$;
        create function shop.miss(p_a text) returns int stable language plpgsql as $$ begin return shop.gone(); end $$`,
    },
    [
      "shop.hide fails in a read-only transaction: CREATE TABLE is not allowed in a non-volatile function",
      "shop.miss fails in a read-only transaction: function shop.gone() does not exist",
    ],
  ],
  [
    "tests",
    "a function that no test names",
    { tests: { "shop.test.ts": "place_order; shop.lastOrders(); shop.maintain()" } },
    ["shop.list_orders is named in no test"],
  ],
  [
    "manifest",
    "a manifest of another release",
    { after: "alter table shop.orders alter customer_id set not null" },
    ["manifest.json differs in tables orders columns customer_id not_null"],
  ],
  [
    "installs",
    "an installation that depends on something outside",
    {
      after: "create table shop.more ()",
    },
    ["shop differs in tables more"],
  ],
  [
    "file-style",
    "a file that looks different",
    { sql: `select 1;\n\tselect 'UP' as "UP", 1 AS b; -- UP\n   select 2; \n--${"x".repeat(99)}\n\n` },
    [
      "migrations/0002_more.sql does not open with a comment that says what it is about",
      "migrations/0002_more.sql does not end with one line break",
      "migrations/0002_more.sql line 2 has a tab",
      "migrations/0002_more.sql line 2 has AS in upper case",
      "migrations/0002_more.sql line 3 ends with white space",
      "migrations/0002_more.sql line 3 is indented by 3",
      "migrations/0002_more.sql line 4 has 101 columns",
    ],
  ],
];

describe("a bad module", () => {
  test.each(bad)("breaks the rule %s: %s", async (rule, _, example, found) => {
    expect(await violations(rule, example)).toEqual(found);
  });

  test("is an example of every rule that this server can check", () => {
    const shown = new Set(bad.map(([rule]) => rule));
    expect(rules.map((rule) => rule.name).filter((name) => !shown.has(name))).toEqual(["plpgsql-check"]);
  });

  test("breaks the rule plpgsql-check where the extension exists, and says so where it does not", async () => {
    const sql = someFunction({ options: plpgsql, body: "begin return p_none; end" });
    const [first] = await violations("plpgsql-check", { sql });
    expect(first).toMatch(/^skipped: this server has no extension plpgsql_check|^shop\.some error: .*p_none/);
  });

  test("has no client to check when none is given", async () => {
    const rule = rules.find(({ name }) => name === "client-methods");
    const subject = await inspect(
      db,
      defineModule({ name: "shop", release: "1.0.0", api: 1, minApi: 1, files: {}, manifest: {} }),
    );
    expect(rule?.skip?.(subject)).toBe("the module has no client");
  });
});

describe("an opt-out", () => {
  const rule = rules.find(({ name }) => name === "tests") as (typeof rules)[number];
  const found = [
    { object: "shop.a", problem: "is named in no test" },
    { object: "shop.b", problem: "is named in no test" },
  ];
  const optOut = (object: string): OptOut => ({ rule: "tests", object, reason: "proved elsewhere" });

  test("excuses its object from its rule", () => {
    expect(() => report(rule, found, [optOut("shop.a"), optOut("shop.b")])).not.toThrow();
    expect(() => report(rule, found, [optOut("shop.a")])).toThrow("tests:\n  shop.b is named in no test");
  });

  test("fails when nothing needs it", () => {
    expect(() => report(rule, [], [optOut("shop.c")])).toThrow("shop.c needs no opt-out");
    expect(() => report(rule, [], [{ ...optOut("shop.c"), rule: "manifest" }])).not.toThrow();
  });
});
