import { NotFoundError, ValidationError } from "@howdah/core";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, expectTypeOf, test } from "vitest";
import { type Entity, entityText, parseEntity, parseObject } from "../src/entities.ts";
import { authzModule } from "../src/module.ts";
import { all, any, canDo, hasPermission, hasRole, not, type Predicate, slugsOf } from "../src/predicates.ts";
import { Rbac } from "../src/rbac.ts";
import { roleSource } from "../src/role-source.ts";
import { wipe } from "./sql.ts";

let db: TestDatabase;
let rbac: Rbac;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
  rbac = new Rbac(db, { namespace: "acme" });
});
afterAll(() => db.close());
beforeEach(() => wipe(db));

describe("entities", () => {
  test.each<[Entity, object]>([
    [["user", "ann"], { type: "user", id: "ann" }],
    [
      { type: "user", id: "ann" },
      { type: "user", id: "ann" },
    ],
    [
      { type: "group", id: "eng", relation: "member" },
      { type: "group", id: "eng", relation: "member" },
    ],
    ["user:ann", { type: "user", id: "ann" }],
    ["group:eng#member", { type: "group", id: "eng", relation: "member" }],
    ["url:https://a.b:80/#Top", { type: "url", id: "https://a.b:80/#Top" }],
    ["user:a#b#member", { type: "user", id: "a#b", relation: "member" }],
    ["user:#member", { type: "user", id: "#member" }],
    [["user", "a#b"], { type: "user", id: "a#b" }],
    [["user", "\u{1f98a}"], { type: "user", id: "\u{1f98a}" }],
    ["user:*", { type: "user", id: "*" }],
  ])("%j is %j", (entity, parts) => {
    expect(parseEntity(entity)).toEqual(parts);
  });

  test.each([
    "ann",
    "",
    ":ann",
    "user:",
    ["user"],
    ["user", "ann", "x"],
    ["user", 7],
    {},
    { type: "user" },
    { type: "user", id: 7 },
    { type: "group", id: "eng", relation: 7 },
    null,
    undefined,
    7,
  ])("%j is none", (entity) => {
    const parse = () => parseEntity(entity as Entity);
    expect(parse).toThrow(ValidationError);
    expect(parse).toThrow(expect.objectContaining({ module: "authz", code: "entity_invalid", sqlstate: "22023" }));
  });

  test.each<Entity>([
    ["user", "a\0b"],
    "user:a\0b",
    { type: "group", id: "\0", relation: "member" },
    ["user", "a\ud83d"],
    "user:\udc00#member",
  ])("%j has an id that no database holds", (entity) => {
    const parse = () => parseEntity(entity);
    expect(parse).toThrow(ValidationError);
    expect(parse).toThrow(expect.objectContaining({ module: "authz", code: "id_invalid_chars", sqlstate: "22023" }));
  });

  test("those with a relation are not meant where a single one is", () => {
    expect(parseObject("user:ann")).toEqual({ type: "user", id: "ann" });
    expect(() => parseObject("group:eng#member")).toThrow("group:eng#member means all who have a relation");
  });

  test("are written as they are read", () => {
    for (const text of ["user:ann", "group:eng#member"] as const) expect(entityText(parseEntity(text))).toBe(text);
  });
});

