// Asks the public functions about tiny worlds, each in a namespace of its own that has the model active.
import type { Queryable } from "@howdah/core";
import pg from "pg";
import type { CompiledModel } from "../../src/compiler/index.ts";
import { rows } from "../sql.ts";
import { activate, jsonOf, rowOf, store } from "../store.ts";
import { type Case, ids, relationsOf, subjectTypesOf, type World } from "./arbitrary.ts";
import { answer, type Difference, type Judged, judge } from "./compare.ts";
import { permits } from "./model.ts";

/** A question in SQL, which answers JSON, and what it must answer: `"unknown"` for the errors that say so. */
interface Question {
  sql: string;
  expected: unknown;
  accepts?(got: unknown): boolean;
}

const text = (value: string | undefined): string => (value === undefined ? "null" : pg.escapeLiteral(value));
const json = (value: unknown): string => `${pg.escapeLiteral(JSON.stringify(value))}::jsonb`;

/** All questions of one world: `full` with what the request brings, `stored` without. */
function questionsOf({ model, maxDepth }: Case, world: World, full: Judged, stored: Judged): Question[] {
  const namespace = text(full.namespace);
  const contextual = world.tuples.filter((tuple) => tuple.isContextual && !tuple.isExpired && permits(model, tuple));
  const facts = `${json(world.context)}, ${contextual.length === 0 ? "null" : json(contextual.map(jsonOf))}`;
  const nodes = relationsOf(model);

  /** A list raises where it cannot tell; with a limit of depth it may also leave out what is unknown. */
  function list(sql: string, values: [string, string][]): Question {
    const expected = values.filter(([, value]) => value === "T").map(([id]) => id);
    if (!values.some(([, value]) => value === "U")) return { sql, expected };
    if (maxDepth === undefined) return { sql, expected: "unknown" };
    return { sql, expected, accepts: (got) => got === "unknown" || same(got, expected) };
  }
  const bySubject = full.subjects.flatMap((subject) => {
    const who = `${text(subject.type)}, ${text(subject.id)}`;
    return nodes.flatMap(({ type, relation }): Question[] => {
      const valuesOf = (judged: Judged) =>
        ids.map((id): [string, string] => [id, answer(judged.value(subject, relation, type, id))]);
      const checks = valuesOf(full).flatMap(([id, value]): Question[] => {
        const what = `${who}, ${text(relation)}, ${text(type)}, ${text(id)}, ${namespace}, ${text(subject.relation)}, ${facts}`;
        const allowed = value === "T";
        return [
          { sql: `to_jsonb(authz.check(${what}))`, expected: value === "U" ? "unknown" : allowed },
          { sql: `authz.explain_json(${what}) -> 'allowed'`, expected: value === "U" ? null : allowed },
        ];
      });
      const some = `${who}, ${text(type)}, ${text(relation)}`;
      const objects = `authz.list_objects(${some}, ${namespace}, ${text(subject.relation)}, ${facts})`;
      const lists = [list(`(select jsonb_agg(o order by o) from ${objects} o)`, valuesOf(full))];
      if (subject.relation === undefined) {
        const page = `authz.list_resources(${some}, ${namespace})`;
        const values = valuesOf(stored);
        const filtered = `to_jsonb(authz.filter_authorized(${some}, '{3,1,ghost,2,1}', ${namespace}))`;
        const isUnknown = values.some(([, value]) => value === "U");
        lists.push(list(`(select jsonb_agg(o) from ${page} o)`, values));
        lists.push({ ...list(filtered, values), ...(isUnknown && { expected: "unknown" }) });
      }
      return [...checks, ...lists];
    });
  });

  const byObject = nodes.flatMap(({ type, relation }) =>
    ids.flatMap((id) =>
      subjectTypesOf(model).map((kind): Question => {
        const value = (who: string) => answer(full.value({ type: kind, id: who }, relation, type, id));
        const all = ["*", ...ids].map((who) => [who, value(who)] as const);
        const of = (wanted: string) => all.filter(([, value]) => value === wanted).map(([who]) => who);
        const args = `${text(type)}, ${text(id)}, ${text(relation)}, ${namespace}, 100, ${text(kind)}, null, null, null, ${facts}`;
        return {
          sql: `(select jsonb_agg(s.subject_id) from authz.list_subjects(${args}) s)`,
          expected: of("T"),
          // Who is one of everyone may be left out.
          accepts(got) {
            if (got === "unknown") return of("U").length > 0;
            const listed = (got ?? []) as string[];
            const isDecided = value("*") === "T" || of("U").length === 0 || maxDepth !== undefined;
            const isComplete = of("T").every((who) => listed.includes(who) || listed.includes("*"));
            return isDecided && isComplete && listed.every((who) => of("T").includes(who));
          },
        };
      }),
    ),
  );

  const asked = full.subjects.flatMap((subject) =>
    nodes.flatMap((node) => ids.map((id) => ({ subject, ...node, id }))),
  );
  const batch = asked.slice(0, 1000).map(({ subject, type, relation, id }) => ({
    subject_type: subject.type,
    subject_id: subject.id,
    ...(subject.relation && { subject_relation: subject.relation }),
    permission: relation,
    resource_type: type,
    resource_id: id,
  }));
  const values = asked.slice(0, 1000).map(({ subject, type, relation, id }) => {
    const value = answer(stored.value(subject, relation, type, id));
    return value === "U" ? null : value === "T";
  });
  const answers = `authz.check_batch(${json(batch)}, ${namespace}) b`;
  const inOne: Question = {
    sql: `(select jsonb_agg(b.allowed order by b.ord) from ${answers} where (b.allowed is null) = (b.error_code is not null))`,
    expected: values,
  };
  return [...bySubject, ...byObject, inOne];
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a ?? []) === JSON.stringify(b ?? []);

