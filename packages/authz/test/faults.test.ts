// What breaks on the way: no call that fails grants anything, changes half of anything, or pretends to have ended.
import { connect } from "@howdah/core";
import { crash, inRollback, type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Authz, createAuthz } from "../src/index.ts";
import { authzModule } from "../src/module.ts";
import { argumentsOf, call, publicFunctions, settle } from "./functions.ts";
import { useModel } from "./program.ts";
import { rows, value, wipe } from "./sql.ts";

describe("A record of changes that cannot be kept", () => {
  let db: TestDatabase;
  afterAll(() => db.close());

  /** All that functions change and record. */
  const state = `select jsonb_build_array(
    (select jsonb_agg(to_jsonb(t) order by t.namespace, t.id) from authz.tuples t),
    (select jsonb_agg(to_jsonb(h) order by h.namespace, h.id) from authz.permission_hierarchy h),
    (select jsonb_agg(to_jsonb(c) order by c.namespace, c.resource_type, c.permission) from authz.permission_closure c),
    (select jsonb_agg(to_jsonb(r) order by r.namespace, r.slug) from authz.roles r),
    (select jsonb_agg(to_jsonb(p) order by p.namespace, p.slug) from authz.permissions p),
    (select jsonb_agg(to_jsonb(a) order by a.namespace) from authz.active_models a))::text`;

  test.each([
    ["is refused", "alter table authz.audit_events add constraint never check (event_id is null) not valid", "23514"],
    [
      "has no partition",
      `do $$ declare p regclass; begin
         for p in select inhrelid from pg_inherits where inhparent = 'authz.audit_events'::regclass loop
           execute format('drop table %s', p);
         end loop; end $$`,
      "23514",
    ],
  ])("because it %s stops every change, and only changes", async (_, break_, code) => {
    db ??= await testDatabase({ modules: [authzModule] });
    const stopped: string[] = [];
    await inRollback(db, async (client) => {
      const places = await settle(client);
      await client.query("update authz.tuples set expires_at = now() - interval '1 s' where resource_id = '5'");
      await client.query(break_);
      const before = await value(client, state);
      for (const f of await publicFunctions(db)) {
        for (const place of places) {
          await client.query("savepoint attempt");
          const failed = await call(client, f, argumentsOf(f, place)).then(
            () => undefined,
            (error: { code: string }) => error.code,
          );
          if (failed === undefined) expect([f.name, await value(client, state)]).toEqual([f.name, before]);
          else if (f.name !== "assert_rls_active") {
            stopped.push(f.name);
            expect([f.name, failed, f.isStable]).toEqual([f.name, code, false]);
          }
          await client.query("rollback to attempt");
        }
      }
    });
    expect([...new Set(stopped)]).toEqual([
      ...["activate_model", "add_hierarchy", "assign_role", "cleanup_expired", "clear_hierarchy"],
      ...["create_permission", "create_role", "delete", "delete_permission", "delete_role", "delete_tuple"],
      ...["extend_expiration", "grant_permission", "grant_to_resources_bulk", "maintain", "remove_hierarchy"],
      ...["revoke_permission", "revoke_resource_grants", "revoke_role_permission", "revoke_subject_grants"],
      ...["set_expiration", "transfer_tuple", "unassign_role", "update_permission", "update_role"],
      ...["write", "write_tuple", "write_tuples", "write_tuples_bulk"],
    ]);
  });
});

test("A program whose functions are gone allows nothing, and denies nothing", async () => {
  await using db = await testDatabase({ modules: [authzModule] });
  const [place] = await settle(db);
  const asked = (await publicFunctions(db)).filter(({ name }) =>
    /^(check|filter_authorized|list_(objects|resources|subjects)|count_subjects|permissions_on|evaluate|write)/.test(
      name,
    ),
  );
  await db.query("select authz._drop_functions(hash) from authz.programs");
  for (const f of asked) {
    if (!place || f.name === "write_model") continue;
    const answer = call(db, f, argumentsOf(f, place));
    await expect(answer, f.name).rejects.toMatchObject({ code: "42883" });
  }
  expect(asked.length).toBeGreaterThan(15);
  expect(await value(db, "select has_role from authz.has_role('user', 'ann', 'editor', 'modelled')")).toBe(true);
});

