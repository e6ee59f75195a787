// Asks a compiled program every question about some tiny worlds, and the reference evaluator too.
import type { Queryable } from "@howdah/core";
import { rowOf, store } from "../store.ts";
import { type Case, ids, relationsOf, subjectTypesOf, type World } from "./arbitrary.ts";
import { evaluator, permits, type Subject, TooManyPaths, type Value } from "./model.ts";
import { textOf } from "./print.ts";

/** A question that was answered otherwise than it ought to be. */
export interface Difference {
  world: World;
  question: string;
  expected: string;
  got: string;
}

/** A world with the answers that it ought to give. */
export interface Judged {
  world: World;
  namespace: string;
  subjects: Subject[];
  value(subject: Subject, relation: string, type: string, id: string): Value;
}

/** What a function answers: `null` stands for unknown. */
type Listed = [id: string, allowed: boolean | null][];

/** What can be seen of a value. */
export const answer = (value: Value): string => (value === "C" ? "F" : value);
const asValue = (allowed: boolean | null): string => (allowed === null ? "U" : allowed ? "T" : "F");
const show = (listed: Iterable<[string, string]>): string =>
  [...listed].map(([id, value]) => `${id}=${value}`).join(" ");

/** Every answer to every question, or undefined when a world holds too many paths to follow them all. */
export function judge(model: Case["model"], world: World, namespace: string, maxDepth?: number): Judged | undefined {
  const { check } = evaluator(model, world.tuples, world.context, { maxDepth, patience: 500 });
  const plain = subjectTypesOf(model).flatMap((type) => [...ids, "new", "*"].map((id): Subject => ({ type, id })));
  const usersets = world.usersets.flatMap((userset) => ids.map((id): Subject => ({ ...userset, id })));
  const subjects = [...plain, ...usersets];
  const values = new Map<string, Value>();
  const key = (subject: Subject, relation: string, type: string, id: string) =>
    `${textOf(subject)} ${relation} ${type}:${id}`;
  try {
    for (const { type, relation } of relationsOf(model)) {
      for (const id of ids) {
        for (const subject of subjects) {
          values.set(key(subject, relation, type, id), check(subject, relation, { type, id }));
        }
      }
    }
  } catch (error) {
    if (error instanceof TooManyPaths) return undefined;
    throw error;
  }
  const value: Judged["value"] = (...asked) => values.get(key(...asked)) ?? "F";
  return { world, namespace, subjects, value };
}

/**
 * Every question that the program answers otherwise than the reference evaluator. Call it in a transaction to be rolled
 * back, with the program's functions there: it stores the tuples.
 *
 * @param prefix what the names of the program's functions begin with, such as `m_0123456789ab_`
 */
