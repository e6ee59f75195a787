import { ConflictError, migrate, NotFoundError, ValidationError } from "@howdah/core";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Authz, authzModule, ConditionError, createAuthz, type Listing, ModelInvalidError } from "../src/index.ts";
import { wipe } from "./sql.ts";

let db: TestDatabase;
let authz: Authz;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
  authz = createAuthz(db, { namespace: "acme" });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

const ann = ["user", "ann"] as const;
const bob = "user:bob";
const api = { type: "repo", id: "api" };

describe("grants", () => {
  test("are made, checked and taken back", async () => {
    await authz.setHierarchy("repo", "admin", "write", "read");
    expect(await authz.grant("write", { resource: api, subject: ann })).toMatch(/^\d+$/);
    expect(await authz.check(ann, "read", api)).toBe(true);
    expect(await authz.check(ann, "admin", api)).toBe(false);
    expect(await authz.in("other").check(ann, "read", api)).toBe(false);
    expect(await authz.revoke("write", { resource: api, subject: ann })).toBe(true);
    expect(await authz.revoke("write", { resource: api, subject: ann })).toBe(false);
    expect(await authz.check(ann, "read", api)).toBe(false);
  });

  test("to a group reach its members, and only those that a relation names", async () => {
    await authz.grant("member", { resource: "team:eng", subject: ann });
    await authz.grant("guest", { resource: "team:eng", subject: bob });
    await authz.grant("read", { resource: api, subject: "team:eng#member" });
    expect(await authz.check(ann, "read", api)).toBe(true);
    expect(await authz.check(bob, "read", api)).toBe(false);
    expect(await authz.check("team:eng#member", "read", api)).toBe(true);
  });

  test("belong to the transaction that makes them, and to who acts", async () => {
    const stop = new Error("stop");
    const work = db.transaction(async (tx) => {
      await authz.using(tx).grant("read", { resource: api, subject: ann });
      expect(await authz.using(tx).check(ann, "read", api)).toBe(true);
      throw stop;
    });
    await expect(work).rejects.toBe(stop);
    expect(await authz.check(ann, "read", api)).toBe(false);
    await authz.as({ actorId: "user:eve", reason: "ticket 7" }).grant("read", { resource: api, subject: ann });
    expect(await authz.auditEvents({ eventType: "tuple_created" }).page()).toMatchObject([
      {
        actorId: "user:eve",
        reason: "ticket 7",
        relation: "read",
        subjectId: "ann",
        eventTime: expect.any(Date),
        sessionUserName: expect.any(String),
        currentUserName: expect.any(String),
        clientAddr: expect.any(String),
        clientPort: expect.any(Number),
      },
    ]);
  });

  test("are made many at once, transferred, and taken back by subject and resource", async () => {
    expect(await authz.grantMany("read", { resource: api, subjectType: "user", subjectIds: ["a", "b", "a"] })).toBe(2);
    const many = { resourceType: "repo", resourceIds: ["x", "y"], subject: "team:eng#member" } as const;
    expect(await authz.grantOnMany("read", many)).toBe(2);
    expect(await authz.transferGrant("read", { resource: api, from: "user:a", to: bob })).toBe(true);
    expect(await authz.check(bob, "read", api)).toBe(true);
    expect(await authz.revokeAllGrants(bob, { resourceType: "repo" })).toBe(1);
    expect(await authz.revokeResourceGrants(api, { relation: "read" })).toBe(1);
    const batch = { writes: ["repo:z#read@user:ann", { resource: api, relation: "read", subject: bob }] } as const;
    expect(await authz.write(batch)).toEqual({ written: 2, deleted: 0 });
    expect(await authz.write({ deletes: ["repo:z#read@user:ann"] })).toEqual({ written: 0, deleted: 1 });
    expect(await authz.readTuples({ resourceType: "repo", resourceId: "api" }).page()).toMatchObject([
      { relation: "read", subjectType: "user", subjectId: "bob", createdAt: expect.any(Date) },
    ]);
  });

  test("are read back as they were written, by what one knows of them", async () => {
    const [nfd, nfc] = ["cafe\u0301", "caf\u00e9"];
    await authz.grant("read", { resource: ["repo", nfd], subject: { type: "team", id: nfd, relation: "member" } });
    await authz.grant("read", { resource: ["repo", nfc], subject: ["user", nfc] });
    const [first, second] = await authz.readTuples().page();
    expect(first).toMatchObject({ resourceId: nfd, subjectId: nfd, subjectRelation: "member" });
    expect(second).toMatchObject({ resourceId: nfc, subjectId: nfc, subjectRelation: null });
    expect(Object.keys(second ?? {})).not.toContain("subjectIdRaw");
    expect(await authz.readTuples({ resourceId: nfc, subjectRelation: null, condition: null }).page()).toEqual([
      second,
    ]);
    expect(await authz.readTuples({ subjectId: nfc, subjectRelation: "member" }).page()).toEqual([first]);
    expect(await authz.readTuples({ condition: "office" }, { includeExpired: true }).page()).toEqual([]);
    const misspelt = authz.readTuples({ resource: "x" } as never).page();
    await expect(misspelt).rejects.toThrow("filter.resource is not known, it may be resource_type, resource_id");
    const wrong = authz.auditEvents({ subjectId: null } as never).page();
    await expect(wrong).rejects.toThrow("filter.subject_id must be a text");
  });

  test("end, and may be prolonged", async () => {
    const grant = { resource: api, subject: ann };
    const soon = new Date(Date.now() + 3_600_000);
    await authz.grant("read", { ...grant, expiresAt: soon });
    expect(await authz.listExpiring("2 hours")).toMatchObject([{ subjectId: "ann", expiresAt: soon }]);
    expect(await authz.listExpiring("1 minute")).toEqual([]);
    const later = await authz.extendExpiration("read", grant, "1 day");
    expect(later.getTime() - soon.getTime()).toBe(86_400_000);
    expect(await authz.setExpiration("read", grant, null)).toBe(true);
    expect(await authz.clearExpiration("read", grant)).toBe(true);
    expect(await authz.listGrants(ann)).toMatchObject([{ resourceId: "api", relation: "read", expiresAt: null }]);
    const nothing = authz.extendExpiration("write", grant, "1 day");
    await expect(nothing).rejects.toBeInstanceOf(NotFoundError);
    expect(await authz.cleanupExpired()).toBe(0);
  });

  test("are refused with a class, a code and a message", async () => {
    await authz.grant("member", { resource: "team:a", subject: "team:b" });
    const cycle = authz.grant("member", { resource: "team:b", subject: "team:a" });
    await expect(cycle).rejects.toBeInstanceOf(ConflictError);
    await expect(cycle).rejects.toMatchObject({ module: "authz", code: "cycle_group" });
    const past = authz.grant("read", { resource: api, subject: ann, expiresAt: new Date(0) });
    await expect(past).rejects.toBeInstanceOf(ValidationError);
    expect(() => authz.grant("read", { resource: "api" as never, subject: ann })).toThrow("is no subject or resource");
    expect(() => authz.listGrants("team:a#member")).toThrow("a single subject or resource is meant");
    expect(() => authz.listGrants(["user", 1n] as never)).toThrow('"user,1" is no subject or resource');
  });

  test("are refused with an error of ours if they hold what neither JSON nor SQL can say", async () => {
    const grant = { resource: api, subject: ann };
    const never = new Date("x");
    const big = { limit: 1n };
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    const question = { subject: ann, permission: "read", resource: api } as const;
    const condition = { name: "office", context: big };
    const attempts: [() => unknown, string][] = [
      [() => authz.grant("read", { ...grant, expiresAt: never }), "time_invalid"],
      [() => authz.write({ writes: [{ ...grant, relation: "read", expiresAt: never }] }), "time_invalid"],
      [() => authz.setExpiration("read", grant, never), "time_invalid"],
      [() => authz.auditEvents().page({ cursor: { id: "1", eventTime: never } }), "time_invalid"],
      [() => authz.grant("read", { ...grant, condition }), "condition_invalid"],
      [() => authz.write({ writes: [{ ...grant, relation: "read", condition }] }), "condition_invalid"],
      [() => authz.check(ann, "read", api, { context: circle }), "condition_invalid"],
      [() => authz.checkBatch([question], { context: big }), "condition_invalid"],
      [() => authz.loader({ context: big }).check(ann, "read", api), "condition_invalid"],
      [() => authz.permissionsOn(ann, api, { context: big }), "condition_invalid"],
      [() => authz.listObjects(ann, "repo", "read", { context: big }), "condition_invalid"],
      [() => authz.explainJson(ann, "read", api, { context: big }), "condition_invalid"],
    ];
    for (const [attempt, code] of attempts) {
      const error = await (async () => attempt())().catch((reason: unknown) => reason);
      expect([attempt.toString(), error]).toEqual([attempt.toString(), expect.any(ValidationError)]);
      expect(error).toMatchObject({ module: "authz", code });
    }
  });
});

