// Reads a model: as DSL, as modules, or as JSON. Whatever it was, it comes out as JSON in its normal form, with the lines of
// the DSL for the messages about it.
import { transformer } from "@openfga/syntax-transformer";
import type { ConditionDefinition, OpenFgaModel, Rewrite, TypeDefinition, TypeRestriction } from "./model.ts";
import { ModelInvalidError, type ModelProblem } from "./problems.ts";

/** A model as it is written: in the DSL, as JSON, or as the files of its modules. */
export type ModelInput =
  | { dsl: string }
  | { model: OpenFgaModel }
  | { modules: readonly { name: string; contents: string }[]; schemaVersion?: string };

/** Where a type, a relation or a condition stands in the DSL. */
type Locate = (type: string | undefined, relation?: string) => { file?: string; line?: number };

/** A model that has been read, and what of it could not be. */
export interface ParsedModel {
  model: OpenFgaModel;
  problems: ModelProblem[];
  locate: Locate;
}

/** Rewrites nested deeper than this are refused. */
const deepest = 20;

/** Reads a model. Throws if there is none to speak of; what is merely wrong stands in `problems`. */
export function parseModel(input: ModelInput): ParsedModel {
  if ("model" in input) return { ...normalise(input.model), locate: () => ({}) };
  const { files, json } =
    "dsl" in input ? readDsl(input.dsl) : readModules(input.modules, input.schemaVersion ?? "1.2");
  return { ...normalise(json), locate: locator(files) };
}

interface Source {
  name?: string;
  contents: string;
}

function readDsl(dsl: string): { files: Source[]; json: unknown } {
  return { files: [{ contents: dsl }], json: reading(() => transformer.transformDSLToJSONObject(dsl)) };
}

function readModules(modules: readonly Required<Source>[], version: string): { files: Source[]; json: unknown } {
  const files = modules.map(({ name, contents }) => ({ name, contents }));
  return { files, json: reading(() => transformer.transformModuleFilesToModel(files, version)) };
}

/** The transformer throws one error, or one that holds many; its lines and columns count from zero. */
function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    const errors = (error as { errors?: unknown }).errors;
    throw new ModelInvalidError((Array.isArray(errors) ? errors : [error]).map(syntaxProblem));
  }
}

/** Modules are validated by the transformer before they become one model; its words for that and ours. */
const codes: Readonly<Record<string, ModelProblem["code"]>> = {
  "assignable-relation-must-have-type": "restriction_invalid",
  "condition-not-defined": "condition_unknown",
  "invalid-name": "name_invalid",
  "invalid-relation-on-tupleset": "relation_unknown",
  "invalid-relation-type": "relation_unknown",
  "invalid-type": "type_unknown",
  "missing-definition": "relation_unknown",
  "relation-no-entry-point": "relation_impossible",
  "reserved-relation-keywords": "name_invalid",
  "reserved-type-keywords": "name_invalid",
  "tupleuserset-not-direct": "tupleset_invalid",
  "type-wildcard-relation": "restriction_invalid",
};

function syntaxProblem(error: unknown): ModelProblem {
  const { msg, message, line, column, file, metadata } = error as {
    msg?: string;
    message?: string;
    line?: { start: number };
    column?: { start: number };
    file?: string;
    metadata?: { errorType?: string; type?: string; relation?: string };
  };
  const { errorType = "", type, relation } = metadata ?? {};
  return {
    code: codes[errorType] ?? "syntax",
    message: msg ?? message ?? String(error),
    ...(type === undefined ? {} : { type }),
    ...(relation === undefined ? {} : { relation }),
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line: line.start + 1 }),
    ...(column === undefined ? {} : { column: column.start + 1 }),
  };
}