export async function differences(db: Queryable, prefix: string, { model, worlds, maxDepth }: Case) {
  const judged = worlds.flatMap((world, index) => judge(model, world, `world-${index}`, maxDepth) ?? []);
  const isContextual = worlds.some(({ tuples }) => tuples.some((tuple) => tuple.isContextual));
  const nodes = relationsOf(model);
  const found: Difference[] = [];
  const stored = judged.flatMap(({ world, namespace }) =>
    world.tuples.filter((tuple) => !tuple.isContextual).map((tuple) => rowOf(tuple, namespace)),
  );
  await store(db, stored);

  /** One statement that asks a function all questions: `call` is its call without the contextual tuples. */
  async function ask<Q extends { world: number; subject: Subject }, A>(
    name: string,
    parameters: string,
    result: "value" | "list",
    questions: Q[],
  ): Promise<(Q & { answer: A })[]> {
    const call = `authz_rt.${prefix}${name}${isContextual ? "_x" : ""}(w.namespace, ${parameters}, w.context${
      isContextual ? ", w.contextual" : ""
    })`;
    const answered = await db.query<{ answer: A }>(
      `with w as materialized (
         select w.world, w.namespace, w.context,
           array(select t from jsonb_populate_recordset(null::authz.tuple, w.contextual) t) as contextual
         from jsonb_to_recordset($1) as w(world int, namespace text collate "C", context jsonb, contextual jsonb)
       ), q as materialized (
         select *
         from jsonb_to_recordset($2) as q(ordinal int, world int, type text collate "C", id text collate "C",
           relation text collate "C", subject_type text collate "C", subject_id text collate "C",
           subject_relation text collate "C")
       )
       select ${
         result === "value"
           ? call
           : `(select coalesce(json_agg(json_build_array(r.id, r.allowed) order by r.id, r.allowed), '[]') from ${call} as r(id, allowed))`
       } as answer
       from q join w using (world)
       order by q.ordinal`,
      [
        JSON.stringify(
          judged.map(({ world, namespace }, index) => ({
            world: index,
            namespace,
            context: world.context,
            contextual: world.tuples.filter((tuple) => tuple.isContextual).map((tuple) => rowOf(tuple, namespace)),
          })),
        ),
        JSON.stringify(questions.map(({ subject: _, ...question }, ordinal) => ({ ...question, ordinal }))),
      ],
    );
    return questions.map((question, index) => ({
      ...question,
      answer: (answered.rows[index] as { answer: A }).answer,
    }));
  }

  const each = <Q>(questions: (judged: Judged) => Q[]): (Q & { world: number })[] =>
    judged.flatMap((one, world) => questions(one).map((question) => ({ ...question, world })));
  const subjectOf = ({ type, id, relation }: Subject) => ({
    subject_type: type,
    subject_id: id,
    subject_relation: relation ?? null,
    subject: { type, id, relation },
  });
  const report = (world: number, question: string, expected: string, got: string): void => {
    if (expected !== got) found.push({ world: (judged[world] as Judged).world, question, expected, got });
  };

  const bySubject = each(({ subjects }) =>
    subjects.flatMap((subject) => nodes.map((node) => ({ ...node, ...subjectOf(subject) }))),
  );
  const byObject = bySubject.flatMap((question) => ids.map((id) => ({ ...question, id })));
  const subject = "q.subject_type, q.subject_id, q.subject_relation, q.relation, q.type";
  // Where depth is limited, lists need not hold what is unknown.
  const isListed = ([, value]: [string, string]): boolean =>
    value !== "F" && !(maxDepth !== undefined && value === "U");
  const expectedList = ({ world, subject, relation, type }: (typeof bySubject)[number]): [string, string][] =>
    ids
      .map((id): [string, string] => [id, answer((judged[world] as Judged).value(subject, relation, type, id))])
      .filter(([, value]) => value !== "F");
  const gotList = (list: Listed): [string, string][] => list.map(([id, allowed]) => [id, asValue(allowed)]);

  for (const asked of await ask<(typeof byObject)[number], boolean | null>(
    "check",
    `${subject}, q.id`,
    "value",
    byObject,
  )) {
    const { world, type, id, relation } = asked;
    const question = `check ${textOf(asked.subject)} ${relation} ${type}:${id}`;
    report(
      world,
      question,
      answer((judged[world] as Judged).value(asked.subject, relation, type, id)),
      asValue(asked.answer),
    );
  }
  for (const asked of await ask<(typeof bySubject)[number], Listed>("objects", subject, "list", bySubject)) {
    const question = `objects ${textOf(asked.subject)} ${asked.relation} ${asked.type}`;
    report(
      asked.world,
      question,
      show(expectedList(asked).filter(isListed)),
      show(gotList(asked.answer).filter(isListed)),
    );
  }
  // Few are asked about one by one, many together.
  for (const given of ["{3,ghost,1,2,1}", "{3,ghost,1,2,1,a,b,c,d,e,f}"]) {
    const filter = `${subject}, '${given}'::text[]`;
    for (const asked of await ask<(typeof bySubject)[number], Listed>("filter", filter, "list", bySubject)) {
      const question = `filter ${textOf(asked.subject)} ${asked.relation} ${asked.type}:${given}`;
      report(asked.world, question, show(expectedList(asked)), show(gotList(asked.answer)));
    }
  }

  const ofType = each(({ world }) => {
    const kinds = [
      ...subjectTypesOf(model).map((type): Subject => ({ type, id: "*" })),
      ...world.usersets.map((u) => ({ ...u, id: "*" })),
    ];
    return kinds.flatMap((kind) => nodes.flatMap((node) => ids.map((id) => ({ ...node, id, ...subjectOf(kind) }))));
  });
  const resource = "q.type, q.id, q.relation, q.subject_type, q.subject_relation";
  for (const asked of await ask<(typeof ofType)[number], Listed>("subjects", resource, "list", ofType)) {
    const { world, type, id, relation, subject } = asked;
    const value = (each: string) =>
      answer((judged[world] as Judged).value({ ...subject, id: each }, relation, type, id));
    const got = new Map(asked.answer.map(([each, allowed]) => [each, asValue(allowed)]));
    const everyone = subject.relation === undefined ? value("*") : "F";
    const expected = new Map<string, string>(everyone === "F" ? [] : [["*", everyone]]);
    for (const each of ids) {
      // Who has no more than everyone has need not be named.
      const mayBeAbsent = everyone === "T" || (everyone === "U" && value(each) === "U");
      if (value(each) !== "F" && !(mayBeAbsent && !got.has(each))) expected.set(each, value(each));
    }
    const kind = textOf({ ...subject, id: "?" });
    report(
      world,
      `subjects ${type}:${id} ${relation} ${kind}`,
      show([...expected].filter(isListed)),
      show(gotList(asked.answer).filter(isListed)),
    );
  }

  const forms = judged.flatMap(({ world }, index) => world.tuples.map((tuple) => ({ tuple, index })));
  const refusals = await db.query<{ refusal: string | null }>(
    `select authz_rt.${prefix}refusal(t.resource_type, t.relation, t.subject_type, t.subject_id, t.subject_relation,
       t.condition_name) as refusal
     from jsonb_populate_recordset(null::authz.tuples, $1) t`,
    [JSON.stringify(forms.map(({ tuple }) => rowOf(tuple, "t")))],
  );
  forms.forEach(({ tuple, index }, position) => {
    const got = refusals.rows[position]?.refusal ?? null;
    const question = `refusal ${textOf(tuple.subject)} ${tuple.relation} ${textOf(tuple.resource)} with ${tuple.condition}`;
    report(index, question, permits(model, tuple) ? "permitted" : "refused", got === null ? "permitted" : "refused");
  });
  return {
    found,
    comparisons: byObject.length + 3 * bySubject.length + ofType.length + forms.length,
    worlds: judged.length,
  };
}
