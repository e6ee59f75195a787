// Relations that are nothing but another one by another name, such as `define can_view: viewer`: whoever is asked as a userset of
// such a name on the same object has it, and all else is the other relation's.
import { type Context, call } from "./context.ts";
import type { Node } from "./graph.ts";
import { isAsked } from "./render-check.ts";
import { type Routine, when } from "./routine.ts";
import { valueExpression } from "./values.ts";

/** Names of one node, itself not among them. */
interface Alias {
  target: Node;
  names: string[];
}

/** What a node is but a name of, if it is. */
export function aliasOf(context: Context, node: Node): Alias | undefined {
  const { analysis } = context;
  const isName = node.kind === "union" && node.grants.length + node.edges.length === 0 && node.same.length === 1;
  if (!isName || analysis.isVisited(node)) return undefined;
  const [other] = node.same as [Node];
  if (!isRelation(context, node) || !isRelation(context, other)) return undefined;
  const { target, names } = aliasOf(context, other) ?? { target: other, names: [] };
  return { target, names: [node.relation as string, ...names] };
}

/** Whether a node is a relation of the model, which has functions of its own in any case. */
const isRelation = ({ analysis }: Context, node: Node): boolean =>
  node.relation !== null && analysis.graph.relations.get(node.type)?.get(node.relation) === node;

/** The check of a name. */
export const aliasCheck = (context: Context, alias: Alias): Routine => ({
  body: `${ifAsked(alias, "return true;")}\nreturn ${call(context, alias.target, "check")};`,
});

/** The value of a name. */
export const aliasValue = (context: Context, alias: Alias): Routine => ({
  body: `${ifAsked(alias, "return 3;")}\nreturn ${valueExpression(context, alias.target)};`,
});

/** The objects, those of the given objects, or the subjects of a name. */
export function aliasList(
  context: Context,
  { target, names }: Alias,
  name: "objects" | "filter" | "subjects",
): Routine {
  const asked = isAsked(target.type, names);
  const own = {
    objects: `case when ${asked} then p_subject_id end`,
    filter: `case when ${asked}\n    and p_subject_id = any (p_resource_ids) then p_subject_id end`,
    subjects: `case when ${asked} then p_resource_id end`,
  }[name];
  const id = name === "subjects" ? "subject_id" : "resource_id";
  return {
    variables: [`v_own text := ${own}`],
    body: [
      when("v_own is not null", "return query select v_own, true;"),
      `return query\nselect a.${id}, a.allowed\nfrom ${call(context, target, name)} a\nwhere a.${id} is distinct from v_own;`,
    ].join("\n"),
  };
}

const ifAsked = ({ target, names }: Alias, statement: string): string =>
  when(`${isAsked(target.type, names)}\n  and p_subject_id = p_resource_id`, statement);