describe("A walk that takes too long", () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await testDatabase({ modules: [authzModule] });
    await useModel(
      db,
      `
type user
type folder
  relations
    define parent: [folder]
    define gate: [user:*]
    define blocked: [user]
    define viewer: [user] or viewer from parent
    define open: viewer but not blocked
    define looping: ([user] or looping from parent) and (gate or looping from parent)`,
      { namespace: "modelled" },
    );
    await db.query(
      `alter table authz.tuples disable trigger user;
       insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
       select n, 'folder', i::text, 'parent', 'folder', (i + 1)::text
       from unnest('{modelled,plain}'::text[]) n, generate_series(1, 100000) i
       union all select n, 'folder', '100001', 'viewer', 'user', 'ann' from unnest('{modelled,plain}'::text[]) n;
       alter table authz.tuples enable trigger user`,
    );
    await db.query("vacuum analyze authz.tuples");
  });
  afterAll(() => db.close());

  const batch = `'["folder:1#viewer@user:ann", "folder:2#viewer@user:bob"]'`;
  const calls = (namespace: string): string[] => [
    `check('user', 'ann', 'viewer', 'folder', '1', '${namespace}')`,
    `check('user', 'ann', 'viewer', 'folder', '1', '${namespace}', null, null, '["folder:x#parent@folder:y"]')`,
    `check_any('user', 'ann', '{viewer}', 'folder', '1', '${namespace}')`,
    `check_all('user', 'ann', '{viewer}', 'folder', '1', '${namespace}')`,
    `check_batch(${batch}, '${namespace}')`,
    `check_detailed('user', 'ann', 'viewer', 'folder', '1', '${namespace}')`,
    `filter_authorized('user', 'ann', 'folder', 'viewer', '{1,2,3,4,5,6,7,8,9,10}', '${namespace}')`,
    `list_objects('user', 'ann', 'folder', 'viewer', '${namespace}')`,
    `list_subjects('folder', '1', 'viewer', '${namespace}')`,
    `count_subjects('folder', '1', 'viewer', '${namespace}')`,
    `permissions_on('user', 'ann', 'folder', '1', '${namespace}')`,
    `explain_json('user', 'bob', 'viewer', 'folder', '1', '${namespace}')`,
    `evaluate('user', 'ann', '{"not": {"check": {"permission": "viewer", "resource_type": "folder", "resource_id": "1"}}}',
      '${namespace}')`,
    ...(namespace === "modelled" ? [`check('user', 'ann', 'open', 'folder', '1', 'modelled')`] : []),
    ...(namespace === "plain" ? [`verify_integrity('plain')`] : []),
  ];

  test.each([...calls("plain"), ...calls("modelled")])(
    "%s is cancelled there, answers nothing, and harms nothing",
    async (call) => {
      const client = await db.client();
      // What must be planned is planned before.
      const near = call.replaceAll(/'1'|folder:[12]#|"1"|\{1,2[^}]*\}/g, (text) =>
        text.replace(/[12](,\d+)*/, "100001"),
      );
      await client.query(
        `select * from authz.${near.replace(/^verify_integrity.*|^list_objects.*/, "get_stats('other')")}`,
      );
      await client.query("set statement_timeout = 15");
      await expect(client.query(`select * from authz.${call}`)).rejects.toMatchObject({ code: "57014" });
      await client.query("set statement_timeout = 0");
      const { rows } = await client.query(
        `select authz.check('user', 'ann', 'viewer', 'folder', '100000', n) as allowed from unnest('{modelled,plain}'::text[]) n`,
      );
      expect(rows).toEqual([{ allowed: true }, { allowed: true }]);
      await client.end();
    },
  );
});

