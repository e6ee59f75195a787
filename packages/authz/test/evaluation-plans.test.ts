// How checks and lists find their tuples: by an index, and a few of them, however many there are.
import { type TestDatabase, testDatabase } from "@howdah/testing";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { pagesOf, plansOf } from "./plans.ts";
import { rows } from "./sql.ts";

let db: TestDatabase;
let client: pg.Client;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
afterAll(() => db.close());

/**
 * 125,000 tuples of one tenant: documents in seven levels of folders, seven levels of teams with twenty users each; a document
 * that 20,000 users may read, and a user who may read 20,000 documents.
 */
const fill = `
  insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, subject_relation)
  select 'acme', 'doc', 'd' || i, 'parent', 'folder', 'f' || (1 + i % 5000), null from generate_series(1, 30000) i
  union all
  select 'acme', 'doc', 'd' || i, 'owner', 'user', 'u' || i % 2000, null from generate_series(1, 30000) i
  union all
  select 'acme', 'folder', 'f' || i, 'parent', 'folder', 'f' || i / 4, null from generate_series(4, 5000) i
  union all
  select 'acme', 'folder', 'f' || i, 'read', 'team', 'g' || i % 500, case when i % 2 = 0 then 'member' end
  from generate_series(1, 5000) i
  union all
  select 'acme', 'team', 'g' || i / 2, 'member', 'team', 'g' || i, 'member' from generate_series(2, 500) i
  union all
  select 'acme', 'team', 'g' || i / 20, 'member', 'user', 'u' || i % 2000, null from generate_series(1, 10000) i
  union all
  select 'acme', 'doc', 'popular', 'read', 'user', 'r' || i, null from generate_series(1, 20000) i
  union all
  select 'acme', 'doc', 'e' || i, 'read', 'user', 'reader', null from generate_series(1, 20000) i;
  insert into authz.permission_hierarchy (namespace, resource_type, permission, implies)
  values ('acme', 'doc', 'owner', 'read'), ('acme', 'folder', 'owner', 'read')`;

/** Calls, and how many pages each may touch at most, beside what it costs to plan. */
const calls: [string, number][] = [
  ["check('user', 'u1', 'read', 'doc', 'd2001', 'acme')", 40],
  ["check('user', 'u1', 'read', 'doc', 'd17', 'acme')", 500],
  ["check('user', 'nobody', 'read', 'doc', 'd17', 'acme')", 500],
  ["check('user', 'reader', 'read', 'doc', 'd17', 'acme')", 500],
  ["check('user', 'nobody', 'read', 'doc', 'popular', 'acme')", 10_000],
  ["check('team', 'g77', 'read', 'doc', 'd17', 'acme', 'member')", 400],
  ["check('user', 'u1', 'read', 'doc', 'd17', 'acme', null, null, '[\"team:x#member@user:u1\"]')", 400],
  ["check_any('user', 'u1', '{read,share,print}', 'doc', 'd17', 'acme')", 500],
  ["check_all('user', 'u1', '{read,share,print}', 'doc', 'd17', 'acme')", 800],
  ["filter_authorized('user', 'u1', 'doc', 'read', '{d1,d2,d3,d4,d5}', 'acme')", 800],
  ["list_subjects('doc', 'd17', 'read', 'acme', 10)", 6_000],
  ["count_subjects('doc', 'popular', 'read', 'acme')", 10_000],
  ["list_objects('user', 'nobody', 'doc', 'read', 'acme')", 150],
  ["list_resources('user', 'reader', 'folder', 'read', 'acme')", 350],
  ["list_resources('user', 'reader', 'doc', 'read', 'acme', 100, 'dz')", 7_000],
];

/** 60,000 other tenants with one tuple each, beside which the planner might forget that one is large. */
const others = `
  insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
  select 't' || i, 'doc', 'd', 'read', 'user', 'u' from generate_series(1, 60000) i`;

const analyze = "vacuum analyze authz.tuples";

describe.each([
  ["in a new table", []],
  ["in 125,000 tuples", [fill, analyze]],
  ["in 125,000 tuples among those of many small tenants", [others, analyze]],
])("%s", (_, statements) => {
  beforeAll(async () => {
    for (const statement of statements) await db.query(statement);
    client = await db.client();
  });

  test.each(calls)("%s goes by index", async (call, most) => {
    await limits(call, most);
  });
});

test("a session that has planned in an empty table plans anew when there are statistics", async () => {
  await db.query("truncate authz.tuples");
  client = await db.client();
  for (const [call] of calls) await client.query(`select * from authz.${call}`);
  await db.query(fill.split(";")[0] as string);
  await db.query(analyze);
  for (const [call, most] of calls) await limits(call, most);
});

/** Asserts that a call, once planned, reads tuples by index alone, and few pages. */
async function limits(call: string, most: number): Promise<void> {
  await client.query(`select * from authz.${call}`);
  const plans = await plansOf(client, `select * from authz.${call}`);
  const reads = plans.flatMap(({ nodes }) => nodes).filter((node) => node["Relation Name"] === "tuples");
  expect(reads.filter((node) => !/^Index (Only )?Scan$/.test(node["Node Type"]))).toEqual([]);
  expect(reads.length).toBeGreaterThan(0);
  const pages = plans.map(({ nodes: [top] }) => pagesOf(top));
  expect(Math.max(...pages), call).toBeLessThanOrEqual(most);
}

test("every function that evaluates plans once, goes by index, and is never compiled", async () => {
  const evaluating = await rows<{ name: string; settings: string[] }>(
    db,
    `select p.proname as name, p.proconfig as settings from pg_proc p
     where p.pronamespace = 'authz'::regnamespace and p.proname not like '\\_%' and p.provolatile = 's'
       and p.proconfig::text like '%plan_cache_mode%' and p.proname not in ('validate_tuples', 'list_audit_events', 'read_tuples')`,
  );
  expect(evaluating.length).toBeGreaterThan(20);
  for (const { name, settings } of evaluating) {
    expect(settings, name).toEqual(expect.arrayContaining(["jit=off", "enable_seqscan=off"]));
  }
});
