// Small but nasty worlds: a model, tuples that often make cycles, overlaps and nonsense, and what to ask about them.
import fc from "fast-check";
import type { Condition, Context, Model, Restriction, Rewrite, Subject, Tuple, TypeDefinition } from "./model.ts";

/** A tuple, and whether a request brings it or the store holds it. */
interface WorldTuple extends Tuple {
  isContextual: boolean;
}

/** What one namespace holds and what is asked with every request there. */
export interface World {
  tuples: WorldTuple[];
  context: Context;
  /** The usersets that are asked about as subjects, beside all plain ones. */
  usersets: { type: string; relation: string }[];
}

/** One model and several worlds in it. */
export interface Case {
  model: Model;
  maxDepth: number | undefined;
  worlds: World[];
}

/** The ids of all objects, and of all subjects but one. */
export const ids = ["1", "2", "3"];

const conditions: Condition[] = [
  { name: "is_on", expression: "on", parameters: { on: { type_name: "TYPE_NAME_BOOL" } } },
  {
    name: "is_small",
    expression: "on || 12 / size < 5",
    parameters: { on: { type_name: "TYPE_NAME_BOOL" }, size: { type_name: "TYPE_NAME_INT" } },
  },
  {
    name: "is_tagged",
    expression: '"a" in tags && !(name == "b")',
    parameters: {
      tags: { type_name: "TYPE_NAME_LIST", generic_types: [{ type_name: "TYPE_NAME_STRING" }] },
      name: { type_name: "TYPE_NAME_STRING" },
    },
  },
];

/** A context: each key absent, of its type or of another one. */
const context: fc.Arbitrary<Context> = fc.record(
  {
    on: fc.constantFrom<unknown>(true, false, "yes"),
    size: fc.constantFrom<unknown>(2, 12, 0, 1.5),
    tags: fc.constantFrom<unknown>(["a"], ["b", "a"], [], [1]),
    name: fc.constantFrom<unknown>("b", "c", 7),
  },
  { requiredKeys: [] },
);

/** Mostly the constant, which is also what shrinks towards. */
function seldom<T, C>(arbitrary: fc.Arbitrary<T>, constant: C): fc.Arbitrary<T | C> {
  return fc.oneof({ arbitrary: fc.constant(constant), weight: 9 }, { arbitrary, weight: 1 });
}

// A plan is a model whose names are still numbers: whatever they are, they become names that exist, so that it can shrink.
type RewritePlan =
  | { kind: "this" }
  | { kind: "computed"; relation: number }
  | { kind: "inherited"; relation: number }
  | { kind: "union" | "intersection"; children: RewritePlan[] }
  | { kind: "difference"; children: [RewritePlan, RewritePlan] };

interface RestrictionPlan {
  type: number;
  form: "plain" | "wildcard" | "userset";
  relation: number;
  condition: number | null;
}

interface TypePlan {
  parents: { type: number; condition: number | null }[];
  relations: { rewrite: RewritePlan; restrictions: RestrictionPlan[] }[];
}

const number = fc.nat(11);
const conditionNumber = seldom(fc.nat(conditions.length - 1), null);
const self: RewritePlan = { kind: "this" };

const leafPlan: fc.Arbitrary<RewritePlan> = fc.oneof(
  { arbitrary: fc.constant(self), weight: 5 },
  { arbitrary: fc.record({ kind: fc.constant("computed" as const), relation: number }), weight: 2 },
  { arbitrary: fc.record({ kind: fc.constant("inherited" as const), relation: number }), weight: 3 },
);

const treePlan = fc.letrec<{ tree: RewritePlan }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small", maxDepth: 3, withCrossShrink: true },
    leafPlan,
    fc.record({ kind: fc.constant("union" as const), children: fc.array(tie("tree"), { minLength: 2, maxLength: 2 }) }),
    fc.record({
      kind: fc.constant("intersection" as const),
      children: fc.array(tie("tree"), { minLength: 2, maxLength: 2 }),
    }),
    fc.record({ kind: fc.constant("difference" as const), children: fc.tuple(tie("tree"), tie("tree")) }),
  ),
})).tree;

