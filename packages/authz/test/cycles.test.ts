import { crash, race, type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

/** The statement that puts the inner one into the outer one: as a member, or with the outer one as its parent. */
const kinds = {
  member: { sql: "select authz.write('team', $1, 'member', 'team', $2, 'acme')", code: "cycle_group" },
  parent: { sql: "select authz.write('folder', $2, 'parent', 'folder', $1, 'acme')", code: "cycle_resource" },
} as const;
const both = ["member", "parent"] as const;

const count = (): Promise<number> => value(db, "select count(*)::int from authz.tuples");

describe.each(both)("%s", (kind) => {
  const { sql, code } = kinds[kind];
  const put = (outer: string, inner: string): Promise<unknown> => db.query(sql, [outer, inner]);

  test("of itself is refused, by any spelling", async () => {
    const self = kind === "member" ? "self_membership PK001" : "self_parent PK001";
    await refuses(put("a", "a"), self);
    await refuses(put("caf\u00e9", "cafe\u0301"), self);
    expect(await count()).toBe(0);
  });

  test("cycles of two, three and fifty are refused, diamonds are not", async () => {
    await put("a", "b");
    await refuses(put("b", "a"), `${code} PK001`);
    await put("b", "c");
    await refuses(put("c", "a"), `${code} PK001`);
    await put("a", "c");
    await put("x", "c");
    for (let i = 0; i < 50; i++) await put(`n${i}`, `n${i + 1}`);
    await refuses(put("n50", "n0"), `${code} PK001`);
    await put("n0", "n50");
    expect(await count()).toBe(55);
    expect(await rows(db, "select * from authz.verify_integrity('acme') where resource_id ~ 'cycles'")).toEqual([]);
  });

  test("edges that are deleted, have expired, or are another tenant's are no part of a cycle", async () => {
    await value(db, sql.replace("'acme'", "'other'"), ["a", "b"]);
    await put("b", "a");
    await value(db, sql.replace("'acme'", "'acme', howdah.now() + interval '1 hour'"), ["b", "c"]);
    await refuses(put("c", "b"), `${code} PK001`);
    await db.travel("2 hours");
    await put("c", "b");
    await db.realTime();
    await db.query("delete from authz.tuples where namespace = 'acme'");
    await put("a", "b");
  });

  test("no expired edge lives again to close a cycle", async () => {
    await value(db, sql.replace("'acme'", "'acme', howdah.now() + interval '1 hour'"), ["b", "c"]);
    await db.travel("2 hours");
    await put("c", "b");
    const names = kind === "member" ? "'team', 'b', 'member', 'team', 'c'" : "'folder', 'c', 'parent', 'folder', 'b'";
    await refuses(put("b", "c"), `${code} PK001`);
    await refuses(db.query(`select authz.clear_expiration(${names}, 'acme')`), `${code} PK001`);
    await refuses(db.query(`select authz.set_expiration(${names}, 'infinity', 'acme')`), `${code} PK001`);
    await refuses(db.query(`select authz.extend_expiration(${names}, '1 day', 'acme')`), `${code} PK001`);
    await db.query("delete from authz.tuples where expires_at is null");
    expect(await value(db, `select authz.clear_expiration(${names}, 'acme')`)).toBe(true);
    await db.realTime();
  });

  test("a transfer closes no cycle", async () => {
    await put("a", "b");
    await put("b", "c");
    const call =
      kind === "member"
        ? "select authz.transfer_tuple('team', 'b', 'member', 'team', 'c', 'team', $1, 'acme')"
        : "select authz.transfer_tuple('folder', 'b', 'parent', 'folder', 'a', 'folder', $1, 'acme')";
    await refuses(db.query(call, [kind === "member" ? "a" : "c"]), `${code} PK001`);
    expect(await value(db, call, ["x"])).toBe(true);
    expect(await count()).toBe(2);
  });

  test("two sessions that write the halves of a cycle at once: one is refused", async () => {
    for (let i = 0; i < 10; i++) {
      const results = await race(db, 2, async (client, k) => {
        await client.query("begin");
        await client.query(sql, k ? [`a${i}`, `b${i}`] : [`b${i}`, `a${i}`]);
        await client.query("commit");
      });
      expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
      expect(results.find(({ status }) => status === "rejected")).toMatchObject({ reason: { constraint: code } });
    }
    expect(await count()).toBe(10);
  });

  test("three sessions that write the thirds of a cycle at once: one is refused", async () => {
    for (let i = 0; i < 10; i++) {
      const ring = [`a${i}`, `b${i}`, `c${i}`];
      const results = await race(db, 3, (client, k) => client.query(sql, [ring[k], ring[(k + 1) % 3]]));
      expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "fulfilled", "rejected"]);
    }
    expect(await count()).toBe(20);
    expect(await rows(db, "select * from authz.verify_integrity('acme') where resource_id ~ 'cycles'")).toEqual([]);
  });

  test("two sessions that close a cycle at once without touching the same node: one is refused", async () => {
    await put("b", "c");
    await put("d", "a");
    const [one, two] = await db.clients(2);
    await one?.query("begin");
    await one?.query(sql, ["a", "b"]);
    const refused = refuses(Promise.resolve(two?.query(sql, ["c", "d"])), `${code} PK001`);
    await one?.query("commit");
    await refused;
  });

  test("a walk that takes too long is cancelled, and what it was for is not written", async () => {
    await db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
       select 'acme', 'team', i::text, 'member', 'team', (i + 1)::text from generate_series(0, 20000) i
       union all select 'acme', 'folder', (i + 1)::text, 'parent', 'folder', i::text from generate_series(0, 20000) i`,
    );
    const client = await db.client();
    await client.query("set statement_timeout = '1 ms'");
    await expect(client.query(sql, ["20001", "0"])).rejects.toMatchObject({ code: "57014" });
    await client.query("set statement_timeout = 0");
    expect(await count()).toBe(40_002);
    await refuses(client.query(sql, ["20001", "0"]), `${code} PK001`);
  });

  test("a session that dies with the lock lets the next one go on", async () => {
    const [one, two] = await db.clients(2);
    if (!one || !two) throw new Error("no clients");
    await one.query("begin");
    await one.query(sql, ["a", "b"]);
    const other = two.query(sql, ["b", "a"]);
    await crash(one);
    await other;
    expect(await count()).toBe(1);
  });

  test("under repeatable read a cycle can slip in: it is reported, and walks end on it", async () => {
    const late = await db.client();
    await late.query("begin isolation level repeatable read");
    await late.query("select count(*) from authz.tuples");
    await put("a", "b");
    await late.query(sql, ["b", "a"]);
    await late.query("commit");
    const type = kind === "member" ? "team" : "folder";
    expect(
      await rows(
        db,
        "select resource_id, status, details from authz.verify_integrity('acme') where resource_id ~ 'cycles'",
      ),
    ).toMatchObject([
      {
        resource_id: kind === "member" ? "group_cycles" : "resource_cycles",
        status: "warning",
        details: expect.stringContaining(`${type}:a, ${type}:b`),
      },
    ]);
    await put("c", "a");
    await refuses(put("b", "c"), `${code} PK001`);
    // What is in the cycle already may still be given an end.
    expect(
      await value(
        db,
        `select authz.set_expiration('${type}', 'a', '${kind}', '${type}', 'b', howdah.now() + interval '1 day', 'acme')`,
      ),
    ).toBe(true);
  });
});

describe("members", () => {
  test("that are users take no lock", async () => {
    const client = await db.client();
    await client.query("begin");
    await client.query("select authz.write('team', 'a', 'member', 'user', 'ann', 'acme')");
    expect(await rows(client, "select * from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()")).toEqual(
      [],
    );
    await client.query("select authz.write('team', 'a', 'member', 'team', 'b', 'acme')");
    expect(
      await rows(client, "select * from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"),
    ).toHaveLength(1);
    await client.query("rollback");
  });

  test("through another relation than member contain nobody, so that they close no cycle", async () => {
    const write = (outer: string, inner: string, relation: string | null): Promise<unknown> =>
      db.query("select authz.write_tuple('team', $1, 'member', 'team', $2, $3, 'acme')", [outer, inner, relation]);
    await write("a", "a", "admin");
    await write("a", "b", null);
    await write("b", "a", "admin");
    await refuses(write("b", "a", "member"), "cycle_group PK001");
    await refuses(write("a", "a", "member"), "self_membership PK001");
  });
});
