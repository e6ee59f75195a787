import { race, type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(async () => {
  await wipe(db);
  await db.freeze(new Date("2026-03-10T12:00:00Z"));
});
afterEach(() => db.realTime());
afterAll(() => db.close());

const grant = "'doc', '1', 'read', 'user', 'ann'";
const write = (expires: string | null, relation: string | null = null): Promise<string> =>
  value(db, `select authz.write_tuple(${grant}, $2, 'acme', howdah.now() + $1::interval)`, [expires, relation]);
const expiries = (): Promise<(string | null)[]> =>
  rows<{ expiry: string | null }>(
    db,
    "select (expires_at - howdah.now())::text as expiry from authz.tuples order by subject_relation nulls first",
  ).then((found) => found.map(({ expiry }) => expiry));
const updates = (): Promise<number> =>
  value(db, "select count(*)::int from authz.audit_events where event_type = 'tuple_updated'");

describe("set_expiration and clear_expiration", () => {
  const set = (expires: string | null): Promise<boolean> =>
    value(db, `select authz.set_expiration(${grant}, howdah.now() + $1::interval, 'acme')`, [expires]);

  test("set and remove the expiry of a grant, and say whether there is one", async () => {
    expect([await set("1 hour"), await value(db, `select authz.clear_expiration(${grant}, 'acme')`)]).toEqual([
      false,
      false,
    ]);
    await write(null);
    expect([await set("1 hour"), await set("1 hour")]).toEqual([true, true]);
    expect([await expiries(), await updates()]).toEqual([["01:00:00"], 1]);
    expect(await value(db, `select authz.clear_expiration(${grant}, 'acme')`)).toBe(true);
    expect([await expiries(), await updates()]).toEqual([[null], 2]);
    await set("1 hour");
    expect(await set(null)).toBe(true);
    expect(await expiries()).toEqual([null]);
  });

  test("act on the grants through relations too, and on no other tenant's", async () => {
    await write(null);
    await write("1 hour", "friend");
    expect(await value(db, `select authz.clear_expiration(${grant}, 'other')`)).toBe(false);
    expect(await set("2 hours")).toBe(true);
    expect(await expiries()).toEqual(["02:00:00", "02:00:00"]);
  });

  test("let an expired grant live again", async () => {
    await write("1 hour");
    await db.travel("2 hours");
    expect(await set("1 hour")).toBe(true);
    expect(await expiries()).toEqual(["01:00:00"]);
    await db.travel("2 hours");
    expect(await value(db, `select authz.clear_expiration(${grant}, 'acme')`)).toBe(true);
    expect(await rows(db, "select * from authz.list_subject_grants('user', 'ann', 'acme')")).toHaveLength(1);
  });

  test("refuse a time that is not in the future", async () => {
    await write(null);
    for (const expires of ["0 s", "-1 s"]) await refuses(set(expires), "expiration_future 23514");
    expect(await expiries()).toEqual([null]);
  });

  test("record the expiry before and after", async () => {
    await write("1 hour");
    await set("2 hours");
    expect(
      await rows(db, "select expires_at, detail from authz.audit_events where event_type = 'tuple_updated'"),
    ).toEqual([
      {
        expires_at: new Date("2026-03-10T14:00:00Z"),
        detail: { old: { expires_at: "2026-03-10T13:00:00+00:00" } },
      },
    ]);
  });
});

describe("extend_expiration", () => {
  const extend = (by: string | null): Promise<Date> =>
    value(db, `select authz.extend_expiration(${grant}, $1, 'acme')`, [by]);

  test("goes on from the expiry, or from now if that has passed", async () => {
    await write("1 hour");
    expect(await extend("1 hour")).toEqual(new Date("2026-03-10T14:00:00Z"));
    await db.travel("3 hours");
    expect(await extend("1 hour")).toEqual(new Date("2026-03-10T16:00:00Z"));
    expect(await expiries()).toEqual(["01:00:00"]);
  });

  test("extends those of several tuples that expire, and returns the latest", async () => {
    await write(null);
    await write("1 hour", "friend");
    await write("2 hours", "parent");
    expect(await extend("1 hour")).toEqual(new Date("2026-03-10T15:00:00Z"));
    expect(await expiries()).toEqual([null, "02:00:00", "03:00:00"]);
  });

  test("refuses what is not positive, what does not expire, and what is not there", async () => {
    await refuses(extend("1 hour"), "grant_not_found P0002");
    await write(null);
    await refuses(extend("1 hour"), "grant_no_expiration 22023");
    for (const by of ["0 s", "-1 day", null]) await refuses(extend(by), "interval_not_positive 22023");
  });

  test("by many sessions at once adds up", async () => {
    await write("1 hour");
    const results = await race(db, 5, (client) =>
      client.query(`select authz.extend_expiration(${grant}, '1 hour', 'acme')`),
    );
    expect(results.filter(({ status }) => status === "rejected")).toEqual([]);
    expect(await expiries()).toEqual(["06:00:00"]);
  });
});

describe("list_expiring", () => {
  test("has the live grants that end soon, the next one first, as they were spelled", async () => {
    for (const [id, expires] of [
      ["cafe\u0301", "2 days"],
      ["b", "1 day"],
      ["c", "10 days"],
      ["d", "1 hour"],
      ["e", null],
    ])
      await db.query("select authz.write('doc', $1, 'read', 'user', 'ann', 'acme', howdah.now() + $2::interval)", [
        id,
        expires,
      ]);
    await db.travel("1 hour");
    const list = async (within?: string): Promise<unknown[]> =>
      (
        await rows<{ resource_id: string }>(
          db,
          within
            ? "select * from authz.list_expiring($1, 'acme')"
            : "select * from authz.list_expiring(p_namespace => 'acme')",
          within ? [within] : [],
        )
      ).map((row) => row.resource_id);
    expect(await list()).toEqual(["b", "cafe\u0301"]);
    expect(await list("23 hours")).toEqual(["b"]);
    expect(await list("22 hours")).toEqual([]);
    expect(await list("1 year")).toEqual(["b", "cafe\u0301", "c"]);
    await refuses(list("0 s"), "interval_not_positive 22023");
    await refuses(db.query("select authz.list_expiring(null, 'acme')"), "interval_not_positive 22023");
  });
});

describe("cleanup_expired", () => {
  const cleanup = async (limit: number | null = null): Promise<number> =>
    Number(await value(db, "select tuples_deleted from authz.cleanup_expired('acme', $1)", [limit]));
  const expired = (n: number): Promise<unknown> =>
    db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, expires_at)
       select 'acme', 'doc', i::text, 'read', 'user', 'ann', howdah.now() - i * interval '1 s'
       from generate_series(1, $1) i`,
      [n],
    );

  test("deletes what has expired, in batches and up to a limit, and nothing else", async () => {
    await write(null, "boss");
    await write("1 hour", "friend");
    await expired(2500);
    await db.query("update authz.tuples set namespace = 'other' where resource_id = '2500'");
    expect(await cleanup(1)).toBe(1);
    expect(await value(db, "select count(*)::int from authz.tuples where resource_id = '2499'")).toBe(0);
    expect(await cleanup(1500)).toBe(1500);
    expect(await cleanup()).toBe(998);
    expect(await cleanup()).toBe(0);
    expect(await value(db, "select count(*)::int from authz.tuples")).toBe(3);
    expect(await value(db, "select count(*)::int from authz.audit_events where event_type = 'tuple_deleted'")).toBe(
      2500,
    );
    for (const limit of [0, -1]) await refuses(cleanup(limit), "not_positive 22023");
  });

  test("deletes a tuple at the moment of its expiry, not before", async () => {
    await write("1 hour");
    await db.travel(3_599_999);
    expect(await cleanup()).toBe(0);
    await db.travel(1);
    expect(await rows(db, "select * from authz.list_subject_grants('user', 'ann', 'acme')")).toEqual([]);
    expect(await cleanup()).toBe(1);
  });

  test("leaves alone what another session is changing", async () => {
    await expired(3);
    const writer = await db.client();
    await writer.query("begin");
    await writer.query("select authz.write('doc', '2', 'read', 'user', 'ann', 'acme')");
    expect(await cleanup()).toBe(2);
    await writer.query("commit");
    expect(await cleanup()).toBe(0);
    expect(await rows(db, "select resource_id from authz.tuples")).toEqual([{ resource_id: "2" }]);
  });

  test("while others write the same tuples loses no grant", async () => {
    await expired(300);
    const results = await race(db, 6, async (client, k) => {
      if (k % 2) {
        for (let i = 0; i < 5; i++) await client.query("select authz.cleanup_expired('acme', 40)");
      } else {
        for (let i = 1; i <= 300; i++) {
          await client.query("select authz.write('doc', $1, 'read', 'user', 'ann', 'acme')", [String(i)]);
        }
      }
    });
    expect(results.filter(({ status }) => status === "rejected")).toEqual([]);
    expect(await value(db, "select count(*)::int from authz.tuples where expires_at is null")).toBe(300);
  });
});
