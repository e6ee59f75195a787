import { PGlite } from "@electric-sql/pglite";
import { crash, race, type TestDatabase, testDatabase } from "@howdah/testing";
import fc from "fast-check";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from "vitest";
import {
  ConflictError,
  ConnectionError,
  call,
  connect,
  type Database,
  fn,
  JsonText,
  ModuleClient,
  migrate,
  type Query,
  type Queryable,
  RetryableError,
  status,
  transaction,
  ValidationError,
} from "../src/index.ts";
import { fromPGlite } from "../src/pglite.ts";

const setUp = `
  create schema shop;
  create function shop.echo(p_namespace text, p_text text default 'none', p_number bigint default 0, p_document jsonb default null,
    p_texts text[] default null, p_jsons jsonb[] default null, p_at timestamptz default null, p_after interval default null)
  returns table (namespace text, text text, number bigint, document jsonb, texts text[], jsons jsonb, at timestamptz, after_ms numeric, actor text)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
  begin
    return query select p_namespace, p_text, p_number, p_document, p_texts, to_jsonb(p_jsons), p_at,
      extract(epoch from p_after) * 1000, howdah.actor() ->> 'actor_id';
  end $$;
  create function shop.fails(p_namespace text, p_code text, p_sqlstate text) returns void language plpgsql
  security definer set search_path = pg_catalog, pg_temp as $$
  begin perform howdah.fail('shop', p_code, 'it failed', p_sqlstate, '{"limit": 3}', 'do this'); end $$;
  create function shop.ids(p_namespace text) returns bigint[] language sql
  security definer set search_path = pg_catalog, pg_temp as $$ select array[9007199254740993, null, -1]::bigint[] $$;
  create table shop.counters (namespace text, id int, n int, primary key (namespace, id));
  insert into shop.counters values ('acme', 1, 0), ('acme', 2, 0);
  create sequence shop.tries;
  create function shop.flaky(p_namespace text, p_failures int, p_sqlstate text) returns bigint language plpgsql
  security definer set search_path = pg_catalog, pg_temp as $$
  begin
    if nextval('shop.tries') <= p_failures then raise exception 'try again' using errcode = p_sqlstate; end if;
    return currval('shop.tries');
  end $$;`;

interface Echo {
  namespace: string;
  text: string;
  number: string;
  document: unknown;
  texts: string[] | null;
  jsons: unknown;
  at: Date | null;
  afterMs: string | null;
  actor: string | null;
}
interface EchoArgs {
  text?: string;
  number?: string;
  document?: unknown;
  texts?: (string | null)[];
  jsons?: unknown[];
  at?: Date | "infinity";
  after?: number | string;
}
const echo = fn<EchoArgs, Echo>("shop.echo", {
  args: {
    text: "text",
    number: "bigint",
    document: "jsonb",
    texts: "text[]",
    jsons: "jsonb[]",
    at: "timestamptz",
    after: "interval",
  },
  returns: "row",
  columns: {
    namespace: "text",
    text: "text",
    number: "bigint",
    document: "jsonb",
    texts: "text[]",
    jsons: "jsonb",
    at: "timestamptz",
    afterMs: "numeric",
    actor: "text",
  },
});
const fails = fn<{ code: string; sqlstate: string }, void>("shop.fails", {
  args: { code: "text", sqlstate: "text" },
  returns: "void",
});
const ids = fn<object, (string | null)[]>("shop.ids", { args: {}, returns: "value", value: "bigint[]" });
const flaky = (isReadOnly = false) =>
  fn<{ failures: number; sqlstate: string }, string>("shop.flaky", {
    args: { failures: "int", sqlstate: "text" },
    returns: "value",
    value: "bigint",
    isReadOnly,
  });

let db: TestDatabase;
let lite: Database;
let pglite: PGlite;
beforeAll(async () => {
  db = await testDatabase({ modules: [] });
  await db.query(setUp);
  pglite = new PGlite();
  lite = connect(pglite);
  await migrate(lite, []);
  await pglite.exec(setUp);
});
afterAll(async () => {
  await db.close();
  await pglite.close();
});

const context = { namespace: "acme" };

