import { type TestDatabase, type TestRole, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { useModel } from "./program.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
let role: TestRole;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
  role = await db.role("writer");
  await role.grant("authz", "read");
});
beforeEach(async () => {
  await wipe(db);
  await mayWrite(role);
});
afterAll(() => db.close());

/** Lets a role write with plain SQL; whenever a role is given access to the module, all are given anew what that access holds. */
const mayWrite = ({ name }: TestRole): Promise<unknown> =>
  db.query(
    `grant insert, update, delete on authz.tuples, authz.permission_hierarchy to ${name};
     grant usage on all sequences in schema authz to ${name}`,
  );
const insert = "insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)";
/** Runs a statement as a role that is pinned to a tenant, or not, with a viewer or without. */
const as = (who: TestRole, tenant: string | null, sql: string, viewer?: [string, string]): Promise<object[]> =>
  who.transaction(async (tx) => {
    if (tenant) await tx.query("select authz.set_tenant($1)", [tenant]);
    if (viewer) await tx.query("select authz.set_viewer($1, $2)", viewer);
    return rows(tx, sql);
  });
const ids = "select namespace || ' ' || resource_id as id from authz.tuples order by 1";

describe("a role that is bound by row-level security", () => {
  beforeEach(async () => {
    for (const [namespace, user] of [
      ["a", "ann"],
      ["a", "bob"],
      ["b", "ann"],
      ["b", "bob"],
    ])
      await value(db, "select authz.write('doc', $1, 'read', 'user', $1, $2)", [user, namespace]);
  });

  test("writes nothing to global with plain SQL, also when it is pinned to it", async () => {
    await db.query(`grant insert, update, delete on authz.roles to ${role.name}`);
    await db.query("insert into authz.roles (namespace, slug) values ('global', 'admin')");
    const add = (namespace: string): string => `insert into authz.roles (namespace, slug) values ('${namespace}', 'x')`;
    await as(role, "a", add("a"));
    await expect(as(role, "global", add("global"))).rejects.toMatchObject({ code: "42501" });
    expect(await as(role, "global", "update authz.roles set label = 'x' returning slug")).toEqual([]);
    expect(await as(role, "global", "delete from authz.roles returning slug")).toEqual([]);
    expect(await as(role, "a", "select slug from authz.roles order by slug")).toEqual([
      { slug: "admin" },
      { slug: "x" },
    ]);
  });

  test("sees, changes and deletes the rows of the pinned tenant only, and none unpinned", async () => {
    expect(await as(role, null, ids)).toEqual([]);
    expect(await as(role, "a", ids)).toEqual([{ id: "a ann" }, { id: "a bob" }]);
    expect(await as(role, "a", "update authz.tuples set expires_at = 'infinity' returning resource_id")).toHaveLength(
      2,
    );
    expect(await as(role, "a", "delete from authz.tuples where resource_id = 'bob' returning namespace")).toEqual([
      { namespace: "a" },
    ]);
    expect(await as(role, null, "delete from authz.tuples returning id")).toEqual([]);
    await expect(as(role, "a", `${insert} values ('b', 'doc', '1', 'read', 'user', 'eve')`)).rejects.toMatchObject({
      code: "42501",
    });
    await expect(as(role, "a", "update authz.tuples set namespace = 'b'")).rejects.toMatchObject({ code: "42501" });
    expect(await rows(db, ids)).toHaveLength(3);
    expect(await as(role, "b", "select namespace from authz.audit_events")).toHaveLength(2);
    const [partition] = await rows<{ name: string }>(db, "select tableoid::regclass as name from authz.audit_events");
    expect(await as(role, "b", `select namespace from ${partition?.name}`)).toHaveLength(2);
    expect(await as(role, null, "select namespace from authz.audit_events")).toEqual([]);
  });

  test("as a viewer sees what was granted to it in every tenant, and may leave, which is recorded", async () => {
    expect(await as(role, null, ids, ["user", "ann"])).toEqual([{ id: "a ann" }, { id: "b ann" }]);
    expect(await as(role, "a", ids, ["user", "ann"])).toEqual([{ id: "a ann" }, { id: "a bob" }, { id: "b ann" }]);
    expect(await as(role, null, ids, ["team", "ann"])).toEqual([]);
    expect(
      await as(role, null, "update authz.tuples set expires_at = 'infinity' returning id", ["user", "ann"]),
    ).toEqual([]);
    expect(
      await as(role, null, "delete from authz.tuples where namespace = 'b' returning resource_id", ["user", "ann"]),
    ).toEqual([{ resource_id: "ann" }]);
    expect(
      await rows(
        db,
        "select event_type, current_user_name, subject_id from authz.audit_events order by id desc limit 1",
      ),
    ).toEqual([{ event_type: "tuple_deleted", current_user_name: role.name, subject_id: "ann" }]);
  });

  test("is a viewer by settings of its session too, and by any spelling of its id", async () => {
    await value(db, "select authz.write('doc', 'x', 'read', 'user', $1, 'a')", ["cafe\u0301"]);
    expect(await as(role, null, ids, ["user", "cafe\u0301"])).toEqual([{ id: "a x" }]);
    const client = await role.client();
    await client.query("set authz.viewer_type = 'user'; set authz.viewer_id = 'ann'");
    expect(await rows(client, ids)).toHaveLength(2);
    await client.query("begin; select authz.clear_viewer()");
    expect(await rows(client, ids)).toEqual([]);
    await client.query("commit");
    expect(await rows(client, ids)).toHaveLength(2);
  });

  test("is told so; others are refused", async () => {
    await role.query("select authz.assert_rls_active()");
    await refuses(db.query("select authz.assert_rls_active()"), "rls_not_active 55000");
    const free = await db.role("free");
    await free.grant("authz", "read");
    await db.query(`alter role ${free.name} bypassrls`);
    await refuses(free.query("select authz.assert_rls_active()"), "rls_not_active 55000");
    expect(await as(free, null, ids)).toHaveLength(4);
  });

  test("writes plain rows that are put into NFC and recorded, though it may not write to the audit", async () => {
    await as(role, "a", `${insert} values ('a', 'doc', U&'cafe\\0301', 'read', 'user', 'eve')`);
    await as(role, "a", "update authz.tuples set subject_id = 'mallory' where subject_id = 'eve'");
    expect(
      await rows(
        db,
        "select event_type, resource_id, subject_id, session_user_name, current_user_name from authz.audit_events order by id desc limit 3",
      ),
    ).toEqual(
      ["tuple_created mallory", "tuple_deleted eve", "tuple_created eve"].map((text) => ({
        event_type: text.split(" ")[0],
        resource_id: "caf\u00e9",
        subject_id: text.split(" ")[1],
        session_user_name: role.name,
        current_user_name: role.name,
      })),
    );
    await as(role, "a", "insert into authz.permission_hierarchy values (default, 'a', 'doc', 'x', 'y')");
    expect(await as(role, "a", "select implied_by from authz.permission_closure")).toEqual([
      { implied_by: ["x", "y"] },
    ]);
    await expect(
      as(role, "a", "insert into authz.audit_events (event_type, namespace) values ('forged', 'a')"),
    ).rejects.toMatchObject({ code: "42501" });
  });

  test("writes no tuple of global, whose grants count for every tenant, and leaves one that names it", async () => {
    for (const slug of ["read", "write"])
      await db.query("select authz.create_permission($1, 'all', null, 'global')", [slug]);
    await db.query("select authz.create_role('editor', p_namespace => 'global')");
    await db.query("select authz.grant_role_permission('editor', 'read', 'global')");
    await db.query("select authz.assign_role('user', 'ann', 'editor', 'b')");
    const held = (): Promise<unknown> =>
      value(db, "select array_agg(permission) from authz.subject_permissions('user', 'ann', 'b')");
    const grant = `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, subject_relation)
      values ('global', 'rbac_permission', 'write', 'granted', 'rbac_role', 'editor', 'member')`;
    for (const viewer of [undefined, ["user", "ann"] as [string, string]]) {
      await expect(as(role, "global", grant, viewer)).rejects.toMatchObject({ code: "42501" });
      expect(await as(role, "global", "update authz.tuples set resource_id = 'write' returning id", viewer)).toEqual(
        [],
      );
      expect(
        await as(role, "global", "delete from authz.tuples where namespace = 'global' returning id", viewer),
      ).toEqual([]);
    }
    expect(await held()).toEqual(["read"]);
    expect(await as(role, "global", "select resource_id from authz.tuples")).toEqual([{ resource_id: "read" }]);

    expect(await as(role, null, "delete from authz.tuples returning resource_id", ["rbac_role", "editor"])).toEqual([
      { resource_id: "read" },
    ]);
  });

  test("sees the compiled models of the pinned tenant and of global, and none of other tenants", async () => {
    for (const namespace of ["a", "b", "global"])
      await useModel(db, `type user\ntype of_${namespace}\n  relations\n    define reader: [user]`, { namespace });
    const seen = async (tenant: string | null): Promise<unknown> => {
      const [found] = await as(
        role,
        tenant,
        `select array_agg(distinct found[1] order by found[1]) as types
         from authz.programs, regexp_matches(concat(source, ir), 'of_[a-z]+', 'g') found`,
      );
      return (found as { types: unknown }).types;
    };
    expect(await seen("a")).toEqual(["of_a", "of_global"]);
    expect(await seen("b")).toEqual(["of_b", "of_global"]);
    for (const tenant of ["global", "nobody", null]) expect(await seen(tenant)).toEqual(["of_global"]);
  });
});

