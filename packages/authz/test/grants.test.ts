import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(() => wipe(db));
afterEach(() => db.realTime());
afterAll(() => db.close());

const write = (id: string, relation = "read", namespace = "acme", expires: string | null = null): Promise<unknown> =>
  db.query("select authz.write('doc', $1, $2, 'user', 'ann', $3, howdah.now() + $4::interval)", [
    id,
    relation,
    namespace,
    expires,
  ]);

describe("list_subject_grants", () => {
  test("has the live tuples that name the subject, in order, and nothing that follows from others", async () => {
    await write("2");
    await write("10", "read", "acme", "1 hour");
    await write("1", "edit");
    await write("1", "read", "other");
    await db.query("select authz.write_tuple('doc', '1', 'edit', 'user', 'ann', 'friend', 'acme')");
    await db.query("select authz.write('team', 'eng', 'member', 'user', 'ann', 'acme')");
    await db.query("select authz.write('doc', '3', 'read', 'team', 'eng', 'acme')");
    const list = (type: string | null): Promise<object[]> =>
      rows(
        db,
        "select resource_type, resource_id, relation, subject_relation from authz.list_subject_grants('user', 'ann', 'acme', $1)",
        [type],
      );
    const docs = [
      { resource_type: "doc", resource_id: "1", relation: "edit", subject_relation: null },
      { resource_type: "doc", resource_id: "1", relation: "edit", subject_relation: "friend" },
      { resource_type: "doc", resource_id: "10", relation: "read", subject_relation: null },
      { resource_type: "doc", resource_id: "2", relation: "read", subject_relation: null },
    ];
    const teams = [{ resource_type: "team", resource_id: "eng", relation: "member", subject_relation: null }];
    expect(await list(null)).toEqual([...docs, ...teams]);
    expect(await list("doc")).toEqual(docs);
    await db.travel("2 hours");
    expect(await list("doc")).toEqual(docs.filter(({ resource_id }) => resource_id !== "10"));
  });
});

describe("list_external_resources", () => {
  const list = (limit = 100, cursor: string | null = null, permission = "read"): Promise<Record<string, unknown>[]> =>
    rows(db, "select * from authz.list_external_resources('user', 'ann', 'doc', $1, 'acme', $2, $3)", [
      permission,
      limit,
      cursor,
    ]);

  test("has what other tenants granted, the newest first, by the rules of global", async () => {
    await db.freeze(new Date("2026-03-10T12:00:00Z"));
    await db.query("select authz.add_hierarchy('doc', 'edit', 'read', 'global')");
    await db.query("select authz.add_hierarchy('doc', 'peek', 'read', 'x')");
    await write("mine");
    await write("1", "read", "x");
    await db.travel("1 minute");
    await write("cafe\u0301", "edit", "y", "1 hour");
    await write("2", "peek", "x");
    await write("2", "comment", "y");
    await db.query("select authz.write_tuple('doc', '3', 'read', 'user', 'ann', 'friend', 'y')");
    await db.query("select authz.write('page', '3', 'read', 'user', 'ann', 'y')");
    await db.query("select authz.write('doc', '3', 'read', 'user', 'bob', 'y')");
    expect(await list()).toEqual([
      {
        namespace: "y",
        resource_id: "cafe\u0301",
        relation: "edit",
        created_at: new Date("2026-03-10T12:01:00Z"),
        expires_at: new Date("2026-03-10T13:01:00Z"),
      },
      {
        namespace: "x",
        resource_id: "1",
        relation: "read",
        created_at: new Date("2026-03-10T12:00:00Z"),
        expires_at: null,
      },
    ]);
    await db.travel("1 hour");
    expect(await list()).toHaveLength(1);
    expect(await list(100, null, "comment")).toHaveLength(1);
  });

  test("goes on after a page without a gap or a repetition, whatever became of microseconds", async () => {
    await db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, created_at)
       select 'n' || i % 3, 'doc', i::text, 'read', 'user', 'ann', '2026-01-01'::timestamptz + i * interval '300 us'
       from generate_series(1, 50) i`,
    );
    const all = await list();
    const paged: object[] = [];
    let cursor: string | null = null;
    for (;;) {
      const page: Record<string, unknown>[] = await list(7, cursor);
      paged.push(...page);
      const last = page.at(-1);
      if (!last) break;
      cursor = JSON.stringify([last.created_at, last.namespace, last.resource_id, last.relation]);
    }
    expect(paged).toEqual(all);
    expect(all).toHaveLength(50);
  });

  test("refuses cursors that are none, and limits out of range", async () => {
    for (const cursor of [
      "",
      "x",
      "{}",
      "[]",
      '["2026-01-01","a","b"]',
      '["soon","a","b","c"]',
      '["2026-01-01",null,"b","c"]',
    ])
      await refuses(list(1, cursor), "predicate_invalid 22023");
    await refuses(list(1001), "limit_too_large 22023");
    for (const limit of [0, -1]) await refuses(list(limit), "not_positive 22023");
    await refuses(
      db.query("select authz.list_external_resources('user', 'ann', 'doc', 'read', 'acme', null)"),
      "not_positive 22023",
    );
  });

  test("is for the viewer itself and the owner only", async () => {
    await write("1", "read", "x");
    const role = await db.role("app");
    await role.grant("authz");
    const call = "select resource_id from authz.list_external_resources('user', 'ann', 'doc', 'read', 'acme')";
    await refuses(role.query(call), "viewer_mismatch 42501");
    const as = (type: string, id: string, tenant?: string): Promise<unknown[]> =>
      role.transaction(async (tx) => {
        if (tenant) await tx.query("select authz.set_tenant($1)", [tenant]);
        await tx.query("select authz.set_viewer($1, $2)", [type, id]);
        return rows(tx, call);
      });
    await refuses(as("user", "bob"), "viewer_mismatch 42501");
    await refuses(as("team", "ann"), "viewer_mismatch 42501");
    expect(await as("user", "ann")).toEqual([{ resource_id: "1" }]);
    expect(await as("user", "ann", "acme")).toEqual([{ resource_id: "1" }]);
    await refuses(as("user", "ann", "x"), "tenant_mismatch 42501");
    const cleared = role.transaction(async (tx) => {
      await tx.query("select authz.set_viewer('user', 'ann')");
      await tx.query("select authz.clear_viewer()");
      await tx.query(call);
    });
    await refuses(cleared, "viewer_mismatch 42501");
    await role.query("set authz.viewer_type = 'user'; set authz.viewer_id = 'ann'");
    expect(await value(db, "select count(*)::int from authz.tuples")).toBe(1);
  });
});