describe.each(["pg", "prepared pg", "PGlite"])("a call through %s", (driver) => {
  const target = (): Database =>
    driver === "PGlite" ? lite : driver === "pg" ? db : connect(db.pool, { prepare: true });

  test("sends only the arguments given, and the others take their defaults", async () => {
    expect(await call(target(), echo, {}, context)).toMatchObject({ namespace: "acme", text: "none", number: "0" });
    expect(await call(target(), echo, { text: "a" }, context)).toMatchObject({ text: "a", number: "0" });
    expect(await call(target(), echo, { number: "7" }, context)).toMatchObject({ text: "none", number: "7" });
  });

  test("gives back what it was given: 64 bits, JSON, arrays, times and durations", async () => {
    const args = {
      text: `it's "quoted" \\ and, {braced}\n`,
      number: "9223372036854775807",
      document: { a: [1, null, "x'\"\\"], ü: { nested: true } },
      texts: ["a,b", 'q"q', "back\\slash", "", null, "NULL", "{}"],
      jsons: [{ a: 1 }, "text", null, [1, 2]],
      at: new Date("2026-02-03T04:05:06.789Z"),
      after: "90 seconds",
    };
    const { jsons, ...rest } = await call(target(), echo, args, context);
    expect(rest).toMatchObject({
      text: args.text,
      number: args.number,
      document: args.document,
      texts: args.texts,
      at: args.at,
    });
    expect(Number(rest.afterMs)).toBe(90_000);
    expect(Number((await call(target(), echo, { after: "400 days" }, context)).afterMs)).toBe(400 * 86_400_000);
    expect(jsons).toEqual(args.jsons);
  });

  test("gives back any JSON, text and array", async () => {
    const text = fc.string({ unit: "grapheme" }).map((value) => value.replaceAll("\u0000", ""));
    const json = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value).replaceAll("\\u0000", "")));
    await fc.assert(
      fc.asyncProperty(text, fc.array(fc.option(text)), json, async (one, texts, value) => {
        const result = await call(target(), echo, { text: one, texts, document: value ?? {} }, context);
        expect(result).toMatchObject({ text: one, texts });
        expect(result.document).toEqual(value ?? {});
      }),
      { numRuns: 60 },
    );
  });

  test("sends ready JSON as it is, so that JSON's null is not SQL's", async () => {
    const result = await call(
      target(),
      echo,
      { document: new JsonText("null"), jsons: [new JsonText('"x"')] },
      context,
    );
    expect(result).toMatchObject({ document: null, jsons: ["x"] });
    const { text, values } = echo.query({ document: new JsonText("null") }, context);
    const { rows } = await target().query(`select document is null as is_null from (${text}) e`, values);
    expect(rows).toEqual([{ is_null: false }]);
  });

  test("reads bigint arrays as text", async () => {
    expect(await call(target(), ids, {}, context)).toEqual(["9007199254740993", null, "-1"]);
  });

  test("reads infinity as the last moment that a Date can hold", async () => {
    const result = await call(target(), echo, { at: "infinity" }, context);
    expect(result.at).toEqual(new Date(8.64e15));
  });

  test("carries the actor in the same statement", async () => {
    const result = await call(target(), echo, { text: "x" }, { ...context, actor: { actorId: "user:ann" } });
    expect(result).toMatchObject({ actor: "user:ann", text: "x" });
    expect(await call(target(), echo, {}, context)).toMatchObject({ actor: null });
  });

  test("throws a module's error as the class of its SQLSTATE", async () => {
    const error = await call(target(), fails, { code: "too_many", sqlstate: "23505" }, context).catch((e) => e);
    expect(error).toBeInstanceOf(ConflictError);
    expect(error).toMatchObject({
      name: "ConflictError",
      module: "shop",
      code: "too_many",
      detail: { limit: 3 },
      hint: "do this",
      message: "it failed",
    });
  });

  test("passes other errors as the driver threw them", async () => {
    await expect(target().query("select nothing from nowhere")).rejects.toMatchObject({ code: "42P01" });
  });
});

test("a length of time that is none is refused before anything is sent", async () => {
  await expect(call(db, echo, { after: "soon" }, context)).rejects.toThrow(ValidationError);
  await expect(call(db, echo, { document: () => 1 }, context)).rejects.toMatchObject({ code: "json_invalid" });
});

