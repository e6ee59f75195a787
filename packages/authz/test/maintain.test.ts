import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { documentsProgram, install } from "./program.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
  await db.query("select authz.ensure_audit_partitions()");
});
beforeEach(() => wipe(db));
afterEach(() => db.realTime());
afterAll(() => db.close());

const expired = (namespace: string, n: number): Promise<unknown> =>
  db.query(
    `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, expires_at)
     select $1, 'doc', i::text, 'read', 'user', 'ann', howdah.now() - i * interval '1 s' from generate_series(1, $2) i`,
    [namespace, n],
  );
const insert = "insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)";

describe("maintain", () => {
  test("deletes expired tuples of all tenants, makes partitions, and says what it did", async () => {
    await expired("a", 1500);
    await expired("b", 3);
    await value(db, "select authz.write('doc', 'x', 'read', 'user', 'ann', 'a', howdah.now() + interval '1 day')");
    await value(db, "select authz.write('doc', 'x', 'read', 'user', 'ann', 'a b')");
    expect(await rows(db, "select * from authz.maintain()")).toEqual([
      { task: "delete expired tuples", affected: "1503", more: false },
      { task: "make partitions", affected: "0", more: false },
      { task: "drop unused programs", affected: "0", more: false },
    ]);
    expect(await value(db, "select count(*)::int from authz.tuples")).toBe(2);
    await db.travel("40 days");
    const [tuples, partitions] = await rows<{ affected: string }>(db, "select * from authz.maintain()");
    expect([tuples?.affected, partitions?.affected]).toEqual(["1", "1"]);
  });

  test("stops when its budget is spent, and says that work is left", async () => {
    await expired("a", 2500);
    await expired("b", 1);
    const once = (): Promise<object[]> => rows(db, "select * from authz.maintain('1 us') limit 1");
    expect(await once()).toEqual([{ task: "delete expired tuples", affected: "1000", more: true }]);
    expect(await once()).toEqual([{ task: "delete expired tuples", affected: "1000", more: true }]);
    expect(await rows(db, "select * from authz.maintain() limit 1")).toEqual([
      { task: "delete expired tuples", affected: "501", more: false },
    ]);
  });

  test("begins with the tenant whose tuples expired first, whatever its name", async () => {
    await expired("a", 2500);
    await db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, expires_at)
       values ('z', 'doc', '1', 'read', 'user', 'ann', howdah.now() - interval '1 day')`,
    );
    const once = (): Promise<object[]> => rows(db, "select affected, more from authz.maintain('1 us') limit 1");
    expect(await once()).toEqual([{ affected: "1", more: true }]);
    expect(await once()).toEqual([{ affected: "1000", more: true }]);
    expect(await once()).toEqual([{ affected: "1000", more: true }]);
    expect(await once()).toEqual([{ affected: "500", more: false }]);
  });

  test("drops ten unused programs at a time, and says that there are more", async () => {
    for (let version = 1; version <= 12; version++) await install(db, documentsProgram({ version }));
    const drop = async (): Promise<unknown> => (await rows(db, "select affected, more from authz.maintain()"))[2];
    expect(await drop()).toEqual({ affected: "0", more: false });
    await db.travel("8 days");
    expect(await drop()).toEqual({ affected: "10", more: true });
    expect(await drop()).toEqual({ affected: "2", more: false });
  });

  test("leaves the work to whoever does it already, and locked tuples to a later run", async () => {
    await expired("a", 2);
    const other = await db.client();
    await other.query("begin");
    await other.query("select authz.write('doc', '1', 'read', 'user', 'ann', 'a')");
    expect(await rows(db, "select affected from authz.maintain() limit 1")).toEqual([{ affected: "1" }]);
    await other.query("select authz.maintain()");
    expect(await rows(db, "select * from authz.maintain()")).toEqual([]);
    await other.query("rollback");
    expect(await rows(db, "select affected from authz.maintain() limit 1")).toEqual([{ affected: "1" }]);
  });

  test("is part of howdah.maintain, and not for a pinned transaction", async () => {
    expect(
      await rows(db, "select distinct module, task from howdah.maintain() where module = 'authz' order by task"),
    ).toHaveLength(3);
    const pinned = db.transaction(async (tx) => {
      await tx.query("select authz.set_tenant('a')");
      await tx.query("select authz.maintain()");
    });
    await refuses(pinned, "all_namespaces_requires_bypass 42501");
  });
});

describe("get_stats", () => {
  test("counts live tuples, users and resources of the tenant, and rules of it and global", async () => {
    const stats = async (namespace: string): Promise<object | undefined> =>
      (await rows<object>(db, "select * from authz.get_stats($1)", [namespace]))[0];
    expect(await stats("a")).toEqual({
      tuple_count: "0",
      hierarchy_rule_count: "0",
      unique_users: "0",
      unique_resources: "0",
    });
    await expired("a", 5);
    await db.query(
      `${insert} values ('a', 'doc', 'x', 'read', 'user', 'ann'), ('a', 'doc', 'x', 'edit', 'user', 'ann'),
         ('a', 'page', 'x', 'read', 'user', 'bob'), ('a', 'page', 'x', 'read', 'team', 'cat'), ('b', 'doc', 'y', 'read', 'user', 'eve')`,
    );
    for (const namespace of ["a", "b", "global"])
      await db.query("select authz.add_hierarchy('doc', 'edit', 'read', $1)", [namespace]);
    expect(await stats("a")).toEqual({
      tuple_count: "4",
      hierarchy_rule_count: "2",
      unique_users: "2",
      unique_resources: "2",
    });
    expect(await stats("global")).toMatchObject({ tuple_count: "0", hierarchy_rule_count: "1" });
  });
});

test("maintaining without a budget takes the usual one, and says of each task whether work is left", async () => {
  await db.query(`insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id,
      expires_at)
    values ('a', 'doc', '1', 'read', 'user', 'ann', howdah.now() - interval '1 day')`);
  expect(await rows(db, "select task, more from authz.maintain(null)")).toEqual([
    { task: "delete expired tuples", more: false },
    { task: "make partitions", more: false },
    { task: "drop unused programs", more: false },
  ]);
});

describe("verify_integrity", () => {
  const verify = (): Promise<object[]> => rows(db, "select * from authz.verify_integrity('a')");

  test("finds a cycle amid long chains of groups", async () => {
    await db.query(`insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
      select 'a', 'team', g, 'member', 'team', g + 1 from generate_series(1, 20000) g`);
    expect(await verify()).toEqual([]);
    await db.query(`insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
      values ('a', 'team', '10002', 'member', 'team', '10000'), ('a', 'team', 'x', 'member', 'team', 'x')`);
    expect(await verify()).toMatchObject([
      { resource_id: "group_cycles", details: expect.stringMatching(/: team:10000, team:10001, team:10002, team:x$/) },
    ]);
  });

  test("finds nothing where all is well", async () => {
    await db.query(`${insert} values ('a', 'team', 'x', 'member', 'team', 'y'), ('a', 'f', 'x', 'parent', 'f', 'y')`);
    expect(await verify()).toEqual([]);
  });

  test("finds cycles of groups and of resources, of this tenant, that live", async () => {
    await db.query(
      `${insert} values ('a', 'team', 'x', 'member', 'team', 'y'), ('a', 'team', 'y', 'member', 'team', 'x'),
         ('a', 'team', 'z', 'member', 'team', 'x'), ('a', 'f', 'x', 'parent', 'f', 'x'), ('a', 'f', 'y', 'parent', 'f', 'x'),
         ('b', 'team', 'p', 'member', 'team', 'q'), ('b', 'team', 'q', 'member', 'team', 'p')`,
    );
    expect(await verify()).toEqual([
      {
        resource_type: "system",
        resource_id: "group_cycles",
        status: "warning",
        details: "groups are members of themselves: team:x, team:y",
      },
      {
        resource_type: "system",
        resource_id: "resource_cycles",
        status: "warning",
        details: "resources are their own parents: f:x",
      },
    ]);
    await db.query("update authz.tuples set expires_at = howdah.now() where subject_id = 'x'");
    expect(await verify()).toEqual([]);
  });

  test("names 20 of a cycle of 20,000", async () => {
    await db.query(
      `${insert} select 'a', 'team', i::text, 'member', 'team', ((i + 1) % 20000)::text from generate_series(0, 19999) i`,
    );
    const [cycle] = (await verify()) as { details: string }[];
    expect(cycle?.details.split(",")).toHaveLength(20);
  });
});
