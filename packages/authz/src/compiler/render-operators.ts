// Operators above the cycles: what all parts have, and what the base has but not the subtract. Each is composed of its parts'
// functions, the cheapest first. SQL's own AND, OR and NOT know the unknown (null); only where objects below a subtract may lead
// back to themselves a fourth value is needed (see values.ts), because a subtract that loops takes access away.
import { type Context, call, unguarded } from "./context.ts";
import type { Exclusion, Intersection, Node } from "./graph.ts";
import { isAsked, refuseTypes } from "./render-check.ts";
import { type Routine, when } from "./routine.ts";
import { edgeConditions, edgeScans, scan } from "./scan.ts";
import { makeSets, probe, stepsDown } from "./sets.ts";
import { block, combine, indent, literal, select } from "./sql.ts";
import { isNot, valueExpression } from "./values.ts";

type Operator = Intersection | Exclusion;

/** The parts of an intersection, the cheapest first. */
export function cheapestFirst({ analysis }: Context, parts: readonly Node[]): Node[] {
  const cost = (node: Node): number => "DUWBR".indexOf(analysis.classOf(node));
  return [...parts].sort((a, b) => cost(a) - cost(b));
}

/** `if` the asked subject is the userset that the node itself is, it has it. */
function ifAskedItself(node: Node, ...statements: string[]): string[] {
  if (node.relation === null) return [];
  return [when(`${isAsked(node.type, [node.relation])}\n  and p_subject_id = p_resource_id`, ...statements)];
}

/** The check of an operator. */
export function operatorCheck(context: Context, node: Operator): Routine {
  const answer =
    node.kind === "intersection"
      ? cheapestFirst(context, node.parts).map((part) => call(context, part, "check"))
      : [call(context, node.base, "check"), isNot(context, node.subtract)];
  return { body: [...ifAskedItself(node, "return true;"), `return ${answer.join("\n  and ")};`].join("\n") };
}

/** The value of an operator or a union, for those who must tell a cycle from a plain denial. */
export function nodeValue(context: Context, node: Node): Routine {
  if (node.kind === "union") return unionValue(context, node);
  const itself = ifAskedItself(node, "return 3;");
  if (node.kind === "intersection") {
    const values = cheapestFirst(context, node.parts).map((part) => valueExpression(context, part));
    return { body: [...itself, `return least(\n${indent(values.join(",\n"))}\n);`].join("\n") };
  }
  return {
    variables: [`v_base int := ${valueExpression(context, node.base)}`],
    body: [
      ...itself,
      when("v_base <= 1", "return v_base;"),
      `return least(v_base, case ${valueExpression(context, node.subtract)} when 3 then 0 when 0 then 3 when 1 then 1 else 2 end);`,
    ].join("\n"),
  };
}

function unionValue(seen: Context, node: Node): Routine {
  const context = unguarded(seen);
  const { analysis } = context;
  const kinds = [...new Set([analysis.kindOf(node), ...analysis.kindsBelow(node)])];
  const [root] = kinds;
  const isLooping = kinds.some((kind) => analysis.kindsBelow(kind.node).includes(kind));
  const tests = isLooping ? [call(context, node, "loops", { p_resource_ids: "array[p_resource_id]" })] : [];

  const withLeaves = kinds.filter(({ leaves }) => leaves.some((leaf) => analysis.mayLoop(leaf)));
  if (withLeaves.length > 0) {
    const sets = makeSets(
      context,
      kinds,
      (kind) => (kind === root ? [{ id: `p_resource_id collate "C"`, rest: "" }] : []),
      stepsDown(context, kinds, "true"),
    );
    const found = withLeaves.flatMap((kind) =>
      kind.leaves
        .filter((leaf) => analysis.mayLoop(leaf))
        .map((leaf) => {
          const { from, conditions } = sets.read(kind, "w");
          const loops = `${valueExpression(context, leaf, { p_resource_id: "w.id" })} = 1`;
          return `select\nfrom ${from}\nwhere ${[...conditions, loops].join("\n  and ")}`;
        }),
    );
    tests.push(block("exists", sets.statement(combine(found, "union all"))));
  }
  return {
    variables: [`v_is_granted boolean := ${call(context, node, "check")}`],
    body: [
      when("v_is_granted is not false", "return coalesce(v_is_granted::int * 3, 2);"),
      tests.length === 0 ? "return 0;" : `return (${tests.join("\n  or ")})::int;`,
    ].join("\n"),
  };
}

/**
 * Whether objects below the given ones lead back to themselves: gathers the edges that could be part of a cycle, then takes
 * away those that end where no other begins, until none is left or none can be taken away.
 */
