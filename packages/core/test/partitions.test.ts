import { race, type TestDatabase, testDatabase } from "@howdah/testing";
import fc from "fast-check";
import type pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { defineModule, migrate } from "../src/index.ts";

const tables = `
  create schema shop;
  create table shop.customers (namespace text not null, id int not null, primary key (namespace, id));
  create table shop.events (
    namespace text collate "C" not null,
    id bigint generated always as identity,
    at timestamptz not null default howdah.now(),
    customer int,
    note text constraint events_note_check check (note <> ''),
    size int generated always as (length(note)) stored,
    primary key (namespace, at, id),
    foreign key (namespace, customer) references shop.customers
  ) partition by range (at);
  create index events_note_idx on shop.events (namespace, note) where note is not null;
  create table shop.events_default partition of shop.events default;
  create function shop.refuse() returns trigger language plpgsql as $$ begin raise 'events are for ever'; end $$;
  create trigger events_immutable before update or delete on shop.events for each row execute function shop.refuse();
  create table shop.metrics (namespace text not null, at timestamptz not null, value int) partition by range (at);
  create table shop.orders (namespace text not null, at timestamptz not null);
  create table shop.by_list (at timestamptz not null) partition by list (at);
  create table shop.by_two (namespace text not null, at timestamptz not null) partition by range (namespace, at);
  create table shop.by_date (at date not null) partition by range (at);`;
const policies = `
  alter table shop.events enable row level security;
  drop policy if exists events_tenant on shop.events;
  create policy events_tenant on shop.events using (namespace = howdah.tenant()) with check (namespace = howdah.tenant());
  alter table shop.metrics enable row level security;
  drop policy if exists metrics_tenant on shop.metrics;
  create policy metrics_tenant on shop.metrics using (namespace = howdah.tenant());`;
const shop = defineModule({
  name: "shop",
  release: "1.0.0",
  api: 1,
  minApi: 1,
  files: { "migrations/0001_tables.sql": tables, "functions/policies.sql": policies },
  manifest: {},
});

let db: TestDatabase;
beforeEach(async () => {
  db = await testDatabase({ modules: [] });
  await migrate(db, [shop]);
  await db.freeze(new Date("2026-11-21T12:00:00Z"));
});
afterEach(() => db.close());

const list = async <T>(sql: string, values: unknown[] = [], on: Pick<pg.Client, "query"> = db.pool): Promise<T[]> =>
  (await on.query({ text: sql, values, rowMode: "array" })).rows.map(([value]: T[]) => value as T);
const one = async <T>(sql: string, values: unknown[] = [], on?: Pick<pg.Client, "query">): Promise<T> =>
  (await list<T>(sql, values, on))[0] as T;
const partitions = (table: string): Promise<string[]> =>
  list(
    "select c.relname::text from pg_inherits i join pg_class c on c.oid = inhrelid where inhparent = $1::regclass order by 1",
    [`shop.${table}`],
  );
const failure = (sql: string): Promise<unknown> =>
  db.pool.query(sql).then(
    () => undefined,
    (error: unknown) => error,
  );

/** Returns when a connection stands still before a lock. */
async function waits(client: pg.Client): Promise<void> {
  const { processID } = client as unknown as { processID: number };
  while (!(await one<boolean>("select cardinality(pg_blocking_pids($1)) > 0", [processID])));
}