describe("predicates", () => {
  const predicate = any(hasRole("admin"), all(hasPermission("posts:write"), not(hasRole("admin"))), hasRole("editor"));

  test("are plain objects, frozen at every level", () => {
    expect(JSON.parse(JSON.stringify(predicate))).toEqual({
      any: [
        { role: "admin" },
        { all: [{ permission: "posts:write" }, { not: { role: "admin" } }] },
        { role: "editor" },
      ],
    });
    const frozen = (value: unknown): boolean =>
      typeof value !== "object" || value === null || (Object.isFrozen(value) && Object.values(value).every(frozen));
    expect(frozen(predicate)).toBe(true);
    expect(frozen(canDo("read", "document:1"))).toBe(true);
  });

  test("know the roles and permissions that they name", () => {
    expect(slugsOf(predicate)).toEqual({ roles: ["admin", "editor"], permissions: ["posts:write"] });
    expect(slugsOf(canDo("read", "document:1"))).toEqual({ roles: [], permissions: [] });
  });

  test("remember in which requests they find their resources", () => {
    interface Context {
      id: string;
    }
    const combined = any(
      hasRole("admin"),
      canDo("read", (c: Context) => ["document", c.id]),
    );
    expectTypeOf(combined).toEqualTypeOf<Predicate<Context>>();
    expectTypeOf(not(all(hasRole("admin"), combined))).toEqualTypeOf<Predicate<Context>>();
    expectTypeOf<Predicate>().toExtend<Predicate<Context>>();
    expectTypeOf<Predicate<Context>>().not.toExtend<Predicate<Request>>();
  });
});

describe("the client", () => {
  test("keeps roles and permissions", async () => {
    expect(await rbac.createRole("editor", { label: "Editor" })).toBe(true);
    expect(await rbac.createRole("editor")).toBe(false);
    expect(await rbac.updateRole("editor", { label: "Editors", description: "write" })).toBe(true);
    expect(await rbac.createPermission("posts:write", { description: "all of them" })).toBe(true);
    expect(await rbac.updatePermission("posts:write", { label: "Write" })).toBe(true);
    expect(await rbac.grantRolePermission("editor", "posts:write")).toBe(true);
    expect(await rbac.listRoles()).toEqual([
      {
        slug: "editor",
        label: "Editors",
        description: "write",
        namespace: "acme",
        createdAt: expect.any(Date),
        permissions: ["posts:write"],
      },
    ]);
    const write = { slug: "posts:write", label: "Write", description: null, namespace: "acme" };
    expect(await rbac.listPermissions()).toEqual([{ ...write, createdAt: expect.any(Date) }]);
    expect(await rbac.listPermissions({ role: "other" })).toEqual([]);
    expect(await rbac.revokeRolePermission("editor", "posts:write")).toBe(true);
    expect(await rbac.deletePermission("posts:write")).toBe(true);
    expect(await rbac.deleteRole("editor")).toBe(true);
    expect(await rbac.deleteRole("editor")).toBe(false);
  });

  test("gives roles and permissions, and tells who has them", async () => {
    await rbac.createRole("editor");
    await rbac.createPermission("posts:write");
    await rbac.createPermission("posts:read");
    await rbac.grantRolePermission("editor", "posts:write");
    const ann = ["user", "ann"] as const;
    expect(await rbac.assignRole(ann, "editor", { expiresAt: new Date("2100-01-01") })).toBe(true);
    expect(await rbac.assignRole("user:ann", "editor")).toBe(true);
    expect(await rbac.assignRole({ type: "user", id: "ann" }, "editor")).toBe(false);
    expect(await rbac.grantPermission(ann, "posts:read")).toBe(true);
    expect(await rbac.hasRole(ann, "editor")).toBe(true);
    expect(await rbac.hasPermission(ann, "posts:write")).toBe(true);
    expect(await rbac.subjectRoles(ann)).toEqual(["editor"]);
    expect(await rbac.subjectPermissions(ann)).toEqual([
      { permission: "posts:read", direct: true, viaRoles: [] },
      { permission: "posts:write", direct: false, viaRoles: ["editor"] },
    ]);
    expect(await rbac.heldSlugs(ann, { roles: ["editor", "x"], permissions: ["posts:read", "x"] })).toEqual({
      roles: ["editor"],
      permissions: ["posts:read"],
    });
    expect(await rbac.unknownSlugs({ roles: ["editor", "x"], permissions: ["y"] })).toEqual(["x", "y"]);
    expect(await rbac.evaluate(ann, all(hasRole("editor"), not(hasPermission("x"))))).toBe(true);
    expect(await rbac.in("other").evaluate(ann, hasRole("editor"))).toBe(false);
    expect(await rbac.revokePermission(ann, "posts:read")).toBe(true);
    expect(await rbac.unassignRole(ann, "editor")).toBe(true);
    expect(await rbac.subjectPermissions(ann)).toEqual([]);
  });

  test("evaluates checks on resources that are fixed, or found in what it is given", async () => {
    await db.query("select authz.write('document', '1', 'read', 'user', 'ann', 'acme')");
    expect(await rbac.evaluate("user:ann", canDo("read", "document:1"))).toBe(true);
    const found = canDo("read", (request: { id: string }) => ["document", request.id]);
    expect(await rbac.evaluate("user:ann", found, { id: "1" })).toBe(true);
    expect(await rbac.evaluate("user:ann", found, { id: "2" })).toBe(false);
    expect(await rbac.evaluate("user:ann", not(found), { id: "2" })).toBe(true);
  });

  test("works in the caller's transaction", async () => {
    await db
      .transaction(async (tx) => {
        await rbac.using(tx).createRole("editor");
        throw new Error("never mind");
      })
      .catch(() => {});
    expect(await rbac.listRoles()).toEqual([]);
  });

  test("throws what the database refuses, as classes", async () => {
    await expect(rbac.createRole("Bad Slug")).rejects.toThrow(ValidationError);
    await expect(rbac.assignRole("user:ann", "nobody")).rejects.toThrow(NotFoundError);
    await expect(rbac.assignRole("group:eng#member", "nobody")).rejects.toMatchObject({ code: "entity_invalid" });
    await expect(rbac.evaluate("user:ann", hasRole("Bad Slug"))).rejects.toMatchObject({
      code: "predicate_invalid",
      detail: { path: "$.role" },
    });
  });
});

