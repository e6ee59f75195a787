// Nodes in a cycle with an operator, or of a model with a limit of depth: all that class R has, and for a walk that is guarded
// what it cannot answer while it walks. Each object is visited by itself, with the way that led to
// it: an object on its own way is a cycle (1), and beyond the limit, or when too many were visited, the value is unknown (2).
// What is found true (3) or false (0) does not depend on the way, so it is kept for later visits that are no deeper.
import { type Context, call } from "./context.ts";
import type { Node, Union } from "./graph.ts";
import { isAsked, refuseTypes } from "./render-check.ts";
import { cheapestFirst, eachSubject } from "./render-operators.ts";
import { type Routine, when } from "./routine.ts";
import { certainty, type EdgeScan, edgeConditions, edgeScans, grantedConditions, grantScans, scan } from "./scan.ts";
import { block, indent, literal, select } from "./sql.ts";
import { checkedValue, valueExpression } from "./values.ts";

/** Visits nested deeper than this are unknown, unless the model sets its own limit. */
const deepest = 50;
/** So many visits may one question take. */
const visits = 10_000;

/** The check of a node of class R: a visit, unless the relaxed node, which takes one walk without a limit, denies already. */
export function recursiveCheck(context: Context, node: Node): Routine {
  const { analysis } = context;
  const shortcuts =
    analysis.maxDepth === undefined
      ? [
          ...refuseTypes(analysis.subjectTypes(node), "p_subject_relation is null", "return false;"),
          when(`not ${call(context, analysis.relaxed(node), "check")}`, "return false;"),
        ]
      : [];
  return { body: [...shortcuts, `return nullif(${call(context, node, "value")}, 2) = 3;`].join("\n") };
}

/** The value of a node of class R, from the beginning of a way. */
export function recursiveValue(context: Context, node: Node): Routine {
  const visit = call(context, node, "visit", {}, ["'{}'", "0", "'{}'", `${visits}`]);
  return { body: `return (select v.value from ${visit} v);` };
}

/** The objects, from those of the relaxed node. */
export const recursiveObjects = (context: Context, node: Node): Routine =>
  eachObject(context, node, call(context, context.analysis.relaxed(node), "objects"));

/** Those of the given objects, from those that the relaxed node lets through; it knows of no limit of depth. */
export function recursiveFilter(context: Context, node: Node): Routine {
  const { maxDepth, relaxed } = context.analysis;
  const given = "(select distinct i.id as resource_id from unnest(p_resource_ids) i (id))";
  return eachObject(context, node, maxDepth === undefined ? call(context, relaxed(node), "filter") : given);
}

/** The subjects, from those of the relaxed node. */
export function recursiveSubjects(context: Context, node: Node): Routine {
  const candidates = `select s.subject_id\nfrom ${call(context, context.analysis.relaxed(node), "subjects")} s`;
  // A walk has no limit of depth, so it decides where a visit gives up.
  const given = { p_subject_id: "w.id" };
  const visited = `nullif(${call(context, node, "value", given)}, 2) = 3`;
  const isWalk = context.analysis.classOf(node) !== "R";
  const answer = isWalk ? `coalesce(${visited}, ${call(context, node, "check", given)})` : visited;
  return {
    variables: ["v_candidates text[]"],
    body: `v_candidates := ${block("array", candidates, ";")}\n${eachSubject(answer)}`,
  };
}

function eachObject(context: Context, node: Node, candidates: string): Routine {
  const value = call(context, node, "value", { p_resource_id: "w.resource_id" });
  return {
    body: [
      "return query",
      "select w.resource_id, c.allowed",
      `from ${candidates} w`,
      block("cross join lateral", `select nullif(${value}, 2) = 3 as allowed\noffset 0`, " c"),
      "where c.allowed is not false;",
    ].join("\n"),
  };
}

/** One visit. */
export function recursiveVisit(context: Context, node: Node): Routine {
  const statements = node.kind === "union" ? unionVisit(context, node) : operatorVisit(context, node);
  const variables = ["v_child int", ...(node.kind === "union" ? ["v_id text", "v_certainty int"] : [])];
  const visiting = ["<<visit>>", "begin", indent(statements.join("\n")), "end visit;"].join("\n");
  if (node.relation === null) return { variables: ["v_path text[] := p_path", ...variables], body: visiting };

  const { maxDepth } = context.analysis;
  return {
    variables: [
      `v_node text := ${literal(`${node.name}:`)} || p_resource_id`,
      "v_path text[] := p_path || v_node",
      "v_known jsonb := p_seen -> v_node",
      ...variables,
    ],
    body: [
      when(`${isAsked(node.type, [node.relation])}\n  and p_subject_id = p_resource_id`, "value := 3;", "return;"),
      when("v_node = any (p_path)", "value := 1;", "return;"),
      when("p_depth <= (v_known ->> 1)::int", "value := v_known ->> 0;", "return;"),
      when(`p_depth > ${maxDepth ?? deepest} or p_left <= 0`, "value := 2;", "return;"),
      "p_left := p_left - 1;",
      visiting,
      when("value in (0, 3)", "p_seen := p_seen || jsonb_build_object(v_node, jsonb_build_array(value, p_depth));"),
    ].join("\n"),
  };
}

