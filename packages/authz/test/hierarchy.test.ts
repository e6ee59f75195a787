import { race, type TestDatabase, testDatabase } from "@howdah/testing";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

const add = (permission: string, implies: string, namespace = "acme", type = "doc"): Promise<string> =>
  value(db, "select authz.add_hierarchy($4, $1, $2, $3)", [permission, implies, namespace, type]);
const remove = (permission: string, implies: string, namespace = "acme"): Promise<boolean> =>
  value(db, "select authz.remove_hierarchy('doc', $1, $2, $3)", [permission, implies, namespace]);
const closure = async (namespace = "acme"): Promise<Record<string, string>> => {
  const found = await rows<{ permission: string; implied: string }>(
    db,
    `select permission, array_to_string(array(select unnest(implied_by) order by 1), ' ') as implied
     from authz.permission_closure where namespace = $1 and resource_type = 'doc' order by 1`,
    [namespace],
  );
  return Object.fromEntries(found.map(({ permission, implied }) => [permission, implied]));
};
const events = (): Promise<object[]> =>
  rows(
    db,
    `select event_type, namespace, resource_type, resource_id, relation, subject_type, subject_id
     from authz.audit_events order by id`,
  );

describe("rules", () => {
  test("are added once, removed once, and recorded", async () => {
    const id = await add("admin", "write");
    expect(await add("admin", "write")).toBe(id);
    expect([await remove("admin", "write"), await remove("admin", "write")]).toEqual([true, false]);
    const event = {
      namespace: "acme",
      resource_type: "doc",
      resource_id: null,
      relation: "admin",
      subject_type: "implies",
      subject_id: "write",
    };
    expect(await events()).toEqual([
      { event_type: "hierarchy_created", ...event },
      { event_type: "hierarchy_deleted", ...event },
    ]);
  });

  test("that would imply themselves are refused", async () => {
    await refuses(add("a", "a"), "cycle_self PK001");
    await add("a", "b");
    await refuses(add("b", "a"), "cycle_hierarchy PK001");
    await add("b", "c");
    await add("c", "d");
    await refuses(add("d", "a"), "cycle_hierarchy PK001");
    await add("d", "a", "acme", "page");
    await add("d", "a", "other");
    await add("a", "d");
    await add("x", "y", "global");
    await refuses(add("y", "x"), "cycle_hierarchy PK001");
    await refuses(add("y", "x", "global"), "cycle_hierarchy PK001");
  });

  test("are cleared for one type and one namespace", async () => {
    await add("a", "b");
    await add("b", "c");
    await add("a", "b", "acme", "page");
    await add("c", "d", "global");
    expect(await value(db, "select authz.clear_hierarchy('doc', 'acme')")).toBe(2);
    expect(await value(db, "select authz.clear_hierarchy('doc', 'acme')")).toBe(0);
    expect(await value(db, "select count(*)::int from authz.permission_hierarchy")).toBe(2);
    expect(await closure()).toEqual({});
    expect(await closure("global")).toEqual({ d: "c d" });
  });

  test("whose names are too long for the index are refused", async () => {
    await refuses(add("a".repeat(1024), "b".repeat(1024), "acme", "c".repeat(1024)), "id_too_long 22001");
  });
});

