// The uses of models that OpenFGA documents, in the form of its store files, and what a model and its tuples must not be.
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileModel, type ModelInput, ModelInvalidError } from "../src/compiler/index.ts";
import { authzModule } from "../src/module.ts";
import { files, tupleOf } from "./openfga/files.ts";
import type { Context } from "./oracle/model.ts";
import { rows } from "./sql.ts";
import { type Facts, openStore, type Store, tuple } from "./store.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
afterAll(() => db.close());

describe.each(files)("$name", ({ model, tuples, tests }) => {
  let store: Store;
  beforeAll(async () => {
    store = await openStore(db, model);
    await store.write(...tuples.map(tupleOf));
  });

  test.each(tests)("$name", async ({ tuples, check = [], list_objects = [], list_users = [] }) => {
    const facts = (context?: Context): Facts => ({ context, tuples: tuples?.map(tupleOf) });
    for (const { user, users = [user ?? ""], object, objects = [object ?? ""], context, assertions } of check) {
      for (const who of users) {
        for (const what of objects) {
          const got: Record<string, boolean | null> = {};
          for (const relation in assertions) got[relation] = await store.check(who, relation, what, facts(context));
          expect({ who, what, ...got }).toEqual({ who, what, ...assertions });
        }
      }
    }
    for (const { user, type, context, assertions } of list_objects) {
      const got: Record<string, string[] | null> = {};
      for (const relation in assertions) got[relation] = await store.objects(user, relation, type, facts(context));
      expect({ user, ...got }).toEqual({ user, ...assertions });
    }
    for (const { object, user_filter, context, assertions } of list_users) {
      const [{ type, relation: of }] = user_filter;
      const kind = of === undefined ? type : `${type}#${of}`;
      const got: Record<string, { users: string[] | null }> = {};
      for (const relation in assertions) {
        got[relation] = { users: await store.subjects(object, relation, kind, facts(context)) };
      }
      expect({ object, kind, ...got }).toEqual({ object, kind, ...assertions });
    }
  });
});

test.each(files)("The tests of a store file pass as those of its model: $name", async ({ model, tuples, tests }) => {
  const { namespace } = await openStore(db, model);
  const [active] = await rows<{ id: string }>(db, "select model_id as id from authz.get_model(null, $1)", [namespace]);
  const results = await rows<{ name: string; passed: boolean; detail: string }>(
    db,
    "select * from authz.test_model($1, $2, $3)",
    [active?.id, JSON.stringify({ tuples, tests }), namespace],
  );
  expect(results.filter(({ passed }) => !passed)).toEqual([]);
  expect(results.length).toBeGreaterThan(0);
});

test("Modules: files of several teams make one model", async () => {
  const modules = [
    {
      name: "core.fga",
      contents: `module core
type user
type organization
  relations
    define member: [user]
    define admin: [user]
`,
    },
    {
      name: "wiki.fga",
      contents: `module wiki
extend type organization
  relations
    define can_create_space: admin
type space
  relations
    define organization: [organization]
    define can_read: member from organization
`,
    },
  ];
  const store = await openStore(db, { modules });
  await store.write("organization:acme#admin@user:ann", "organization:acme#member@user:bob");
  await store.write("space:docs#organization@organization:acme");
  expect(await store.check("user:ann", "can_create_space", "organization:acme")).toBe(true);
  expect(await store.check("user:bob", "can_create_space", "organization:acme")).toBe(false);
  expect(await store.objects("user:bob", "can_read", "space")).toEqual(["space:docs"]);
  expect(await store.subjects("space:docs", "can_read", "user")).toEqual(["user:bob"]);
});

