// A program: the functions of all nodes that somebody can ask for, and the entry points that choose among them.
import type { Analysis } from "./analyse.ts";
import { renderCondition } from "./condition.ts";
import { type Context, call, contextualParameter, type NodeFunction } from "./context.ts";
import type { Node } from "./graph.ts";
import { describeRestriction, type OpenFgaModel, reservedTypes, restrictionsOf, type TypeDefinition } from "./model.ts";
import { ModelInvalidError } from "./problems.ts";
import { aliasCheck, aliasList, aliasOf, aliasValue } from "./render-alias.ts";
import { unionCheck } from "./render-check.ts";
import { unionFilter } from "./render-filter.ts";
import { unionObjects, unionSubjects } from "./render-lists.ts";
import {
  nodeValue,
  operatorCheck,
  operatorFilter,
  operatorObjects,
  operatorSubjects,
  unionLoops,
} from "./render-operators.ts";
import {
  recursiveCheck,
  recursiveFilter,
  recursiveObjects,
  recursiveSubjects,
  recursiveValue,
  recursiveVisit,
} from "./render-recursive.ts";
import { createFunction, nodeRoutine, type Routine, when } from "./routine.ts";
import { indent, list, literal } from "./sql.ts";

const entryFunctions = ["check", "filter", "objects", "subjects"] as const;

/** So many characters may a program have. */
const longest = 32_000_000;

/** The script that creates all functions of a program. */
export function renderProgram(
  model: OpenFgaModel,
  analysis: Analysis,
  { name, isStrict }: { name: string; isStrict: boolean },
): string {
  const prefix = `authz_rt.m_${name}_`;
  const conditions = new Map(Object.keys(model.conditions ?? {}).map((condition, index) => [condition, index + 1]));
  const nameOf = setNames();
  const functions = new Map<Node, Map<string, string>>();
  const queue: { context: Context; node: Node; name: NodeFunction }[] = [];
  const contexts = [false, true].map((isContextual): Context => {
    const context: Context = {
      analysis,
      prefix,
      isContextual,
      conditions,
      nameOf,
      request(node, name) {
        const ofNode = functions.get(node) ?? new Map<string, string>();
        functions.set(node, ofNode);
        const key = `${name}${isContextual ? "_x" : ""}`;
        if (ofNode.has(key)) return;
        ofNode.set(key, "");
        queue.push({ context, node, name });
      },
    };
    return context;
  });

  const entries = contexts.flatMap((context) =>
    entryFunctions.map((entry) => entryPoint(context, model, entry, isStrict)),
  );
  let length = 0;
  for (const { context, node, name } of queue) {
    const text = nodeRoutine(context, node, name, routineOf(context, node, name));
    functions.get(node)?.set(`${name}${context.isContextual ? "_x" : ""}`, text);
    length += text.length;
    if (length > longest) throw tooLong(functions);
  }

  const ofNodes = [...functions]
    .sort(([a], [b]) => a.number - b.number)
    .map(([node, texts]) => {
      const [first] = [...texts.keys()];
      const isPublic = texts.has("check");
      const comment = `comment on function ${prefix}r${node.number}_${isPublic ? "check" : first} is ${literal(
        `${node.name}, class ${analysis.classOf(node)}`,
      )};`;
      return [`-- ${node.name}, class ${analysis.classOf(node)}`, ...texts.values(), comment].join("\n\n");
    });

  const rendered = Object.entries(model.conditions ?? {}).map(
    ([condition, definition]) => [condition, renderCondition(condition, definition)] as const,
  );
  const timeZones = [...new Set(rendered.flatMap(([, { timeZones }]) => [...timeZones]))].sort();
  const shared = [
    ...(timeZones.length > 0 ? [`select authz._require_time_zones(${array(timeZones)});`] : []),
    ...rendered.map(([condition, { body }]) =>
      [
        `-- condition ${condition}`,
        "",
        `create function ${prefix}cond_${conditions.get(condition)}(p_stored jsonb, p_context jsonb) returns boolean`,
        "language plpgsql stable parallel safe as $$",
        body.trimEnd(),
        "$$;",
      ].join("\n"),
    ),
    refusal(prefix, model, isStrict),
    refuseUnknown(prefix, model),
  ];
  const header = [
    `-- Program ${name}, compiled from a model. It is named by its content, so it is never edited.`,
    "-- An answer that is null is unknown. A value is 3 true, 2 unknown, 1 false for a cycle, 0 false.",
  ].join("\n");
  const script = [header, ...shared, ...ofNodes, ...entries].join("\n\n");
  return `${script}\n\n${revoke(script)}\n`;
}

