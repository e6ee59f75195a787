// Whatever lies in a schema that somebody else may write to, and is searched before all others: no function of the module ever calls
// it with the module's rights.
import { type TestDatabase, type TestRole, testDatabase } from "@howdah/testing";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import {
  type Arguments,
  argumentsOf,
  given,
  type Place,
  type PublicFunction,
  publicFunctions,
  settle,
} from "./functions.ts";
import { useModel } from "./program.ts";

const db: TestDatabase = await testDatabase({ modules: [authzModule] });
afterAll(() => db.close());
const functions = await publicFunctions(db);
let places: Place[];
let evil: TestRole;
let client: pg.Client;
let called: string[];

/**
 * Plants, under every name that the module's functions mention: functions and aggregates with the very parameters of those in
 * pg_catalog, operators, types that check their values, and views. All say which they are, and with whose rights they run.
 */
const plant = `
  create schema planted;
  create function planted.spy(p_what text) returns boolean language plpgsql as $spy$
  begin
    raise notice 'planted % as %', p_what, current_user;
    return true;
  end $spy$;
  do $plant$
  declare
    v_words text[] := array(
      select distinct m[1]
      from pg_proc p, regexp_matches(p.prosrc, '[a-z_][a-z0-9_]*', 'g') m
      where p.pronamespace in ('authz'::regnamespace, 'authz_rt'::regnamespace, 'howdah'::regnamespace)
    );
    v_one record;
    v_count int := 0;
  begin
    for v_one in
      select distinct p.proname as name, pg_get_function_result(p.oid) as result,
        array_to_string(array(select format_type(t, null) from unnest(p.proargtypes) with ordinality u (t, at) order by at), ', ')
          as parameters
      from pg_proc p
      where p.pronamespace = 'pg_catalog'::regnamespace and p.proname = any (v_words) and p.provariadic = 0
        and not '"any"'::regtype = any (p.proargtypes::oid[]) and p.proallargtypes is null
      union all
      select p.proname, pg_get_function_result(p.oid), v.parameters
      from pg_proc p, unnest('{"variadic text[]","text, variadic text[]"}'::text[]) v (parameters)
      where p.pronamespace = 'pg_catalog'::regnamespace and p.proname = any (v_words) and p.provariadic <> 0
    loop
      begin
        execute format('create function planted.%I(%s) returns %s language plpgsql as %L', v_one.name, v_one.parameters,
          v_one.result, case
            when v_one.result ~ '^(SETOF|TABLE|void)' then
              format('begin perform planted.spy(%L); return; end', v_one.name)
            else format('begin perform planted.spy(%L); return null; end', v_one.name)
          end);
        v_count := v_count + 1;
      exception when invalid_function_definition or duplicate_function or undefined_object or feature_not_supported then
        null;
      end;
    end loop;
    if v_count < 300 then
      raise exception 'only % functions are planted', v_count;
    end if;

    v_count := 0;
    for v_one in
      select o.oprname as name, format_type(o.oprleft, null) as l, format_type(o.oprright, null) as r,
        format_type(o.oprresult, null) as result, o.oid as id
      from pg_operator o
      where o.oprnamespace = 'pg_catalog'::regnamespace
        and array[o.oprleft, o.oprright]::regtype[] <@ '{text,text[],name,integer,bigint,numeric,"double precision",boolean,
          jsonb,timestamptz,timestamp,interval,uuid,inet,oid,anyarray,anyelement,anycompatible,anycompatiblearray}'
    loop
      execute format('create function planted.%I(%s, %s) returns %s language plpgsql as %L', 'op_' || v_one.id, v_one.l, v_one.r,
        v_one.result, format('begin perform planted.spy(%L); return null; end', v_one.name));
      execute format('create operator planted.%s (leftarg = %s, rightarg = %s, function = planted.%I)', v_one.name,
        v_one.l, v_one.r, 'op_' || v_one.id);
      v_count := v_count + 1;
    end loop;
    if v_count < 100 then
      raise exception 'only % operators are planted', v_count;
    end if;

    for v_one in
      select c.relname as name
      from pg_class c
      where c.relnamespace in ('authz'::regnamespace, 'howdah'::regnamespace, 'pg_catalog'::regnamespace)
        and c.relkind in ('r', 'p', 'v') and (c.relname = any (v_words) or c.relnamespace <> 'pg_catalog'::regnamespace)
        and not exists (select from pg_type t where t.typnamespace = 'planted'::regnamespace and t.typname = c.relname)
    loop
      execute format('create view planted.%I as select planted.spy(%L) as namespace', v_one.name, v_one.name);
    end loop;
    for v_one in
      select t.typname as name
      from pg_type t
      where t.typnamespace = 'pg_catalog'::regnamespace and t.typtype = 'b' and t.typelem = 0 and t.typname = any (v_words)
        and to_regtype('planted.' || quote_ident(t.typname)) is null
    loop
      execute format('create domain planted.%I as pg_catalog.%I check (planted.spy(%L))', v_one.name, v_one.name, v_one.name);
    end loop;
  end $plant$;
  grant all on schema planted to public`;

