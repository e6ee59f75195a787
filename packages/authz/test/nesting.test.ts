// Every operator of a rewrite alone, within every other, over unknown and cyclic parts, and far down.
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { rows } from "./sql.ts";
import { openStore, type Store, tuple } from "./store.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
afterAll(() => db.close());

type Formula = [dsl: string, holds: (a: boolean, b: boolean, c: boolean) => boolean];

// a is granted directly, b to a group, c on the parent.
const formulas: Formula[] = [
  ["a", (a) => a],
  ["b", (_, b) => b],
  ["c from parent", (_, __, c) => c],
  ["a or b", (a, b) => a || b],
  ["a and b", (a, b) => a && b],
  ["a but not b", (a, b) => a && !b],
  ["a or b or c from parent", (a, b, c) => a || b || c],
  ["a and b and c from parent", (a, b, c) => a && b && c],
  ["(a and b) or c from parent", (a, b, c) => (a && b) || c],
  ["(a but not b) or c from parent", (a, b, c) => (a && !b) || c],
  ["(a or b) and c from parent", (a, b, c) => (a || b) && c],
  ["(a but not b) and c from parent", (a, b, c) => a && !b && c],
  ["(a or b) but not c from parent", (a, b, c) => (a || b) && !c],
  ["(a and b) but not c from parent", (a, b, c) => a && b && !c],
  ["(a but not b) but not c from parent", (a, b, c) => a && !b && !c],
  ["c from parent but not (a or b)", (a, b, c) => c && !(a || b)],
  ["c from parent but not (a and b)", (a, b, c) => c && !(a && b)],
  ["c from parent but not (a but not b)", (a, b, c) => c && !(a && !b)],
  ["((a or b) and c from parent) but not (a and b)", (a, b, c) => (a || b) && c && !(a && b)],
];
const users = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => ({
  name: `user:u${bits}`,
  a: (bits & 1) > 0,
  b: (bits & 2) > 0,
  c: (bits & 4) > 0,
}));

describe("A relation that is", () => {
  let store: Store;
  beforeAll(async () => {
    store = await openStore(
      db,
      `model
  schema 1.1
type user
type group
  relations
    define member: [user]
type folder
  relations
    define c: [user]
type doc
  relations
    define parent: [folder]
    define a: [user]
    define b: [group#member]
${formulas.map(([dsl], index) => `    define r${index}: ${dsl}\n`).join("")}`,
    );
    await store.write("doc:1#parent@folder:1", "doc:1#b@group:g#member");
    for (const { name, a, b, c } of users) {
      if (a) await store.write(`doc:1#a@${name}`);
      if (b) await store.write(`group:g#member@${name}`);
      if (c) await store.write(`folder:1#c@${name}`);
    }
  });

  test.each(formulas.map(([dsl, holds], index) => [dsl, holds, `r${index}`] as const))(
    "%s is had by exactly those",
    async (_, holds, relation) => {
      const expected = users.filter(({ a, b, c }) => holds(a, b, c)).map(({ name }) => name);
      expect(await store.subjects("doc:1", relation, "user")).toEqual(expected);
      for (const { name } of users) {
        const has = expected.includes(name);
        expect([name, await store.check(name, relation, "doc:1")]).toEqual([name, has]);
        expect([name, await store.objects(name, relation, "doc")]).toEqual([name, has ? ["doc:1"] : []]);
      }
    },
  );
});