/** A model of long ways between many types, each of which is written out. */
function tooLong(functions: ReadonlyMap<Node, ReadonlyMap<string, string>>): ModelInvalidError {
  const [longestNode] = [...functions]
    .map(([{ type, relation }, texts]) => ({ type, relation, length: [...texts.values()].join("").length }))
    .sort((a, b) => b.length - a.length);
  return new ModelInvalidError([
    {
      code: "limit_exceeded",
      message: `the model compiles to more than ${longest / 1_000_000} MB of SQL, most of it for relations like this one, from which many others are reached`,
      ...(longestNode && { type: longestNode.type }),
      ...(longestNode?.relation && { relation: longestNode.relation }),
    },
  ]);
}

/** The functions of a node, by its class. */
function routineOf(context: Context, node: Node, name: NodeFunction): Routine {
  if (context.analysis.classOf(node) === "R") {
    const routines: Partial<Record<NodeFunction, typeof recursiveCheck>> = {
      check: recursiveCheck,
      value: recursiveValue,
      visit: recursiveVisit,
      filter: recursiveFilter,
      objects: recursiveObjects,
      subjects: recursiveSubjects,
    };
    const make = routines[name];
    if (make === undefined) throw new Error(`${node.name} has no function ${name}`);
    return make(context, node);
  }
  if (context.analysis.isVisited(node)) {
    if (name === "value") return recursiveValue(context, node);
    if (name === "visit") return recursiveVisit(context, node);
    if (name === "subjects") return recursiveSubjects(context, node);
  }
  const alias = aliasOf(context, node);
  if (alias !== undefined) {
    if (name === "check") return aliasCheck(context, alias);
    if (name === "value") return aliasValue(context, alias);
    if (name === "objects" || name === "filter" || name === "subjects") return aliasList(context, alias, name);
  }
  if (name === "value") return nodeValue(context, node);
  if (node.kind === "union" || context.analysis.isVisited(node)) {
    if (name === "check") return unionCheck(context, node);
    if (name === "filter") return unionFilter(context, node);
    if (name === "objects") return unionObjects(context, node);
    if (name === "subjects") return unionSubjects(context, node);
    if (name === "loops") return unionLoops(context, node);
  } else {
    if (name === "check") return operatorCheck(context, node);
    if (name === "filter") return operatorFilter(context, node);
    if (name === "objects") return operatorObjects(context, node);
    if (name === "subjects") return operatorSubjects(context, node);
  }
  throw new Error(`${node.name} has no function ${name}`);
}

/** Names for sets in statements: a node's own name where that is a good identifier, else its number. */
function setNames(): (node: Node) => string {
  const names = new Map<Node, string>();
  const taken = new Set<string>();
  return (node) => {
    let name = names.get(node);
    if (name === undefined) {
      name = node.name.replace(/[^a-z0-9]+/g, "_");
      // `at_`, `held_` and `is_granted` are the renderers' own; the others begin words of SQL.
      if (taken.has(name) || name.length > 50 || /^(at|held|is|current|session|system|p)_/.test(name)) {
        name = `n${node.number}`;
      }
      taken.add(name);
      names.set(node, name);
    }
    return name;
  };
}

type Entry = (typeof entryFunctions)[number];

const askedNames = [
  "p_namespace",
  "p_subject_type",
  "p_subject_id",
  "p_subject_relation",
  "p_relation",
  "p_resource_type",
];
const entryNames: Record<Entry, string[]> = {
  check: [...askedNames, "p_resource_id"],
  filter: [...askedNames, "p_resource_ids"],
  objects: askedNames,
  subjects: ["p_namespace", "p_resource_type", "p_resource_id", "p_relation", "p_subject_type", "p_subject_relation"],
};

