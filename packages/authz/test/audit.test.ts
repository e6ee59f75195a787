import { race, type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(() => wipe(db));
afterEach(() => db.realTime());
afterAll(() => db.close());

const write = (id: string, user = "ann"): Promise<string> =>
  value(db, "select authz.write('doc', $1, 'read', 'user', $2, 'acme')", [id, user]);

describe("an event", () => {
  test("says who did what to which tuple, when, from where and why", async () => {
    await db.freeze(new Date("2026-03-10T12:00:00Z"));
    const client = await db.client();
    await client.query("set application_name = 'the app'; begin");
    await client.query("select authz.set_actor('user:ann', 'req-7', 'ticket 12', 'user:bob')");
    const id = await value(
      client,
      "select authz.write_tuple('doc', '1', 'read', 'team', 'eng', 'member', 'acme', '2026-03-11')",
    );
    await client.query("commit");
    const [event] = await rows<Record<string, unknown>>(db, "select * from authz.list_audit_events('acme')");
    expect(event).toMatchObject({
      event_type: "tuple_created",
      event_time: new Date("2026-03-10T12:00:00Z"),
      actor_id: "user:ann",
      request_id: "req-7",
      reason: "ticket 12",
      on_behalf_of: "user:bob",
      session_user_name: client.user,
      current_user_name: client.user,
      client_addr: "127.0.0.1",
      application_name: "the app",
      namespace: "acme",
      resource_type: "doc",
      resource_id: "1",
      relation: "read",
      subject_type: "team",
      subject_id: "eng",
      subject_relation: "member",
      tuple_id: id,
      expires_at: new Date("2026-03-11T00:00:00Z"),
      detail: null,
    });
    expect(event?.event_id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
  });

  test("is written for plain SQL: one a row, none for rows that stay as they are", async () => {
    await db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, condition_name, condition_context)
       values ('acme', 'doc', '1', 'read', 'user', 'ann', 'office', '{"ip": null}'),
         ('acme', 'doc', '2', 'read', 'user', 'ann', null, null)`,
    );
    await db.query("update authz.tuples set expires_at = expires_at");
    await db.query("update authz.tuples set condition_context = '{}' where condition_name is not null");
    await db.query("update authz.tuples set subject_id = 'bob' where resource_id = '2'");
    await db.query("delete from authz.tuples");
    await db.query("delete from authz.tuples");
    expect(
      await rows(db, "select event_type, resource_id, subject_id, detail from authz.audit_events order by id"),
    ).toEqual([
      {
        event_type: "tuple_created",
        resource_id: "1",
        subject_id: "ann",
        detail: { condition: "office", condition_context: { ip: null } },
      },
      { event_type: "tuple_created", resource_id: "2", subject_id: "ann", detail: null },
      {
        event_type: "tuple_updated",
        resource_id: "1",
        subject_id: "ann",
        detail: {
          condition: "office",
          condition_context: {},
          old: { expires_at: null, condition: "office", condition_context: { ip: null } },
        },
      },
      { event_type: "tuple_deleted", resource_id: "2", subject_id: "ann", detail: null },
      { event_type: "tuple_created", resource_id: "2", subject_id: "bob", detail: null },
      {
        event_type: "tuple_deleted",
        resource_id: "1",
        subject_id: "ann",
        detail: { condition: "office", condition_context: {} },
      },
      { event_type: "tuple_deleted", resource_id: "2", subject_id: "bob", detail: null },
    ]);
  });

  test("is written for each tuple that is truncated, of every tenant, with who did it", async () => {
    await db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id,
         subject_relation, expires_at, condition_name, condition_context)
       values ('acme', 'doc', '1', 'read', 'team', 'eng', 'member', '2099-03-11', 'office', '{"a": 1}')`,
    );
    await value(db, "select authz.write('doc', 'e\u0301', 'read', 'user', 'ann', 'other')");
    const client = await db.client();
    await client.query("begin; select authz.set_actor('user:root', 'req-7'); truncate authz.tuples; commit");
    const told = `resource_type, resource_id, relation, subject_type, subject_id, subject_relation, namespace, tuple_id,
      expires_at, detail, current_user_name`;
    const created = await rows<object>(
      db,
      `select ${told} from authz.audit_events where event_type = 'tuple_created' order by id`,
    );
    const deleted = await rows<object>(
      db,
      `select ${told} from authz.audit_events
       where event_type = 'tuple_deleted' and actor_id = 'user:root' and request_id = 'req-7' order by tuple_id`,
    );
    expect(deleted).toHaveLength(2);
    expect(deleted).toEqual(created);
    expect(await value(db, "select count(*)::int from authz.tuples")).toBe(0);
  });

  test("misses no tuple that another session writes while the table is truncated", async () => {
    await write("0");
    const results = await race(db, 12, (client, i) =>
      client.query(
        i % 4 ? `select authz.write('doc', '${i}', 'read', 'user', 'ann', 'acme')` : "truncate authz.tuples",
      ),
    );
    expect(results.filter(({ status }) => status === "rejected")).toEqual([]);
    const [{ made, gone, left } = {}] = await rows<Record<string, number>>(
      db,
      `select count(*) filter (where event_type = 'tuple_created')::int as made,
         count(*) filter (where event_type = 'tuple_deleted')::int as gone,
         (select count(*)::int from authz.tuples) as left
       from authz.audit_events`,
    );
    expect({ made, gone }).toEqual({ made: 10, gone: 10 - Number(left) });
  });

  test("of a truncation that is rolled back is gone with it", async () => {
    await write("1");
    await db.query("begin; truncate authz.tuples; rollback");
    expect(await rows(db, "select event_type from authz.audit_events")).toEqual([{ event_type: "tuple_created" }]);
  });

  test("that cannot be written makes the write fail", async () => {
    await db.query("alter table authz.audit_events add constraint never check (resource_id <> 'x') not valid");
    await expect(write("x")).rejects.toMatchObject({ constraint: "never" });
    await db.query("alter table authz.audit_events drop constraint never");
    expect(await value(db, "select count(*)::int from authz.tuples")).toBe(0);
  });
});

