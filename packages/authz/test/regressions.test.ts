// What random models have found once.
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { rows } from "./sql.ts";
import { openStore, tuple } from "./store.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
afterAll(() => db.close());

test("A batch says too complex wherever a check does, also of a resource that nobody is near to", async () => {
  const dsl = `model
  schema 1.1
type user
type group
  relations
    define a: [user, group#a]
`;
  const store = await openStore(db, dsl, { maxDepth: 1 });
  await store.write("group:2#a@group:1#a", "group:3#a@group:2#a");
  expect(await store.check("user:ann", "a", "group:2")).toBe(false);
  expect(await store.check("user:ann", "a", "group:3")).toBeNull();
  const batch = ["group:2#a@user:ann", "group:3#a@user:ann"];
  expect(
    await rows(db, "select * from authz.check_batch($1, $2) order by ord", [JSON.stringify(batch), store.namespace]),
  ).toEqual([
    { ord: 1, allowed: false, error_code: null },
    { ord: 2, allowed: null, error_code: "resolution_too_complex" },
  ]);
});

test("What one part of a union grants is not hidden by a guarded walk in another part", async () => {
  const store = await openStore(
    db,
    `model
  schema 1.1
type user
type group
  relations
    define parent: [group]
    define named: [user]
    define a: (parent but not (named and parent)) or (parent and (named and a from parent))
`,
  );
  await store.write("group:1#parent@group:1");
  expect(await store.check("group:1", "a", "group:1")).toBe(true);
  expect(await store.objects("group:1", "a", "group")).toEqual(["group:1"]);
  expect(await store.subjects("group:1", "a", "group")).toEqual(["group:1"]);
});

test("A guard that is itself an exclusion, over something that may loop, compiles to SQL that installs", async () => {
  const store = await openStore(
    db,
    `model
  schema 1.1
type user
type group
  relations
    define parent: [group]
    define a: [user] and ((a from parent or b from parent) but not c from parent)
    define b: parent
    define c: [user] or c from parent
`,
  );
  await store.write("group:2#parent@group:1", "group:1#parent@group:0", "group:2#a@user:ann", "group:1#a@user:ann");
  expect(await store.check("user:ann", "a", "group:2")).toBe(false);
  expect(await store.check("user:ann", "c", "group:2")).toBe(false);
});

test("Somebody whom an exclusion may leave out is not listed because everybody else is", async () => {
  const store = await openStore(
    db,
    `model
  schema 1.1
type user
type doc
  relations
    define open: [user:*]
    define named: [user with is_on]
    define viewer: named or (open but not named)
condition is_on(on: bool) {
  on
}
`,
  );
  await store.write("doc:1#open@user:*", tuple("doc:1#named@user:ann", { condition: "is_on" }));
  expect(await store.check("user:bob", "viewer", "doc:1")).toBe(true);
  expect(await store.check("user:ann", "viewer", "doc:1")).toBeNull();
  expect(await store.subjects("doc:1", "viewer", "user")).toBeNull();
  expect(await store.subjects("doc:1", "viewer", "user", { context: { on: true } })).toEqual(["user:*", "user:ann"]);
});
