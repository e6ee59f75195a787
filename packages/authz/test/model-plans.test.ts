// How programs find their tuples, for each class of relations: by an index, and a few of them, however many there are.
import { type TestDatabase, testDatabase } from "@howdah/testing";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { pagesOf, plansOf } from "./plans.ts";
import { compile, deploy } from "./program.ts";

const program = compile(`
type user
type team
  relations
    define member: [user]
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define parent: [folder]
    define viewer: [user, group#member] or viewer from parent
type doc
  relations
    define parent: [folder]
    define blocked: [user]
    define owner: [user, user:*]
    define reader: [user, team#member]
    define viewer: [user, group#member] or viewer from parent
    define approver: reader and viewer
    define allowed: viewer but not blocked
    define timely: [user with recent] or viewer
type task
  relations
    define parent: [task]
    define gate: [user]
    define guarded: ([user] or guarded from parent) and gate
    define looping: ([user] or looping from parent) and (gate or looping from parent)
condition recent(age: int) {
  age < 10
}`);

let db: TestDatabase;
let client: pg.Client;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
  await deploy(db, program);
});
afterAll(() => db.close());

/**
 * Some 120,000 tuples of one tenant: documents in seven levels of folders, groups of twenty users in eight levels, teams of ten, and
 * tasks in tasks.
 */
const fill = `
  insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, subject_relation, condition_name)
  select 'acme', v.*, null from (
    select 'doc', 'd' || i, 'parent', 'folder', 'f' || (1 + i % 5000), null from generate_series(1, 30000) i
    union all
    select 'doc', 'd' || i, 'owner', 'user', 'u' || i % 2000, null from generate_series(1, 30000) i
    union all
    select 'doc', 'd' || i, 'reader', 'team', 't' || i % 300, 'member' from generate_series(1, 30000, 2) i
    union all
    select 'doc', 'd' || i, 'blocked', 'user', 'u' || i % 2000, null from generate_series(1, 30000, 3) i
    union all
    select 'folder', 'f' || i, 'parent', 'folder', 'f' || i / 4, null from generate_series(4, 5000) i
    union all
    select 'folder', 'f' || i, 'viewer', 'group', 'g' || i % 500, 'member' from generate_series(1, 5000) i
    union all
    select 'group', 'g' || i / 2, 'member', 'group', 'g' || i, 'member' from generate_series(2, 500) i
    union all
    select 'group', 'g' || i / 20, 'member', 'user', 'u' || i % 2000, null from generate_series(1, 10000) i
    union all
    select 'team', 't' || i / 10, 'member', 'user', 'u' || i % 2000, null from generate_series(1, 3000) i
    union all
    select 'task', 'k' || i, 'parent', 'task', 'k' || i / 4, null from generate_series(4, 5000) i
    union all
    select 'task', 'k' || i, 'gate', 'user', 'u1', null from generate_series(1, 5000) i
    union all
    select 'task', 'k' || i, r, 'user', 'u1', null from generate_series(1, 3) i, unnest('{guarded,looping}'::text[]) r
  ) v;
  insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, condition_name,
    condition_context)
  select 'acme', 'doc', 'd' || i, 'timely', 'user', 'u' || i % 2000, 'recent', '{"age": 1}' from generate_series(1, 5000) i`;

const others = `
  insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
  select 't' || i, 'doc', 'd', 'viewer', 'user', 'u' from generate_series(1, 60000) i`;
const analyze = "vacuum analyze authz.tuples";
const many = (type: string): string =>
  `array(select '${type === "doc" ? "d" : "k"}' || i from generate_series(1, 100) i)`;