/** Finds definitions by the lines that begin them, which is how the DSL is laid out. */
function locator(files: readonly Source[]): Locate {
  const places = new Map<string, { file?: string; line: number }>();
  for (const { name, contents } of files) {
    let type = "";
    for (const [index, text] of contents.split("\n").entries()) {
      const [, keyword = "", subject = ""] = /^\s*(type|extend\s+type|define|condition)\s+([^\s:(]+)/.exec(text) ?? [];
      if (keyword === "") continue;
      if (keyword.endsWith("type")) type = subject;
      const key = keyword === "define" ? `${type}#${subject}` : keyword === "condition" ? `#${subject}` : subject;
      if (!places.has(key)) places.set(key, { ...(name === undefined ? {} : { file: name }), line: index + 1 });
    }
  }
  return (type, relation) =>
    places.get(relation === undefined ? `${type}` : `${type ?? ""}#${relation}`) ??
    (type === undefined ? {} : (places.get(type) ?? {}));
}

type Loose = Record<string, unknown>;

const isObject = (value: unknown): value is Loose =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const objectOf = (value: unknown): Loose => (isObject(value) ? value : {});
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** Drops what has no meaning here (ids, modules, sources, empty parts) and names what is no model. */
function normalise(json: unknown): { model: OpenFgaModel; problems: ModelProblem[] } {
  const problems: ModelProblem[] = [];
  if (!isObject(json) || !Array.isArray(json.type_definitions)) {
    throw new ModelInvalidError([
      { code: "syntax", message: "a model is an object with schema_version and a list of type_definitions" },
    ]);
  }

  const conditions = Object.entries(objectOf(json.conditions)).map(
    ([name, condition]) => [name, normalCondition(name, objectOf(condition))] as const,
  );
  const model: OpenFgaModel = {
    schema_version: textOf(json.schema_version),
    type_definitions: json.type_definitions.map((definition) => normalType(objectOf(definition), problems)),
    ...(conditions.length === 0 ? {} : { conditions: Object.fromEntries(conditions) }),
  };
  return { model, problems };
}

function normalType(definition: Loose, problems: ModelProblem[]): TypeDefinition {
  const type = textOf(definition.type);
  const relations = Object.entries(objectOf(definition.relations)).map(([relation, rewrite]) => {
    const wrong = (message: string): void => {
      problems.push({ code: "rewrite_invalid", message, type, relation });
    };
    return [relation, normalRewrite(rewrite, wrong)] as const;
  });
  const restrictions = Object.entries(objectOf(objectOf(definition.metadata).relations))
    .map(([relation, metadata]) => {
      const types = listOf(objectOf(metadata).directly_related_user_types).map((one) =>
        normalRestriction(objectOf(one)),
      );
      return [relation, { directly_related_user_types: types }] as const;
    })
    .filter(([, { directly_related_user_types }]) => directly_related_user_types.length > 0);
  return {
    type,
    ...(relations.length === 0 ? {} : { relations: Object.fromEntries(relations) }),
    ...(restrictions.length === 0 ? {} : { metadata: { relations: Object.fromEntries(restrictions) } }),
  };
}

function normalRestriction(restriction: Loose): TypeRestriction {
  return {
    type: textOf(restriction.type),
    ...(textOf(restriction.relation) === "" ? {} : { relation: textOf(restriction.relation) }),
    ...(isObject(restriction.wildcard) ? { wildcard: {} } : {}),
    ...(textOf(restriction.condition) === "" ? {} : { condition: textOf(restriction.condition) }),
  };
}

function normalRewrite(rewrite: unknown, wrong: (message: string) => void, depth = 0): Rewrite {
  const { this: own, union, intersection, difference, ...rest } = objectOf(rewrite);
  const computed = rest.computedUserset ?? rest.computed_userset;
  const tupleToUserset = rest.tupleToUserset ?? rest.tuple_to_userset;
  const parts = [own, union, intersection, difference, computed, tupleToUserset].filter((part) => part !== undefined);
  if (parts.length !== 1) {
    wrong("a rewrite is one of this, computedUserset, tupleToUserset, union, intersection and difference");
    return { this: {} };
  }
  if (depth > deepest) {
    wrong(`rewrites are nested deeper than ${deepest}`);
    return { this: {} };
  }

  const children = (part: unknown): Rewrite[] =>
    listOf(objectOf(part).child).map((child) => normalRewrite(child, wrong, depth + 1));
  const relationOf = (part: unknown): { relation: string } => ({ relation: textOf(objectOf(part).relation) });
  if (union !== undefined || intersection !== undefined) {
    const child = children(union ?? intersection);
    if (child.length === 0) wrong("a union or intersection has no parts");
    const [only, ...others] = child;
    if (only && others.length === 0) return only;
    return union !== undefined ? { union: { child } } : { intersection: { child } };
  }
  if (difference !== undefined) {
    const { base, subtract } = objectOf(difference);
    return {
      difference: {
        base: normalRewrite(base, wrong, depth + 1),
        subtract: normalRewrite(subtract, wrong, depth + 1),
      },
    };
  }
  if (computed !== undefined) return { computedUserset: relationOf(computed) };
  if (own !== undefined) return { this: {} };
  const { tupleset, computedUserset, computed_userset } = objectOf(tupleToUserset);
  return {
    tupleToUserset: {
      tupleset: relationOf(tupleset),
      computedUserset: relationOf(computedUserset ?? computed_userset),
    },
  };
}

function normalCondition(name: string, condition: Loose): ConditionDefinition {
  const parameters = Object.entries(objectOf(condition.parameters)).map(([parameter, type]) => {
    const { type_name, generic_types } = objectOf(type);
    const generics = listOf(generic_types).map((generic) => ({ type_name: textOf(objectOf(generic).type_name) }));
    return [
      parameter,
      { type_name: textOf(type_name), ...(generics.length === 0 ? {} : { generic_types: generics }) },
    ] as const;
  });
  return {
    name: textOf(condition.name) || name,
    expression: textOf(condition.expression),
    ...(parameters.length === 0 ? {} : { parameters: Object.fromEntries(parameters) }),
  };
}
