// The reference evaluator of models: what an answer must be, said as directly as it can be. It follows every path again and
// again, which only tiny worlds can afford.
import { BlockList, isIP } from "node:net";
import { type CelInput, CelScalar, celMethod, isCelError, run } from "@bufbuild/cel";

/** True, false, unknown, or false because of a cycle. */
export type Value = "T" | "F" | "U" | "C";

export type Rewrite =
  | { this: Record<string, never> }
  | { computedUserset: { relation: string } }
  | { tupleToUserset: { tupleset: { relation: string }; computedUserset: { relation: string } } }
  | { union: { child: Rewrite[] } }
  | { intersection: { child: Rewrite[] } }
  | { difference: { base: Rewrite; subtract: Rewrite } };

export interface Restriction {
  type: string;
  relation?: string;
  wildcard?: Record<string, never>;
  condition?: string;
}

export interface TypeDefinition {
  type: string;
  relations: Record<string, Rewrite>;
  metadata: { relations: Record<string, { directly_related_user_types: Restriction[] }> };
}

interface Parameter {
  type_name: string;
  generic_types?: Parameter[];
}

export interface Condition {
  name: string;
  expression: string;
  parameters: Record<string, Parameter>;
}

/** A model as OpenFGA writes it in JSON. */
export interface Model {
  schema_version: string;
  type_definitions: TypeDefinition[];
  conditions?: Record<string, Condition>;
}

export interface Subject {
  type: string;
  id: string;
  relation?: string | undefined;
}

export interface Entity {
  type: string;
  id: string;
}

export type Context = Record<string, unknown>;

export interface Tuple {
  resource: Entity;
  relation: string;
  subject: Subject;
  condition?: string | undefined;
  context?: Context | undefined;
  isExpired?: boolean | undefined;
}

export interface Options {
  /** Hops over usersets and tuples to usersets beyond which an answer is unknown. */
  maxDepth?: number | undefined;
  /** Nodes after which a check is given up, because worlds that grow by chance can hold too many paths. */
  patience?: number | undefined;
}

/** Thrown by a check that is out of patience. */
export class TooManyPaths extends Error {}

const conjunction = ["F", "C", "U", "T"] as const;
const disjunction = ["T", "U", "C", "F"] as const;

/** False if any is false, else cycle, else unknown. */
const all = (values: Value[]): Value => conjunction.find((value) => values.includes(value)) ?? "T";

/** True if any is true, else unknown, else cycle. */
const any = (values: Value[]): Value => disjunction.find((value) => values.includes(value)) ?? "F";

const exclude = (base: Value, subtract: Value): Value => {
  if (base === "F" || base === "C" || subtract === "F") return base;
  return subtract === "T" ? "F" : subtract;
};

const definitionOf = (model: Model, type: string): TypeDefinition | undefined =>
  model.type_definitions.find((definition) => definition.type === type);

const assigns = (rewrite: Rewrite): boolean => {
  if ("union" in rewrite) return rewrite.union.child.some(assigns);
  if ("intersection" in rewrite) return rewrite.intersection.child.some(assigns);
  if ("difference" in rewrite) return assigns(rewrite.difference.base) || assigns(rewrite.difference.subtract);
  return "this" in rewrite;
};

/** Whether the model lets such a tuple be written; one that it does not is ignored. */
export function permits(model: Model, { resource, relation, subject, condition }: Omit<Tuple, "context">): boolean {
  const definition = definitionOf(model, resource.type);
  const rewrite = definition?.relations[relation];
  if (definition === undefined || rewrite === undefined || !assigns(rewrite)) return false;
  const isWildcard = subject.id === "*";
  return (definition.metadata.relations[relation]?.directly_related_user_types ?? []).some(
    (restriction) =>
      restriction.type === subject.type &&
      restriction.relation === subject.relation &&
      (restriction.wildcard !== undefined) === isWildcard &&
      restriction.condition === condition,
  );
}