/** Half of the relations are plain unions, for which the compiler has its quickest programs. */
const rewritePlan: fc.Arbitrary<RewritePlan> = fc.oneof(
  fc.record({ kind: fc.constant("union" as const), children: fc.array(leafPlan, { minLength: 1, maxLength: 4 }) }),
  treePlan,
);

const restrictionPlan: fc.Arbitrary<RestrictionPlan> = fc.record({
  type: number,
  form: fc.constantFrom("plain", "userset", "userset", "wildcard"),
  relation: number,
  condition: conditionNumber,
});

const typePlan: fc.Arbitrary<TypePlan> = fc.record({
  parents: fc.array(fc.record({ type: number, condition: conditionNumber }), { maxLength: 3 }),
  relations: fc.array(
    fc.record({ rewrite: rewritePlan, restrictions: fc.array(restrictionPlan, { minLength: 1, maxLength: 3 }) }),
    { minLength: 1, maxLength: 3 },
  ),
});

const at = <T>(list: readonly T[], index: number): T => list[index % list.length] as T;

/** Every distinct element, by what it says. */
function distinct<T>(list: T[]): T[] {
  const seen = new Map(list.map((each) => [JSON.stringify(each), each] as const));
  return [...seen.values()];
}

/** The model of a plan: type user, then group, folder and document with the relations parent (if any), a, b and c. */
function modelOf(plans: TypePlan[]): Model {
  const objects = ["group", "folder", "document"].slice(0, plans.length);
  const names = plans.map(({ relations }) => ["a", "b", "c"].slice(0, relations.length));
  const used = new Set<string>();
  const conditioned = (index: number | null): { condition?: string } => {
    if (index === null) return {};
    const { name } = at(conditions, index);
    used.add(name);
    return { condition: name };
  };

  const definitions = plans.map(({ parents, relations }, index): TypeDefinition => {
    const own = names[index] ?? [];
    const hasParents = parents.length > 0;

    function restriction({ type, form, relation, condition }: RestrictionPlan): Restriction {
      if (form === "wildcard") return { type: at(["user", ...objects], type), wildcard: {}, ...conditioned(condition) };
      if (form === "plain") return { type: at(["user", "user", ...objects], type), ...conditioned(condition) };
      const owner = type % objects.length;
      return { type: at(objects, owner), relation: at(at(names, owner), relation), ...conditioned(condition) };
    }

    /** A computed userset names an earlier relation, because models with circles of them are refused. */
    function rewrite(plan: RewritePlan, position: number): Rewrite {
      const earlier = [...(hasParents ? ["parent"] : []), ...own.slice(0, position)];
      switch (plan.kind) {
        case "this":
          return { this: {} };
        case "computed":
          return earlier.length === 0 ? { this: {} } : { computedUserset: { relation: at(earlier, plan.relation) } };
        case "inherited": {
          const inheritable = parents.flatMap(({ type }) => at(names, type));
          if (inheritable.length === 0) return { this: {} };
          const computedUserset = { relation: at(inheritable, plan.relation) };
          return { tupleToUserset: { tupleset: { relation: "parent" }, computedUserset } };
        }
        case "difference": {
          const [base, subtract] = plan.children;
          return { difference: { base: rewrite(base, position), subtract: rewrite(subtract, position) } };
        }
        default: {
          const child = distinct(plan.children.map((each) => rewrite(each, position)));
          const [only] = child;
          if (child.length === 1 && only !== undefined) return only;
          return plan.kind === "union" ? { union: { child } } : { intersection: { child } };
        }
      }
    }

    const definition: TypeDefinition = { type: at(objects, index), relations: {}, metadata: { relations: {} } };
    const define = (relation: string, rewrite: Rewrite, restrictions: Restriction[]) => {
      definition.relations[relation] = rewrite;
      definition.metadata.relations[relation] = { directly_related_user_types: distinct(restrictions) };
    };
    if (hasParents) {
      const restrictions = parents.map((each) => ({ type: at(objects, each.type), ...conditioned(each.condition) }));
      define("parent", { this: {} }, restrictions);
    }
    relations.forEach(({ rewrite: plan, restrictions }, position) => {
      const made = rewrite(plan, position);
      const isAssignable = JSON.stringify(made).includes('"this"');
      define(at(own, position), made, isAssignable ? restrictions.map(restriction) : []);
    });
    return definition;
  });

  const user: TypeDefinition = { type: "user", relations: {}, metadata: { relations: {} } };
  const model: Model = { schema_version: "1.1", type_definitions: [user, ...definitions] };
  const present = conditions.filter(({ name }) => used.has(name) && JSON.stringify(definitions).includes(`"${name}"`));
  return present.length === 0
    ? model
    : { ...model, conditions: Object.fromEntries(present.map((condition) => [condition.name, condition])) };
}