describe("namespace global", () => {
  const writes = [
    "authz.write('doc', '1', 'read', 'user', 'ann', 'global')",
    "authz.write_tuple('doc', '1', 'read', 'user', 'ann', null, 'global')",
    "authz.write_tuples_bulk('doc', '1', 'read', 'user', '{ann}', 'global')",
    "authz.grant_to_resources_bulk('doc', '{1}', 'read', 'user', 'ann', null, 'global')",
    "authz.set_expiration('doc', '1', 'read', 'user', 'ann', 'infinity', 'global')",
    "authz.clear_expiration('doc', '1', 'read', 'user', 'ann', 'global')",
    "authz.transfer_tuple('doc', '1', 'read', 'user', 'ann', 'user', 'bob', 'global')",
    "authz.delete('doc', '1', 'read', 'user', 'ann', 'global')",
    "authz.delete_tuple('doc', '1', 'read', 'user', 'ann', null, 'global')",
    "authz.revoke_subject_grants('user', 'ann', 'global')",
    "authz.revoke_resource_grants('doc', '1', 'global')",
    "authz.add_hierarchy('doc', 'write', 'read', 'global')",
    "authz.remove_hierarchy('doc', 'write', 'read', 'global')",
    "authz.clear_hierarchy('doc', 'global')",
  ];

  test("is written by the owner and administrators, pinned to it or not, and by nobody else", async () => {
    const admin = await db.role("admin");
    await admin.grant("authz", "admin");
    const bypass = await db.role("bypass");
    await bypass.grant("authz");
    await db.query(`alter role ${bypass.name} bypassrls`);
    for (const call of writes) {
      for (const who of [role, bypass]) {
        await refuses(who.query(`select ${call}`), "global_write_denied 42501");
        await expect(who.query(`select ${call}`)).rejects.toThrow("hierarchy_global_write_protection");
        await refuses(as(who, "global", `select ${call}`), "global_write_denied 42501");
      }
      await as(admin, null, `select ${call}`);
      await as(admin, "global", `select ${call}`);
      await value(db, `select ${call}`);
    }
    await refuses(
      role.query("select authz.extend_expiration('doc', '1', 'read', 'user', 'ann', '1 day', 'global')"),
      "global_write_denied 42501",
    );
    await as(admin, null, "select authz.cleanup_expired('global')");
  });

  test("is judged by the role that calls, not by the owner that a function runs as", async () => {
    await db.query(`grant ${role.name} to current_user`);
    await db
      .transaction(async (tx) => {
        await tx.query(`set local role ${role.name}`);
        await refuses(
          tx.query("select authz.add_hierarchy('doc', 'write', 'read', 'global')"),
          "global_write_denied 42501",
        );
      })
      .catch(() => {});
    expect(await rows(db, "select * from authz.permission_hierarchy")).toEqual([]);
  });

  test("is read by tenants and not written by plain SQL", async () => {
    await value(db, "select authz.add_hierarchy('doc', 'write', 'read', 'global')");
    const rule = "insert into authz.permission_hierarchy (namespace, resource_type, permission, implies)";
    for (const tenant of ["global", "a", null]) {
      await expect(as(role, tenant, `${rule} values ('global', 'doc', 'a', 'b')`)).rejects.toMatchObject({
        code: "42501",
      });
      expect(await as(role, tenant, "delete from authz.permission_hierarchy returning id")).toEqual([]);
      expect(await as(role, tenant, "update authz.permission_hierarchy set implies = 'x' returning id")).toEqual([]);
      expect(await as(role, tenant, "select implies from authz.permission_hierarchy")).toEqual([{ implies: "read" }]);
      expect(await as(role, tenant, "select implied_by from authz.permission_closure")).toHaveLength(1);
    }
  });
});

