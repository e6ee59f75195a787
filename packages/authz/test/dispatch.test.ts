// The functions of authz_rt that call programs by name are a short cut: answers do not depend on which of them they name.
import { readFile } from "node:fs/promises";
import type { Queryable } from "@howdah/core";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { activate } from "./program.ts";
import { refuses, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(async () => {
  await wipe(db);
  await db.query("select authz._drop_functions(hash) from authz.programs");
  await db.query("truncate authz.programs");
  await db.query("select authz._refresh_dispatch()");
});
afterAll(() => db.close());

/** The programs that a short cut names. */
const named = (entry: "check" | "refusal" = "check"): Promise<string[]> =>
  value(
    db,
    `select array(
       select distinct m[1] from pg_proc, regexp_matches(prosrc, 'm_([0-9a-f]{12})_', 'g') m
       where pronamespace = 'authz_rt'::regnamespace and proname = $1)`,
    [entry],
  );
const programOf = (namespace: string): Promise<string> =>
  value(db, "select left(hash, 12) from authz.active_models where namespace = $1", [namespace]);
const check = (relation: string, namespace = "acme", client: Queryable = db): Promise<boolean> =>
  value(client, "select authz.check('user', 'ann', $1, 'document', '1', $2)", [relation, namespace]);
const write = (relation: string, namespace = "acme"): Promise<unknown> =>
  db.query("select authz.write_tuple('document', '1', $1, 'user', 'ann', null, $2)", [relation, namespace]);

test("every program answers, also those that are too many to be called by name", async () => {
  const relations = Array.from({ length: 10 }, (_, i) => `viewer${i}`);
  for (const relation of relations) await activate(db, { relation, namespace: relation });
  for (const relation of relations) {
    await write(relation, relation);
    expect(await check(relation, relation)).toBe(true);
    await refuses(write("other", relation), "relation_unknown 22023");
    await refuses(check("other", relation), "relation_unknown 22023");
  }
  expect(await named()).toHaveLength(8);
  expect(await named("refusal")).toHaveLength(8);
});

test("the program of namespace global is called by name, however long ago it was activated", async () => {
  await activate(db, { relation: "shared", namespace: "global" });
  for (let i = 0; i < 9; i++) await activate(db, { relation: `viewer${i}`, namespace: `n${i}` });
  expect(await named()).toContain(await programOf("global"));
  await write("shared", "elsewhere");
  expect(await check("shared", "elsewhere")).toBe(true);
});

test("a session that has asked before asks the program that was activated since", async () => {
  const client = await db.client();
  await activate(db, { relation: "viewer" });
  await write("viewer");
  expect(await check("viewer", "acme", client as never)).toBe(true);
  await activate(db, { relation: "reader" });
  await write("reader");
  expect(await check("reader", "acme", client as never)).toBe(true);
  await refuses(check("viewer", "acme", client as never), "relation_unknown 22023");
});

test("an activation waits for none that is not committed, and maintain() makes up for its short cut", async () => {
  const client = await db.client();
  await client.query("begin");
  await activate(client as never, { relation: "viewer", namespace: "slow" });
  await activate(db, { relation: "reader", namespace: "quick" });
  await write("reader", "quick");
  expect(await check("reader", "quick")).toBe(true);
  await client.query("commit");
  expect(await named()).toEqual([await programOf("slow")]);
  await write("viewer", "slow");
  expect(await check("viewer", "slow")).toBe(true);

  await db.query("select authz.maintain()");
  expect((await named()).sort()).toEqual([await programOf("slow"), await programOf("quick")].sort());
  expect(await check("reader", "quick")).toBe(true);
});

test("an activation that is rolled back leaves the answers as they were", async () => {
  await activate(db, { relation: "viewer" });
  await write("viewer");
  const client = await db.client();
  await client.query("begin");
  await activate(client as never, { relation: "reader" });
  await refuses(check("viewer", "acme", client as never), "relation_unknown 22023").finally(() =>
    client.query("rollback"),
  );
  expect(await check("viewer", "acme", client as never)).toBe(true);
  expect(await named()).toEqual([await programOf("acme")]);
});

test("a program that is dropped is called no more", async () => {
  await activate(db, { relation: "viewer" });
  await activate(db, { relation: "reader" });
  expect(await named()).toHaveLength(2);
  await db.query("update authz.programs set last_used_at = last_used_at - interval '8 days'");
  await db.query("select authz.maintain()");
  expect(await named()).toEqual([await programOf("acme")]);
  await write("reader");
  expect(await check("reader")).toBe(true);
});

test("installing the module's functions once more keeps the short cuts, and nobody else may call them", async () => {
  await activate(db, { relation: "viewer" });
  await db.query(await readFile(new URL("../sql/functions/dispatch.sql", import.meta.url), "utf8"));
  expect(await named()).toEqual([await programOf("acme")]);
  expect(
    await value(
      db,
      `select count(*)::int from pg_proc where pronamespace = 'authz_rt'::regnamespace
       and has_function_privilege('public', oid, 'execute')`,
    ),
  ).toBe(0);
});