describe("the closure", () => {
  test("holds chains and diamonds of a tenant", async () => {
    await add("admin", "write");
    await add("write", "read");
    await add("admin", "audit");
    await add("audit", "read");
    expect(await closure()).toEqual({ audit: "admin audit", read: "admin audit read write", write: "admin write" });
    await remove("write", "read");
    expect(await closure()).toEqual({ audit: "admin audit", read: "admin audit read", write: "admin write" });
  });

  test("unites rules of global with own ones, and follows changes of both", async () => {
    await add("write", "read", "global");
    expect([await closure("global"), await closure()]).toEqual([{ read: "read write" }, {}]);
    await add("admin", "write");
    expect(await closure()).toEqual({ read: "admin read write", write: "admin write" });
    await add("read", "see", "global");
    await add("other", "see", "other");
    expect(await closure()).toEqual({ read: "admin read write", see: "admin read see write", write: "admin write" });
    expect(await closure("other")).toEqual({ read: "read write", see: "other read see write" });
    await remove("write", "read", "global");
    expect(await closure()).toEqual({ see: "read see", write: "admin write" });
    await remove("admin", "write");
    expect([await closure(), await closure("global")]).toEqual([{}, { see: "read see" }]);
  });

  test("goes with all rules when they are truncated, which is recorded", async () => {
    await add("admin", "write");
    await add("write", "read", "global");
    await add("owner", "admin", "other", "page");
    const created = await events();
    await db.query("truncate authz.permission_hierarchy");
    expect(await rows(db, "select * from authz.permission_closure")).toEqual([]);
    const deleted = (await events()).slice(created.length);
    expect(deleted).toEqual(created.map((event) => ({ ...event, event_type: "hierarchy_deleted" })));
    expect(await value(db, "select authz._implied_by('acme', 'doc', 'read')")).toEqual(["read"]);
    await add("admin", "read");
    expect(await closure()).toEqual({ read: "admin read" });
  });

  test("follows plain SQL, ends on cycles that it wrote, and updates count as deleted and made", async () => {
    await db.query(
      `insert into authz.permission_hierarchy (namespace, resource_type, permission, implies)
       values ('acme', 'doc', 'a', 'b'), ('acme', 'doc', 'b', 'c'), ('acme', 'doc', 'c', 'a'), ('acme', 'page', 'a', 'b')`,
    );
    expect(await closure()).toEqual({ a: "a b c", b: "a b c", c: "a b c" });
    await db.query("update authz.permission_hierarchy set implies = 'd' where permission = 'c'");
    expect(await closure()).toEqual({ b: "a b", c: "a b c", d: "a b c d" });
    expect((await events()).slice(4)).toMatchObject([
      { event_type: "hierarchy_deleted", subject_id: "a" },
      { event_type: "hierarchy_created", subject_id: "d" },
    ]);
    await db.query("delete from authz.permission_hierarchy");
    expect(await closure()).toEqual({});
  });

  test("misses no rule that another session adds at once, in a tenant or in global", async () => {
    for (let i = 0; i < 5; i++) {
      await wipe(db);
      const rules = [
        ["a", "b", "acme"],
        ["b", "c", "global"],
        ["c", "d", "acme"],
        ["d", "e", "global"],
        ["x", "a", "other"],
        ["e", "f", "acme"],
      ];
      const results = await race(db, rules.length, async (client, k) => {
        await client.query("begin");
        await client.query("select authz.add_hierarchy('doc', $1, $2, $3)", rules[k]);
        await client.query("commit");
      });
      expect(results.filter(({ status }) => status === "rejected")).toEqual([]);
      expect(await closure()).toEqual({ b: "a b", c: "a b c", d: "a b c d", e: "a b c d e", f: "a b c d e f" });
      expect(await closure("global")).toEqual({ c: "b c", e: "d e" });
      expect(await closure("other")).toEqual({ a: "a x", c: "b c", e: "d e" });
    }
  });

  test("of two sessions that add the halves of a cycle at once has one", async () => {
    const results = await race(db, 2, (client, k) =>
      client.query("select authz.add_hierarchy('doc', $1, $2, 'acme')", k ? ["a", "b"] : ["b", "a"]),
    );
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  test("is what walking the rules gives, whatever is added and removed (property)", async () => {
    const name = fc.constantFrom("a", "b", "c", "d", "e");
    const step = fc.record({
      isAdded: fc.boolean(),
      namespace: fc.constantFrom("acme", "other", "global"),
      permission: name,
      implies: name,
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        await wipe(db);
        for (const { isAdded, namespace, permission, implies } of steps) {
          const sql = isAdded
            ? `insert into authz.permission_hierarchy (namespace, resource_type, permission, implies)
               select $1, 'doc', $2, $3 where $2 <> $3 on conflict do nothing`
            : "delete from authz.permission_hierarchy where (namespace, permission, implies) = ($1, $2, $3)";
          await db.query(sql, [namespace, permission, implies]);
        }
        const rules = await rows<{ namespace: string; permission: string; implies: string }>(
          db,
          "select namespace, permission, implies from authz.permission_hierarchy",
        );
        for (const namespace of ["acme", "other", "global"]) {
          const hasOwn = rules.some((rule) => rule.namespace === namespace);
          const seen = rules.filter((rule) => hasOwn && [namespace, "global"].includes(rule.namespace));
          const expected: Record<string, string> = {};
          for (const { implies } of seen) {
            const reached = new Set([implies]);
            for (const at of reached) for (const rule of seen) if (rule.implies === at) reached.add(rule.permission);
            expected[implies] = [...reached].sort().join(" ");
          }
          expect(await closure(namespace)).toEqual(expected);
        }
      }),
      { numRuns: 40 },
    );
  });
});
