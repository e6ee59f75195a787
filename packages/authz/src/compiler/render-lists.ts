// Lists of unions: the objects that a subject has, those of given objects that it has, and the subjects that have an object.
// Each is one statement over sets (see sets.ts). Objects are found from the subject upward, subjects from the object downward.
// Where conditions may be unknown the statement runs a second time with these let through: what only then appears is unknown.
import type { Kind } from "./analyse.ts";
import { type Context, call, unguarded } from "./context.ts";
import type { Node } from "./graph.ts";
import { inTwoPasses, isAsked, refuseTypes } from "./render-check.ts";
import { type Routine, when } from "./routine.ts";
import {
  byGuards,
  edgeScans,
  grantConditions,
  grantedConditions,
  grantScans,
  guardConditions,
  linkConditions,
  scan,
  type Unknown,
} from "./scan.ts";
import { makeSets, probe, type Sets, stepsDown, stepsUp } from "./sets.ts";
import { block, combine, literal, oneOf, type Select, select, where } from "./sql.ts";

/** Asking for no more ids than this is cheaper one by one. */
const few = 8;

/** The objects of a union. */
export function unionObjects(context: Context, node: Node): Routine {
  return listed(context, node, (unknown) => objectsStatement(context, node, unknown));
}

/** Those of the given objects that the union holds of. */
export function unionFilter(context: Context, node: Node): Routine {
  const { analysis } = context;
  const root = analysis.kindOf(node);
  if (analysis.kindsBelow(node).includes(root)) {
    const routine = listed(context, node, (unknown) => {
      const { sets, ids } = objectsStatement(context, node, unknown);
      return { sets, ids, only: "f.id in (select i.id from unnest(p_resource_ids) i (id))" };
    });
    return oneByOne(context, node, routine);
  }
  const routine = listed(context, node, (unknown) => filterStatement(context, root, unknown));
  return root.edges.length === 0 ? routine : oneByOne(context, node, routine);
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
  return statement(context, node, { sets, ids }, "'*' = any (v_sure)");
}

/** Puts a way for few ids before the statement. */
function oneByOne(context: Context, node: Node, routine: Routine): Routine {
  const each = [
    "return query",
    "select i.id, c.allowed",
    "from (select distinct u.id from unnest(p_resource_ids) u (id)) i",
    block(
      "cross join lateral",
      `select ${call(context, node, "check", { p_resource_id: "i.id" })} as allowed\noffset 0`,
      " c",
    ),
    "where c.allowed is not false;",
    "return;",
  ];
  return { ...routine, body: `${when(`cardinality(p_resource_ids) <= ${few}`, ...each)}\n${routine.body}` };
}

interface Statement {
  sets: Sets | undefined;
  ids: Select[];
  /** A condition on `f.id`. */
  only?: string;
}

function listed(context: Context, node: Node, make: (unknown: Unknown) => Statement): Routine {
  const isCertain = !context.analysis.mayBeUnknown(node);
  return statement(context, node, make(isCertain ? null : "v_lenient"), "");
}

/**
 * Returns what a statement finds.
 *
 * @param isSure when what is found in the second pass is true all the same
 */
