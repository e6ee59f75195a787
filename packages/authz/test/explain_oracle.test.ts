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
  tree: { value: string };
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
               array(select t from jsonb_populate_recordset(null::authz.tuples, $7) t), 3000) e`,
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
    { numRuns: 20 },
  );
});