const rich = `
type user
type group
  relations
    define member: [user, group#member]
type document
  relations
    define parent: [document]
    define banned: [user]
    define twist: [user]
    define viewer: [user, user:*, group#member, user with everything]
    define reader: (viewer or reader from parent) but not banned
    define looping: viewer or (looping from parent and reader)
    define twisted: twist and (viewer or twisted from parent)
condition everything(i: int, u: uint, d: double, s: string, b: bool, l: list<string>, m: map<int>, ip: ipaddress, t: timestamp, w: duration) {
  i + 1 == 2 && 7 / i % 4 == 3 && -i < 0 && u >= 1u && d * 2.0 > 1.0 && s.startsWith("a") && s.endsWith("c") && s.contains("b") &&
  s.matches("^[a-c]+$") && size(s) == 3 && (b || !b) && "x" in l && l[0] == "x" && l + ["y"] == ["x", "y"] && m.k == 1 && has(m.k) &&
  ip.in_cidr("10.0.0.0/8") && t + w > timestamp("2020-01-01T00:00:00Z") && t - t == duration("0s") && t.getHours("Europe/Berlin") >= 0 &&
  t.getDayOfWeek() >= 0 && (i == 1 ? s : "b") == "abc"
}`;
const facts = JSON.stringify({
  ...{ i: 1, u: 1, d: 0.75, s: "abc", b: true, l: ["x"], m: { k: 1 }, ip: "10.0.0.1" },
  ...{ t: "2026-01-01T00:00:00Z", w: "1h" },
});

beforeAll(async () => {
  places = await settle(db);
  await useModel(db, rich, { namespace: "rich" });
  await db.query("select authz.write_tuples($1, '[]', 'rich')", [
    JSON.stringify([
      { user: "user:ann", relation: "viewer", object: "document:1", condition: { name: "everything" } },
      ...["document:1#parent@document:2", "document:2#parent@document:1", "document:1#twist@user:ann"],
    ]),
  ]);
  await db.query(plant);
  evil = await db.role("evil");
  await evil.grant("authz", "admin");
  await db.query(
    `grant usage on schema authz to ${evil.name}; grant select, insert, update, delete on authz.tuples,
       authz.permission_hierarchy to ${evil.name}; grant usage on all sequences in schema authz to ${evil.name}`,
  );
  called = [];
  client = await prepared();
});

/** A connection that finds what is planted, and has used all that everybody may, so that it is what the session remembers. */
async function prepared(): Promise<pg.Client> {
  const made = await evil.client();
  made.on("notice", ({ message }) => called.push(message ?? ""));
  await made.query(
    "set authz.viewer_type = 'user'; set authz.viewer_id = 'shared'; set search_path = planted, pg_temp, pg_catalog",
  );
  for (const call of ["howdah.now()", "howdah.actor()", "howdah.tenant()", "authz.model_hash('{}', '{}')"]) {
    await made.query(`select ${call}`);
  }
  return made;
}

/** What was called with other rights than those of the role that calls. */
const betrayed = (): string[] => called.splice(0).filter((line) => !line.endsWith(` as ${evil.name}`));

/** Runs a statement that leaves nothing behind. */
async function run(sql: string, values: unknown[] = []): Promise<unknown[]> {
  await client.query("begin");
  return client.query(sql, values).then(
    async ({ rows }) => {
      await client.query("rollback");
      return rows;
    },
    async (error) => {
      await client.query("rollback");
      throw error;
    },
  );
}

/** A call that leaves to the server which types its arguments have, so that it names none that is planted. */
const statement = (f: PublicFunction, args: Arguments): [sql: string, values: unknown[]] => [
  `select f.* from authz.${f.name}(${f.parameters.map(({ name }, i) => `${name} => $${i + 1}`).join(", ")}) f`,
  f.parameters.map((each) => given(args[each.name], each)),
];

test("a function that searches where its caller does is betrayed: what is planted is found", async () => {
  await db.query(
    `create function public.trusting(p_text pg_catalog.text) returns boolean language plpgsql security definer as $$
     declare v text := p_text;
     begin return length(v) = 3 and lower(v) || 'b' <> 'x' and exists (select from tuples) and current_setting('a', true) is null; end $$`,
  );
  await run("select public.trusting('abc')");
  const found = betrayed().map((line) => line.split(" ")[1]);
  expect(new Set(found)).toEqual(new Set(["text", "length", "=", "lower", "||", "<>", "tuples", "current_setting"]));
});

test.each(["check", "write", "list_objects", "has_role", "verify_integrity"])(
  "%s would be betrayed too, if it did not pin its search path",
  async (name) => {
    const f = functions.find((each) => each.name === name);
    if (!f) throw new Error(name);
    // In a session of its own, because a session remembers which types it found.
    const victim = await prepared();
    await db.query(`alter function authz.${name} reset search_path`);
    await victim.query(...statement(f, argumentsOf(f, places[0] as Place))).catch(() => {});
    await db.query(`alter function authz.${name} set search_path = pg_catalog, pg_temp`);
    expect(betrayed()).not.toEqual([]);
  },
);

