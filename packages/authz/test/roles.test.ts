import { race, type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
afterAll(() => db.close());
beforeEach(async () => {
  await wipe(db);
  await db.freeze(new Date("2026-03-10T12:00:00Z"));
});

/** Calls a function of authz with these arguments, by position. */
const call = <V = boolean>(name: string, ...args: unknown[]): Promise<V> =>
  value<V>(db, `select authz.${name}(${args.map((_, i) => `$${i + 1}`).join(", ")})`, args);

const list = (name: string, ...args: unknown[]): Promise<string[]> =>
  rows<{ slug: string }>(
    db,
    `select * from authz.${name}(${args.map((_, i) => `$${i + 1}`).join(", ")}) as t(slug)`,
    args,
  ).then((found) => found.map((row) => row.slug));

const createRole = (slug: string, namespace = "acme") => call("create_role", slug, null, null, namespace);
const createPermission = (slug: string, namespace = "acme") => call("create_permission", slug, null, null, namespace);
const hasRole = (user: string, role: string, namespace = "acme") => call("has_role", "user", user, role, namespace);
const has = (user: string, permission: string, namespace = "acme") =>
  call("has_permission", "user", user, permission, namespace);
const tuples = () => value<number>(db, "select count(*)::int from authz.tuples");
const events = (type: string) =>
  rows<{ namespace: string; resource_type: string; resource_id: string; detail: unknown; actor_id: string | null }>(
    db,
    "select namespace, resource_type, resource_id, detail, actor_id from authz.audit_events where event_type = $1 order by id",
    [type],
  );

describe("names", () => {
  test.each(["role", "permission"])("a %s is created once, updated, listed, and deleted once", async (kind) => {
    expect(await call(`create_${kind}`, "posts:write", "Write", "all of it", "acme")).toBe(true);
    expect(await call(`create_${kind}`, "posts:write", "Other", null, "acme")).toBe(false);
    const [created] = await rows<object>(db, `select * from authz.list_${kind}s('acme')`);
    expect(created).toMatchObject({ slug: "posts:write", label: "Write", description: "all of it", namespace: "acme" });

    expect(await call(`update_${kind}`, "posts:write", "Write posts", null, "acme")).toBe(true);
    expect(await call(`update_${kind}`, "posts:write", "Write posts", null, "acme")).toBe(false);
    expect(await call(`update_${kind}`, "other", "Other", null, "acme")).toBe(false);
    const [updated] = await rows<object>(db, `select * from authz.list_${kind}s('acme')`);
    expect(updated).toMatchObject({ label: "Write posts", description: null });

    expect(await call(`delete_${kind}`, "posts:write", "acme")).toBe(true);
    expect(await call(`delete_${kind}`, "posts:write", "acme")).toBe(false);
    expect(await rows(db, `select * from authz.list_${kind}s('acme')`)).toEqual([]);
  });

  test.each(["role", "permission"])(
    "the label and description of a %s have a limit, for plain SQL too",
    async (kind) => {
      expect(await call(`create_${kind}`, "editor", "ä".repeat(200), "ä".repeat(2000), "acme")).toBe(true);
      expect(await call(`update_${kind}`, "editor", "x".repeat(200), null, "acme")).toBe(true);
      for (const [label, description, message] of [
        ["x".repeat(201), null, "label has 201 characters, at most 200 are allowed"],
        ["x", "x".repeat(2001), "description has 2001 characters, at most 2000 are allowed"],
      ]) {
        for (const name of [`create_${kind}`, `update_${kind}`]) {
          const refused = call(name, "editor", label, description, "acme");
          await refuses(refused, "identifier_too_long 22001");
          await expect(refused).rejects.toMatchObject({ message });
        }
        const plain = db.query(`update authz.${kind}s set label = $1, description = $2`, [label, description]);
        await expect(plain).rejects.toMatchObject({ code: "23514" });
      }
      expect(await events(`${kind}_updated`)).toHaveLength(1);
    },
  );

  test.each(["role", "permission"])("what becomes of a %s is recorded, with who did it", async (kind) => {
    await db.transaction(
      async (tx) => {
        await tx.query(`select authz.create_${kind}('editor', 'Editor', null, 'acme')`);
        await tx.query(`select authz.create_${kind}('editor', 'Editor', null, 'acme')`);
        await tx.query(`select authz.update_${kind}('editor', 'Editors', null, 'acme')`);
        await tx.query(`select authz.update_${kind}('editor', 'Editors', null, 'acme')`);
        await tx.query(`select authz.delete_${kind}('editor', 'acme')`);
        await tx.query(`select authz.delete_${kind}('editor', 'acme')`);
      },
      { actor: { actorId: "user:root" } },
    );
    const event = { namespace: "acme", resource_type: `rbac_${kind}`, resource_id: "editor", actor_id: "user:root" };
    expect(await events(`${kind}_created`)).toEqual([{ ...event, detail: { label: "Editor" } }]);
    expect(await events(`${kind}_updated`)).toEqual([{ ...event, detail: { label: "Editors" } }]);
    expect(await events(`${kind}_deleted`)).toEqual([{ ...event, detail: null }]);
  });

  test.each([null, "", "Editor", "1st", "posts write", "posts.write", "é", "-a", "a\n", "x".repeat(65)])(
    "%j is no slug",
    async (slug) => {
      for (const kind of ["role", "permission"]) {
        await refuses(call(`create_${kind}`, slug), "slug_invalid 22023");
        await refuses(call(`update_${kind}`, slug), "slug_invalid 22023");
        await refuses(call(`delete_${kind}`, slug), "slug_invalid 22023");
        await refuses(call(`has_${kind}`, "user", "ann", slug), "slug_invalid 22023");
      }
      await refuses(call("assign_role", "user", "ann", slug), "slug_invalid 22023");
      await refuses(call("unassign_role", "user", "ann", slug), "slug_invalid 22023");
      await refuses(call("grant_permission", "user", "ann", slug), "slug_invalid 22023");
      await refuses(call("revoke_permission", "user", "ann", slug), "slug_invalid 22023");
      await refuses(call("grant_role_permission", slug, "write"), "slug_invalid 22023");
      await refuses(call("revoke_role_permission", slug, "write"), "slug_invalid 22023");
      await refuses(call("revoke_role_permission", "editor", slug), "slug_invalid 22023");
    },
  );

  test("slugs have up to 64 bytes of lower-case letters, digits, _, : and -", async () => {
    for (const slug of ["a", "posts:write", "a_b-c:d9", "x".repeat(64)]) {
      expect(await createRole(slug)).toBe(true);
      expect(await createPermission(slug)).toBe(true);
    }
  });

  test("what names global are in every namespace, below the namespace's own", async () => {
    await call("create_role", "editor", "Editor", null, "global");
    await call("create_role", "editor", "Redakteur", null, "acme");
    await call("create_role", "viewer", "Viewer", null, "global");
    const roles = await rows<object>(db, "select slug, label, namespace from authz.list_roles('acme')");
    expect(roles).toEqual([
      { slug: "editor", label: "Redakteur", namespace: "acme" },
      { slug: "viewer", label: "Viewer", namespace: "global" },
    ]);
    expect(await list("unknown_slugs", ["editor", "viewer"], null, "other")).toEqual([]);
  });

  test("an unknown name is refused by its name, with the call that creates it", async () => {
    await createRole("editor");
    const assigned = call("assign_role", "user", "ann", "edtior", "acme");
    await refuses(assigned, "slug_unknown P0002");
    await expect(assigned).rejects.toMatchObject({
      message: "role 'edtior' does not exist in namespace acme",
      hint: expect.stringContaining("authz.create_role('edtior', p_namespace => 'acme')"),
    });
    await refuses(call("grant_permission", "user", "ann", "write", "acme"), "slug_unknown P0002");
    await refuses(call("grant_role_permission", "editor", "write", "acme"), "slug_unknown P0002");
    await createPermission("write");
    await refuses(call("grant_role_permission", "edtior", "write", "acme"), "slug_unknown P0002");
    await refuses(call("assign_role", "user", "ann", "editor", "other"), "slug_unknown P0002");
  });
});

describe("assignments", () => {
  beforeEach(async () => {
    await createRole("editor");
    await createPermission("posts:write");
  });

  test("a subject has the permissions of its roles", async () => {
    expect(await call("grant_role_permission", "editor", "posts:write", "acme")).toBe(true);
    expect(await call("grant_role_permission", "editor", "posts:write", "acme")).toBe(false);
    expect(await has("ann", "posts:write")).toBe(false);
    expect(await call("assign_role", "user", "ann", "editor", "acme")).toBe(true);
    expect(await call("assign_role", "user", "ann", "editor", "acme")).toBe(false);
    expect([await hasRole("ann", "editor"), await has("ann", "posts:write")]).toEqual([true, true]);
    expect([await hasRole("bob", "editor"), await has("bob", "posts:write")]).toEqual([false, false]);
    expect([await hasRole("ann", "editor", "other"), await has("ann", "posts:write", "other")]).toEqual([false, false]);

    expect(await call("revoke_role_permission", "editor", "posts:write", "acme")).toBe(true);
    expect(await call("revoke_role_permission", "editor", "posts:write", "acme")).toBe(false);
    expect([await hasRole("ann", "editor"), await has("ann", "posts:write")]).toEqual([true, false]);
    expect(await call("unassign_role", "user", "ann", "editor", "acme")).toBe(true);
    expect(await call("unassign_role", "user", "ann", "editor", "acme")).toBe(false);
    expect(await hasRole("ann", "editor")).toBe(false);
  });

  test("a permission may be granted to a subject directly", async () => {
    expect(await call("grant_permission", "user", "bob", "posts:write", "acme")).toBe(true);
    expect(await call("grant_permission", "user", "bob", "posts:write", "acme")).toBe(false);
    expect(await has("bob", "posts:write")).toBe(true);
    expect(await call("revoke_permission", "user", "bob", "posts:write", "acme")).toBe(true);
    expect(await call("revoke_permission", "user", "bob", "posts:write", "acme")).toBe(false);
    expect(await has("bob", "posts:write")).toBe(false);
  });

  test("a subject's permissions are listed once each, with all that give them", async () => {
    await createRole("author");
    await createPermission("posts:read");
    for (const role of ["editor", "author"]) {
      await call("grant_role_permission", role, "posts:write", "acme");
      await call("assign_role", "user", "ann", role, "acme");
    }
    await call("grant_role_permission", "editor", "posts:read", "acme");
    await call("grant_permission", "user", "ann", "posts:write", "acme");
    expect(await list("subject_roles", "user", "ann", "acme")).toEqual(["author", "editor"]);
    expect(await rows(db, "select * from authz.subject_permissions('user', 'ann', 'acme')")).toEqual([
      { permission: "posts:read", direct: false, via_roles: ["editor"] },
      { permission: "posts:write", direct: true, via_roles: ["author", "editor"] },
    ]);
    expect(await rows(db, "select slug, permissions from authz.list_roles('acme')")).toEqual([
      { slug: "author", permissions: ["posts:write"] },
      { slug: "editor", permissions: ["posts:read", "posts:write"] },
    ]);
    expect(await rows(db, "select slug from authz.list_permissions('acme', 'author')")).toEqual([
      { slug: "posts:write" },
    ]);
    await refuses(call("list_permissions", "acme", "No Role"), "slug_invalid 22023");
  });

  test("an assignment ends by itself, may be extended, and may be made permanent", async () => {
    await call("grant_role_permission", "editor", "posts:write", "acme");
    const [soon, later] = [new Date("2026-03-11T12:00:00Z"), new Date("2026-03-12T12:00:00Z")];
    expect(await call("assign_role", "user", "ann", "editor", "acme", soon)).toBe(true);
    expect(await call("assign_role", "user", "ann", "editor", "acme", soon)).toBe(false);
    expect(await call("assign_role", "user", "ann", "editor", "acme", later)).toBe(true);
    await db.freeze(soon);
    expect([await hasRole("ann", "editor"), await has("ann", "posts:write")]).toEqual([true, true]);
    await db.freeze(later);
    expect([await hasRole("ann", "editor"), await has("ann", "posts:write")]).toEqual([false, false]);
    expect(await list("subject_roles", "user", "ann", "acme")).toEqual([]);
    await refuses(call("assign_role", "user", "ann", "editor", "acme", soon), "expiration_future 23514");
    await refuses(call("grant_permission", "user", "ann", "posts:write", "acme", soon), "expiration_future 23514");
    expect(await call("assign_role", "user", "ann", "editor", "acme")).toBe(true);
    await db.freeze(new Date("2036-01-01T00:00:00Z"));
    expect(await hasRole("ann", "editor")).toBe(true);
    expect(await tuples()).toBe(2);
  });

  test("assignments are tuples, which lists and checks of tuples see", async () => {
    await call("assign_role", "user", "ann", "editor", "acme");
    await call("grant_role_permission", "editor", "posts:write", "acme");
    const found = await rows(
      db,
      "select resource_type, resource_id, relation, subject_type, subject_id, subject_relation from authz.tuples order by id",
    );
    expect(found.map((row) => Object.values(row as object).join(" "))).toEqual([
      "rbac_role editor member user ann ",
      "rbac_permission posts:write granted rbac_role editor member",
    ]);
    expect(await events("tuple_created")).toHaveLength(2);
  });

  test("a role is held by any type of subject, and by none of another type", async () => {
    await call("assign_role", "api_key", "7", "editor", "acme");
    expect(await call("has_role", "api_key", "7", "editor", "acme")).toBe(true);
    expect(await call("has_role", "user", "7", "editor", "acme")).toBe(false);
  });

  test("subjects are one in all spellings of Unicode, and in columns of any collation", async () => {
    await db.query(
      `create collation if not exists odd (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
    );
    await call("assign_role", "user", "Jose\u0301", "editor", "acme");
    await call("grant_permission", "user", "Jose\u0301", "posts:write", "acme");
    expect(await hasRole("Jos\u00e9", "editor")).toBe(true);
    expect(await has("Jos\u00e9", "posts:write")).toBe(true);
    for (const collation of ["odd", '"C"', '"POSIX"']) {
      const asked = await rows<object>(
        db,
        `select authz.has_role(s.type, s.id, s.role, s.ns) as role, authz.has_permission(s.type, s.id, s.permission, s.ns) as permission,
           (select h.roles from authz.held_slugs(s.type, s.id, array[s.role], array[s.permission], s.ns) h) as held,
           authz.evaluate(s.type, s.id, jsonb_build_object('role', s.role), s.ns) as met,
           array(select authz.unknown_slugs(array[s.role, 'x'], array[s.permission], s.ns)) as unknown
         from (select 'user'::text collate ${collation} as type, 'José'::text collate ${collation} as id, 'editor'::text collate ${collation} as role,
           'posts:write'::text collate ${collation} as permission, 'acme'::text collate ${collation} as ns) s`,
      );
      expect(asked).toEqual([{ role: true, permission: true, held: ["editor"], met: true, unknown: ["x"] }]);
    }
    expect(await call("unassign_role", "user", "Jos\u00e9", "editor", "acme")).toBe(true);
  });

  test.each([
    ["assign_role", "editor"],
    ["unassign_role", "editor"],
    ["has_role", "editor"],
    ["grant_permission", "posts:write"],
    ["revoke_permission", "posts:write"],
    ["has_permission", "posts:write"],
  ])("%s refuses what cannot be a subject", async (name, slug) => {
    await refuses(call(name, null, "ann", slug, "acme"), "identifier_null 22004");
    await refuses(call(name, "", "ann", slug, "acme"), "identifier_empty 22026");
    await refuses(call(name, "User", "ann", slug, "acme"), "identifier_format 22023");
    await refuses(call(name, "user", null, slug, "acme"), "id_null 22004");
    await refuses(call(name, "user", "", slug, "acme"), "id_empty 22026");
    await refuses(call(name, "user", "a\nb", slug, "acme"), "id_invalid_chars 22023");
    await refuses(call(name, "user", " ann", slug, "acme"), "id_whitespace 22023");
    await refuses(call(name, "user", "x".repeat(1025), slug, "acme"), "id_too_long 22001");
  });

  test("a group whose members hold a role cannot hold it itself", async () => {
    await db.query("select authz.write_tuple('team', 'eng', 'member', 'rbac_role', 'editor', 'member', 'acme')");
    await refuses(call("assign_role", "team", "eng", "editor", "acme"), "cycle_group PK001");
  });

  test("a condition makes no assignment", async () => {
    await db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, condition_name)
       values ('acme', 'rbac_role', 'editor', 'member', 'user', 'ann', 'sometimes'),
         ('acme', 'rbac_permission', 'posts:write', 'granted', 'user', 'ann', 'sometimes')`,
    );
    expect([await hasRole("ann", "editor"), await has("ann", "posts:write")]).toEqual([false, false]);
    expect(await call("assign_role", "user", "ann", "editor", "acme")).toBe(true);
    expect(await hasRole("ann", "editor")).toBe(true);
  });

  test("a list of roles names no permission that the role does not give", async () => {
    await createRole("editor");
    await createPermission("posts:write");
    await db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, subject_relation,
         condition_name)
       values ('acme', 'rbac_permission', 'gone', 'granted', 'rbac_role', 'editor', 'member', null),
         ('acme', 'rbac_permission', 'posts:write', 'granted', 'rbac_role', 'editor', 'member', 'c')`,
    );
    expect(await rows(db, "select slug, permissions from authz.list_roles('acme')")).toEqual([
      { slug: "editor", permissions: [] },
    ]);
    expect(await rows(db, "select slug from authz.list_permissions('acme', 'editor')")).toEqual([]);
  });

  test("a tuple whose role or permission is not registered gives nothing", async () => {
    await db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, subject_relation)
       values ('acme', 'rbac_role', 'ghost', 'member', 'user', 'ann', null),
         ('acme', 'rbac_permission', 'posts:write', 'granted', 'rbac_role', 'ghost', 'member'),
         ('acme', 'rbac_permission', 'haunt', 'granted', 'user', 'ann', null)`,
    );
    expect([await hasRole("ann", "ghost"), await has("ann", "posts:write"), await has("ann", "haunt")]).toEqual([
      false,
      false,
      false,
    ]);
    expect(await list("subject_roles", "user", "ann", "acme")).toEqual([]);
  });

  test("a role of groups is asked for the group, and no walk is made", async () => {
    await call("assign_role", "team", "eng", "editor", "acme");
    expect(await call("has_role", "team", "eng", "editor", "acme")).toBe(true);
    expect(await hasRole("eng", "editor")).toBe(false);
  });
});