test.each<[string, EchoArgs, string]>([
  ["a text with U+0000", { text: "a\0b" }, "text"],
  ["half of a pair, which drivers would replace", { text: "a\ud83d" }, "text"],
  ["an element of an array", { texts: ["a", null, "\0"] }, "texts"],
  ["JSON with U+0000", { document: { deep: ["a\\\0"] } }, "document"],
  ["JSON with such a key", { document: { "\0": 1 } }, "document"],
  ["JSON with half of a pair", { document: "\udc00" }, "document"],
  ["an element that is JSON", { jsons: [1, "\0"] }, "jsons"],
])("%s is refused before anything is sent", async (_what, args, field) => {
  const refused = call(db, echo, args, context);
  await expect(refused).rejects.toThrow(ValidationError);
  await expect(refused).rejects.toMatchObject({ code: "text_invalid", sqlstate: "22021", detail: { field } });
});

test("a tenant and an actor with U+0000 are refused before anything is sent", async () => {
  const refused = (of: object): Promise<unknown> => call(db, echo, {}, { ...context, ...of }).catch((error) => error);
  expect(await refused({ namespace: "a\0" })).toMatchObject({ code: "text_invalid", detail: { field: "namespace" } });
  expect(await refused({ actor: { reason: "\0" } })).toMatchObject({ detail: { field: "actor" } });
});

test("texts and JSON that only look like U+0000 are sent", async () => {
  const text = "\\u0000 \\\\ud800 \u{1f98a}";
  const result = await call(db, echo, { text, document: { [text]: [text] }, texts: [text] }, context);
  expect(result).toMatchObject({ text, document: { [text]: [text] }, texts: [text] });
});

test("pg's pool and clients are Queryable as they are", () => {
  expectTypeOf<pg.Pool>().toExtend<Queryable>();
  expectTypeOf<pg.PoolClient>().toExtend<Queryable>();
  expectTypeOf<pg.Client>().toExtend<Queryable>();
});

class Shop extends ModuleClient {
  echo(args: EchoArgs = {}): Promise<Echo> {
    return this.call(echo, args);
  }
}

describe("a client", () => {
  test("in a transaction commits and rolls back with it", async () => {
    const shop = new Shop(db, context);
    await db
      .transaction(async (tx) => {
        await tx.query("insert into shop.counters values ('acme', 9, 9)");
        await shop.using(tx).echo();
        throw new Error("no");
      })
      .catch(() => {});
    expect((await db.query("select 1 from shop.counters where id = 9")).rows).toEqual([]);
  });

  test("has views for another tenant and actor, and is not changed by them", async () => {
    const shop = new Shop(db, context);
    const other = shop.in("other").as({ actorId: "user:bob" });
    expect(other).toBeInstanceOf(Shop);
    expect(await other.echo()).toMatchObject({ namespace: "other", actor: "user:bob" });
    expect(await shop.echo()).toMatchObject({ namespace: "acme", actor: null });
  });

  test("works in a transaction of PGlite", async () => {
    const shop = new Shop(lite, context);
    await pglite.transaction(async (tx) => {
      expect(await shop.using(fromPGlite(tx)).echo({ text: "in" })).toMatchObject({ text: "in" });
    });
  });

  test("leaks no actor to the next user of a connection", async () => {
    const pool = new pg.Pool({ connectionString: db.url, max: 4 });
    try {
      const shop = new Shop(connect(pool), context);
      await Promise.all(
        Array.from({ length: 200 }, async (_, i) => {
          const actorId = i % 2 === 0 ? `user:${i}` : undefined;
          const result = await (actorId ? shop.as({ actorId }) : shop).echo();
          expect(result.actor).toBe(actorId ?? null);
        }),
      );
    } finally {
      await pool.end();
    }
  });
});

describe("retries", () => {
  const reset = () => db.query("select setval('shop.tries', 1, false)");

  test.each(["40001", "40P01"])("a call that the server gave up with %s is made again", async (sqlstate) => {
    await reset();
    expect(await call(db, flaky(), { failures: 3, sqlstate }, context)).toBe("4");
  });

  test("end after five tries with what to do about it", async () => {
    await reset();
    const error = await call(db, flaky(), { failures: 50, sqlstate: "40001" }, context).catch((e) => e);
    expect(error).toBeInstanceOf(RetryableError);
    expect(error.retryable).toBe(true);
    expect((await db.query("select last_value from shop.tries")).rows).toEqual([{ last_value: "5" }]);
  });

  test("never happen for an answer of a module, whatever its SQLSTATE", async () => {
    const error = await call(db, fails, { code: "fence_stale", sqlstate: "40001" }, context).catch((e) => e);
    expect(error).toBeInstanceOf(ConflictError);
    expect(error.retryable).toBe(false);
  });

  test("never happen inside a caller's transaction", async () => {
    await reset();
    const error = await db
      .transaction((tx) => call(tx, flaky(), { failures: 1, sqlstate: "40001" }, context), { retry: false })
      .catch((e) => e);
    expect(error).toBeInstanceOf(RetryableError);
    expect((await db.query("select last_value from shop.tries")).rows).toEqual([{ last_value: "1" }]);
  });

  test("run a whole transaction again after a real deadlock", async () => {
    let met = 0;
    let meet = (): void => {};
    const bothIn = new Promise<void>((resolve) => {
      meet = () => {
        met++;
        if (met === 2) resolve();
      };
    });
    const step = (first: number, second: number) =>
      db.transaction(async (tx) => {
        await tx.query(`update shop.counters set n = n + 1 where id = ${first}`);
        meet();
        await bothIn;
        await tx.query(`update shop.counters set n = n + 1 where id = ${second}`);
      });
    await Promise.all([step(1, 2), step(2, 1)]);
    const { rows } = await db.query("select n from shop.counters where id in (1, 2) order by id");
    expect(rows).toEqual([{ n: 2 }, { n: 2 }]);
  });
});