describe("list_audit_events", () => {
  const list = (
    filter: object | null,
    limit = 100,
    before: unknown[] = [null, null],
  ): Promise<Record<string, unknown>[]> =>
    rows(db, "select * from authz.list_audit_events('acme', $1, $2, $3, $4)", [
      filter && JSON.stringify(filter),
      limit,
      ...before,
    ]);

  test("filters by whatever identifies an event", async () => {
    const client = await db.client();
    await client.query("begin; select authz.set_actor('ann', 'req-1', null, 'bob')");
    const id = await value(client, "select authz.write_tuple('doc', '1', 'read', 'team', 'eng', 'member', 'acme')");
    await client.query("commit");
    await write("2");
    await value(db, "select authz.write('doc', '1', 'read', 'team', 'eng', 'other')");
    for (const filter of [
      { actor_id: "ann" },
      { request_id: "req-1" },
      { on_behalf_of: "bob" },
      { resource_id: "1" },
      { subject_type: "team", subject_id: "eng" },
      { subject_relation: "member" },
      { tuple_id: id },
      { tuple_id: Number(id) },
      { event_type: "tuple_created", resource_type: "doc", relation: "read", subject_type: "team" },
    ])
      expect(await list(filter), JSON.stringify(filter)).toMatchObject([{ tuple_id: id }]);
    expect(await list({})).toHaveLength(2);
    expect(await list({ resource_type: "page" })).toEqual([]);
    expect(await list({ tuple_id: "999999" })).toEqual([]);
  });

  test("goes on after a page, the newest first, whatever became of microseconds", async () => {
    for (let i = 0; i < 30; i++) await write(String(i));
    await db.query(
      `update authz.audit_events set event_time = '2026-01-01'::timestamptz + (resource_id::int / 3) * interval '350 us'`,
    );
    const all = await list({});
    expect(all.map((event) => event.resource_id)).toEqual(Array.from({ length: 30 }, (_, i) => String(29 - i)));
    for (const read of ["event_time", "event_time::text as event_time"]) {
      const paged: unknown[] = [];
      let before: unknown[] = [null, null];
      for (;;) {
        const page = await rows<Record<string, unknown>>(
          db,
          `select resource_id, ${read}, id from authz.list_audit_events('acme', '{}', 7, $1, $2)`,
          before,
        );
        paged.push(...page.map((event) => event.resource_id));
        const last = page.at(-1);
        if (!last) break;
        before = [last.event_time, last.id];
      }
      expect(paged).toEqual(all.map((event) => event.resource_id));
    }
  });

  test("refuses filters that mean nothing, and limits out of range", async () => {
    for (const [filter, problem] of [
      [
        { who: "ann" },
        "filter.who is not known, it may be event_type, actor_id, request_id, on_behalf_of, resource_type",
      ],
      [{ actor_id: 1 }, "filter.actor_id must be a text"],
      [{ actor_id: null }, "filter.actor_id must be a text"],
      [{ tuple_id: "x" }, "filter.tuple_id must be the number of a row"],
      [{ tuple_id: "9999999999999999999" }, "filter.tuple_id must be the number of a row"],
      [[], "filter must be an object, it is array"],
      ["actor_id", "filter must be an object, it is string"],
      [null, "filter must be an object, it is null"],
    ] as const) {
      await refuses(list(filter as object), "predicate_invalid 22023");
      await expect(list(filter as object)).rejects.toThrow(problem);
    }
    await refuses(db.query("select authz.list_audit_events('acme', null)"), "predicate_invalid 22023");
    await refuses(list({}, 1001), "limit_too_large 22023");
    await refuses(list({}, 0), "not_positive 22023");
  });
});

