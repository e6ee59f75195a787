import { type TestDatabase, testDatabase } from "@howdah/testing";
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

/** Asks whether `user:ann` has `read` on `doc:1`, written as `user:ann read doc:1`. */
const check = (question: string, more: { contextual?: unknown; context?: unknown; namespace?: string } = {}) => {
  const [, subjectType, subjectId, relation, permission, type, id] =
    /^(\w+):([^#\s]+)(?:#(\w+))? (\w+) (\w+):(.+)$/.exec(question) ?? [];
  return value<boolean>(db, "select authz.check($1, $2, $3, $4, $5, $6, $7, $8, $9)", [
    subjectType,
    subjectId,
    permission,
    type,
    id,
    more.namespace ?? "acme",
    relation ?? null,
    more.context === undefined ? null : JSON.stringify(more.context),
    more.contextual === undefined ? null : JSON.stringify(more.contextual),
  ]);
};
const implies = (permission: string, implied: string, namespace = "acme", type = "doc") =>
  value(db, "select authz.add_hierarchy($1, $2, $3, $4)", [type, permission, implied, namespace]);
const chain = (n: number, link: (i: number) => string): string[] => Array.from({ length: n }, (_, i) => link(i));

describe("check", () => {
  test("is true for the subject, relation and resource of a tuple, and for nothing else", async () => {
    await grant(db, "doc:1#read@user:ann");
    expect(await check("user:ann read doc:1")).toBe(true);
    for (const other of ["user:bob read doc:1", "bot:ann read doc:1", "user:ann write doc:1", "user:ann read doc:2"])
      expect(await check(other)).toBe(false);
    expect(await check("user:ann read file:1")).toBe(false);
    expect(await check("user:ann read doc:1", { namespace: "other" })).toBe(false);
  });

  test("is false about types, relations and ids that nobody has heard of", async () => {
    expect(await check("ghost:x haunt house:1")).toBe(false);
  });

  test.each([5, 50, 51, 500])("follows %i teams in teams", async (n) => {
    await insert(
      db,
      ...chain(n, (i) => `team:${i}#member@team:${i + 1}`),
      `team:${n}#member@user:ann`,
      "doc:1#read@team:0",
      "doc:2#read@team:0#member",
      "doc:3#read@team:0#admin",
    );
    expect(await check("user:ann read doc:1")).toBe(true);
    expect(await check("user:ann read doc:2")).toBe(true);
    expect(await check("user:ann read doc:3")).toBe(false);
    expect(await check("user:bob read doc:1")).toBe(false);
  });

  test.each([5, 50, 51, 500])("follows %i containers", async (n) => {
    await insert(
      db,
      "doc:1#parent@folder:0",
      ...chain(n, (i) => `folder:${i}#parent@folder:${i + 1}`),
      `folder:${n}#read@user:ann`,
      `folder:${n}#read@team:eng`,
      "team:eng#member@user:bob",
    );
    expect(await check("user:ann read doc:1")).toBe(true);
    expect(await check("user:bob read doc:1")).toBe(true);
    expect(await check("user:eve read doc:1")).toBe(false);
    expect(await check(`user:ann read folder:${n}`)).toBe(true);
  });

  test("goes on through a group only by the relation that its tuple names", async () => {
    await grant(
      db,
      "team:eng#admin@user:ann",
      "team:eng#member@user:bob",
      "doc:any#read@team:eng",
      "doc:admins#read@team:eng#admin",
      "team:leads#member@team:eng#admin",
      "doc:leads#read@team:leads#member",
    );
    expect(await check("user:ann read doc:any")).toBe(true);
    expect(await check("user:bob read doc:any")).toBe(true);
    expect(await check("user:ann read doc:admins")).toBe(true);
    expect(await check("user:bob read doc:admins")).toBe(false);
    expect(await check("user:ann read doc:leads")).toBe(true);
    expect(await check("user:bob read doc:leads")).toBe(false);
  });

  test("takes resources of any type for groups", async () => {
    await grant(db, "doc:plan#owner@user:ann", "channel:plan#post@doc:plan#owner", "user:bob#deputy@user:ann");
    await grant(db, "doc:2#read@user:bob", "team:x#member@user:bob", "doc:3#read@team:x");
    expect(await check("user:ann post channel:plan")).toBe(true);
    expect(await check("user:ann read doc:2")).toBe(true);
    expect(await check("user:ann read doc:3")).toBe(true);
  });

  test("finds its way through groups, containers and rules that meet again", async () => {
    await grant(
      db,
      "team:a#member@user:ann",
      "team:b#member@team:a",
      "team:c#member@team:a",
      "team:d#member@team:b",
      "team:d#member@team:c#member",
      "doc:1#parent@folder:l",
      "doc:1#parent@folder:r",
      "folder:l#parent@folder:top",
      "folder:r#parent@folder:top",
      "folder:top#owner@team:d",
    );
    for (const [over, under] of [
      ["owner", "editor"],
      ["owner", "commenter"],
      ["editor", "viewer"],
      ["commenter", "viewer"],
    ])
      await implies(over as string, under as string);
    expect(await check("user:ann viewer doc:1")).toBe(true);
    expect(await check("user:ann owner doc:1")).toBe(true);
    expect(await check("user:ann other doc:1")).toBe(false);
  });

  test("goes by the rules of the resource's type, of the tenant and of global", async () => {
    await grant(
      db,
      "doc:1#admin@user:ann",
      "doc:1#parent@folder:f",
      "folder:f#boss@user:bob",
      "folder:g#admin@user:ann",
    );
    await implies("admin", "write", "global");
    await implies("write", "read");
    await implies("boss", "admin");
    expect(await check("user:ann read doc:1")).toBe(true);
    expect(await check("user:bob read doc:1")).toBe(true);
    expect(await check("user:ann write folder:g")).toBe(false);
    await grant(db, { namespace: "other" }, "doc:1#admin@user:ann");
    expect(await check("user:ann write doc:1", { namespace: "other" })).toBe(true);
    expect(await check("user:ann read doc:1", { namespace: "other" })).toBe(false);
    await value(db, "select authz.remove_hierarchy('doc', 'write', 'read', 'acme')");
    expect(await check("user:ann read doc:1")).toBe(false);
    expect(await check("user:ann write doc:1")).toBe(true);
  });

  test.each([
    "doc:1#parent@folder:a",
    "folder:a#parent@folder:b",
    "folder:b#read@team:a",
    "team:a#member@team:b",
    "team:b#member@user:ann",
  ])("does not follow %s once it has expired", async (link) => {
    const links = [
      "doc:1#parent@folder:a",
      "folder:a#parent@folder:b",
      "folder:b#read@team:a",
      "team:a#member@team:b",
      "team:b#member@user:ann",
    ];
    await grant(db, ...links.filter((other) => other !== link));
    await grant(db, { expiresAt: new Date(Date.now() + 3_600_000) }, link);
    expect(await check("user:ann read doc:1")).toBe(true);
    await db.travel("2 hours");
    expect(await check("user:ann read doc:1")).toBe(false);
    await db.realTime();
  });

  test("ends on cycles, however they came about", async () => {
    await insert(
      db,
      "team:a#member@team:b",
      "team:b#member@team:a",
      "team:a#member@team:a",
      "team:b#member@user:ann",
      "folder:a#parent@folder:b",
      "folder:b#parent@folder:a",
      "folder:a#parent@folder:a",
      "folder:b#read@team:a",
    );
    expect(await check("user:ann read folder:a")).toBe(true);
    expect(await check("user:eve read folder:a")).toBe(false);
  });

  test("knows no wildcard: * is an id like any other", async () => {
    await grant(db, "doc:1#read@user:*");
    expect(await check("user:ann read doc:1")).toBe(false);
    expect(await check("user:* read doc:1")).toBe(true);
  });

  test("is not moved by tuples with a condition, which only models understand", async () => {
    await insert(db, "doc:1#read@user:ann");
    await db.query("update authz.tuples set condition_name = 'office_hours'");
    expect(await check("user:ann read doc:1")).toBe(false);
  });

  test("asks about a userset as about somebody of whom only that is known", async () => {
    await grant(
      db,
      "team:all#member@team:eng#member",
      "doc:1#read@team:all",
      "doc:2#read@team:eng#admin",
      "doc:3#read@user:ann",
      "team:eng#member@user:ann",
    );
    expect(await check("team:eng#member read doc:1")).toBe(true);
    expect(await check("team:eng#member read doc:2")).toBe(false);
    expect(await check("team:eng#admin read doc:2")).toBe(true);
    expect(await check("team:eng#member read doc:3")).toBe(false);
    expect(await check("team:eng#member member team:all")).toBe(true);
    expect(await check("team:eng#member member team:eng")).toBe(true);
    expect(await check("team:eng#member admin team:eng")).toBe(false);
  });

  test("counts contextual tuples at every link, and only for that call", async () => {
    await grant(db, "doc:1#parent@folder:f", "team:eng#member@user:bob");
    await implies("write", "read");
    const contextual = ["folder:f#write@team:all", "team:all#member@team:eng", "team:eng#member@user:ann"];
    expect(await check("user:ann read doc:1", { contextual })).toBe(true);
    expect(await check("user:bob read doc:1", { contextual })).toBe(true);
    expect(await check("user:eve read doc:1", { contextual })).toBe(false);
    expect(await check("user:ann read doc:1", { contextual: [...contextual, ...contextual] })).toBe(true);
    expect(await check("user:ann read doc:1", { contextual: contextual.slice(1) })).toBe(false);
    expect(await check("user:ann read doc:1", { contextual: [] })).toBe(false);
    expect(await check("team:eng#member read doc:1", { contextual })).toBe(true);
    expect(await check("user:ann read doc:1")).toBe(false);
    const stored = [{ object: "doc:1", relation: "read", user: "user:eve", expires_at: "2000-01-01T00:00:00Z" }];
    expect(await check("user:eve read doc:1", { contextual: stored })).toBe(false);
    await refuses(check("user:ann read doc:1", { contextual: ["nonsense"] }), "contextual_tuple_invalid 22023");
    await refuses(
      check("user:ann read doc:1", { contextual: chain(101, (i) => `doc:${i}#read@user:ann`) }),
      "batch_too_large 22023",
    );
  });

  test("sees the writes of its own transaction, and not those of others before they commit", async () => {
    const [writer, reader] = await db.clients(2);
    await writer?.query("begin");
    await writer?.query("select authz.write('doc', '1', 'read', 'user', 'ann', 'acme')");
    const asked = "select authz.check('user', 'ann', 'read', 'doc', '1', 'acme') as allowed";
    expect((await writer?.query(asked))?.rows).toEqual([{ allowed: true }]);
    expect((await reader?.query(asked))?.rows).toEqual([{ allowed: false }]);
    await writer?.query("commit");
    expect((await reader?.query(asked))?.rows).toEqual([{ allowed: true }]);
  });

  test("has one snapshot for all its statements", async () => {
    const functions = ["check", "check_any", "check_all", "filter_authorized", "list_objects", "list_subjects"];
    expect(
      await rows(
        db,
        `select distinct p.provolatile::text as volatility from pg_proc p
         where p.pronamespace = 'authz'::regnamespace and (p.proname = any ($1) or p.proname like '\\_dynamic%')`,
        [functions],
      ),
    ).toEqual([{ volatility: "s" }]);
  });

  test("stops within a walk at a statement timeout, and leaves the connection as it was", async () => {
    await db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
       select 'acme', 'folder', i, 'parent', 'folder', i + 1 from generate_series(1, 100000) i`,
    );
    const client = await db.client();
    await client.query("set statement_timeout = 20");
    const walk = client.query("select authz.check('user', 'ann', 'read', 'folder', '1', 'acme')");
    await expect(walk).rejects.toMatchObject({ code: "57014" });
    await client.query("set statement_timeout = 0");
    const near = await client.query("select authz.check('user', 'ann', 'read', 'folder', '99999', 'acme') as allowed");
    expect(near.rows).toEqual([{ allowed: false }]);
  });

  test("is the same for both spellings of an id", async () => {
    await grant(db, "doc:re\u0301sume\u0301#read@user:zoe\u0308");
    expect(await check("user:zo\u00eb read doc:r\u00e9sum\u00e9")).toBe(true);
    expect(await check("user:zoe\u0308 read doc:re\u0301sume\u0301")).toBe(true);
  });

  test("takes columns of any collation", async () => {
    await grant(db, "doc:1#read@user:ann", "doc:2#read@team:eng", "team:eng#member@user:ann", "doc:3#parent@doc:2");
    await db.query(
      `create table documents (id text collate "POSIX", kind text collate "ucs_basic"); insert into documents
       values ('1', 'doc'), ('2', 'doc'), ('3', 'doc'), ('4', 'doc')`,
    );
    expect(
      await rows(
        db,
        `select id, authz.check('user', 'ann', 'read', kind, id, 'acme') as allowed,
           authz.check_any('user', 'ann', array['read'], kind, id, 'acme') as any,
           authz.check_all('user', 'ann', array['read'], kind, id, 'acme') as all,
           authz.filter_authorized('user', 'ann', kind, 'read', array[id], 'acme') as filtered,
           (select count(*)::int from authz.list_subjects(kind, id, 'read', 'acme')) as subjects,
           (select count(*)::int from authz.explain('user', 'ann', 'read', kind, id, 'acme')) as paths,
           id in (select o.resource_id from authz.list_objects('user', 'ann', 'doc', 'read', 'acme') o) as listed
         from documents order by id`,
      ),
    ).toEqual([
      { id: "1", allowed: true, any: true, all: true, filtered: ["1"], subjects: 1, paths: 1, listed: true },
      { id: "2", allowed: true, any: true, all: true, filtered: ["2"], subjects: 1, paths: 1, listed: true },
      { id: "3", allowed: true, any: true, all: true, filtered: ["3"], subjects: 1, paths: 1, listed: true },
      { id: "4", allowed: false, any: false, all: false, filtered: [], subjects: 0, paths: 0, listed: false },
    ]);
    await db.query("drop table documents");
  });
});

describe("check_any and check_all", () => {
  const any = (permissions: unknown) =>
    value<boolean>(db, "select authz.check_any('user', 'ann', $1, 'doc', '1', 'acme')", [permissions]);
  const all = (permissions: unknown) =>
    value<boolean>(db, "select authz.check_all('user', 'ann', $1, 'doc', '1', 'acme')", [permissions]);

  test("want one, and every one, of the permissions, directly, by rules, groups and containers", async () => {
    await grant(
      db,
      "doc:1#write@user:ann",
      "doc:1#share@team:eng",
      "team:eng#member@user:ann",
      "doc:1#parent@folder:f",
    );
    await grant(db, "folder:f#print@user:ann");
    await implies("write", "read");
    expect(await any(["own", "read"])).toBe(true);
    expect(await any(["own", "share"])).toBe(true);
    expect(await any(["own", "print"])).toBe(true);
    expect(await any(["own", "admin"])).toBe(false);
    expect(await all(["read", "write", "share", "print", "read"])).toBe(true);
    expect(await all(["read", "own"])).toBe(false);
  });

  test("are false, and true, of no permission at all", async () => {
    expect(await any([])).toBe(false);
    expect(await all([])).toBe(true);
  });

  test("take 1,000 permissions and refuse 1,001, null, and what is no name", async () => {
    await grant(db, "doc:1#p1000@user:ann");
    const names = chain(1000, (i) => `p${i + 1}`);
    expect(await any(names)).toBe(true);
    expect(await all(names)).toBe(false);
    for (const of of [any, all]) {
      await refuses(of([...names, "p0"]), "batch_too_large 22023");
      await refuses(of(null), "identifier_null 22004");
      await refuses(of(["read", "No"]), "array_element_invalid 22023");
      await refuses(of(["read", null]), "array_element_invalid 22023");
    }
  });
});

describe("filter_authorized", () => {
  const filter = (ids: unknown, type = "doc", permission = "read") =>
    value<string[]>(db, "select authz.filter_authorized('user', 'ann', $1, $2, $3, 'acme')", [type, permission, ids]);

  test("gives the allowed ids once, sorted, and as they were given", async () => {
    await grant(db, "doc:b#read@user:ann", "doc:Z#read@user:ann", "doc:e\u0301#read@user:ann", "doc:a#read@user:bob");
    expect(await filter(["b", "a", "Z", "b", "e\u0301", "none"])).toEqual(["Z", "b", "e\u0301"]);
    expect(await filter(["\u00e9"])).toEqual(["\u00e9"]);
    expect(await filter([])).toEqual([]);
  });

  test("answers alike for a few ids and for a thousand, whatever the subject reaches", async () => {
    await grant(
      db,
      "folder:0#read@team:eng",
      "team:eng#member@team:a",
      "team:a#member@user:ann",
      "doc:7#read@user:ann",
    );
    await db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
       select 'acme', 'doc', i, 'parent', 'folder', i % 10 from generate_series(1, 30000) i`,
    );
    const few = chain(50, (i) => `${i + 1}`);
    const many = chain(1000, (i) => `${i + 1}`);
    const isMine = (id: string): boolean => id === "7" || id.endsWith("0");
    expect(await filter(few)).toEqual(few.filter(isMine).sort());
    expect(await filter(many)).toEqual(many.filter(isMine).sort());
    await grant(db, ...chain(9, (i) => `folder:${i + 1}#read@user:ann`));
    expect(await filter(many)).toEqual([...many].sort());
  });

  test("takes 1,000 ids and refuses 1,001, null, and what is no id", async () => {
    expect(await filter(chain(1000, (i) => `${i}`))).toEqual([]);
    await refuses(filter(chain(1001, (i) => `${i}`)), "batch_too_large 22023");
    await refuses(filter(null), "id_null 22004");
    await refuses(filter(["a", " b"]), "array_element_invalid 22023");
    await refuses(filter(["a", null]), "array_element_invalid 22023");
  });
});

describe("with a model", () => {
  test("its program decides about its types, and refuses those that it does not know", async () => {
    await activate(db);
    await grant(db, "document:1#viewer@group:g#member", "group:g#member@user:ann", "document:2#viewer@user:*");
    expect(await check("user:ann viewer document:1")).toBe(true);
    expect(await check("user:bob viewer document:1")).toBe(false);
    expect(await check("user:bob viewer document:2")).toBe(true);
    expect(await check("group:g#member viewer document:1")).toBe(true);
    expect(await check("user:bob viewer document:1", { contextual: ["group:g#member@user:bob"] })).toBe(true);
    await refuses(check("user:ann viewer folder:1"), "type_unknown 22023");
    await refuses(check("user:ann owner document:1"), "relation_unknown 22023");
    expect(await check("user:ann viewer folder:1", { namespace: "other" })).toBe(false);
    const ask = (name: string, permissions: string[]) =>
      value(db, `select authz.${name}('user', 'ann', $1, 'document', '1', 'acme')`, [permissions]);
    expect(await ask("check_any", ["viewer"])).toBe(true);
    expect(await ask("check_all", ["viewer"])).toBe(true);
    expect(await ask("check_any", [])).toBe(false);
    await refuses(ask("check_all", ["owner"]), "relation_unknown 22023");
    const filter = (ids: string[]) =>
      value(db, "select authz.filter_authorized('user', 'ann', 'document', 'viewer', $1, 'acme')", [ids]);
    expect(await filter(["3", "2", "1"])).toEqual(["1", "2"]);
    expect(await filter(chain(20, (i) => `${i}`))).toEqual(["1", "2"]);
  });

  test("a condition without its parameter is an error where it decides", async () => {
    await activate(db);
    await value(
      db,
      "select authz.write_tuple('document', '1', 'viewer', 'user', 'ann', null, 'acme', null, 'recent', null)",
    );
    await refuses(check("user:ann viewer document:1"), "condition_context_missing 22023");
    await refuses(check("user:ann viewer document:1", { context: { age: "x" } }), "condition_invalid 22023");
    expect(await check("user:ann viewer document:1", { context: { age: 9 } })).toBe(true);
    expect(await check("user:ann viewer document:1", { context: { age: 10 } })).toBe(false);
    await refuses(check("user:ann viewer document:1", { context: [1] }), "condition_invalid 22023");
    const missing = "condition_context_missing 22023";
    const arg = "'user', 'ann'";
    await refuses(value(db, `select authz.check_any(${arg}, '{viewer}', 'document', '1', 'acme')`), missing);
    await refuses(value(db, `select authz.check_all(${arg}, '{viewer}', 'document', '1', 'acme')`), missing);
    await refuses(value(db, `select authz.filter_authorized(${arg}, 'document', 'viewer', '{1}', 'acme')`), missing);
    const many = "(select array_agg(i::text) from generate_series(1, 20) i)";
    await refuses(value(db, `select authz.filter_authorized(${arg}, 'document', 'viewer', ${many}, 'acme')`), missing);
    await refuses(rows(db, `select * from authz.list_resources(${arg}, 'document', 'viewer', 'acme')`), missing);
    await refuses(rows(db, `select * from authz.list_objects(${arg}, 'document', 'viewer', 'acme')`), missing);
    await refuses(rows(db, "select * from authz.list_subjects('document', '1', 'viewer', 'acme')"), missing);
    await refuses(value(db, "select authz.count_subjects('document', '1', 'viewer', 'acme')"), missing);
  });

  test("that is not strict leaves other types to the dynamic rule", async () => {
    await useModel(db, "type user\ntype document\n  relations\n    define viewer: [user]", { strict: false });
    await grant(db, "folder:1#read@team:eng", "team:eng#member@user:ann", "document:1#viewer@user:ann");
    expect(await check("user:ann read folder:1")).toBe(true);
    expect(await check("user:ann read folder:1", { contextual: ["team:x#member@user:y"] })).toBe(true);
    expect(await check("user:ann viewer document:1")).toBe(true);
    await refuses(check("user:ann editor document:1"), "relation_unknown 22023");
  });

  test("a tenant goes by its own model, else by that of global, and roles always by the dynamic rule", async () => {
    await activate(db, { namespace: "global", relation: "reader" });
    await activate(db, { namespace: "acme", relation: "viewer" });
    await grant(db, "document:1#viewer@user:ann", "rbac_role:editor#member@user:ann");
    await grant(db, { namespace: "other" }, "document:1#reader@user:ann");
    expect(await check("user:ann viewer document:1")).toBe(true);
    await refuses(check("user:ann reader document:1"), "relation_unknown 22023");
    expect(await check("user:ann reader document:1", { namespace: "other" })).toBe(true);
    expect(await check("user:ann member rbac_role:editor")).toBe(true);
  });
});