export function unionLoops(seen: Context, node: Node): Routine {
  const context = unguarded(seen);
  const { analysis } = context;
  const root = analysis.kindOf(node);
  const isCyclic = (kind: { node: Node }): boolean =>
    analysis.kindsBelow(kind.node).includes(analysis.kindOf(kind.node));
  const kinds = [...new Set([root, ...analysis.kindsBelow(node)])].filter((kind) =>
    [kind, ...analysis.kindsBelow(kind.node)].some(isCyclic),
  );
  const sets = makeSets(
    context,
    kinds,
    (kind) => (kind === root ? [{ id: `i.id collate "C"`, rest: "from unnest(p_resource_ids) i (id)" }] : []),
    stepsDown(context, kinds, "true"),
  );
  const cyclic = kinds.filter(isCyclic);
  const mark = (kind: { node: Node }, id: string): string =>
    cyclic.length === 1 ? id : `${literal(`${kind.node.name}:`)} || ${id}`;
  const edges = cyclic.flatMap((kind) =>
    edgeScans(kind)
      .filter(({ target }) => analysis.kindsBelow(target).includes(kind))
      .map((edge) => {
        const found = scan(
          context,
          "t.subject_id",
          edgeConditions(context, edge, { type: kind.node.type, resourceId: "w.id", unknown: "true" }),
        );
        const ends = `${mark(kind, "w.id")} as source, ${mark(analysis.kindOf(edge.target), "e.id")} as target`;
        return `select ${ends}\n${probe(sets.read(kind, "w"), found)}`;
      }),
  );
  return {
    variables: ["v_sources text[]", "v_targets text[]", "v_count int"],
    body: [
      sets.statement(
        [
          "select array_agg(f.source), array_agg(f.target)",
          "into v_sources, v_targets",
          `${block("from", combine(edges, "union all"), " f")};`,
        ].join("\n"),
      ),
      "while v_sources is not null loop",
      "  v_count := cardinality(v_sources);",
      "  select array_agg(f.source), array_agg(f.target)",
      "  into v_sources, v_targets",
      "  from unnest(v_sources, v_targets) f (source, target)",
      "  where f.target in (select s.source from unnest(v_sources) s (source));",
      "  if cardinality(v_sources) = v_count then",
      "    return true;",
      "  end if;",
      "end loop;",
      "return false;",
    ].join("\n"),
  };
}

/** The objects of an operator: those of one part that the others hold of. */
export function operatorObjects(context: Context, node: Operator): Routine {
  const [first] = node.kind === "intersection" ? cheapestFirst(context, node.parts) : [node.base];
  return narrowed(context, node, call(context, first as Node, "objects"), "");
}

/** Those of the given objects that the operator holds of. */
export function operatorFilter(context: Context, node: Operator): Routine {
  const [first] = node.kind === "intersection" ? cheapestFirst(context, node.parts) : [node.base];
  return narrowed(context, node, call(context, first as Node, "filter"), " and p_subject_id = any (p_resource_ids)");
}

/** Candidates of the first part, narrowed by one part after the other. */
function narrowed(context: Context, node: Operator, candidates: string, isAmong: string): Routine {
  const ids = "array(select c.resource_id from candidates c)";
  const sets = [block("candidates as materialized", `select *\nfrom ${candidates}`)];
  let last = "candidates";
  if (node.kind === "intersection") {
    for (const [index, part] of cheapestFirst(context, node.parts).slice(1).entries()) {
      const name = `narrowed_${index + 1}`;
      const filter = call(context, part, "filter", { p_resource_ids: ids.replace("candidates", last) });
      const inner = `select c.resource_id, c.allowed and f.allowed as allowed\nfrom ${last} c\njoin ${filter} f on f.resource_id = c.resource_id`;
      sets.push(block(`${name} as materialized`, inner));
      last = name;
    }
  } else {
    sets.push(block("narrowed as materialized", subtracted(context, node, ids)));
    last = "narrowed";
  }
  const query = `with ${sets.join(",\n")}\nselect c.resource_id, c.allowed\nfrom ${last} c`;
  if (node.relation === null) return { body: `return query\n${query};` };
  return {
    variables: [`v_own text := case when ${isAsked(node.type, [node.relation])}${isAmong}\n    then p_subject_id end`],
    body: [
      when("v_own is not null", "return query select v_own, true;"),
      `return query\n${query}\nwhere c.resource_id is distinct from v_own;`,
    ].join("\n"),
  };
}

/** Whether a set of objects can be asked at once whether any of them loops. */
const canAskLoops = ({ analysis }: Context, node: Node): boolean =>
  [analysis.unguarded.kindOf(node), ...analysis.unguarded.kindsBelow(node)].every(({ leaves }) => leaves.length === 0);