/** At most so many questions of each world, evenly chosen, that are answered otherwise than they ought to be. */
export async function publicDifferences(db: Queryable, program: CompiledModel, one: Case, limit: number) {
  await db.query(`
    create function pg_temp.attempt(p_sql text) returns jsonb language plpgsql as $$
    declare
      v_answer jsonb;
      v_code text;
    begin
      execute 'select ' || p_sql into v_answer;
      return v_answer;
    exception when invalid_parameter_value or statement_too_complex then
      get stacked diagnostics v_code = constraint_name;
      if v_code in ('condition_context_missing', 'condition_invalid', 'resolution_too_complex') then
        return '"unknown"';
      end if;
      raise;
    end $$`);
  const found: Difference[] = [];
  let comparisons = 0;
  for (const [index, world] of one.worlds.entries()) {
    const namespace = `world-${index}`;
    const tuples = world.tuples.filter((tuple) => !tuple.isContextual);
    const full = judge(one.model, world, namespace, one.maxDepth);
    const stored = judge(one.model, { ...world, context: {}, tuples }, namespace, one.maxDepth);
    if (full === undefined || stored === undefined) continue;
    await activate(db, program, namespace);
    await store(
      db,
      tuples.map((tuple) => rowOf(tuple, namespace)),
    );
    const questions = questionsOf(one, world, full, stored);
    const step = Math.max(1, questions.length / limit);
    const chosen = questions.filter((_, at) => Math.floor(at / step) !== Math.floor((at - 1) / step));
    const answers = await rows<{ answer: unknown }>(
      db,
      "select pg_temp.attempt(q) as answer from unnest($1::text[]) with ordinality as u(q, at) order by at",
      [chosen.map(({ sql }) => sql)],
    );
    for (const [at, { sql, expected, accepts }] of chosen.entries()) {
      const got = answers[at]?.answer;
      if (accepts ? accepts(got) : Array.isArray(expected) ? same(got, expected) : got === expected) continue;
      found.push({ world, question: sql, expected: JSON.stringify(expected), got: JSON.stringify(got) });
    }
    comparisons += chosen.length;
  }
  return { found, comparisons, worlds: one.worlds.length };
}
