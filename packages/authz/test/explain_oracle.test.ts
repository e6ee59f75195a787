import { inRollback, type TestDatabase, testDatabase } from "@howdah/testing";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { renderCondition } from "../src/compiler/condition.ts";
import { authzModule } from "../src/module.ts";
import { ids, modelCase, relationsOf, subjectTypesOf } from "./oracle/arbitrary.ts";
import { evaluator, type Model, type Subject, TooManyPaths, type Tuple } from "./oracle/model.ts";
import { textOf } from "./oracle/print.ts";
import { rows } from "./sql.ts";
import { rowOf, store } from "./store.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
afterAll(() => db.close());

/** The functions of a model's conditions, as a program has them. */
const conditionFunctions = ({ conditions = {} }: Model): string =>
  Object.entries(conditions)
    .map(
      ([name, condition], n) => `create or replace function authz_rt.m_oracle_cond_${n}(p_stored jsonb, p_context jsonb)
        returns boolean language plpgsql stable as $body$ ${renderCondition(name, condition).body} $body$;`,
    )
    .join("\n");

interface Answer {
  question: string;
  value: string;
  missing: string[][];
  is_truncated: boolean;
}

test("the evaluator behind explanations gives the reference evaluator's answers, cycles and all", async () => {
  await fc.assert(
    fc.asyncProperty(modelCase(2), fc.constantFrom(undefined, 1, 2), async ({ model, worlds }, maxDepth) => {
      const numbers = Object.fromEntries(Object.keys(model.conditions ?? {}).map((name, n) => [name, n]));
      await inRollback(db, async (client) => {
        await client.query(conditionFunctions(model));
        for (const [at, world] of worlds.entries()) {
          const namespace = `world ${at}`;
          await store(
            client,
            world.tuples.filter((tuple) => !tuple.isContextual).map((tuple) => rowOf(tuple, namespace)),
          );
          const contextual = world.tuples.filter((tuple) => tuple.isContextual && !tuple.isExpired);
          const live = world.tuples.filter((tuple) => !tuple.isContextual || !tuple.isExpired);
          const { check } = evaluator(model, live, world.context, { maxDepth, patience: 300 });
          const subjects: Subject[] = [
            ...subjectTypesOf(model).flatMap((type) => [
              { type, id: "1" },
              { type, id: "new" },
              { type, id: "*" },
            ]),
            ...world.usersets.map((userset) => ({ ...userset, id: "1" })),
          ];
          const expected = new Map<string, string>();
          const asked = [];
          for (const { type, relation } of relationsOf(model)) {
            for (const [who, id] of subjects.flatMap((who) => ids.slice(0, 2).map((id) => [who, id] as const))) {
              const question = `${textOf(who)} ${relation} ${type}:${id}`;
              try {
                expected.set(question, check(who, relation, { type, id }));
                asked.push({ question, s: who.type, i: who.id, r: who.relation ?? null, relation, type, id });
              } catch (error) {
                if (!(error instanceof TooManyPaths)) throw error;
              }
            }
          }
          const answers = await rows<Answer>(
            client as never,
            `select q.question, e.* from jsonb_to_recordset($1)
               q(question text, s text, i text, r text, relation text, type text, id text),
             authz._evaluate($2, 'oracle', $3, $4, $5, q.s, q.i, q.r, q.relation, q.type, q.id, $6,
               array(select t from jsonb_populate_recordset(null::authz.tuple, $7) t), 3000) e`,
            [
              JSON.stringify(asked),
              model,
              numbers,
              maxDepth ?? null,
              namespace,
              world.context,
              JSON.stringify(contextual.map((tuple: Tuple) => rowOf(tuple, namespace))),
            ],
          );
          const got = new Map(answers.filter(({ is_truncated }) => !is_truncated).map((a) => [a.question, a.value]));
          const wanted = new Map([...expected].filter(([question]) => got.has(question)));
          expect(got).toEqual(wanted);
        }
      });
    }),
    { numRuns: 40 },
  );
});

test("the tree of the dynamic rule grants exactly what the check grants", async () => {
  const team = fc.constantFrom("team:1", "team:2", "team:3");
  const resource = fc.constantFrom("doc:1", "doc:2", "org:1");
  const subject = fc.oneof(
    fc.constantFrom("user:ann", "user:bob"),
    team,
    team.map((name) => `${name}#member`),
    team.map((name) => `${name}#lead`),
  );
  const tuple = fc.oneof(
    fc.tuple(resource, fc.constantFrom("read", "write"), subject).map(([on, what, who]) => `${on}#${what}@${who}`),
    fc.tuple(team, fc.constantFrom("member", "member", "lead"), subject).map(([on, as, who]) => `${on}#${as}@${who}`),
    fc.tuple(resource, fc.oneof(resource, team)).map(([on, above]) => `${on}#parent@${above}`),
  );
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(tuple, { maxLength: 14 }), fc.boolean(), async (tuples, isContextual) => {
      await inRollback(db, async (client) => {
        await client.query(`insert into authz.permission_hierarchy (namespace, resource_type, permission, implies)
          values ('acme', 'doc', 'write', 'read')`);
        // Stored past the checks of the functions that write, so that there are circles.
        const stored = isContextual ? tuples.slice(0, Math.floor(tuples.length / 2)) : tuples;
        await client.query(
          `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id,
             subject_relation)
           select 'acme', (r.tuple).resource_type, (r.tuple).resource_id, (r.tuple).relation, (r.tuple).subject_type,
             (r.tuple).subject_id, (r.tuple).subject_relation
           from authz._read_tuples('acme', $1) r`,
          [JSON.stringify(stored)],
        );
        await client.query("set local plan_cache_mode = force_generic_plan");
        const answers = await rows<{ who: string; what: string; explained: boolean; checked: boolean }>(
          client as never,
          `with asked as (
             select s.who, p.what, o.type, o.id, e.type as s_type, e.id as s_id, e.relation as s_relation
             from unnest('{user:ann,user:new,team:1,team:1#member,team:2#lead,team:1#read}'::text[]) s (who),
               unnest('{read,member}'::text[]) p (what),
               unnest('{doc,doc,team,team}'::text[], '{1,2,1,2}'::text[]) o (type, id),
               authz._entity('user', s.who) e
           ), given as (select authz._contextual('acme', authz._active_program('acme'), $1) as tuples)
           select who, concat(what, ' ', a.type, ':', a.id) as what,
             (authz._explain('acme', s_type, s_id, s_relation, what, a.type, a.id, null, tuples) ->> 'allowed')::boolean
               as explained,
             authz._dynamic_check('acme', s_type, s_id, s_relation, what, a.type, a.id, tuples) as checked
           from asked a, given`,
          [JSON.stringify(tuples.slice(stored.length))],
        );
        expect(answers).toHaveLength(48);
        expect(answers.filter(({ explained, checked }) => explained !== checked)).toEqual([]);
      });
    }),
    { numRuns: 40 },
  );
});