/** Relations with their classes. */
const classes: [type: string, relation: string, of: string][] = [
  ["doc", "owner", "D"],
  ["doc", "reader", "U"],
  ["doc", "viewer", "W"],
  ["doc", "approver", "B"],
  ["doc", "allowed", "B"],
  ["doc", "timely", "W"],
  ["task", "guarded", "W"],
  ["task", "looping", "R"],
];
/** Calls about a relation, and how many pages each may touch at most. */
function callsOf(type: string, relation: string, of: string): [call: string, most: number][] {
  const [near, far] = type === "doc" ? ["d1", "d17"] : ["k1", "k4999"];
  const isFlat = of === "D" || of === "U";
  const checks = isFlat ? 60 : 400;
  const decided = isFlat ? 900 : 45_000; // of a hundred
  const listed = isFlat ? 250 : 24_000;
  return [
    [`check('user', 'u1', '${relation}', '${type}', '${near}', 'acme')`, checks],
    [`check('user', 'u77', '${relation}', '${type}', '${far}', 'acme')`, checks],
    [`check('user', 'nobody', '${relation}', '${type}', '${far}', 'acme')`, checks],
    [
      `check('user', 'u1', '${relation}', '${type}', '${far}', 'acme', null, null, '["group:x#member@user:u1"]')`,
      checks,
    ],
    [`filter_authorized('user', 'u1', '${type}', '${relation}', ${many(type)}, 'acme')`, decided],
    [
      `check_batch((select jsonb_agg('${type}:' || i || '#${relation}@user:u1') from unnest(${many(type)}) i), 'acme')`,
      decided,
    ],
    [`list_objects('user', 'nobody', '${type}', '${relation}', 'acme')`, 80],
    [`list_objects('user', 'nobody', '${type}', '${relation}', 'acme', null, null, '["group:x#member@user:u1"]')`, 80],
    [`list_resources('user', 'u1', '${type}', '${relation}', 'acme', 10)`, listed],
    [`list_subjects('${type}', '${far}', '${relation}', 'acme', 10, 'user')`, listed],
    [`count_subjects('${type}', '${near}', '${relation}', 'acme', 'user')`, listed],
  ];
}

test.each(classes)("%s#%s is of class %s", (type, relation, of) => {
  expect(program.ir.types[type]?.[relation]?.class).toBe(of);
});

/** Asserts that a call, once planned, reads tuples by index alone; with `most`, from one of their ends, and that many pages. */
async function limits(call: string, most?: number): Promise<void> {
  await client.query(`select * from authz.${call}`);
  const plans = await plansOf(client, `select * from authz.${call}`);
  const reads = plans.flatMap(({ nodes }) => nodes).filter((node) => node["Relation Name"] === "tuples");
  expect(reads.filter((node) => !/^Index (Only )?Scan$/.test(node["Node Type"]))).toEqual([]);
  expect(reads.length).toBeGreaterThan(0);
  if (most === undefined) return;
  const conditions = reads.map((node) => String(node["Index Cond"]));
  expect(conditions.filter((text) => !/namespace = /.test(text) || !/(resource|subject)_id (=|>) /.test(text))).toEqual(
    [],
  );
  expect([call, Math.max(...plans.map(({ nodes: [top] }) => pagesOf(top)))]).toEqual([
    call,
    expect.toSatisfy((pages: number) => pages <= most, `at most ${most}`),
  ]);
}

// In an empty table one index is as good as another.
describe("In a new table, questions about", () => {
  beforeAll(async () => {
    client = await db.client();
  });

  test.each(classes)("%s#%s, of class %s, go by index", async (...of) => {
    for (const [call] of callsOf(...of)) await limits(call);
  });
});

describe.each([
  ["In 120,000 tuples", [fill, analyze]],
  ["In 120,000 tuples among those of many small tenants", [others, analyze]],
])("%s, questions about", (_, statements) => {
  beforeAll(async () => {
    for (const statement of statements) await db.query(statement);
    client = await db.client();
  });

  test.each(classes)("%s#%s, of class %s, go by index", async (...of) => {
    for (const [call, most] of callsOf(...of)) await limits(call, most);
  });
});

test("A session that has planned in an empty table goes by index all the same, and plans anew when there are statistics", async () => {
  await db.query("truncate authz.tuples");
  client = await db.client();
  const calls = classes.flatMap((of) => callsOf(...of));
  for (const [call] of calls) await client.query(`select * from authz.${call}`);
  await db.query(fill);
  for (const [call] of calls.filter(([each]) => each.startsWith("check("))) await limits(call);
  await db.query(analyze);
  for (const [call, most] of calls) await limits(call, most);
});
