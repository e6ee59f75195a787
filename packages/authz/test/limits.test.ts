// The limits, each from both sides: what is just allowed works, what is one more is refused by name.
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { compileModel, ModelInvalidError, type OpenFgaModel } from "../src/compiler/index.ts";
import { authzModule } from "../src/module.ts";
import { activate, useModel } from "./program.ts";
import { refuses, rows, value, wipe } from "./sql.ts";
import { openStore } from "./store.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

describe("Steps", () => {
  const dsl = `model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define parent: [folder]
    define gate: [user:*]
    define viewer: [user] or viewer from parent
    define guarded: ([user] or guarded from parent) and gate
`;
  /** From group 1 and folder 1 it is that many steps to where ann is named. */
  const steps = (n: number): string[] => [
    ...Array.from({ length: n }, (_, i) => `group:${i + 1}#member@group:${i + 2}#member`),
    `group:${n + 1}#member@user:ann`,
    ...Array.from({ length: n }, (_, i) => `folder:${i + 1}#parent@folder:${i + 2}`),
    ...Array.from({ length: n + 1 }, (_, i) => `folder:${i + 1}#gate@user:*`),
    `folder:${n + 1}#viewer@user:ann`,
    `folder:${n + 1}#guarded@user:ann`,
  ];
  const asked = ["member', 'group", "viewer', 'folder", "guarded', 'folder"];
  const calls = (namespace: string): string[] => [
    ...asked.flatMap((of) => [
      `check('user', 'ann', '${of}', '1', '${namespace}')`,
      `check('user', 'ann', '${of}', '1', '${namespace}', null, null, '["group:x#member@user:y"]')`,
      `check_any('user', 'ann', '{${of.replace("'", "}'")}', '1', '${namespace}')`,
    ]),
    `filter_authorized('user', 'ann', 'folder', 'viewer', '{1}', '${namespace}')`,
    `evaluate('user', 'ann', '{"check": {"permission": "viewer", "resource_type": "folder", "resource_id": "1"}}', '${namespace}')`,
  ];

  test("up to max_depth are followed by every check; one more is resolution_too_complex, and never access", async () => {
    for (const maxDepth of [1, 25, 200]) {
      const near = await openStore(db, dsl, { maxDepth });
      await near.write(...steps(maxDepth));
      for (const call of calls(near.namespace)) {
        expect([maxDepth, call, await value(db, `select authz.${call}`)]).toEqual([
          maxDepth,
          call,
          call.startsWith("filter") ? ["1"] : true,
        ]);
      }
      const far = await openStore(db, dsl, { maxDepth });
      await far.write(...steps(maxDepth + 1));
      for (const call of calls(far.namespace)) {
        await refuses(db.query(`select authz.${call}`), "resolution_too_complex 54001");
      }
    }
  });

  test("have no limit otherwise: 500 are followed, also below an intersection and by dynamic types", async () => {
    const store = await openStore(db, dsl);
    await store.write(...steps(500));
    await db.query("select authz.write_tuples($1, '[]', 'dynamic')", [JSON.stringify(steps(500))]);
    for (const namespace of [store.namespace, "dynamic"]) {
      for (const [relation, type] of [
        ["member", "group"],
        ["viewer", "folder"],
        ...(namespace === "dynamic" ? [] : [["guarded", "folder"]]),
      ]) {
        const allowed = "select authz.check('user', $1, $2, $3, '1', $4)";
        expect([relation, await value(db, allowed, ["ann", relation, type, namespace])]).toEqual([relation, true]);
        expect([relation, await value(db, allowed, ["bob", relation, type, namespace])]).toEqual([relation, false]);
        const listed = "select count(*)::int from authz.list_objects('user', 'ann', $1, $2, $3)";
        expect([relation, await value(db, listed, [type, relation, namespace])]).toEqual([relation, 501]);
      }
    }
  });
});

