import { crash, type TestDatabase, testDatabase } from "@howdah/testing";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { compile, deploy, documentsProgram, prefixOf } from "./program.ts";
import { value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(async () => {
  await wipe(db);
  await db.query("select authz._drop_functions(hash) from authz.programs");
  await db.query("truncate authz.programs");
});
afterAll(() => db.close());

/** Two models that answer both questions, each the other way round. */
const opposite = (viewer: string, banned: string) =>
  compile(`
type user
type document
  relations
    define member: [user]
    define viewer: ${viewer}
    define banned: ${banned}`);
const first = opposite("member", "member but not member");
const second = opposite("member but not member", "member");

const questions = JSON.stringify(["document:1#viewer@user:ann", "document:1#banned@user:ann"]);
const ask = async (client: pg.Client): Promise<string> => {
  const { rows } = await client.query<{ allowed: boolean }>(
    "select allowed from authz.check_batch($1, 'acme') order by ord",
    [questions],
  );
  return rows.map(({ allowed }) => allowed).join();
};

test("sessions that ask while models are installed and activated see one model or the other, whole", async () => {
  const ids = [await deploy(db, second), await deploy(db, first)];
  await db.query(`select authz.write_tuples('["document:1#member@user:ann"]', '[]', 'acme')`);

  const readers = await db.clients(3);
  let isOver = false;
  const reading = Promise.all(
    readers.map(async (client) => {
      const answers = new Set<string>();
      do answers.add(await ask(client));
      while (!isOver);
      return answers;
    }),
  );
  const writer = await db.client();
  const seen: string[] = [];
  try {
    for (let round = 0; round < 20; round++) {
      if (round % 5 === 0) {
        await deploy(writer as never, documentsProgram({ version: round + 2 }), { activate: false });
      }
      await writer.query("select authz.activate_model($1, 'acme')", [ids[round % 2]]);
      seen.push(await ask(writer));
    }
  } finally {
    isOver = true;
  }
  const answers = await reading;

  expect(seen).toEqual(Array.from({ length: 10 }, () => ["false,true", "true,false"]).flat());
  for (const set of answers) {
    expect([...set].filter((answer) => answer !== "true,false" && answer !== "false,true")).toEqual([]);
  }
});

test("a transaction keeps to its snapshot's model under repeatable read", async () => {
  await deploy(db, first);
  await db.query(`select authz.write_tuples('["document:1#member@user:ann"]', '[]', 'acme')`);
  const client = await db.client();
  await client.query("begin isolation level repeatable read");
  expect(await ask(client)).toBe("true,false");
  await deploy(db, second);
  expect(await ask(client)).toBe("true,false");
  await client.query("commit");
  expect(await ask(client)).toBe("false,true");
});

test("an activation whose connection dies leaves the older model active and nothing locked", async () => {
  const id = await deploy(db, first);
  const doomed = await db.client();
  await doomed.query("begin");
  await deploy(doomed as never, second);
  await crash(doomed);
  expect(await value(db, "select model_id from authz.get_model(null, 'acme')")).toBe(id);
  expect(
    await value(db, "select count(*)::int from pg_proc where starts_with(proname, $1)", [`${prefixOf(second)}_`]),
  ).toBe(0);
  await deploy(db, second);
});

test("a model is not activated by a session that has not seen the tests that another one gives it", async () => {
  const failing = [{ name: "t", check: [{ user: "user:ann", object: "document:1", assertions: { viewer: true } }] }];
  const id = await deploy(db, first, { activate: false });
  const [giving, activating] = (await db.clients(2)) as [pg.Client, pg.Client];
  await giving.query("begin");
  await deploy(giving as never, first, { activate: false, tests: failing });
  const activation = activating.query("select authz.activate_model($1, 'acme')", [id]).then(
    () => "activated",
    ({ constraint }) => constraint,
  );
  const waiting = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
  let outcome: unknown;
  activation.then((code) => (outcome = code));
  while (outcome === undefined && (await db.query(waiting)).rows.length === 0);
  await giving.query("commit");
  expect(await activation).toBe("model_tests_failed");
  expect(await value(db, "select model_id from authz.get_model(null, 'acme')")).toBeUndefined();
});

test("two sessions that deploy two models at once, each installing and activating, both succeed", async () => {
  const [one, two] = await db.clients(2);
  const results = await Promise.allSettled([deploy(one as never, first), deploy(two as never, second)]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled"]);
  expect(results.map((result) => result.status === "fulfilled" && result.value)).toContain(
    await value(db, "select model_id from authz.get_model(null, 'acme')"),
  );
});

test("a program is not dropped under a session that deploys it again", async () => {
  const program = documentsProgram();
  await deploy(db, program, { activate: false });
  await db.travel("8 days");
  const client = await db.client();
  await client.query("begin");
  await client.query("select authz.install_program($1, $2, $3)", [program.hash, program.sql, program.ir]);
  expect(await value(db, "select authz._drop_unused_programs(10)::int")).toBe(0);
  await client.query("commit");
  expect(await value(db, "select authz._drop_unused_programs(10)::int")).toBe(1);
  await db.realTime();
});
