import { type Command, type HowdahError, toHowdahError } from "@howdah/core";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { Rbac } from "../src/rbac.ts";
import { wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
afterAll(() => db.close());
beforeEach(() => wipe(db));

const named = (words: string): Command => {
  const found = authzModule.commands.find(({ path }) => path.replace(/ <.*/, "") === words);
  if (!found) throw new Error(`no command ${words}`);
  return found;
};

/** Runs a command with options as the command line has parsed them. */
const run = (words: string, options: Record<string, unknown> = {}): Promise<unknown> => {
  const command = named(words);
  return command.run(db, command.options.parse({ namespace: "acme", ...options }));
};

test("permissions are created, listed and deleted", async () => {
  expect(await run("perms create", { slug: "posts:write", label: "Write" })).toEqual({ created: true });
  expect(await run("perms create", { slug: "posts:write" })).toEqual({ created: false });
  expect(await run("perms list")).toMatchObject([{ slug: "posts:write", label: "Write", namespace: "acme" }]);
  expect(await run("perms list", { role: "editor" })).toEqual([]);
  expect(await run("perms delete", { slug: "posts:write" })).toEqual({ deleted: true });
  expect(await run("perms list")).toEqual([]);
});

test("roles are created, given permissions, assigned, and all of that taken back", async () => {
  await run("perms create", { slug: "posts:write" });
  expect(await run("roles create", { slug: "editor", description: "writes" })).toEqual({ created: true });
  expect(await run("roles grant", { role: "editor", permission: "posts:write" })).toEqual({ granted: true });
  expect(await run("roles assign", { subject: "user:ann", role: "editor" })).toEqual({ assigned: true });
  expect(await run("roles list")).toMatchObject([{ slug: "editor", permissions: ["posts:write"] }]);
  expect(await run("roles list", { subject: "user:ann" })).toMatchObject([{ slug: "editor" }]);
  expect(await run("roles list", { subject: "user:bob" })).toEqual([]);
  expect(await run("roles unassign", { subject: "user:ann", role: "editor" })).toEqual({ unassigned: true });
  expect(await run("roles revoke", { role: "editor", permission: "posts:write" })).toEqual({ revoked: true });
  expect(await run("roles delete", { slug: "editor" })).toEqual({ deleted: true });
});

test("a role may be assigned for some time", async () => {
  await run("roles create", { slug: "editor" });
  await run("roles assign", { subject: "user:ann", role: "editor", expiresIn: "30 days" });
  const rbac = new Rbac(db, { namespace: "acme" });
  expect(await rbac.hasRole("user:ann", "editor")).toBe(true);
  await db.travel("31 days");
  expect(await rbac.hasRole("user:ann", "editor")).toBe(false);
  await db.travel("-31 days");
});

test("the namespace is default unless another one is named", async () => {
  const command = named("roles create");
  await command.run(db, command.options.parse({ slug: "editor" }));
  expect(await new Rbac(db, { namespace: "default" }).listRoles()).toMatchObject([{ slug: "editor" }]);
});

test("what takes something from everyone asks first", () => {
  const options = { slug: "editor", namespace: "acme" };
  expect(named("roles delete").confirm?.(options)).toBe(
    "Delete role editor of acme, and take it from everyone who holds it?",
  );
  expect(named("perms delete").confirm?.(options)).toContain("Delete permission editor of acme");
});

test("check and explain answer for any subject and resource", async () => {
  await db.query("select authz.write('document', '1', 'read', 'user', 'ann', 'acme')");
  const asked = { subject: "user:ann", permission: "read", resource: "document:1" };
  expect(await run("authz check", asked)).toEqual({ allowed: true });
  expect(await run("authz check", { ...asked, subject: "group:eng#member" })).toEqual({ allowed: false });
  expect(await run("authz explain", asked)).toEqual([expect.stringMatching(/^DIRECT: /)]);
  expect(await run("authz explain", { ...asked, subject: "user:bob" })).toEqual([
    "NO ACCESS: user:bob does not have read on document:1",
  ]);
});

test("a subject that is no type with an id is refused before the database is asked", () => {
  for (const subject of ["ann", ":ann", "user:", 7]) {
    expect(named("roles assign").options.safeParse({ subject, role: "editor" }).error?.issues[0]).toMatchObject({
      path: ["subject"],
      message: 'must be a type and an id, such as "user:ann"',
    });
  }
});

describe("a seed file", () => {
  const file = {
    permissions: [{ slug: "posts:read" }, { slug: "posts:write", label: "Write posts" }],
    roles: [
      { slug: "editor", label: "Editor", permissions: ["posts:read", "posts:write"] },
      { slug: "reader", description: "reads", permissions: ["posts:read"] },
    ],
    grants: [
      { subject: "user:ann", role: "editor" },
      { subject: "user:bob", role: "reader", permission: "posts:write" },
    ],
  };

  /** Applies a file as `howdah seed apply` does. */
  const apply = (content: Record<string, unknown>, { prune = false, namespace = "acme" } = {}): Promise<string[]> =>
    db.transaction(async (tx) => {
      const changes: string[] = [];
      for (const { key, value, apply } of authzModule.seed) {
        if (!(key in content)) continue;
        const made = await apply(tx, value.parse(content[key]), { namespace, prune });
        changes.push(...made.map(({ action, what }) => `${action} ${what}`));
      }
      return changes;
    });

  test("lists permissions, then roles, then who has them, and changes nothing the second time", async () => {
    expect(authzModule.seed.map(({ key }) => key)).toEqual(["permissions", "roles", "grants"]);
    expect(await apply(file)).toEqual([
      "create permission posts:read",
      "create permission posts:write",
      "create role editor",
      "create role reader",
      "create permission posts:read of role editor",
      "create permission posts:write of role editor",
      "create permission posts:read of role reader",
      "create role editor of user:ann",
      "create role reader of user:bob",
      "create permission posts:write of user:bob",
    ]);
    expect(await apply(file)).toEqual([]);
    expect(await apply(file, { prune: true })).toEqual([]);
    const rbac = new Rbac(db, { namespace: "acme" });
    expect(await rbac.listRoles()).toMatchObject([
      { slug: "editor", label: "Editor", description: null, permissions: ["posts:read", "posts:write"] },
      { slug: "reader", label: null, description: "reads", permissions: ["posts:read"] },
    ]);
    expect(await rbac.subjectPermissions("user:bob")).toEqual([
      { permission: "posts:read", direct: false, viaRoles: ["reader"] },
      { permission: "posts:write", direct: true, viaRoles: [] },
    ]);
  });

  test("changes what it describes anew, and leaves what it does not describe", async () => {
    await apply(file);
    const changed = {
      permissions: [{ slug: "posts:read", label: "Read posts" }, { slug: "posts:write" }],
      roles: [{ slug: "editor", description: "edits" }],
    };
    expect(await apply(changed)).toEqual(["update permission posts:read", "update role editor"]);
    expect(await apply(changed)).toEqual([]);
    const rbac = new Rbac(db, { namespace: "acme" });
    expect(await rbac.listPermissions()).toMatchObject([{ label: "Read posts" }, { label: "Write posts" }]);
    expect((await rbac.listRoles())[0]).toMatchObject({
      label: "Editor",
      description: "edits",
      permissions: ["posts:read", "posts:write"],
    });
  });

  test("deletes what it does not list when pruned, of the kinds that it lists", async () => {
    await apply(file);
    expect(
      await apply({ roles: [{ slug: "editor", permissions: ["posts:read"] }, { slug: "reader" }] }, { prune: true }),
    ).toEqual(["delete permission posts:write of role editor"]);
    expect(await apply({ grants: [{ subject: "user:bob", permission: "posts:write" }] }, { prune: true })).toEqual([
      "delete role editor of user:ann",
      "delete role reader of user:bob",
    ]);
    expect(await apply({ roles: [], permissions: [{ slug: "posts:read" }] }, { prune: true })).toEqual([
      "delete permission posts:write",
      "delete role editor",
      "delete role reader",
    ]);
    expect(await apply({ permissions: [], roles: [], grants: [] }, { prune: true })).toEqual([
      "delete permission posts:read",
    ]);
  });

  test("prunes no grant that it lists in another spelling, and what is no grant never", async () => {
    await apply({ roles: [{ slug: "editor" }] });
    await apply({ grants: [{ subject: "user:Ren\u00e9", role: "editor" }] });
    await db.query("select authz.write('rbac_role', 'editor', 'owner', 'user', 'ann', 'acme')");
    expect(await apply({ grants: [{ subject: "user:Rene\u0301", role: "editor" }] }, { prune: true })).toEqual([]);
    expect(await new Rbac(db, { namespace: "acme" }).hasRole(["user", "Ren\u00e9"], "editor")).toBe(true);
  });

  test("prunes nothing of global, and nothing of another tenant", async () => {
    await apply(file, { namespace: "global" });
    await apply(file, { namespace: "other" });
    await apply(file);
    await apply({ permissions: [], roles: [], grants: [] }, { prune: true });
    expect(await new Rbac(db, { namespace: "acme" }).listRoles()).toMatchObject([
      { slug: "editor", namespace: "global" },
      { slug: "reader", namespace: "global" },
    ]);
    expect(await new Rbac(db, { namespace: "other" }).hasRole("user:ann", "editor")).toBe(true);
  });

  test("prunes however many grants there are", async () => {
    await apply(file);
    await db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
       select 'acme', 'rbac_role', 'editor', 'member', 'user', 'u' || i from generate_series(1, 2500) i`,
    );
    expect(await apply({ grants: file.grants }, { prune: true })).toHaveLength(2500);
  });

  test("that names what does not exist fails with its name", async () => {
    const failed = await apply({ roles: [{ slug: "editor", permissions: ["posts:fly"] }] }).catch(toHowdahError);
    expect(failed as HowdahError).toMatchObject({ code: "slug_unknown", detail: { permission: "posts:fly" } });
    expect(await new Rbac(db, { namespace: "acme" }).listRoles()).toEqual([]);
  });

  test.each([
    ["permissions", [{ slug: "Bad Slug" }], "must be lower-case letters"],
    ["permissions", [{ slug: "x".repeat(65) }], "must be lower-case letters"],
    ["permissions", [{ slug: "a" }, { slug: "a" }], "a is listed twice"],
    ["permissions", [{ slug: "a", name: "x" }], 'Unrecognized key: "name"'],
    ["roles", [{ slug: "a", permissions: ["No"] }], "must be lower-case letters"],
    ["roles", [{ slug: "a" }, { slug: "a" }], "a is listed twice"],
    ["grants", [{ subject: "user:ann" }], "must give a role or a permission"],
    ["grants", [{ subject: "ann", role: "editor" }], 'must be a type and an id, such as "user:ann"'],
    ["grants", [{ subject: "group:eng#member", role: "editor" }], "must be a type and an id"],
  ])("with mistakes in %s is refused: %j", (key, content, problem) => {
    const section = authzModule.seed.find((one) => one.key === key);
    const result = section?.value.safeParse(content);
    expect(result?.success).toBe(false);
    expect(result?.error?.issues[0]?.message).toContain(problem);
  });
});