/** An answer to every question about one model, its tuples (contextual ones among them) and one context. */
export function evaluator(model: Model, tuples: readonly Tuple[], context: Context = {}, options: Options = {}) {
  const live = tuples.filter((tuple) => !tuple.isExpired && permits(model, tuple));
  const conditions = new Map(live.map((tuple) => [tuple, conditionOf(model, tuple, context)]));
  const { maxDepth = Number.POSITIVE_INFINITY, patience = Number.POSITIVE_INFINITY } = options;

  /** May the subject, as far as one node and what lies below it tell? */
  function check(subject: Subject, relation: string, object: Entity): Value {
    let nodes = 0;
    function node(type: string, id: string, relation: string, path: readonly string[], hops: number): Value {
      if (subject.type === type && subject.id === id && subject.relation === relation) return "T";
      const name = `${type}:${id}#${relation}`;
      if (path.includes(name)) return "C";
      if (hops > maxDepth) return "U";
      if (++nodes > patience) throw new TooManyPaths(name);
      const rewrite = definitionOf(model, type)?.relations[relation];
      if (rewrite === undefined) return "F";
      const here = [...path, name];

      function tuplesOf(relation: string): Tuple[] {
        return live.filter((t) => t.resource.type === type && t.resource.id === id && t.relation === relation);
      }
      function granted({ subject: to }: Tuple): Value {
        if (to.relation !== undefined) return node(to.type, to.id, to.relation, here, hops + 1);
        const isOne = subject.relation === undefined && subject.type === to.type && [subject.id, "*"].includes(to.id);
        return isOne ? "T" : "F";
      }
      function inherited({ subject: parent }: Tuple, relation: string): Value {
        const isThere = definitionOf(model, parent.type)?.relations[relation] !== undefined;
        return isThere ? node(parent.type, parent.id, relation, here, hops + 1) : "F";
      }
      function rewritten(rewrite: Rewrite): Value {
        if ("this" in rewrite) {
          return any(tuplesOf(relation).map((tuple) => all([conditions.get(tuple) ?? "T", granted(tuple)])));
        }
        if ("computedUserset" in rewrite) return node(type, id, rewrite.computedUserset.relation, here, hops);
        if ("tupleToUserset" in rewrite) {
          const { tupleset, computedUserset } = rewrite.tupleToUserset;
          return any(
            tuplesOf(tupleset.relation).map((tuple) =>
              all([conditions.get(tuple) ?? "T", inherited(tuple, computedUserset.relation)]),
            ),
          );
        }
        if ("union" in rewrite) return any(rewrite.union.child.map(rewritten));
        if ("intersection" in rewrite) return all(rewrite.intersection.child.map(rewritten));
        return exclude(rewritten(rewrite.difference.base), rewritten(rewrite.difference.subtract));
      }
      return rewritten(rewrite);
    }
    return node(object.type, object.id, relation, [], 0);
  }
  return { check };
}

/** The value of a tuple's condition, if it has one: stored context wins, and what is missing or of another type is an error. */
function conditionOf(model: Model, tuple: Tuple, context: Context): Value {
  if (tuple.condition === undefined) return "T";
  const condition = model.conditions?.[tuple.condition];
  if (condition === undefined) throw new Error(`The model has no condition ${tuple.condition}`);
  const given = { ...context, ...tuple.context };
  const bound = Object.entries(condition.parameters).flatMap(([name, parameter]) => {
    const value = name in given ? celValue(parameter, given[name]) : undefined;
    return value === undefined ? [] : [[name, value] as const];
  });
  const result = run(condition.expression, Object.fromEntries(bound), { funcs: [inCidr] });
  return result === true ? "T" : result === false ? "F" : "U";
}

/** OpenFGA's own method of addresses, which are texts here. */
const inCidr = celMethod("in_cidr", CelScalar.STRING, [CelScalar.STRING], CelScalar.BOOL, function (cidr) {
  const [network = "", bits] = cidr.split("/");
  const list = new BlockList();
  list.addSubnet(network, Number(bits), isIP(network) === 6 ? "ipv6" : "ipv4");
  return list.check(this, isIP(this) === 6 ? "ipv6" : "ipv4");
});

/** A JSON value as CEL's value of a type, or undefined if it is none. */
function celValue({ type_name, generic_types: [element] = [] }: Parameter, json: unknown): CelInput | undefined {
  switch (type_name) {
    case "TYPE_NAME_BOOL":
      return typeof json === "boolean" ? json : undefined;
    case "TYPE_NAME_STRING":
      return typeof json === "string" ? json : undefined;
    case "TYPE_NAME_IPADDRESS":
      return typeof json === "string" && isIP(json) > 0 ? json : undefined;
    case "TYPE_NAME_INT":
      return Number.isInteger(json) ? BigInt(json as number) : undefined;
    case "TYPE_NAME_DOUBLE":
      return typeof json === "number" ? json : undefined;
    case "TYPE_NAME_TIMESTAMP":
      return typeof json === "string" ? parsed("timestamp(text)", json) : undefined;
    case "TYPE_NAME_DURATION":
      return typeof json === "string" ? parsed("duration(text)", json) : undefined;
    case "TYPE_NAME_LIST": {
      if (!Array.isArray(json) || element === undefined) return undefined;
      const values = json.map((each) => celValue(element, each));
      return values.some((value) => value === undefined) ? undefined : (values as CelInput[]);
    }
    default:
      throw new Error(`The reference evaluator knows no ${type_name}`);
  }
}

function parsed(expression: string, text: string): CelInput | undefined {
  const value = run(expression, { text });
  return isCelError(value) ? undefined : value;
}
