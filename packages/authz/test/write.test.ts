import { crash, race, type TestDatabase, testDatabase } from "@howdah/testing";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

interface Tuple {
  id: string;
  resource_id: string;
  subject_id: string;
  subject_relation: string | null;
  expires_at: Date | null;
  condition_name: string | null;
  resource_id_raw: string | null;
  subject_id_raw: string | null;
}
const tuples = (): Promise<Tuple[]> => rows(db, "select * from authz.tuples order by resource_id, subject_id, id");
const events = (): Promise<string[]> =>
  rows<{ event: string }>(
    db,
    `select concat(event_type, ' ', resource_id, '#', relation, '@', subject_id, '#' || subject_relation) as event
     from authz.audit_events order by id`,
  ).then((found) => found.map(({ event }) => event));
const write = (resource: string, relation: string, subject: string, expires: string | null = null): Promise<string> =>
  value(db, "select authz.write('doc', $1, $2, 'user', $3, 'acme', howdah.now() + $4::interval)", [
    resource,
    relation,
    subject,
    expires,
  ]);

describe("write", () => {
  test("grants once: the second time it changes nothing, records nothing, and returns the same id", async () => {
    const id = await write("1", "read", "ann");
    expect(await write("1", "read", "ann")).toBe(id);
    expect(await value(db, "select authz.write_tuple('doc', '1', 'read', 'user', 'ann', null, 'acme')")).toBe(id);
    expect(await tuples()).toMatchObject([{ id, resource_id: "1", subject_id: "ann", expires_at: null }]);
    expect(await events()).toEqual(["tuple_created 1#read@ann"]);
  });

  test("sets the expiry to what is given, and clears it when none is", async () => {
    const at = new Date(Date.now() + 3_600_000);
    const id = await value(db, "select authz.write('doc', '1', 'read', 'user', 'ann', 'acme', $1)", [at]);
    await value(db, "select authz.write('doc', '1', 'read', 'user', 'ann', 'acme', $1)", [at]);
    expect(await tuples()).toMatchObject([{ id, expires_at: at }]);
    expect(await write("1", "read", "ann")).toBe(id);
    expect(await tuples()).toMatchObject([{ id, expires_at: null }]);
    expect(await events()).toEqual(["tuple_created 1#read@ann", "tuple_updated 1#read@ann"]);
  });

  test("tells apart what differs in any name, and in the subject's relation", async () => {
    const calls = [
      "'doc', '1', 'read', 'user', 'ann', null, 'acme'",
      "'dog', '1', 'read', 'user', 'ann', null, 'acme'",
      "'doc', '2', 'read', 'user', 'ann', null, 'acme'",
      "'doc', '1', 'edit', 'user', 'ann', null, 'acme'",
      "'doc', '1', 'read', 'team', 'ann', null, 'acme'",
      "'doc', '1', 'read', 'user', 'bob', null, 'acme'",
      "'doc', '1', 'read', 'user', 'ann', 'member', 'acme'",
      "'doc', '1', 'read', 'user', 'ann', null, 'other'",
      "'doc', '1', 'read', 'user', 'ann'",
    ];
    const ids = [];
    for (const call of [...calls, ...calls]) ids.push(await value(db, `select authz.write_tuple(${call})`));
    expect(new Set(ids).size).toBe(calls.length);
    expect(ids.slice(calls.length)).toEqual(ids.slice(0, calls.length));
  });

  test("lets an expired tuple live again, by the same id", async () => {
    const id = await write("1", "read", "ann", "1 hour");
    await db.travel("2 hours");
    expect(await rows(db, "select * from authz.list_subject_grants('user', 'ann', 'acme')")).toEqual([]);
    expect(await write("1", "read", "ann", "1 hour")).toBe(id);
    expect(await rows(db, "select * from authz.list_subject_grants('user', 'ann', 'acme')")).toHaveLength(1);
    await db.realTime();
  });

  test("refuses an expiry that is not in the future", async () => {
    await refuses(
      db.query("select authz.write('d', '1', 'r', 'user', 'a', 'acme', howdah.now())"),
      "expiration_future 23514",
    );
    await refuses(
      db.query("select authz.write('d', '1', 'r', 'user', 'a', 'acme', '-infinity')"),
      "expiration_future 23514",
    );
    await value(db, "select authz.write('d', '1', 'r', 'user', 'a', 'acme', 'infinity')");
  });

  test("refuses a condition where no model knows one, and contexts that are no object or too large", async () => {
    const call = (condition: string | null, context: string | null): Promise<unknown> =>
      db.query("select authz.write_tuple('d', '1', 'r', 'user', 'a', null, 'acme', null, $1, $2::jsonb)", [
        condition,
        context,
      ]);
    await refuses(call("office", null), "condition_unknown 22023");
    await refuses(call("office", "{}"), "condition_unknown 22023");
    await refuses(call(null, "{}"), "condition_invalid 22023");
    await refuses(call("office", "[]"), "condition_invalid 22023");
    await refuses(call("office", "null"), "condition_invalid 22023");
    await refuses(call("office", JSON.stringify({ a: "x".repeat(65_536) })), "condition_invalid 22023");
  });

  test("refuses names that take more than 2,400 bytes together", async () => {
    const long = "ü".repeat(1024);
    await refuses(db.query("select authz.write('doc', $1, 'read', 'user', $1, 'acme')", [long]), "id_too_long 22001");
    await value(db, "select authz.write('doc', $1, 'read', 'user', 'ann', 'acme')", [long]);
    await value(db, "select authz.write('doc', $1, 'read', 'user', $2, 'acme')", ["x".repeat(1024), "y".repeat(1024)]);
    await expect(
      db.query(
        `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
         values ('acme', 'doc', $1, 'read', 'user', $1)`,
        [long],
      ),
    ).rejects.toMatchObject({ constraint: "tuples_size_check" });
  });

  test("keeps hostile ids as they are, and takes them back", async () => {
    const ids = [
      "'; drop table authz.tuples; --",
      "$$ || $1 || $$",
      "%s %L %I %1$s",
      "\\",
      "\\n",
      '"quoted"',
      "a b",
      "a\u00a0b",
      "*",
      "user:ann#member",
      "{1,2}",
      '{"a": null}',
      "null",
      "../../etc/passwd",
      "👩‍👩‍👧‍👦",
      "مرحبا\u200f",
      "\ufeffbom",
      "ﬁ ①",
      "x".repeat(1024),
    ];
    for (const id of ids) {
      await value(db, "select authz.write_tuple('doc', $1, 'read', 'user', $1, null, 'acme')", [id]);
      expect(await rows(db, "select resource_id from authz.list_subject_grants('user', $1, 'acme')", [id])).toEqual([
        { resource_id: id },
      ]);
    }
    expect(await tuples()).toHaveLength(ids.length);
    for (const id of ids) {
      expect(await value(db, "select authz.delete('doc', $1, 'read', 'user', $1, 'acme')", [id])).toBe(true);
    }
    expect(await tuples()).toEqual([]);
  });

  test("leaves nothing behind when its connection dies in the transaction, and holds up nobody", async () => {
    const client = await db.client();
    await client.query("begin");
    await client.query("select authz.write('doc', '1', 'read', 'user', 'ann', 'acme')");
    await client.query("select authz.write('team', 'a', 'member', 'team', 'b', 'acme')");
    await client.query("select authz.add_hierarchy('doc', 'admin', 'read', 'acme')");
    await crash(client);
    expect(await tuples()).toEqual([]);
    expect(await events()).toEqual([]);
    expect(await rows(db, "select * from authz.permission_closure")).toEqual([]);
    await write("1", "read", "ann");
    await value(db, "select authz.write('team', 'b', 'member', 'team', 'a', 'acme')");
    await value(db, "select authz.add_hierarchy('doc', 'read', 'admin', 'acme')");
  });

  test("that loses against another under repeatable read is run again by the client", async () => {
    let attempts = 0;
    const id = await db.transaction(
      async (tx) => {
        attempts += 1;
        await tx.query("select count(*) from authz.tuples");
        if (attempts === 1) await write("1", "read", "ann", "1 hour");
        return value<string>(tx, "select authz.write('doc', '1', 'read', 'user', 'ann', 'acme')");
      },
      { isolation: "repeatable read" },
    );
    expect(attempts).toBe(2);
    expect(await tuples()).toMatchObject([{ id, expires_at: null }]);
  });

  test("by many sessions at once makes one tuple and one event, and all get its id", async () => {
    const results = await race(db, 8, (client) =>
      value<string>(client, "select authz.write('doc', '1', 'read', 'user', 'ann', 'acme')"),
    );
    const ids = results.map((result) => (result.status === "fulfilled" ? result.value : result.reason));
    const [tuple] = await tuples();
    expect(ids).toEqual(Array(8).fill(tuple?.id));
    expect(await events()).toEqual(["tuple_created 1#read@ann"]);
  });
});

