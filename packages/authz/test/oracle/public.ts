// Asks the public functions about tiny worlds, each in a namespace of its own that has the model active.
import type { Queryable } from "@howdah/core";
import pg from "pg";
import type { CompiledModel } from "../../src/compiler/index.ts";
import { rows } from "../sql.ts";
import { activate, jsonOf, rowOf, store } from "../store.ts";
import { type Case, ids, keyOf, relationsOf, subjectTypesOf, type World } from "./arbitrary.ts";
import { answer, type Difference, type Judged, judge } from "./compare.ts";
import { permits, type Subject } from "./model.ts";
import { tupleText } from "./print.ts";

/** A question in SQL, which answers JSON, and what it must answer: `"unknown"` for the errors that say so. */
interface Question {
  sql: string;
  expected: unknown;
  accepts?(got: unknown): boolean;
}

const text = (value: string | undefined): string => (value === undefined ? "null" : pg.escapeLiteral(value));
const json = (value: unknown): string => `${pg.escapeLiteral(JSON.stringify(value))}::jsonb`;

/** All questions of one world: `full` with what the request brings, `stored` without. */
function questionsOf(one: Case, world: World, full: Judged, stored: Judged): Question[] {
  const { model, maxDepth } = one;
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
        const detailed = value === "U" ? null : allowed;
        return [
          { sql: `to_jsonb(authz.check(${what}))`, expected: value === "U" ? "unknown" : allowed },
          { sql: `authz.explain_json(${what}) -> 'allowed'`, expected: detailed },
          {
            sql: `(select case when (d.allowed is null) = (d.error_code is not null) then coalesce(to_jsonb(d.allowed), 'null') end
              from authz.check_detailed(${what}) d)`,
            expected: detailed,
          },
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
        lists.push(...values.map(([id, value]) => explained(who, relation, type, id, value)));
      }
      return [...checks, ...lists];
    });
  });

  /** Lines of an explanation begin with NO ACCESS if and only if there is none. */
  function explained(who: string, relation: string, type: string, id: string, value: string): Question {
    const asked = `${who}, ${text(relation)}, ${text(type)}, ${text(id)}, ${namespace}`;
    return {
      sql: `to_jsonb(not exists (select from authz.explain_text(${asked}) l where l like 'NO ACCESS%'))`,
      expected: value === "T",
    };
  }

  /** All relations that a subject has, and no more: what cannot be told is left out. */
  const held = full.subjects
    .filter((subject) => subject.relation === undefined)
    .flatMap((subject) =>
      model.type_definitions.flatMap(({ type, relations }) =>
        ids.map(
          (id): Question => ({
            sql: `(select jsonb_agg(p) from authz.permissions_on(${text(subject.type)}, ${text(subject.id)}, ${text(type)}, ${text(id)},
            ${namespace}) p)`,
            expected: Object.keys(relations)
              .filter((relation) => answer(stored.value(subject, relation, type, id)) === "T")
              .sort(),
          }),
        ),
      ),
    );

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

  const asked = askedOf(one, full.subjects);
  const inOne: Question = {
    sql: `(select jsonb_agg(b.allowed order by b.ord) from authz.check_batch(${json(asked.map(batchElement))}, ${namespace}) b
      where (b.allowed is null) = (b.error_code is not null))`,
    expected: asked.map(({ subject, type, relation, id }) => {
      const value = answer(stored.value(subject, relation, type, id));
      return value === "U" ? null : value === "T";
    }),
  };
  return [...bySubject, ...held, ...byObject, inOne];
}

/** As many checks as one batch may hold. */
const askedOf = ({ model }: Case, subjects: Subject[]) =>
  subjects
    .flatMap((subject) => relationsOf(model).flatMap((node) => ids.map((id) => ({ subject, ...node, id }))))
    .slice(0, 1000);

const batchElement = ({ subject, type, relation, id }: ReturnType<typeof askedOf>[number]) => ({
  subject_type: subject.type,
  subject_id: subject.id,
  ...(subject.relation && { subject_relation: subject.relation }),
  permission: relation,
  resource_type: type,
  resource_id: id,
});

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

/**
 * Writes one more tuple to each world and deletes it again: with it, nothing may be denied that was allowed, unless the
 * model excludes; without it, every answer must be as before.
 */
export async function writeDifferences(db: Queryable, program: CompiledModel, one: Case) {
  const found: Difference[] = [];
  let comparisons = 0;
  for (const [index, world] of one.worlds.entries()) {
    const namespace = `world-${index}`;
    const [added, ...others] = world.tuples.filter((tuple) => permits(one.model, tuple) && !tuple.isExpired);
    if (added === undefined) continue;
    const subjects = subjectTypesOf(one.model).flatMap((type) => [...ids, "*"].map((id): Subject => ({ type, id })));
    const asked = askedOf(one, subjects);
    const answers = async (): Promise<(boolean | null)[]> => {
      const sql = "select allowed from authz.check_batch($1, $2, $3) order by ord";
      const batch = [JSON.stringify(asked.map(batchElement)), namespace, JSON.stringify(world.context)];
      return (await rows<{ allowed: boolean | null }>(db, sql, batch)).map(({ allowed }) => allowed);
    };
    const compare = (
      what: string,
      before: (boolean | null)[],
      after: (boolean | null)[],
      isWrong: (at: number) => boolean,
    ) => {
      const at = asked.findIndex((_, each) => isWrong(each));
      comparisons += asked.length;
      if (at < 0) return;
      const question = `${what} ${JSON.stringify(asked[at])} ${tupleText(added)}`;
      found.push({ world, question, expected: String(before[at]), got: String(after[at]) });
    };

    await activate(db, program, namespace);
    const stored = new Map(others.map((tuple) => [keyOf(tuple), rowOf(tuple, namespace)]));
    stored.delete(keyOf(added));
    await store(db, [...stored.values()]);
    const { resource, relation, subject, condition, context } = added;
    const key = [resource.type, resource.id, relation, subject.type, subject.id, subject.relation ?? null, namespace];
    const before = await answers();
    await rows(db, "select authz.write_tuple($1, $2, $3, $4, $5, $6, $7, null, $8, $9)", [
      ...key,
      condition ?? null,
      context ? JSON.stringify(context) : null,
    ]);
    const during = await answers();
    await rows(db, "select authz.delete_tuple($1, $2, $3, $4, $5, $6, $7)", key);
    const after = await answers();
    if (!JSON.stringify(one.model).includes('"difference"')) {
      compare("written", before, during, (at) => before[at] === true && during[at] !== true);
    }
    compare("deleted", before, after, (at) => before[at] !== after[at]);
  }
  return { found, comparisons, worlds: one.worlds.length };
}