/** Whether somebody could ever have each relation: models with one that nobody can have are refused. */
function isPossible(model: Model): boolean {
  const possible = new Set<string>();
  const has = (definition: TypeDefinition, relation: string, rewrite: Rewrite): boolean => {
    const each = (child: Rewrite) => has(definition, relation, child);
    if ("this" in rewrite) {
      return restrictionsOf(definition, relation).some(
        (restriction) =>
          restriction.relation === undefined || possible.has(`${restriction.type}#${restriction.relation}`),
      );
    }
    if ("computedUserset" in rewrite) return possible.has(`${definition.type}#${rewrite.computedUserset.relation}`);
    if ("tupleToUserset" in rewrite) {
      const { tupleset, computedUserset } = rewrite.tupleToUserset;
      const parents = restrictionsOf(definition, tupleset.relation);
      return parents.some((parent) => possible.has(`${parent.type}#${computedUserset.relation}`));
    }
    if ("union" in rewrite) return rewrite.union.child.some(each);
    if ("intersection" in rewrite) return rewrite.intersection.child.every(each);
    return each(rewrite.difference.base) && each(rewrite.difference.subtract);
  };
  const nodes = model.type_definitions.flatMap((definition) =>
    Object.entries(definition.relations).map(([relation, rewrite]) => ({ definition, relation, rewrite })),
  );
  for (const _ of nodes) {
    for (const { definition, relation, rewrite } of nodes) {
      if (has(definition, relation, rewrite)) possible.add(`${definition.type}#${relation}`);
    }
  }
  return possible.size === nodes.length;
}

const restrictionsOf = (definition: TypeDefinition, relation: string): Restriction[] =>
  definition.metadata.relations[relation]?.directly_related_user_types ?? [];

/** Every relation of every type. */
export const relationsOf = (model: Model): { type: string; relation: string }[] =>
  model.type_definitions.flatMap(({ type, relations }) =>
    Object.keys(relations).map((relation) => ({ type, relation })),
  );

/** The types that plain subjects are asked of. */
export const subjectTypesOf = (model: Model): string[] =>
  distinct([
    "user",
    ...model.type_definitions
      .flatMap((definition) => Object.keys(definition.relations).flatMap((each) => restrictionsOf(definition, each)))
      .filter((restriction) => restriction.relation === undefined)
      .map(({ type }) => type),
  ]);

type TuplePlan = typeof tuplePlan extends fc.Arbitrary<infer P> ? P : never;
type WorldPlan = typeof worldPlan extends fc.Arbitrary<infer P> ? P : never;

const id = fc.constantFrom("1", "1", "1", "2", "2", "3");