/** All that an iterator gives. */
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

describe("With the client,", () => {
  let db: TestDatabase;
  let authz: Authz;
  beforeAll(async () => {
    db = await testDatabase({ modules: [authzModule] });
    authz = createAuthz(db, { namespace: "acme" });
  });
  beforeEach(() => wipe(db));
  afterAll(() => db.close());
  const doc = "doc:1";

  /** Runs a call that waits for a lock, terminates its backend, and says how it ended. */
  async function killed(fn: () => Promise<unknown>): Promise<unknown> {
    const blocker = await db.client();
    await blocker.query("begin; lock table authz.tuples in access exclusive mode");
    const ended = fn().then(
      (result) => ({ result }),
      (error: unknown) => ({ error }),
    );
    const waiting = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    await expect.poll(async () => (await rows(db, waiting)).length).toBe(1);
    await db.query(`select pg_terminate_backend(pid, 60000) from (${waiting}) w`);
    const end = await ended;
    await blocker.query("rollback");
    await blocker.end();
    return end;
  }

  test("a connection that dies while a question is asked answers nothing, to nobody who waits", async () => {
    const once = connect(db.pool, { retry: false });
    const asking = createAuthz(once, { namespace: "acme" });
    await authz.grant("read", { resource: doc, subject: "user:ann" });
    const gone = { error: expect.objectContaining({ name: "ConnectionError" }) };
    const questions: (() => Promise<unknown>)[] = [
      () => asking.check("user:ann", "read", doc),
      () => asking.checkDetailed("user:ann", "read", doc),
      () => asking.checkAny("user:ann", ["read"], doc),
      () => asking.checkBatch([{ subject: "user:ann", permission: "read", resource: doc }]),
      () => asking.filterAuthorized("user:ann", "read", { resourceType: "doc", resourceIds: ["1"] }),
      () => asking.listObjects("user:ann", "doc", "read"),
      () => asking.permissionsOn("user:ann", doc),
      () => all(asking.listResources("user:ann", "doc", "read")),
      () => all(asking.listSubjects(doc, "read")),
      () => asking.rbac.evaluate("user:ann", { not: { role: "nobody" } }),
      () => asking.rbac.hasRole("user:ann", "nobody"),
    ];
    for (const [i, ask] of questions.entries()) expect([i, await killed(ask)]).toEqual([i, gone]);

    const loader = asking.loader();
    const answers = await killed(() =>
      Promise.allSettled([loader.check("user:ann", "read", doc), loader.check("user:bob", "read", doc)]),
    );
    expect(answers).toMatchObject({ result: [{ status: "rejected" }, { status: "rejected" }] });
    // What failed is not remembered.
    expect(await loader.check("user:ann", "read", doc)).toBe(true);
    expect(await loader.check("user:bob", "read", doc)).toBe(false);
  });

  test("a list whose connection dies between two pages fails, and does not just end", async () => {
    const subjectIds = Array.from({ length: 1000 }, (_, i) => `u${String(i).padStart(4, "0")}`);
    await authz.grantMany("read", { resource: doc, subjectType: "user", subjectIds });
    await authz.grantMany("read", { resource: doc, subjectType: "user", subjectIds: ["u9999"] });
    const client = await db.client();
    const listing = createAuthz(client, { namespace: "acme" }).listSubjects(doc, "read");
    const found: unknown[] = [];
    const reading = (async () => {
      for await (const subject of listing) {
        if (found.length === 500) await crash(client);
        found.push(subject);
      }
    })();
    await expect(reading).rejects.toThrow();
    expect(found).toHaveLength(1000);
  });

  test("a transaction whose connection dies is as if it had never been, whatever it did", async () => {
    await authz.setHierarchy("doc", "write", "read");
    await authz.write({ writes: ["doc:1#write@user:ann", "team:a#member@team:b"] });
    await authz.rbac.createRole("editor");
    const before = await rows(db, "select * from authz.tuples order by id");
    const audited = await value(db, "select count(*)::int from authz.audit_events");
    const dying = db.transaction(
      async (tx) => {
        const inside = authz.using(tx);
        await inside.write({
          writes: ["team:c#member@team:a", "doc:2#parent@doc:1"],
          deletes: ["doc:1#write@user:ann"],
        });
        await inside.transferGrant("member", { resource: "team:a", from: "team:b", to: "team:d" });
        await inside.addHierarchyRule("doc", "admin", "write");
        await inside.rbac.deleteRole("editor");
        await inside.model.write(
          "model\n  schema 1.1\ntype user\ntype note\n  relations\n    define reader: [user]\n",
          {
            activate: true,
          },
        );
        await db.query("select pg_terminate_backend($1, 60000)", [await value(tx, "select pg_backend_pid()")]);
        return inside.check("user:ann", "read", doc);
      },
      { retry: false },
    );
    await expect(dying).rejects.toMatchObject({ name: "ConnectionError" });

    expect(await rows(db, "select * from authz.tuples order by id")).toEqual(before);
    expect(await value(db, "select count(*)::int from authz.audit_events")).toBe(audited);
    expect(await authz.model.get()).toBeNull();
    expect(await authz.check("user:ann", "read", doc)).toBe(true);
    // Nothing is locked any more.
    await authz.write({ writes: ["team:b#member@team:c", "doc:1#parent@doc:2"], deletes: ["doc:1#write@user:ann"] });
    await authz.addHierarchyRule("doc", "read", "admin");
    await authz.rbac.assignRole("user:ann", "editor");
  });

  test("a decision that others have made wrong meanwhile is made again: checks take part in serializable transactions", async () => {
    let attempts = 0;
    const arrived: (() => void)[] = [];
    /** Lets all first attempts decide before any of them writes. */
    const together = (): Promise<void> =>
      new Promise((resolve) => {
        arrived.push(resolve);
        if (arrived.length === 3) for (const go of arrived) go();
      });
    const claim = (user: string): Promise<boolean> => {
      let isFirst = true;
      return db.transaction(
        async (tx) => {
          attempts += 1;
          const inside = authz.using(tx);
          const isFree = (await inside.countSubjects(doc, "own")) === 0;
          if (isFirst) await together();
          isFirst = false;
          if (isFree) await inside.grant("own", { resource: doc, subject: ["user", user] });
          return isFree;
        },
        { isolation: "serializable" },
      );
    };
    const won = await Promise.all(["ann", "bob", "cat"].map(claim));
    expect(won.filter(Boolean)).toHaveLength(1);
    expect(attempts).toBeGreaterThan(3);
    expect(await authz.countSubjects(doc, "own")).toBe(1);
  });

  test("transactions that wait for each other are both done in the end", async () => {
    await authz.write({ writes: ["doc:1#read@user:ann", "doc:2#read@user:ann"] });
    const soon = new Date(Date.now() + 3_600_000);
    let waiting = 0;
    let release = (): void => {};
    const both = new Promise<void>((resolve) => {
      release = resolve;
    });
    let attempts = 0;
    const touch = (first: string, second: string): Promise<void> =>
      db.transaction(async (tx) => {
        attempts += 1;
        const inside = authz.using(tx);
        await inside.setExpiration("read", { resource: ["doc", first], subject: "user:ann" }, soon);
        waiting += 1;
        if (waiting === 2) release();
        await both;
        await inside.setExpiration("read", { resource: ["doc", second], subject: "user:ann" }, soon);
      });
    await Promise.all([touch("1", "2"), touch("2", "1")]);
    expect(attempts).toBe(3);
    expect(await authz.listGrants("user:ann")).toMatchObject([{ expiresAt: soon }, { expiresAt: soon }]);
  });
});
