// Lists of unions: the objects that a subject has, and the subjects that have an object.
// Each is one statement over sets (see sets.ts). Objects are found from the subject upward, subjects from the object downward.
// Where conditions may be unknown the statement runs a second time with these let through: what only then appears is unknown.
import type { Kind } from "./analyse.ts";
import { type Context, call, unguarded } from "./context.ts";
import type { Node } from "./graph.ts";
import { inTwoPasses, isAsked, refuseTypes } from "./render-check.ts";
import type { Routine } from "./routine.ts";
import {
  byGuards,
  grantConditions,
  grantedConditions,
  grantScans,
  guardConditions,
  scan,
  type Unknown,
} from "./scan.ts";
import { makeSets, probe, type Sets, stepsDown, stepsUp } from "./sets.ts";
import { block, combine, indent, type Select, select, where } from "./sql.ts";

/** The objects of a union. */
export function unionObjects(context: Context, node: Node): Routine {
  return listed(context, node, (unknown) => objectsStatement(context, node, unknown));
}

/** The subjects of one object. */
export function unionSubjects(seen: Context, node: Node): Routine {
  const context = unguarded(seen);
  const { analysis } = context;
  const isCertain = !analysis.mayBeUnknown(node);
  const unknown: Unknown = isCertain ? null : "v_lenient";
  const root = analysis.kindOf(node);
  const below = analysis.kindsBelow(node);
  const kinds = [...new Set([root, ...below])];

  const isAlone = below.length === 0;
  const sets = isAlone
    ? undefined
    : makeSets(
        context,
        kinds,
        (kind) => (kind === root ? [{ id: `p_resource_id collate "C"`, rest: "" }] : []),
        stepsDown(context, kinds, unknown),
      );
  const ids = kinds.flatMap((kind) => subjectsAt(context, kind, sets, unknown));
  // What is granted to everybody is granted to each of them, but what answers for itself may except some.
  const excepts = kinds.some(({ leaves }) => leaves.some((leaf) => analysis.hasWildcard(leaf)));
  const isOne = excepts ? call(seen, node, "check", { p_subject_id: "w.id" }) : "true";
  return statement(context, node, { sets, ids }, `when '*' = any (v_sure) then ${isOne}`);
}

interface Statement {
  sets: Sets | undefined;
  ids: Select[];
}

/** A list of objects. */
export function listed(context: Context, node: Node, make: (unknown: Unknown) => Statement): Routine {
  const isCertain = !context.analysis.mayBeUnknown(node);
  return statement(context, node, make(isCertain ? null : "v_lenient"));
}

/**
 * Returns what a statement finds.
 *
 * @param otherwise when what is found in the second pass alone is not unknown all the same, and what then: `when ... then ...`
 */
function statement(context: Context, node: Node, { sets, ids }: Statement, otherwise?: string): Routine {
  const { analysis } = context;
  const prelude = refuseTypes(analysis.subjectTypes(node), "p_subject_relation is null", "return;");
  const isCertain = !analysis.mayBeUnknown(node);
  const found = combine(
    ids.map((one) => select(one, "id", ids.length === 1 ? "distinct " : "")),
    "union",
  );
  const query = (columns: string): string => {
    const text = `select ${columns}\n${block("from", found, " f")}`;
    return sets === undefined ? text : sets.statement(text);
  };
  if (isCertain) return { body: [...prelude, `return query\n${query("f.id, true")};`].join("\n") };
  const sure = "when not v_lenient then true";
  const allowed = otherwise === undefined ? `case ${sure} end` : `case\n    ${sure}\n${indent(otherwise, 4)}\n  end`;
  const stages = [
    `v_found := ${block("array", query("f.id"), ";")}`,
    "return query",
    `select w.id, ${allowed}`,
    "from unnest(v_found) w (id)",
    "where w.id not in (select s.id from unnest(v_sure) s (id));",
  ].join("\n");
  const passes = inTwoPasses(false, stages, "");
  return {
    variables: [...(passes.variables ?? []), "v_found text[]", "v_sure text[] := '{}'"],
    body: [...prelude, passes.body.replace("  v_lenient := true;", "  v_lenient := true;\n  v_sure := v_found;")].join(
      "\n",
    ),
  };
}

