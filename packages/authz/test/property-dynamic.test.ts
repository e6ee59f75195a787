// Whatever tuples and rules there are, every function answers about dynamic types as their definition reads.
//
// HOWDAH_PROPERTY_RUNS=20000 runs that many cases; HOWDAH_PROPERTY_SEED=<seed>/<path> runs again what a failure has printed.
import { inRollback, type TestDatabase, testDatabase } from "@howdah/testing";
import fc, { type RunDetails } from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { check, isLeaf, type Resource, type Rule, type Subject, type Tuple, type World } from "./oracle/dynamic.ts";
import { rows } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
afterAll(() => db.close());

const types = ["doc", "folder", "team", "user"];
const ids = ["*", "a", "b"];
const permissions = ["read", "member", "write", "admin", "parent"];
const entities: Resource[] = types.flatMap((type) => ids.map((id) => ({ type, id })));

/** Cases that share one statement, and the rules of namespace global; each has a namespace of its own. */
interface Batch {
  globalRules: Rule[];
  cases: Case[];
}

interface Case {
  tuples: Tuple[];
  rules: Rule[];
  contextual: Tuple[];
  questions: Question[];
}

interface Question {
  subject: Subject;
  permission: string;
  others: string[];
  resource: Resource;
  subjectRelation: string | null;
  isContextual: boolean;
}

/** One of several values, the first ones most often. */
const often = (...values: string[]): fc.Arbitrary<string> =>
  fc.oneof(...values.map((value, i) => ({ arbitrary: fc.constant(value), weight: values.length - i })));

const rarely = fc.nat(11).map((n) => n === 0);
const someId = often("a", "b", "*");
const permission = often(...permissions);
const maybeRelation = fc.option(often("member", "admin", "read"), { nil: null, freq: 3 });

const anyTuple: fc.Arbitrary<Tuple> = fc.record({
  resourceType: often("doc", "team", "folder", "user"),
  resourceId: someId,
  relation: permission,
  subjectType: often("user", "team", "folder", "doc"),
  subjectId: someId,
  subjectRelation: maybeRelation,
  isExpired: rarely,
  isConditional: rarely,
});
/** Tuples of the usual shapes, so that long ways are not as rare as chance would have them. */
const usualTuple: fc.Arbitrary<Tuple> = fc
  .tuple(anyTuple, fc.nat(4), fc.boolean())
  .map(([tuple, shape, isDeep]): Tuple => {
    const plain = { ...tuple, subjectRelation: null };
    if (shape === 0) return { ...tuple, resourceType: "team", relation: "member", subjectType: "team" };
    if (shape === 1) return { ...plain, resourceType: "team", relation: "member", subjectType: "user" };
    if (shape === 2) {
      return { ...plain, resourceType: isDeep ? "folder" : "doc", relation: "parent", subjectType: "folder" };
    }
    return { ...tuple, resourceType: isDeep ? "folder" : "doc", subjectType: shape === 3 ? "team" : "user" };
  });
const tuple = fc.oneof(anyTuple, { arbitrary: usualTuple, weight: 3 });

const tuples = (minLength: number, maxLength: number): fc.Arbitrary<Tuple[]> =>
  fc.uniqueArray(tuple, {
    minLength,
    maxLength,
    selector: (t) => [t.resourceType, t.resourceId, t.relation, t.subjectType, t.subjectId, t.subjectRelation].join(),
  });

const rules = fc.uniqueArray(
  fc
    .record({ resourceType: often("doc", "folder", "team"), permission, implies: permission })
    .filter((rule) => rule.permission !== rule.implies),
  { maxLength: 4, selector: (rule) => Object.values(rule).join() },
);

const question: fc.Arbitrary<Question> = fc.record({
  subject: fc.record({ type: often("user", "team", "folder", "doc"), id: someId, relation: maybeRelation }),
  permission,
  others: fc.array(permission, { maxLength: 3 }),
  resource: fc.record({ type: often("doc", "folder", "team", "user"), id: someId }),
  subjectRelation: maybeRelation,
  isContextual: fc.boolean(),
});