const tuplePlan = fc.record({
  form: fc.nat(99),
  id,
  subjectId: id,
  flaw: seldom(fc.constantFrom("form", "wildcard", "type", "relation", "condition"), undefined),
  other: number,
  context: fc.option(context, { freq: 1, nil: undefined }),
  isExpired: seldom(fc.constant(true), false),
  isContextual: fc.boolean(),
});

const worldPlan = fc.record({
  tuples: fc.array(tuplePlan, { maxLength: 24, size: "max" }),
  context,
  usersets: fc.array(fc.nat(99), { maxLength: 2 }),
});

/** A tuple that the model permits, or one that is broken in one respect. */
function tupleOf(model: Model, plan: TuplePlan): WorldTuple {
  const forms = model.type_definitions.flatMap((definition) =>
    Object.keys(definition.relations).flatMap((relation) =>
      restrictionsOf(definition, relation).map((restriction) => ({ type: definition.type, relation, restriction })),
    ),
  );
  const { type, relation, restriction } = at(forms, plan.form);
  const { flaw, other, isExpired, isContextual } = plan;
  const subject: Subject = { type: restriction.type, id: restriction.wildcard ? "*" : plan.subjectId };
  if (restriction.relation !== undefined) subject.relation = restriction.relation;
  const tuple: WorldTuple = { resource: { type, id: plan.id }, relation, subject, isExpired, isContextual };
  if (restriction.condition !== undefined) tuple.condition = restriction.condition;

  const relations = distinct(model.type_definitions.flatMap((each) => Object.keys(each.relations)));
  const types = model.type_definitions.map(({ type }) => type);
  if (flaw === "form") subject.relation = subject.relation === undefined ? at(relations, other) : undefined;
  if (flaw === "wildcard") subject.id = subject.id === "*" ? plan.subjectId : "*";
  if (flaw === "type") subject.type = at(types, other);
  if (flaw === "relation") tuple.relation = at(relations, other);
  if (flaw === "condition") {
    const others = Object.keys(model.conditions ?? {}).filter((name) => name !== tuple.condition);
    tuple.condition = at([undefined, ...others], other);
  }
  if (tuple.condition !== undefined && plan.context !== undefined) tuple.context = plan.context;
  return tuple;
}

/** What makes a tuple the same as another. */
export const keyOf = ({ resource, relation, subject }: Tuple): string =>
  `${resource.type}:${resource.id}#${relation}@${subject.type}:${subject.id}#${subject.relation ?? ""}`;

/** A world of a model. The store holds a key once; contextual tuples may repeat one another and the store's. */
function worldOf(model: Model, plan: WorldPlan, isContextual: boolean): World {
  const nodes = relationsOf(model);
  const stored = new Set<string>();
  const tuples = plan.tuples
    .map((each) => tupleOf(model, each))
    .map((tuple) => (isContextual ? tuple : { ...tuple, isContextual }))
    .filter((tuple) => tuple.isContextual || (!stored.has(keyOf(tuple)) && stored.add(keyOf(tuple))));
  return {
    tuples,
    context: plan.context,
    usersets: distinct(plan.usersets.map((node) => at(nodes, node))),
  };
}

/** A model of two to four types with worlds, in half of the cases worlds some of whose tuples come with the request. */
export const modelCase = (worlds: number): fc.Arbitrary<Case> =>
  fc
    .record({
      types: fc.oneof(
        fc.array(typePlan, { minLength: 1, maxLength: 2, size: "max" }),
        fc.array(typePlan, { minLength: 1, maxLength: 3, size: "max" }),
      ),
      worlds: fc.array(worldPlan, { minLength: 1, maxLength: worlds, size: "max" }),
      isContextual: fc.boolean(),
      maxDepth: seldom(fc.integer({ min: 1, max: 4 }), undefined),
    })
    .map(({ types, worlds, isContextual, maxDepth }) => {
      const model = modelOf(types);
      return { model, maxDepth, worlds: worlds.map((plan) => worldOf(model, plan, isContextual)) };
    })
    .filter(({ model }) => isPossible(model));