describe("nothing that is planted is called", () => {
  test.each(functions)("by $name", async (f) => {
    for (const place of places) {
      await run(...statement(f, argumentsOf(f, place)));
      expect(betrayed()).toEqual([]);
    }
  });

  test.each(functions)("by $name when it refuses what it is given", async (f) => {
    for (const parameter of f.parameters) {
      for (const bad of [null, "", "a\u0001", "[]"]) {
        const args = { ...argumentsOf(f, places[0] as Place), [parameter.name]: parameter.type === "jsonb" ? [] : bad };
        await run(...statement(f, args)).catch(() => {});
        expect(betrayed()).toEqual([]);
      }
    }
  });

  test("by programs, with all that conditions may say and every class of relations", async () => {
    const asked = (permission: string): [string, unknown[]][] => [
      ["select authz.check('user', 'ann', $1, 'document', '1', 'rich', null, $2)", [permission, facts]],
      [
        "select authz.check('user', 'ann', $1, 'document', '1', 'rich', null, $2, '[\"group:x#member@user:y\"]')",
        [permission, facts],
      ],
      ["select * from authz.list_objects('user', 'ann', 'document', $1, 'rich', null, $2)", [permission, facts]],
      [
        "select * from authz.list_subjects('document', '1', $1, 'rich', 10, 'user', p_context => $2)",
        [permission, facts],
      ],
      ["select authz.explain_json('user', 'ann', $1, 'document', '1', 'rich', null, $2)", [permission, facts]],
      [
        "select * from authz.check_batch(('[\"document:1#' OPERATOR(pg_catalog.||) $1 OPERATOR(pg_catalog.||) '@user:ann\"]')::pg_catalog.jsonb, 'rich', $2)",
        [permission, facts],
      ],
    ];
    for (const permission of ["viewer", "reader", "looping", "twisted", "banned"]) {
      for (const [sql, values] of asked(permission)) {
        await run(sql, values);
        expect(betrayed()).toEqual([]);
      }
    }
    expect(
      await run("select authz.check('user', 'ann', 'viewer', 'document', '1', 'rich', null, $1) as allowed", [facts]),
    ).toEqual([{ allowed: true }]);
    await run("select authz.check('user', 'ann', 'viewer', 'document', '1', 'rich')").catch(() => {});
    expect(betrayed()).toEqual([]);
  });

  test("by triggers, whoever writes the rows", async () => {
    const into = "insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)";
    await client.query("set howdah.tenant to plain");
    await run(
      `${into} values ('plain', 'doc', U&'cafe\\0301', 'read', 'user', 'eve'), ('plain', 'doc', '1', 'read', 'user', 'eve');
       update authz.tuples set expires_at = 'infinity'; update authz.tuples set subject_id = 'mallory'; delete from authz.tuples;
       insert into authz.permission_hierarchy (namespace, resource_type, permission, implies) values ('plain', 'doc', 'x', 'y');
       update authz.permission_hierarchy set implies = 'z'; delete from authz.permission_hierarchy`,
    );
    await client.query("reset howdah.tenant");
    expect(betrayed()).toEqual([]);
  });
});

test("what anybody may call without a pinned search path is plain SQL, which is read anew wherever it is used", async () => {
  const { rows } = await db.query(
    `select p.oid::regprocedure::text as name
     from pg_proc p
     join pg_language l on l.oid = p.prolang
     where p.pronamespace in ('authz'::regnamespace, 'authz_rt'::regnamespace, 'howdah'::regnamespace)
       and has_function_privilege($1, p.oid, 'execute')
       and l.lanname <> 'sql'
       and coalesce(p.proconfig::text, '') not like '%search_path=pg_catalog, pg_temp%'`,
    [evil.name],
  );
  expect(rows).toEqual([]);
});

test("nobody but the owner may call what authz_rt holds, or put anything there, whatever access it has", async () => {
  for (const access of ["view", "read", "use", "admin"]) {
    const role = await db.role(`has-${access}`);
    await role.grant("authz", access);
    const rights = await db.query(
      `select has_schema_privilege($1, 'authz_rt', 'create') as makes, has_schema_privilege($1, 'authz', 'create') as makes_more,
         (select count(*)::int from pg_proc p where p.pronamespace = 'authz_rt'::regnamespace) > 20 as holds,
         array(select p.proname::text from pg_proc p where p.pronamespace = 'authz_rt'::regnamespace
           and has_function_privilege($1, p.oid, 'execute')) as calls,
         array(select p.proname::text from pg_proc p where p.pronamespace = 'authz_rt'::regnamespace
           and p.proowner <> (select nspowner from pg_namespace where nspname = 'authz')) as strangers`,
      [role.name],
    );
    expect([access, rights.rows]).toEqual([
      access,
      [{ makes: false, makes_more: false, holds: true, calls: [], strangers: [] }],
    ]);
  }
});