describe("Over parts that are true, false, unknown or a cycle,", () => {
  const values = ["t", "f", "u", "c"] as const;
  const operators = ["or", "and", "but not"] as const;
  // One letter per pair of parts, in the order of tt tf tu tc ft ff fu fc ut uf uu uc ct cf cu cc.
  const tables = { or: "tttt tfuc tuuu tcuc", and: "tfuc ffff ufuc cfcc", "but not": "ftuc ffff fuuc cccc" };
  const nameOf = (operator: string, a: string, b: string): string => `${operator.replace(" ", "_")}_${a}${b}`;
  const pairs = values.flatMap((a) => values.map((b) => [a, b] as const));
  let store: Store;
  beforeAll(async () => {
    const relations = operators.flatMap((operator) =>
      pairs.flatMap(([a, b]) => [
        `    define ${nameOf(operator, a, b)}: p_${a} ${operator} p_${b}\n`,
        `    define not_${nameOf(operator, a, b)}: p_t but not (p_${a} ${operator} p_${b})\n`,
      ]),
    );
    store = await openStore(
      db,
      `model
  schema 1.1
type user
type ring
  relations
    define member: [user, ring#member]
type doc
  relations
    define p_t: [user]
    define p_f: [user]
    define p_u: [user with on]
    define p_c: [ring#member]
${relations.join("")}condition on(flag: bool) {
  flag
}
`,
    );
    await store.write("doc:1#p_t@user:ann", tuple("doc:1#p_u@user:ann", { condition: "on" }));
    await store.write("doc:1#p_c@ring:o#member", "ring:o#member@ring:o#member");
  });

  // Nobody sees a cycle but what excludes it: it becomes false, and so does what it is excluded from.
  const seen = { t: true, f: false, u: null, c: false };
  const excluded = { t: false, f: true, u: null, c: false };
  test.each(operators)("%s is three-valued", async (operator) => {
    const expected = [...tables[operator].replaceAll(" ", "")] as (keyof typeof seen)[];
    for (const [index, [a, b]] of pairs.entries()) {
      const name = nameOf(operator, a, b);
      const value = expected[index] ?? "f";
      expect([name, await store.check("user:ann", name, "doc:1")]).toEqual([name, seen[value]]);
      expect([name, await store.check("user:ann", `not_${name}`, "doc:1")]).toEqual([name, excluded[value]]);
      const [objects, subjects] = { t: [["doc:1"], ["user:ann"]], u: [null, null], f: [[], []], c: [[], []] }[value];
      expect([name, await store.objects("user:ann", name, "doc")]).toEqual([name, objects]);
      expect([name, await store.subjects("doc:1", name, "user")]).toEqual([name, subjects]);
    }
  });
});

describe("A circle of parents", () => {
  // x and y lie in each other. ann is named on both, bob and zoe on x, and zoe on the gates.
  const circle = async (relation: string): Promise<Store> => {
    const store = await openStore(
      db,
      `model
  schema 1.1
type user
type unit
  relations
    define parent: [unit]
    define gate: [user]
    define blocked: [user]
    define r: ${relation}
`,
    );
    await store.write("unit:x#parent@unit:y", "unit:y#parent@unit:x");
    await store.write("unit:x#r@user:ann", "unit:y#r@user:ann", "unit:x#r@user:bob", "unit:x#r@user:zoe");
    await store.write("unit:x#gate@user:zoe", "unit:y#gate@user:zoe");
    return store;
  };

  test.each([
    ["in a union", "[user] or r from parent", { x: ["ann", "bob", "zoe"], y: ["ann", "bob", "zoe"] }],
    ["in an intersection", "[user] or (gate and r from parent)", { x: ["ann", "bob", "zoe"], y: ["ann", "zoe"] }],
    ["in a base", "[user] or (r from parent but not gate)", { x: ["ann", "bob", "zoe"], y: ["ann", "bob"] }],
    // What ann has on x depends on what she has on y, and that on x: she has neither.
    ["in what is excluded", "[user] but not (blocked or r from parent)", { x: ["bob", "zoe"], y: [] }],
  ])("%s ends, and grants what has a ground", async (_, relation, expected: Record<"x" | "y", string[]>) => {
    const store = await circle(relation);
    for (const name of ["ann", "bob", "zoe"]) {
      const units = (["x", "y"] as const).filter((unit) => expected[unit].includes(name));
      for (const unit of ["x", "y"] as const) {
        const allowed = await store.check(`user:${name}`, "r", `unit:${unit}`);
        expect([name, unit, allowed]).toEqual([name, unit, units.includes(unit)]);
      }
      expect(await store.objects(`user:${name}`, "r", "unit")).toEqual(units.map((unit) => `unit:${unit}`));
    }
    for (const unit of ["x", "y"] as const) {
      const names = expected[unit].map((name) => `user:${name}`);
      expect(await store.subjects(`unit:${unit}`, "r", "user")).toEqual(names);
    }
  });
});

