import { defineModule } from "@howdah/core";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { type TestDatabase, testDatabase } from "../src/index.ts";
import { testServer } from "../src/server.ts";
import { run } from "./programs/run.ts";

const notes = defineModule({
  name: "notes",
  release: "1.0.0",
  api: 1,
  minApi: 1,
  files: {
    "migrations/0001_notes.sql": "create schema notes;\ncreate table notes.notes (body text);\n",
    "functions/count.sql":
      "create or replace function notes.count() returns bigint language sql stable security definer\n" +
      "set search_path = pg_catalog, pg_temp as $$ select count(*) from notes.notes $$;\n",
  },
  manifest: {},
});

let server: pg.Client;
beforeAll(async () => {
  server = new pg.Client(inject("howdah").url);
  await server.connect();
});
afterAll(() => server.end());

const names = async (pattern: string): Promise<string[]> =>
  (
    await server.query<{ name: string }>(
      `select datname as name from pg_database where datname ~ $1
      union all select rolname from pg_roles where rolname ~ $1`,
      [pattern],
    )
  ).rows.map((row) => row.name);

describe("a test database", () => {
  test("has the modules that were asked for, in a copy of its own", async () => {
    await using one = await testDatabase({ modules: [notes] });
    await using two = await testDatabase({ modules: [notes] });
    await one.query("insert into notes.notes values ('mine')");
    expect((await one.query("select notes.count()")).rows).toEqual([{ count: "1" }]);
    expect((await two.query("select notes.count()")).rows).toEqual([{ count: "0" }]);
  });

  test("without modules is empty, with no modules has howdah alone", async () => {
    const schemas = `select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' order by 1`;
    await using empty = await testDatabase();
    await using bare = await testDatabase({ modules: [] });
    expect((await empty.query<{ nspname: string }>(schemas)).rows.map((row) => row.nspname)).toEqual(["public"]);
    expect((await bare.query<{ nspname: string }>(schemas)).rows.map((row) => row.nspname)).toEqual([
      "howdah",
      "public",
    ]);
  });

  test("can be had sixteen at once, from one template that is made once", async () => {
    const all = await Promise.all(
      Array.from({ length: 16 }, () => testDatabase({ modules: [defineModule(definitionOf("sixteen"))] })),
    );
    const applied = "select applied_at::text as at from howdah.migrations where module = 'sixteen'";
    const times = await Promise.all(all.map(async (db) => (await db.query<{ at: string }>(applied)).rows));
    expect(new Set(times.map(([migration]) => migration?.at)).size).toBe(1); // of the one migration, in each copy
    await Promise.all(all.map((db, i) => db.query("insert into sixteen.things values ($1)", [i])));
    for (const [i, db] of all.entries()) {
      expect((await db.query("select * from sixteen.things")).rows).toEqual([{ number: i }]);
    }
    await Promise.all(all.map((db) => db.close()));
  });

  test("of several processes comes from one template too", async () => {
    const env = { TEST_DATABASE_URL: inject("howdah").url };
    const processes = await Promise.all([1, 2, 3].map(() => run<{ applied: string }>("template.ts", [], { env })));
    await Promise.all(processes.map(({ exited }) => exited));
    // Each copy has the time at which the one migration ran.
    expect(new Set(processes.map(({ said }) => said.applied)).size).toBe(1);
  });

  test("is made again when a module's files change", async () => {
    await using before = await testDatabase({ modules: [defineModule(definitionOf("changing"))] });
    const files = { "migrations/0001_other.sql": "create schema changing;\ncreate table changing.other ();\n" };
    await using after = await testDatabase({ modules: [defineModule({ ...definitionOf("changing"), files })] });
    const tables = "select tablename from pg_tables where schemaname = 'changing'";
    expect((await before.query(tables)).rows).toEqual([{ tablename: "things" }]);
    expect((await after.query(tables)).rows).toEqual([{ tablename: "other" }]);
  });

  test("is a Database of core: transactions roll back, and it is one that listens", async () => {
    await using db = await testDatabase({ modules: [notes] });
    const failed = db.transaction(async (tx) => {
      await tx.query("insert into notes.notes values ('lost')");
      throw new Error("no");
    });
    await expect(failed).rejects.toThrow("no");
    expect((await db.query("select notes.count()")).rows).toEqual([{ count: "0" }]);

    const heard = new Promise((onMessage) => {
      const hear = db.subscribe("news", { onMessage, onGap: () => {} });
      void hear.then(() => db.query("notify news, 'hello'"));
    });
    expect(await heard).toBe("hello");
  });

  test("closes everything it gave out, whatever it was doing, and is gone", async () => {
    const db = await testDatabase();
    const [client, leaked] = [await db.client(), await db.pool.connect()];
    await leaked.query("begin");
    const sleeping = expect(client.query("select pg_sleep(60)")).rejects.toThrow();
    await db.close();
    await sleeping;
    expect(await names(`^${db.name}($|_)`)).toEqual([]);
    await db.close(); // a second time is fine
  });

  test("stays as long as somebody else is connected, instead of breaking their connection", async () => {
    const db = await testDatabase();
    const other = new pg.Client(db.url);
    await other.connect();
    await db.close();
    expect((await other.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await other.end();
  });

  test("under another runner than vitest has a server of its own, which ends with the process", async () => {
    const { said, exited } = await run<{ url: string; count: string }>("other-runner.ts", [], {
      env: { TEST_DATABASE_URL: "" },
    });
    expect(said.count).toBe("0");
    await exited;
    await expect.poll(() => new pg.Client(said.url).connect().catch((error) => error.code)).toBe("ECONNREFUSED");
  });
});

describe("a role", () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await testDatabase({ modules: [notes] });
  });
  afterAll(() => db.close());

  test("has a name that no other test has, and no rights", async () => {
    const [one, two] = [await db.role("app"), await db.role("app")];
    expect(one.name).toMatch(/_app$/);
    expect(one.name).not.toBe(two.name);
    expect((await one.query("select current_user::text as name")).rows).toEqual([{ name: one.name }]);
    await expect(one.query("select notes.count()")).rejects.toThrow(/permission denied/);
    await expect(one.query("create schema mine")).rejects.toThrow(/permission denied/);
  });

  test("may do what it is granted", async () => {
    const app = await db.role("app");
    await app.grant("notes", "read");
    expect((await app.query("select count(*) from notes.notes")).rows).toEqual([{ count: "0" }]);
    await expect(app.query("insert into notes.notes values ('x')")).rejects.toThrow(/permission denied/);
  });

  test("goes with its database", async () => {
    const other = await testDatabase({ modules: [notes] });
    const { name } = await other.role("app");
    expect(await names(`^${name}$`)).toEqual([name]);
    await other.close();
    expect(await names(`^${name}$`)).toEqual([]);
  });
});

