import { transformer } from "@openfga/syntax-transformer";
import { renderCondition } from "./compiler/condition.ts";
import { jsonbText } from "./compiler/hash.ts";
import {
  type ConditionDefinition,
  describeRestriction,
  type OpenFgaModel,
  type Rewrite,
  restrictionsOf,
  type TypeRestriction,
} from "./compiler/model.ts";

/** One difference between two models. */
export interface ModelChange {
  change: "added" | "removed" | "changed";
  /** `type document`, `document#viewer` or `condition in_range`. */
  what: string;
  /** As OpenFGA's language writes it; as JSON what only JSON can say, such as a relation that is granted in two places. */
  before: string | null;
  after: string | null;
}

/** What differs between two models: types, relations and conditions, in the order of their names. */
export function diffModels(before: OpenFgaModel | undefined, after: OpenFgaModel): ModelChange[] {
  const old = before ? parts(before) : new Map<string, string>();
  const now = parts(after);
  return [...new Set([...old.keys(), ...now.keys()])]
    .sort()
    .filter((what) => old.get(what) !== now.get(what))
    .map((what) => ({
      change: old.has(what) ? (now.has(what) ? "changed" : "removed") : "added",
      what,
      before: old.get(what) ?? null,
      after: now.get(what) ?? null,
    }));
}

/** The changes for people: lines of what was, after a minus, and of what is to be, after a plus. */
export function changesText(changes: readonly ModelChange[]): string {
  const lines = changes.flatMap(({ what, before, after }) => {
    const text = (part: string): string => (what.includes("#") ? `${what}: ${part}` : part);
    return [...(before === null ? [] : marked("-", text(before))), ...(after === null ? [] : marked("+", text(after)))];
  });
  return lines.join("\n");
}

const marked = (mark: string, text: string): string[] => text.split("\n").map((line) => `${mark} ${line}`);

/** The parts of a model, each in a text that says all of it. */
function parts({ type_definitions, conditions = {} }: OpenFgaModel): Map<string, string> {
  const types = type_definitions.flatMap((definition) => [
    [`type ${definition.type}`, `type ${definition.type}`] as const,
    ...Object.entries(definition.relations ?? {}).map(
      ([relation, rewrite]) =>
        [`${definition.type}#${relation}`, relationText(rewrite, restrictionsOf(definition, relation))] as const,
    ),
  ]);
  const named = Object.entries(conditions).map(
    ([name, one]) => [`condition ${name}`, conditionText(name, one)] as const,
  );
  return new Map([...types, ...named]);
}

/** A relation as it stands behind `define relation:`. The language has one place for who is granted it: the first. */
function relationText(rewrite: Rewrite, restrictions: TypeRestriction[]): string {
  const metadata = { relations: { r: { directly_related_user_types: restrictions } } };
  const alone = { schema_version: "1.1", type_definitions: [{ type: "t", relations: { r: rewrite }, metadata }] };
  try {
    return transformer.transformJSONStringToDSL(JSON.stringify(alone)).split("define r: ")[1]?.trim() ?? "";
  } catch {
    const granted = restrictions.map(describeRestriction);
    return jsonbText(JSON.parse(JSON.stringify(rewrite), (key, value) => (key === "this" ? granted : value)));
  }
}

function conditionText(name: string, condition: ConditionDefinition): string {
  const parameters = Object.entries(renderCondition(name, condition).parameters).sort();
  const typed = parameters.map(([parameter, type]) => `${parameter}: ${type}`).join(", ");
  return `condition ${name}(${typed}) {\n  ${condition.expression.trim()}\n}`;
}
