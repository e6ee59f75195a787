import { race, type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { activate, useModel } from "./program.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

interface Options {
  deletes?: unknown[] | object;
  duplicate?: string | null;
  missing?: string | null;
  namespace?: string;
}
const writeTuples = async (
  writes: unknown,
  { deletes = [], duplicate = "update", missing = "ignore", namespace = "acme" }: Options = {},
  on: { query: TestDatabase["query"] } = db,
): Promise<[number, number]> => {
  const [row] = await rows<{ written: number; deleted: number }>(
    on as TestDatabase,
    "select * from authz.write_tuples($1, $2, $3, $4, $5)",
    [JSON.stringify(writes), JSON.stringify(deletes), namespace, duplicate, missing],
  );
  return [row?.written ?? -1, row?.deleted ?? -1];
};
const stored = (): Promise<string[]> =>
  value(
    db,
    `select coalesce(array_agg(authz._tuple_text(resource_type, coalesce(resource_id_raw, resource_id), relation,
       subject_type, coalesce(subject_id_raw, subject_id), subject_relation) order by id), '{}')
     from authz.tuples where namespace = 'acme'`,
  );
const refused = (call: Promise<unknown>) =>
  call.then(
    () => undefined,
    (error: Error & { detail: string }) => error,
  );

describe("the forms of a tuple", () => {
  test.each([
    ["document:1#viewer@user:ann", ["document", "1", "viewer", "user", "ann", null]],
    ["document:1#viewer@group:g#member", ["document", "1", "viewer", "group", "g", "member"]],
    ["document:a:b#viewer@user:c:d", ["document", "a:b", "viewer", "user", "c:d", null]],
    [
      "issue:acme/app#12#viewer@user:ann@example.com",
      ["issue", "acme/app#12", "viewer", "user", "ann@example.com", null],
    ],
    ["doc:1#r@user:x#12", ["doc", "1", "r", "user", "x#12", null]],
    ["doc:1#r@user:x#12#member", ["doc", "1", "r", "user", "x#12", "member"]],
    ["doc:a@b#r@user:*", ["doc", "a@b", "r", "user", "*", null]],
    ["doc:1#r@user:x#s@team:y", ["doc", "1", "r", "user", "x#s@team:y", null]],
    ["doc:#r@user:x#s@team:y#z", ["doc", "#r@user:x", "s", "team", "y", "z"]],
    ["doc:##a-#B@c:@r#r@u_1:\u00e9#", ["doc", "##a-#B@c:@r", "r", "u_1", "\u00e9#", null]],
    [
      { resource_type: "doc", resource_id: "1#r@a:b", relation: "r", subject_type: "user", subject_id: "x#member" },
      ["doc", "1#r@a:b", "r", "user", "x#member", null],
    ],
    [
      { user: "group:g#member", relation: "viewer", object: "document:1#2" },
      ["document", "1#2", "viewer", "group", "g", "member"],
    ],
  ])("%j", async (tuple, parts) => {
    const [row] = await rows<Record<string, unknown>>(
      db,
      `select (r.tuple).resource_type as a, (r.tuple).resource_id as b, (r.tuple).relation as c,
         (r.tuple).subject_type as d, (r.tuple).subject_id as e, (r.tuple).subject_relation as f, r.problem
       from authz._read_tuples('acme', $1) r`,
      [JSON.stringify([tuple])],
    );
    expect(row).toEqual({ ...Object.fromEntries(parts.map((part, i) => ["abcdef"[i], part])), problem: null });
  });

  test.each([
    [1, "is neither a text nor an object"],
    [null, "is neither a text nor an object"],
    ["", "does not read type:id#relation@type:id"],
    ["document:1#viewer", "does not read type:id#relation@type:id"],
    ["Document:1#viewer@user:ann", "does not read type:id#relation@type:id"],
    ["document:1#viewer@user:", "subject_id must have 1 to 1024 characters"],
    ["document: 1#viewer@user:ann", "resource_id must have 1 to 1024 characters"],
    ["document:1#viewer@user:a\tb", "subject_id must have 1 to 1024 characters"],
    [`document:1#viewer@user:${"x".repeat(1025)}`, "subject_id must have 1 to 1024 characters"],
    [`doc:${"é".repeat(1000)}#r@user:${"é".repeat(1000)}`, "has names of more than 2400 bytes together"],
    [{}, "resource_type must match"],
    [{ resource_type: "doc", resource_id: 1 }, "resource_id must be a text"],
    [{ user: "user:ann", relation: "r", object: "doc" }, "resource_id must have 1 to 1024 characters"],
    [{ user: "user:ann", relation: "r", object: "doc:1", subject_id: "x" }, "has the unknown key 'subject_id'"],
    [{ user: "user:ann", relation: "r", object: "doc:1", condition: "c" }, "condition must be an object"],
    [
      { user: "user:ann", relation: "r", object: "doc:1", condition: { name: "c", args: {} } },
      "condition must have no other keys",
    ],
    [
      { user: "user:ann", relation: "r", object: "doc:1", condition: { name: "C".repeat(1025) } },
      "condition must have at most 1024 characters",
    ],
    [
      { user: "user:ann", relation: "r", object: "doc:1", condition: { name: "c", context: [] } },
      "context must be an obj",
    ],
    [
      { user: "user:ann", relation: "r", object: "doc:1", condition: { context: { a: 1 } } },
      "context needs a condition",
    ],
    [{ user: "user:ann", relation: "r", object: "doc:1", expires_at: "tomorrow" }, "expires_at must be a time"],
  ])("refuses %j", async (tuple, problem) => {
    const call = writeTuples(["document:1#viewer@user:ann", tuple]);
    await refuses(call, "array_element_invalid 22023");
    const error = await refused(call);
    expect(error?.message).toContain(`writes[2] ${problem}`);
    expect(error?.message.length).toBeLessThan(400);
    expect(await stored()).toEqual([]);
  });

  test("shows no value of a context in an error", async () => {
    const context = { secret: "hush" };
    const tuple = { user: "user:ann", relation: "r", object: "doc", condition: { name: "c", context } };
    const own = { resource_type: "doc", relation: "r", condition: "c", context };
    for (const each of [tuple, own]) {
      const error = await refused(writeTuples([each]));
      expect(`${error?.message} ${JSON.stringify(error)}`).not.toContain("hush");
    }
  });
});

describe("write_tuples", () => {
  test("writes and deletes in one step, and counts what changed", async () => {
    expect(await writeTuples(["doc:1#read@user:ann", "doc:2#read@user:ann"])).toEqual([2, 0]);
    expect(
      await writeTuples(["doc:2#read@user:ann", "doc:3#read@user:ann"], {
        deletes: ["doc:1#read@user:ann", "doc:9#read@user:ann"],
      }),
    ).toEqual([1, 1]);
    expect(await stored()).toEqual(["doc:2#read@user:ann", "doc:3#read@user:ann"]);
    expect(await writeTuples([], {})).toEqual([0, 0]);
    expect(await writeTuples(null, { deletes: [] })).toEqual([0, 0]);
  });

  test("audits every change", async () => {
    await writeTuples(["doc:1#read@user:ann", "doc:2#read@user:ann"]);
    await writeTuples(["doc:3#read@user:ann"], { deletes: ["doc:1#read@user:ann"] });
    expect(
      await rows(db, "select event_type, resource_id from authz.audit_events order by resource_id, event_type"),
    ).toEqual([
      { event_type: "tuple_created", resource_id: "1" },
      { event_type: "tuple_deleted", resource_id: "1" },
      { event_type: "tuple_created", resource_id: "2" },
      { event_type: "tuple_created", resource_id: "3" },
    ]);
  });

  test("keeps the caller's spelling and finds every other one", async () => {
    await writeTuples(["doc:cafe\u0301#read@user:ann"]);
    expect(await stored()).toEqual(["doc:cafe\u0301#read@user:ann"]);
    expect(await writeTuples([], { deletes: ["doc:caf\u00e9#read@user:ann"] })).toEqual([0, 1]);
  });

  test("sets the expiry and revives what has expired", async () => {
    const tuple = { resource_type: "doc", resource_id: "1", relation: "read", subject_type: "user", subject_id: "ann" };
    await writeTuples([{ ...tuple, expires_at: "2999-01-01T00:00:00Z" }]);
    expect(await value(db, "select expires_at::date::text from authz.tuples")).toBe("2999-01-01");
    expect(await writeTuples([tuple])).toEqual([1, 0]);
    expect(await value(db, "select expires_at from authz.tuples")).toBeNull();
    for (const duplicate of ["ignore", "error"]) {
      await db.query("update authz.tuples set expires_at = now() - interval '1 day'");
      expect(await writeTuples([tuple], { duplicate })).toEqual([1, 0]);
      expect(await value(db, "select expires_at from authz.tuples")).toBeNull();
    }
    await refuses(
      writeTuples([tuple, { ...tuple, subject_id: "x", expires_at: "2000-01-01T00:00:00Z" }]),
      "expiration_future 23514",
    );
  });

  test("leaves or refuses what is there, as asked", async () => {
    const until = { user: "user:ann", relation: "read", object: "doc:1", expires_at: "2999-01-01T00:00:00Z" };
    await writeTuples([until]);
    expect(await writeTuples(["doc:1#read@user:ann"], { duplicate: "ignore" })).toEqual([0, 0]);
    expect(await value(db, "select expires_at::date::text from authz.tuples")).toBe("2999-01-01");

    const call = writeTuples(["doc:2#read@user:ann", "doc:1#read@user:ann"], { duplicate: "error" });
    await refuses(call, "tuple_exists PK001");
    await expect(call).rejects.toThrow("writes[2] names a tuple that exists");
    expect(await stored()).toEqual(["doc:1#read@user:ann"]);
  });

  test("refuses the batch if a tuple to delete is missing, as asked", async () => {
    await writeTuples(["doc:1#read@user:ann"]);
    const deletes = ["doc:1#read@user:ann", "doc:1#read@user:bob"];
    const call = writeTuples(["doc:2#read@user:ann"], { deletes, missing: "error" });
    await refuses(call, "grant_not_found P0002");
    await expect(call).rejects.toThrow("deletes[2]");
    expect(await stored()).toEqual(["doc:1#read@user:ann"]);
  });

  test("refuses a batch that names one tuple twice", async () => {
    const twice = writeTuples(["doc:1#read@user:ann", { user: "user:ann", relation: "read", object: "doc:1" }]);
    await refuses(twice, "array_element_invalid 22023");
    await expect(twice).rejects.toThrow("writes[2]");
    const both = writeTuples(["doc:1#read@user:ann"], { deletes: ["doc:2#read@user:ann", "doc:1#read@user:ann"] });
    await expect(both).rejects.toThrow("deletes[2] names a tuple for the second time");
  });

  test("takes 5,000 tuples and no more, writes and deletes together", async () => {
    const many = (n: number) => Array.from({ length: n }, (_, i) => `doc:${i}#read@user:ann`);
    expect(await writeTuples(many(5000))).toEqual([5000, 0]);
    await refuses(writeTuples(many(5001)), "batch_too_large 22023");
    await refuses(writeTuples(["doc:x#read@user:ann"], { deletes: many(5000) }), "batch_too_large 22023");
    expect(await writeTuples([], { deletes: many(5000) })).toEqual([0, 5000]);
  });

  test.each([
    ["folder:1#viewer@user:ann", "type_unknown"],
    ["document:1#owner@user:ann", "relation_unknown"],
    ["group:g#member@user:*", "tuple_invalid"],
    [{ user: "user:ann", relation: "viewer", object: "document:1", condition: { name: "old" } }, "condition_unknown"],
  ])("refuses %j where the model does, and names it", async (tuple, code) => {
    await activate(db);
    const call = writeTuples(["document:1#viewer@user:bob", tuple]);
    await refuses(call, `${code} 22023`);
    await expect(call).rejects.toThrow("writes[2] is refused by the model");
    expect(await stored()).toEqual([]);
  });

  test("deletes also what the model would refuse", async () => {
    await writeTuples(["folder:1#viewer@user:ann"]);
    await activate(db);
    expect(await writeTuples([], { deletes: ["folder:1#viewer@user:ann"] })).toEqual([0, 1]);
  });

  test("refuses a condition where no model defines one", async () => {
    const tuple = { user: "user:ann", relation: "r", object: "doc:1", condition: { name: "recent" } };
    await refuses(writeTuples([tuple]), "condition_unknown 22023");
    await activate(db);
    await writeTuples([
      { ...tuple, object: "document:1", relation: "viewer", condition: { name: "recent", context: { age: 1 } } },
    ]);
    expect(await rows(db, "select condition_name, condition_context from authz.tuples")).toEqual([
      { condition_name: "recent", condition_context: { age: 1 } },
    ]);
  });

  test("refuses edges that close a circle together, and turns one around in one batch", async () => {
    await refuses(
      writeTuples(["team:a#member@team:b", "team:b#member@team:c", "team:c#member@team:a#member"]),
      "cycle_group PK001",
    );
    await refuses(writeTuples(["doc:a#parent@doc:b", "doc:b#parent@doc:a"]), "cycle_resource PK001");
    await refuses(writeTuples(["doc:a#parent@doc:a"]), "self_parent PK001");
    expect(await stored()).toEqual([]);
    await writeTuples(["team:a#member@team:b"]);
    expect(await writeTuples(["team:b#member@team:a"], { deletes: ["team:a#member@team:b"] })).toEqual([1, 1]);
  });

  test("of sessions that write the halves of a circle at once, one fails", async () => {
    const edges = ["team:a#member@team:b", "team:b#member@team:c", "team:c#member@team:a"];
    const results = await race(db, 3, (client, i) => writeTuples([edges[i]], {}, client as never));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
    expect(await stored()).toHaveLength(2);
  });

  test("of sessions that write overlapping batches at once, each succeeds", async () => {
    const results = await race(db, 6, (client, i) =>
      writeTuples(
        Array.from({ length: 50 }, (_, n) => `doc:${i % 2 ? n : 49 - n}#read@user:ann`),
        {},
        client as never,
      ),
    );
    expect(results.filter(({ status }) => status === "rejected")).toEqual([]);
    expect(await stored()).toHaveLength(50);
  });

  test.each([
    ["writes that are no array", {}, {}],
    ["deletes that are no array", [], { deletes: {} }],
  ])("refuses %s", (_what, writes, options) => refuses(writeTuples(writes, options), "array_element_invalid 22023"));

  test.each([[{ duplicate: "merge" }], [{ duplicate: null }], [{ missing: "update" }]])("refuses %j", (options) =>
    refuses(writeTuples([], options), "identifier_format 22023"),
  );

  test("keeps to its namespace, and to administrators in global", async () => {
    await refuses(writeTuples([], { namespace: "" }), "namespace_empty 22026");
    const role = await db.role("app");
    await role.grant("authz");
    await db.query(`grant execute on function authz.write_tuples to ${role.name}`);
    await refuses(writeTuples([], { namespace: "global" }, role as never), "global_write_denied 42501");
  });
});

describe("read_tuples", () => {
  const read = (filter: unknown, more = ""): Promise<string[]> =>
    value(
      db,
      `select coalesce(array_agg(authz._tuple_text(resource_type, resource_id, relation, subject_type, subject_id,
         subject_relation) order by id), '{}') from authz.read_tuples($1, 'acme'${more})`,
      [JSON.stringify(filter)],
    );
  beforeEach(() =>
    writeTuples([
      "doc:1#read@user:ann",
      "doc:1#read@team:t#member",
      "doc:2#write@user:bob",
      "folder:caf\u00e9#read@user:ann",
    ]),
  );

  test("filters by any columns", async () => {
    expect(await read({})).toHaveLength(4);
    expect(await read(null)).toHaveLength(4);
    expect(await read({ resource_type: "doc", resource_id: "1" })).toHaveLength(2);
    expect(await read({ resource_id: "cafe\u0301" })).toEqual(["folder:caf\u00e9#read@user:ann"]);
    expect(await read({ subject_type: "user", subject_id: "ann" })).toHaveLength(2);
    expect(await read({ subject_relation: "member" })).toEqual(["doc:1#read@team:t#member"]);
    expect(await read({ subject_relation: null, relation: "read" })).toHaveLength(2);
    expect(await read({ condition: "recent" })).toEqual([]);
    expect(await read({ condition: null })).toHaveLength(4);
  });

  test("pages by the id of the last tuple", async () => {
    const [first] = await rows<{ id: string }>(db, "select id from authz.read_tuples('{}', 'acme', 1)");
    expect(await read({}, `, 2, '${first?.id}'`)).toEqual(["doc:1#read@user:ann", "doc:2#write@user:bob"]);
  });

  test("leaves out what has expired unless asked", async () => {
    await db.query("update authz.tuples set expires_at = now() - interval '1 day' where resource_id = '2'");
    expect(await read({})).toHaveLength(3);
    expect(await read({}, ", 100, null, true")).toHaveLength(4);
  });

  test("refuses filters, cursors and limits that are none", async () => {
    for (const [filter, problem] of [
      [[], "filter must be an object, it is array"],
      [{ id: "1" }, "filter.id is not known, it may be resource_type, resource_id, relation, subject_type, subj"],
      [{ resource_id: 1 }, "filter.resource_id must be a text"],
      [{ resource_id: null }, "filter.resource_id must be a text"],
      [{ subject_relation: 1 }, "filter.subject_relation must be a text or null"],
    ] as const) {
      await refuses(read(filter), "predicate_invalid 22023");
      await expect(read(filter)).rejects.toThrow(problem);
    }
    await refuses(read({}, ", 100, 'x'"), "identifier_format 22023");
    await refuses(read({}, ", 1001"), "limit_too_large 22023");
    await refuses(read({}, ", 0"), "not_positive 22023");
  });
});

test("a text that is longer than any tuple is refused without being taken apart", async () => {
  const long = `a:1#b@c:${"#a".repeat(1_000_000)}#`;
  for (const tuple of [long, { user: long.slice(6), relation: "b", object: "a:1" }]) {
    await refuses(
      db.query("select * from authz.write_tuples($1)", [JSON.stringify([tuple])]),
      "array_element_invalid 22023",
    );
  }
});

test("a text with long ids that are full of marks is read in one pass", async () => {
  const texts = Array.from({ length: 5000 }, (_, i) => `a:${"#a@".repeat(270)}${i}#r@user:${"#".repeat(900)}`);
  const client = await db.client();
  await client.query("set statement_timeout = '40s'");
  const read = `select count(*)::int from authz._read_tuples('acme', $1) r
    where r.problem is null and (r.tuple).relation = 'r' and length((r.tuple).subject_id) = 900`;
  expect(await value(client, read, [JSON.stringify(texts)])).toBe(5000);
});

test("conditions may have upper-case letters wherever tuples are written", async () => {
  const dsl = `
type user
type doc
  relations
    define viewer: [user with inRange]
condition inRange(ip: ipaddress) {
  ip.in_cidr("10.0.0.0/8")
}`;
  await useModel(db, dsl);
  const own = { resource_type: "doc", relation: "viewer", subject_type: "user", subject_id: "ann" };
  const openFga = { user: "user:ann", relation: "viewer", object: "doc:2", condition: { name: "inRange" } };
  await value(db, "select authz.write_tuple('doc', '0', 'viewer', 'user', 'ann', null, 'acme', null, 'inRange')");
  expect(await writeTuples([{ ...own, resource_id: "1", condition: "inRange" }, openFga])).toEqual([2, 0]);
  expect(await value(db, "select count(*)::int from authz.tuples where condition_name = 'inRange'")).toBe(3);
  const check = `select authz.check('user', 'ann', 'viewer', 'doc', '3', 'acme', null, '{"ip": "10.1.1.1"}', $1)`;
  expect(await value(db, check, [JSON.stringify([{ ...openFga, object: "doc:3" }])])).toBe(true);
  await refuses(writeTuples([{ ...openFga, condition: { name: "inrange" } }]), "condition_unknown 22023");
  await refuses(writeTuples([{ ...openFga, condition: { name: "" } }]), "condition_unknown 22023");
});

describe("contextual tuples", () => {
  const contextual = (tuples: unknown) =>
    value<string | null>(db, "select authz._contextual('acme', authz._active_program('acme'), $1)", [
      JSON.stringify(tuples),
    ]);

  test("are none if null or empty", async () => {
    expect(await contextual(null)).toBeNull();
    expect(await contextual([])).toBeNull();
    expect(await value(db, "select authz._contextual('acme', authz._active_program('acme'), null)")).toBeNull();
  });

  test("are refused as a whole by the first one that is malformed or that the model refuses", async () => {
    const no = (tuples: unknown) => refuses(contextual(tuples), "contextual_tuple_invalid 22023");
    await no({});
    await no(["nonsense"]);
    await activate(db);
    await no(["folder:1#viewer@user:ann"]);
    await no(["group:g#member@user:*"]);
    await expect(contextual(["document:1#viewer@user:ann", "group:g#member@user:*"])).rejects.toThrow(
      "contextual_tuples[2] is refused by the model, user:* may not be member of group",
    );
  });

  test("are a hundred at most", async () => {
    const many = (n: number) => Array.from({ length: n }, (_, i) => `doc:${i}#read@user:ann`);
    expect(
      await value(db, "select cardinality(authz._contextual('acme', authz._active_program('acme'), $1))", [
        JSON.stringify(many(100)),
      ]),
    ).toBe(100);
    await refuses(contextual(many(101)), "batch_too_large 22023");
  });
});
