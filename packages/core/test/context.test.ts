import { type TestDatabase, testDatabase } from "@howdah/testing";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HowdahError, toHowdahError } from "../src/index.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [] });
});
afterAll(() => db.close());

const errorOf = async (text: string, values: unknown[] = []): Promise<HowdahError> => {
  const error = await db.query(text, values).then(
    () => new Error("no error"),
    (thrown) => toHowdahError(thrown),
  );
  if (error instanceof HowdahError) return error;
  throw error;
};

describe("the guard", () => {
  const wrong: [what: string, namespace: string | null, code: string, sqlstate: string][] = [
    ["null", null, "namespace_null", "22004"],
    ["empty", "", "namespace_empty", "22026"],
    ["1,025 characters", "x".repeat(1025), "namespace_too_long", "22001"],
    ["a line feed", "a\nb", "namespace_invalid_chars", "22023"],
    ["DEL", "a\u007fb", "namespace_invalid_chars", "22023"],
    ["NEL", "a\u0085b", "namespace_invalid_chars", "22023"],
    ["a line separator", "a\u2028b", "namespace_invalid_chars", "22023"],
    ["a leading space", " a", "namespace_whitespace", "22023"],
    ["a trailing ideographic space", "a\u3000", "namespace_whitespace", "22023"],
  ];

  test.each(wrong)("refuses a namespace that is or has %s", async (_what, namespace, code, sqlstate) => {
    expect(await errorOf("select howdah.guard('shop', $1)", [namespace])).toMatchObject({
      module: "shop",
      code,
      sqlstate,
    });
    const pinned = await errorOf("select howdah.set_tenant($1)", [namespace]);
    expect(pinned).toMatchObject({ module: "howdah", code, sqlstate });
  });

  test("judges a namespace alike however the session reads backslashes", async () => {
    const client = await db.client();
    await client.query("set standard_conforming_strings to off");
    for (const [_what, namespace, code, sqlstate] of wrong) {
      const refused = client.query("select howdah.guard('shop', $1)", [namespace]);
      expect(await refused.catch(toHowdahError)).toMatchObject({ code, sqlstate });
    }
    for (const namespace of ["acme", "sales", "x01", "u0085"]) {
      await client.query("select howdah.guard('shop', $1)", [namespace]);
    }
  });

  test("accepts anything else up to 1,024 characters", async () => {
    const fine = fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 40 })
      .filter((text) => !/\p{Cc}|[\u2028\u2029]/u.test(text) && text.trim() === text);
    await fc.assert(
      fc.asyncProperty(fine, async (namespace) => {
        await db.query("select howdah.guard('shop', $1)", [namespace]);
      }),
      { numRuns: 200 },
    );
    await db.query("select howdah.guard('shop', $1)", ["ä".repeat(1024)]);
  });

  test("refuses another tenant in a pinned transaction, and any in a pinned one that asks for all", async () => {
    await db.transaction(async (tx) => {
      await tx.query("select howdah.set_tenant('acme')");
      await tx.query("select howdah.guard('shop', 'acme')");
      await tx.query("savepoint s");
      const other = await tx.query("select howdah.guard('shop', 'other')").catch(toHowdahError);
      expect(other).toMatchObject({ code: "tenant_mismatch", sqlstate: "42501" });
      await tx.query("rollback to s");
      const all = await tx.query("select howdah.guard('shop', null, true)").catch(toHowdahError);
      expect(all).toMatchObject({ code: "all_namespaces_requires_bypass", sqlstate: "42501" });
      await tx.query("rollback to s");
      await tx.query("select howdah.clear_tenant()");
      await tx.query("select howdah.guard('shop', 'other')");
    });
  });

  test("lets the owner ask for all namespaces", async () => {
    await db.query("select howdah.guard('howdah', null, true)");
  });

  test("works on a column with another collation", async () => {
    await db
      .query(`select howdah.guard('shop', n) from (values ('a' collate "C"), ('b' collate "POSIX")) v (n)`)
      .catch(() => {});
    await db.transaction(async (tx) => {
      await tx.query("select howdah.set_tenant('a')");
      await tx.query(`select howdah.guard('shop', n) from (select 'a'::text collate "POSIX" as n) v`);
    });
  });
});

