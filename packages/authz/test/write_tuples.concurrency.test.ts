// Batches at once: whichever tuples they share, they wait for each other in one direction only.
import { type TestDatabase, testDatabase } from "@howdah/testing";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

const doc = (id: string): string => `doc:${id}#read@user:ann`;
const write = (client: TestDatabase | pg.Client, writes: string[], deletes: string[]): Promise<unknown> =>
  rows(client as TestDatabase, "select * from authz.write_tuples($1, $2, 'acme')", [
    JSON.stringify(writes.map(doc)),
    JSON.stringify(deletes.map(doc)),
  ]);
/** A tuple as an object. */
const parts = (text: string): object => {
  const [object, user] = text.split("@");
  const [what, relation] = (object ?? "").split("#");
  return { object: what, relation, user };
};
/** Waits until a connection waits for another one. */
async function waits(client: pg.Client): Promise<void> {
  const { processID } = client as unknown as { processID: number };
  await expect.poll(() => value<boolean>(db, "select cardinality(pg_blocking_pids($1)) > 0", [processID])).toBe(true);
}

test("a batch that writes what another one deletes, and deletes what that one writes, waits for it", async () => {
  await write(db, ["a", "z"], []);
  const [holding, first, second] = (await db.clients(3)) as [pg.Client, pg.Client, pg.Client];
  await holding.query("begin; select from authz.tuples where resource_id = 'a' for update");
  const one = write(first, ["z"], ["a"]);
  await waits(first);
  const two = write(second, ["a"], ["z"]);
  await waits(second);
  await holding.query("commit");
  expect(await Promise.allSettled([one, two])).toMatchObject([{ status: "fulfilled" }, { status: "fulfilled" }]);
  expect(await rows(db, "select resource_id from authz.tuples")).toEqual([{ resource_id: "a" }]);
});

test.each([
  ["revoke_subject_grants('user', 'ann', 'acme')", "ann"],
  ["delete_role('editor', 'acme')", "editor"],
])("a batch and %s, which change the same tuples, wait for each other in no circle", async (call, subject) => {
  const tuples = [
    "rbac_role:editor#member@user:ann",
    "doc:1#write@user:ann",
    "doc:2#read@user:ann",
    "doc:1#write@rbac_role:editor#member",
    "doc:2#read@rbac_role:editor#member",
  ];
  await db.query("select authz.create_role('editor', p_namespace => 'acme')");
  await db.query("select authz.write_tuples($1, '[]', 'acme')", [JSON.stringify(tuples)]);
  const [holding, first, second] = (await db.clients(3)) as [pg.Client, pg.Client, pg.Client];
  await holding.query(
    `begin; select from authz.tuples where resource_id = '2' and subject_id = '${subject}' for update`,
  );
  // As it goes through many tuples: in the order of an index.
  await first.query("set enable_bitmapscan = off");
  const one = first.query(`select authz.${call}`);
  await waits(first);
  const changed = tuples.map((text) => ({ ...parts(text), expires_at: "2999-01-01T00:00:00Z" }));
  const two = second.query("select authz.write_tuples($1, '[]', 'acme')", [JSON.stringify(changed)]);
  await waits(second);
  await holding.query("commit");
  expect(await Promise.allSettled([one, two])).toMatchObject([{ status: "fulfilled" }, { status: "fulfilled" }]);
});
