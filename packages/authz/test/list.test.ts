import { explain, planNodes, type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { activate, useModel } from "./program.ts";
import { refuses, rows, value, wipe } from "./sql.ts";
import { grant, insert } from "./tuples.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

/** All values of the only column of a statement. */
const list = async (sql: string, values: unknown[] = []): Promise<unknown[]> =>
  (await rows<object>(db, sql, values)).map((row) => Object.values(row)[0]);
const resources = (args: string): Promise<unknown[]> => list(`select * from authz.list_resources(${args})`);
const objects = (args: string): Promise<unknown[]> => list(`select * from authz.list_objects(${args}) order by 1`);
const subjects = (args: string): Promise<unknown[]> =>
  list(
    `select subject_type || ':' || subject_id from authz.list_subjects(${args}) with ordinality order by ordinality`,
  );

const inFolders = [
  "doc:a#read@user:ann",
  "doc:b#read@team:eng",
  "doc:c#parent@folder:f",
  "doc:d#parent@folder:g",
  "doc:e#write@user:ann",
  "doc:f#read@user:bob",
  "folder:g#parent@folder:f",
  "folder:f#read@team:all#member",
  "team:all#member@team:eng",
  "team:eng#member@user:ann",
  "sheet:s#read@user:ann",
];

describe("list_resources and list_objects", () => {
  test("name the resources of the type that check() allows, whatever the way to them", async () => {
    await grant(db, ...inFolders);
    await value(db, "select authz.add_hierarchy('doc', 'write', 'read', 'acme')");
    expect(await resources("'user', 'ann', 'doc', 'read', 'acme'")).toEqual(["a", "b", "c", "d", "e"]);
    expect(await objects("'user', 'ann', 'doc', 'read', 'acme'")).toEqual(["a", "b", "c", "d", "e"]);
    expect(await objects("'user', 'ann', 'folder', 'read', 'acme'")).toEqual(["f", "g"]);
    expect(await objects("'user', 'ann', 'doc', 'write', 'acme'")).toEqual(["e"]);
    expect(await objects("'user', 'eve', 'doc', 'read', 'acme'")).toEqual([]);
    expect(await objects("'user', 'ann', 'nothing', 'read', 'acme'")).toEqual([]);
    expect(await objects("'user', 'ann', 'doc', 'read', 'other'")).toEqual([]);
    const allowed =
      "select id from unnest('{a,b,c,d,e,f}'::text[]) id where authz.check('user', 'ann', 'read', 'doc', id, 'acme')";
    expect(await list(allowed)).toEqual(["a", "b", "c", "d", "e"]);
  });

  test("give pages in byte order, each after the last id of the one before", async () => {
    await grant(db, ...["b", "a", "Z", "10", "9", "é"].map((id) => `doc:${id}#read@user:ann`));
    const page = (limit: number, cursor: string | null) =>
      list("select * from authz.list_resources('user', 'ann', 'doc', 'read', 'acme', $1, $2)", [limit, cursor]);
    expect(await page(4, null)).toEqual(["10", "9", "Z", "a"]);
    expect(await page(4, "a")).toEqual(["b", "é"]);
    expect(await page(4, "e\u0301")).toEqual([]);
    expect(await page(4, "aa")).toEqual(["b", "é"]);
    expect(await page(1000, null)).toHaveLength(6);
  });

  test.each([
    ["by the dynamic rule", undefined],
    [
      "by a model",
      "type folder\n  relations\n    define read: [user]\ntype doc\n  relations\n    define parent: [folder]\n    define read: [user, user:*] or read from parent",
    ],
  ])("give the same pages to those who may see nothing, some or all, %s", async (_, types) => {
    if (types !== undefined) await useModel(db, `type user\n${types}`);
    await rows(
      db,
      `select authz.write_tuple('doc', 'd' || i, 'parent', 'folder', 'f' || i % 10, p_namespace => 'acme')
       from generate_series(1, 400) i`,
    );
    await grant(db, ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((i) => `folder:f${i}#read@user:all`));
    await grant(db, "folder:f1#read@user:tenth", "doc:d2#read@user:tenth", "doc:z\u0301#read@user:all");
    await grant(db, "folder:f1#read@user:half", ...[3, 5, 7, 9].map((i) => `folder:f${i}#read@user:half`));
    const page = (who: string, limit: number, cursor: string | null) =>
      list("select * from authz.list_resources('user', $1, 'doc', 'read', 'acme', $2, $3)", [who, limit, cursor]);
    for (const [who, count] of [
      ["all", 401],
      ["half", 200],
      ["tenth", 41],
      ["nobody", 0],
    ] as const) {
      const whole = await list(
        `select resource_id from authz.list_objects('user', $1, 'doc', 'read', 'acme') order by resource_id collate "C"`,
        [who],
      );
      expect(whole).toHaveLength(count);
      for (const limit of [1, 7, 100, 1000]) {
        const paged: unknown[] = [];
        for (
          let next = await page(who, limit, null);
          next.length > 0;
          next = await page(who, limit, String(next.at(-1)))
        ) {
          paged.push(...next);
          if (next.length < limit) break;
        }
        expect(paged, `${who} by ${limit}`).toEqual(whole);
      }
    }
  });

  test("give ids as they were written", async () => {
    await grant(db, "doc:e\u0301#read@user:u\u0308", "doc:\u00f6#read@user:u\u0308");
    expect(await resources("'user', '\u00fc', 'doc', 'read', 'acme'")).toEqual(["e\u0301", "\u00f6"]);
    expect(await objects("'user', '\u00fc', 'doc', 'read', 'acme'")).toEqual(["e\u0301", "\u00f6"]);
    expect(await subjects("'doc', '\u00e9', 'read', 'acme'")).toEqual(["user:u\u0308"]);
  });

  test("take a userset for the subject, and contextual tuples", async () => {
    await grant(db, ...inFolders);
    expect(await objects("'team', 'eng', 'doc', 'read', 'acme', 'member'")).toEqual(["b", "c", "d"]);
    expect(await objects("'team', 'eng', 'doc', 'read', 'acme', 'admin'")).toEqual(["b", "c", "d"]);
    expect(await objects("'team', 'all', 'doc', 'read', 'acme', 'admin'")).toEqual([]);
    expect(await objects("'user', 'eve', 'doc', 'read', 'acme', null, null, '[\"team:all#member@user:eve\"]'")).toEqual(
      ["c", "d"],
    );
    await refuses(
      objects("'user', 'eve', 'doc', 'read', 'acme', null, null, '[\"nonsense\"]'"),
      "contextual_tuple_invalid 22023",
    );
    await refuses(objects("'user', 'eve', 'doc', 'read', 'acme', null, '[]'"), "condition_invalid 22023");
  });

  test("refuse a page without length or of more than 1,000", async () => {
    for (const limit of ["0", "-1", "null"]) {
      await refuses(resources(`'user', 'ann', 'doc', 'read', 'acme', ${limit}`), "not_positive 22023");
      await refuses(subjects(`'doc', '1', 'read', 'acme', ${limit}`), "not_positive 22023");
    }
    await refuses(resources("'user', 'ann', 'doc', 'read', 'acme', 1001"), "limit_too_large 22023");
    await refuses(subjects("'doc', '1', 'read', 'acme', 1001"), "limit_too_large 22023");
    expect(await resources("'user', 'ann', 'doc', 'read', 'acme', 1000")).toEqual([]);
  });

  test("ends on cycles", async () => {
    await insert(
      db,
      "folder:a#parent@folder:b",
      "folder:b#parent@folder:a",
      "team:a#member@team:b",
      "team:b#member@team:a",
      "team:a#member@user:ann",
      "folder:b#read@team:b",
    );
    expect(await objects("'user', 'ann', 'folder', 'read', 'acme'")).toEqual(["a", "b"]);
    expect(await subjects("'folder', 'a', 'read', 'acme'")).toEqual(["user:ann"]);
  });
});

describe("list_objects in a policy", () => {
  test("shows exactly the checked rows, and is asked once for a query", async () => {
    await grant(db, ...inFolders);
    await db.query(
      `create table documents (id text primary key, title text);
       insert into documents select id, 'Title of ' || id from unnest('{a,b,c,d,e,f,g}'::text[]) id;
       insert into documents select 'x' || i, 'x' from generate_series(1, 1000) i;
       alter table documents enable row level security;
       create policy see on documents for select using (id = any (array(
         select resource_id
         from authz.list_objects('user', current_setting('app.user', true), 'doc', 'read', 'acme'))))`,
    );
    const reader = await db.role("reader");
    await reader.grant("authz", "read");
    await db.query(`grant select on documents to ${reader.name}`);
    await reader.transaction(async (tx) => {
      await tx.query("select set_config('app.user', 'ann', true)");
      expect(await rows(tx, "select id from documents order by id")).toEqual(
        ["a", "b", "c", "d"].map((id) => ({ id })),
      );
      expect(
        await rows(
          db,
          "select id from documents where authz.check('user', 'ann', 'read', 'doc', id, 'acme') order by id",
        ),
      ).toEqual(["a", "b", "c", "d"].map((id) => ({ id })));
      const calls = planNodes(await explain(tx, "select * from documents", [], { analyze: true })).filter(
        (node) => node["Function Name"] === "list_objects",
      );
      expect(calls.map((node) => node["Actual Loops"])).toEqual([1]);
      await tx.query("select set_config('app.user', 'bob', true)");
      expect(await rows(tx, "select id from documents")).toEqual([{ id: "f" }]);
    });
    await db.query("drop table documents");
  });

  test("is one semi-join in a query", async () => {
    await grant(db, ...inFolders);
    await db.query("create table documents (id text primary key); insert into documents values ('a'), ('c'), ('f')");
    const sql = `select d.id from documents d
      where d.id in (select o.resource_id from authz.list_objects('user', 'ann', 'doc', 'read', 'acme') o) order by 1`;
    expect(await list(sql)).toEqual(["a", "c"]);
    const calls = planNodes(await explain(db, sql, [], { analyze: true })).filter(
      (node) => node["Function Name"] === "list_objects",
    );
    expect(calls.map((node) => node["Actual Loops"])).toEqual([1]);
    await db.query("drop table documents");
  });
});

describe("list_subjects and count_subjects", () => {
  const count = (args: string): Promise<number> => value(db, `select authz.count_subjects(${args})::int`);

  test("name whoever has the permission and has no members", async () => {
    await grant(db, ...inFolders, "team:all#member@user:zoe", "folder:f#read@bot:crawler", "folder:f#read@team:empty");
    const all = ["bot:crawler", "team:empty", "user:ann", "user:zoe"];
    expect(await subjects("'doc', 'd', 'read', 'acme'")).toEqual(all);
    expect(await count("'doc', 'd', 'read', 'acme'")).toBe(4);
    expect(await subjects("'doc', 'd', 'read', 'acme', p_subject_type => 'user'")).toEqual(["user:ann", "user:zoe"]);
    expect(await count("'doc', 'd', 'read', 'acme', 'user'")).toBe(2);
    expect(await subjects("'doc', 'none', 'read', 'acme'")).toEqual([]);
    expect(await count("'doc', 'none', 'read', 'acme'")).toBe(0);
    for (const subject of all) {
      const [type, id] = subject.split(":");
      expect(await value(db, "select authz.check($1, $2, 'read', 'doc', 'd', 'acme')", [type, id])).toBe(true);
    }
  });

  test("follow a userset by its relation only", async () => {
    await grant(
      db,
      "doc:1#read@team:eng#admin",
      "team:eng#admin@user:ann",
      "team:eng#admin@team:leads",
      "team:leads#member@user:lea",
      "team:eng#member@user:bob",
      "doc:2#read@team:eng",
    );
    expect(await subjects("'doc', '1', 'read', 'acme'")).toEqual(["user:ann"]);
    expect(await subjects("'doc', '2', 'read', 'acme'")).toEqual(["user:ann", "user:bob"]);
  });

  test("give pages by type and id", async () => {
    await grant(db, ...["user:b", "user:a", "bot:z", "team:m"].map((subject) => `doc:1#read@${subject}`));
    const page = (cursor: string) => subjects(`'doc', '1', 'read', 'acme', 2${cursor}`);
    expect(await page("")).toEqual(["bot:z", "team:m"]);
    expect(await page(", null, 'team', 'm'")).toEqual(["user:a", "user:b"]);
    expect(await page(", null, 'user', 'b'")).toEqual([]);
    expect(await page(", 'user', null, 'a'")).toEqual(["user:b"]);
    expect(await page(", null, 'team', null")).toEqual(["team:m", "user:a"]);
  });

  test("with a relation name the usersets that have the permission", async () => {
    await grant(db, ...inFolders, "doc:b#read@team:ops#admin");
    const usersets = (relation: string) =>
      subjects(`'doc', 'b', 'read', 'acme', p_subject_type => 'team', p_subject_relation => '${relation}'`);
    expect(await usersets("member")).toEqual(["team:eng"]);
    expect(await usersets("admin")).toEqual(["team:eng", "team:ops"]);
  });

  test("count contextual tuples for that call", async () => {
    await grant(db, "doc:1#read@team:eng");
    const contextual = `'["team:eng#member@user:ann", "doc:1#parent@folder:f", "folder:f#read@user:bob"]'`;
    expect(await subjects(`'doc', '1', 'read', 'acme', p_contextual_tuples => ${contextual}`)).toEqual([
      "user:ann",
      "user:bob",
    ]);
    expect(await subjects("'doc', '1', 'read', 'acme'")).toEqual(["team:eng"]);
  });

  test("list 25,000 subjects of a nested team in pages", async () => {
    await grant(db, "doc:1#read@team:top", "team:top#member@team:sub#member");
    await db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
       select 'acme', 'team', 'sub', 'member', 'user', 'u' || lpad(i::text, 5, '0') from generate_series(1, 25000) i`,
    );
    expect(await count("'doc', '1', 'read', 'acme'")).toBe(25_000);
    const last = await subjects("'doc', '1', 'read', 'acme', 1000, 'user', 'user', 'u24000'");
    expect([last.length, last[0], last.at(-1)]).toEqual([1000, "user:u24001", "user:u25000"]);
  });
});

test("lists of what a strict model does not define are refused, also where there are no tuples", async () => {
  await useModel(db, "type user\ntype doc\n  relations\n    define read: [user]");
  for (const call of ["list_subjects('doc', '1', 'typo', 'acme')", "count_subjects('doc', '1', 'typo', 'acme')"]) {
    await refuses(rows(db, `select * from authz.${call}`), "relation_unknown 22023");
  }
  await refuses(subjects("'thing', '1', 'read', 'acme'"), "type_unknown 22023");
});

test("list_subjects refuses a cursor without a type, which would begin again", async () => {
  await refuses(subjects("'doc', '1', 'read', 'acme', 10, null, null, 'ann'"), "identifier_null 22004");
  expect(await subjects("'doc', '1', 'read', 'acme', 10, 'user', null, 'ann'")).toEqual([]);
});

test("lists of a model's types come from its program", async () => {
  await activate(db);
  await grant(
    db,
    "document:1#viewer@group:g#member",
    "group:g#member@user:ann",
    "document:2#viewer@user:ann",
    "document:3#viewer@user:*",
    "document:2#viewer@group:h#member",
  );
  expect(await resources("'user', 'ann', 'document', 'viewer', 'acme'")).toEqual(["1", "2", "3"]);
  expect(await resources("'user', 'ann', 'document', 'viewer', 'acme', 1, '1'")).toEqual(["2"]);
  expect(await objects("'user', 'bob', 'document', 'viewer', 'acme'")).toEqual(["3"]);
  expect(
    await objects("'user', 'bob', 'document', 'viewer', 'acme', null, null, '[\"group:g#member@user:bob\"]'"),
  ).toEqual(["1", "3"]);
  expect(await subjects("'document', '2', 'viewer', 'acme'")).toEqual(["user:ann"]);
  expect(await subjects("'document', '3', 'viewer', 'acme'")).toEqual(["user:*"]);
  expect(
    await subjects("'document', '2', 'viewer', 'acme', p_subject_type => 'group', p_subject_relation => 'member'"),
  ).toEqual(["group:h"]);
  expect(
    await subjects("'document', '2', 'viewer', 'acme', p_contextual_tuples => '[\"group:h#member@user:eve\"]'"),
  ).toEqual(["user:ann", "user:eve"]);
  expect(await value(db, "select authz.count_subjects('document', '1', 'viewer', 'acme')::int")).toBe(1);
  await refuses(objects("'user', 'ann', 'folder', 'viewer', 'acme'"), "type_unknown 22023");
  await refuses(subjects("'document', '1', 'owner', 'acme'"), "relation_unknown 22023");
});

test("lists of types that a model leaves to the dynamic rule come from that", async () => {
  await useModel(db, "type user\ntype document\n  relations\n    define viewer: [user]", { strict: false });
  await grant(db, "folder:1#read@team:eng", "team:eng#member@user:ann", "folder:2#parent@folder:1");
  expect(await objects("'user', 'ann', 'folder', 'read', 'acme'")).toEqual(["1", "2"]);
  expect(await objects("'team', 'eng', 'folder', 'read', 'acme', 'member'")).toEqual(["1", "2"]);
  expect(await resources("'user', 'ann', 'folder', 'read', 'acme', 1")).toEqual(["1"]);
  expect(await subjects("'folder', '2', 'read', 'acme'")).toEqual(["user:ann"]);
  expect(await subjects("'folder', '2', 'read', 'acme', p_contextual_tuples => '[\"team:eng#member@bot:b\"]'")).toEqual(
    ["bot:b", "user:ann"],
  );
  expect(
    await value(db, "select authz.filter_authorized('user', 'ann', 'folder', 'read', '{1,2,3,4,5,6,7,8,9}', 'acme')"),
  ).toEqual(["1", "2"]);
});
