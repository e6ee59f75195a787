// Says everything that is wrong with a model at once. What passes here compiles.
import { renderCondition } from "./condition.ts";
import {
  describeRestriction,
  type OpenFgaModel,
  type Rewrite,
  reservedTypes,
  restrictionsOf,
  type TupleToUserset,
} from "./model.ts";
import type { ParsedModel } from "./parse.ts";
import type { ModelProblem } from "./problems.ts";

const limits = { types: 200, relations: 2_000, bytes: 256 * 1024, name: 254 };
const namePattern = /^[a-z][a-z0-9_-]*$/;
const conditionPattern = /^[A-Za-z][A-Za-z0-9_-]*$/;
const keywords = ["self", "this"];

/** All problems of a model, in the order of its definitions. */
export function validateModel({ model, problems: found, locate }: ParsedModel): ModelProblem[] {
  const problems: ModelProblem[] = [];
  const add = (problem: ModelProblem): void => {
    const { type, relation, condition } = problem;
    problems.push({ ...problem, ...(condition === undefined ? locate(type, relation) : locate(undefined, condition)) });
  };
  for (const problem of found) add(problem);

  validateLimits(model, add);
  const definitions = new Map(model.type_definitions.map((definition) => [definition.type, definition]));
  const has = (type: string, relation: string): boolean =>
    Object.hasOwn(definitions.get(type)?.relations ?? {}, relation);

  for (const [index, definition] of model.type_definitions.entries()) {
    const { type } = definition;
    if (reservedTypes.includes(type)) {
      add({ code: "type_reserved", type, message: `type ${type} belongs to roles and permissions` });
    } else {
      validateName("type", type, { type }, add);
    }
    if (model.type_definitions.findIndex((other) => other.type === type) !== index) {
      add({ code: "type_duplicate", type, message: `type ${type} is defined twice` });
    }
    for (const [relation, rewrite] of Object.entries(definition.relations ?? {})) {
      validateName("relation", relation, { type, relation }, add);
      validateRewrite(type, relation, rewrite);
      validateRestrictions(type, relation, rewrite);
    }
    for (const relation of Object.keys(definition.metadata?.relations ?? {})) {
      if (has(type, relation)) continue;
      add({ code: "relation_unknown", type, relation, message: `relation ${relation} is not defined on type ${type}` });
    }
  }
  for (const [name, condition] of Object.entries(model.conditions ?? {})) {
    const wrong = (message: string): void => add({ code: "condition_invalid", condition: name, message });
    if (!conditionPattern.test(name) || name.length > limits.name) {
      wrong(`condition ${name} is no name of at most ${limits.name} letters, digits, _ and -`);
    }
    if (condition.name !== name) wrong(`condition ${name} calls itself ${condition.name}`);
    for (const { message, position } of renderCondition(name, condition).problems) {
      add({ code: "condition_invalid", condition: name, message, column: position });
    }
  }

  // The graph can only be searched when everything in it exists.
  if (problems.length === 0) {
    for (const cyclic of computedCycles(model)) add(cyclic);
    for (const impossible of withoutEntry(model)) add(impossible);
  }
  return problems;

  function validateRewrite(type: string, relation: string, rewrite: Rewrite): void {
    const wrong = (code: ModelProblem["code"], message: string): void => add({ code, type, relation, message });
    for (const part of partsOf(rewrite)) validateRewrite(type, relation, part);
    if ("computedUserset" in rewrite) {
      const { relation: other } = rewrite.computedUserset;
      if (!has(type, other)) wrong("relation_unknown", `relation ${other} is not defined on type ${type}`);
    }
    if ("tupleToUserset" in rewrite) validateTupleset(type, rewrite.tupleToUserset, wrong);
  }

  function validateTupleset(
    type: string,
    { tupleset: { relation: tupleset }, computedUserset: { relation: computed } }: TupleToUserset,
    wrong: (code: ModelProblem["code"], message: string) => void,
  ): void {
    const definition = definitions.get(type);
    if (!definition || !has(type, tupleset)) {
      wrong("relation_unknown", `relation ${tupleset} is not defined on type ${type}`);
      return;
    }
    if (!("this" in (definition.relations?.[tupleset] ?? {}))) {
      wrong("tupleset_invalid", `relation ${tupleset} stands after from, so it can only be written directly`);
      return;
    }
    const targets = restrictionsOf(definition, tupleset);
    for (const target of targets) {
      if (target.relation === undefined && target.wildcard === undefined) continue;
      const text = describeRestriction(target);
      wrong("tupleset_invalid", `relation ${tupleset} stands after from, so it cannot hold ${text}`);
    }
    if (!targets.some((target) => has(target.type, computed))) {
      wrong("relation_unknown", `relation ${computed} is defined on no type that ${tupleset} can hold`);
    }
  }

  function validateRestrictions(type: string, relation: string, rewrite: Rewrite): void {
    const wrong = (code: ModelProblem["code"], message: string): void => add({ code, type, relation, message });
    const definition = definitions.get(type);
    const restrictions = definition ? restrictionsOf(definition, relation) : [];
    const isAssignable = assignable(rewrite);
    if (isAssignable && restrictions.length === 0) {
      wrong("restriction_invalid", `relation ${relation} can be written, so it must say to whom`);
    }
    if (!isAssignable && restrictions.length > 0) {
      wrong("restriction_invalid", `relation ${relation} cannot be written, so it cannot say to whom`);
    }
    for (const restriction of restrictions) {
      const text = describeRestriction(restriction);
      if (!definitions.has(restriction.type)) {
        wrong("type_unknown", `type ${restriction.type} is not defined`);
      } else if (restriction.relation !== undefined && !has(restriction.type, restriction.relation)) {
        wrong("relation_unknown", `relation ${restriction.relation} is not defined on type ${restriction.type}`);
      }
      if (restriction.relation !== undefined && restriction.wildcard !== undefined) {
        wrong("restriction_invalid", `${text} is both everybody and a userset`);
      }
      if (restriction.condition !== undefined && !Object.hasOwn(model.conditions ?? {}, restriction.condition)) {
        wrong("condition_unknown", `condition ${restriction.condition} is not defined`);
      }
    }
  }
}