describe("the tenant pin", () => {
  test("ends with its transaction", async () => {
    await db.transaction(async (tx) => {
      await tx.query("select howdah.set_tenant('acme')");
      expect((await tx.query("select howdah.tenant() as t")).rows).toEqual([{ t: "acme" }]);
    });
    expect((await db.query("select howdah.tenant() as t")).rows).toEqual([{ t: null }]);
  });

  test("is an index condition of a policy, because tenant() is inlined", async () => {
    await db.query(`
      create table public.things (namespace text not null, id int not null, primary key (namespace, id));
      insert into public.things select 'ns' || i % 100, i from generate_series(1, 5000) i;
      alter table public.things enable row level security;
      create policy tenant on public.things using (namespace = howdah.tenant());
      analyze public.things`);
    const role = await db.role("reader");
    await db.query(`grant select on public.things to "${role.name}"`);
    await role.transaction(async (tx) => {
      const before = await tx.query("select * from public.things");
      expect(before.rows).toEqual([]);
      await tx.query("select set_config('howdah.tenant', 'ns7', true)");
      expect((await tx.query("select * from public.things")).rows).toHaveLength(50);
      const { rows } = await tx.query<{ "QUERY PLAN": string }>("explain (costs off) select * from public.things");
      const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
      expect(plan).toMatch(/Index Cond: \(namespace = /);
      expect(plan).not.toContain("tenant()");
    });
  });
});

describe("the actor", () => {
  test("is what set_actor said, without what is not known", async () => {
    await db.transaction(async (tx) => {
      await tx.query("select howdah.set_actor('user:ann', 'req-7', p_ip_address => '10.0.0.1')");
      expect((await tx.query("select howdah.actor() as a")).rows).toEqual([
        { a: { actor_id: "user:ann", request_id: "req-7", ip_address: "10.0.0.1" } },
      ]);
      await tx.query("select howdah.clear_actor()");
      expect((await tx.query("select howdah.actor() as a")).rows).toEqual([{ a: null }]);
    });
  });

  test.each([
    ["an address that is none", "select howdah.set_actor('a', p_ip_address => 'no')", "ip_address_invalid"],
    ["more than 4 kB", "select howdah.set_actor(repeat('x', 5000))", "actor_too_long"],
    ["a field of its own", `select howdah.enter('a', '{"name": "x"}')`, "field_unknown"],
    ["a field that is no text", `select howdah.enter('a', '{"actor_id": 7}')`, "field_unknown"],
    ["something that is no object", `select howdah.enter('a', '[]')`, "actor_invalid"],
  ])("refuses %s", async (_what, sql, code) => {
    expect(await errorOf(sql)).toMatchObject({ module: "howdah", code });
  });

  test("is set before the function is entered whose argument enter() is", async () => {
    await db.query(`create function public.who(p_namespace text) returns text language sql stable
      security definer set search_path = pg_catalog, pg_temp as $$ select howdah.actor() ->> 'actor_id' $$`);
    for (const setting of ["set local random_page_cost = 0.01", "set local enable_nestloop = off", "select 1"]) {
      await db.transaction(async (tx) => {
        await tx.query(setting);
        const sql = `select * from public.who(p_namespace => howdah.enter('acme', '{"actor_id": "user:ann"}', true))`;
        expect((await tx.query(sql)).rows).toEqual([{ who: "user:ann" }]);
        expect((await tx.query("select howdah.tenant() as t")).rows).toEqual([{ t: "acme" }]);
      });
    }
  });
});

describe("errors", () => {
  test("carry module and code in SCHEMA, CONSTRAINT and in brackets in DETAIL", async () => {
    const error = await db
      .query(
        `select howdah.fail('shop', 'order_not_found', 'order 7 does not exist', 'P0002', '{"id": 7}', 'look again')`,
      )
      .catch((thrown) => thrown);
    expect(error).toMatchObject({
      code: "P0002",
      schema: "shop",
      constraint: "order_not_found",
      detail: '[shop.order_not_found] {"id": 7}',
      hint: "look again",
    });
  });

  test("refuse a code that is no noun phrase", async () => {
    await expect(db.query("select howdah.fail('shop', 'Order Missing', 'x')")).rejects.toThrow(/lower-case words/);
  });
});

describe("UUIDs of version 7", () => {
  test("sort by time, tell their time, and say version 7 and variant 2", async () => {
    const { rows } = await db.query<{ u: string; is_now: boolean }>(
      `select u, howdah.uuid_v7_time(u)
         between statement_timestamp() - interval '1 ms' and clock_timestamp() + interval '1 ms' as is_now
       from (select howdah.uuid_v7() as u from generate_series(1, 1000)) s`,
    );
    const milliseconds = rows.map((row) => row.u.slice(0, 13));
    expect(milliseconds).toEqual([...milliseconds].sort());
    for (const { u, is_now } of rows) {
      expect(u).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(is_now).toBe(true);
    }
    expect(new Set(rows.map((row) => row.u)).size).toBe(1000);
  });
});

describe("outer_role", () => {
  test("is the role of the session or of set role, also inside a security definer function", async () => {
    await db.query(`create function public.caller() returns text language sql stable
      security definer set search_path = pg_catalog, pg_temp as $$ select howdah.outer_role() $$`);
    const role = await db.role("caller");
    expect((await role.query("select public.caller() as name")).rows).toEqual([{ name: role.name }]);
    await db.transaction(async (tx) => {
      await tx.query(`set local role "${role.name}"`);
      expect((await tx.query("select public.caller() as name")).rows).toEqual([{ name: role.name }]);
    });
  });
});

test("outer_role is who called the outermost function, through SECURITY DEFINER and SET ROLE", async () => {
  const role = await db.role("caller");
  await db.query(`create function public.whose() returns name language sql security definer
    set search_path = pg_catalog, pg_temp as $$ select howdah.outer_role() $$`);
  expect((await role.query("select public.whose() as name")).rows).toEqual([{ name: role.name }]);
  await db.transaction(async (tx) => {
    await tx.query(`set local role "${role.name}"`);
    expect((await tx.query("select public.whose() as name")).rows).toEqual([{ name: role.name }]);
  });
});

test("an error without a hint has none", async () => {
  const error = await db.query("select howdah.fail('shop', 'order_not_found', 'no order 7')").catch((thrown) => thrown);
  expect(error.hint).toBeUndefined();
});

describe("assert_rls_active", () => {
  test("fails for the owner and passes for a plain role", async () => {
    expect(await errorOf("select howdah.assert_rls_active('howdah')")).toMatchObject({
      module: "howdah",
      code: "rls_not_active",
      sqlstate: "55000",
    });
    const role = await db.role("plain");
    await db.query("select howdah.grant_module('howdah', $1, 'view')", [role.name]);
    await role.query("select howdah.assert_rls_active('howdah')");
  });
});
