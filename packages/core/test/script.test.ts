import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { coreModule, defineModule, type Module, migrate, script, status } from "../src/index.ts";

const files = {
  "migrations/0001_tables.sql":
    "create schema shop; create table shop.orders (namespace text, id int, primary key (namespace, id));",
  "migrations/0002_index.sql":
    "-- howdah: no-transaction\n-- Built concurrently.\ncreate index concurrently if not exists orders_id_idx on shop.orders (id);",
  "migrations/0003_future.sql": "-- howdah: min-version 99\ncreate table shop.future ();",
  "functions/label.sql": `create or replace function shop.label() returns text language plpgsql as $$ begin return ':x \\'; end $$;`,
};
const shop = (release = "1.0.0", changed: Record<string, string> = files) =>
  defineModule({ name: "shop", release, api: 1, minApi: 1, files: changed, manifest: {} });

let db: TestDatabase;
let folder: string;
beforeEach(async () => {
  db = await testDatabase();
  folder = mkdtempSync(join(tmpdir(), "howdah-script-"));
});
afterEach(async () => {
  rmSync(folder, { recursive: true, force: true });
  await db.close();
});

const hasPsql = spawnSync("psql", ["--version"]).status === 0;
function psql(sql: string): string {
  const file = join(folder, "script.sql");
  writeFileSync(file, sql);
  return execFileSync("psql", ["--no-psqlrc", "-f", file, db.url], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}
const sent = (sql: string): Promise<unknown> => db.pool.query(sql);

describe.each([
  ["psql", hasPsql, async (module: Module) => psql(script([module]))],
  ["a driver", true, (module: Module) => sent(script([module], { plain: true }))],
])("a script sent by %s", (name, isHere, run) => {
  const install = (module = shop()) => run(module);
  const suffix = isHere ? "" : ` (skipped: no ${name} on the path)`;

  test.skipIf(!isHere)(`installs twice in a row, and then migrate has nothing to do${suffix}`, async () => {
    await install();
    await install();
    expect((await migrate(db, [shop()])).modules).toEqual([]);
    const { rows } = await db.query(
      "select shop.label() as label, to_regclass('shop.orders_id_idx') is not null as i, to_regclass('shop.future') as f",
    );
    expect(rows).toEqual([{ label: ":x \\", i: true, f: null }]);
  });

  test.skipIf(!isHere)(`does nothing to what migrate installed${suffix}`, async () => {
    await migrate(db, [shop()]);
    await install();
    expect((await migrate(db, [shop()])).modules).toEqual([]);
  });

  test.skipIf(!isHere)(`leaves a database alone that a later release has migrated${suffix}`, async () => {
    const label = "create or replace function shop.label() returns text language sql as 'select ''new''::text';";
    await migrate(db, [shop("1.1.0", { ...files, "functions/label.sql": label })]);
    await install();
    expect((await db.query("select shop.label() as label")).rows).toEqual([{ label: "new" }]);
    expect((await status(db, [shop("1.1.0", { ...files, "functions/label.sql": label })]))[1]?.state).toBe("current");
  });

  test.skipIf(!isHere)(`refuses a schema that somebody else made${suffix}`, async () => {
    await db.query("create schema shop");
    await expect(install()).rejects.toThrow(/no Howdah migration made it/);
  });

  test.skipIf(!isHere)(`refuses an applied file that was edited${suffix}`, async () => {
    await migrate(db, [
      shop("1.0.0", { ...files, "migrations/0001_tables.sql": `${files["migrations/0001_tables.sql"]} -- before` }),
    ]);
    await expect(install()).rejects.toThrow(/has been edited since/);
  });

  test.skipIf(!isHere)(`installs afresh what was dropped${suffix}`, async () => {
    await install();
    await db.query("drop schema shop cascade");
    await install();
    expect((await migrate(db, [shop()])).modules).toEqual([]);
  });

  test.skipIf(!isHere)(`runs every repeatable file after a new versioned one${suffix}`, async () => {
    const before = { ...files, "functions/policies.sql": "alter table shop.orders enable row level security" };
    const again = "-- Made anew.\ndrop table shop.orders;\ncreate table shop.orders (namespace text, id int) -- open";
    const after = shop("1.1.0", { ...before, "migrations/0004_again.sql": again });
    await install(shop("1.0.0", before));
    await install(after);
    const { rows } = await db.query("select relrowsecurity from pg_class where oid = 'shop.orders'::regclass");
    expect(rows).toEqual([{ relrowsecurity: true }]);
    expect((await migrate(db, [after])).modules).toEqual([]);
  });

  test.skipIf(!isHere)(`builds an index again that a crash left invalid${suffix}`, async () => {
    const { "migrations/0001_tables.sql": tables } = files;
    await install(shop("0.9.0", { "migrations/0001_tables.sql": tables }));
    await db.query("create index orders_id_idx on shop.orders (id)");
    await db.query("update pg_index set indisvalid = false where indexrelid = 'shop.orders_id_idx'::regclass");
    await install();
    const { rows } = await db.query(
      "select indisvalid from pg_index where indexrelid = 'shop.orders_id_idx'::regclass",
    );
    expect(rows).toEqual([{ indisvalid: true }]);
  });

  test.skipIf(!isHere)(`compares previews of a release by their numbers${suffix}`, async () => {
    await install(shop("1.1.0-next.0"));
    await install(shop("1.1.0-next.1"));
    await install(shop("1.0.0"));
    expect((await status(db, [shop("1.1.0-next.1")]))[1]?.state).toBe("current");
  });

  test.skipIf(!isHere)(`installs a module of functions alone${suffix}`, async () => {
    const module = shop("1.0.0", { "functions/all.sql": "create schema if not exists shop" });
    await install(module);
    expect((await migrate(db, [module])).modules).toEqual([]);
  });

  test.skipIf(!isHere)(`waits for locks as long as a file says, else 5 s${suffix}`, async () => {
    const seen = "create table shop.patience as select current_setting('lock_timeout') as own";
    await install(
      shop("1.0.0", {
        "migrations/0001_own.sql": `-- howdah: lock-timeout 700ms\ncreate schema shop; ${seen}`,
        "migrations/0002_usual.sql": "alter table shop.patience add usual text default current_setting('lock_timeout')",
      }),
    );
    expect((await db.query("select own, usual from shop.patience")).rows).toEqual([{ own: "700ms", usual: "5s" }]);
  });
});

test("a plain script has no command of psql's own", () => {
  expect(script([shop()], { plain: true })).not.toMatch(/^\\/m);
});

test("grants give a role the use of every module but howdah itself", async () => {
  const role = await db.role("app");
  await sent(script([shop()], { plain: true, grants: role.name }));
  const { rows } = await db.query("select module, access from howdah.grants where role_name = $1", [role.name]);
  expect(rows).toEqual([{ module: "shop", access: "use" }]);
});

test("of core alone is what every module's script begins with", async () => {
  await sent(script([], { plain: true }));
  expect((await status(db, []))[0]).toMatchObject({ module: coreModule.name, state: "current" });
});