describe("making partitions", () => {
  test("makes this month's partition and those of two more months", async () => {
    expect(await one("select howdah.ensure_month_partitions('shop.events')")).toBe(3);
    expect(await partitions("events")).toEqual([
      "events_default",
      "events_y2026m11",
      "events_y2026m12",
      "events_y2027m01",
    ]);
  });

  test("makes one partition a day, the leap day too", async () => {
    expect(await one("select howdah.ensure_day_partitions('shop.metrics', 2, '2028-02-28 23:59+00')")).toBe(3);
    expect(await partitions("metrics")).toEqual(["metrics_y2028m02d28", "metrics_y2028m02d29", "metrics_y2028m03d01"]);
  });

  test("follows the clock of howdah", async () => {
    await db.travel("20 days");
    await db.query("select howdah.ensure_day_partitions('shop.metrics', 0)");
    expect(await partitions("metrics")).toEqual(["metrics_y2026m12d11"]);
  });

  test("begins at midnight UTC, whatever time zone and date style the session has", async () => {
    const client = await db.client();
    await client.query("set timezone = 'Pacific/Auckland'; set datestyle = 'German'; set intervalstyle = 'iso_8601'");
    const call = "select howdah.ensure_month_partitions('shop.metrics', 0, '2026-11-30 23:59+00')";
    expect(await one(call, [], client)).toBe(1);
    expect(await one(call, [], client)).toBe(0);
    await client.query("set timezone = 'UTC'; set datestyle = 'ISO'");
    expect(
      await one("select pg_get_expr(relpartbound, oid) from pg_class where relname like 'metrics_y%'", [], client),
    ).toBe("FOR VALUES FROM ('2026-11-01 00:00:00+00') TO ('2026-12-01 00:00:00+00')");
  });

  test("leaves out what a partition of another name covers already", async () => {
    await db.query(
      "create table shop.winter partition of shop.metrics for values from ('2026-12-01 00:00+00') to ('2027-03-01 00:00+00')",
    );
    expect(await one("select howdah.ensure_month_partitions('shop.metrics', 4)")).toBe(2);
    expect(await partitions("metrics")).toEqual(["metrics_y2026m11", "metrics_y2027m03", "winter"]);
  });

  test("reads the bounds of partitions however the session reads backslashes", async () => {
    const client = await db.client();
    await client.query("set standard_conforming_strings to off");
    const call = "select howdah.ensure_month_partitions('shop.metrics', 1)";
    expect(await one(call, [], client)).toBe(2);
    expect(await one(call, [], client)).toBe(0);
  });

  test("tiles time without a gap or an overlap, for any clock", async () => {
    const day = fc.date({ min: new Date("1970-01-01"), max: new Date("9999-12-31"), noInvalidDate: true });
    const client = await db.client();
    await fc.assert(
      fc.asyncProperty(day, fc.constantFrom("month", "day"), fc.nat({ max: 14 }), async (from, unit, ahead) => {
        await client.query("begin");
        const made = await one(
          `select howdah.ensure_${unit}_partitions('shop.metrics', $1, $2)`,
          [ahead, from],
          client,
        );
        const { rows } = await client.query(
          `select min(lower_bound) <= $1 as begins, max(upper_bound) > $1 + $2::int * interval '1 ${unit}' as ends,
             count(*)::int as count, count(*) filter (where lower_bound = previous)::int as joints
           from (
             select lower_bound, upper_bound, lag(upper_bound) over (order by lower_bound) as previous
             from howdah._partitions('shop.metrics')
           ) b`,
          [from, ahead],
        );
        await client.query("rollback");
        expect(made).toBe(ahead + 1);
        expect(rows).toEqual([{ begins: true, ends: true, count: ahead + 1, joints: ahead }]);
      }),
      { numRuns: 25 },
    );
  });

  test("a second call makes nothing and locks nothing", async () => {
    await db.query("select howdah.ensure_month_partitions('shop.events')");
    const holder = await db.client();
    await holder.query("begin; lock table shop.events, howdah.modules in exclusive mode");
    expect(await one("select howdah.ensure_month_partitions('shop.events')")).toBe(0);
  });

  test("twenty callers at once make each partition once", async () => {
    const results = await race(db, 20, (client) =>
      one<number>("select howdah.ensure_day_partitions('shop.events', 4)", [], client),
    );
    expect(results.filter((result) => result.status === "rejected")).toEqual([]);
    const made = results.map((result) => (result.status === "fulfilled" ? result.value : 0));
    expect(made.sort()).toEqual([...Array(19).fill(0), 5]);
    expect(await partitions("events")).toHaveLength(6);
  });

  test("a caller waits for another one that takes longer than a lock may be waited for", async () => {
    const [slow, other] = (await db.clients(2)) as [pg.Client, pg.Client];
    await slow.query("begin");
    await one("select howdah.ensure_day_partitions('shop.metrics', 4)", [], slow);
    const waiting = one("select howdah.ensure_day_partitions('shop.metrics', 5)", [], other);
    await waits(other);
    // The server itself must let its lock_timeout of two seconds pass: no clock of ours can.
    await slow.query("select pg_sleep(2.1)");
    await slow.query("commit");
    expect(await waiting).toBe(1);
    expect((await other.query("show lock_timeout")).rows).toEqual([{ lock_timeout: "0" }]);
  });

  test("readers and writers of the table go on while partitions are attached", async () => {
    await db.query("select howdah.ensure_day_partitions('shop.metrics', 0)");
    const [reader, writer] = (await db.clients(2)) as [pg.Client, pg.Client];
    await reader.query("begin; select * from shop.metrics");
    await writer.query("begin; insert into shop.metrics values ('acme', '2026-11-21 12:00+00', 1)");
    expect(await one("select howdah.ensure_day_partitions('shop.metrics', 1)")).toBe(1);
    await writer.query("commit");
    await reader.query("commit");
  });

  test("gives up after two seconds behind a reader of the default partition, and leaves nothing", async () => {
    const reader = await db.client();
    await reader.query("begin; select * from shop.events_default");
    expect(await failure("select howdah.ensure_month_partitions('shop.events')")).toMatchObject({ code: "55P03" });
    expect(await partitions("events")).toEqual(["events_default"]);
    await reader.query("commit");
    expect(await one("select howdah.ensure_month_partitions('shop.events')")).toBe(3);
  });
});

