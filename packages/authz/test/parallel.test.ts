// A query whose work is shared among workers gets the same answers from its functions, and the same errors, as one that runs alone.
import { explain, inRollback, nodeTypes, type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { type Arguments, argumentsOf, call, type PublicFunction, publicFunctions, settle } from "./functions.ts";
import { rows, value } from "./sql.ts";

const db: TestDatabase = await testDatabase({ modules: [authzModule] });
afterAll(() => db.close());
const safe = (
  await rows<{ name: string }>(
    db,
    "select proname as name from pg_proc where pronamespace = 'authz'::regnamespace and proparallel = 's'",
  )
).map(({ name }) => name);
const functions = (await publicFunctions(db)).filter(({ name }) => safe.includes(name));
const places = await settle(db);
const version = await value<number>(db, "select current_setting('server_version_num')::int");
const force = version >= 160_000 ? "set local debug_parallel_query = on" : "set local force_parallel_mode = on";

test("a call that may run in a worker does, when that is forced", () =>
  inRollback(db, async (client) => {
    await client.query(force);
    const sql = "select * from authz.check('user', 'ann', 'viewer', 'document', '1', 'modelled')";
    expect(nodeTypes(await explain(client, sql))).toContain("Gather");
    expect(safe).toContain("list_objects");
  }));

/** What is asked: something that has an answer, and something that has none. */
const questions = (f: PublicFunction): Arguments[] =>
  [
    {},
    { p_contextual_tuples: null },
    { p_subject_id: "guest", p_resource_id: "6", p_resource_ids: ["6"], p_context: null },
    { p_subject_id: "guest", p_resource_id: "6", p_resource_ids: Array(9).fill("6"), p_context: { age: "x" } },
    { p_subject_id: "" },
    { p_resource_type: "none" },
    { p_predicate: { any: [{ role: "No" }] } },
    { p_contextual_tuples: ["none"] },
  ].map((change) =>
    Object.fromEntries(Object.entries(change).filter(([name]) => f.parameters.some((one) => one.name === name))),
  );

test.each(functions)("$name", (f) =>
  inRollback(db, async (client) => {
    for (const place of places) {
      for (const change of questions(f)) {
        const args = { ...argumentsOf(f, place), ...change };
        const answer = async (setting: string): Promise<unknown> => {
          await client.query("savepoint attempt");
          await client.query(setting);
          return call(client, f, args)
            .catch(({ code, constraint, message, detail, hint }: Record<string, unknown>) => [
              code,
              constraint,
              message,
              detail,
              hint,
            ])
            .finally(() => client.query("rollback to attempt"));
        };
        const alone = await answer("set local max_parallel_workers_per_gather = 0");
        expect([change, await answer(force)]).toEqual([change, alone]);
      }
    }
  }),
);
