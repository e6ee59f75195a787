import { connect } from "@howdah/core";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Authz, createAuthz } from "../src/index.ts";
import { authzModule } from "../src/module.ts";

let db: TestDatabase;
let authz: Authz;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
  authz = createAuthz(db, { namespace: "acme" });
});
afterAll(() => db.close());

const dsl = "model\n  schema 1.1\ntype user\ntype note\n  relations\n    define reader: [user]\n";

test("a model is written in the transaction that its client is in, and is the actor's", async () => {
  const client = await db.client();
  await client.query("begin");
  const inside = createAuthz(client, { namespace: "acme" });
  await inside.model.write(dsl, { activate: true });
  expect(await inside.model.list()).toMatchObject([{ isActive: true }]);
  expect(await authz.model.list()).toEqual([]);
  await client.query("rollback");
  expect(await inside.model.list()).toEqual([]);

  const id = await db.transaction(async (tx) => {
    const stored = await authz.using(tx).as({ actorId: "ann" }).model.write(dsl);
    expect(await authz.model.list()).toEqual([]);
    return stored;
  });
  expect(await authz.model.list()).toMatchObject([{ modelId: id, createdBy: "ann" }]);
});

test("models are written by one prepared statement", async () => {
  const prepared = createAuthz(connect(db.pool, { prepare: true }), { namespace: "prepared" });
  for (const relation of ["reader", "writer", "reader"]) await prepared.model.write(dsl.replace("reader", relation));
  expect(await prepared.model.list()).toHaveLength(2);
});

test("nothing is left of a model that is refused, and its program is not installed", async () => {
  const tests = [{ name: "t", check: [{ user: "user:ann", object: "note:1", assertions: { refused: true } }] }];
  const failing = authz.model.write(dsl.replace("reader", "refused"), { activate: true, tests });
  await expect(failing).rejects.toMatchObject({ code: "model_tests_failed" });
  expect((await db.query("select hash from authz.programs where source ~ 'refused'")).rows).toEqual([]);
});
