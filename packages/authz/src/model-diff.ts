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
function parts(model: OpenFgaModel): Map<string, string> {
  const found = new Map<string, string>();
  let type = "";
  let condition: string | undefined;
  for (const line of transformer.transformJSONStringToDSL(JSON.stringify(model)).split("\n")) {
    const [, kind = "", name = "", text = ""] = /^\s*(type|define|condition) ([^:(\s]+)(.*)$/.exec(line) ?? [];
    if (kind === "type") {
      type = name;
      found.set(`type ${name}`, `type ${name}`);
    } else if (kind === "define") {
      found.set(`${type}#${name}`, text.replace(/^:\s*/, ""));
    } else if (kind === "condition") {
      condition = `condition ${name}`;
      found.set(condition, line.trim());
    } else if (condition && line.trim()) {
      found.set(condition, `${found.get(condition)} ${line.trim()}`);
    }
  }
  return found;
}