describe("questions", () => {
  beforeEach(async () => {
    await authz.setHierarchy("repo", "write", "read");
    await authz.write({ writes: ["repo:api#write@user:ann", "repo:web#read@user:ann", "repo:web#read@user:bob"] });
  });

  test("are asked one by one, many at once, and in a batch", async () => {
    expect(await authz.checkAny(ann, ["admin", "read"], api)).toBe(true);
    expect(await authz.checkAll(ann, ["admin", "read"], api)).toBe(false);
    const page = { resourceType: "repo", resourceIds: ["web", "api", "none"] };
    expect(await authz.filterAuthorized(ann, "read", page)).toEqual(["api", "web"]);
    expect((await authz.permissionsOn(ann, api)).toSorted()).toEqual(["read", "write"]);
    const questions = [
      { subject: bob, permission: "read", resource: api },
      { subject: ann, permission: "read", resource: api },
    ] as const;
    expect(await authz.checkBatch(questions)).toEqual([
      { allowed: false, errorCode: null },
      { allowed: true, errorCode: null },
    ]);
  });

  test("of one turn of the event loop go together, equal ones once", async () => {
    const calls: unknown[][] = [];
    const spied = createAuthz(db, { namespace: "acme" });
    const { checkBatch } = spied;
    spied.checkBatch = (questions, options) => {
      calls.push([...questions]);
      return checkBatch.call(spied, questions, options);
    };
    const loader = spied.loader();
    const asked = [
      loader.check(ann, "read", api),
      loader.check("user:ann", "read", api),
      loader.check(bob, "read", api),
    ];
    expect(await Promise.all(asked)).toEqual([true, true, false]);
    expect(await loader.check(ann, "read", api)).toBe(true);
    expect(calls.map((questions) => questions.length)).toEqual([2]);
    const broken = new Error("broken");
    spied.checkBatch = () => Promise.reject(broken);
    await expect(spied.loader().check(ann, "read", api)).rejects.toBe(broken);
  });

  test("that go together are told apart, whatever characters ids have", async () => {
    await authz.grant("member", { resource: "team:eng", subject: ann });
    await authz.grant("read", { resource: "repo:secret", subject: "team:eng#member" });
    await authz.grant("read", { resource: ["repo", "a:b#c"], subject: ["user", 'x","y'] });
    const loader = authz.loader();
    const asked = [
      loader.check({ type: "team", id: "eng", relation: "member" }, "read", "repo:secret"),
      loader.check(["team", "eng#member"], "read", "repo:secret"),
      loader.check({ type: "team", id: "eng" }, "read", "repo:secret"),
      loader.check(["user", 'x","y'], "read", ["repo", "a:b#c"]),
      loader.check({ type: "user", id: 'x","y', relation: undefined }, "read", ["repo", "a:b#c"]),
      loader.check(["user", "x"], "read", ["repo", "a:b#c"]),
    ];
    expect(await Promise.all(asked)).toEqual([true, false, false, true, true, false]);
  });

  test("that go together fail alone, and are asked again after a failure", async () => {
    const flaky = createAuthz(db, { namespace: "acme" });
    const loader = flaky.loader();
    const asked = await Promise.allSettled([
      loader.check(ann, "read", api),
      loader.check(ann, "READ", api),
      loader.check("User:ann", "read", api),
      loader.check(ann, "read", "repo:api#admin"),
      loader.check(bob, "read", api),
    ]);
    expect(asked.map((one) => (one.status === "fulfilled" ? one.value : one.reason.code))).toEqual([
      true,
      "array_element_invalid",
      "array_element_invalid",
      "entity_invalid",
      false,
    ]);
    const { checkBatch } = flaky;
    flaky.checkBatch = () => Promise.reject(new Error("the connection broke"));
    await expect(loader.check(bob, "write", api)).rejects.toThrow("the connection broke");
    flaky.checkBatch = checkBatch;
    expect(await loader.check(bob, "write", api)).toBe(false);
    const many = Array.from({ length: 1500 }, (_, i) => loader.check(ann, "read", ["repo", `r${i}`]));
    expect((await Promise.all(many)).filter(Boolean)).toEqual([]);
  });

  test("may be lists, by pages and one after the other", async () => {
    const found: string[] = [];
    for await (const id of authz.listResources(ann, "repo", "read")) found.push(id);
    expect(found).toEqual(["api", "web"]);
    expect(await authz.listResources(ann, "repo", "read").page({ limit: 1 })).toEqual(["api"]);
    expect(await authz.listResources(ann, "repo", "read").page({ cursor: "api" })).toEqual(["web"]);
    expect((await authz.listObjects(ann, "repo", "read")).toSorted()).toEqual(["api", "web"]);
    const readers = authz.listSubjects("repo:web", "read");
    expect(await readers.page()).toEqual([
      { type: "user", id: "ann" },
      { type: "user", id: "bob" },
    ]);
    expect(await readers.page({ limit: 1, cursor: { type: "user", id: "ann" } })).toEqual([
      { type: "user", id: "bob" },
    ]);
    expect(await authz.countSubjects("repo:web", "read")).toBe(2);
  });

  test("that are lists all have pages that go on after the last element of the one before", async () => {
    await authz
      .in("globex")
      .write({ writes: ["repo:a#read@user:ann", "repo:b#read@user:ann", "repo:c#read@user:ann"] });
    await db.transaction(async (tx) => {
      const inside = authz.using(tx);
      await inside.setViewer(ann);
      for (const list of [
        inside.listResources(ann, "repo", "read"),
        inside.listSubjects("repo:web", "read"),
        inside.listExternalResources(ann, "repo", "read"),
        inside.readTuples({ resourceType: "repo" }),
        inside.auditEvents({ resourceType: "repo" }),
      ] as Listing<unknown, never>[]) {
        const all: unknown[] = [];
        for await (const each of list) all.push(each);
        expect(all.length).toBeGreaterThan(1);
        const paged: unknown[] = [];
        let page = await list.page({ limit: 1 });
        for (
          ;
          page.length > 0 && paged.length <= all.length;
          page = await list.page({ limit: 1, cursor: page[0] as never })
        ) {
          paged.push(...page);
        }
        expect(paged).toEqual(all);
      }
    });
  });

  test("go on over many pages", async () => {
    const subjectIds = Array.from({ length: 1000 }, (_, i) => `u${i}`);
    await authz.grantMany("read", { resource: "repo:big", subjectType: "user", subjectIds });
    await authz.grantMany("read", { resource: "repo:big", subjectType: "user", subjectIds: ["zoe"] });
    const found: string[] = [];
    for await (const { id } of authz.listSubjects("repo:big", "read")) found.push(id);
    expect(found).toHaveLength(1001);
    expect(new Set(found).size).toBe(1001);
  });

  test("are explained", async () => {
    expect(await authz.explain(ann, "read", api)).toMatchObject([{ pathType: "hierarchy", viaRelation: "write" }]);
    expect(await authz.explainJson(ann, "read", api)).toMatchObject({ allowed: true });
    expect(await authz.explainJson(bob, "write", api)).toMatchObject({ allowed: false });
  });

  test("may reach over tenants, for the viewer itself", async () => {
    await authz.in("globex").grant("read", { resource: "repo:shared", subject: ann });
    const found = await db.transaction(async (tx) => {
      const inside = authz.using(tx);
      await inside.setViewer(ann);
      const shared = await inside.listExternalResources(ann, "repo", "read").page();
      await inside.clearViewer();
      return shared;
    });
    expect(found).toMatchObject([{ namespace: "globex", resourceId: "shared", createdAt: expect.any(Date) }]);
  });

  test("of how much there is, and whether it is well", async () => {
    expect(await authz.getStats()).toEqual({
      tupleCount: "3",
      hierarchyRuleCount: "1",
      uniqueUsers: "2",
      uniqueResources: "2",
    });
    expect(await authz.verify()).toEqual([]);
    expect(await authz.addHierarchyRule("repo", "write", "read")).toMatch(/^\d+$/);
    expect(await authz.removeHierarchyRule("repo", "write", "read")).toBe(true);
    expect(await authz.clearHierarchy("repo")).toBe(0);
  });
});

