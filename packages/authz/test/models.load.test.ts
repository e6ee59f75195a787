// Models that are installed, activated, superseded and dropped by several sessions, while others ask and write: no call fails, and
// every answer is one model's.
import { type TestDatabase, testDatabase } from "@howdah/testing";
import type pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { compile, deploy, documentsProgram } from "./program.ts";
import { rows, value } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
afterAll(() => db.close());

/** Two models that answer both questions, each the other way round: over plain, nested and conditional parts. */
const model = (viewer: string, banned: string, more: string) =>
  compile(`
type user
type group
  relations
    define member: [user, group#member]
type document
  relations
    define parent: [document]
    define member: [user, group#member, user with always] or member from parent
    define nobody: [user]
    define ${more}: [user]
    define viewer: ${viewer}
    define banned: ${banned}
condition always(age: int) {
  age < 10
}`);
const [yes, no] = ["member but not nobody", "nobody and member"];
const programs = { light: model(yes, no, "only_light"), dark: model(no, yes, "only_dark") };

const ids = Array.from({ length: 20 }, (_, i) => String(i));
const who = "'user', 'ann'";
const context = `'{"age": 1}'`;
const bring = `'["group:x#member@user:y"]'`;
const predicate = (kind: string): string =>
  JSON.stringify({
    [kind]: ["viewer", "banned"].map((permission) => ({
      check: { permission, resource_type: "document", resource_id: "1" },
    })),
  });
const question = (permission: string, id: string): string => `"document:${id}#${permission}@user:ann"`;

/** Each statement has one column, and what light and dark answer. */
const questions: [sql: string, light: unknown, dark: unknown][] = [
  [`select authz.check(${who}, 'viewer', 'document', '1', 'acme', null, ${context})`, true, false],
  [`select authz.check(${who}, 'banned', 'document', '1', 'acme', null, ${context}, ${bring})`, false, true],
  [`select authz.check_any(${who}, '{viewer,banned}', 'document', '1', 'acme')`, true, true],
  [`select authz.check_all(${who}, '{viewer,banned}', 'document', '1', 'acme')`, false, false],
  [
    `select array_agg(allowed order by ord) from authz.check_batch('[${question("viewer", "1")}, ${question("banned", "1")}]', 'acme')`,
    [true, false],
    [false, true],
  ],
  [
    `select array_agg(distinct (ord <= 20) = allowed) from authz.check_batch('[${[
      ...ids.map((id) => question("viewer", id)),
      ...ids.map((id) => question("banned", id)),
    ]}]', 'acme')`,
    [true],
    [false],
  ],
  [
    `select array(select authz.permissions_on(${who}, 'document', '1', 'acme'))`,
    ["member", "viewer"],
    ["banned", "member"],
  ],
  [`select cardinality(authz.filter_authorized(${who}, 'document', 'viewer', '{${ids}}', 'acme'))`, 20, 0],
  [`select cardinality(authz.filter_authorized(${who}, 'document', 'banned', '{1,2,3}', 'acme'))`, 0, 3],
  [`select count(*)::int from authz.list_objects(${who}, 'document', 'viewer', 'acme')`, 20, 0],
  [
    `select count(*)::int from authz.list_objects(${who}, 'document', 'banned', 'acme', null, ${context}, ${bring})`,
    0,
    20,
  ],
  [`select count(*)::int from authz.list_resources(${who}, 'document', 'viewer', 'acme', 100)`, 20, 0],
  ["select authz.count_subjects('document', '1', 'viewer', 'acme')::int", 1, 0],
  ["select count(*)::int from authz.list_subjects('document', '1', 'banned', 'acme')", 0, 1],
  [`select authz.evaluate(${who}, '${predicate("any")}', 'acme')`, true, true],
  [`select authz.evaluate(${who}, '${predicate("all")}', 'acme')`, false, false],
  [
    `select jsonb_build_array(e -> 'allowed', e #> '{tree,value}', e #>> '{tree,operator}')
     from authz.explain_json(${who}, 'viewer', 'document', '1', 'acme') e`,
    [true, "true", "exclusion"],
    [false, "false", "intersection"],
  ],
  [
    `select count(*) filter (where line not like 'NO ACCESS%') > 0 from authz.explain_text(${who}, 'viewer', 'document', '1', 'acme') line`,
    true,
    false,
  ],
  ["select authz.expand('document', '1', 'viewer', 'acme') #> '{tree,root}' ? 'difference'", true, false],
  [`select d.allowed from authz.check_detailed(${who}, 'banned', 'document', '1', 'acme') d`, false, true],
  ["select count(*)::int from authz.list_models('acme') where is_active", 1, 1],
  ["select count(*)::int from authz.validate_tuples('acme')", 0, 0],
];

