import { type HowdahError, toHowdahError } from "@howdah/core";
import { crash, race, type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { activate, deploy, documentsProgram, install, prefixOf, type Variation } from "./program.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(async () => {
  await wipe(db);
  await db.query("select authz._drop_functions(hash) from authz.programs");
  await db.query("truncate authz.programs");
});
afterAll(() => db.close());

const write = (relation = "viewer", subject = "ann", namespace = "acme"): Promise<unknown> =>
  db.query("select authz._refuse_invalid($1, 'document', $2, 'user', $3, null, null)", [namespace, relation, subject]);
const functions = (prefix: string): Promise<string[]> =>
  value(
    db,
    `select coalesce(array_agg(proname::text order by proname), '{}') from pg_proc
     where pronamespace = 'authz_rt'::regnamespace and starts_with(proname, $1)`,
    [prefix],
  );
const active = (namespace = "acme"): Promise<string | undefined> =>
  value(db, "select model_id from authz.get_model(null, $1)", [namespace]);
const stored = (variation: Variation = {}): Promise<string> =>
  deploy(db, documentsProgram(variation), { activate: false });

describe("install_program", () => {
  test("makes the functions once, for nobody but the module", async () => {
    const program = documentsProgram();
    expect(await install(db, program)).toBe(true);
    expect(await functions(prefixOf(program))).toEqual(expect.arrayContaining([expect.stringMatching(/_check_x$/)]));
    expect(await install(db, program)).toBe(false);
    const open = `select count(*)::int from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
      where p.pronamespace = 'authz_rt'::regnamespace and a.grantee = 0`;
    expect(await value(db, open)).toBe(0);
  });

  test("does not run a source again whose functions are there", async () => {
    const program = documentsProgram();
    await install(db, program);
    expect(await install(db, { ...program, sql: "this is no SQL" })).toBe(false);
  });

  test("makes functions again that were dropped by hand, or half of them", async () => {
    const program = documentsProgram();
    await install(db, program);
    await db.query(`drop function authz_rt.${prefixOf(program)}_refusal`);
    expect(await install(db, program)).toBe(true);
    expect(await functions(prefixOf(program))).toEqual(expect.arrayContaining([expect.stringMatching(/_check_x$/)]));
  });

  test("refuses a hash that is not that of the compiler and the model", async () => {
    const program = documentsProgram();
    const no = (change: object) => refuses(install(db, { ...program, ...change }), "model_invalid 22023");
    await no({ hash: "0".repeat(64) });
    await no({ hash: "x'; drop table authz.tuples; --" });
    await no({ hash: null });
    await no({ sql: null });
    await no({ ir: {} });
    await no({ ir: { ...program.ir, compiler_version: "two" } });
  });

  test.each([
    ["a function of another schema", "create function public.evil() returns int language sql as 'select 1'"],
    [
      "a function of another program",
      "create function authz_rt.m_000000000000_check() returns int language sql as 'select 1'",
    ],
    [
      "a new body for a function of the module",
      "create or replace function authz._nfc(p_text text) returns text language sql immutable parallel safe as 'select 1::text'",
    ],
    [
      "a function that runs with its owner's rights",
      "create function authz_rt.PREFIX_evil() returns int language sql security definer as 'select 1'",
    ],
  ])("refuses a source that makes %s", async (_what, statement) => {
    const program = documentsProgram();
    const source = `${program.sql};${statement.replace("PREFIX", prefixOf(program))}`;
    await refuses(install(db, { ...program, sql: source }), "model_invalid 22023");
    expect(await functions("m_")).toEqual([]);
  });

  test("refuses a source that does not make everything that is called", async () => {
    const program = documentsProgram();
    const source = `${program.sql}; drop function authz_rt.${prefixOf(program)}_subjects_x`;
    await refuses(install(db, { ...program, sql: source }), "model_invalid 22023");
  });

  test("minds no function that the same transaction made before", async () => {
    const program = documentsProgram();
    const client = await db.client();
    await client.query("begin; create function public.mine() returns int language sql as 'select 1'; savepoint s");
    expect(
      (await client.query("select authz.install_program($1, $2, $3) as made", [program.hash, program.sql, program.ir]))
        .rows,
    ).toEqual([{ made: true }]);
    await client.query("rollback");
    expect(await functions("m_")).toEqual([]);
  });

  test("of many sessions with one program, one makes it and all others find it made", async () => {
    const program = documentsProgram();
    const results = await race(db, 6, (client) =>
      client
        .query("select authz.install_program($1, $2, $3) as made", [program.hash, program.sql, program.ir])
        .then(({ rows }) => rows[0].made as boolean),
    );
    expect(results.map((result) => (result.status === "fulfilled" ? result.value : result.reason)).sort()).toEqual([
      false,
      false,
      false,
      false,
      false,
      true,
    ]);
  });

  test("leaves nothing of an installation whose connection dies, and the next one finishes it", async () => {
    const program = documentsProgram();
    const [doomed] = await db.clients(1);
    if (!doomed) throw new Error("no connection");
    await doomed.query("begin");
    await doomed.query("select authz.install_program($1, $2, $3)", [program.hash, program.sql, program.ir]);
    const waiting = install(db, program);
    await crash(doomed);
    expect(await waiting).toBe(true);
    expect(await functions(prefixOf(program))).toEqual(expect.arrayContaining([expect.stringMatching(/_check_x$/)]));
  });

  test("is for administrators only", async () => {
    const role = await db.role("app");
    await role.grant("authz");
    const program = documentsProgram();
    await expect(install(role, program)).rejects.toThrow(/permission denied/);
    await role.grant("authz", "admin");
    expect(await install(role, program)).toBe(true);
  });
});

