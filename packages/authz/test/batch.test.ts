import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { useModel } from "./program.ts";
import { refuses, rows, value, wipe } from "./sql.ts";
import { tuple } from "./store.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

const grant = (...tuples: unknown[]): Promise<unknown> =>
  db.query("select authz.write_tuples($1, '[]', 'acme')", [JSON.stringify(tuples)]);

const documents = `
type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define viewer: [user]
type document
  relations
    define parent: [folder]
    define owner: [user]
    define banned: [user]
    define editor: [user, group#member] or owner
    define viewer: ([user, user:*, user with recent] or editor or viewer from parent) but not banned
condition recent(age: int, limit: int) {
  age < limit
}`;

describe("check_batch", () => {
  const ask = (checks: unknown, context?: object): Promise<[boolean | null, string | null][]> =>
    rows<{ ord: number; allowed: boolean | null; error_code: string | null }>(
      db,
      "select * from authz.check_batch($1, 'acme', $2) order by ord",
      [JSON.stringify(checks), context ? JSON.stringify(context) : null],
    ).then((answers) => {
      expect(answers.map(({ ord }) => ord)).toEqual(answers.map((_, i) => i + 1));
      return answers.map(({ allowed, error_code }) => [allowed, error_code]);
    });

  test("answers each question in its place, however it is written and however often", async () => {
    await grant("doc:1#read@user:ann", "doc:3#read@team:t#member", "team:t#member@user:ann");
    const form = { subject_type: "user", subject_id: "ann", resource_type: "doc" };
    expect(
      await ask([
        "doc:1#read@user:ann",
        "doc:2#read@user:ann",
        "doc:1#read@user:bob",
        { ...form, permission: "read", resource_id: "3" },
        { ...form, relation: "read", resource_id: "1" },
        { user: "team:t#member", relation: "read", object: "doc:3" },
        "doc:1#read@user:ann",
      ]),
    ).toEqual([true, false, false, true, true, true, true].map((allowed) => [allowed, null]));
  });

  test("says of a question without an answer why, and answers the others", async () => {
    await useModel(db, documents);
    const recent = { user: "user:ann", relation: "viewer", object: "document:1", condition: { name: "recent" } };
    await grant(recent, "document:2#viewer@user:ann");
    const checks = [
      "document:1#viewer@user:ann",
      "document:2#viewer@user:ann",
      "document:3#viewer@user:ann",
      "document:1#reader@user:ann",
      "page:1#viewer@user:ann",
      "rbac_role:editor#member@user:ann",
    ];
    const rest = [
      [true, null],
      [false, null],
      [null, "relation_unknown"],
      [null, "type_unknown"],
      [false, null],
    ];
    expect(await ask(checks)).toEqual([[null, "condition_context_missing"], ...rest]);
    expect(await ask(checks, { age: "x", limit: 1 })).toEqual([[null, "condition_invalid"], ...rest]);
    expect(await ask(checks, { age: 1, limit: 2 })).toEqual([[true, null], ...rest]);
    expect(await ask(checks, { age: 2, limit: 2 })).toEqual([[false, null], ...rest]);
  });

  test("says for each question whether the model knows its subject, and answers the others", async () => {
    await useModel(db, documents);
    await grant("document:1#owner@user:ann", "document:1#editor@group:g#member", "rbac_role:a#member@user:ann");
    const checks = [
      "document:1#viewer@user:ann",
      "document:1#viewer@robot:r",
      "document:1#viewer@robot:r#member",
      "document:1#viewer@group:g#member",
      "document:1#viewer@group:g#owner",
      "document:1#reader@robot:r",
      "rbac_role:a#member@robot:r",
      "document:2#viewer@rbac_role:a#member",
      ...Array.from({ length: 9 }, (_, i) => `document:${i}#editor@robot:r`),
    ];
    const codes: unknown[] = [];
    for (const { subject, relation, resource } of checks.map((text) => tuple(text))) {
      const one = value<boolean>(db, "select authz.check($1, $2, $3, $4, $5, 'acme', $6)", [
        subject.type,
        subject.id,
        relation,
        resource.type,
        resource.id,
        subject.relation ?? null,
      ]);
      codes.push(
        await one.then(
          (allowed) => [allowed, null],
          ({ constraint }) => [null, constraint],
        ),
      );
    }
    expect(await ask(checks)).toEqual(codes);
    expect(codes.slice(0, 9)).toEqual([
      [true, null],
      [null, "type_unknown"],
      [null, "type_unknown"],
      [true, null],
      [null, "relation_unknown"],
      [null, "type_unknown"],
      [false, null],
      [false, null],
      [null, "type_unknown"],
    ]);
    await useModel(db, documents, { strict: false });
    expect(await ask(["document:1#viewer@robot:r", "document:1#viewer@group:g#owner", "page:1#x@robot:r"])).toEqual(
      [false, false, false].map((allowed) => [allowed, null]),
    );
  });

  test("finds out why for twenty questions about a permission, and takes the others to be like the first", async () => {
    await useModel(db, documents);
    const ids = Array.from({ length: 500 }, (_, i) => `${1000 + i}`);
    const recent = (id: string, context = {}) => ({
      user: "user:ann",
      relation: "viewer",
      object: `document:${id}`,
      condition: { name: "recent", context },
    });
    await grant(...ids.map((id) => recent(id)), recent("0", { age: "x" }), recent("9", { age: "x", limit: 1 }));
    const client = await db.client();
    await client.query("set track_functions = 'all'; begin");
    const checks = ["9", ...ids, "0", "0"].map((id) => `document:${id}#viewer@user:ann`);
    const answers = await rows<{ error_code: string; asked: number }>(
      client,
      "select error_code, count(*)::int as asked from authz.check_batch($1, 'acme') group by 1 order by 1",
      [JSON.stringify(checks)],
    );
    const explained = await value<number>(
      client,
      "select calls::int from pg_stat_xact_user_functions where schemaname = 'authz' and funcname = '_unknown_reason'",
    );
    await client.query("commit");
    expect(explained).toBe(20);
    expect(answers).toEqual([{ error_code: "condition_context_missing", asked: 503 }]);
    expect(await ask(["document:9#viewer@user:ann", ...checks.slice(1, 20)])).toEqual([
      [null, "condition_invalid"],
      ...Array(19).fill([null, "condition_context_missing"]),
    ]);
  });

  test("says that a question goes too deep", async () => {
    await useModel(db, documents, { maxDepth: 1 });
    await grant("document:1#editor@group:g#member", "group:g#member@group:h#member", "group:h#member@user:ann");
    expect(await ask(["document:1#editor@user:ann"])).toEqual([[null, "resolution_too_complex"]]);
  });

  test("takes a thousand questions and no more", async () => {
    const many = (n: number) => Array.from({ length: n }, (_, i) => `doc:${i}#read@user:ann`);
    await grant("doc:999#read@user:ann");
    const answers = await ask(many(1000));
    expect(answers.filter(([allowed]) => allowed)).toHaveLength(1);
    expect(answers[999]).toEqual([true, null]);
    await refuses(ask(many(1001)), "batch_too_large 22023");
    expect(await ask([])).toEqual([]);
  });

  test("refuses what is no question, and names the first", async () => {
    await refuses(ask({}), "array_element_invalid 22023");
    await refuses(ask(null), "array_element_invalid 22023");
    const call = ask(["doc:1#read@user:ann", "doc:1@user:ann", "x"]);
    await refuses(call, "array_element_invalid 22023");
    await expect(call).rejects.toThrow("checks[2]");
    await refuses(db.query("select * from authz.check_batch('[]', 'acme', '[]')"), "condition_invalid 22023");
    await refuses(db.query("select * from authz.check_batch('[]', null)"), "namespace_null 22004");
  });
});