/** A question about what some of the tuples name, which has more often than not a chance. */
const pointed = fc
  .record({ question, of: fc.tuple(fc.nat(99), fc.nat(99), fc.nat(99)) })
  .map(({ question, of: [who, what, which] }) => (tuples: readonly Tuple[]): Question => {
    const [subject, relation, resource] = [who, what, which].map((n) => tuples[n % tuples.length]);
    if (!subject || !relation || !resource) return question;
    return {
      ...question,
      subject: { ...question.subject, type: subject.subjectType, id: subject.subjectId },
      permission: relation.relation,
      resource: { type: resource.resourceType, id: resource.resourceId },
    };
  });

const batch: fc.Arbitrary<Batch> = fc.record({
  globalRules: rules,
  cases: fc.array(
    fc
      .record({
        tuples: fc.oneof(tuples(0, 5), tuples(8, 20)),
        rules,
        contextual: tuples(0, 4).map((them) => them.filter((t) => !t.isExpired && !t.isConditional)),
        questions: fc.tuple(question, pointed),
      })
      .map(({ questions: [any, pointedAt], ...one }): Case => ({ ...one, questions: [any, pointedAt(one.tuples)] })),
    { minLength: 1, maxLength: 10, size: "max" },
  ),
});

/** A tuple as a row of authz.tuples. */
const rowOf = (tuple: Tuple, namespace: string): object => ({
  namespace,
  resource_type: tuple.resourceType,
  resource_id: tuple.resourceId,
  relation: tuple.relation,
  subject_type: tuple.subjectType,
  subject_id: tuple.subjectId,
  subject_relation: tuple.subjectRelation,
  expires_at: tuple.isExpired ? "2000-01-01" : null,
  condition_name: tuple.isConditional ? "never" : null,
});

/** A tuple as a contextual one. */
const contextualOf = (tuple: Tuple): object => ({
  resource_type: tuple.resourceType,
  resource_id: tuple.resourceId,
  relation: tuple.relation,
  subject_type: tuple.subjectType,
  subject_id: tuple.subjectId,
  ...(tuple.subjectRelation === null ? {} : { subject_relation: tuple.subjectRelation }),
});

/** What the functions answer to one question, with lists in byte order. */
interface Answers {
  /** Resources of the type that check() allows. */
  checked: string[];
  objects: string[];
  /** Subjects that the resource's list names, or usersets, as type:id. */
  subjects: string[];
  /** What explain_json() says of the resource, with a tree that says the same. */
  explained: boolean;
  /** What can be asked of plain subjects without contextual tuples; null otherwise. */
  plain: {
    /** The same resources, by pages of one. */
    pages: string[];
    filtered: string[];
    /** The same in a crowd of others. */
    filteredMany: string[];
    any: boolean;
    all: boolean;
    /** The permissions that check_any() and check_all() allow alone. */
    alone: string[];
    count: number;
    /** Whether explain() finds a way. */
    ways: boolean;
  } | null;
}

