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
      { name: "tuple", tuples: ["document:1#viewer@group:g"] },
      { name: "form", tuples: ["nonsense"] },
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

  test("refuses tests of another form, and models that do not exist", async () => {
    await refuses(run({}), "model_invalid 22023");
    await refuses(run([{ check: 1 }]), "model_invalid 22023");
    await refuses(run([{ name: "x".repeat(1_048_576) }]), "model_invalid 22023");
    await refuses(run([], "00000000-0000-7000-8000-000000000000"), "model_not_found P0002");
  });
});
