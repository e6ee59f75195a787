// Checks. A union asks in stages, each its own small statement: grants on the resource itself; what is one userset away; then a
// walk over the objects above it, which gathers grants and the usersets that are left; then a closure of the subject's own
// memberships up to these; and at last the nodes that answer for themselves.
import type { Kind } from "./analyse.ts";
import { type Context, call } from "./context.ts";
import { type Node, reachable } from "./graph.ts";
import { type Routine, when } from "./routine.ts";
import {
  commonGuards,
  type EdgeScan,
  edgeConditions,
  edgeScans,
  grantedConditions,
  grantProbes,
  grantScans,
  guardConditions,
  scan,
  type Unknown,
} from "./scan.ts";
import { makeSets, probe, stepsUp } from "./sets.ts";
import { block, combine, indent, literal, noneOf, oneOf, select } from "./sql.ts";

/** `p_subject_type = 'group' and p_subject_relation = 'member'`: whether the asked subject is the userset of one of the names. */
export const isAsked = (type: string, names: readonly string[]): string =>
  `p_subject_type = ${literal(type)} and p_subject_relation ${oneOf(names)}`;

/** Ends the function for subjects of types that can never have the node. */
export function refuseTypes(types: readonly string[], condition: string, answer: string): string[] {
  const isNever = types.length === 0 ? [] : [`p_subject_type ${noneOf(types)}`];
  return [when([condition, ...isNever].filter((part) => part !== "").join(" and ") || "true", answer)];
}

/** Runs the stages, and again with unknown conditions let through: what is found only then is unknown. */
export function inTwoPasses(isCertain: boolean, stages: string, last: string): Routine {
  if (isCertain) return { body: `${stages}\n${last}` };
  return {
    variables: ["v_lenient boolean := false"],
    body: [
      "loop",
      indent(stages),
      "  exit when v_lenient;",
      "  v_lenient := true;",
      "end loop;",
      ...(last === "" ? [] : [last]),
    ].join("\n"),
  };
}

/** The check of a union. */
export function unionCheck(context: Context, node: Node): Routine {
  const { analysis } = context;
  const kind = analysis.kindOf(node);
  const types = analysis.subjectTypes(node);
  const isCertain = !analysis.mayBeUnknown(node);
  const unknown: Unknown = isCertain ? null : "v_lenient";
  const granted = isCertain ? "return true;" : "return case when not v_lenient then true end;";
  const id = "p_resource_id";

  const direct = grantsAt(context, kind, types, id, unknown);
  const edges = edgeScans(kind);
  if (isCertain && edges.length + kind.leaves.length === 0) {
    const answer = direct.length === 0 ? "false" : block("exists", combine(direct, "union all"));
    return {
      body: [...usersetAnswer(context, kind), ...refuseTypes(types, "", "return false;"), `return ${answer};`].join(
        "\n",
      ),
    };
  }

  const stages: string[] = [];
  if (direct.length > 0)
    stages.push("-- Granted on the resource itself.", when(block("exists", combine(direct, "union all")), granted));

  const isPending = ({ subjectRelation, target }: EdgeScan): boolean =>
    subjectRelation !== null && analysis.isClosable(target);
  const isOneHop = (edge: EdgeScan): boolean => isPending(edge) || analysis.classOf(edge.target) === "D";
  const oneHop = edges.filter(isOneHop).flatMap((edge) => memberships(context, kind, edge, types, unknown));
  if (oneHop.length > 0)
    stages.push("-- Granted on what the resource names.", when(block("exists", combine(oneHop, "union all")), granted));

  const walked = edges.filter((edge) => !isOneHop(edge));
  const pending = edges.filter((edge) => isPending(edge) && analysis.classOf(edge.target) !== "D");
  const search = searchAbove(context, kind, { walked, pending, isPending, types, unknown });
  if (search !== undefined) {
    // Guards are dear, so a walk that leaves them out goes first: most denials end there.
    const isGuarded = [kind, ...analysis.kindsBelow(node)].some((one) =>
      [...one.grants, ...one.edges].some(({ guards }) => guards.length > 0),
    );
    if (isGuarded) {
      const denied = `not ${call(context, analysis.relaxed(node), "check")}`;
      stages.push("-- Denied even if nothing were guarded.", when(denied, "return false;"));
    }
    const guards = guardConditions(context, commonGuards(kind), id, unknown);
    const above = search.stages(granted);
    stages.push(...(guards.length === 0 ? above : [when(guards.join("\n  and "), ...above)]));
  }

  const answers = (leaf: Node, leafId: string): string => {
    const answer = call(context, leaf, "check", { p_resource_id: leafId });
    return isCertain || !analysis.mayBeUnknown(leaf) ? answer : `coalesce(${answer}, v_lenient)`;
  };
  if (kind.leaves.length + (search?.leaves.length ?? 0) > 0) stages.push("-- What answers for itself.");
  for (const leaf of kind.leaves) stages.push(when(answers(leaf, id), granted));
  for (const { leaf, variable } of search?.leaves ?? []) {
    const from = `select\nfrom unnest(${variable}) w (id)\nwhere ${answers(leaf, "w.id")}`;
    stages.push(when(`${variable} is not null and ${block("exists", from)}`, granted));
  }

  const passes = inTwoPasses(isCertain, stages.join("\n"), "return false;");
  return {
    variables: [...(passes.variables ?? []), ...(search?.variables ?? [])],
    body: [...usersetAnswer(context, kind), ...refuseTypes(types, "", "return false;"), passes.body].join("\n"),
  };
}