/** What the asked subject has of a kind by itself: grants, its own userset, and what answers for itself. */
export function heldObjects(context: Context, kind: Kind, types: readonly string[], unknown: Unknown): Select[] {
  const { node, leaves } = kind;
  return [
    ...grantScans(kind).map((grants) => {
      const conditions = grantedConditions(context, grants, types, { type: node.type, unknown });
      return scan(context, "t.resource_id", ["p_subject_relation is null", ...conditions]);
    }),
    ...ownUserset(context, kind, unknown, []),
    ...leaves.map((leaf) => ({
      id: "l.resource_id",
      rest: `from ${call(context, leaf, "objects")} l${counted(context, leaf, unknown)}`,
    })),
  ];
}

/** The asked subject's own object, if it is the userset of one of the kind's relations. */
export function ownUserset(
  context: Context,
  { node, names }: Kind,
  unknown: Unknown,
  more: readonly string[],
): Select[] {
  return byGuards(names).map(({ guards, items }) => {
    const asked = isAsked(
      node.type,
      items.map(({ name }) => name),
    );
    const conditions = [asked, ...more, ...guardConditions(context, guards, "p_subject_id", unknown)];
    return { id: `p_subject_id collate "C"`, rest: where(conditions) };
  });
}

/** Of rows with `allowed`, those that count in this pass. */
export function counted({ analysis }: Context, leaf: Node, unknown: Unknown, alias = "l"): string {
  return unknown === null || !analysis.mayBeUnknown(leaf) ? "" : `\nwhere coalesce(${alias}.allowed, ${unknown})`;
}

function objectsStatement(context: Context, node: Node, unknown: Unknown): Statement {
  const { analysis } = context;
  const types = analysis.subjectTypes(node);
  const root = analysis.kindOf(node);
  const below = analysis.kindsBelow(node);
  const steps = stepsUp(context, [...new Set([root, ...below])], unknown);
  const sets = makeSets(context, below, (kind) => heldObjects(context, kind, types, unknown), steps);
  if (below.includes(root)) {
    const { from, conditions } = sets.read(root, "w");
    const rest = conditions.length === 0 ? `from ${from}` : `from ${from}\nwhere ${conditions.join(" and ")}`;
    return { sets, ids: [{ id: "w.id", rest }] };
  }
  return {
    sets,
    ids: [
      ...heldObjects(context, root, types, unknown),
      ...steps
        .filter(({ to }) => to === root)
        .map(({ from, follow }) => ({ id: "e.id", rest: probe(sets.read(from, "w"), follow("w.id")) })),
    ],
  };
}

/** The subjects that the objects of a kind name. */
function subjectsAt(context: Context, kind: Kind, sets: Sets | undefined, unknown: Unknown): Select[] {
  const { node, leaves } = kind;
  const asked = kind.names.map(({ name }) => name);
  const objects = sets?.read(kind, "w");
  const id = objects === undefined ? "p_resource_id" : "w.id";
  const readable = objects ?? { from: "", conditions: [] };
  const picked = (more: readonly string[]): string => {
    const conditions = [...more, ...readable.conditions];
    return [
      ...(readable.from === "" ? [] : [`from ${readable.from}`]),
      ...(conditions.length === 0 ? [] : [`where ${conditions.join("\n  and ")}`]),
    ].join("\n");
  };
  return [
    ...grantScans(kind).map((grants) => {
      const conditions = grantConditions(context, grants, { type: node.type, resourceId: id, unknown });
      const found = scan(context, "t.subject_id", ["p_subject_relation is null", ...conditions]);
      return objects === undefined ? found : { id: "e.id", rest: probe(objects, found) };
    }),
    ...(asked.length === 0
      ? []
      : [{ id: id === "w.id" ? id : `${id} collate "C"`, rest: picked([isAsked(node.type, asked)]) }]),
    ...leaves.map((leaf) => {
      const subjects = call(context, leaf, "subjects", { p_resource_id: id });
      const from =
        objects === undefined ? `from ${subjects} l` : `from ${objects.from}\ncross join lateral ${subjects} l`;
      const conditions = [
        ...readable.conditions,
        ...(unknown === null || !context.analysis.mayBeUnknown(leaf) ? [] : [`coalesce(l.allowed, ${unknown})`]),
      ];
      return {
        id: "l.subject_id",
        rest: conditions.length === 0 ? from : `${from}\nwhere ${conditions.join("\n  and ")}`,
      };
    }),
  ];
}