test("a function or operator planted on the caller's search_path is never called by a function, nor by a trigger", async () => {
  const evil = await db.role("evil");
  await evil.grant("authz", "read");
  await db.query(
    `create schema planted; grant all on schema planted to ${evil.name};
     create table planted.log (line text, who name default current_user); grant all on planted.log to ${evil.name}`,
  );
  await mayWrite(evil);
  const client = await evil.client();
  for (const signature of [
    "octet_length(text) returns int",
    "length(text) returns int",
    "normalize(text, text) returns text",
    "concat(variadic text[]) returns text",
    "set_config(text, text, boolean) returns text",
    "current_setting(text, boolean) returns text",
    "pg_advisory_xact_lock(bigint) returns int",
    "hashtextextended(text, bigint) returns bigint",
    "jsonb_build_object(variadic text[]) returns jsonb",
    "coalesce_text(text, text) returns text",
    "left(text, int) returns text",
    "now() returns timestamptz",
    "to_char(timestamp, text) returns text",
    "min(text) returns text",
    "same(text, text) returns boolean",
  ]) {
    const type = signature.split(" returns ")[1];
    await client.query(
      `create function planted.${signature} language plpgsql as
       $$ begin insert into planted.log values ('${signature}'); return null::${type}; end $$`,
    );
  }
  await client.query(
    `create operator planted.= (leftarg = text, rightarg = text, function = planted.same);
     create operator planted.|| (leftarg = text, rightarg = text, function = planted.coalesce_text);
     create temp table tuples (namespace text);
     create temp table permission_closure (namespace text);
     set search_path = pg_temp, planted, pg_catalog`,
  );
  for (const call of [
    "authz.write_tuple('team', 'a', 'member', 'team', 'b', null, 'a')",
    "authz.write_tuples_bulk('doc', '1', 'read', 'user', '{ann,bob}', 'a')",
    "authz.set_expiration('doc', '1', 'read', 'user', 'ann', '2999-01-01', 'a')",
    "authz.transfer_tuple('doc', '1', 'read', 'user', 'ann', 'user', 'cat', 'a')",
    "authz.add_hierarchy('doc', 'write', 'read', 'a')",
    "authz.list_subject_grants('user', 'bob', 'a')",
    "authz.get_stats('a')",
    "authz.verify_integrity('a')",
    "authz.list_audit_events('a')",
    "authz.set_viewer('user', 'ann')",
    "authz.set_actor('ann')",
    "authz.delete('doc', '1', 'read', 'user', 'bob', 'a')",
  ])
    await client.query(`select ${call}`);
  expect(await rows(db, "select * from planted.log")).toEqual([]);

  // The caller's own statement, policies included, is its own; what triggers do is not.
  await client.query(
    `set howdah.tenant = 'a'; ${insert} values ('a', 'doc', U&'cafe\\0301', 'read', 'user', 'eve');
     update authz.tuples set expires_at = 'infinity'; delete from authz.tuples where subject_id operator(pg_catalog.=) 'eve';
     insert into authz.permission_hierarchy values (default, 'a', 'doc', 'x', 'y')`,
  );
  expect(await rows(db, "select * from planted.log where who <> $1", [evil.name])).toEqual([]);
  expect(await value(db, "select count(*)::int from authz.audit_events where subject_id = 'eve'")).toBe(3);
});

