import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { crash, hasPgBouncer, pooler, type TestDatabase, testDatabase } from "@howdah/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  ChecksumMismatchError,
  connect,
  defineModule,
  MigrationError,
  type Module,
  migrate,
  plan,
  prepare,
  SchemaBehindError,
  SchemaTooNewError,
  status,
} from "../src/index.ts";

const tables = "create schema shop; create table shop.orders (namespace text, id int, primary key (namespace, id));";
const files = {
  "migrations/0001_tables.sql": tables,
  "functions/count.sql":
    "create or replace function shop.count() returns bigint language sql stable as $$ select count(*) from shop.orders $$;",
};
const shop = (
  over: Record<string, string | undefined> = {},
  fields: Partial<Parameters<typeof defineModule>[0]> = {},
): Module => {
  const merged = Object.entries({ ...files, ...over }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return defineModule({
    name: "shop",
    release: "1.0.0",
    api: 1,
    minApi: 1,
    manifest: {},
    files: Object.fromEntries(merged),
    ...fields,
  });
};

let db: TestDatabase;
beforeEach(async () => {
  db = await testDatabase();
});
afterEach(() => db.close());

const columns = async (table: string): Promise<string[]> => {
  const { rows } = await db.query<{ name: string }>(
    "select attname::text as name from pg_attribute where attrelid = to_regclass($1) and attnum > 0 order by attnum",
    [table],
  );
  return rows.map((row) => row.name);
};
const errorOf = (promise: Promise<unknown>): Promise<MigrationError> =>
  promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (error) => error,
  );