const ask = `
  select array(
      select r.id collate "C"
      from unnest($2::text[]) r (id)
      where authz.check(q.subject_type, q.subject_id, q.permission, q.resource_type, r.id, q.namespace,
        q.subject_is, null, q.contextual)
      order by 1
    ) as checked,
    array(
      select o.resource_id collate "C"
      from authz.list_objects(q.subject_type, q.subject_id, q.resource_type, q.permission, q.namespace, q.subject_is,
        null, q.contextual) o
      order by 1
    ) as objects,
    array(
      select concat(s.subject_type, ':', s.subject_id) collate "C"
      from authz.list_subjects(q.resource_type, q.resource_id, q.permission, q.namespace, 1000, null, null, null,
        q.subject_relation, null, q.contextual) s
      order by 1
    ) as subjects,
    (
      select case when e ->> 'allowed' = e #>> '{tree,value}' and e ->> 'allowed' = exists (
          select
          from jsonb_array_elements(e #> '{tree,children}') r
          where r ->> 'value' = 'true' and jsonb_array_length(r -> 'children') > 0
        )::text then (e ->> 'allowed')::boolean end
      from authz.explain_json(q.subject_type, q.subject_id, q.permission, q.resource_type, q.resource_id, q.namespace,
        q.subject_is, null, q.contextual) e
    ) as explained,
    case when q.contextual is null and q.subject_is is null then jsonb_build_object(
      'pages', (
        with recursive page as (
          select min(resource_id) as id, 1 as at
          from authz.list_resources(q.subject_type, q.subject_id, q.resource_type, q.permission, q.namespace, 1)
          union all
          select (
            select resource_id
            from authz.list_resources(q.subject_type, q.subject_id, q.resource_type, q.permission, q.namespace, 1, p.id)
          ), p.at + 1
          from page p
          where p.id is not null
        )
        select coalesce(jsonb_agg(p.id order by p.at), '[]') from page p where p.id is not null
      ),
      'filtered',
        authz.filter_authorized(q.subject_type, q.subject_id, q.resource_type, q.permission, $2, q.namespace),
      'filteredMany', authz.filter_authorized(q.subject_type, q.subject_id, q.resource_type, q.permission,
        $2 || array(select 'other' || n from generate_series(1, 101) n), q.namespace),
      'any', authz.check_any(q.subject_type, q.subject_id, q.others, q.resource_type, q.resource_id, q.namespace),
      'all', authz.check_all(q.subject_type, q.subject_id, q.others, q.resource_type, q.resource_id, q.namespace),
      'alone', array(
        select p
        from unnest($3::text[]) p
        where authz.check_any(q.subject_type, q.subject_id, array[p], q.resource_type, q.resource_id, q.namespace)
          and authz.check_all(q.subject_type, q.subject_id, array[p], q.resource_type, q.resource_id, q.namespace)
      ),
      'count', authz.count_subjects(q.resource_type, q.resource_id, q.permission, q.namespace),
      'ways', exists (
        select from authz.explain(q.subject_type, q.subject_id, q.permission, q.resource_type, q.resource_id, q.namespace)
      )
    ) end as plain
  from jsonb_to_recordset($1) q (ord int, namespace text, subject_type text, subject_id text, subject_is text,
    permission text, others text[], resource_type text, resource_id text, subject_relation text, contextual jsonb)
  order by q.ord`;

/** What the definition says. */
function expected(world: World, { subject, permission, others, resource, ...question }: Question): Answers {
  const on = (id: string, permission: string): boolean => check(world, subject, permission, { ...resource, id });
  const allowed = ids.filter((id) => on(id, permission));
  const relation = question.subjectRelation;
  const subjects = entities
    .filter((entity) => relation !== null || isLeaf(world, entity))
    .filter((entity) => check(world, { ...entity, relation }, permission, resource))
    .map(({ type, id }) => `${type}:${id}`);
  return {
    checked: allowed,
    objects: allowed,
    subjects,
    explained: on(resource.id, permission),
    plain:
      question.isContextual || subject.relation !== null
        ? null
        : {
            pages: allowed,
            filtered: allowed,
            filteredMany: allowed,
            any: others.some((other) => on(resource.id, other)),
            all: others.every((other) => on(resource.id, other)),
            alone: permissions.filter((alone) => on(resource.id, alone)),
            count: entities.filter(
              (entity) => isLeaf(world, entity) && check(world, { ...entity, relation: null }, permission, resource),
            ).length,
            ways: on(resource.id, permission),
          },
  };
}