/** A userset as subject is answered from the list of those that have the relation: all on the way, no subject in particular. */
function usersetAnswer(context: Context, { node, names, edges, leaves }: Kind): string[] {
  const answer = (): string => {
    if (context.analysis.isVisited(node)) return `nullif(${call(context, node, "value")}, 2) = 3`;
    if (edges.length + leaves.length > 0) {
      const found = `${call(context, node, "subjects")} s\nwhere s.subject_id = p_subject_id`;
      return context.analysis.mayBeUnknown(node)
        ? `(\n  select case when count(*) = 0 then false when bool_or(s.allowed) then true end\n  from ${indent(found).trimStart()}\n)`
        : block("exists", `select\nfrom ${found}`);
    }
    if (names.length === 0) return "false";
    return `${isAsked(
      node.type,
      names.map(({ name }) => name),
    )}\n  and p_subject_id = p_resource_id`;
  };
  return [when("p_subject_relation is not null", `return ${answer()};`)];
}

/** Selects of nothing that have a row if the asked subject is granted on an object. */
function grantsAt(
  context: Context,
  kind: Kind,
  types: readonly string[],
  resourceId: string,
  unknown: Unknown,
  alias = "t",
): string[] {
  return grantProbes(kind).map((grants) =>
    select(
      scan(
        context,
        "",
        grantedConditions(context, grants, types, { type: kind.node.type, resourceId, alias, unknown }),
        alias,
      ),
    ),
  );
}

/** Selects that have a row if the asked subject is granted on what an edge of the resource leads to. */
function memberships(
  context: Context,
  kind: Kind,
  edge: EdgeScan,
  types: readonly string[],
  unknown: Unknown,
): string[] {
  const target = context.analysis.kindOf(edge.target);
  const at = { type: kind.node.type, resourceId: "p_resource_id", unknown };
  const outer = scan(context, "", edgeConditions(context, edge, at)).rest.split("\nwhere ");
  return grantsAt(context, target, types, "t.subject_id", unknown, "m").map((membership) =>
    ["select", outer[0], block("cross join lateral", `${membership}\noffset 0`, " m"), `where ${outer[1]}`].join("\n"),
  );
}

interface Search {
  variables: string[];
  /** Nodes on objects above that answer for themselves, and the variable that holds these objects. */
  leaves: { leaf: Node; variable: string }[];
  stages(granted: string): string[];
}