describe("what a partition gets from its parent", () => {
  test("indexes, checks and foreign keys hold in it", async () => {
    await db.query("select howdah.ensure_month_partitions('shop.events', 0)");
    expect(
      await list("select indexrelid::regclass::text from pg_index where indrelid = 'shop.events_y2026m11'::regclass"),
    ).toHaveLength(2);
    const insert = (columns: string, values: string): Promise<unknown> =>
      failure(`insert into shop.events (namespace, ${columns}) values ('acme', ${values})`);
    expect(await insert("note", "''")).toMatchObject({ code: "23514", constraint: "events_note_check" });
    expect(await insert("customer", "7")).toMatchObject({ code: "23503" });
    expect(await insert("note", "'ok'")).toBeUndefined();
    expect(await list("select tableoid::regclass::text || size from shop.events")).toEqual(["shop.events_y2026m112"]);
  });

  test("row-level security binds who reads it directly, the default partition too", async () => {
    const role = await db.role("reader");
    await role.grant("howdah");
    await db.query(`grant usage on schema shop to ${role.name}`);
    await db.query(`grant select, insert on shop.events to ${role.name}`);
    await db.query(`alter default privileges in schema shop grant all on tables to ${role.name}, public`);
    await db.query("insert into shop.events (namespace, at) values ('acme', '2030-01-01'), ('other', '2030-01-01')");
    await db.query("select howdah.ensure_month_partitions('shop.events', 0)");
    await db.query("insert into shop.events (namespace) values ('acme'), ('other')");

    for (const table of ["events_default", "events_y2026m11"]) {
      await role.transaction(async (tx) => {
        expect((await tx.query(`select namespace from shop.${table}`)).rows).toEqual([]);
        await tx.query("select howdah.set_tenant('acme')");
        expect((await tx.query(`select namespace from shop.${table}`)).rows).toEqual([{ namespace: "acme" }]);
      });
      await expect(role.query(`insert into shop.${table} (namespace) values ('acme')`)).rejects.toMatchObject({
        code: "42501",
      });
      const { rows } = await db.query(
        "select grantee::regrole::text, privilege_type from pg_class, aclexplode(relacl) where oid = $1::regclass and grantee <> relowner",
        [`shop.${table}`],
      );
      expect(rows).toEqual([{ grantee: role.name, privilege_type: "SELECT" }]);
    }
  });

  test("each kind of policy is copied as it is", async () => {
    await db.query(`
      create policy "Read ""it""" on shop.metrics as restrictive for select to pg_monitor, current_user using (value > 0);
      create policy add on shop.metrics for insert with check (value in (1, 2));
      create policy change on shop.metrics for update using (value in (select c.id from shop.customers c));
      create policy remove on shop.metrics for delete using (namespace like 'it''s%')`);
    await db.query("select howdah.ensure_day_partitions('shop.metrics', 0)");
    const policiesOf = (table: string): Promise<unknown> =>
      one("select members from howdah._policies(array[$1::regclass::oid])", [`shop.${table}`]);
    expect(Object.keys((await policiesOf("metrics")) as object)).toHaveLength(5);
    expect(await policiesOf("metrics_y2026m11d21")).toEqual(await policiesOf("metrics"));
  });

  test("a changed policy reaches the partitions that are there already", async () => {
    await db.query("select howdah.ensure_month_partitions('shop.events', 1)");
    await db.query("drop policy events_tenant on shop.events");
    await db.query("create policy events_all on shop.events using (true)");
    await db.query("alter table shop.events_y2026m12 disable row level security");
    expect(await one("select howdah.ensure_month_partitions('shop.events', 1)")).toBe(0);
    expect(
      await list(
        `select polrelid::regclass || ' ' || polname from pg_policy join pg_class c on c.oid = polrelid and relrowsecurity
         where polrelid in (select inhrelid from pg_inherits where inhparent = 'shop.events'::regclass) order by 1`,
      ),
    ).toEqual(["events_default", "events_y2026m11", "events_y2026m12"].map((name) => `shop.${name} events_all`));
  });
});