describe("a broken connection", () => {
  test("in a call that writes may have committed, and says so", async () => {
    const pool = new pg.Pool({ connectionString: db.url, max: 1 });
    const own = connect(pool);
    try {
      const error = await own.query("select pg_terminate_backend(pg_backend_pid())").catch((e) => e);
      expect(error).toBeInstanceOf(ConnectionError);
      expect(error).toMatchObject({ mayHaveCommitted: true, retryable: false });
      expect((await own.query("select 1 as n")).rows).toEqual([{ n: 1 }]);
    } finally {
      await pool.end();
    }
  });

  test("in a call that only reads is mended by calling again", async () => {
    await db.query("select setval('shop.tries', 1, false)");
    await db.query(`create or replace function shop.dies_once(p_namespace text) returns bigint language plpgsql as $$
      begin
        if nextval('shop.tries') = 1 then perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(10); end if;
        return currval('shop.tries');
      end $$`);
    const spec = { args: {}, returns: "value", value: "bigint" } as const;
    const own = connect(new pg.Pool({ connectionString: db.url }));
    expect(await call(own, fn<object, string>("shop.dies_once", { ...spec, isReadOnly: true }), {}, context)).toBe("2");
  });

  test("before the commit of a transaction has certainly not committed", async () => {
    const error = await db
      .transaction(async (tx) => {
        await tx.query("insert into shop.counters values ('acme', 77, 0)");
        await tx.query("select pg_terminate_backend(pg_backend_pid())");
      })
      .catch((e) => e);
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error.mayHaveCommitted).toBe(false);
    expect((await db.query("select 1 from shop.counters where id = 77")).rows).toEqual([]);
  });

  test("while its client is idle in a transaction does not end the process", async () => {
    const admin = await db.client();
    const error = await db
      .transaction(async (tx) => {
        const { rows } = await tx.query<{ pid: number }>("select pg_backend_pid() as pid");
        await admin.query("select pg_terminate_backend($1, 60000)", [rows[0]?.pid]);
        await tx.query("select 1");
      })
      .catch((e) => e);
    expect(error).toBeInstanceOf(ConnectionError);
  });

  test("that cannot be opened was never sent to, and its password stays unsaid", async () => {
    const own = connect("postgres://ann:s3cret@127.0.0.1:1/nothing", { retry: { attempts: 2 } });
    const error = await own.query("select 1").catch((e) => e);
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error).toMatchObject({ mayHaveCommitted: false, retryable: true });
    expect(JSON.stringify(error) + error.message + error.stack).not.toContain("s3cret");
    await own.close();
  });
});

test("a function dropped and made again under a call is called again", async () => {
  const [client] = await db.clients(1);
  if (!client) throw new Error("no client");
  await db.query("create function shop.moving(p_namespace text) returns int language sql as 'select 1'");
  const moving = fn<object, number>("shop.moving", { args: {}, returns: "value" });
  let tries = 0;
  const breaking: Queryable = {
    query: async <R>(query: string | Query) => {
      if (tries++ > 0) return (client as Queryable).query<R>(query);
      throw Object.assign(new Error("cache lookup failed for function 4711"), { code: "XX000" });
    },
  };
  expect(await call(breaking, moving, {}, context)).toBe(1);
});