describe("spelling", () => {
  const nfc = "caf\u00e9";
  const nfd = "cafe\u0301";

  test("does not matter for finding, and is given back as the first writer had it", async () => {
    const id = await value(db, "select authz.write('doc', $1, 'read', 'user', $1, 'acme')", [nfd]);
    for (const spelling of [nfc, nfd]) {
      expect(await value(db, "select authz.write('doc', $1, 'read', 'user', $1, 'acme')", [spelling])).toBe(id);
      expect(
        await rows(db, "select resource_id from authz.list_subject_grants('user', $1, 'acme')", [spelling]),
      ).toEqual([{ resource_id: nfd }]);
    }
    expect(await events()).toEqual([`tuple_created ${nfc}#read@${nfc}`]);
    expect(await tuples()).toMatchObject([
      { resource_id: nfc, subject_id: nfc, resource_id_raw: nfd, subject_id_raw: nfd },
    ]);
    expect(await value(db, "select authz.delete('doc', $1, 'read', 'user', $1, 'acme')", [nfc])).toBe(true);
  });

  test.each([
    ["set_expiration", "$1, 'read', 'user', $1, howdah.now() + interval '1 day', 'acme'", true],
    ["clear_expiration", "$1, 'read', 'user', $1, 'acme'", true],
    ["transfer_tuple", "$1, 'read', 'user', $1, 'user', 'bob', 'acme'", true],
    ["transfer_tuple", "$1, 'read', 'user', $1, 'user', $2, 'acme'", true],
    ["delete_tuple", "$1, 'read', 'user', $1, null, 'acme'", true],
    ["revoke_resource_grants", "$1, 'acme'", 1],
  ])("does not matter to %s(%s)", async (name, args, result) => {
    await value(db, "select authz.write('doc', $1, 'read', 'user', $1, 'acme')", [nfd]);
    const values = args.includes("$2") ? [nfc, nfd] : [nfc];
    expect(await value(db, `select authz.${name}('doc', ${args})`, values)).toBe(result);
  });

  test("does not matter to revoke_subject_grants, bulk writes and the audit", async () => {
    expect(
      await value(db, "select authz.write_tuples_bulk('doc', $2, 'read', 'user', array[$1, $2, 'ann'], 'acme')", [
        nfd,
        nfc,
      ]),
    ).toBe(2);
    expect(
      await value(db, "select authz.grant_to_resources_bulk('doc', array[$1, $2], 'read', 'user', $1, null, 'acme')", [
        nfd,
        nfc,
      ]),
    ).toBe(0);
    expect(await tuples()).toMatchObject([
      { resource_id: nfc, subject_id: "ann", resource_id_raw: null },
      { resource_id: nfc, subject_id: nfc, resource_id_raw: null, subject_id_raw: nfd },
    ]);
    for (const spelling of [nfc, nfd]) {
      expect(
        await rows(db, "select * from authz.list_audit_events('acme', jsonb_build_object('subject_id', $1::text))", [
          spelling,
        ]),
      ).toHaveLength(1);
    }
    expect(await value(db, "select authz.revoke_subject_grants('user', $1, 'acme')", [nfd])).toBe(1);
  });

  test("is kept by plain SQL too, and forgotten when another id takes its place", async () => {
    await db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
       values ('acme', 'doc', $1, 'read', 'user', $2)`,
      [nfd, nfc],
    );
    expect(await tuples()).toMatchObject([
      { resource_id: nfc, resource_id_raw: nfd, subject_id: nfc, subject_id_raw: null },
    ]);
    await db.query("update authz.tuples set expires_at = 'infinity'");
    expect(await tuples()).toMatchObject([{ resource_id: nfc, resource_id_raw: nfd }]);
    await db.query("update authz.tuples set subject_id = $1, resource_id = 'plain'", [nfd]);
    expect(await tuples()).toMatchObject([{ resource_id: "plain", resource_id_raw: null, subject_id_raw: nfd }]);
    await db.query("update authz.tuples set resource_id_raw = 'something else'");
    expect(await tuples()).toMatchObject([{ resource_id: "plain", resource_id_raw: null, subject_id_raw: nfd }]);
  });
});

describe("delete", () => {
  test("takes back what write granted, once, and leaves what was granted through a relation", async () => {
    await write("1", "member", "ann");
    await value(db, "select authz.write_tuple('doc', '1', 'member', 'user', 'ann', 'friend', 'acme')");
    const call = "select authz.delete('doc', '1', 'member', 'user', 'ann', 'acme')";
    expect([await value(db, call), await value(db, call)]).toEqual([true, false]);
    expect(await tuples()).toMatchObject([{ subject_relation: "friend" }]);
    const other = "select authz.delete_tuple('doc', '1', 'member', 'user', 'ann', 'friend', 'acme')";
    expect([await value(db, other), await value(db, other)]).toEqual([true, false]);
    expect((await events()).slice(2)).toEqual(["tuple_deleted 1#member@ann", "tuple_deleted 1#member@ann#friend"]);
  });

  test("takes back an expired tuple too, and none of another tenant", async () => {
    await write("1", "read", "ann", "1 hour");
    await db.travel("2 hours");
    expect(await value(db, "select authz.delete('doc', '1', 'read', 'user', 'ann', 'other')")).toBe(false);
    expect(await value(db, "select authz.delete('doc', '1', 'read', 'user', 'ann', 'acme')")).toBe(true);
    await db.realTime();
  });

  test("of all that a subject has, or all on a resource, counts and can be narrowed", async () => {
    for (const resource of ["1", "2"])
      for (const relation of ["read", "edit"]) for (const user of ["ann", "bob"]) await write(resource, relation, user);
    await value(db, "select authz.write_tuple('page', '1', 'read', 'user', 'ann', 'friend', 'acme')");
    await value(db, "select authz.write('doc', '1', 'read', 'user', 'ann', 'other')");
    expect(await value(db, "select authz.revoke_subject_grants('user', 'ann', 'acme', 'page')")).toBe(1);
    expect(await value(db, "select authz.revoke_subject_grants('user', 'ann', 'acme')")).toBe(4);
    expect(await value(db, "select authz.revoke_subject_grants('user', 'ann', 'acme')")).toBe(0);
    expect(await value(db, "select authz.revoke_resource_grants('doc', '1', 'acme', 'read')")).toBe(1);
    expect(await value(db, "select authz.revoke_resource_grants('doc', '1', 'acme')")).toBe(1);
    expect(await tuples()).toHaveLength(3);
  });
});

describe("bulk", () => {
  const many = (n: number): string[] => Array.from({ length: n }, (_, i) => `u${i}`);

  test("writes 1,000, counts what was created, and removes expiry from what was there", async () => {
    await write("1", "read", "u7", "1 hour");
    const call = "select authz.write_tuples_bulk('doc', '1', 'read', 'user', $1, 'acme')";
    expect(await value(db, call, [many(1000)])).toBe(999);
    expect(await value(db, call, [many(1000)])).toBe(0);
    expect(await value(db, call, [[]])).toBe(0);
    expect(await value(db, "select count(*)::int from authz.tuples where expires_at is null")).toBe(1000);
    expect((await events()).filter((event) => event.startsWith("tuple_created"))).toHaveLength(1000);
    expect((await events()).filter((event) => event.startsWith("tuple_updated"))).toHaveLength(1);

    const grant = "select authz.grant_to_resources_bulk('page', $1, 'read', 'team', 'eng', 'member', 'acme')";
    expect(await value(db, grant, [many(1000)])).toBe(1000);
    expect(await value(db, grant, [[...many(3), "new", "new"]])).toBe(1);
  });

  test("refuses 1,001, a null array, and elements that are no ids, and writes nothing then", async () => {
    for (const [name, call] of [
      ["subject_ids", "select authz.write_tuples_bulk('doc', '1', 'read', 'user', $1, 'acme')"],
      ["resource_ids", "select authz.grant_to_resources_bulk('doc', $1, 'read', 'user', 'ann', null, 'acme')"],
    ] as const) {
      await refuses(db.query(call, [many(1001)]), "batch_too_large 22023");
      await refuses(db.query(call, [null]), "id_null 22004");
      for (const bad of [null, "", " a", "a\t", "a\u0085b", "x".repeat(1025)]) {
        const error = await db.query(call, [["fine", "fine too", bad]]).catch((reason: unknown) => reason);
        expect(error).toMatchObject({
          constraint: "array_element_invalid",
          message: expect.stringContaining(`${name}[3]`),
        });
      }
      await refuses(db.query(call, [["fine", "ü".repeat(1024), "€".repeat(1024)]]), "id_too_long 22001");
    }
    expect(await tuples()).toEqual([]);
  });

  test("refuses members that may be groups, and parents", async () => {
    const member = "select authz.write_tuples_bulk('team', 'a', 'member', $1, '{x}', 'acme')";
    await refuses(db.query(member, ["team"]), "bulk_group_membership 0A000");
    expect(await value(db, member, ["user"])).toBe(1);
    await refuses(
      db.query("select authz.grant_to_resources_bulk('team', '{a}', 'member', 'team', 'b', null, 'acme')"),
      "bulk_group_membership 0A000",
    );
    await refuses(
      db.query("select authz.write_tuples_bulk('folder', 'a', 'parent', 'folder', '{b}', 'acme')"),
      "bulk_parent_relation 0A000",
    );
    await refuses(
      db.query("select authz.grant_to_resources_bulk('doc', '{a}', 'parent', 'folder', 'b', null, 'acme')"),
      "bulk_parent_relation 0A000",
    );
  });

  test("at once with the same ids in other orders never fails", async () => {
    const ids = many(200);
    const results = await race(db, 6, (client, i) =>
      value(client, "select authz.write_tuples_bulk('doc', '1', 'read', 'user', $1, 'acme')", [
        i % 2 ? ids : ids.toReversed(),
      ]),
    );
    expect(results.filter((result) => result.status === "rejected")).toEqual([]);
    expect(await tuples()).toHaveLength(200);
  });
});

describe("transfer", () => {
  const transfer = (from: string, to: string): Promise<boolean> =>
    value(db, "select authz.transfer_tuple('doc', '1', 'own', 'user', $1, 'user', $2, 'acme')", [from, to]);

  test("moves a grant with its expiry, and finds nothing the second time", async () => {
    await write("1", "own", "ann", "1 hour");
    const [before] = await tuples();
    expect([await transfer("ann", "bob"), await transfer("ann", "bob")]).toEqual([true, false]);
    expect(await tuples()).toMatchObject([{ subject_id: "bob", expires_at: before?.expires_at }]);
    expect((await events()).slice(1)).toEqual(["tuple_deleted 1#own@ann", "tuple_created 1#own@bob"]);
  });

  test("to oneself tells whether the grant lives, and touches nothing", async () => {
    expect(await transfer("ann", "ann")).toBe(false);
    await write("1", "own", "ann", "1 hour");
    const before = await rows(db, "select *, xmin from authz.tuples");
    expect(await transfer("ann", "ann")).toBe(true);
    expect(await rows(db, "select *, xmin from authz.tuples")).toEqual(before);
    await db.travel("2 hours");
    expect(await transfer("ann", "ann")).toBe(false);
    await db.realTime();
  });

  test("of an expired grant, or of one through a relation, finds nothing", async () => {
    await write("1", "own", "ann", "1 hour");
    await value(db, "select authz.write_tuple('doc', '1', 'own', 'user', 'cat', 'friend', 'acme')");
    await db.travel("2 hours");
    expect([await transfer("ann", "bob"), await transfer("cat", "bob")]).toEqual([false, false]);
    expect(await tuples()).toHaveLength(2);
    await db.realTime();
  });

  test.each([
    ["a longer grant of the receiver stays", "1 hour", null, null],
    ["a shorter grant of the receiver becomes as long", null, "1 hour", null],
    ["an expired grant of the receiver lives again", "3 hours", "-1 hour", "3 hours"],
  ])("%s", async (_, from, to, after) => {
    await db.freeze();
    await write("1", "own", "ann", from);
    await db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, expires_at)
       values ('acme', 'doc', '1', 'own', 'user', 'bob', howdah.now() + $1::interval)`,
      [to],
    );
    expect(await transfer("ann", "bob")).toBe(true);
    expect(
      await rows(
        db,
        "select subject_id, expires_at is not distinct from howdah.now() + $1::interval as fits from authz.tuples",
        [after],
      ),
    ).toEqual([{ subject_id: "bob", fits: true }]);
    await db.realTime();
  });

  test("finds nothing when its source has come and gone while it waited for the receiver", async () => {
    await write("1", "own", "bob", "1 hour");
    const [receiver, source, mover] = (await db.clients(3)) as [pg.Client, pg.Client, pg.Client];
    const waits = async (): Promise<void> => {
      const { processID } = mover as unknown as { processID: number };
      while (!(await value<boolean>(db, "select cardinality(pg_blocking_pids($1)) > 0", [processID])));
    };
    await receiver.query("begin; select from authz.tuples for update");
    const moved = value<boolean>(
      mover,
      "select authz.transfer_tuple('doc', '1', 'own', 'user', 'ann', 'user', 'bob', 'acme')",
    );
    await waits();
    await write("1", "own", "ann");
    await source.query("begin; delete from authz.tuples where subject_id = 'ann'");
    await receiver.query("commit");
    await source.query("commit");
    expect(await moved).toBe(false);
    expect(await tuples()).toMatchObject([{ subject_id: "bob", expires_at: expect.any(Date) }]);
    await Promise.all([receiver, source, mover].map((client) => client.end()));
  });

  test("by many sessions at once is won by one", async () => {
    await write("1", "own", "ann");
    const results = await race(db, 6, (client, i) =>
      value<boolean>(client, "select authz.transfer_tuple('doc', '1', 'own', 'user', 'ann', 'user', $1, 'acme')", [
        `to${i}`,
      ]),
    );
    const won = results.map((result) => result.status === "fulfilled" && result.value);
    expect(won.filter(Boolean)).toHaveLength(1);
    expect(await tuples()).toMatchObject([{ subject_id: `to${won.indexOf(true)}` }]);
  });

  test("in both directions at once never waits in a circle", async () => {
    for (let i = 0; i < 10; i++) {
      await write("1", "own", "ann");
      await write("1", "own", "bob");
      const results = await race(db, 4, (client, k) =>
        value<boolean>(client, "select authz.transfer_tuple('doc', '1', 'own', 'user', $1, 'user', $2, 'acme')", [
          k % 2 ? "ann" : "bob",
          k % 2 ? "bob" : "ann",
        ]),
      );
      expect(results.filter((result) => result.status === "rejected")).toEqual([]);
      expect(await tuples()).toHaveLength(1);
    }
  });
});