/** An entry point: chooses by type, then by relation. */
function entryPoint(context: Context, model: OpenFgaModel, entry: Entry, isStrict: boolean): string {
  const { prefix, isContextual, analysis } = context;
  const names = entryNames[entry];
  const column = entry === "subjects" ? "subject_id" : "resource_id";
  const answer = (expression: string): string =>
    entry === "check" ? `return ${expression};` : `return query select * from ${expression};\nreturn;`;
  const passed = list([...names, ...(isContextual ? ["p_contextual"] : [])]);
  const dynamic =
    entry === "check"
      ? `return authz._dynamic_check(\n${passed}\n);`
      : `return query select d.${column}, true from authz._dynamic_${entry}(\n${passed}\n) d;\nreturn;`;

  const types = model.type_definitions.map(({ type }) => type);
  const branches = [...analysis.graph.relations]
    .filter(([, relations]) => relations.size > 0)
    .map(([type, relations]) => {
      const inner = [...relations].map(
        ([relation, node], index) =>
          `${index === 0 ? "if" : "elsif"} p_relation = ${literal(relation)} then\n${indent(answer(call(context, node, entry)))}`,
      );
      return `p_resource_type = ${literal(type)} then\n${indent([...inner, "end if;"].join("\n"))}`;
    });
  const chosen = branches.map((branch, index) => `${index === 0 ? "if" : "elsif"} ${branch}`);
  return createFunction(
    `${prefix}${entry}${isContextual ? "_x" : ""}`,
    [
      ...names.map((name) => `${name} ${name === "p_resource_ids" ? "text[]" : "text"}`),
      "p_context jsonb",
      ...(isContextual ? [contextualParameter] : []),
    ],
    entry === "check" ? "returns boolean" : `returns table (${column} text, allowed boolean)`,
    {
      body: [
        when(
          isStrict
            ? `p_resource_type in (${reservedTypes.map(literal).join(", ")})`
            : `p_resource_type <> all (${array(types)})`,
          dynamic,
        ),
        ...(isStrict
          ? [
              when(
                `p_subject_type <> all (${array(types)}) or p_subject_relation is not null`,
                `perform ${prefix}refuse_unknown(\n  'subject_type', p_subject_type, p_subject_relation\n);`,
              ),
            ]
          : []),
        ...(chosen.length === 0 ? [] : [...chosen, "end if;"]),
        `perform ${prefix}refuse_unknown('resource_type', p_resource_type, p_relation);`,
        ...(entry === "check" ? ["return false;"] : []),
      ].join("\n"),
    },
  );
}

/** Names of relations as the text of an array. */
const array = (values: readonly string[]): string => literal(`{${values.map((value) => `"${value}"`).join(",")}}`);

/** `case p_type when ... then ... end`, with something for each type. */
const byType = (model: OpenFgaModel, of: (definition: TypeDefinition) => string[]): string[] =>
  model.type_definitions.map((definition) => `when ${literal(definition.type)} then ${array(of(definition))}`);

function refuseUnknown(prefix: string, model: OpenFgaModel): string {
  const relations = byType(model, ({ relations = {} }) => Object.keys(relations));
  return createFunction(`${prefix}refuse_unknown`, ["p_field text", "p_type text", "p_relation text"], "returns void", {
    variables: [`v_relations text[] := case p_type\n${indent(relations.join("\n"))}\n  end`],
    body: [
      when(`p_type in (${reservedTypes.map(literal).join(", ")})`, "return;"),
      when("v_relations is null", "perform authz._fail_unknown(p_field, p_type);"),
      when(
        "p_relation is not null and p_relation <> all (v_relations)",
        "perform authz._fail_unknown(p_field, p_type, p_relation);",
      ),
    ].join("\n"),
  });
}

function refusal(prefix: string, model: OpenFgaModel, isStrict: boolean): string {
  const relations = byType(model, ({ relations = {} }) => Object.keys(relations));
  const forms = byType(model, (definition) =>
    Object.keys(definition.relations ?? {}).flatMap((relation) =>
      restrictionsOf(definition, relation).map((restriction) => `${relation}@${describeRestriction(restriction)}`),
    ),
  );
  return createFunction(
    `${prefix}refusal`,
    ["p_resource_type", "p_relation", "p_subject_type", "p_subject_id", "p_subject_relation", "p_condition"].map(
      (name) => `${name} text`,
    ),
    "returns text",
    {
      variables: [
        `v_relations text[] := case p_resource_type\n${indent(relations.join("\n"))}\n  end`,
        `v_forms text[] := case p_resource_type\n${indent(forms.join("\n"))}\n  end`,
      ],
      body: [
        ...(isStrict ? [when(`p_resource_type in (${reservedTypes.map(literal).join(", ")})`, "return null;")] : []),
        when("v_relations is null", isStrict ? "return 'type_unknown';" : "return null;"),
        when("p_relation <> all (v_relations)", "return 'relation_unknown';"),
        when(
          `p_condition is not null and p_condition <> all (${array(Object.keys(model.conditions ?? {}))})`,
          "return 'condition_unknown';",
        ),
        when(
          "concat(p_relation, '@', p_subject_type, case when p_subject_id = '*' then ':*' end,\n  '#' || p_subject_relation, ' with ' || p_condition) = any (v_forms)",
          "return null;",
        ),
        "return 'tuple_invalid';",
      ].join("\n"),
    },
  );
}

/** Functions are everybody's when they are made; only the module's own functions may call these. */
function revoke(script: string): string {
  const names = [...script.matchAll(/^create function ([^(]+)\(/gm)].map((match) => match[1] as string);
  return `revoke all on function\n${list(names)}\nfrom public;`;
}