describe("the context of a transaction", () => {
  test("pins and unpins, names an actor and forgets it, and ends with the transaction", async () => {
    const client = await db.client();
    const settings = async (): Promise<unknown> =>
      (
        await rows<{ all: unknown }>(
          client,
          `select array[current_setting('howdah.tenant', true), howdah.actor()::text, current_setting('authz.actor_id', true),
             current_setting('authz.request_id', true), current_setting('authz.reason', true),
             current_setting('authz.on_behalf_of', true), current_setting('authz.viewer_type', true),
             current_setting('authz.viewer_id', true)] as all`,
        )
      )[0]?.all;
    await client.query("begin");
    await client.query("select authz.set_tenant('a')");
    await client.query("select authz.set_viewer('user', 'ann')");
    await client.query("select authz.set_actor('ann', 'req-1', 'because', 'bob')");
    const actor = '{"reason": "because", "actor_id": "ann", "request_id": "req-1", "on_behalf_of": "bob"}';
    expect(await settings()).toEqual(["a", actor, "ann", "req-1", "because", "bob", "user", "ann"]);
    await client.query("select authz.set_actor('cat')");
    expect(await settings()).toEqual(["a", '{"actor_id": "cat"}', "cat", "", "", "", "user", "ann"]);
    await client.query("select authz.clear_tenant(), authz.clear_actor(), authz.clear_viewer()");
    expect(await settings()).toEqual(["", null, "", "", "", "", "", ""]);
    await client.query("select authz.set_tenant('a'), authz.set_actor('ann'), authz.set_viewer('user', 'ann')");
    await client.query("commit");
    expect(await settings()).toEqual(["", null, "", "", "", "", "", ""]);
  });

  test("refuses tenants, actors and viewers that are none", async () => {
    for (const [type, id, code] of [
      ["User", "ann", "identifier_format 22023"],
      [null, "ann", "identifier_null 22004"],
      ["user", null, "id_null 22004"],
      ["user", "", "id_empty 22026"],
      ["user", " ann", "id_whitespace 22023"],
    ])
      await refuses(db.query("select authz.set_viewer($1, $2)", [type, id]), code as string);
    await expect(db.query("select authz.set_tenant(null)")).rejects.toMatchObject({ constraint: "namespace_null" });
    await expect(db.query("select authz.set_actor($1)", ["x".repeat(5000)])).rejects.toMatchObject({
      constraint: "actor_too_long",
    });
  });
});