describe("meeting points", () => {
  // The interfaces that other modules declare, as they declare them.
  interface RoleSource {
    load(
      session: { namespace: string; userId: string; organizationId?: string },
      want: { roles: string[]; permissions: string[] },
    ): Promise<{ roles: Set<string>; permissions: Set<string> }>;
    unknown?(slugs: { roles: string[]; permissions: string[] }): Promise<string[]>;
  }
  interface RoleSink {
    assignRole(subject: [string, string], role: string): Promise<boolean>;
    unassignRole(subject: [string, string], role: string): Promise<boolean>;
  }

  beforeEach(async () => {
    await rbac.createRole("editor");
    await rbac.createPermission("posts:write");
    await rbac.grantRolePermission("editor", "posts:write");
  });

  test("authn's guards find the roles and permissions of their users", async () => {
    const source: RoleSource = roleSource(rbac);
    await rbac.assignRole(["user", "ann"], "editor");
    const want = { roles: ["editor", "admin"], permissions: ["posts:write", "posts:read"] };
    expect(await source.load({ namespace: "acme", userId: "ann" }, want)).toEqual({
      roles: new Set(["editor"]),
      permissions: new Set(["posts:write"]),
    });
    expect(await source.load({ namespace: "other", userId: "ann" }, want)).toEqual({
      roles: new Set(),
      permissions: new Set(),
    });
    expect(await source.unknown?.(want)).toEqual(["admin", "posts:read"]);
  });

  test("users may be subjects of another type", async () => {
    const source: RoleSource = roleSource(rbac, { subjectType: "person" });
    await rbac.assignRole(["person", "ann"], "editor");
    const { roles } = await source.load({ namespace: "acme", userId: "ann" }, { roles: ["editor"], permissions: [] });
    expect(roles).toEqual(new Set(["editor"]));
  });

  test("keys give roles to their keys", async () => {
    const sink: RoleSink = rbac;
    expect(await sink.assignRole(["api_key", "7"], "editor")).toBe(true);
    expect(await sink.assignRole(["api_key", "7"], "editor")).toBe(false);
    expect(await rbac.hasPermission(["api_key", "7"], "posts:write")).toBe(true);
    expect(await sink.unassignRole(["api_key", "7"], "editor")).toBe(true);
  });
});
