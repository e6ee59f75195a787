// Scans of the tuples. Every scan names the forms of tuples that the model allows, so that tuples which break it are not seen.
import { type Guard, type Guarded, guardKey, type Kind } from "./analyse.ts";
import { type Context, call, source } from "./context.ts";
import type { Edge, Grant, Node } from "./graph.ts";
import { indent, literal, oneOf, type Select, where } from "./sql.ts";
import { isNot } from "./values.ts";

/** What an unknown condition counts as: a variable or constant, or null to leave it unknown. */
export type Unknown = "v_lenient" | "true" | null;

interface Form {
  relation: string;
  subjectType: string;
  condition: string | null;
}

/** Grants that differ only in who is granted: the asked subject, everybody, or either, by all forms or by some. */
interface GrantScan {
  grants: Grant[];
  guards: readonly Guard[];
  to: "subject" | "everybody" | "either";
  /** The forms that grant to everybody, where these are not all. */
  everybody?: Grant[];
}

/** Edges that lead to the same node through the same kind of subject. */
export interface EdgeScan {
  subjectType: string;
  subjectRelation: string | null;
  target: Node;
  guards: readonly Guard[];
  edges: Edge[];
}

const unique = <T>(items: readonly T[]): T[] => [...new Set(items)];

const keyOf = ({ relation, subjectType, condition }: Grant): string => [relation, subjectType, condition].join("\n");

/** The grants of a kind in as few scans as possible. */
export function grantScans(kind: Kind): GrantScan[] {
  return byGuards(kind.grants).flatMap(({ guards, items }): GrantScan[] => {
    const concrete = items.filter(({ isWildcard }) => !isWildcard);
    const everybody = items.filter(({ isWildcard }) => isWildcard);
    const scans: GrantScan[] =
      concrete.length === everybody.length && areAmong(everybody, concrete)
        ? [{ grants: concrete, guards, to: "either" }]
        : [
            { grants: concrete, guards, to: "subject" },
            { grants: everybody, guards, to: "everybody" },
          ];
    return scans.filter(({ grants }) => grants.length > 0);
  });
}

/** The same for one object: a scan finds so little there that one for everybody besides would cost more than it saves. */
export function grantProbes(kind: Kind): GrantScan[] {
  return byGuards(kind.grants).flatMap(({ guards, items }) => {
    const concrete = items.filter(({ isWildcard }) => !isWildcard);
    const everybody = items.filter(({ isWildcard }) => isWildcard);
    return everybody.length > 0 && everybody.length < concrete.length && areAmong(everybody, concrete)
      ? [{ grants: concrete, guards, to: "either" as const, everybody }]
      : grantScans({ ...kind, grants: items });
  });
}

const areAmong = (some: readonly Grant[], all: readonly Grant[]): boolean =>
  some.every((grant) => all.some((other) => keyOf(other) === keyOf(grant)));

/** Things that the same guards guard. */
export function byGuards<T>(items: readonly Guarded<T>[]): { guards: readonly Guard[]; items: Guarded<T>[] }[] {
  const groups = new Map<string, { guards: readonly Guard[]; items: Guarded<T>[] }>();
  for (const item of items) {
    const group = groups.get(guardKey(item.guards)) ?? { guards: item.guards, items: [] };
    group.items.push(item);
    groups.set(guardKey(item.guards), group);
  }
  return [...groups.values()];
}

/** What guards an object, as conditions. */
export function guardConditions(context: Context, guards: readonly Guard[], id: string, unknown: Unknown): string[] {
  const distinct = new Map(guards.map((guard) => [guardKey([guard]), guard]));
  return [...distinct.values()].map(({ node, isNegated }) => {
    const given = { p_resource_id: id };
    const holds = isNegated ? isNot(context, node, given) : call(context, node, "check", given);
    return unknown === null ? holds : `coalesce(${holds}, ${unknown})`;
  });
}

/** The edges of a kind in as few scans as possible. */
export function edgeScans({ edges }: Kind): EdgeScan[] {
  const scans = new Map<string, EdgeScan>();
  for (const edge of edges) {
    const { subjectType, subjectRelation, target, guards } = edge;
    const key = [subjectType, subjectRelation, target.number, guardKey(guards)].join("\n");
    const scan = scans.get(key) ?? { subjectType, subjectRelation, target, guards, edges: [] };
    scan.edges.push(edge);
    scans.set(key, scan);
  }
  return [...scans.values()];
}

