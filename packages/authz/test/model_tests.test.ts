import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { activate, compile, deploy } from "./program.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
let model: string;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(async () => {
  await wipe(db);
  model = await activate(db);
});
afterAll(() => db.close());

interface Result {
  name: string;
  passed: boolean;
  detail: string;
}
const run = (tests: unknown, id = model): Promise<Result[]> =>
  rows(db, "select * from authz.test_model($1, $2, 'acme')", [id, tests === null ? null : JSON.stringify(tests)]);

describe("test_model", () => {
  test("runs checks and lists with the tuples of the test and of all tests", async () => {
    const results = await run({
      tuples: ["group:g#member@user:ann"],
      tests: [
        {
          name: "groups",
          tuples: [{ user: "group:g#member", relation: "viewer", object: "document:1" }],
          check: [
            { user: "user:ann", object: "document:1", assertions: { viewer: true } },
            { users: ["user:bob", "user:cyd"], objects: ["document:1", "document:2"], assertions: { viewer: false } },
          ],
          list_objects: [
            { user: "user:ann", type: "document", assertions: { viewer: ["document:1"] } },
            { user: "user:bob", type: "document", assertions: { viewer: [] } },
          ],
          list_users: [
            {
              object: "document:1",
              user_filter: [{ type: "user" }, { type: "group", relation: "member" }],
              assertions: { viewer: { users: ["user:ann", "group:g#member"] } },
            },
          ],
        },
      ],
    });
    expect(results.filter(({ passed }) => !passed)).toEqual([]);
    expect(results.map(({ detail }) => detail)).toContain('list_objects user:ann viewer document: ["document:1"]');
    expect(results).toHaveLength(8);
  });

  test("says what was answered instead of what was expected", async () => {
    const [check, list] = await run([
      {
        name: "wrong",
        tuples: ["document:1#viewer@user:ann"],
        check: [{ user: "user:ann", object: "document:1", assertions: { viewer: false } }],
        list_objects: [{ user: "user:ann", type: "document", assertions: { viewer: ["document:2"] } }],
      },
    ]);
    expect(check).toEqual({
      name: "wrong",
      passed: false,
      detail: "check user:ann viewer document:1: true, expected false",
    });
    expect(list?.detail).toBe('list_objects user:ann viewer document: ["document:1"], expected ["document:2"]');
  });

  test("decides conditions with the test's context, and calls unknown what it lacks", async () => {
    const recent = { user: "user:ann", relation: "viewer", object: "document:1", condition: { name: "recent" } };
    const ask = (context: object | undefined) => ({
      user: "user:ann",
      object: "document:1",
      context,
      assertions: { viewer: true },
    });
    const results = await run([{ tuples: [recent], check: [ask({ age: 1 }), ask({ age: 11 }), ask(undefined)] }]);
    expect(results.map(({ name, passed }) => [name, passed])).toEqual([
      ["test 1", true],
      ["test 1", false],
      ["test 1", false],
    ]);
    expect(results[2]?.detail).toBe('check user:ann viewer document:1: "unknown", expected true');
  });

  test("fails a test whose tuples or questions the model does not know, and runs the next", async () => {
    const good = { name: "good", check: [{ user: "user:a", object: "document:1", assertions: { viewer: false } }] };
    const results = await run([
      { ...good, name: "tuple", tuples: ["document:1#viewer@group:g"] },
      { ...good, name: "form", tuples: ["nonsense"] },
      { name: "relation", check: [{ user: "user:a", object: "document:1", assertions: { owner: true } }] },
      { name: "object", check: [{ user: "user:a", object: "document", assertions: { viewer: true } }] },
      good,
    ]);
    expect(results.map(({ name, passed }) => [name, passed])).toEqual([
      ["tuple", false],
      ["form", false],
      ["relation", false],
      ["object", false],
      ["good", true],
    ]);
    expect(results[0]?.detail).toContain("tuples[1] is refused by the model");
  });

  test("sees no tuple of any namespace, and writes none", async () => {
    await db.query(`select authz.write_tuples('["document:1#viewer@user:ann"]', '[]', 'acme')`);
    const check = { user: "user:ann", object: "document:1", assertions: { viewer: false } };
    expect(await run([{ check: [check], tuples: ["document:2#viewer@user:ann"] }])).toMatchObject([{ passed: true }]);
    expect(await value(db, "select count(*)::int from authz.tuples")).toBe(1);
  });

  test("runs the stored tests by default, of models that are not active too", async () => {
    const other = compile("type user\ntype page\n  relations\n    define reader: [user]");
    const tests = [{ name: "t", check: [{ user: "user:a", object: "page:1", assertions: { reader: false } }] }];
    const id = await deploy(db, other, { activate: false, tests });
    expect(await run(null, id)).toMatchObject([{ name: "t", passed: true }]);
    expect(await run(null)).toEqual([]);
  });

  test("refuses too many tests, and models that do not exist", async () => {
    await refuses(run([{ name: "x".repeat(1_048_576) }]), "model_invalid 22023");
    await refuses(run([], "00000000-0000-7000-8000-000000000000"), "model_not_found P0002");
  });

  const check = { user: "user:a", object: "document:1", assertions: { viewer: false } };
  const objects = { user: "user:a", type: "document", assertions: { viewer: [] } };
  const users = { object: "document:1", user_filter: [{ type: "user" }], assertions: { viewer: { users: [] } } };
  const keys = "name, check, tuples, list_users, description, list_objects";
  const asserts = "asserts nothing, it must have check, list_objects or list_users";
  test.each<[unknown, string]>([
    ["tests", "tests must be an array"],
    [{}, "tests is missing"],
    [{ test: [], tests: [] }, "test is not known, it may be tests, tuples"],
    [{ tests: [], tuples: {} }, "tuples must be an array"],
    [[{ check: [check] }, 1], "tests[2] must be an object"],
    [[{ check: 1 }], "tests[1].check must be an array"],
    [[{}], `tests[1] ${asserts}`],
    [[{ name: "t", check: [], list_users: [] }], `test 't': tests[1] ${asserts}`],
    [[{ name: "t", checks: [check] }], `test 't': tests[1].checks is not known, it may be ${keys}`],
    [[{ name: "t", check: [check], tuple: [] }], `test 't': tests[1].tuple is not known, it may be ${keys}`],
    [[{ name: "t", check: [check], "*": [] }], `test 't': tests[1].* is not known, it may be ${keys}`],
    [[{ name: "t", check: [check], tuples: null }], "test 't': tests[1].tuples must be an array"],
    [[{ name: 1, check: [check] }], "test '1': tests[1].name must be a text"],
    [
      { tests: [{ check: [check] }, { name: "it's", check: [check, { ...check, assertions: undefined }] }] },
      "test 'it''s': tests[2].check[2].assertions is missing",
    ],
    [
      [{ check: [{ ...check, assertions: undefined, assertion: { viewer: true } }] }],
      "tests[1].check[1].assertion is not known, it may be user, users, object, context, objects, assertions",
    ],
    [[{ check: [{ ...check, assertions: {} }] }], "tests[1].check[1].assertions must not be empty"],
    [
      [{ check: [{ ...check, assertions: { viewer: "no" } }] }],
      "tests[1].check[1].assertions.viewer must be true or false",
    ],
    [
      [{ check: [{ ...check, assertions: { viewer: null } }] }],
      "tests[1].check[1].assertions.viewer must be true or false",
    ],
    [[{ check: [{ ...check, user: undefined }] }], "tests[1].check[1] must have either user or users"],
    [[{ check: [{ ...check, users: ["user:b"] }] }], "tests[1].check[1] must have either user or users"],
    [[{ check: [{ ...check, objects: ["document:2"] }] }], "tests[1].check[1] must have either object or objects"],
    [[{ check: [{ ...check, user: undefined, users: [] }] }], "tests[1].check[1].users must not be empty"],
    [[{ check: [{ ...check, context: 1 }] }], "tests[1].check[1].context must be an object"],
    [[{ list_objects: [{ ...objects, type: undefined }] }], "tests[1].list_objects[1].type is missing"],
    [
      [{ list_objects: [{ ...objects, assertions: { viewer: "document:1" } }] }],
      "tests[1].list_objects[1].assertions.viewer must be an array",
    ],
    [
      [{ list_objects: [{ ...objects, assertions: { viewer: ["document:1", 2] } }] }],
      "tests[1].list_objects[1].assertions.viewer[2] must be a text",
    ],
    [
      [{ list_users: [{ ...users, assertions: { viewer: ["user:b"] } }] }],
      "tests[1].list_users[1].assertions.viewer must be an object",
    ],
    [
      [{ list_users: [{ ...users, assertions: { viewer: {} } }] }],
      "tests[1].list_users[1].assertions.viewer.users is missing",
    ],
    [
      [{ list_users: [{ ...users, assertions: { viewer: { users: [], excluded_users: [] } } }] }],
      "tests[1].list_users[1].assertions.viewer.excluded_users is not known, it may be users",
    ],
    [
      [{ list_users: [{ ...users, user_filter: { type: "user" } }] }],
      "tests[1].list_users[1].user_filter must be an array",
    ],
    [[{ list_users: [{ ...users, user_filter: [] }] }], "tests[1].list_users[1].user_filter must not be empty"],
    [[{ list_users: [{ ...users, user_filter: [{}] }] }], "tests[1].list_users[1].user_filter[1].type is missing"],
  ])("refuses tests of another form: %j", async (tests, message) => {
    await refuses(run(tests), "model_invalid 22023");
    await expect(run(tests)).rejects.toThrow(new RegExp(`^${message.replace(/[[\].*]/g, "\\$&")}$`));
  });

  test("does not run tests of another form that are stored already, and fails what is no answer to them", async () => {
    await db.query("update authz.models set tests = $1", [JSON.stringify([{ checks: [check] }])]);
    await refuses(run(null), "model_invalid 22023");
    const form = { list_users: [{ ...users, assertions: { viewer: ["user:a"] } }] };
    expect(
      await rows(
        db,
        "select passed, detail from authz._run_tests((select left(hash, 12) from authz.active_models), $1)",
        [JSON.stringify([form])],
      ),
    ).toEqual([{ passed: false, detail: "list_users viewer document:1: [], expected nothing" }]);
  });
});
