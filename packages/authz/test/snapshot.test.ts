// A question is answered from one state of the database, however many statements that takes: what others commit while it is asked,
// tuples, rules, roles or a whole model, is not half of it.
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import {
  type Arguments,
  argumentsOf,
  call,
  given,
  type Place,
  type PublicFunction,
  publicFunctions,
  settle,
} from "./functions.ts";
import { deploy, documentsProgram } from "./program.ts";
import { rows, value, wipe } from "./sql.ts";
import { grant } from "./tuples.ts";

const db: TestDatabase = await testDatabase({ modules: [authzModule] });
afterAll(() => db.close());
const functions = (await publicFunctions(db)).filter(
  ({ isStable, parameters }) => isStable && parameters.some(({ name }) => name === "p_namespace"),
);

/** Calls a function in a statement that has begun before it is let go on, when `meanwhile` has been committed. */
async function held(f: PublicFunction, args: Arguments, meanwhile: () => Promise<unknown>): Promise<unknown[]> {
  const [asking, holding] = await db.clients(2);
  if (!asking || !holding) throw new Error("no clients");
  await holding.query("select pg_advisory_lock(7)");
  const list = f.parameters.map(({ name, type }, i) =>
    // Only who has the lock knows the namespace.
    name === "p_namespace"
      ? `${name} => case when l.is_held = '' then $${i + 1}::text end`
      : `${name} => $${i + 1}::${type}`,
  );
  const sql = `select to_jsonb(f) as result
    from (select pg_advisory_xact_lock(7)::text as is_held offset 0) l, lateral authz.${f.name}(${list.join(", ")}) f`;
  const answer = rows<{ result: unknown }>(
    asking,
    sql,
    f.parameters.map((each) => given(args[each.name], each)),
  );
  const { processID } = asking as unknown as { processID: number };
  const waits = "select cardinality(pg_blocking_pids($1)) > 0";
  await expect.poll(() => value<boolean>(db, waits, [processID])).toBe(true);
  await meanwhile();
  await holding.query("select pg_advisory_unlock(7)");
  const found = await answer;
  await Promise.all([asking.end(), holding.end()]);
  return found.map(({ result }) => result);
}

describe.each(functions)("$name", (f) => {
  test.each(["modelled", "plain"])("answers in %s as it would have when it was asked", async (namespace) => {
    await wipe(db);
    const place = (await settle(db)).find((each) => each.namespace === namespace) as Place;
    const args = argumentsOf(f, place);
    const before = await call(db, f, args);
    const answer = await held(f, args, async () => {
      await deploy(db, documentsProgram(), { namespace: "plain" });
      await deploy(db, documentsProgram({ relation: "seer" }), { namespace: "modelled" });
      await db.query(`delete from authz.tuples where resource_id <> '5'; delete from authz.permission_hierarchy;
        delete from authz.roles; delete from authz.permissions`);
      await grant(db, { namespace: "elsewhere" }, "note:1#viewer@user:shared");
    });
    expect(answer).toEqual(before);
  });
});

test("a function that could change something would see what was committed meanwhile", async () => {
  await wipe(db);
  const [place] = await settle(db);
  const f = functions.find(({ name }) => name === "check") as PublicFunction;
  const args = argumentsOf(f, place as Place);
  await db.query("alter function authz.check volatile");
  expect(await held(f, args, () => db.query("delete from authz.tuples"))).toEqual([false]);
  await db.query("alter function authz.check stable");
  await wipe(db);
  await settle(db);
  expect(await held(f, args, () => db.query("delete from authz.tuples"))).toEqual([true]);
});