/** Where a scan looks; what is missing may be anything. */
interface Where {
  type: string;
  resourceId?: string | undefined;
  alias?: string;
  unknown: Unknown;
  /** Guards that are known to hold of the object. */
  known?: readonly Guard[];
}

/** What guards everything that a kind has. */
export function commonGuards({ grants, edges, leaves }: Kind): readonly Guard[] {
  const [first, ...others] = [...grants, ...edges, ...leaves.map(() => ({ guards: [] }))];
  return (first?.guards ?? []).filter((guard) =>
    others.every(({ guards }) => guards.some((other) => guardKey([other]) === guardKey([guard]))),
  );
}

const without = (guards: readonly Guard[], known: readonly Guard[] = []): Guard[] =>
  guards.filter((guard) => known.every((other) => guardKey([other]) !== guardKey([guard])));

const basic = (alias: string, { type, resourceId }: Where): string[] => [
  `${alias}.namespace = p_namespace`,
  `${alias}.resource_type = ${literal(type)}`,
  ...(resourceId === undefined ? [] : [`${alias}.resource_id = ${resourceId}`]),
];

const live = (alias: string): string => `(${alias}.expires_at is null or ${alias}.expires_at > howdah.now())`;

/**
 * The conditions of a scan for tuples that grant to the asked, plain subject.
 *
 * @param types the types of subjects that come this far
 */
export function grantedConditions(context: Context, scan: GrantScan, types: readonly string[], at: Where): string[] {
  const { grants, guards, to } = scan;
  const { alias = "t" } = at;
  const granted = unique(grants.map(({ subjectType }) => subjectType));
  const isCertain = granted.length === 1 && types.length === 1 && granted[0] === types[0];
  const subject = {
    subject: [`${alias}.subject_id = p_subject_id`, `${alias}.subject_id <> '*'`],
    everybody: [`${alias}.subject_id = '*'`],
    either: [`${alias}.subject_id in (p_subject_id, '*')`, ...everybodyConditions(context, scan, alias, at.unknown)],
  }[to];
  return [
    ...basic(alias, at),
    ...formConditions(context, grants, alias, at.unknown),
    ...(isCertain ? [] : [`${alias}.subject_type = p_subject_type`]),
    ...subject,
    `${alias}.subject_relation is null`,
    live(alias),
    ...guardConditions(context, without(guards, at.known), `${alias}.resource_id`, at.unknown),
  ];
}

/** The conditions of a scan for all plain subjects of the asked type that are granted. */
export function grantConditions(context: Context, { grants, to }: GrantScan, at: Where): string[] {
  const { alias = "t" } = at;
  const subject = {
    subject: [`${alias}.subject_id <> '*'`],
    everybody: [`${alias}.subject_id = '*'`],
    either: [],
  }[to];
  return [
    ...basic(alias, at),
    ...formConditions(context, grants, alias, at.unknown),
    `${alias}.subject_type = p_subject_type`,
    ...subject,
    `${alias}.subject_relation is null`,
    live(alias),
  ];
}

/** Keeps everybody to the forms that are meant for them. */
function everybodyConditions(
  context: Context,
  { grants, everybody }: GrantScan,
  alias: string,
  unknown: Unknown,
): string[] {
  if (everybody === undefined) return [];
  const all = formConditions(context, grants, alias, unknown);
  const some = formConditions(context, everybody, alias, unknown).filter((condition) => !all.includes(condition));
  return [`(${alias}.subject_id <> '*' or ${indent(some.join("\n  and ")).trimStart()})`];
}