describe("a transaction", () => {
  test("may be pinned, acting, read only and of another isolation", async () => {
    const options = {
      tenant: "acme",
      actor: { actorId: "user:ann" },
      isolation: "serializable",
      readOnly: true,
    } as const;
    await db.transaction(async (tx) => {
      const { rows } = await tx.query(
        "select howdah.tenant() as t, howdah.actor() ->> 'actor_id' as a, current_setting('transaction_isolation') as i, current_setting('transaction_read_only') as r",
      );
      expect(rows).toEqual([{ t: "acme", a: "user:ann", i: "serializable", r: "on" }]);
    }, options);
  });

  test("of many at once on one client takes turns", async () => {
    const own = connect(await db.client());
    await db.query("insert into shop.counters values ('acme', 50, 0)");
    await Promise.all(
      Array.from({ length: 10 }, () =>
        own.transaction(async (tx) => {
          const { rows } = await tx.query<{ n: number }>("select n from shop.counters where id = 50");
          await tx.query("update shop.counters set n = $1 where id = 50", [(rows[0]?.n ?? 0) + 1]);
        }),
      ),
    );
    expect((await db.query("select n from shop.counters where id = 50")).rows).toEqual([{ n: 10 }]);
  });

  test("of two databases made of one client takes turns too", async () => {
    const client = await db.client();
    const gate = Promise.withResolvers<void>();
    const first = transaction(client, async (tx) => {
      await tx.query("insert into shop.counters values ('acme', 60, 0)");
      await gate.promise;
      throw new Error("undo");
    });
    const second = transaction(client, (tx) => tx.query("insert into shop.counters values ('acme', 61, 0)"));
    gate.resolve();
    await expect(first).rejects.toThrow("undo");
    await second;
    expect((await db.query("select id from shop.counters where id in (60, 61)")).rows).toEqual([{ id: 61 }]);
  });

  test.each(["pg", "PGlite"])("through %s that caught an error does not pass for committed", async (driver) => {
    const database = driver === "pg" ? db : lite;
    await expect(
      database.transaction(async (tx) => {
        await tx.query("insert into shop.counters values ('acme', 70, 0)");
        await tx.query("select 1 / 0").catch(() => {});
      }),
    ).rejects.toMatchObject({ code: "transaction_aborted", sqlstate: "25P02" });
    await database.query("select 1");
  });

  test("passes on what its function throws, also when the connection is gone or the network of others is", async () => {
    const mine = new Error("mine");
    const dying = db.transaction(async (tx) => {
      const { rows } = await tx.query<{ pid: number }>("select pg_backend_pid() as pid");
      await db.pool.query("select pg_terminate_backend($1, 60000)", [rows[0]?.pid]);
      throw mine;
    });
    await expect(dying).rejects.toBe(mine);
    const refused = Object.assign(new Error("fetch failed"), { code: "ECONNREFUSED" });
    await expect(db.transaction(() => Promise.reject(refused))).rejects.toBe(refused);
  });
});

test("a text that fails inside a transaction of its own leaves no connection of the pool in it", async () => {
  const own = connect(new pg.Pool({ connectionString: db.url, max: 1 }));
  await expect(own.query("begin; select 1 / 0; commit")).rejects.toThrow("division by zero");
  expect((await own.query("select 1 as n")).rows).toEqual([{ n: 1 }]);
});

test("what is given a connection string closes what it opened", async () => {
  const url = new URL(db.url);
  url.searchParams.set("application_name", "by_string");
  await transaction(url.href, (tx) => tx.query("select 1"));
  await status(url.href, []);
  const connections = () => db.query("select 1 from pg_stat_activity where application_name = 'by_string'");
  await expect.poll(async () => (await connections()).rows).toEqual([]);
});

test("times are dates, also where the application has pg read them as text", async () => {
  const types = new pg.TypeOverrides();
  types.setTypeParser(1184, (text: string) => text);
  const own = connect(new pg.Pool({ connectionString: db.url, types, max: 1 }));
  const at = new Date("2026-02-03T04:05:06.789Z");
  expect(await call(own, echo, { at }, context)).toMatchObject({ at });
  expect(await call(own, echo, { at: "infinity" }, context)).toMatchObject({ at: new Date(8.64e15) });
});

test("race and crash of the test kit work with calls", async () => {
  const outcomes = await race(db, 5, (client) => call(client, echo, { text: "r" }, context));
  expect(outcomes.map((outcome) => outcome.status)).toEqual(Array(5).fill("fulfilled"));
  const client = await db.client();
  await crash(client);
  await expect(client.query("select 1")).rejects.toThrow();
});
