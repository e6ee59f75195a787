// Sets of objects, each named after its node: `with group_member (id) as (...)`. A set that can lead back to itself is a
// recursive one over its ids alone, so it ends on cyclic data and at any depth; where several nodes lead to each other they
// share a set of (node, id).
import type { Kind } from "./analyse.ts";
import { type Context, contextualRows } from "./context.ts";
import { components } from "./graph.ts";
import { edgeConditions, edgeScans, scan, type Unknown } from "./scan.ts";
import { block, combine, indent, literal, type Select, select } from "./sql.ts";

/** From the objects of one kind to those of another. */
export interface Step {
  from: Kind;
  to: Kind;
  /** The ids that follow from one id. */
  follow(id: string): Select;
}

/** Sets as text, and how to read each. */
export interface Sets {
  /** A statement that reads them: `with ...` and the query. */
  statement(query: string): string;
  /** Puts another set behind these. */
  add(text: string): void;
  /** What stands in `from`, with the condition that picks the kind where several share the set. */
  read(kind: Kind, alias: string): { from: string; conditions: string[] };
}

/** Steps from resources to what they name as subjects. */
export function stepsDown(context: Context, kinds: readonly Kind[], unknown: Unknown): Step[] {
  return kinds.flatMap((from) =>
    edgeScans(from).map((edge) => ({
      from,
      to: context.analysis.kindOf(edge.target),
      follow: (resourceId) =>
        scan(context, "t.subject_id", edgeConditions(context, edge, { type: from.node.type, resourceId, unknown })),
    })),
  );
}

/** Steps from subjects to the resources that name them. */
export function stepsUp(context: Context, kinds: readonly Kind[], unknown: Unknown): Step[] {
  return kinds.flatMap((to) =>
    edgeScans(to).map((edge) => ({
      from: context.analysis.kindOf(edge.target),
      to,
      follow: (subjectId) =>
        scan(context, "t.resource_id", edgeConditions(context, edge, { type: to.node.type, subjectId, unknown })),
    })),
  );
}

/** `from w cross join lateral (...) e`: the probes of one set's objects. The fence keeps it a loop of index probes. */
export function probe(
  { from, conditions }: { from: string; conditions: string[] },
  found: Select,
  alias = "e",
): string {
  const lines = [`from ${from}`, block("cross join lateral", `${select(found, "id")}\noffset 0`, ` ${alias}`)];
  return [...lines, ...(conditions.length === 0 ? [] : [`where ${conditions.join(" and ")}`])].join("\n");
}

/**
 * Writes sets for kinds.
 *
 * @param start what is in the set of a kind to begin with
 * @param steps those between the kinds; others are left out
 */
export function makeSets(
  context: Context,
  kinds: readonly Kind[],
  start: (kind: Kind) => Select[],
  steps: readonly Step[],
): Sets {
  const inner = steps.filter(({ from, to }) => kinds.includes(from) && kinds.includes(to));
  const sources = (kind: Kind): Kind[] => inner.filter(({ to }) => to === kind).map(({ from }) => from);
  const groups = components(kinds, sources);
  const groupOf = new Map(groups.flatMap((group) => group.map((kind) => [kind, group] as const)));
  const nameOf = (kind: Kind): string => context.nameOf((groupOf.get(kind)?.[0] ?? kind).node);

  const read: Sets["read"] = (kind, alias) => ({
    from: `${nameOf(kind)} ${alias}`,
    conditions: groupOf.get(kind)?.length === 1 ? [] : [`${alias}.node = ${literal(kind.node.name)}`],
  });

  let isRecursive = false;
  const texts = groups.map((group) => {
    const isShared = group.length > 1;
    const marked = (kind: Kind): string => (isShared ? `${literal(kind.node.name)} as node, ` : "");
    const around = inner.filter(({ from, to }) => group.includes(from) && group.includes(to));
    const entering = inner.filter(({ from, to }) => !group.includes(from) && group.includes(to));
    const starts = [
      ...group.flatMap((kind) => start(kind).map((begin) => ({ kind, begin }))),
      ...entering.map(({ from, to, follow }) => ({
        kind: to,
        begin: { id: "e.id", rest: probe(read(from, "w"), follow("w.id")) },
      })),
    ].map(({ kind, begin }, _, all) =>
      select(begin, "id", (all.length === 1 && around.length === 0 ? "distinct " : "") + marked(kind)),
    );
    const parts = [combine(starts, "union")];
    if (around.length > 0) {
      isRecursive = true;
      const [only, ...others] = around as [Step, ...Step[]];
      if (!isShared && others.length === 0) {
        parts.push(`select e.id\n${probe(read(only.from, "w"), only.follow("w.id"))}`);
      } else {
        const branches = around.map(({ from, to, follow }) => {
          const found = follow("w.id");
          const picked = read(from, "w").conditions.map((condition) => `\n  and ${condition}`);
          return select({ id: found.id, rest: found.rest + picked.join("") }, "id", marked(to));
        });
        const columns = isShared ? "e.node, e.id" : "e.id";
        parts.push(
          `select ${columns}\nfrom ${nameOf(group[0] as Kind)} w\n${block("cross join lateral", combine(branches, "union all"), " e")}`,
        );
      }
    }
    const columns = isShared ? "node, id" : "id";
    return `${nameOf(group[0] as Kind)} (${columns}) as (\n${indent(combine(parts, "union"))}\n)`;
  });

  return {
    read,
    add: (text) => void texts.push(text),
    statement(query) {
      if (texts.length === 0) return query;
      const first = context.isContextual ? [`contextual as materialized (${contextualRows})`] : [];
      const text = `with${isRecursive ? " recursive" : ""} ${[...first, ...texts].join(",\n")}\n${query}`;
      // A function would be run again for every probe.
      return text.replaceAll(` union all ${contextualRows})`, " union all table contextual)");
    },
  };
}