describe("global", () => {
  beforeEach(async () => {
    await createRole("editor", "global");
    await createPermission("posts:write", "global");
    await call("grant_role_permission", "editor", "posts:write", "global");
  });

  test("a role of global brings its permissions to every namespace that assigns it", async () => {
    await call("assign_role", "user", "ann", "editor", "acme");
    expect([await hasRole("ann", "editor"), await has("ann", "posts:write")]).toEqual([true, true]);
    expect(await has("ann", "posts:write", "other")).toBe(false);
    expect(await rows(db, "select slug, namespace, permissions from authz.list_roles('acme')")).toEqual([
      { slug: "editor", namespace: "global", permissions: ["posts:write"] },
    ]);
    expect(await rows(db, "select slug from authz.list_permissions('acme', 'editor')")).toEqual([
      { slug: "posts:write" },
    ]);
    await call("grant_role_permission", "editor", "posts:write", "acme");
    expect(await rows(db, "select * from authz.subject_permissions('user', 'ann', 'acme')")).toEqual([
      { permission: "posts:write", direct: false, via_roles: ["editor"] },
    ]);
  });

  test("who holds a role in global holds it in no other namespace", async () => {
    await call("assign_role", "user", "root", "editor", "global");
    expect(await has("root", "posts:write", "global")).toBe(true);
    expect([await hasRole("root", "editor"), await has("root", "posts:write")]).toEqual([false, false]);
  });

  test("deleting it ends it in all namespaces, except where it is registered itself", async () => {
    await createRole("editor", "other");
    for (const namespace of ["acme", "beta", "other"]) await call("assign_role", "user", "ann", "editor", namespace);
    await call("delete_role", "editor", "global");
    expect(await rows(db, "select namespace, resource_type from authz.tuples")).toEqual([
      { namespace: "other", resource_type: "rbac_role" },
    ]);
    expect(await hasRole("ann", "editor", "other")).toBe(true);
  });

  test("deleting a permission of it ends all grants of it", async () => {
    await call("assign_role", "user", "ann", "editor", "acme");
    await call("grant_permission", "user", "bob", "posts:write", "acme");
    await call("delete_permission", "posts:write", "global");
    expect([await has("ann", "posts:write"), await has("bob", "posts:write")]).toEqual([false, false]);
    expect(await tuples()).toBe(1);
  });

  test("only administrators write to it", async () => {
    await using app = await db.role("app");
    await app.grant("authz");
    const denied = "global_write_denied 42501";
    for (const kind of ["role", "permission"]) {
      await refuses(app.query(`select authz.create_${kind}('new', p_namespace => 'global')`), denied);
      await refuses(app.query(`select authz.update_${kind}('editor', 'x', p_namespace => 'global')`), denied);
      await refuses(app.query(`select authz.delete_${kind}('editor', 'global')`), denied);
    }
    await refuses(app.query("select authz.grant_role_permission('editor', 'posts:write', 'global')"), denied);
    await refuses(app.query("select authz.revoke_role_permission('editor', 'posts:write', 'global')"), denied);
    await refuses(app.query("select authz.assign_role('user', 'ann', 'editor', 'global')"), denied);
    await refuses(app.query("select authz.unassign_role('user', 'ann', 'editor', 'global')"), denied);
    await refuses(app.query("select authz.grant_permission('user', 'ann', 'posts:write', 'global')"), denied);
    await refuses(app.query("select authz.revoke_permission('user', 'ann', 'posts:write', 'global')"), denied);
    expect(await value(app, "select authz.assign_role('user', 'ann', 'editor', 'acme')")).toBe(true);
    await app.grant("authz", "admin");
    expect(await value(app, "select authz.create_role('new', p_namespace => 'global')")).toBe(true);
  });
});

