import { transformer } from "@openfga/syntax-transformer";
import type { OpenFgaModel } from "./compiler/model.ts";

/** One difference between two models. */
export interface ModelChange {
  change: "added" | "removed" | "changed";
  /** `type document`, `document#viewer` or `condition in_range`. */
  what: string;
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

/** The parts of a model as its language writes them. */
function parts({ conditions = {}, ...model }: OpenFgaModel): Map<string, string> {
  const found = new Map<string, string>();
  let type = "";
  for (const line of written(model).split("\n")) {
    const [, kind = "", name = "", text = ""] = /^\s*(type|define) ([^:\s]+):?\s*(.*)$/.exec(line) ?? [];
    if (kind === "type") type = name;
    if (kind !== "") found.set(kind === "type" ? `type ${name}` : `${type}#${name}`, text || `type ${name}`);
  }
  // One by one, because their text may look like anything.
  for (const [name, condition] of Object.entries(conditions)) {
    const text = written({ ...model, type_definitions: [], conditions: { [name]: condition } });
    found.set(`condition ${name}`, text.slice(text.indexOf("condition ")).replace(/\s+/g, " ").trim());
  }
  return found;
}

const written = (model: OpenFgaModel): string => transformer.transformJSONStringToDSL(JSON.stringify(model));