function statement(context: Context, node: Node, { sets, ids, only }: Statement, isSure: string): Routine {
  const { analysis } = context;
  const prelude = refuseTypes(analysis.subjectTypes(node), "p_subject_relation is null", "return;");
  const isCertain = !analysis.mayBeUnknown(node);
  const found = combine(
    ids.map((one) => select(one, "id", ids.length === 1 ? "distinct " : "")),
    "union",
  );
  const from = `${block("from", found, " f")}${only === undefined ? "" : `\nwhere ${only}`}`;
  const query = (columns: string): string => {
    const text = `select ${columns}\n${from}`;
    return sets === undefined ? text : sets.statement(text);
  };
  if (isCertain) return { body: [...prelude, `return query\n${query("f.id, true")};`].join("\n") };
  const sure = isSure === "" ? "not v_lenient" : `not v_lenient or ${isSure}`;
  const stages = [
    `v_found := ${block("array", query("f.id"), ";")}`,
    "return query",
    `select w.id, case when ${sure} then true end`,
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
function heldObjects(context: Context, kind: Kind, types: readonly string[], unknown: Unknown): Select[] {
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
function ownUserset(context: Context, { node, names }: Kind, unknown: Unknown, more: readonly string[]): Select[] {
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
function counted({ analysis }: Context, leaf: Node, unknown: Unknown, alias = "l"): string {
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

/** Probes the given ids against the sets of what lies below. */
function filterStatement(context: Context, root: Kind, unknown: Unknown): Statement {
  const { analysis } = context;
  const { node, leaves } = root;
  const types = analysis.subjectTypes(node);
  const isOpaque = (kind: Kind): boolean => kind.leaves[0] === kind.node;
  const below = analysis.kindsBelow(node);
  // What answers for itself is asked about what the ids lead to, and nothing else.
  const inner = below.flatMap((kind) => edgeScans(kind).map(({ target }) => analysis.kindOf(target)));
  const closed = below.filter((kind) => !isOpaque(kind) || inner.includes(kind));
  const sets = makeSets(
    context,
    closed,
    (kind) => heldObjects(context, kind, types, unknown),
    stepsUp(context, closed, unknown),
  );

  // An array in a condition makes one scan of the index, however many ids there are; so all edges are read at once.
  const at = { type: node.type, resourceId: "any (p_resource_ids)", unknown };
  const edges = edgeScans(root);
  if (edges.length > 0) sets.add(linksOf(context, root, at));
  return {
    sets,
    ids: [
      ...grantScans(root).map((grants) => {
        const conditions = ["p_subject_relation is null"];
        if (grants.to !== "subject") {
          conditions.push(...grantedConditions(context, grants, types, at));
          return scan(context, "t.resource_id", conditions);
        }
        // What is granted to one subject is little, so this is read whole.
        conditions.push(...grantedConditions(context, grants, types, { type: node.type, unknown }));
        const granted = `${select(scan(context, "t.resource_id", conditions))}\noffset 0`;
        const given = "join unnest(p_resource_ids) i (id) on i.id = g.resource_id";
        return { id: "g.resource_id", rest: `${block("from", granted, " g")}\n${given}` };
      }),
      ...ownUserset(context, root, unknown, ["p_subject_id = any (p_resource_ids)"]),
      ...leaves.map((leaf) => ({
        id: "l.resource_id",
        rest: `from ${call(context, leaf, "filter")} l${counted(context, leaf, unknown)}`,
      })),
      ...edges.map((edge) => {
        const target = analysis.kindOf(edge.target);
        const conditions = linkConditions(context, edge, at);
        if (closed.includes(target)) {
          const { from, conditions: picked } = sets.read(target, "w");
          const on = ["w.id = t.subject_id", ...picked].join(" and ");
          return { id: "t.resource_id", rest: `from links t\njoin ${from} on ${on}\n${where(conditions)}` };
        }
        const ids = block("array", `select distinct t.subject_id\nfrom links t\n${where(conditions)}`);
        const allowed = call(context, edge.target, "filter", { p_resource_ids: ids });
        const count = counted(context, edge.target, unknown).replace("\nwhere ", "");
        return {
          id: "t.resource_id",
          rest: [
            "from links t",
            `join ${allowed} l on l.resource_id = t.subject_id`,
            where([...conditions, ...(count === "" ? [] : [count])]),
          ].join("\n"),
        };
      }),
    ],
  };
}

/** The tuples of the given objects that lead to others. */
function linksOf(context: Context, { node, edges }: Kind, at: { resourceId: string }): string {
  const unique = (items: string[]): string[] => [...new Set(items)];
  const columns = ["resource_id", "relation", "subject_type", "subject_id", "subject_relation", "condition_name"];
  if (edges.some(({ condition }) => condition !== null)) columns.push("condition_context");
  const links = scan(context, columns.map((column) => `t.${column}`).join(", "), [
    "t.namespace = p_namespace",
    `t.resource_type = ${literal(node.type)}`,
    `t.resource_id = ${at.resourceId}`,
    `t.relation ${oneOf(unique(edges.map(({ relation }) => relation)))}`,
    `t.subject_type ${oneOf(unique(edges.map(({ subjectType }) => subjectType)))}`,
    "t.subject_id <> '*'",
    "(t.expires_at is null or t.expires_at > howdah.now())",
  ]);
  return block("links as materialized", select(links));
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