test("whoever asks or writes meanwhile gets one model's answer, whole, and no error", async () => {
  const models = [await deploy(db, programs.light), await deploy(db, programs.dark)];
  await db.query("select authz.write_tuples($1, '[]', 'acme')", [
    JSON.stringify([
      ...["document:0#member@group:g#member", "group:g#member@group:h#member", "group:h#member@user:ann"],
      ...ids.slice(1).map((id) => `document:${id}#parent@document:0`),
    ]),
  ]);
  for (const [i, id] of models.entries()) {
    await value(db, "select authz.activate_model($1, 'acme')", [id]);
    for (const [sql, ...answers] of questions) expect([sql, await value(db, sql)]).toEqual([sql, answers[i]]);
  }

  const wrong: unknown[] = [];
  // Which models were met: without both, nothing would be proved.
  const seen = new Set<string>();
  let isOver = false;
  const until = async (work: (round: number) => Promise<void>): Promise<void> => {
    for (let round = 0; !isOver; round++) await work(round);
  };
  const ask = async (client: pg.Client, at: number): Promise<void> => {
    const [sql, light, dark] = questions[at % questions.length] as (typeof questions)[0];
    const answer = JSON.stringify(await value(client, sql));
    if (answer !== JSON.stringify(light) && answer !== JSON.stringify(dark)) wrong.push([sql, answer]);
    else if (answer !== JSON.stringify(dark)) seen.add("light");
    else if (answer !== JSON.stringify(light)) seen.add("dark");
  };
  const write = async (client: pg.Client, round: number): Promise<void> => {
    // What only one of both models has is written while that one is active, or refused, and nothing else.
    const of = round % 2 ? "light" : "dark";
    await client
      .query(`select authz.write('document', '1', 'only_${of}', 'user', 'w${round % 10}', 'written')`)
      .catch((error: { constraint?: string }) => {
        if (error.constraint !== "relation_unknown") throw error;
      });
  };
  for (const program of Object.values(programs)) await deploy(db, program, { namespace: "written" });

  const readers = (await db.clients(4)).map((client, k) => until((round) => ask(client, round * 3 + k)));
  const writers = (await db.clients(2)).map((client) => until((round) => write(client, round)));
  const activators = (await db.clients(3)).map(async (client, k) => {
    for (let round = 0; round < 12 || seen.size < 2; round++) {
      await client.query("select authz.activate_model($1, 'acme')", [models[(round + k) % 2]]);
      const of = Object.values(programs)[round % 2] as (typeof programs)["light"];
      await deploy(client as never, of, { namespace: "written" });
    }
  });
  // One more installs programs of other namespaces, and drops those that nobody has used for long.
  const [cleaner] = (await db.clients(1)) as [pg.Client];
  const cleaning = (async () => {
    for (let round = 0; round < 8; round++) {
      await deploy(cleaner as never, documentsProgram({ version: round + 2 }), { namespace: `other-${round % 2}` });
      await cleaner.query(
        `update authz.programs set last_used_at = last_used_at - interval '8 days'
         where hash not in (select hash from authz.active_models) and compiler_version > 1`,
      );
      await cleaner.query("select authz.maintain()");
    }
  })();
  const done = await Promise.allSettled([...activators, cleaning]);
  isOver = true;
  const asked = await Promise.allSettled([...readers, ...writers]);

  expect([...done, ...asked].filter(({ status }) => status === "rejected")).toEqual([]);
  expect(wrong).toEqual([]);
  const left = await rows(db, "select distinct relation from authz.tuples where namespace = 'written' order by 1");
  expect(left.length).toBeGreaterThan(0);
});