describe("partitions", () => {
  const partitions = (): Promise<string[]> =>
    rows<{ name: string }>(
      db,
      "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'authz.audit_events'::regclass order by 1",
    ).then((found) => found.map(({ name }) => name));
  beforeEach(async () => {
    await db.query("select howdah.drop_partitions('authz.audit_events', '0')");
    for (const name of await partitions()) if (!name.endsWith("default")) await db.query(`drop table ${name}`);
    await db.freeze(new Date("2026-03-31T23:30:00Z"));
  });

  test("are made for a month, once", async () => {
    const make = (year: number | null, month: number | null): Promise<string> =>
      value(db, "select authz.create_audit_partition($1, $2)", [year, month]);
    expect([await make(2027, 2), await make(2027, 2)]).toEqual(["audit_events_y2027m02", null]);
    for (const year of [1969, 10_000, null]) await refuses(make(year, 1), "year_out_of_range 22023");
    for (const month of [0, 13, -1, null]) await refuses(make(2027, month), "month_out_of_range 22023");
  });

  test("are made for this month and those after it, whatever the session's time zone", async () => {
    const client = await db.client();
    await client.query("set timezone = 'Pacific/Auckland'");
    const ensure = (ahead: string): Promise<string[]> =>
      rows<{ name: string }>(client, `select authz.ensure_audit_partitions(${ahead}) as name`).then((found) =>
        found.map(({ name }) => name),
      );
    expect(await ensure("0")).toEqual(["audit_events_y2026m03"]);
    expect(await ensure("")).toEqual(["audit_events_y2026m04", "audit_events_y2026m05", "audit_events_y2026m06"]);
    expect(await ensure("")).toEqual([]);
    for (const ahead of ["-1", "121", "null"]) await refuses(ensure(ahead), "month_out_of_range 22023");
  });

  test("that are missing are replaced by the default one, reported, and take their rows when they are made", async () => {
    await write("1");
    const broken = "select resource_id, status from authz.verify_integrity('acme')";
    expect(await value(db, "select count(*)::int from authz.audit_events_default")).toBe(1);
    expect(await rows(db, broken)).toEqual([{ resource_id: "audit_partitions", status: "error" }]);
    await db.query("select authz.ensure_audit_partitions(0)");
    expect(await rows(db, broken)).toEqual([]);
    expect(await value(db, "select count(*)::int from authz.audit_events_default")).toBe(0);
    expect(await rows(db, "select resource_id from authz.list_audit_events('acme')")).toEqual([{ resource_id: "1" }]);
    await db.travel("1 hour");
    expect(await rows(db, broken)).toHaveLength(1);
  });

  test("that are old are dropped, and others stay", async () => {
    const drop = (months: string): Promise<object[]> =>
      rows(db, `select authz.drop_audit_partitions(${months}) as name`);
    await db.query("select authz.create_audit_partition(2019, 2), authz.create_audit_partition(2026, 1)");
    await db.query("select authz.ensure_audit_partitions(0)");
    expect(await drop("")).toEqual([{ name: "audit_events_y2019m02" }]);
    expect(await drop("2")).toEqual([]);
    expect(await drop("1")).toEqual([{ name: "audit_events_y2026m01" }]);
    expect(await drop("2147483647")).toEqual([]);
    expect(await partitions()).toEqual(["authz.audit_events_default", "authz.audit_events_y2026m03"]);
    for (const months of ["0", "-1", "null"]) await refuses(drop(months), "not_positive 22023");
  });

  test("are for administrators to make and drop", async () => {
    const role = await db.role("app");
    await role.grant("authz");
    for (const call of [
      "create_audit_partition(2027, 1)",
      "ensure_audit_partitions()",
      "drop_audit_partitions()",
      "cleanup_expired('acme')",
      "maintain()",
    ])
      await expect(role.query(`select authz.${call}`)).rejects.toMatchObject({ code: "42501" });
  });
});
