// Worlds in words, for the reports of failures.
import type { World } from "./arbitrary.ts";
import type { Model, Restriction, Rewrite, Subject, Tuple } from "./model.ts";

const restriction = ({ type, relation, wildcard, condition }: Restriction): string =>
  type + (relation ? `#${relation}` : "") + (wildcard ? ":*" : "") + (condition ? ` with ${condition}` : "");

function rewrite(rule: Rewrite, direct: string): string {
  const nested = (child: Rewrite): string => {
    const text = rewrite(child, direct);
    return "union" in child || "intersection" in child || "difference" in child ? `(${text})` : text;
  };
  if ("this" in rule) return direct;
  if ("computedUserset" in rule) return rule.computedUserset.relation;
  if ("tupleToUserset" in rule) {
    return `${rule.tupleToUserset.computedUserset.relation} from ${rule.tupleToUserset.tupleset.relation}`;
  }
  if ("union" in rule) return rule.union.child.map(nested).join(" or ");
  if ("intersection" in rule) return rule.intersection.child.map(nested).join(" and ");
  return `${nested(rule.difference.base)} but not ${nested(rule.difference.subtract)}`;
}

/** A model in the DSL, where the direct restrictions stand wherever the JSON has `this` (which the DSL itself allows once). */
export const dslOf = (model: Model): string =>
  [
    `model\n  schema ${model.schema_version}`,
    ...model.type_definitions.map(({ type, relations, metadata }) => {
      const lines = Object.entries(relations).map(([name, rule]) => {
        const direct = metadata.relations[name]?.directly_related_user_types ?? [];
        return `    define ${name}: ${rewrite(rule, `[${direct.map(restriction).join(", ")}]`)}`;
      });
      return [`type ${type}`, ...(lines.length > 0 ? ["  relations", ...lines] : [])].join("\n");
    }),
    ...Object.values(model.conditions ?? {}).map(({ name, parameters, expression }) => {
      const typed = Object.entries(parameters).map(([parameter, { type_name, generic_types }]) => {
        const [type, of] = [type_name, generic_types?.[0]?.type_name].map((t) => t?.slice(10).toLowerCase());
        return `${parameter}: ${type}${of === undefined ? "" : `<${of}>`}`;
      });
      return `condition ${name}(${typed.join(", ")}) {\n  ${expression}\n}`;
    }),
  ].join("\n");

/** A subject in text form. */
export const textOf = ({ type, id, relation }: Subject): string =>
  relation === undefined ? `${type}:${id}` : `${type}:${id}#${relation}`;

/** A tuple in text form, with what else is known of it. */
export const tupleText = (tuple: Tuple & { isContextual?: boolean }): string =>
  [
    `${tuple.resource.type}:${tuple.resource.id}#${tuple.relation}@${textOf(tuple.subject)}`,
    tuple.condition ? ` with ${tuple.condition}${tuple.context ? ` ${JSON.stringify(tuple.context)}` : ""}` : "",
    tuple.isExpired ? " (expired)" : "",
    tuple.isContextual ? " (contextual)" : "",
  ].join("");

/** A world: a tuple per line, and the context. */
export const worldText = ({ tuples, context }: World): string =>
  [...tuples.map(tupleText), `context ${JSON.stringify(context)}`].join("\n");