describe("deletion", () => {
  beforeEach(async () => {
    await createRole("editor");
    await createPermission("posts:write");
  });

  test("a role takes along all tuples that mention it, in its namespace only", async () => {
    await createRole("editor", "other");
    await call("assign_role", "user", "ann", "editor", "acme");
    await call("assign_role", "user", "ann", "editor", "other");
    await call("grant_role_permission", "editor", "posts:write", "acme");
    await db.query("select authz.write_tuple('document', '1', 'viewer', 'rbac_role', 'editor', 'member', 'acme')");
    await call("grant_permission", "user", "ann", "posts:write", "acme");
    expect(await call("delete_role", "editor", "acme")).toBe(true);
    expect(
      await rows(db, "select namespace, resource_type, subject_type from authz.tuples order by namespace"),
    ).toEqual([
      { namespace: "acme", resource_type: "rbac_permission", subject_type: "user" },
      { namespace: "other", resource_type: "rbac_role", subject_type: "user" },
    ]);
    await createRole("editor");
    expect(await hasRole("ann", "editor")).toBe(false);
  });

  test("a role that is assigned while it is deleted leaves no assignment behind", async () => {
    const [assigning, deleting] = await db.clients(2);
    if (!assigning || !deleting) throw new Error("no clients");
    await assigning.query("begin");
    await assigning.query("select authz.assign_role('user', 'ann', 'editor', 'acme')");
    const deleted = deleting.query("select authz.delete_role('editor', 'acme')");
    await blocked(1);
    await assigning.query("commit");
    await deleted;
    expect(await tuples()).toBe(0);
    await Promise.all([assigning.end(), deleting.end()]);
  });

  test.each([
    ["assign_role('user', 'ann', 'editor', 'acme')", "delete_role('editor', 'acme')"],
    ["grant_role_permission('editor', 'posts:write', 'acme')", "delete_role('editor', 'acme')"],
    ["grant_role_permission('editor', 'posts:write', 'acme')", "delete_permission('posts:write', 'acme')"],
    ["grant_permission('user', 'ann', 'posts:write', 'acme')", "delete_permission('posts:write', 'acme')"],
  ])("%s waits for %s, and finds nothing to give", async (give, take) => {
    const [giving, taking] = await db.clients(2);
    if (!giving || !taking) throw new Error("no clients");
    await taking.query("begin");
    await taking.query(`select authz.${take}`);
    const given = giving.query(`select authz.${give}`);
    const refused = refuses(given, "slug_unknown P0002");
    await blocked(1);
    await taking.query("commit");
    await refused;
    expect(await tuples()).toBe(0);
    await Promise.all([giving.end(), taking.end()]);
  });

  test("a role of global that a tenant assigns while it is deleted leaves no assignment behind", async () => {
    await createRole("guest", "global");
    const [assigning, deleting] = await db.clients(2);
    if (!assigning || !deleting) throw new Error("no clients");
    await assigning.query("begin");
    await assigning.query("select authz.assign_role('user', 'ann', 'guest', 'zeta')");
    const deleted = deleting.query("select authz.delete_role('guest', 'global')");
    await blocked(1);
    await assigning.query("commit");
    await deleted;
    expect(await tuples()).toBe(0);
    await Promise.all([assigning.end(), deleting.end()]);
  });

  test("of many who assign, create and delete at once, none leaves an assignment without its role", async () => {
    await race(db, 12, async (client, i) => {
      for (let n = 0; n < 8; n++) {
        if (i % 4 === 0) await client.query("select authz.delete_role('editor', 'acme')");
        else if (i % 4 === 1) await client.query("select authz.create_role('editor', p_namespace => 'acme')");
        else {
          await client
            .query("select authz.assign_role('user', $1, 'editor', 'acme')", [`u${i}-${n}`])
            .catch((error: { constraint?: string }) => {
              if (error.constraint !== "slug_unknown") throw error;
            });
        }
      }
    }).then((outcomes) => expect(outcomes.filter((one) => one.status === "rejected")).toEqual([]));
    const orphans = await rows(
      db,
      `select t.subject_id from authz.tuples t
       where not exists (select from authz.roles r where r.namespace = t.namespace and r.slug = t.resource_id)`,
    );
    expect(orphans).toEqual([]);
  });

  test("what a deleter with an old snapshot cannot see stays behind, and gives nothing", async () => {
    const deleting = await db.client();
    await deleting.query("begin isolation level repeatable read");
    await deleting.query("select count(*) from authz.tuples");
    await call("assign_role", "user", "ann", "editor", "acme");
    expect(await hasRole("ann", "editor")).toBe(true);
    await deleting.query("select authz.delete_role('editor', 'acme')");
    await deleting.query("commit");
    expect([await tuples(), await hasRole("ann", "editor")]).toEqual([1, false]);
    await deleting.end();
  });

  test("of many who assign one role to one subject, one changed something", async () => {
    const outcomes = await race(db, 8, async (client) => {
      const { rows } = await client.query("select authz.assign_role('user', 'ann', 'editor', 'acme') as changed");
      return rows[0].changed as boolean;
    });
    expect(outcomes.filter((one) => one.status === "fulfilled" && one.value)).toHaveLength(1);
    expect(await tuples()).toBe(1);
  });
});