interface SearchInput {
  /** The edges that are walked over. */
  walked: EdgeScan[];
  /** The usersets of the resource itself that a closure must meet. */
  pending: EdgeScan[];
  isPending(edge: EdgeScan): boolean;
  types: readonly string[];
  unknown: Unknown;
}

/** The walk and the closure, if there is anything beyond one hop. */
function searchAbove(context: Context, root: Kind, input: SearchInput): Search | undefined {
  const { analysis } = context;
  const { walked, pending, isPending, types, unknown } = input;
  if (walked.length + pending.length === 0) return undefined;

  const onwards = (kind: Kind): EdgeScan[] => edgeScans(kind).filter((edge) => !isPending(edge));
  const above = reachable(
    walked.map(({ target }) => analysis.kindOf(target)),
    (kind) => onwards(kind).map(({ target }) => analysis.kindOf(target)),
  );
  const awaited = distinctTargets(context, [...pending, ...above.flatMap((kind) => edgeScans(kind).filter(isPending))]);
  const leaves = [...new Set(above.flatMap((kind) => kind.leaves))].map((leaf) => ({
    leaf,
    variable: `v_at_${context.nameOf(leaf)}`,
  }));
  const pendingName = (kind: Kind): string => `v_${context.nameOf(kind.node)}`;

  const stages = (granted: string): string[] => {
    const found = above.length === 0 ? [] : [when("v_is_granted", granted)];
    const what =
      above.length === 0 ? "The usersets that are left." : "The objects above: grants, and the usersets that are left.";
    const statements = [`-- ${what}`, gather(), ...found];
    if (awaited.length > 0) statements.push("-- From the subject upward, to one of these.", closure(granted));
    return statements;
  };
  return {
    variables: [
      ...(above.length === 0 ? [] : ["v_is_granted boolean"]),
      ...awaited.map((kind) => `${pendingName(kind)} text[] collate "C"`),
      ...(awaited.length === 0 ? [] : closing().map((kind) => `${heldName(kind)} text[] collate "C"`)),
      ...leaves.map(({ variable }) => `${variable} text[] collate "C"`),
    ],
    leaves,
    stages,
  };

  /** One statement that walks, and gathers what it finds in variables. */
  function gather(): string {
    // Whatever is walked to has passed what guards all of it.
    const at = (kind: Kind, resourceId: string) => ({
      type: kind.node.type,
      resourceId,
      unknown,
      known: commonGuards(kind),
    });
    const subjectsOf = (kind: Kind, edge: EdgeScan, id: string) =>
      scan(context, "t.subject_id", [
        ...edgeConditions(context, edge, at(kind, id)),
        ...guardConditions(context, commonGuards(analysis.kindOf(edge.target)), "t.subject_id", unknown),
      ]);

    if (above.length === 0 && awaited.length === 1) {
      const all = pending.map((edge) => select(subjectsOf(root, edge, "p_resource_id")));
      return `${pendingName(awaited[0] as Kind)} := ${block("array", combine(all, "union all"), ";")}`;
    }

    // Every finding fills one of these columns.
    const columns = [
      ...(above.length === 0 ? [] : ["is_granted"]),
      ...awaited.map((kind) => context.nameOf(kind.node)),
      ...leaves.map(({ leaf }) => `at_${context.nameOf(leaf)}`),
    ];
    const finding = (column: string, value: string, isFirst = false): string =>
      columns
        .map((name) => {
          const empty = name === "is_granted" ? "false" : "null::text";
          const text = name === column ? value : empty;
          return isFirst ? `${text} as ${name}` : text;
        })
        .join(", ");

    const steps = above.flatMap((from) =>
      onwards(from).map((edge) => ({
        from,
        to: analysis.kindOf(edge.target),
        follow: (resourceId: string) => subjectsOf(from, edge, resourceId),
      })),
    );
    const sets = makeSets(
      context,
      above,
      (kind) =>
        walked
          .filter(({ target }) => analysis.kindOf(target) === kind)
          .map((edge) => subjectsOf(root, edge, "p_resource_id")),
      steps,
    );
    const rows = [
      ...pending.map((edge) => ({
        column: context.nameOf(analysis.kindOf(edge.target).node),
        value: "t.subject_id",
        rest: subjectsOf(root, edge, "p_resource_id").rest,
      })),
      ...above.flatMap((kind) => [
        ...grantProbes(kind).map((grants) => ({
          column: "is_granted",
          value: "true",
          rest: probe(
            sets.read(kind, "w"),
            scan(context, "", grantedConditions(context, grants, types, at(kind, "w.id"))),
          ),
        })),
        ...edgeScans(kind)
          .filter(isPending)
          .map((edge) => ({
            column: context.nameOf(analysis.kindOf(edge.target).node),
            value: "e.id",
            rest: probe(sets.read(kind, "w"), subjectsOf(kind, edge, "w.id")),
          })),
        ...kind.leaves.map((leaf) => {
          const { from, conditions } = sets.read(kind, "w");
          const condition = conditions.length === 0 ? "" : `\nwhere ${conditions.join(" and ")}`;
          return { column: `at_${context.nameOf(leaf)}`, value: "w.id", rest: `from ${from}${condition}` };
        }),
      ]),
    ];
    const selects = rows.map(
      ({ column, value, rest }, index) => `select ${finding(column, value, index === 0)}\n${rest}`,
    );
    const results = columns.map((name) =>
      name === "is_granted"
        ? "coalesce(bool_or(f.is_granted), false)"
        : `array_agg(f.${name}) filter (where f.${name} is not null)`,
    );
    const variables = columns.map((name) => `v_${name}`);
    const query = [
      `select ${results.join(",\n  ")}`,
      `into ${variables.join(", ")}`,
      `${block("from", combine(selects, "union all"), " f")};`,
    ];
    return sets.statement(query.join("\n"));
  }

  /** The kinds of which the subject's memberships can lead to what is awaited. */
  function closing(): Kind[] {
    return reachable(awaited, (kind) => edgeScans(kind).map(({ target }) => analysis.kindOf(target)));
  }

  function heldName(kind: Kind): string {
    return `v_held_${context.nameOf(kind.node)}`;
  }

  function closure(granted: string): string {
    const kinds = closing();
    const statements = kinds.map((kind) => {
      const held = grantScans(kind).map((grants) =>
        select(
          scan(context, "t.resource_id", grantedConditions(context, grants, types, { type: kind.node.type, unknown })),
        ),
      );
      return held.length === 0
        ? `${heldName(kind)} := '{}';`
        : `${heldName(kind)} := ${block("array", combine(held, "union all"), ";")}`;
    });
    const overlaps = awaited.map((kind) => `${heldName(kind)} && ${pendingName(kind)}`);
    statements.push(when(overlaps.join(" or "), granted));

    const steps = stepsUp(context, kinds, unknown);
    if (steps.length > 0) {
      const sets = makeSets(
        context,
        kinds,
        (kind) => [{ id: `h.id collate "C"`, rest: `from unnest(${heldName(kind)}) h (id)` }],
        steps,
      );
      const met = awaited.map((kind) => {
        const { from, conditions } = sets.read(kind, "w");
        return `select\nfrom ${from}\nwhere ${[...conditions, `w.id = any (${pendingName(kind)})`].join(" and ")}`;
      });
      const some = kinds.map((kind) => `${heldName(kind)} <> '{}'`).join(" or ");
      statements.push(
        when(
          `${kinds.length > 1 ? `(${some})` : some} and ${block("exists", sets.statement(combine(met, "union all")))}`,
          granted,
        ),
      );
    }
    return when(awaited.map((kind) => `cardinality(${pendingName(kind)}) > 0`).join(" or "), ...statements);
  }
}

function distinctTargets(context: Context, edges: readonly EdgeScan[]): Kind[] {
  return [...new Set(edges.map(({ target }) => context.analysis.kindOf(target)))];
}
