import { type TestDatabase, testDatabase } from "@howdah/testing";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { refuses, rows, value } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
  await db.query(`
    select authz.create_role(slug, p_namespace => 'acme') from unnest('{admin,editor}'::text[]) slug;
    select authz.create_permission(slug, p_namespace => 'acme') from unnest('{posts:read,posts:write}'::text[]) slug;
    select authz.grant_role_permission('editor', 'posts:write', 'acme');
    select authz.assign_role('user', 'ann', 'editor', 'acme');
    select authz.write('document', '1', 'read', 'user', 'ann', 'acme');
  `);
});
afterAll(() => db.close());

type Predicate = object | string | number | boolean | null;
type Case = [predicate: object, met: boolean];

const evaluate = (predicate: Predicate, user = "ann", namespace = "acme"): Promise<boolean> =>
  value(db, "select authz.evaluate('user', $1, $2, $3)", [user, JSON.stringify(predicate), namespace]);

const yes = { role: "editor" };
const no = { role: "admin" };
const read = (id: string) => ({ check: { permission: "read", resource_type: "document", resource_id: id } });

describe("a predicate", () => {
  const table: Case[] = [
    [{ role: "editor" }, true],
    [{ role: "admin" }, false],
    [{ role: "nobody-made-this" }, false],
    [{ permission: "posts:write" }, true],
    [{ permission: "posts:read" }, false],
    [read("1"), true],
    [read("2"), false],
    [{ any: [] }, false],
    [{ all: [] }, true],
    [{ any: [no] }, false],
    [{ any: [no, yes] }, true],
    [{ any: [yes, no] }, true],
    [{ all: [yes] }, true],
    [{ all: [yes, no] }, false],
    [{ all: [no, yes] }, false],
    [{ not: yes }, false],
    [{ not: no }, true],
    [{ not: { not: yes } }, true],
    [{ not: { any: [] } }, true],
    [{ not: { all: [] } }, false],
    [{ any: [no, { all: [yes, { permission: "posts:write" }, read("1")] }] }, true],
    [{ all: [yes, { any: [no, read("2")] }] }, false],
    [{ all: [yes, { not: read("2") }] }, true],
  ];
  test.each(table)("%j is %s", async (predicate, expected) => {
    expect(await evaluate(predicate)).toBe(expected);
  });

  test("holds in its own namespace only", async () => {
    expect(await evaluate(yes, "ann", "other")).toBe(false);
    expect(await evaluate(yes, "bob")).toBe(false);
  });

  test("of any shape is what Boolean logic says", async () => {
    const leaf = fc.constantFrom<Case>([yes, true], [no, false], [{ permission: "posts:write" }, true]);
    const { tree } = fc.letrec<{ tree: Case }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        leaf,
        fc
          .array(tie("tree"), { maxLength: 3 })
          .map((parts): Case => [{ any: parts.map(([p]) => p) }, parts.some(([, v]) => v)]),
        fc
          .array(tie("tree"), { maxLength: 3 })
          .map((parts): Case => [{ all: parts.map(([p]) => p) }, parts.every(([, v]) => v)]),
        tie("tree").map(([p, v]): Case => [{ not: p }, !v]),
      ),
    }));
    await fc.assert(
      fc.asyncProperty(fc.array(tree, { minLength: 20, maxLength: 20 }), async (cases) => {
        const found = await rows<{ met: boolean }>(
          db,
          `select authz.evaluate('user', 'ann', e.value, 'acme') as met
           from jsonb_array_elements($1::jsonb) with ordinality e (value, at) order by e.at`,
          [JSON.stringify(cases.map(([predicate]) => predicate))],
        );
        expect(found.map((row) => row.met)).toEqual(cases.map(([, met]) => met));
      }),
      { numRuns: 50 },
    );
  });
});

describe("a mistake in a predicate is named by its path", () => {
  const deep = (levels: number): object => (levels === 0 ? yes : { not: deep(levels - 1) });
  const table: [Predicate, string][] = [
    [null, "$ is null, not an object"],
    ["editor", "$ is string, not an object"],
    [[yes], "$ is array, not an object"],
    [{}, "$ must have exactly one key: role, permission, check, any, all or not"],
    [{ role: "editor", permission: "x" }, "$ must have exactly one key"],
    [{ rolle: "editor" }, "$ must have exactly one key"],
    [{ role: "No Slug" }, '$.role is no slug: "No Slug"'],
    [{ role: 1 }, "$.role is no slug: 1"],
    [{ role: "x".repeat(65) }, "$.role is no slug"],
    [{ permission: null }, "$.permission is no slug: null"],
    [{ any: yes }, "$.any is object, not an array"],
    [{ all: null }, "$.all is null, not an array"],
    [{ any: [yes, { all: [yes, { role: "" }] }] }, '$.any[1].all[1].role is no slug: ""'],
    [{ not: [yes] }, "$.not is array, not an object"],
    [{ any: Array(1001).fill(yes) }, "$.any has 1001 elements, at most 1000 are allowed"],
    [{ all: Array(9).fill({ any: Array(1000).fill(yes) }) }, "$ takes "],
    [{ check: "read" }, "$.check must have the texts permission, resource_type and resource_id, and nothing else"],
    [{ check: { permission: "read", resource_type: "document" } }, "$.check must have the texts"],
    [{ check: { permission: "read", resource_type: "document", resource_id: 1 } }, "$.check must have the texts"],
    [{ check: { ...read("1").check, subject: "root" } }, "$.check must have the texts"],
    [deep(11), `$${".not".repeat(11)} is nested deeper than 10`],
  ];
  test.each(table.map(([predicate, problem]) => ({ predicate, problem })))(
    "$problem",
    async ({ predicate, problem }) => {
      const met = evaluate(predicate);
      await refuses(met, "predicate_invalid 22023");
      await expect(met).rejects.toMatchObject({ message: expect.stringContaining(`predicate ${problem}`) });
    },
  );

  test("ten levels are allowed", async () => {
    expect(await evaluate(deep(10))).toBe(true);
  });

  test("even where the answer would not depend on it", async () => {
    await refuses(evaluate({ any: [yes, { role: 7 }] }), "predicate_invalid 22023");
  });

  test("SQL's null is none either", async () => {
    await refuses(db.query("select authz.evaluate('user', 'ann', null, 'acme')"), "predicate_invalid 22023");
  });
});

test("checks that the answer does not need are not made", async () => {
  const unmakeable = { check: { permission: "read", resource_type: "Document", resource_id: "1" } };
  expect(await evaluate({ any: [yes, unmakeable] })).toBe(true);
  expect(await evaluate({ all: [no, { not: { any: [unmakeable] } }] })).toBe(false);
  await refuses(evaluate({ any: [no, unmakeable] }), "identifier_format 22023");
  await refuses(evaluate({ any: [unmakeable, yes] }), "identifier_format 22023");
});

test("a subject that is none is refused", async () => {
  await refuses(evaluate(yes, ""), "id_empty 22026");
  await refuses(db.query(`select authz.evaluate(null, 'ann', '{"all": []}')`), "identifier_null 22004");
});

test("a check that cannot be made raises, also below not", async () => {
  await refuses(
    evaluate({ not: { check: { permission: "read", resource_type: "Document", resource_id: "1" } } }),
    "identifier_format 22023",
  );
});
