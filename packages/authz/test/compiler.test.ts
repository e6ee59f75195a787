import { readdirSync, readFileSync } from "node:fs";
import { inRollback, type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { jsonbText } from "../src/compiler/hash.ts";
import { type CompiledModel, compileModel, ModelInvalidError, type OpenFgaModel } from "../src/compiler/index.ts";
import { authzModule } from "../src/module.ts";
import { rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

const prefixOf = ({ hash }: CompiledModel): string => `authz_rt.m_${hash.slice(0, 12)}_`;

describe("The SQL of a program", () => {
  const golden = new URL("golden/", import.meta.url);
  const models = readdirSync(golden).filter((name) => name.endsWith(".fga"));

  /** What a person reads: the functions of the relations. Those over contextual tuples differ in their source alone. */
  const essence = (name: string, sql: string): string => {
    const isRead = name === "contextual.fga" ? /_r\d+_(check|objects)_x\(/ : /_r\d+_[a-z]+\(/;
    const parts = sql.split("\n\n").filter((part) => (name === "program.fga" ? !/_x\(/.test(part) : isRead.test(part)));
    return `${parts.join("\n\n")}\n`;
  };

  test.each(models)("of %s is the one that was read and found good", async (name) => {
    const { sql } = compileModel({ dsl: readFileSync(new URL(name, golden), "utf8") });
    await expect(essence(name, sql)).toMatchFileSnapshot(new URL(name.replace(".fga", ".sql"), golden).pathname);
  });

  test("is the same for the DSL, its JSON, and its modules", () => {
    const dsl = readFileSync(new URL("walk.fga", golden), "utf8");
    const { model, sql } = compileModel({ dsl });
    expect(compileModel({ model }).sql).toBe(sql);
    const contents = dsl.replace(/model\n {2}schema 1.1/, "module all");
    const fromModules = compileModel({ modules: [{ name: "all.fga", contents }], schemaVersion: "1.2" });
    expect({ ...fromModules.model, schema_version: "1.1" }).toEqual(model);
  });

  test("is the same whatever a JSON model has besides", () => {
    const plain: OpenFgaModel = {
      schema_version: "1.1",
      type_definitions: [
        { type: "user" },
        {
          type: "doc",
          relations: { viewer: { this: {} }, reader: { computedUserset: { relation: "viewer" } } },
          metadata: { relations: { viewer: { directly_related_user_types: [{ type: "user" }] } } },
        },
      ],
    };
    const adorned = {
      id: "01ABC",
      schema_version: "1.1",
      type_definitions: [
        { type: "user", relations: {}, metadata: null },
        {
          type: "doc",
          relations: { viewer: { this: {} }, reader: { computedUserset: { object: "", relation: "viewer" } } },
          metadata: {
            module: "docs",
            source_info: { file: "docs.fga" },
            relations: {
              viewer: { directly_related_user_types: [{ type: "user", relation: "", condition: "" }], module: "" },
              reader: { directly_related_user_types: [] },
            },
          },
        },
      ],
      conditions: {},
    } as unknown as OpenFgaModel;
    expect(compileModel({ model: adorned })).toEqual(compileModel({ model: plain }));
  });

  test("has no function that everybody may call", async () => {
    const program = compileModel({ dsl: readFileSync(new URL("conditions.fga", golden), "utf8") });
    await inRollback(db, async (client) => {
      await client.query(program.sql);
      const callable = await rows(
        client,
        "select proname from pg_proc where pronamespace = 'authz_rt'::regnamespace and has_function_privilege('public', oid, 'execute')",
      );
      expect(callable).toEqual([]);
    });
  });

  test("says of each relation which function is its own", async () => {
    const program = compileModel({ dsl: readFileSync(new URL("operators.fga", golden), "utf8") });
    expect(program.ir.types.document?.publisher).toEqual({ number: 5, class: "B" });
    await inRollback(db, async (client) => {
      await client.query(program.sql);
      const name = `${prefixOf(program)}r5_check`;
      expect(await value(client, "select obj_description($1::regproc, 'pg_proc')", [name])).toBe(
        "document#publisher, class B",
      );
    });
  });
});

describe("The hash of a model", () => {
  test("is the one that the database computes", async () => {
    const dsl = readFileSync(new URL("golden/conditions.fga", import.meta.url), "utf8");
    for (const options of [{}, { strict: false }, { maxDepth: 25 }, { strict: false, maxDepth: 7 }]) {
      const { model, options: stored, modelHash } = compileModel({ dsl }, options);
      const computed = await value(db, "select authz.model_hash($1, $2)", [model, stored]);
      expect(computed).toBe(modelHash);
    }
  });

  test("is made of the text that jsonb has", async () => {
    const nasty = {
      b: [],
      aa: {},
      a: ['quotes " and \\', "line\nfeed\ttab\b\f\r", "\u0001\u001f\u007f", "é ß 漢 😀 \u2028"],
      é: { z: null, y: true, x: -1 },
      "long key": [[{ k: [1, 2] }]],
    };
    expect(jsonbText(nasty)).toBe(await value(db, "select $1::jsonb::text", [JSON.stringify(nasty)]));
  });

  test("does not change with options that are the default", () => {
    const dsl = readFileSync(new URL("golden/direct.fga", import.meta.url), "utf8");
    expect(compileModel({ dsl }, { strict: true }).hash).toBe(compileModel({ dsl }).hash);
    expect(compileModel({ dsl }, { strict: false }).hash).not.toBe(compileModel({ dsl }).hash);
  });
});

describe("A model that is wrong", () => {
  const problemsOf = (input: Parameters<typeof compileModel>[0], options = {}): unknown[] => {
    try {
      compileModel(input, options);
    } catch (error) {
      if (error instanceof ModelInvalidError) return [...error.problems];
      throw error;
    }
    return [];
  };

  test("is told everything at once, with the lines of the DSL", () => {
    const dsl = `model
  schema 1.1
type user
type rbac_role
type document
  relations
    define parent: [folder, document#viewer]
    define viewer: [user] or nobody
    define editor: viewer from parent
    define owner: [user with nowhere]`;
    expect(problemsOf({ dsl })).toMatchObject([
      { code: "type_reserved", type: "rbac_role", line: 4 },
      { code: "type_unknown", type: "document", relation: "parent", line: 7 },
      { code: "relation_unknown", type: "document", relation: "viewer", line: 8 },
      { code: "tupleset_invalid", type: "document", relation: "editor", line: 9 },
      { code: "condition_unknown", type: "document", relation: "owner", line: 10 },
    ]);
  });

  test("names the file of the module", () => {
    const modules = [
      { name: "core.fga", contents: "module core\ntype user\n" },
      { name: "docs.fga", contents: "module docs\ntype doc\n  relations\n    define viewer: [ghost]\n" },
    ];
    expect(problemsOf({ modules })).toMatchObject([{ code: "type_unknown", file: "docs.fga", line: 4 }]);
  });

  test("is refused with all errors of its syntax", () => {
    const dsl = "model\n  schema 1.1\ntype user\n  relations\n    define a [user]\n    define b: [user\n";
    expect(problemsOf({ dsl }).length).toBeGreaterThan(1);
    expect(problemsOf({ dsl })).toContainEqual(expect.objectContaining({ code: "syntax", line: 5 }));
  });

  test("may not go round on one object, nor be without an entry", () => {
    const dsl = `model
  schema 1.1
type user
type doc
  relations
    define a: [user] or b
    define b: [user] or a
    define c: [doc#c]
    define d: [user] and c`;
    expect(problemsOf({ dsl })).toMatchObject([
      { code: "relation_cyclic", relation: "a", message: "relation a follows from itself: a -> b -> a" },
      { code: "relation_cyclic", relation: "b" },
      { code: "relation_impossible", relation: "c" },
      { code: "relation_impossible", relation: "d" },
    ]);
  });

  test.each<[string, unknown]>([
    ["no object", []],
    ["without types", { schema_version: "1.1" }],
    ["of schema 1.0", { schema_version: "1.0", type_definitions: [{ type: "user" }] }],
    ["with a name of its own kind", { schema_version: "1.1", type_definitions: [{ type: "User" }] }],
    ["with a keyword as name", { schema_version: "1.1", type_definitions: [{ type: "self" }] }],
    ["with a type twice", { schema_version: "1.1", type_definitions: [{ type: "user" }, { type: "user" }] }],
    [
      "with a rewrite of no kind",
      { schema_version: "1.1", type_definitions: [{ type: "user", relations: { a: { magic: {} } } }] },
    ],
    [
      "with an empty union",
      { schema_version: "1.1", type_definitions: [{ type: "user", relations: { a: { union: { child: [] } } } }] },
    ],
    [
      "with restrictions of a relation that it does not define",
      {
        schema_version: "1.1",
        type_definitions: [
          { type: "user", metadata: { relations: { a: { directly_related_user_types: [{ type: "user" }] } } } },
        ],
      },
    ],
    [
      "with a condition that does not compile",
      {
        schema_version: "1.1",
        type_definitions: [{ type: "user" }],
        conditions: { c: { name: "c", expression: "1 +", parameters: {} } },
      },
    ],
  ])("is refused: a model %s", (_, model) => {
    expect(problemsOf({ model: model as OpenFgaModel }).length).toBeGreaterThan(0);
  });

  test("is refused for a depth that is no limit", () => {
    const dsl = "model\n  schema 1.1\ntype user\n";
    for (const maxDepth of [0, 1.5, 201]) {
      expect(problemsOf({ dsl }, { maxDepth })).toMatchObject([{ code: "limit_exceeded" }]);
    }
  });
});

describe("As large as a model may be:", () => {
  const nested = (depth: number): OpenFgaModel => {
    let rewrite: object = { this: {} };
    for (let level = 0; level < depth; level++) {
      rewrite =
        level % 2 === 0
          ? { difference: { base: rewrite, subtract: { computedUserset: { relation: "blocked" } } } }
          : { intersection: { child: [rewrite, { this: {} }] } };
    }
    const metadata = { directly_related_user_types: [{ type: "user" }] };
    return {
      schema_version: "1.1",
      type_definitions: [
        { type: "user" },
        {
          type: "doc",
          relations: { blocked: { this: {} }, viewer: rewrite },
          metadata: { relations: { blocked: metadata, viewer: metadata } },
        },
      ],
    } as unknown as OpenFgaModel;
  };

  test("rewrites are nested 20 deep, and answer", async () => {
    const program = compileModel({ model: nested(20) });
    await inRollback(db, async (client) => {
      await client.query(program.sql);
      await client.query(
        "insert into authz.tuples (resource_type, resource_id, relation, subject_type, subject_id) values ('doc', '1', 'viewer', 'user', 'ann')",
      );
      const check = (subject: string): Promise<boolean> =>
        value(client, `select ${prefixOf(program)}check('default', 'user', $1, null, 'viewer', 'doc', '1', null)`, [
          subject,
        ]);
      expect([await check("ann"), await check("bob")]).toEqual([true, false]);
    });
    expect(() => compileModel({ model: nested(21) })).toThrow("nested deeper than 20");
  });

  test("200 types with 2,000 relations compile", () => {
    const types = Array.from({ length: 200 }, (_, index) => ({
      type: `t${index}`,
      relations: Object.fromEntries(
        Array.from({ length: 10 }, (_, number) => [
          `r${number}`,
          number === 0 ? { this: {} } : { computedUserset: { relation: `r${number - 1}` } },
        ]),
      ),
      metadata: {
        relations: { r0: { directly_related_user_types: [{ type: index === 0 ? "t0" : `t${index - 1}` }] } },
      },
    }));
    const { ir } = compileModel({ model: { schema_version: "1.1", type_definitions: types } });
    expect(Object.keys(ir.types)).toHaveLength(200);
    const tooMany = { schema_version: "1.1", type_definitions: [...types, { type: "one_more" }] };
    expect(() => compileModel({ model: tooMany })).toThrow("201 types, at most 200 are allowed");
  });

  test("what compiles to more than 32 MB of SQL is refused, with a relation that is much of it", () => {
    const ring = Array.from(
      { length: 100 },
      (_, at) => `
type t${at}
  relations
    define parent: [t${(at + 1) % 100}]
    define viewer: [user] or viewer from parent`,
    );
    const dsl = `model\n  schema 1.1\ntype user${ring.join("")}\n`;
    expect(() => compileModel({ dsl })).toThrow(/t\d+#viewer: the model compiles to more than 32 MB of SQL/);
  });
});

describe("With many tuples", () => {
  // 2,000 users in 200 groups that nest, 2,000 folders that nest, 10,000 documents.
  const tuples = `
    insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, subject_relation)
    select 'many', * from (
      select 'group', 'g' || g, 'member', 'user', 'u' || (g * 10 + n), null from generate_series(0, 199) g, generate_series(0, 9) n
      union all
      select 'group', 'g' || g / 3, 'member', 'group', 'g' || g, 'member' from generate_series(3, 199) g
      union all
      select 'folder', 'f' || f, 'parent', 'folder', 'f' || f / 4, null from generate_series(4, 1999) f
      union all
      select 'folder', 'f' || f, 'viewer', 'group', 'g' || f % 200, 'member' from generate_series(0, 1999, 5) f
      union all
      select 'document', 'd' || d, 'parent', 'folder', 'f' || d % 2000, null from generate_series(0, 9999) d
      union all
      select 'document', 'd' || d, 'viewer', 'user', 'u' || d % 2000, null from generate_series(0, 9999) d
    ) t`;

  test.each([
    ["and statistics of them", tuples, "analyze authz.tuples"],
    ["and plans that were made when there were none", "", tuples],
  ])("%s, no question reads the whole table", async (_, before, after) => {
    const program = compileModel({
      dsl: `model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define parent: [folder]
    define viewer: [user, group#member] or viewer from parent
type document
  relations
    define parent: [folder]
    define viewer: [user, user:*, group#member] or viewer from parent
`,
    });
    const prefix = prefixOf(program);
    const questions = [
      `${prefix}check('many', 'user', 'u7', null, 'viewer', 'document', 'd7', null)`,
      `${prefix}check('many', 'user', 'u7', null, 'viewer', 'document', 'd8', null)`,
      `${prefix}check('many', 'group', 'g7', 'member', 'viewer', 'document', 'd8', null)`,
      `${prefix}check_x('many', 'user', 'u7', null, 'viewer', 'document', 'd8', null, '{}')`,
      `${prefix}filter('many', 'user', 'u7', null, 'viewer', 'document', array(select 'd' || d from generate_series(1, 100) d), null)`,
      `${prefix}objects('many', 'user', 'u7', null, 'viewer', 'document', null)`,
      `${prefix}objects_x('many', 'user', 'u7', null, 'viewer', 'document', null, '{}')`,
      `${prefix}subjects('many', 'document', 'd8', 'viewer', 'user', null, null)`,
    ];
    await inRollback(db, async (client) => {
      await client.query("alter table authz.tuples disable trigger user");
      await client.query("set local plan_cache_mode = force_generic_plan; set local enable_seqscan = on");
      await client.query(program.sql);
      if (before !== "") await client.query(before);
      for (const question of questions) await client.query(`select * from ${question}`);
      await client.query(after);

      const scans = (): Promise<string> =>
        value(
          client,
          "select pg_stat_get_xact_numscans('authz.tuples'::regclass) || ' ' || pg_stat_get_xact_tuples_returned('authz.tuples'::regclass)",
        );
      for (const question of questions) {
        const [scansBefore, readBefore] = (await scans()).split(" ").map(Number) as [number, number];
        await client.query(`select * from ${question}`);
        const [scansAfter, readAfter] = (await scans()).split(" ").map(Number) as [number, number];
        expect([question, scansAfter - scansBefore, readAfter - readBefore]).toEqual([question, 0, 0]);
      }
    });
  });
});

describe("Circles of objects that would take too many visits", () => {
  /** What ann may see in nine folders that are all parents of each other, as she is given one relation after the other. */
  async function answers(name: string, relations: string[]): Promise<(boolean | null)[]> {
    const program = compileModel({ dsl: readFileSync(new URL(`golden/${name}`, import.meta.url), "utf8") });
    const check = `select ${prefixOf(program)}check('default', 'user', 'ann', null, 'viewer', 'folder', 'f1', null)`;
    return inRollback(db, async (client) => {
      await client.query(program.sql);
      await client.query(
        `insert into authz.tuples (resource_type, resource_id, relation, subject_type, subject_id)
         select 'folder', 'f' || a, 'parent', 'folder', 'f' || b from generate_series(1, 9) a, generate_series(1, 9) b where a <> b`,
      );
      const found = [await value<boolean | null>(client, check)];
      for (const relation of relations) {
        await client.query(
          "insert into authz.tuples (resource_type, resource_id, relation, subject_type, subject_id) values ('folder', 'f9', $1, 'user', 'ann')",
          [relation],
        );
        found.push(await value(client, check));
      }
      return found;
    });
  }

  test("are walked once, guards and all", async () => {
    expect(await answers("guarded.fga", ["viewer", "blocked"])).toEqual([false, true, false]);
  });

  test("end as unknown where both parts of an intersection lead back", async () => {
    expect(await answers("recursive.fga", ["viewer"])).toEqual([false, null]);
  });
});