describe("a model", () => {
  const dsl = `model
  schema 1.1
type user
type document
  relations
    define blocked: [user]
    define owner: [user]
    define viewer: [user, user:*, user with at_work] or owner
    define can_read: viewer but not blocked
condition at_work(ip: ipaddress) {
  ip.in_cidr("10.0.0.0/8")
}
`;

  test("is written, asked, changed and changed back", async () => {
    const first = await authz.model.write(dsl, { activate: true });
    expect(await authz.model.write(dsl)).toBe(first);
    await authz.write({
      writes: ["document:1#owner@user:ann", "document:2#viewer@user:*", "document:2#blocked@user:bob"],
    });
    expect(await authz.check(ann, "can_read", "document:1")).toBe(true);
    expect(await authz.check(bob, "can_read", "document:2")).toBe(false);
    expect((await authz.listObjects(ann, "document", "can_read")).toSorted()).toEqual(["1", "2"]);
    expect(await authz.listSubjects("document:2", "can_read", { subjectType: "user" }).page()).toEqual([
      { type: "user", id: "*" },
    ]);
    expect(await authz.permissionsOn(ann, "document:1")).toEqual(
      expect.arrayContaining(["can_read", "owner", "viewer"]),
    );
    expect(await authz.expand("document:1", "viewer")).toMatchObject({
      tree: {
        root: {
          name: "document:1#viewer",
          union: { nodes: [{}, { leaf: { computed: { userset: "document:1#owner" } } }] },
        },
      },
    });
    const next = dsl.replace(" but not blocked", "");
    expect(await authz.model.diff(next)).toMatchObject([{ what: "document#can_read", after: "viewer" }]);
    const second = await authz.model.write(next, { activate: true });
    expect(await authz.check(bob, "can_read", "document:2")).toBe(true);
    expect(await authz.model.get()).toMatchObject({ modelId: second, isActive: true, dsl: next });
    expect(await authz.model.activate(first)).toBe(true);
    expect(await authz.model.activate(first)).toBe(false);
    expect(await authz.check(bob, "can_read", "document:2")).toBe(false);
    expect(await authz.model.list()).toHaveLength(2);
    expect(await authz.model.compiledSource(first, "document", "viewer")).toContain("authz_rt.m_");
    expect(await authz.model.compiledSource(first, "document", "reader")).toBeNull();
    expect(await authz.model.validate()).toEqual([]);
  });

  test("with conditions can leave a question open, which is never access", async () => {
    await authz.model.write(dsl, { activate: true });
    const condition = { name: "at_work" };
    await authz.grant("viewer", { resource: "document:1", subject: ann, condition });
    const inside = { context: { ip: "10.1.1.1" } };
    expect(await authz.check(ann, "viewer", "document:1", inside)).toBe(true);
    expect(await authz.check(ann, "viewer", "document:1", { context: { ip: "11.1.1.1" } })).toBe(false);
    const open = await authz.check(ann, "viewer", "document:1").catch((error: unknown) => error);
    expect(open).toBeInstanceOf(ConditionError);
    expect(open).toMatchObject({ code: "condition_context_missing", missing: ["ip"] });
    await db.transaction(async (tx) => {
      const decision = await authz.using(tx).checkDetailed(ann, "viewer", "document:1");
      expect(decision).toMatchObject({ allowed: false, unknown: true, missing: ["ip"] });
      expect(await authz.using(tx).checkDetailed(ann, "viewer", "document:1", inside)).toEqual({
        allowed: true,
        unknown: false,
        missing: [],
      });
    });
    expect(await authz.permissionsOn(ann, "document:1", inside)).toEqual(["can_read", "viewer"]);
    expect(await authz.permissionsOn(ann, "document:1")).toEqual([]);
    const unknown = authz.loader().check(ann, "viewer", "document:1");
    await expect(unknown).rejects.toBeInstanceOf(ConditionError);
    const loader = authz.loader();
    const [no, robot, viewers] = await Promise.allSettled([
      loader.check(bob, "viewer", "document:1"),
      loader.check("robot:r", "viewer", "document:1"),
      loader.check(ann, "viewers", "document:1"),
    ]);
    expect(no).toMatchObject({ value: false });
    expect(robot).toMatchObject({ reason: { code: "type_unknown" } });
    expect(viewers).toMatchObject({ reason: expect.any(ValidationError) });
    const contextualTuples = ["document:9#owner@user:bob"];
    expect(await authz.check(bob, "can_read", "document:9", { contextualTuples })).toBe(true);
    expect(await authz.check(bob, "can_read", "document:9")).toBe(false);
  });

  test("that is wrong is refused with all that is wrong, and one whose tests fail is not activated", async () => {
    const wrong = authz.model.write(dsl.replace("viewer but not blocked", "reader but not banned"));
    await expect(wrong).rejects.toBeInstanceOf(ModelInvalidError);
    await expect(wrong).rejects.toMatchObject({ problems: [{ line: 9 }, { line: 9 }] });
    const tests = [
      {
        name: "everyone reads",
        check: [{ user: "user:ann", object: "document:1", assertions: { can_read: true } }],
      },
    ];
    // A model of its own, whose functions no other test has installed.
    const failing = authz.model.write(dsl.replace("type user", "type user\ntype folder"), { activate: true, tests });
    await expect(failing).rejects.toMatchObject({ code: "model_tests_failed" });
    expect(await authz.model.get()).toBeNull();
    expect((await db.query("select hash from authz.programs where source ~ 'folder'")).rows).toEqual([]);
    const id = await db.transaction(async (tx) => {
      const stored = await authz.using(tx).model.write(dsl, { tests });
      expect(await authz.model.list()).toEqual([]);
      return stored;
    });
    expect(await authz.model.test(id)).toMatchObject([{ name: "everyone reads", passed: false }]);
  });
});

test("the client works for roles and as a source of roles", async () => {
  await authz.rbac.createRole("editor");
  await authz.rbac.assignRole(ann, "editor");
  const source = authz.roleSource();
  const session = { namespace: "acme", userId: "ann" };
  expect(await source.load(session, { roles: ["editor", "admin"], permissions: [] })).toEqual({
    roles: new Set(["editor"]),
    permissions: new Set(),
  });
  expect(await source.unknown({ roles: ["editor", "nobody"], permissions: [] })).toEqual(["nobody"]);
});

test("migrating twice changes nothing", async () => {
  expect((await migrate(db, [authzModule])).modules).toEqual([]);
});