describe("asking for many", () => {
  beforeEach(async () => {
    for (const slug of ["admin", "editor"]) await createRole(slug);
    for (const slug of ["posts:read", "posts:write"]) await createPermission(slug);
    await call("assign_role", "user", "ann", "editor", "acme");
    await call("grant_role_permission", "editor", "posts:read", "acme");
    await call("grant_permission", "user", "ann", "posts:read", "acme");
  });

  test("held_slugs returns those of the asked ones that the subject has", async () => {
    const held = (roles: string[] | null, permissions: string[] | null) =>
      rows(db, "select * from authz.held_slugs('user', 'ann', $1, $2, 'acme')", [roles, permissions]);
    expect(await held(["editor", "admin", "nobody", "No Slug"], ["posts:write", "posts:read", "posts:read"])).toEqual([
      { roles: ["editor"], permissions: ["posts:read"] },
    ]);
    expect(await held(null, null)).toEqual([{ roles: [], permissions: [] }]);
    expect(await held([], ["posts:read"])).toEqual([{ roles: [], permissions: ["posts:read"] }]);
  });

  test("unknown_slugs names what does not exist, once each and in order", async () => {
    expect(
      await list("unknown_slugs", ["editor", "edtior", "No Slug", "x"], ["posts:wirte", "posts:read", "x"], "acme"),
    ).toEqual(["No Slug", "edtior", "posts:wirte", "x"]);
    expect(await list("unknown_slugs", null, null, "acme")).toEqual([]);
    expect(await list("unknown_slugs", ["posts:read"], ["editor"], "acme")).toEqual(["editor", "posts:read"]);
  });

  test("at most a thousand of each are asked for, and no null", async () => {
    const many = Array.from({ length: 1001 }, (_, i) => `s${i}`);
    await refuses(call("held_slugs", "user", "ann", many, [], "acme"), "batch_too_large 22023");
    await refuses(call("held_slugs", "user", "ann", [], many, "acme"), "batch_too_large 22023");
    await refuses(call("unknown_slugs", many, [], "acme"), "batch_too_large 22023");
    await refuses(call("unknown_slugs", [null], [], "acme"), "array_element_invalid 22023");
    await refuses(call("held_slugs", "user", "ann", [], ["a", null], "acme"), "array_element_invalid 22023");
    expect(await list("unknown_slugs", many.slice(1), [], "acme")).toHaveLength(1000);
  });
});

