// Sets of objects, each named after its node: `with group_member (id) as (...)`. A set that can lead back to itself is a
// recursive one over its ids alone, so it ends on cyclic data and at any depth; where several nodes lead to each other they
// share a set of (node, id). A filter keeps sets in variables instead, filled one after the other.
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
  read(kind: Kind, alias: string): Readable;
}

/** Sets in variables, such as `v_group_member`. */
export interface StagedSets {
  /** Declarations of the variables. */
  declared: string[];
  variableOf(kind: Kind): string;
  has(kind: Kind): boolean;
  /** How many ids there are in each set. */
  sizes: string[];
  /** A statement for each set, or several that share one; none puts more than so many ids in a variable. */
  statements(most: string): string[];
  /** What stands in `from`. */
  read(kind: Kind, alias: string): Readable;
}

/** What stands in `from`, with the condition that picks the kind where several share a set. */
interface Readable {
  from: string;
  conditions: string[];
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
  const { groups, inner } = groupsOf(kinds, steps);
  const read: Sets["read"] = (kind, alias) => {
    const group = groups.find((each) => each.includes(kind)) ?? [kind];
    return {
      from: `${nameOf(context, group)} ${alias}`,
      conditions: group.length === 1 ? [] : [`${alias}.node = ${literal(kind.node.name)}`],
    };
  };
  const written = groups.map((group) => writeSet(context, group, start, inner, read));
  const texts = written.map(({ text }) => text);
  const isRecursive = written.some((set) => set.isRecursive);
  return {
    read,
    statement: (query) => (texts.length === 0 ? query : withSets(context, texts, isRecursive, query)),
  };
}

/** Writes sets for kinds, each into a variable. */
export function makeStagedSets(
  context: Context,
  kinds: readonly Kind[],
  start: (kind: Kind) => Select[],
  steps: readonly Step[],
): StagedSets {
  const { groups, inner } = groupsOf(kinds, steps);
  const variableOf = (kind: Kind): string => `v_${context.nameOf(kind.node)}`;
  const read: StagedSets["read"] = (kind, alias) => ({
    from: `unnest(${variableOf(kind)}) ${alias} (id)`,
    conditions: [],
  });
  return {
    declared: kinds.map((kind) => `${variableOf(kind)} text[] collate "C"`),
    variableOf,
    has: (kind) => kinds.includes(kind),
    sizes: groups.map((group) => group.map((kind) => `cardinality(${variableOf(kind)})`).join(" + ")),
    read,
    statements: (most) =>
      groups.map((group) => {
        const { text, isRecursive } = writeSet(context, group, start, inner, read);
        const name = nameOf(context, group);
        const [only, ...others] = group as [Kind, ...Kind[]];
        if (others.length === 0) {
          const query = withSets(context, [text], isRecursive, `select w.id\nfrom ${name} w\nlimit ${most}`);
          return `${variableOf(only)} := ${block("array", query, ";")}`;
        }
        const columns = group.map(
          (kind) => `array(select w.id from found w where w.node = ${literal(kind.node.name)})`,
        );
        const found = `found as materialized (select w.node, w.id from ${name} w limit ${most})`;
        const query = `select ${columns.join(",\n  ")}\ninto ${group.map(variableOf).join(", ")};`;
        return withSets(context, [text, found], isRecursive, query);
      }),
  };
}

/** The kinds in groups that lead to each other, each after what it is made from, and the steps between any of them. */
function groupsOf(kinds: readonly Kind[], steps: readonly Step[]): { groups: Kind[][]; inner: Step[] } {
  const inner = steps.filter(({ from, to }) => kinds.includes(from) && kinds.includes(to));
  return { groups: components(kinds, (kind) => inner.filter(({ to }) => to === kind).map(({ from }) => from)), inner };
}

const nameOf = (context: Context, [first]: readonly Kind[]): string => context.nameOf((first as Kind).node);

/** The set of a group. */
function writeSet(
  context: Context,
  group: readonly Kind[],
  start: (kind: Kind) => Select[],
  steps: readonly Step[],
  read: (kind: Kind, alias: string) => Readable,
): { text: string; isRecursive: boolean } {
  const isShared = group.length > 1;
  const name = nameOf(context, group);
  const marked = (kind: Kind): string => (isShared ? `${literal(kind.node.name)} as node, ` : "");
  const around = steps.filter(({ from, to }) => group.includes(from) && group.includes(to));
  const entering = steps.filter(({ from, to }) => !group.includes(from) && group.includes(to));
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
    const [only, ...others] = around as [Step, ...Step[]];
    if (!isShared && others.length === 0) {
      parts.push(`select e.id\n${probe({ from: `${name} w`, conditions: [] }, only.follow("w.id"))}`);
    } else {
      const branches = around.map(({ from, to, follow }) => {
        const found = follow("w.id");
        const picked = isShared ? `\n  and w.node = ${literal(from.node.name)}` : "";
        return select({ id: found.id, rest: found.rest + picked }, "id", marked(to));
      });
      const columns = isShared ? "e.node, e.id" : "e.id";
      parts.push(
        `select ${columns}\nfrom ${name} w\n${block("cross join lateral", combine(branches, "union all"), " e")}`,
      );
    }
  }
  const columns = isShared ? "node, id" : "id";
  return { text: `${name} (${columns}) as (\n${indent(combine(parts, "union"))}\n)`, isRecursive: around.length > 0 };
}

/** `with ...` and the query. */
export function withSets(context: Context, texts: readonly string[], isRecursive: boolean, query: string): string {
  const first = context.isContextual ? [`contextual as materialized (${contextualRows})`] : [];
  if (first.length + texts.length === 0) return query;
  const text = `with${isRecursive ? " recursive" : ""} ${[...first, ...texts].join(",\n")}\n${query}`;
  // A function would be run again for every probe.
  return text.replaceAll(` union all ${contextualRows})`, " union all table contextual)");
}