/** The conditions of a scan for tuples that lead to other objects. */
export function edgeConditions(
  context: Context,
  { edges, guards, subjectRelation }: EdgeScan,
  at: Where & { subjectId?: string | undefined },
): string[] {
  const { alias = "t", subjectId } = at;
  return [
    ...basic(alias, at),
    ...formConditions(context, edges, alias, at.unknown),
    ...(subjectId === undefined ? [] : [`${alias}.subject_id = ${subjectId}`]),
    `${alias}.subject_id <> '*'`,
    `${alias}.subject_relation ${subjectRelation === null ? "is null" : `= ${literal(subjectRelation)}`}`,
    live(alias),
    ...guardConditions(context, without(guards, at.known), `${alias}.resource_id`, at.unknown),
  ];
}

/** The conditions that pick an edge among tuples that are already read. */
export function linkConditions(
  context: Context,
  { edges, guards, subjectRelation }: EdgeScan,
  { unknown }: Where,
): string[] {
  return [
    ...formConditions(context, edges, "t", unknown),
    `t.subject_relation ${subjectRelation === null ? "is null" : `= ${literal(subjectRelation)}`}`,
    ...guardConditions(context, guards, "t.resource_id", unknown),
  ];
}

/** Lets through exactly the given forms: a product where they are one, else one line for each group of relations. */
function formConditions(context: Context, forms: readonly Form[], alias: string, unknown: Unknown): string[] {
  const relations = unique(forms.map(({ relation }) => relation));
  const types = unique(forms.map(({ subjectType }) => subjectType));
  const conditions = unique(forms.map(({ condition }) => condition));
  const common = [`${alias}.relation ${oneOf(relations)}`, `${alias}.subject_type ${oneOf(types)}`];
  if (forms.length === relations.length * types.length * conditions.length) {
    return [...common, conditionsHold(context, conditions, alias, unknown)];
  }

  const groups = new Map<string, { relations: string[]; type: string; conditions: (string | null)[] }>();
  for (const relation of relations) {
    for (const type of types) {
      const allowed = forms
        .filter((form) => form.relation === relation && form.subjectType === type)
        .map(({ condition }) => condition);
      if (allowed.length === 0) continue;
      const key = JSON.stringify([type, allowed]);
      const group = groups.get(key) ?? { relations: [], type, conditions: allowed };
      group.relations.push(relation);
      groups.set(key, group);
    }
  }
  const alternatives = [...groups.values()].map((group) => {
    const parts = [
      `${alias}.relation ${oneOf(group.relations)}`,
      ...(types.length === 1 ? [] : [`${alias}.subject_type = ${literal(group.type)}`]),
      conditionsHold(context, group.conditions, alias, unknown),
    ];
    const line = parts.join(" and ");
    return line.length <= 80 ? line : parts.join("\n  and ");
  });
  return [...common, `(\n${indent(alternatives.join("\nor "))}\n)`];
}

function conditionsHold(
  context: Context,
  conditions: readonly (string | null)[],
  alias: string,
  unknown: Unknown,
): string {
  const alternatives = conditions.map((condition) => {
    if (condition === null) return `${alias}.condition_name is null`;
    const holds = conditionCall(context, condition, alias);
    const counted = unknown === null ? `${holds} is not false` : `coalesce(${holds}, ${unknown})`;
    return `${alias}.condition_name = ${literal(condition)}\n  and ${counted}`;
  });
  return conditions.length === 1 ? (alternatives[0] as string) : `(${alternatives.join(" or ")})`;
}

const conditionCall = ({ prefix, conditions }: Context, condition: string, alias: string): string =>
  `${prefix}cond_${conditions.get(condition)}(${alias}.condition_context, p_context)`;

/** How much a tuple counts that was found with unknown conditions let through: 3 if its condition holds, 2 if that is unknown. */
export function certainty(context: Context, forms: readonly Form[], alias = "t"): string {
  const conditions = unique(forms.map(({ condition }) => condition)).filter((condition) => condition !== null);
  if (conditions.length === 0) return "3";
  const cases = conditions.map(
    (condition) => `when ${literal(condition)} then coalesce(${conditionCall(context, condition, alias)}::int * 3, 2)`,
  );
  return `case ${alias}.condition_name ${cases.join(" ")} else 3 end`;
}

/** A select of one column of the tuples. */
export const scan = (context: Context, column: string, conditions: readonly string[], alias = "t"): Select => ({
  id: column,
  rest: `from ${source(context)} ${alias}\n${where(conditions)}`,
});