describe("rows in the default partition", () => {
  const home = (): Promise<string[]> =>
    list("select tableoid::regclass || ' ' || note || ' ' || size from shop.events order by at");

  test("move to the new partition of their range, past triggers, and the others stay", async () => {
    await db.query(`insert into shop.events (namespace, at, note) values
      ('acme', '2026-10-31 23:59:59.999999+00', 'before'), ('acme', '2026-11-01 00:00+00', 'first'),
      ('acme', '2026-11-30 23:59:59.999999+00', 'last'), ('acme', '2026-12-01 00:00+00', 'next')`);
    const ids = await list("select id from shop.events order by id");
    await db.query("select howdah.ensure_month_partitions('shop.events', 0)");
    expect(await home()).toEqual([
      "shop.events_default before 6",
      "shop.events_y2026m11 first 5",
      "shop.events_y2026m11 last 4",
      "shop.events_default next 4",
    ]);
    expect(await list("select id from shop.events order by id")).toEqual(ids);
    expect(await failure("delete from shop.events where note = 'next'")).toMatchObject({
      message: "events are for ever",
    });
    expect(await failure("delete from shop.events where note = 'last'")).toMatchObject({
      message: "events are for ever",
    });
  });

  test("keep disabled triggers disabled", async () => {
    await db.query("insert into shop.events (namespace, note) values ('acme', 'x')");
    await db.query("alter table shop.events_default disable trigger events_immutable");
    await db.query("select howdah.ensure_month_partitions('shop.events', 0)");
    expect(
      await one(
        "select tgenabled from pg_trigger where tgrelid = 'shop.events_default'::regclass and tgname = 'events_immutable'",
      ),
    ).toBe("D");
  });

  test("a row that is being written while the partition is made moves too", async () => {
    const [writer, maker] = (await db.clients(2)) as [pg.Client, pg.Client];
    await db.query(
      "alter function howdah.ensure_month_partitions(regclass, int, timestamptz) set lock_timeout = '5min'", // for a slow test
    );
    await writer.query("begin; insert into shop.events (namespace, note) values ('acme', 'late')");
    const making = one("select howdah.ensure_month_partitions('shop.events', 0)", [], maker);
    await waits(maker);
    await writer.query("commit");
    expect(await making).toBe(1);
    expect(await home()).toEqual(["shop.events_y2026m11 late 4"]);
  });
});