function subtracted(context: Context, { subtract }: Exclusion, ids: string): string {
  const { analysis } = context;
  const alone = isNot(context, subtract, { p_resource_id: "c.resource_id" });
  if (analysis.mayLoop(subtract) && !canAskLoops(context, subtract)) {
    return `select n.resource_id, n.allowed\n${block(
      "from",
      `select c.resource_id, c.allowed and ${alone} as allowed\nfrom candidates c\noffset 0`,
      " n",
    )}\nwhere n.allowed is not false`;
  }
  const filter = `${call(context, subtract, "filter", { p_resource_ids: ids })} f on f.resource_id = c.resource_id`;
  const plain = "case when f.resource_id is null then c.allowed end";
  if (!analysis.mayLoop(subtract)) {
    return `select c.resource_id, ${plain} as allowed\nfrom candidates c\nleft join ${filter}\nwhere f.allowed is not true`;
  }
  const loops = call(context, subtract, "loops", { p_resource_ids: ids });
  return [
    "select n.resource_id, n.allowed",
    block(
      "from",
      [
        `select c.resource_id, case when l.loops then c.allowed and ${alone}`,
        `  else ${plain} end as allowed`,
        "from candidates c",
        `cross join (select ${loops} as loops) l`,
        `left join ${filter}`,
        "where f.allowed is not true",
        "offset 0",
      ].join("\n"),
      " n",
    ),
    "where n.allowed is not false",
  ].join("\n");
}

/** The subjects of an operator: algebra of the parts' lists, or candidates one by one where a wildcard or a cycle forbids that. */
export function operatorSubjects(context: Context, node: Operator): Routine {
  const { analysis } = context;
  const prelude = refuseTypes(analysis.subjectTypes(node), "p_subject_relation is null", "return;");
  const doubts = analysis.hasWildcard(node) ? ["'*' <> all (v_candidates)"] : [];
  if (node.kind === "exclusion" && analysis.mayLoop(node.subtract)) {
    doubts.push(
      canAskLoops(context, node.subtract)
        ? `not ${call(context, node.subtract, "loops", { p_resource_ids: "array[p_resource_id]" })}`
        : "false",
    );
  }
  const algebra = `return query\n${subjectAlgebra(context, node)}`;
  if (doubts.length === 0) return { body: [...prelude, algebra].join("\n") };

  const candidates = `select s.subject_id\nfrom ${call(context, analysis.relaxed(node), "subjects")} s`;
  const gather = `v_candidates := ${block("array", candidates, ";")}`;
  const whole = doubts.includes("false") ? [] : [when(doubts.join("\n  and "), algebra, "return;")];
  const statements = analysis.hasWildcard(node) ? [gather, ...whole] : [...whole, gather];
  return {
    variables: ["v_candidates text[]"],
    body: [...prelude, ...statements, eachSubject(call(context, node, "check", { p_subject_id: "w.id" }))].join("\n"),
  };
}

/** Asks for each candidate by itself. */
export function eachSubject(answer: string): string {
  return [
    "return query",
    "select w.id, c.allowed",
    "from unnest(v_candidates) w (id)",
    block("cross join lateral", `select ${answer} as allowed\noffset 0`, " c"),
    "where c.allowed is not false;",
  ].join("\n");
}

function subjectAlgebra(context: Context, node: Operator): string {
  const listOf = (part: Node): string => call(context, part, "subjects");
  const lines =
    node.kind === "intersection"
      ? intersected(cheapestFirst(context, node.parts).map(listOf))
      : [
          "select c.subject_id, case when f.subject_id is null then c.allowed end as allowed",
          `from ${listOf(node.base)} c`,
          `left join ${listOf(node.subtract)} f on f.subject_id = c.subject_id`,
          "where f.allowed is not true",
        ];
  if (node.relation === null) return `${lines.join("\n")};`;
  const own = `${isAsked(node.type, [node.relation])}`;
  return [
    select({ id: "s.subject_id, bool_or(s.allowed)", rest: "" }),
    block("from", `${lines.join("\n")}\nunion all\nselect p_resource_id, true\nwhere ${own}`, " s"),
    "group by s.subject_id;",
  ].join("\n");
}

function intersected(lists: readonly string[]): string[] {
  const names = lists.map((_, index) => `s${index + 1}`);
  return [
    `select s1.subject_id, ${names.map((name) => `${name}.allowed`).join(" and ")} as allowed`,
    ...lists.map((list, index) =>
      index === 0 ? `from ${list} s1` : `join ${list} ${names[index]} on ${names[index]}.subject_id = s1.subject_id`,
    ),
  ];
}