test("a transaction that is pinned to a tenant reaches no other one", async () => {
  const calls = [
    "create_role('r', p_namespace => 'acme')",
    "update_role('r', p_namespace => 'acme')",
    "delete_role('r', 'acme')",
    "create_permission('p', p_namespace => 'acme')",
    "update_permission('p', p_namespace => 'acme')",
    "delete_permission('p', 'acme')",
    "list_roles('acme')",
    "list_permissions('acme')",
    "grant_role_permission('r', 'p', 'acme')",
    "revoke_role_permission('r', 'p', 'acme')",
    "assign_role('user', 'ann', 'r', 'acme')",
    "unassign_role('user', 'ann', 'r', 'acme')",
    "grant_permission('user', 'ann', 'p', 'acme')",
    "revoke_permission('user', 'ann', 'p', 'acme')",
    "has_role('user', 'ann', 'r', 'acme')",
    "has_permission('user', 'ann', 'p', 'acme')",
    "subject_roles('user', 'ann', 'acme')",
    "subject_permissions('user', 'ann', 'acme')",
    "held_slugs('user', 'ann', '{}', '{}', 'acme')",
    "unknown_slugs('{}', '{}', 'acme')",
    `evaluate('user', 'ann', '{"role": "r"}', 'acme')`,
  ];
  for (const text of calls) {
    const pinned = db.transaction((tx) => tx.query(`select authz.${text}`), { tenant: "other" });
    await refuses(pinned, "tenant_mismatch 42501");
  }
  await db.transaction((tx) => tx.query("select authz.create_role('r', p_namespace => 'acme')"), { tenant: "acme" });
});

/** Waits until so many connections of the test's database wait for a lock. */
async function blocked(count: number): Promise<void> {
  for (;;) {
    const waiting = await value<number>(
      db,
      "select count(*)::int from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    if (waiting >= count) return;
  }
}