const problems = (input: ModelInput): string[] => {
  try {
    compileModel(input);
    return [];
  } catch (error) {
    if (!(error instanceof ModelInvalidError)) throw error;
    return error.problems.map(({ code, type, relation }) => `${code} ${type ?? ""}${relation ? `#${relation}` : ""}`);
  }
};

test.each([
  ["a restriction to an unknown type", "define a: [robot]", "type_unknown doc#a"],
  ["a restriction to an unknown userset", "define a: [group#owner]", "relation_unknown doc#a"],
  ["an unknown computed relation", "define a: b", "relation_unknown doc#a"],
  ["an unknown tupleset", "define a: member from parent", "relation_unknown doc#a"],
  [
    "a relation that no parent has",
    "define parent: [group]\n    define a: owner from parent",
    "relation_unknown doc#a",
  ],
  [
    "a tupleset that is computed",
    "define owner: [group]\n    define parent: owner\n    define a: member from parent",
    "tupleset_invalid doc#a",
  ],
  [
    "a tupleset of usersets",
    "define parent: [group#member, group]\n    define a: member from parent",
    "tupleset_invalid doc#a",
  ],
  ["a tupleset of everyone", "define parent: [group:*]\n    define a: member from parent", "tupleset_invalid doc#a"],
  ["a relation computed from itself", "define a: [user] or a", "relation_cyclic doc#a"],
  ["a relation that nobody can have", "define a: [doc#a]", "relation_impossible doc#a"],
  ["an unknown condition", "define a: [user with missing]", "condition_unknown doc#a"],
])("A model with %s is refused", (_, relations, problem) => {
  const dsl = `model
  schema 1.1
type user
type group
  relations
    define member: [user]
type doc
  relations
    ${relations}
`;
  expect(problems({ dsl })).toEqual([problem]);
});

test("A circle of computed relations is refused at each of them", () => {
  const model = `define a: [user] or b
    define b: [user] or c
    define c: [user] or a`;
  const dsl = `model\n  schema 1.1\ntype user\ntype doc\n  relations\n    ${model}\n`;
  expect(problems({ dsl })).toEqual(["relation_cyclic doc#a", "relation_cyclic doc#b", "relation_cyclic doc#c"]);
});

test("A model may not define the types of roles and permissions, nor a type twice", () => {
  const dsl = "model\n  schema 1.1\ntype user\ntype rbac_role\ntype rbac_permission\n";
  expect(problems({ dsl })).toEqual(["type_reserved rbac_role", "type_reserved rbac_permission"]);
  const user = { type: "user" };
  expect(problems({ model: { schema_version: "1.1", type_definitions: [user, user] } })).toEqual([
    "type_duplicate user",
  ]);
});

describe("A tuple", () => {
  const dsl = `model
  schema 1.1
type user
type group
  relations
    define member: [user]
    define lead: [user]
type doc
  relations
    define parent: [doc]
    define viewer: [user, user:*, group#member, user with in_time]
    define editor: [user with in_time]
    define reader: viewer or reader from parent
condition in_time(now: timestamp) {
  now < timestamp("2030-01-01T00:00:00Z")
}
`;
  let store: Store;
  beforeAll(async () => {
    store = await openStore(db, dsl);
  });

  test.each(["doc:1#viewer@user:ann", "doc:1#viewer@user:*", "doc:1#viewer@group:g#member", "doc:1#parent@doc:2"])(
    "%s is permitted",
    async (text) => {
      expect(await store.refusal(text)).toBeNull();
    },
  );

  test.each([
    ["doc:1#viewer@group:g", "tuple_invalid"],
    ["doc:1#viewer@group:g#lead", "tuple_invalid"],
    ["doc:1#viewer@group:*", "tuple_invalid"],
    ["doc:1#viewer@group:*#member", "tuple_invalid"],
    ["doc:1#viewer@user:ann#member", "tuple_invalid"],
    ["doc:1#viewer@doc:2", "tuple_invalid"],
    ["doc:1#viewer@robot:r", "tuple_invalid"],
    ["doc:1#parent@doc:*", "tuple_invalid"],
    ["doc:1#parent@doc:2#parent", "tuple_invalid"],
    ["doc:1#reader@user:ann", "tuple_invalid"],
    ["doc:1#editor@user:ann", "tuple_invalid"],
    ["doc:1#owner@user:ann", "relation_unknown"],
    ["robot:1#owner@user:ann", "type_unknown"],
  ])("%s is refused as %s", async (text, code) => {
    expect(await store.refusal(text)).toBe(code);
  });

  test("with a condition needs a restriction with that condition", async () => {
    const condition = "in_time";
    expect(await store.refusal(tuple("doc:1#viewer@user:ann", { condition }))).toBeNull();
    expect(await store.refusal(tuple("doc:1#editor@user:ann", { condition }))).toBeNull();
    expect(await store.refusal(tuple("doc:1#viewer@user:*", { condition }))).toBe("tuple_invalid");
    expect(await store.refusal(tuple("doc:1#viewer@group:g#member", { condition }))).toBe("tuple_invalid");
    expect(await store.refusal(tuple("doc:1#viewer@user:ann", { condition: "other" }))).toBe("condition_unknown");
  });
});
