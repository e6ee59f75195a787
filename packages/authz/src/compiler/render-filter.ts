// Filters of unions: those of the given objects that the subject has.
//
// Few are asked about one by one. For more, the sets of what lies below are gathered from the subject upward. Then what the
// subject has is listed as long as that is little, because a list is read in one go where every given object must be looked up;
// else the given objects are looked up against the sets. Where a set grows large, as it does for those who may see almost
// everything, it costs more than asking about the objects one by one.
import type { Kind } from "./analyse.ts";
import { type Context, call } from "./context.ts";
import type { Node } from "./graph.ts";
import { refuseTypes } from "./render-check.ts";
import { counted, heldObjects, listed, ownUserset } from "./render-lists.ts";
import { type Routine, when } from "./routine.ts";
import { edgeScans, grantedConditions, grantScans, linkConditions, scan, type Unknown } from "./scan.ts";
import { makeStagedSets, probe, type StagedSets, stepsUp, withSets } from "./sets.ts";
import { block, combine, indent, literal, oneOf, type Select, select, where } from "./sql.ts";

/** So many objects are asked about one by one. */
const few = 8;
/** So many ids of a set are gathered in the time of one check. */
const gathered = 20;
/** So many objects are listed in half the time that it takes to look one up. */
const listedFor = 5;

/** Those of the given objects that the union holds of. */
export function unionFilter(context: Context, node: Node): Routine {
  const { analysis } = context;
  const root = analysis.kindOf(node);
  if (root.edges.length === 0) {
    return listed(context, node, (unknown) => ({ sets: undefined, ids: lookUp(context, root, unknown) }));
  }

  const types = analysis.subjectTypes(node);
  const isCertain = !analysis.mayBeUnknown(node);
  const unknown: Unknown = isCertain ? null : "v_lenient";
  const kinds = gatheredKinds(context, root);
  const sets = makeStagedSets(
    context,
    kinds,
    (kind) => heldObjects(context, kind, types, unknown),
    stepsUp(context, kinds, unknown),
  );
  const find = kinds.includes(root)
    ? `v_found := ${sets.variableOf(root)};`
    : findGiven(context, root, sets, types, unknown);
  const given = "w.id in (select i.id from unnest(p_resource_ids) i (id))";
  const answer = (allowed: string): string =>
    `return query\nselect distinct w.id, ${allowed}\nfrom unnest(v_found) w (id)\nwhere ${given};\nreturn;`;
  const gather = sets.statements("v_most");
  const size = sets.sizes.length === 1 ? sets.sizes[0] : block("greatest", sets.sizes.join(",\n"));

  const whole = isCertain
    ? [...gather, gather.length === 0 ? `${find}\n${answer("true")}` : when(`${size} < v_most`, find, answer("true"))]
    : [
        "loop",
        ...[
          ...gather,
          ...(gather.length === 0 ? [] : [`exit when ${size} >= v_most;`]),
          find,
          when("v_lenient", answer("case when w.id in (select s.id from unnest(v_sure) s (id)) then true end")),
          "v_sure := v_found;",
          "v_lenient := true;",
        ].map((statement) => indent(statement)),
        "end loop;",
      ];
  const oneByOne = [
    "return query",
    "select i.id, c.allowed",
    "from (select distinct u.id from unnest(p_resource_ids) u (id)) i",
    block(
      "cross join lateral",
      `select ${call(context, node, "check", { p_resource_id: "i.id" })} as allowed\noffset 0`,
      " c",
    ),
    "where c.allowed is not false;",
  ];
  return {
    variables: [
      ...(gather.length === 0 ? [] : [`v_most int := ${gathered} * cardinality(p_resource_ids)`]),
      ...sets.declared,
      `v_found text[] collate "C"`,
      ...(isCertain ? [] : [`v_sure text[] collate "C"`, "v_lenient boolean := false"]),
    ],
    body: [
      ...refuseTypes(types, "p_subject_relation is null", "return;"),
      when(`cardinality(p_resource_ids) > ${few}`, ...whole),
      ...oneByOne,
    ].join("\n"),
  };
}

/** The kinds whose sets are gathered: what answers for itself is only asked about what the given objects lead to. */
function gatheredKinds({ analysis }: Context, root: Kind): Kind[] {
  const below = analysis.kindsBelow(root.node);
  const inner = below.flatMap((kind) => edgeScans(kind).map(({ target }) => analysis.kindOf(target)));
  return below.filter((kind) => kind.leaves[0] !== kind.node || inner.includes(kind));
}

/** Lists what the subject has, or looks the given objects up. */
function findGiven(context: Context, root: Kind, sets: StagedSets, types: readonly string[], unknown: Unknown): string {
  const all = (ids: readonly Select[]): string =>
    block(
      "select f.id\nfrom",
      combine(
        ids.map((one) => select(one, "id")),
        "union all",
      ),
      " f",
    );
  const links = linksOf(context, root);
  const looked = withSets(context, [links], false, all(lookUp(context, root, unknown, sets)));
  const lookAll = `v_found := ${block("array", looked, ";")}`;

  const isGuarded = [...root.grants, ...root.edges].some(({ guards }) => guards.length > 0);
  const steps = stepsUp(context, [root], unknown);
  if (isGuarded || root.leaves.length > 0 || steps.some(({ from }) => !sets.has(from))) return lookAll;

  const held = [
    ...heldObjects(context, root, types, unknown),
    ...steps.map(({ from, follow }) => ({ id: "e.id", rest: probe(sets.read(from, "w"), follow("w.id")) })),
  ];
  const most = `${listedFor} * cardinality(p_resource_ids)`;
  const list = withSets(context, [], false, `${all(held)}\nlimit ${most}`);
  return [`v_found := ${block("array", list, ";")}`, when(`cardinality(v_found) >= ${most}`, lookAll)].join("\n");
}

/** Rows of the given objects that the subject has, from the sets of what they lead to. */
function lookUp(context: Context, root: Kind, unknown: Unknown, sets?: StagedSets): Select[] {
  const { analysis } = context;
  const { node, leaves } = root;
  const types = analysis.subjectTypes(node);
  // An array in a condition makes one scan of the index, however many ids there are; so all edges are read at once.
  const at = { type: node.type, resourceId: "any (p_resource_ids)", unknown };
  return [
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
    ...edgeScans(root).map((edge) => {
      const target = analysis.kindOf(edge.target);
      const conditions = linkConditions(context, edge, at);
      if (sets?.has(target)) {
        const { from } = sets.read(target, "w");
        return { id: "t.resource_id", rest: `from links t\njoin ${from} on w.id = t.subject_id\n${where(conditions)}` };
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
  ];
}

/** The tuples of the given objects that lead to others. */
function linksOf(context: Context, { node, edges }: Kind): string {
  const unique = (items: string[]): string[] => [...new Set(items)];
  const columns = ["resource_id", "relation", "subject_type", "subject_id", "subject_relation", "condition_name"];
  if (edges.some(({ condition }) => condition !== null)) columns.push("condition_context");
  const links = scan(context, columns.map((column) => `t.${column}`).join(", "), [
    "t.namespace = p_namespace",
    `t.resource_type = ${literal(node.type)}`,
    "t.resource_id = any (p_resource_ids)",
    `t.relation ${oneOf(unique(edges.map(({ relation }) => relation)))}`,
    `t.subject_type ${oneOf(unique(edges.map(({ subjectType }) => subjectType)))}`,
    "t.subject_id <> '*'",
    "(t.expires_at is null or t.expires_at > howdah.now())",
  ]);
  return block("links as materialized", select(links));
}