describe("migrate", () => {
  test("installs howdah and the module, and then has nothing to do", async () => {
    const { modules } = await migrate(db, [shop()]);
    expect(modules.map(({ module, state }) => [module, state])).toEqual([
      ["howdah", "absent"],
      ["shop", "absent"],
    ]);
    expect((await migrate(db, [shop()])).modules).toEqual([]);
    expect(await columns("shop.orders")).toEqual(["namespace", "id"]);
  });

  test("is one round trip when there is nothing to do", async () => {
    await migrate(db, [shop()]);
    let statements = 0;
    const counting = connect(db.pool);
    const { query, acquire } = counting.driver;
    counting.driver.query = (statement) => {
      statements++;
      return query(statement);
    };
    counting.driver.acquire = () => {
      statements += 100;
      return acquire();
    };
    await migrate(counting, [shop()]);
    expect(statements).toBe(1);
  });

  test("runs a new file once, and every repeatable file after it", async () => {
    await migrate(db, [shop()]);
    const next = shop({ "migrations/0002_note.sql": "alter table shop.orders add note text;" });
    const { modules } = await migrate(db, [next]);
    expect(modules.map(({ applied }) => applied.map((step) => step.file))).toEqual([
      ["migrations/0002_note.sql", "functions/count.sql"],
    ]);
    expect(await columns("shop.orders")).toEqual(["namespace", "id", "note"]);
  });

  test("runs a repeatable file again when its text changes, and only that one", async () => {
    await migrate(db, [shop({ "functions/other.sql": "create or replace view shop.v as select 1 as x;" })]);
    const changed = shop({
      "functions/other.sql": "create or replace view shop.v as select 1 as x;",
      "functions/count.sql":
        "create or replace function shop.count() returns bigint language sql stable as 'select 7::bigint';",
    });
    const { modules } = await migrate(db, [changed]);
    expect(modules[0]?.applied.map((step) => step.file)).toEqual(["functions/count.sql"]);
    expect((await db.query("select shop.count() as n")).rows).toEqual([{ n: "7" }]);
  });

  test("leaves nothing of a module whose file fails, and says file and line", async () => {
    const broken = shop({
      "migrations/0002_broken.sql": "create table shop.a (id int);\n\ncreate tabel shop.b (id int);",
    });
    const error = await errorOf(migrate(db, [broken]));
    expect(error).toBeInstanceOf(MigrationError);
    expect(error).toMatchObject({
      module: "shop",
      code: "migration_failed",
      file: "migrations/0002_broken.sql",
      position: { line: 3, column: 8 },
    });
    expect(error.message).toContain("migrations/0002_broken.sql:3");
    expect(await columns("shop.orders")).toEqual([]);
    expect((await status(db, [broken])).map(({ module, state }) => [module, state])).toEqual([
      ["howdah", "current"],
      ["shop", "absent"],
    ]);
  });

  test("refuses an applied file that was edited, and runs nothing", async () => {
    await migrate(db, [shop()]);
    const edited = shop({
      "migrations/0001_tables.sql": `${tables} -- edited`,
      "migrations/0002_a.sql": "create table shop.a ();",
    });
    const error = await errorOf(migrate(db, [edited]));
    expect(error).toBeInstanceOf(ChecksumMismatchError);
    expect(error.message).toMatch(/0001_tables\.sql was applied on \d{4}-.* by release 1\.0\.0/);
    expect(error.hint).toBe("Restore the file, and put the change into a new one");
    expect(await columns("shop.a")).toEqual([]);
  });

  test("refuses a file that is gone", async () => {
    await migrate(db, [shop({ "migrations/0002_a.sql": "create table shop.a ();" }, { release: "1.0.0" })]);
    await db.query(
      "update howdah.migrations set file = 'migrations/0001_first.sql' where module = 'shop' and file = 'migrations/0001_tables.sql'",
    );
    expect(
      await errorOf(migrate(db, [shop({ "migrations/0002_a.sql": "create table shop.a ();" }, { release: "1.0.1" })])),
    ).toMatchObject({
      code: "file_missing",
      file: "migrations/0001_first.sql",
    });
  });

  test("refuses a file older than the newest applied one", async () => {
    const two = shop({ "migrations/0002_a.sql": "create table shop.a ();" });
    await migrate(db, [two]);
    await db.query(
      "delete from howdah.migrations where module = 'shop' and file = 'migrations/0001_tables.sql'; update howdah.modules set fingerprint = 'x'",
    );
    expect(await errorOf(migrate(db, [two]))).toMatchObject({
      code: "out_of_order",
      file: "migrations/0001_tables.sql",
    });
  });

  test("by older code on a newer database changes nothing", async () => {
    const next = shop(
      {
        "migrations/0002_a.sql": "create table shop.a ();",
        "functions/count.sql": "create view shop.counts as select 1 as n;",
      },
      { release: "1.1.0", api: 2 },
    );
    await migrate(db, [next]);
    expect((await migrate(db, [shop()])).modules).toEqual([]);
    expect((await status(db, [shop()]))[1]).toMatchObject({
      state: "ahead",
      release: "1.0.0",
      databaseRelease: "1.1.0",
    });
    await prepare(db, [shop()], { migrate: "check" });
  });

  test("by code that the database no longer serves says what to upgrade to", async () => {
    await migrate(db, [shop({}, { release: "2.0.0", api: 5, minApi: 3 })]);
    const error = await errorOf(migrate(db, [shop({}, { api: 2 })]));
    expect(error).toBeInstanceOf(SchemaTooNewError);
    expect(error.detail).toEqual({ api: 2, minApi: 3, release: "2.0.0" });
    expect(error.hint).toContain("2.0.0");
  });

  test("never touches a schema that somebody else made, until told that it is the module's", async () => {
    await db.query(tables);
    expect(await errorOf(migrate(db, [shop()]))).toMatchObject({ code: "foreign_schema" });
    await migrate(db, [shop()], { baseline: true });
    expect((await migrate(db, [shop()])).modules).toEqual([]);
    const { rows } = await db.query("select bool_and(baseline) as all from howdah.migrations where module = 'shop'");
    expect(rows).toEqual([{ all: true }]);
  });

  test("installs afresh what was dropped behind the ledger's back", async () => {
    await migrate(db, [shop()]);
    await db.query("drop schema shop cascade");
    const { modules } = await migrate(db, [shop()]);
    expect(modules).toMatchObject([{ module: "shop", state: "lost" }]);
    expect(await columns("shop.orders")).toEqual(["namespace", "id"]);
  });

  test("stops at its target, and goes on from there", async () => {
    const three = shop({
      "migrations/0002_a.sql": "create table shop.a ();",
      "migrations/0003_b.sql": "create table shop.b ();",
    });
    await migrate(db, [three], { target: 2 });
    expect((await status(db, [three]))[1]).toMatchObject({
      state: "behind",
      pending: ["migrations/0003_b.sql", "functions/count.sql"],
    });
    await migrate(db, [three]);
    expect((await status(db, [three]))[1]).toMatchObject({ state: "current", pending: [] });
  });

  test("with the newest file as its target installs the functions too", async () => {
    await migrate(db, [shop()], { target: 1 });
    expect((await status(db, [shop()]))[1]).toMatchObject({ state: "current", pending: [] });
  });

  test("tries a module again whose lock it did not get in time", async () => {
    await migrate(db, [shop()]);
    const reader = await db.client();
    await reader.query("begin; select * from shop.orders");
    await db.query("create sequence public.tries");
    const note = "select nextval('public.tries'); alter table shop.orders add note text;";
    const migrating = migrate(db, [shop({ "migrations/0002_note.sql": note })], { lockTimeout: 500 });
    await waitFor(async () => {
      const { rows } = await db.query<{ tries: string }>("select last_value as tries from public.tries");
      return rows[0]?.tries === "2";
    });
    await reader.query("commit");
    await migrating;
    expect(await columns("shop.orders")).toContain("note");
  });

  test("as a dry run leaves no trace", async () => {
    const steps: string[] = [];
    await migrate(db, [shop()], { dryRun: true, onStep: (step) => steps.push(step.file) });
    expect(steps).toContain("functions/count.sql");
    expect((await db.query("select to_regnamespace('howdah') as a, to_regnamespace('shop') as b")).rows).toEqual([
      { a: null, b: null },
    ]);
  });

  test("repairs an index of the module that a crash left invalid", async () => {
    const index =
      "-- howdah: no-transaction\ncreate index concurrently if not exists orders_id_idx on shop.orders (id);";
    await migrate(db, [shop()]);
    await db.query("create index orders_id_idx on shop.orders (id)");
    await db.query("create table public.orders (id int); create index orders_id_idx on public.orders (id)");
    await db.query("update pg_index set indisvalid = false where indexrelid::regclass::text ~ 'orders_id_idx'");
    await migrate(db, [shop({ "migrations/0002_index.sql": index })]);
    const { rows } = await db.query(
      `select name, (select indisvalid from pg_index where indexrelid = to_regclass(name)) as valid
       from unnest(array['shop.orders_id_idx', 'public.orders_id_idx']) name`,
    );
    expect(rows).toEqual([
      { name: "shop.orders_id_idx", valid: true },
      { name: "public.orders_id_idx", valid: false },
    ]);
  });

  test("drops a function whose signature changed, and makes again what it dropped", async () => {
    const count = (args: string): string =>
      `create or replace function shop.count(${args}) returns bigint language sql stable as $$ select count(*) from shop.orders $$;`;
    const other = "create or replace function shop.other() returns int language sql as 'select 1';";
    const functions = { "other()": { result: "integer", arguments: [] } };
    const version = (args: string, signature: string, release: string): Module =>
      shop(
        { "functions/count.sql": count(args), "functions/other.sql": other },
        { release, manifest: { schema: "shop", functions: { ...functions, [signature]: { result: "bigint" } } } },
      );
    await migrate(db, [version("", "count()", "1.0.0")]);
    await migrate(db, [version("p_id int default null", "count(integer)", "1.0.1")]);
    expect((await db.query("select shop.count() as n, shop.other() as o")).rows).toEqual([{ n: "0", o: 1 }]);
  });

  test("only records a file that the server is too old for", async () => {
    const file = "-- howdah: min-version 99\ncreate table shop.future ();";
    await migrate(db, [shop({ "migrations/0002_future.sql": file })]);
    expect(await columns("shop.future")).toEqual([]);
    expect((await migrate(db, [shop({ "migrations/0002_future.sql": file })])).modules).toEqual([]);
  });

  test("runs a file of 5 MB", async () => {
    const big = `${tables}\n-- ${"x".repeat(5_000_000)}\n`;
    await migrate(db, [shop({ "migrations/0001_tables.sql": big })]);
    expect(await columns("shop.orders")).toEqual(["namespace", "id"]);
  });

  test("runs as an owner without superuser rights, in a database with quotes in its name", async () => {
    const owner = await db.role("owner");
    const odd = `${db.name}_o'dd "db"`;
    await db.query(`create database "${odd.replaceAll('"', '""')}" owner "${owner.name}"`);
    const url = new URL(owner.url);
    url.pathname = `/${encodeURIComponent(odd)}`;
    const own = connect(url.href);
    try {
      await migrate(own, [shop()]);
      expect((await migrate(own, [shop()])).modules).toEqual([]);
    } finally {
      await own.close();
      await db.query(`drop database "${odd.replaceAll('"', '""')}" with (force)`);
    }
  });

  test("without the right to create schemas says so before anything is written", async () => {
    const guest = await db.role("guest");
    expect(await errorOf(migrate(guest, [shop()]))).toMatchObject({ code: "rights_missing" });
    expect((await db.query("select to_regnamespace('howdah') as a")).rows).toEqual([{ a: null }]);
  });

  test("is not ended by the timeouts that the database has for transactions", async () => {
    await db.query(`alter database "${db.name}" set idle_in_transaction_session_timeout = '1ms'`);
    const patient = connect(db.url);
    try {
      await migrate(patient, [shop()]);
      expect((await migrate(patient, [shop()])).modules).toEqual([]);
    } finally {
      await patient.close();
      await db.query(`alter database "${db.name}" reset idle_in_transaction_session_timeout`);
    }
  });

  test("on one client needs no second connection", async () => {
    const client = await db.client();
    await migrate(client, [shop()]);
    expect((await migrate(client, [shop()])).modules).toEqual([]);
  });

  test("refuses two modules of one name", async () => {
    expect(await errorOf(migrate(db, [shop(), shop()]))).toMatchObject({ code: "module_duplicate" });
  });

  test.skipIf(!hasPgBouncer)(
    `works through PgBouncer in transaction mode${hasPgBouncer ? "" : " (skipped: no pgbouncer on the path)"}`,
    async () => {
      const bouncer = await pooler(db, { mode: "transaction" });
      if (!bouncer) throw new Error("PgBouncer is on the path and did not start");
      const pooled = connect(bouncer.url);
      try {
        await migrate(pooled, [shop()]);
        expect((await migrate(pooled, [shop()])).modules).toEqual([]);
      } finally {
        await pooled.close();
        await bouncer.stop();
      }
    },
  );
});

