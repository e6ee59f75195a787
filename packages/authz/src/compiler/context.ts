// What every renderer needs: the analysis, the names of functions, and which of the two variants is being written.
import type { Analysis } from "./analyse.ts";
import type { Node } from "./graph.ts";
import { list } from "./sql.ts";

/** The functions that a node may have. Those below `subjects` are only made where something calls them. */
export type NodeFunction = "check" | "filter" | "objects" | "subjects" | "value" | "visit" | "loops";

/** One variant of a program: over the stored tuples, or over these and the contextual ones. */
export interface Context {
  analysis: Analysis;
  /** `authz_rt.m_0123456789ab_` */
  prefix: string;
  isContextual: boolean;
  /** The numbers of the conditions. */
  conditions: ReadonlyMap<string, number>;
  /** The name that sets of a node's objects have in statements. */
  nameOf(node: Node): string;
  /** Called with every function that another one calls. */
  request(node: Node, name: NodeFunction): void;
}

/** The context in which nothing is guarded, for statements that know no subject or must tell a cycle from a denial. */
export const unguarded = (context: Context): Context => ({
  ...context,
  analysis: { ...context.analysis, ...context.analysis.unguarded },
});

/** The contextual tuples as rows. */
export const contextualRows = "select * from unnest(p_contextual)";

/** What stands in `from` for the tuples. */
export const source = ({ isContextual }: Context): string =>
  isContextual ? `(table authz.tuples union all ${contextualRows})` : "authz.tuples";

/** The name of a function of a node. */
export function functionName(context: Context, node: Node, name: NodeFunction): string {
  return `${context.prefix}r${node.number}_${name}${context.isContextual ? "_x" : ""}`;
}

const asked = ["p_namespace", "p_subject_type", "p_subject_id", "p_subject_relation"];

/** The parameters of each function, as they are declared. */
export const parameters: Record<NodeFunction, readonly string[]> = {
  check: [...asked.map((name) => `${name} text`), "p_resource_id text", "p_context jsonb"],
  value: [...asked.map((name) => `${name} text`), "p_resource_id text", "p_context jsonb"],
  visit: [...asked.map((name) => `${name} text`), "p_resource_id text", "p_context jsonb"],
  filter: [...asked.map((name) => `${name} text`), "p_resource_ids text[]", "p_context jsonb"],
  objects: [...asked.map((name) => `${name} text`), "p_context jsonb"],
  subjects: [
    "p_namespace text",
    "p_resource_id text",
    "p_subject_type text",
    "p_subject_relation text",
    "p_context jsonb",
  ],
  loops: ["p_namespace text", "p_resource_ids text[]", "p_context jsonb"],
};

/** The parameter that contextual variants have at the end. */
export const contextualParameter = "p_contextual authz.tuple[]";

/** A call of a node's function. What is not given is passed on from the caller's own parameters. */
export function call(
  context: Context,
  node: Node,
  name: NodeFunction,
  given: Readonly<Record<string, string>> = {},
  more: readonly string[] = [],
): string {
  context.request(node, name);
  const passed = [...parameters[name], ...(context.isContextual ? [contextualParameter] : [])]
    .map((parameter) => parameter.split(" ")[0] as string)
    .map((parameter) => given[parameter] ?? parameter);
  const values = [...passed, ...more];
  const text = `${functionName(context, node, name)}(${values.join(", ")})`;
  return text.length <= 80 ? text : `${functionName(context, node, name)}(\n${list(values)}\n)`;
}