describe("Contexts", () => {
  /** An object that takes so many bytes as jsonb writes it. */
  const sized = (bytes: number): string => {
    const empty = '{"age": 1, "x": ""}'.length;
    return JSON.stringify({ age: 1, x: "x".repeat(bytes - empty) });
  };

  test("of 65,536 bytes are taken by every function, one more is refused", async () => {
    await activate(db);
    for (const [call, args] of [
      ["check", "'user', 'ann', 'viewer', 'document', '1', 'acme', null, $1"],
      ["check_batch", `'["document:1#viewer@user:ann"]', 'acme', $1`],
      ["permissions_on", "'user', 'ann', 'document', '1', 'acme', $1"],
      ["list_objects", "'user', 'ann', 'document', 'viewer', 'acme', null, $1"],
      ["list_subjects", "'document', '1', 'viewer', 'acme', 10, 'user', null, null, null, $1"],
      ["explain_json", "'user', 'ann', 'viewer', 'document', '1', 'acme', null, $1"],
      ["write_tuple", "'document', '1', 'viewer', 'user', 'ann', null, 'acme', null, 'recent', $1"],
    ]) {
      await db.query(`select * from authz.${call}(${args})`, [sized(65_536)]);
      await refuses(db.query(`select * from authz.${call}(${args})`, [sized(65_537)]), "condition_invalid 22023");
      for (const none of ["[]", "1", '"x"', "true"]) {
        await refuses(db.query(`select * from authz.${call}(${args})`, [none]), "condition_invalid 22023");
      }
    }
    const tuple = (bytes: number): string =>
      `[{"user": "user:ann", "relation": "viewer", "object": "document:1", "condition": {"name": "recent", "context": ${sized(bytes)}}}]`;
    for (const [call, code] of [
      ["write_tuples($1, '[]', 'acme')", "array_element_invalid"],
      ["check('user', 'ann', 'viewer', 'document', '1', 'acme', null, null, $1)", "contextual_tuple_invalid"],
    ]) {
      await db.query(`select * from authz.${call}`, [tuple(65_536)]);
      await refuses(db.query(`select * from authz.${call}`, [tuple(65_537)]), `${code} 22023`);
    }
  });

  test("that are stored count more than those of the question, and save the rest of a union from them", async () => {
    await useModel(
      db,
      `
type user
type document
  relations
    define owner: [user]
    define viewer: [user with both] or owner
    define reader: viewer but not banned
    define banned: [user with both]
condition both(a: int, b: int) {
  a < b
}`,
    );
    const write = (relation: string, user: string, context: object): Promise<unknown> =>
      db.query("select authz.write_tuple('document', '1', $1, 'user', $2, null, 'acme', null, 'both', $3)", [
        relation,
        user,
        context,
      ]);
    await write("viewer", "ann", { a: 1 });
    await write("viewer", "bob", {});
    await write("banned", "cat", {});
    await db.query(
      `select authz.write_tuples('["document:1#owner@user:bob", "document:1#owner@user:cat"]', '[]', 'acme')`,
    );
    const check = (user: string, permission: string, context: object): Promise<boolean> =>
      value(db, "select authz.check('user', $1, $2, 'document', '1', 'acme', null, $3)", [user, permission, context]);
    // What was stored, 1, is less than 2, whatever is said of it now.
    expect(await check("ann", "viewer", { a: 3, b: 2 })).toBe(true);
    expect(await check("ann", "viewer", { a: 0, b: 1 })).toBe(false);
    const missing = check("ann", "viewer", {});
    await refuses(missing, "condition_context_missing 22023");
    await expect(missing).rejects.toMatchObject({
      message: expect.stringContaining("b"),
      detail: expect.stringContaining('["b"]'),
    });
    const invalid = check("ann", "viewer", { b: "x" });
    await refuses(invalid, "condition_invalid 22023");
    await expect(invalid).rejects.toMatchObject({ message: expect.stringContaining("b") });
    // Who owns it views it, whatever cannot be told about the rest.
    expect(await check("bob", "viewer", {})).toBe(true);
    expect(await check("bob", "reader", {})).toBe(true);
    // Whether somebody is banned cannot be told, which is no access.
    await refuses(check("cat", "reader", {}), "condition_context_missing 22023");
    await refuses(check("cat", "reader", { a: "x", b: 1 }), "condition_invalid 22023");
    expect(await check("cat", "reader", { a: 1, b: 1 })).toBe(true);
    expect(await check("cat", "reader", { a: 1, b: 2 })).toBe(false);
  });
});