describe("write_model", () => {
  test("gives the same content the same id, and other options another", async () => {
    const id = await stored();
    expect(await stored()).toBe(id);
    expect(await stored({ strict: false })).not.toBe(id);
    expect(await rows(db, "select digest, is_active, is_installed from authz.list_models('acme')")).toHaveLength(2);
    expect(await active()).toBeUndefined();
  });

  test("keeps who wrote it, the text and the tests, and takes newer tests", async () => {
    const program = documentsProgram();
    await install(db, program);
    const client = await db.client();
    await client.query("begin; select howdah.set_actor('ann')");
    const one = [{ name: "one", check: [{ user: "user:bob", object: "document:1", assertions: { viewer: false } }] }];
    await client.query("select authz.write_model($1, 'acme', true, $2, 'model')", [program.model, JSON.stringify(one)]);
    await client.query("select authz.write_model($1, 'acme')", [program.model]);
    await client.query("commit");
    expect(
      await rows(db, "select created_by, dsl, tests, is_active, options, namespace from authz.get_model(null, 'acme')"),
    ).toEqual([{ created_by: "ann", dsl: "model", tests: one, is_active: true, options: {}, namespace: "acme" }]);
  });

  test("keeps the tests of an active model where newer ones fail, whether it activates the model again or not", async () => {
    const program = documentsProgram();
    const expecting = (viewer: boolean) => [
      { name: "strangers", check: [{ user: "user:bob", object: "document:1", assertions: { viewer } }] },
    ];
    for (const namespace of ["acme", "global"]) {
      await deploy(db, program, { namespace, tests: expecting(false) });
      for (const activate of [true, false]) {
        const call = deploy(db, program, { namespace, activate, tests: expecting(true) });
        await refuses(call, "model_tests_failed 55000");
        await expect(call).rejects.toThrow(
          "test 'strangers' of the model fails: check user:bob viewer document:1: false",
        );
      }
      expect(await value(db, "select tests from authz.get_model(null, $1)", [namespace])).toEqual(expecting(false));
    }
    // A model that is not active has not to pass yet, whoever else answers by the same.
    const id = await deploy(db, program, { namespace: "other", activate: false, tests: expecting(true) });
    await refuses(db.query("select authz.activate_model($1, 'other')", [id]), "model_tests_failed 55000");
    expect(await active("other")).not.toBe(id);
  });

  test("names the command that compiles a model without a program", async () => {
    const call = db.query("select authz.write_model($1, 'acme')", [documentsProgram({ relation: "reader" }).model]);
    await expect(call).rejects.toMatchObject({ hint: expect.stringContaining("howdah authz model write") });
    await refuses(call, "program_missing 55000");
  });

  test.each([
    ["no object", "[]", "{}"],
    ["no version", '{"type_definitions": []}', "{}"],
    ["another version", '{"schema_version": "1.0", "type_definitions": []}', "{}"],
    ["no types", '{"schema_version": "1.1"}', "{}"],
    ["null options", '{"schema_version": "1.1", "type_definitions": []}', null],
    ["unknown options", '{"schema_version": "1.1", "type_definitions": []}', '{"depth": 1}'],
    ["a depth of 0", '{"schema_version": "1.1", "type_definitions": []}', '{"max_depth": 0}'],
    ["a depth of 201", '{"schema_version": "1.1", "type_definitions": []}', '{"max_depth": 201}'],
    ["a strictness that is a text", '{"schema_version": "1.1", "type_definitions": []}', '{"strict": "no"}'],
    [
      "more than 256 kB",
      JSON.stringify({ schema_version: "1.1", type_definitions: [{ type: "x".repeat(262144) }] }),
      "{}",
    ],
  ])("refuses %s", async (_what, model, options) => {
    const call = db.query("select authz.write_model($1, 'acme', p_options => $2)", [model, options]);
    await refuses(call, "model_invalid 22023");
  });

  test.each([
    ["a text", '"tests"'],
    ["an object without tests", "{}"],
    ["a test that is no object", "[1]"],
    ["checks that are no array", '[{"check": {}}]'],
    ["a test that asserts nothing", '[{"name": "one"}]'],
    ["more than 1 MB", JSON.stringify([{ name: "x".repeat(1_048_576) }])],
  ])("refuses tests that are %s", async (_what, tests) => {
    const call = db.query("select authz.write_model($1, 'acme', false, $2)", [documentsProgram().model, tests]);
    await refuses(call, "model_invalid 22023");
  });

  test("keeps 256 kB of text and 1 MB of tests, and no more", async () => {
    const program = documentsProgram();
    await install(db, program);
    const write = (dsl: string, tests: string): Promise<unknown> =>
      db.query("select authz.write_model($1, 'acme', false, $2, $3)", [program.model, tests, dsl]);
    const testsOf = (bytes: number): string => {
      const check = [{ user: "user:bob", object: "document:1", assertions: { viewer: false } }];
      // As jsonb shows it, with a space after each colon and comma.
      const rest = JSON.stringify([{ name: "", check }]).replace(/[:,](?=["[{f])/g, "$& ").length;
      return JSON.stringify([{ name: "x".repeat(bytes - rest), check }]);
    };
    await write("#".repeat(262_144), testsOf(1_048_576));
    for (const [dsl, tests, message] of [
      ["ä".repeat(131_073), "[]", "dsl takes 262146 bytes, at most 262144 are allowed"],
      ["", testsOf(1_048_577), "tests take 1048577 bytes, at most 1048576 are allowed"],
    ] as const) {
      await refuses(write(dsl, tests), "model_invalid 22023");
      await expect(write(dsl, tests)).rejects.toMatchObject({ message });
    }
  });

  test("checks the namespace like every function", async () => {
    await refuses(db.query("select authz.write_model('{}', '')"), "namespace_empty 22026");
    await refuses(db.query("select * from authz.get_model(null, null)"), "namespace_null 22004");
    await refuses(db.query("select * from authz.list_models(' ')"), "namespace_whitespace 22023");
  });
});

describe("activate_model", () => {
  test("lets the namespace answer by the model, and back by the older one", async () => {
    const first = await activate(db);
    await write();
    await refuses(write("reader"), "relation_unknown 22023");

    const second = await activate(db, { relation: "reader" });
    expect(await active()).toBe(second);
    await write("reader");
    await refuses(write("viewer"), "relation_unknown 22023");

    expect(await value(db, "select authz.activate_model($1, 'acme')", [first])).toBe(true);
    expect(await value(db, "select authz.activate_model($1, 'acme')", [first])).toBe(false);
    await write();
  });

  test("records who activated which model", async () => {
    const first = await activate(db);
    const client = await db.client();
    await client.query("begin; select howdah.set_actor('ann', 'r1', 'bob', 'ticket 7')");
    const second = await activate({ query: client.query.bind(client) } as never, { relation: "reader" });
    await client.query("commit");
    expect(
      await rows(
        db,
        `select event_type, actor_id, request_id, on_behalf_of, reason, namespace, detail - 'model_hash' as detail
         from authz.audit_events order by id`,
      ),
    ).toMatchObject([
      { event_type: "model_activated", actor_id: null, detail: { model_id: first, previous_model_id: null } },
      {
        event_type: "model_activated",
        actor_id: "ann",
        request_id: "r1",
        on_behalf_of: "bob",
        reason: "ticket 7",
        namespace: "acme",
        detail: { model_id: second, previous_model_id: first },
      },
    ]);
  });

  test("takes the program of a newer compiler", async () => {
    const id = await activate(db);
    expect(await activate(db, { version: 2 })).toBe(id);
    const { hash } = documentsProgram({ version: 2 });
    expect(await value(db, "select hash from authz.active_models where namespace = 'acme'")).toBe(hash);
  });

  test("changes nothing when a test of the model fails", async () => {
    const first = await activate(db);
    const program = documentsProgram({ relation: "reader" });
    await install(db, program);
    const test = {
      name: "strangers",
      tuples: ["document:1#reader@user:ann"],
      check: [{ user: "user:bob", object: "document:1", assertions: { reader: true } }],
    };
    const call = db.query("select authz.write_model($1, 'acme', true, $2)", [program.model, JSON.stringify([test])]);
    await refuses(call, "model_tests_failed 55000");
    await expect(call).rejects.toThrow(
      "test 'strangers' of the model fails: check user:bob reader document:1: false, expected true",
    );
    expect(await active()).toBe(first);
    expect(await value(db, "select count(*)::int from authz.audit_events")).toBe(1);
  });

  test("changes nothing where the stored tests have a form in which they would ask nothing", async () => {
    const id = await stored();
    await db.query("update authz.models set tests = $1", ['[{"name": "strangers", "checks": []}]']);
    const call = db.query("select authz.activate_model($1, 'acme')", [id]);
    await refuses(call, "model_invalid 22023");
    await expect(call).rejects.toThrow("test 'strangers': tests[1].checks is not known");
    expect(await active()).toBeUndefined();
  });

  test("runs the tests of a model that is active already", async () => {
    const id = await activate(db);
    const tests = [{ name: "t", check: [{ user: "user:bob", object: "document:1", assertions: { viewer: true } }] }];
    await db.query("update authz.models set tests = $1", [JSON.stringify(tests)]);
    await refuses(db.query("select authz.activate_model($1, 'acme')", [id]), "model_tests_failed 55000");
    expect(await active()).toBe(id);
  });

  test("knows models of its own namespace only", async () => {
    const other = await activate(db, { namespace: "other" });
    await refuses(db.query("select authz.activate_model($1, 'acme')", [other]), "model_not_found P0002");
    await refuses(db.query("select authz.activate_model(null, 'acme')"), "model_not_found P0002");
    await refuses(db.query("select * from authz.get_model($1, 'acme')", [other]), "model_not_found P0002");
  });

  test("needs the program to be installed", async () => {
    const id = await activate(db);
    const prefix = prefixOf(documentsProgram());
    await db.query(`drop function authz_rt.${prefix}_check`);
    await refuses(db.query("select authz.activate_model($1, 'acme')", [id]), "program_missing 55000");
    await refuses(db.query("select authz.compiled_source($1, 'a', 'b', 'acme')", [id]), "program_missing 55000");
  });

  test("of many sessions that activate two models at once, each succeeds and one of both is active", async () => {
    const ids = [await stored(), await stored({ relation: "reader" })];
    const results = await race(db, 6, (client, i) =>
      client.query("select authz.activate_model($1, 'acme')", [ids[i % 2]]),
    );
    expect(results.filter((result) => result.status === "rejected")).toEqual([]);
    expect(ids).toContain(await active());
  });
});

describe("a model of global", () => {
  test("is every namespace's that has none of its own", async () => {
    const id = await activate(db, { namespace: "global" });
    expect(await active("acme")).toBe(id);
    await refuses(write("reader"), "relation_unknown 22023");
    const own = await activate(db, { relation: "reader" });
    expect(await active("acme")).toBe(own);
    expect(await active("other")).toBe(id);
    await write("reader");
  });

  test("is written by administrators only, whoever may execute the function", async () => {
    const program = documentsProgram();
    await install(db, program);
    const role = await db.role("app");
    await role.grant("authz");
    await db.query(`grant execute on function authz.write_model, authz.activate_model to ${role.name}`);
    const call = role.query("select authz.write_model($1, 'global')", [program.model]);
    await refuses(call, "global_write_denied 42501");
    await expect(call).rejects.toThrow("hierarchy_global_write_protection");
    await role.query("select authz.write_model($1, 'acme')", [program.model]);
    const id = await value(db, "select authz.write_model($1, 'global')", [program.model]);
    await refuses(role.query("select authz.activate_model($1, 'global')", [id]), "global_write_denied 42501");
  });
});

describe("the active model", () => {
  test("says of each type whether it is modelled", async () => {
    const is = (type: string) => value(db, "select authz._is_modelled('acme', $1)", [type]);
    expect(await is("document")).toBe(false);
    await activate(db);
    expect(await Promise.all(["document", "user", "folder", "rbac_role"].map(is))).toEqual([true, true, false, false]);
  });

  test("refuses a tuple for what is wrong with it", async () => {
    const no = (values: unknown[], code: string) =>
      refuses(db.query("select authz._refuse_invalid('acme', $1, $2, $3, $4, $5, $6)", values), `${code} 22023`);
    await no(["document", "viewer", "user", "ann", null, "recent"], "condition_unknown");
    await db.query("select authz._refuse_invalid('acme', 'any', 'thing', 'user', 'ann', null, null)");
    await activate(db);
    await no(["folder", "viewer", "user", "ann", null, null], "type_unknown");
    await no(["document", "owner", "user", "ann", null, null], "relation_unknown");
    await no(["document", "viewer", "group", "g", null, null], "tuple_invalid");
    await no(["document", "viewer", "user", "ann", null, "old"], "condition_unknown");
    await no(["rbac_role", "member", "user", "ann", null, "recent"], "condition_unknown");
    await db.query("select authz._refuse_invalid('acme', 'rbac_role', 'admin', 'user', 'ann', null, null)");
  });

  test("refuses a type or relation that it does not know in the same words, whatever is asked or written", async () => {
    await activate(db);
    const type = (field: string) => ({
      code: "type_unknown",
      detail: { field, value: "robot" },
      hint: "write_model with option strict: false leaves types that the model does not define dynamic.",
    });
    const relation = (field: string, type: string) => ({
      code: "relation_unknown",
      detail: { field, value: "owner", type },
    });
    for (const [call, expected] of [
      ["check('user', 'ann', 'viewer', 'robot', '1', 'acme')", type("resource_type")],
      ["check('robot', 'ann', 'viewer', 'document', '1', 'acme')", type("subject_type")],
      ["list_objects('user', 'ann', 'robot', 'viewer', 'acme')", type("resource_type")],
      ["filter_authorized('user', 'ann', 'robot', 'viewer', '{1}', 'acme')", type("resource_type")],
      ["write('robot', '1', 'viewer', 'user', 'ann', 'acme')", type("resource_type")],
      ["check('user', 'ann', 'owner', 'document', '1', 'acme')", relation("relation", "document")],
      ["check('group', 'g', 'viewer', 'document', '1', 'acme', 'owner')", relation("subject_relation", "group")],
      ["list_objects('user', 'ann', 'document', 'owner', 'acme')", relation("relation", "document")],
      ["write('document', '1', 'owner', 'user', 'ann', 'acme')", relation("relation", "document")],
    ] as const) {
      const error = await db.query(`select authz.${call}`).catch(toHowdahError);
      expect([call, error]).toMatchObject([call, expected]);
      expect([call, (error as HowdahError).detail]).toEqual([call, expected.detail]);
    }
  });

  test("finds the stored tuples that it would refuse", async () => {
    await db.query(`insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
      values ('acme', 'document', '1', 'viewer', 'user', 'ann'), ('acme', 'document', '1', 'viewer', 'group', 'g'),
        ('acme', 'document', '1', 'viewer', 'user', '*'), ('acme', 'group', '1', 'member', 'user', '*'),
        ('acme', 'folder', 'naïve', 'viewer', 'user', 'ann'), ('other', 'folder', '1', 'viewer', 'user', 'ann')`);
    const all = () =>
      rows(db, "select resource_type, subject_type, subject_id, error_code from authz.validate_tuples('acme')");
    expect(await all()).toEqual([]);
    await activate(db);
    expect(await all()).toEqual([
      { resource_type: "document", subject_type: "group", subject_id: "g", error_code: "tuple_invalid" },
      { resource_type: "group", subject_type: "user", subject_id: "*", error_code: "tuple_invalid" },
      { resource_type: "folder", subject_type: "user", subject_id: "ann", error_code: "type_unknown" },
    ]);
  });

  test("shows the SQL that a relation became", async () => {
    const id = await activate(db);
    const source = (type: string, relation: string) =>
      value<string | null>(db, "select authz.compiled_source($1, $2, $3, 'acme')", [id, type, relation]);
    expect(await source("document", "viewer")).toMatch(/^CREATE OR REPLACE FUNCTION authz_rt\.m_[0-9a-f]{12}_r\d+_/);
    expect(await source("document", "view")).toBeNull();
    await refuses(source("document", ".*"), "identifier_format 22023");
  });
});

describe("programs that nobody uses", () => {
  const drop = () => value(db, "select authz._drop_unused_programs(10)::int");

  test("go after seven days, and those in use stay", async () => {
    await activate(db);
    await activate(db, { relation: "reader" });
    const [old, current] = ["viewer", "reader"].map((relation) => prefixOf(documentsProgram({ relation })));
    expect(await drop()).toBe(0);
    await db.travel("8 days");
    expect(await drop()).toBe(1);
    expect(await functions(old ?? "")).toEqual([]);
    expect(await functions(current ?? "")).toEqual(expect.arrayContaining([expect.stringMatching(/_check_x$/)]));
    expect(await drop()).toBe(0);
    await db.realTime();
  });

  test("count their days from when the last namespace left them", async () => {
    await activate(db);
    await db.travel("30 days");
    await activate(db, { relation: "reader" });
    expect(await drop()).toBe(0);
    await db.travel("8 days");
    expect(await drop()).toBe(1);
    await db.realTime();
  });

  test("stay while a session activates them", async () => {
    const id = await stored();
    await db.travel("8 days");
    const client = await db.client();
    await client.query("begin");
    await client.query("select authz.activate_model($1, 'acme')", [id]);
    expect(await drop()).toBe(0);
    await client.query("commit");
    expect(await drop()).toBe(0);
    await db.realTime();
  });
});