describe("a server of TEST_DATABASE_URL", () => {
  test("is used, is left running, and loses what dead processes left on it", async () => {
    const url = inject("howdah").url;
    const { said, child, exited } = await run<{ name: string; role: string }>("leave.ts", [], {
      env: { TEST_DATABASE_URL: `${url}?application_name=my-tests` },
    });
    await server.query("create database howdah_template_20200102_0123456789abcdef");
    await using mine = await testDatabase();

    vi.stubEnv("TEST_DATABASE_URL", url);
    await (await testServer()).stop();
    expect((await names(`^${said.name}$|^${said.role}$`)).sort()).toEqual([said.name, said.role].sort());

    child.kill("SIGKILL");
    await exited;
    const connections = () =>
      server.query("select from pg_stat_activity where application_name = $1", [said.name.replace(/_\d+$/, "")]);
    await expect.poll(async () => (await connections()).rowCount).toBe(0);
    const left = await testServer();
    vi.unstubAllEnvs();
    expect(left.kind).toBe("external");
    expect(await names(`^${said.name}$|^${said.role}$|^howdah_template_2020`)).toEqual([]);
    expect(await names(`^${mine.name}$`)).toEqual([mine.name]);
  });
});

function definitionOf(name: string) {
  const files = {
    "migrations/0001_things.sql": `create schema ${name};\ncreate table ${name}.things (number int);\n`,
  };
  return { name, release: "1.0.0", api: 1, minApi: 1, files, manifest: {} };
}