describe("dropping partitions", () => {
  test("drops what is older as a whole, the oldest first, and never the default partition", async () => {
    await db.query("select howdah.ensure_month_partitions('shop.events', 5, '2026-06-15')");
    await db.query("insert into shop.events (namespace, at) values ('acme', '2020-01-01')");
    expect(await list("select howdah.drop_partitions('shop.events', '3 months')")).toEqual([
      "events_y2026m06",
      "events_y2026m07",
    ]);
    expect(await list("select howdah.drop_partitions('shop.events', '2 months 20 days')")).toEqual(["events_y2026m08"]);
    expect(await partitions("events")).toEqual([
      "events_default",
      "events_y2026m09",
      "events_y2026m10",
      "events_y2026m11",
    ]);
  });

  test("drops days of a table of days and months", async () => {
    await db.query("select howdah.ensure_month_partitions('shop.metrics', 0, '2026-10-01')");
    await db.query("select howdah.ensure_day_partitions('shop.metrics', 2, '2026-11-18')");
    expect(await list("select howdah.drop_partitions('shop.metrics', '2 days')")).toEqual([
      "metrics_y2026m10",
      "metrics_y2026m11d18",
    ]);
    expect(await list("select howdah.drop_partitions('shop.metrics', '0')")).toEqual([
      "metrics_y2026m11d19",
      "metrics_y2026m11d20",
    ]);
  });

  test("judges bounds in UTC, whatever the session has", async () => {
    await db.query("select howdah.ensure_day_partitions('shop.metrics', 3, '2026-11-18')");
    const client = await db.client();
    await client.query("set timezone = 'Asia/Kolkata'; set datestyle = 'SQL, DMY'");
    expect(await list("select howdah.drop_partitions('shop.metrics', '36 hours')", [], client)).toEqual([
      "metrics_y2026m11d18",
      "metrics_y2026m11d19",
    ]);
  });

  test("skips a partition that somebody reads, and drops it the next time", async () => {
    await db.query("select howdah.ensure_day_partitions('shop.metrics', 3, '2026-11-18')");
    const reader = await db.client();
    await reader.query("begin; select * from shop.metrics_y2026m11d18");
    expect(await list("select howdah.drop_partitions('shop.metrics', '1 day')")).toEqual(["metrics_y2026m11d19"]);
    await reader.query("commit");
    expect(await list("select howdah.drop_partitions('shop.metrics', '1 day')")).toEqual(["metrics_y2026m11d18"]);
  });

  test("a second caller returns nothing while the first one works", async () => {
    await db.query("select howdah.ensure_day_partitions('shop.metrics', 1, '2026-11-18')");
    const first = await db.client();
    await first.query("begin");
    expect(await list("select howdah.drop_partitions('shop.metrics', '1 day')", [], first)).toHaveLength(2);
    expect(await list("select howdah.drop_partitions('shop.metrics', '1 day')")).toEqual([]);
    await first.query("rollback");
    expect(await partitions("metrics")).toHaveLength(2);
  });

  test("says what depends on a partition instead of cascading", async () => {
    await db.query("select howdah.ensure_day_partitions('shop.metrics', 0, '2026-11-18')");
    await db.query("create view shop.old as select * from shop.metrics_y2026m11d18");
    expect(await failure("select howdah.drop_partitions('shop.metrics', '1 day')")).toMatchObject({
      code: "2BP01",
      message: expect.stringContaining("metrics_y2026m11d18"),
      detail: expect.stringContaining("view shop.old"),
    });
  });
});

describe("bad input", () => {
  test.each(["orders", "by_list", "by_two", "by_date", "events_default"])(
    "refuses shop.%s as table_unknown",
    async (table) => {
      for (const call of [`ensure_month_partitions('shop.${table}')`, `drop_partitions('shop.${table}', '1 day')`]) {
        expect(await failure(`select howdah.${call}`)).toMatchObject({ code: "22023", constraint: "table_unknown" });
      }
    },
  );

  test("refuses a table outside of the modules as table_unknown", async () => {
    await db.query("create table public.mine (at timestamptz not null) partition by range (at)");
    expect(await failure("select howdah.ensure_day_partitions('public.mine')")).toMatchObject({
      constraint: "table_unknown",
      message: expect.stringContaining("public.mine"),
    });
    expect(await failure("select howdah.ensure_day_partitions(null)")).toMatchObject({ constraint: "table_unknown" });
  });

  test.each([
    ["ensure_day_partitions('shop.metrics', -1)", "ahead_invalid"],
    ["ensure_day_partitions('shop.metrics', 121)", "ahead_invalid"],
    ["ensure_month_partitions('shop.metrics', null)", "ahead_invalid"],
    ["ensure_day_partitions('shop.metrics', 1, null)", "from_invalid"],
    ["ensure_day_partitions('shop.metrics', 1, 'infinity')", "from_invalid"],
    ["ensure_month_partitions('shop.metrics', 1, '1969-12-31 23:59+00')", "from_invalid"],
    ["ensure_month_partitions('shop.metrics', 1, '10000-01-01 00:00+00')", "from_invalid"],
    ["drop_partitions('shop.metrics', null)", "keep_invalid"],
    ["drop_partitions('shop.metrics', '-1 day')", "keep_invalid"],
  ])("refuses %s as %s", async (call, code) => {
    expect(await failure(`select howdah.${call}`)).toMatchObject({ code: "22023", schema: "howdah", constraint: code });
    expect(await partitions("metrics")).toEqual([]);
  });
});