describe("plan and prepare", () => {
  test("plan lists what would run and changes nothing", async () => {
    const steps = await plan(db, [shop()]);
    expect(steps.filter((step) => step.module === "shop").map((step) => [step.file.path, step.reason])).toEqual([
      ["migrations/0001_tables.sql", "new"],
      ["functions/count.sql", "new"],
    ]);
    expect((await db.query("select to_regnamespace('howdah') as a")).rows).toEqual([{ a: null }]);
  });

  test("prepare with check refuses a database that is behind, and never migrates it", async () => {
    const error = await errorOf(prepare(db, [shop()], { migrate: "check" }));
    expect(error).toBeInstanceOf(SchemaBehindError);
    await prepare(db, [shop()]);
    await prepare(db, [shop()], { migrate: "check" });
    await prepare(db, [shop()], { migrate: false });
  });
});

describe("many starters", () => {
  const starter = fileURLToPath(new URL("fixtures/starter.mjs", import.meta.url));
  const start = (module: Record<string, string>): ChildProcess =>
    spawn(process.execPath, [starter, db.url, JSON.stringify(module)], { stdio: ["ignore", "pipe", "inherit"] });
  const outcome = async (child: ChildProcess): Promise<string[]> => {
    const output = text(child.stdout as NonNullable<ChildProcess["stdout"]>);
    await once(child, "exit");
    return (await output).trim().split("\n").slice(1);
  };

  test("40 at once, of which one is killed inside a migration, end with each file applied once", async () => {
    const gate = await db.client();
    await gate.query("select pg_advisory_lock(4711)");
    const slow = { ...files, "migrations/0001_tables.sql": `select pg_advisory_xact_lock(4711); ${tables}` };
    const victim = start(slow);
    await waitFor(async () => {
      const { rows } = await db.query("select 1 from pg_stat_activity where datname = $1 and wait_event = 'advisory'", [
        db.name,
      ]);
      return rows.length === 1;
    });
    const others = Array.from({ length: 39 }, () => start(slow));
    const outcomes = Promise.all(others.map(outcome));
    victim.kill("SIGKILL");
    await once(victim, "exit");
    await gate.query("select pg_advisory_unlock(4711)");
    const applied = (await outcomes)
      .map(([line]) => line)
      .filter((line) => line?.includes("migrations/0001_tables.sql"));
    expect(applied).toHaveLength(1);
    expect(await columns("shop.orders")).toEqual(["namespace", "id"]);
    const { rows } = await db.query("select count(*)::int as n from howdah.migrations where module = 'shop'");
    expect(rows).toEqual([{ n: 2 }]);
  });

  test("20 wait while one builds an index concurrently", async () => {
    const index =
      "-- howdah: no-transaction\ncreate index concurrently if not exists orders_id_idx on shop.orders (id);";
    const module = shop({ "migrations/0002_index.sql": index });
    const reports = await Promise.all(Array.from({ length: 20 }, () => migrate(connect(db.pool), [module])));
    expect(reports.filter((report) => report.modules.length > 0)).toHaveLength(1);
    const { rows } = await db.query(
      "select indisvalid from pg_index where indexrelid = 'shop.orders_id_idx'::regclass",
    );
    expect(rows).toEqual([{ indisvalid: true }]);
  });

  test("one whose lock is lost applies nothing and says so", async () => {
    await migrate(db, []);
    const gate = await db.client();
    await gate.query("select pg_advisory_lock(4711)");
    const slow = shop({ "migrations/0001_tables.sql": `select pg_advisory_xact_lock(4711); ${tables}` });
    const migrating = errorOf(migrate(db, [slow]));
    await waitFor(async () => {
      const { rows } = await db.query(
        `select pg_terminate_backend(l.pid) from pg_locks l join pg_stat_activity a using (pid)
         where l.locktype = 'advisory' and l.granted and a.datname = $1 and a.state = 'idle in transaction'
           and exists (select from pg_stat_activity where datname = $1 and wait_event = 'advisory')`,
        [db.name],
      );
      return rows.length === 1;
    });
    await gate.query("select pg_advisory_unlock(4711)");
    expect(await migrating).toMatchObject({ code: "lock_lost" });
    expect(await columns("shop.orders")).toEqual([]);
    await migrate(db, [slow]);
    expect(await columns("shop.orders")).toEqual(["namespace", "id"]);
  });

  test("one whose working backend is terminated leaves nothing behind", async () => {
    await migrate(db, []);
    const gate = await db.client();
    await gate.query("select pg_advisory_lock(4711)");
    const slow = shop({ "migrations/0002_wait.sql": "create table shop.a (); select pg_advisory_xact_lock(4711);" });
    const migrating = errorOf(migrate(db, [slow]));
    await waitFor(async () => {
      const { rows } = await db.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and wait_event = 'advisory'",
        [db.name],
      );
      return rows.length === 1;
    });
    expect(await migrating).toBeInstanceOf(Error);
    await crash(gate);
    expect(await columns("shop.orders")).toEqual([]);
    await migrate(db, [slow]);
    expect(await columns("shop.a")).toEqual([]);
    expect(await columns("shop.orders")).toEqual(["namespace", "id"]);
  });
});

/** Asks again and again, each time by a round trip, until the answer is yes. */
async function waitFor(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}