describe("Models", () => {
  const problems = (model: OpenFgaModel): string[] => {
    try {
      compileModel({ model });
      return [];
    } catch (error) {
      if (error instanceof ModelInvalidError) return error.problems.map(({ code }) => code);
      throw error;
    }
  };
  const direct = { this: {} };
  const of = (relations: number): OpenFgaModel => {
    const names = Array.from({ length: relations }, (_, i) => `r${i}`);
    return {
      schema_version: "1.1",
      type_definitions: [
        { type: "user" },
        {
          type: "doc",
          relations: Object.fromEntries(names.map((name) => [name, direct])),
          metadata: {
            relations: Object.fromEntries(
              names.map((name) => [name, { directly_related_user_types: [{ type: "user" }] }]),
            ),
          },
        },
      ],
    } as unknown as OpenFgaModel;
  };

  test("have at most 2,000 relations, of one type too", () => {
    expect(problems(of(2000))).toEqual([]);
    expect(problems(of(2001))).toContain("limit_exceeded");
  });

  test("may be written with a depth from 1 to 200", () => {
    const dsl = "model\n  schema 1.1\ntype user\n";
    for (const maxDepth of [1, 200])
      expect(compileModel({ dsl }, { maxDepth }).options).toEqual({ max_depth: maxDepth });
  });
});

test("names that mean something to SQL, or look alike, are names like others", async () => {
  const words = ["select", "order", "p_context", "v_relations", "namespace", "a-b", "a_b", "ab", "x".repeat(50)];
  // A condition's name has no hyphen.
  const conditionOf = (word: string): string => word.replace("-", "_");
  await useModel(
    db,
    `
type user
type table
  relations
    define end: [user, table#end]
${words.map((word) => `    define ${word}: [user with ${conditionOf(word)}] or end`).join("\n")}
${[...new Set(words.map(conditionOf))].map((name) => `condition ${name}(p_stored: int, v_context: int) {\n  p_stored < v_context\n}`).join("\n")}`,
  );
  for (const word of words) {
    const values = [word, conditionOf(word)];
    const sql = "select authz.write_tuple('table', $1, $1, 'user', 'ann', null, 'acme', null, $2, '{\"p_stored\": 1}')";
    await db.query(sql, values);
  }
  for (const word of words) {
    for (const id of words) {
      const allowed = "select authz.check('user', 'ann', $1, 'table', $2, 'acme', null, '{\"v_context\": 2}')";
      expect([word, id, await value(db, allowed, [word, id])]).toEqual([word, id, word === id]);
    }
    const listed =
      "select array(select authz.list_objects('user', 'ann', 'table', $1, 'acme', null, '{\"v_context\": 2}'))";
    expect(await value(db, listed, [word])).toEqual([word]);
  }
});

test("one decision holds for a whole transaction: what ends while it runs has not ended for it", async () => {
  await db.query("select authz.write('folder', '1', 'read', 'user', 'bob', 'acme')");
  const client = await db.client();
  const allowed = "select authz.check('user', 'ann', 'read', 'doc', '1', 'acme') as allowed";
  await client.query("begin");
  await client.query("select now()");
  // It ends after that transaction has begun, and before any later one does.
  await db.query(
    `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, expires_at)
     values ('acme', 'doc', '1', 'read', 'user', 'ann', clock_timestamp())`,
  );
  expect(await rows(client, allowed)).toEqual([{ allowed: true }]);
  expect(await rows(db, allowed)).toEqual([{ allowed: false }]);
  await client.query("commit");
  expect(await rows(client, allowed)).toEqual([{ allowed: false }]);
});