function operatorVisit(context: Context, node: Exclude<Node, Union>): string[] {
  const child = (part: Node): string => visitChild(context, node, part, "p_resource_id", "p_depth");
  if (node.kind === "intersection") {
    return [
      "value := 3;",
      ...cheapestFirst(context, node.parts).flatMap((part) => [
        child(part),
        "value := least(value, v_child);",
        "exit visit when value = 0;",
      ]),
    ];
  }
  return [
    child(node.base),
    "value := v_child;",
    "exit visit when value <= 1;",
    child(node.subtract),
    "value := least(value, case v_child when 3 then 0 when 0 then 3 else v_child end);",
  ];
}

/** Grants first, then what has functions of its own, then what is visited in turn. */
function unionVisit(context: Context, node: Union): string[] {
  const { analysis } = context;
  const own = {
    node,
    names: [],
    grants: node.grants.map((grant) => ({ ...grant, guards: [] })),
    edges: node.edges.map((edge) => ({ ...edge, guards: [] })),
    leaves: [],
  };
  const statements = ["value := 0;"];
  const types = analysis.subjectTypes(node);
  for (const grants of grantScans(own)) {
    const at = { type: node.type, resourceId: "p_resource_id", unknown: null };
    const conditions = ["p_subject_relation is null", ...grantedConditions(context, grants, ["", ...types], at)];
    const sure = certainty(context, grants.grants);
    if (sure === "3") {
      const found = block("exists", select(scan(context, "", conditions)));
      statements.push(when(found, "value := 3;", "exit visit;"));
    } else {
      const found = indent(select(scan(context, `max(${sure})`, conditions)));
      statements.push(`value := greatest(value, (\n${found}\n));`, "exit visit when value = 3;");
    }
  }

  const isTogether = (other: Node): boolean => analysis.areEvaluatedTogether(node, other);
  const same = (other: Node): string[] => [
    visitChild(context, node, other, "p_resource_id", "p_depth"),
    "value := greatest(value, v_child);",
    "exit visit when value = 3;",
  ];
  const hop = (edge: EdgeScan): string => {
    const at = { type: node.type, resourceId: "p_resource_id", unknown: null };
    const found = scan(context, "t.subject_id", edgeConditions(context, edge, at));
    const rows = select({ ...found, id: `${found.id}, ${certainty(context, edge.edges)}` });
    return [
      "for v_id, v_certainty in",
      indent(rows),
      "loop",
      indent(visitChild(context, node, edge.target, "v_id", "p_depth + 1")),
      "  value := greatest(value, least(v_certainty, v_child));",
      "  exit visit when value = 3;",
      "end loop;",
    ].join("\n");
  };
  for (const together of [false, true]) {
    for (const other of node.same) if (isTogether(other) === together) statements.push(...same(other));
    for (const edge of edgeScans(own)) if (isTogether(edge.target) === together) statements.push(hop(edge));
  }
  return statements;
}

/** Puts the value of another node into `v_child`. */
function visitChild(context: Context, node: Node, child: Node, id: string, depth: string): string {
  const { analysis } = context;
  if (analysis.areEvaluatedTogether(node, child)) {
    const visit = call(context, child, "visit", { p_resource_id: id }, ["v_path", depth, "p_seen", "p_left"]);
    return `select v.p_seen, v.p_left, v.value into p_seen, p_left, v_child\nfrom ${visit} v;`;
  }
  const isExact = analysis.isSubtracted(node) || (node.kind === "exclusion" && node.subtract === child);
  const value = (isExact ? valueExpression : checkedValue)(context, child, { p_resource_id: id });
  if (analysis.maxDepth === undefined || depth === "p_depth") return `v_child := ${value};`;
  const itself =
    child.relation === null ? "" : `\n  or ${isAsked(child.type, [child.relation])} and p_subject_id = ${id}`;
  return `v_child := case when p_depth < ${analysis.maxDepth}${itself}\n  then ${value} else 2 end;`;
}