describe("Far down,", () => {
  const model = `model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define parent: [folder]
    define viewer: [user] or viewer from parent
    define gate: [user:*]
    define guarded: ([user] or guarded from parent) and gate
    define twisted: ([user] or twisted from parent) and (gate or twisted from parent)
type doc
  relations
    define parent: [folder]
    define member: [group#member]
    define viewer: viewer from parent
    define guarded: guarded from parent
`;
  /** The relations of doc:d are that many hops away from ann. */
  async function deep(hops: number, maxDepth?: number): Promise<Store> {
    const store = await openStore(db, model, maxDepth === undefined ? {} : { maxDepth });
    const steps = Array.from({ length: hops - 1 }, (_, index) => [index + 1, index + 2]);
    await store.write(
      "doc:d#member@group:1#member",
      "doc:d#parent@folder:1",
      ...steps.flatMap(([upper, lower]) => [
        `group:${upper}#member@group:${lower}#member`,
        `folder:${upper}#parent@folder:${lower}`,
      ]),
      ...Array.from({ length: hops }, (_, index) => `folder:${index + 1}#gate@user:*`),
      `group:${hops}#member@user:ann`,
      `folder:${hops}#viewer@user:ann`,
      `folder:${hops}#guarded@user:ann`,
      `folder:${hops}#twisted@user:ann`,
    );
    return store;
  }
  const answers = async (store: Store, relations: string[], who = "user:ann"): Promise<unknown> => [
    await Promise.all(relations.map((relation) => store.check(who, relation, "doc:d"))),
    await Promise.all(relations.map((relation) => store.objects(who, relation, "doc"))),
    await Promise.all(relations.map((relation) => store.subjects("doc:d", relation, "user"))),
  ];

  test("500 hops are as good as one", async () => {
    const found = [
      [true, true],
      [["doc:d"], ["doc:d"]],
      [["user:ann"], ["user:ann"]],
    ];
    const store = await deep(500);
    expect(await answers(store, ["member", "viewer"])).toEqual(found);
    expect(await store.check("user:bob", "viewer", "doc:d")).toBe(false);
  });

  test("25 hops are followed with a max_depth of 25, and beyond them the answer is unknown", async () => {
    const all = ["member", "viewer", "guarded"];
    const near = await deep(25, 25);
    expect(await Promise.all(all.map((each) => near.check("user:ann", each, "doc:d")))).toEqual([true, true, true]);
    expect(await Promise.all(all.map((each) => near.check("user:bob", each, "doc:d")))).toEqual([false, false, false]);
    const far = await deep(26, 25);
    expect(await Promise.all(all.map((each) => far.check("user:ann", each, "doc:d")))).toEqual([null, null, null]);
  });

  test("an intersection that leads back by both its parts is followed 50 hops round, and beyond them the answer is unknown", async () => {
    expect(await (await deep(51)).check("user:ann", "twisted", "folder:1")).toBe(true);
    const { check, namespace } = await deep(52);
    expect(await check("user:ann", "twisted", "folder:1")).toBeNull();
    const sql = "select allowed, error_code from authz.check_batch($1, $2)";
    expect(await rows(db, sql, ['["folder:1#twisted@user:ann"]', namespace])).toEqual([
      { allowed: null, error_code: "resolution_too_complex" },
    ]);
  });
});

test("Tuples that a new model does not permit grant nothing, and count again when the old one is back", async () => {
  const model = (relations: string): string => `model
  schema 1.1
type user
type group
  relations
    define member: [user]
type doc
  relations
    ${relations}
`;
  const before = await openStore(
    db,
    model("define owner: [user]\n    define viewer: [user, user:*, group#member] or owner"),
  );
  await before.write("doc:1#viewer@user:ann", "doc:2#viewer@user:*", "doc:3#viewer@group:g#member");
  await before.write("group:g#member@user:ann", "doc:4#owner@user:ann");
  const documents = ["doc:1", "doc:2", "doc:3", "doc:4"];
  expect(await before.objects("user:ann", "viewer", "doc")).toEqual(documents);

  const after = await openStore(db, model("define viewer: [group#member]"), {}, before.namespace);
  expect(await after.objects("user:ann", "viewer", "doc")).toEqual(["doc:3"]);
  for (const document of documents) {
    expect(await after.check("user:ann", "viewer", document)).toBe(document === "doc:3");
    expect(await after.subjects(document, "viewer", "user")).toEqual(document === "doc:3" ? ["user:ann"] : []);
  }
  await before.activate();
  expect(await before.objects("user:ann", "viewer", "doc")).toEqual(documents);
});