describe("permissions_on", () => {
  const on = (type: string, id: string, who = "ann", context: object | null = null): Promise<string[]> =>
    value(db, "select array(select authz.permissions_on('user', $1, $2, $3, 'acme', $4))", [
      who,
      type,
      id,
      context ? JSON.stringify(context) : null,
    ]);

  test("lists what is granted, through groups and parents too, and what that implies", async () => {
    await db.query(`insert into authz.permission_hierarchy (namespace, resource_type, permission, implies)
      values ('acme', 'repo', 'admin', 'write'), ('global', 'repo', 'write', 'read'), ('acme', 'doc', 'admin', 'no')`);
    await grant("repo:1#parent@org:1", "org:1#admin@team:t", "team:t#member@user:ann", "repo:1#star@user:ann");
    expect(await on("repo", "1")).toEqual(["admin", "read", "star", "write"]);
    expect(await on("repo", "1", "bob")).toEqual([]);
  });

  test("lists the relations of the model that hold, and none that is undecided", async () => {
    await useModel(db, documents);
    await grant("document:1#owner@user:ann", "document:2#banned@user:ann", "document:2#owner@user:ann", {
      user: "user:ann",
      relation: "viewer",
      object: "document:3",
      condition: { name: "recent", context: { limit: 5 } },
    });
    expect(await on("document", "1")).toEqual(["editor", "owner", "viewer"]);
    expect(await on("document", "2")).toEqual(["banned", "editor", "owner"]);
    expect(await on("document", "3")).toEqual([]);
    expect(await on("document", "3", "ann", { age: 4 })).toEqual(["viewer"]);
  });

  test("agrees with check on every relation", async () => {
    await useModel(db, documents);
    await grant("document:1#parent@folder:a", "folder:a#viewer@user:ann", "document:1#editor@group:g#member");
    const relations = ["parent", "owner", "banned", "editor", "viewer"];
    const answers = await rows<{ allowed: boolean }>(
      db,
      "select allowed from authz.check_batch($1, 'acme') order by ord",
      [JSON.stringify(relations.map((relation) => `document:1#${relation}@user:ann`))],
    );
    expect(await on("document", "1")).toEqual(relations.filter((_, i) => answers[i]?.allowed).sort());
  });

  test("refuses types that a strict model does not define, and malformed names", async () => {
    await useModel(db, documents);
    await refuses(on("page", "1"), "type_unknown 22023");
    expect(await on("rbac_role", "1")).toEqual([]);
    await refuses(on("Page", "1"), "identifier_format 22023");
    await refuses(on("document", " 1"), "id_whitespace 22023");
    await refuses(
      db.query("select authz.permissions_on('user', 'a', 'document', '1', 'acme', '1')"),
      "condition_invalid 22023",
    );
    await useModel(db, documents, { strict: false });
    expect(await on("page", "1")).toEqual([]);
  });
});

