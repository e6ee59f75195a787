// What an active model changes for writes: which tuples may be written, and that its types may have cycles.
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { useModel } from "./program.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

const dsl = `
type user
type team
  relations
    define member: [user, team#member]
type folder
  relations
    define parent: [folder]
    define reader: [user, user:*, team#member, user with recent]
condition recent(age: int) {
  age < 10
}`;

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(async () => {
  await wipe(db);
  await useModel(db, dsl, { strict: false });
});
afterAll(() => db.close());

const call = (sql: string, ...values: unknown[]): Promise<unknown> => value(db, `select authz.${sql}`, values);

describe("a modelled type", () => {
  test("takes what its model allows, and nothing else, in every way of writing", async () => {
    await call("write('folder', '1', 'reader', 'user', 'ann', 'acme')");
    await call("write('folder', '1', 'reader', 'user', '*', 'acme')");
    await call("write_tuple('folder', '1', 'reader', 'team', 'eng', 'member', 'acme')");
    expect(await call("write_tuples_bulk('folder', '1', 'reader', 'user', '{ann,bob,*}', 'acme')")).toBe(1);
    expect(await call("grant_to_resources_bulk('folder', '{2,3}', 'reader', 'team', 'eng', 'member', 'acme')")).toBe(2);
    for (const [sql, code] of [
      ["write('folder', '1', 'reader', 'team', 'eng', 'acme')", "tuple_invalid"],
      ["write('folder', '1', 'reader', 'robot', 'x', 'acme')", "tuple_invalid"],
      ["write_tuple('folder', '1', 'reader', 'user', 'ann', 'friend', 'acme')", "tuple_invalid"],
      ["write('folder', '1', 'owner', 'user', 'ann', 'acme')", "relation_unknown"],
      ["write_tuples_bulk('folder', '1', 'reader', 'team', '{eng}', 'acme')", "tuple_invalid"],
      ["write_tuples_bulk('team', 'eng', 'member', 'user', '{ann,*}', 'acme')", "tuple_invalid"],
      ["grant_to_resources_bulk('folder', '{1}', 'reader', 'team', 'eng', null, 'acme')", "tuple_invalid"],
      ["transfer_tuple('folder', '1', 'reader', 'user', 'ann', 'team', 'eng', 'acme')", "tuple_invalid"],
    ] as const)
      await refuses(call(sql), `${code} 22023`);
    expect(await call("write('folder', '1', 'reader', 'robot', 'x', 'other')")).toBeTruthy();
    expect(await value(db, "select count(*)::int from authz.tuples where namespace = 'acme'")).toBe(6);
  });

  test("may have cycles, and edges in bulk, and takes no lock for them", async () => {
    const client = await db.client();
    await client.query("begin");
    for (const [outer, inner] of [
      ["a", "b"],
      ["b", "a"],
      ["a", "a"],
    ]) {
      await client.query("select authz.write_tuple('team', $1, 'member', 'team', $2, 'member', 'acme')", [
        outer,
        inner,
      ]);
      await client.query("select authz.write('folder', $1, 'parent', 'folder', $2, 'acme')", [outer, inner]);
    }
    await client.query("select authz.write_tuples_bulk('folder', 'a', 'parent', 'folder', '{c,d}', 'acme')");
    await client.query(
      "select authz.grant_to_resources_bulk('team', '{x,y}', 'member', 'team', 'a', 'member', 'acme')",
    );
    expect(await rows(client, "select * from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()")).toEqual(
      [],
    );
    await client.query("commit");
    expect(await rows(db, "select * from authz.verify_integrity('acme')")).toEqual([]);
  });

  test("takes a condition with its context, and changes it by the next write", async () => {
    const write = (condition: string | null, context: object | null): Promise<unknown> =>
      call(
        "write_tuple('folder', '1', 'reader', 'user', 'ann', null, 'acme', null, $1, $2)",
        condition,
        context && JSON.stringify(context),
      );
    const id = await write("recent", { age: 1 });
    expect(await write("recent", { age: 1 })).toBe(id);
    expect(await write("recent", { age: 2 })).toBe(id);
    expect(await write("recent", null)).toBe(id);
    expect(await write(null, null)).toBe(id);
    await refuses(write("old", {}), "condition_unknown 22023");
    expect(await rows(db, "select condition_name, condition_context from authz.tuples")).toEqual([
      { condition_name: null, condition_context: null },
    ]);
    const old = (condition_context?: object): object => ({
      expires_at: null,
      condition: "recent",
      ...(condition_context && { condition_context }),
    });
    expect(
      (
        await rows<{ detail: object }>(db, "select detail from authz.audit_events where resource_id = '1' order by id")
      ).map(({ detail }) => detail),
    ).toEqual([
      { condition: "recent", condition_context: { age: 1 } },
      { condition: "recent", condition_context: { age: 2 }, old: old({ age: 1 }) },
      { condition: "recent", old: old({ age: 2 }) },
      { old: old() },
    ]);
  });

  test("keeps a condition through a transfer, and one without a condition that the receiver has", async () => {
    const write = (user: string, condition: string | null): Promise<unknown> =>
      call("write_tuple('folder', '1', 'reader', 'user', $1, null, 'acme', null, $2)", user, condition);
    const transfer = (): Promise<unknown> =>
      call("transfer_tuple('folder', '1', 'reader', 'user', 'ann', 'user', 'bob', 'acme')");
    const held = (): Promise<object[]> => rows(db, "select subject_id, condition_name from authz.tuples");
    await write("ann", "recent");
    expect(await transfer()).toBe(true);
    expect(await held()).toEqual([{ subject_id: "bob", condition_name: "recent" }]);
    await write("ann", null);
    expect(await transfer()).toBe(true);
    expect(await held()).toEqual([{ subject_id: "bob", condition_name: null }]);
    await write("ann", "recent");
    expect(await transfer()).toBe(true);
    expect(await held()).toEqual([{ subject_id: "bob", condition_name: null }]);
  });

  test("is reported where its tuples were written before the model", async () => {
    await db.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
       values ('acme', 'folder', '1', 'reader', 'robot', 'x'), ('acme', 'folder', '2', 'gone', 'user', 'ann'),
         ('acme', 'folder', '3', 'reader', 'user', 'ann')`,
    );
    expect(await rows(db, "select * from authz.verify_integrity('acme')")).toEqual([
      {
        resource_type: "system",
        resource_id: "model_violation",
        status: "warning",
        details: "the active model forbids 2 tuples, which grant nothing, such as folder:1#reader@robot:x",
      },
    ]);
  });
});

test("a dynamic type beside it has its cycle rules, and no conditions", async () => {
  await call("write('group', 'a', 'member', 'group', 'b', 'acme')");
  await refuses(call("write('group', 'b', 'member', 'group', 'a', 'acme')"), "cycle_group PK001");
  await refuses(
    call("write_tuple('doc', '1', 'reader', 'user', 'ann', null, 'acme', null, 'recent')"),
    "condition_unknown 22023",
  );
  await refuses(
    call("write_tuples_bulk('group', 'a', 'member', 'group', '{c}', 'acme')"),
    "bulk_group_membership 0A000",
  );
});

test("a model of global rules a tenant that has none of its own", async () => {
  await useModel(db, dsl, { strict: false, namespace: "global" });
  await refuses(call("write('folder', '1', 'reader', 'robot', 'x', 'other')"), "tuple_invalid 22023");
  await call("write('folder', 'a', 'parent', 'folder', 'a', 'other')");
});