/** The cases of a batch to which the database gives another answer than the definition. */
async function differences({ globalRules, cases }: Batch): Promise<object[]> {
  const asked = cases.flatMap((one, i) => one.questions.map((question) => ({ one, question, namespace: `case${i}` })));
  const answers = await inRollback(db, async (client) => {
    await client.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id,
         subject_relation, expires_at, condition_name)
       select namespace, resource_type, resource_id, relation, subject_type, subject_id, subject_relation, expires_at,
         condition_name
       from jsonb_populate_recordset(null::authz.tuples, $1)`,
      [JSON.stringify(cases.flatMap(({ tuples }, i) => tuples.map((tuple) => rowOf(tuple, `case${i}`))))],
    );
    const allRules = [
      ...globalRules.map((rule) => ({ ...rule, namespace: "global" })),
      ...cases.flatMap(({ rules }, i) => rules.map((rule) => ({ ...rule, namespace: `case${i}` }))),
    ];
    await client.query(
      `insert into authz.permission_hierarchy (namespace, resource_type, permission, implies)
       select r.namespace, r."resourceType", r.permission, r.implies
       from jsonb_to_recordset($1) r (namespace text, "resourceType" text, permission text, implies text)`,
      [JSON.stringify(allRules)],
    );
    const questions = asked.map(({ one, question: { subject, resource, ...question }, namespace }, ord) => ({
      ord,
      namespace,
      subject_type: subject.type,
      subject_id: subject.id,
      subject_is: subject.relation,
      permission: question.permission,
      others: question.others,
      resource_type: resource.type,
      resource_id: resource.id,
      subject_relation: question.subjectRelation,
      contextual: question.isContextual ? one.contextual.map(contextualOf) : null,
    }));
    return rows<Answers>(client, ask, [JSON.stringify(questions), ids, permissions]);
  });

  return asked.flatMap(({ one, question }, i) => {
    const world: World = {
      tuples: question.isContextual ? [...one.tuples, ...one.contextual] : one.tuples,
      rules: [...globalRules, ...one.rules],
    };
    const said = expected(world, question);
    return JSON.stringify(sorted(answers[i])) === JSON.stringify(sorted(said))
      ? []
      : [{ ...one, globalRules, questions: [question], said, answered: answers[i] }];
  });
}

/** With keys in one order. */
const sorted = (answers: Answers | undefined): object | undefined =>
  answers && {
    checked: answers.checked,
    objects: answers.objects,
    subjects: answers.subjects,
    explained: answers.explained,
    plain: answers.plain && Object.fromEntries(Object.entries(answers.plain).sort(([a], [b]) => (a < b ? -1 : 1))),
  };

const { HOWDAH_PROPERTY_RUNS, HOWDAH_PROPERTY_SEED } = process.env;
const [seed, path] = HOWDAH_PROPERTY_SEED?.split("/") ?? [];

test("every function answers as the definition of the dynamic rule reads", async () => {
  let asked = 0;
  let allowed = 0;
  await fc.assert(
    fc.asyncProperty(batch, async (one) => {
      const [wrong] = await differences(one);
      if (wrong) throw new Error(JSON.stringify(wrong, undefined, 1));
      for (const { tuples, rules, questions } of one.cases) {
        for (const { subject, permission, resource } of questions) {
          asked += 1;
          const world = { tuples, rules: [...one.globalRules, ...rules] };
          if (check(world, subject, permission, resource)) allowed += 1;
        }
      }
    }),
    {
      numRuns: Math.ceil(Number(HOWDAH_PROPERTY_RUNS ?? 1_000) / 5),
      ...(seed === undefined ? {} : { seed: Number(seed) }),
      ...(path === undefined ? {} : { path }),
      reporter: ({ failed, seed, counterexamplePath, errorInstance }: RunDetails<[Batch]>): void => {
        if (!failed) return;
        throw new Error(`HOWDAH_PROPERTY_SEED=${seed}/${counterexamplePath}\n\n${(errorInstance as Error)?.message}`);
      },
    },
  );
  console.info(`${asked} questions, of which ${allowed} are allowed, are answered alike`);
  expect(allowed / asked).toBeGreaterThan(0.1);
}, 0);