describe("expand", () => {
  const expanded = (
    what: string,
    relation: string,
    depth = 1,
  ): Promise<{ tree: { root: unknown }; usersets?: object }> => {
    const [type, id] = what.split(":");
    return value(db, "select authz.expand($1, $2, $3, 'acme', $4)", [type, id, relation, depth]);
  };
  const users = (name: string, ...names: string[]) => ({ name, leaf: { users: { users: names } } });

  test("is the tree of the model's rules, with usersets by name", async () => {
    await useModel(db, documents);
    await grant("document:1#viewer@user:*", "document:1#owner@user:ann", "document:1#parent@folder:a");
    const name = "document:1#viewer";
    expect(await expanded("document:1", "viewer")).toEqual({
      tree: {
        root: {
          name,
          difference: {
            base: {
              name,
              union: {
                nodes: [
                  users(name, "user:*"),
                  { name, leaf: { computed: { userset: "document:1#editor" } } },
                  {
                    name,
                    leaf: {
                      tupleToUserset: { tupleset: "document:1#parent", computed: [{ userset: "folder:a#viewer" }] },
                    },
                  },
                ],
              },
            },
            subtract: { name, leaf: { computed: { userset: "document:1#banned" } } },
          },
        },
      },
    });
  });

  test("follows usersets as deep as asked, each once, through circles", async () => {
    await useModel(db, documents);
    await grant("group:a#member@group:b#member", "group:b#member@group:c#member", "group:c#member@group:b#member");
    await grant("group:c#member@user:ann");
    const root = users("group:a#member", "group:b#member");
    const b = { "group:b#member": users("group:b#member", "group:c#member") };
    const c = { "group:c#member": users("group:c#member", "group:b#member", "user:ann") };
    expect(await expanded("group:a", "member")).toEqual({ tree: { root } });
    expect(await expanded("group:a", "member", 2)).toEqual({ tree: { root }, usersets: b });
    expect(await expanded("group:a", "member", 0)).toEqual({ tree: { root }, usersets: { ...b, ...c } });
  });

  test("finds what lies behind an id in whatever spelling it was written", async () => {
    const [nfd, nfc] = ["cafe\u0301", "caf\u00e9"];
    await grant(`doc:1#read@group:${nfd}#member`, `group:${nfc}#member@user:ann`, `doc:1#parent@folder:${nfd}`);
    await grant(`folder:${nfc}#read@user:bob`);
    const members = { name: `group:${nfd}#member`, union: { nodes: [users(`group:${nfd}#member`, "user:ann")] } };
    expect(await expanded("doc:1", "read", 0)).toEqual({
      tree: {
        root: {
          name: "doc:1#read",
          union: { nodes: [users("doc:1#read", `group:${nfd}#member`), users(`folder:${nfd}#read`, "user:bob")] },
        },
      },
      usersets: { [`group:${nfd}#member`]: members },
    });

    await useModel(db, documents);
    await grant(`document:1#parent@folder:${nfd}`, `document:1#editor@group:${nfd}#member`);
    await grant(`folder:${nfc}#viewer@user:bob`);
    expect((await expanded("document:1", "viewer", 0)).usersets).toMatchObject({
      [`folder:${nfd}#viewer`]: users(`folder:${nfd}#viewer`, "user:bob"),
      [`group:${nfd}#member`]: users(`group:${nfd}#member`, "user:ann"),
    });
  });

  test("takes no user for a userset, whatever characters ids have", async () => {
    await grant({ user: "team:t#x:1#member", relation: "read", object: "doc:1" }, "team:t#x:1#member@user:ann");
    for (const id of ["x#member", "x"]) {
      const subject = { subject_type: "user", subject_id: id };
      await grant({ resource_type: "doc", resource_id: "1#b", relation: "read", ...subject });
    }
    const name = "team:t#x:1#member";
    expect(await expanded("doc:1", "read", 0)).toEqual({
      tree: { root: { name: "doc:1#read", union: { nodes: [users("doc:1#read", name)] } } },
      usersets: { [name]: { name, union: { nodes: [users(name, "user:ann")] } } },
    });
    const root = { name: "doc:1#b#read", union: { nodes: [users("doc:1#b#read", "user:x", "user:x#member")] } };
    expect(await expanded("doc:1#b", "read", 0)).toEqual({ tree: { root } });
  });

  test("grows no faster than what it shows", async () => {
    await db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, subject_relation)
       select 'acme', r.type, '1', r.relation, 'user', 'u' || i, null
       from generate_series(1, 40000) i, (values ('doc', 'read'), ('group', 'member')) r (type, relation)
       union all values ('acme', 'doc', '1', 'read', 'group', '1', 'member')`,
    );
    const client = await db.client();
    await client.query("set statement_timeout = '20s'");
    const found = await value<{ usersets: object }>(client, "select authz.expand('doc', '1', 'read', 'acme', 0)");
    expect(Object.keys(found.usersets)).toEqual(["group:1#member"]);
    expect(JSON.stringify(found).length).toBeGreaterThan(80_000 * 8);
  });

  test("leaves out what the model ignores, and what has expired", async () => {
    await db.query(`insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id,
        expires_at)
      values ('acme', 'folder', 'a', 'viewer', 'group', 'g', null),
        ('acme', 'folder', 'a', 'viewer', 'user', 'ann', now() - interval '1 day'),
        ('acme', 'folder', 'a', 'viewer', 'user', 'bob', null)`);
    await useModel(db, documents);
    expect(await expanded("folder:a", "viewer")).toEqual({ tree: { root: users("folder:a#viewer", "user:bob") } });
  });

  test("shows the dynamic rule as a union", async () => {
    await db.query(`insert into authz.permission_hierarchy (namespace, resource_type, permission, implies)
      values ('acme', 'repo', 'admin', 'read')`);
    await grant("repo:1#read@user:ann", "repo:1#parent@org:1");
    const name = "repo:1#read";
    const root = {
      name,
      union: {
        nodes: [
          users(name, "user:ann"),
          users("org:1#read"),
          { name, leaf: { computed: { userset: "repo:1#admin" } } },
        ],
      },
    };
    expect(await expanded("repo:1", "read")).toEqual({ tree: { root } });
    expect(await expanded("repo:1", "read", 0)).toEqual({
      tree: { root },
      usersets: {
        "repo:1#admin": { name: "repo:1#admin", union: { nodes: [users("repo:1#admin"), users("org:1#admin")] } },
      },
    });
  });

  test("refuses unknown names and depths below zero", async () => {
    await useModel(db, documents);
    await refuses(expanded("page:1", "viewer"), "type_unknown 22023");
    await refuses(expanded("document:1", "reader"), "relation_unknown 22023");
    await refuses(expanded("document:1", "viewer", -1), "not_positive 22023");
    await refuses(expanded("document:", "viewer"), "id_empty 22026");
  });
});

describe("explain_json of compiled models", () => {
  const explain = (
    who: string,
    permission: string,
    what: string,
  ): Promise<{ allowed: boolean; missing: string[][] }> => {
    const [type, id] = what.split(":");
    return value(db, "select authz.explain_json('user', $1, $2, $3, $4, 'acme')", [who, permission, type, id]);
  };

  test("offers only sets of missing tuples that grant, the smallest first", async () => {
    await useModel(
      db,
      `
type user
type group
  relations
    define member: [user]
type document
  relations
    define reviewer: [user]
    define approver: [user, group#member]
    define banned: [user, group#member]
    define publisher: (reviewer and approver) but not banned`,
    );
    await grant(
      "document:1#approver@group:g#member",
      "document:1#approver@group:h#member",
      "document:1#banned@group:h#member",
    );
    expect(await explain("ann", "publisher", "document:1")).toMatchObject({
      allowed: false,
      missing: [
        ["document:1#approver@user:ann", "document:1#reviewer@user:ann"],
        ["document:1#reviewer@user:ann", "group:g#member@user:ann"],
      ],
    });
    await grant("document:1#banned@user:ann");
    expect((await explain("ann", "publisher", "document:1")).missing).toEqual([]);
  });
});