function validateLimits(model: OpenFgaModel, add: (problem: ModelProblem) => void): void {
  const relations = model.type_definitions.flatMap(({ relations }) => Object.keys(relations ?? {}));
  const bytes = Buffer.byteLength(JSON.stringify(model));
  const exceeded = [
    [model.type_definitions.length, limits.types, "types"],
    [relations.length, limits.relations, "relations"],
    [bytes, limits.bytes, "bytes"],
  ] as const;
  for (const [actual, limit, what] of exceeded) {
    if (actual <= limit) continue;
    add({ code: "limit_exceeded", message: `the model has ${actual} ${what}, at most ${limit} are allowed` });
  }
  if (!["1.1", "1.2"].includes(model.schema_version)) {
    const message = `schema version ${JSON.stringify(model.schema_version)} is none of 1.1 and 1.2`;
    add({ code: "schema_version_unknown", message });
  }
}

function validateName(
  what: string,
  name: string,
  place: Pick<ModelProblem, "type" | "relation">,
  add: (problem: ModelProblem) => void,
): void {
  if (namePattern.test(name) && name.length <= limits.name && !keywords.includes(name)) return;
  const message = keywords.includes(name)
    ? `${what} ${name} is a word of the language`
    : `${what} ${JSON.stringify(name.slice(0, 100))} does not match ^[a-z][a-z0-9_-]*$ or has more than ${limits.name} characters`;
  add({ code: "name_invalid", message, ...place });
}

/** What an operator joins. */
function partsOf(rewrite: Rewrite): Rewrite[] {
  if ("union" in rewrite) return rewrite.union.child;
  if ("intersection" in rewrite) return rewrite.intersection.child;
  return "difference" in rewrite ? [rewrite.difference.base, rewrite.difference.subtract] : [];
}

const assignable = (rewrite: Rewrite): boolean => "this" in rewrite || partsOf(rewrite).some(assignable);

/** Relations of one object that follow from themselves. */
function* computedCycles(model: OpenFgaModel): Iterable<ModelProblem> {
  for (const { type, relations = {} } of model.type_definitions) {
    for (const relation of Object.keys(relations)) {
      const path = findPath(relation, relation, (from) => computedOf(relations[from]));
      if (path === undefined) continue;
      const message = `relation ${relation} follows from itself: ${[relation, ...path].join(" -> ")}`;
      yield { code: "relation_cyclic", type, relation, message };
    }
  }
}

function computedOf(rewrite: Rewrite | undefined): string[] {
  if (rewrite === undefined) return [];
  return "computedUserset" in rewrite ? [rewrite.computedUserset.relation] : partsOf(rewrite).flatMap(computedOf);
}

/** The shortest way from one name to another by at least one step. */
function findPath(from: string, to: string, next: (name: string) => string[]): string[] | undefined {
  const queue = next(from).map((name) => [name]);
  const seen = new Set<string>();
  for (const path of queue) {
    const last = path[path.length - 1] as string;
    if (last === to) return path;
    if (seen.has(last)) continue;
    seen.add(last);
    queue.push(...next(last).map((name) => [...path, name]));
  }
  return undefined;
}

/** Relations that nobody can ever have, because all their ways lead back to themselves: a least fixed point. */
function* withoutEntry(model: OpenFgaModel): Iterable<ModelProblem> {
  const definitions = new Map(model.type_definitions.map((definition) => [definition.type, definition]));
  const entered = new Set<string>();
  const enters = (type: string, relation: string, rewrite: Rewrite): boolean => {
    if ("union" in rewrite) return rewrite.union.child.some((child) => enters(type, relation, child));
    if ("computedUserset" in rewrite) return entered.has(`${type}#${rewrite.computedUserset.relation}`);
    const definition = definitions.get(type);
    if (definition === undefined) return false;
    if ("this" in rewrite) {
      return restrictionsOf(definition, relation).some(
        (restriction) =>
          restriction.relation === undefined || entered.has(`${restriction.type}#${restriction.relation}`),
      );
    }
    if (!("tupleToUserset" in rewrite)) return partsOf(rewrite).every((part) => enters(type, relation, part));
    const { tupleset, computedUserset } = rewrite.tupleToUserset;
    return restrictionsOf(definition, tupleset.relation).some((target) =>
      entered.has(`${target.type}#${computedUserset.relation}`),
    );
  };

  const relations = model.type_definitions.flatMap(({ type, relations = {} }) =>
    Object.entries(relations).map(([relation, rewrite]) => ({ type, relation, rewrite, key: `${type}#${relation}` })),
  );
  for (let size = -1; size !== entered.size; ) {
    size = entered.size;
    for (const { type, relation, rewrite, key } of relations) {
      if (!entered.has(key) && enters(type, relation, rewrite)) entered.add(key);
    }
  }
  for (const { type, relation, key } of relations) {
    if (entered.has(key)) continue;
    yield { code: "relation_impossible", type, relation, message: `nobody can ever have relation ${relation}` };
  }
}
