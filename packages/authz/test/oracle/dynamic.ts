// The dynamic rule as its definition reads, over arrays and without a thought to speed: what the SQL must agree with.

/** A tuple: resource#relation@subject, or @subject#subjectRelation. */
export interface Tuple {
  resourceType: string;
  resourceId: string;
  relation: string;
  subjectType: string;
  subjectId: string;
  subjectRelation: string | null;
  isExpired: boolean;
  /** Evaluation of dynamic types knows no conditions, so such a tuple does not count. */
  isConditional: boolean;
}

/** Permission on a type implies another, by a rule of the tenant or of namespace global. */
export interface Rule {
  resourceType: string;
  permission: string;
  implies: string;
}

/** A subject, or with a relation a userset. */
export interface Subject {
  type: string;
  id: string;
  relation: string | null;
}

/** A resource. */
export interface Resource {
  type: string;
  id: string;
}

/** All that is known. */
export interface World {
  tuples: readonly Tuple[];
  rules: readonly Rule[];
}

/** Adds to a set what follows from its elements, until nothing does. */
function closure<T>(start: readonly T[], follow: (element: T) => readonly T[]): T[] {
  const found = new Map(start.map((element) => [JSON.stringify(element), element]));
  for (const element of found.values()) {
    for (const next of follow(element)) found.set(JSON.stringify(next), next);
  }
  return [...found.values()];
}

const isLive = (tuple: Tuple): boolean => !tuple.isExpired && !tuple.isConditional;

/** P and every permission that reaches P over the rules of the type. */
const implied = ({ rules }: World, type: string, permission: string): string[] =>
  closure([permission], (to) =>
    rules.filter((rule) => rule.resourceType === type && rule.implies === to).map((rule) => rule.permission),
  );

/** R and everything reached over relation parent. */
const ancestors = ({ tuples }: World, resource: Resource): Resource[] =>
  closure([{ type: resource.type, id: resource.id }], ({ type, id }) =>
    tuples
      .filter((t) => isLive(t) && t.resourceType === type && t.resourceId === id && t.relation === "parent")
      .map((t) => ({ type: t.subjectType, id: t.subjectId })),
  );

/** The (group, relation) pairs that a subject is in. */
function memberships({ tuples }: World, subject: Subject): Required<Subject>[] {
  const start =
    subject.relation !== null
      ? [{ type: subject.type, id: subject.id, relation: subject.relation }]
      : tuples
          .filter(
            (t) =>
              isLive(t) && t.subjectType === subject.type && t.subjectId === subject.id && t.subjectRelation === null,
          )
          .map((t) => ({ type: t.resourceType, id: t.resourceId, relation: t.relation }));
  return closure<Required<Subject>>(start, (group) =>
    tuples
      .filter(
        (t) =>
          isLive(t) &&
          t.relation === "member" &&
          t.subjectType === group.type &&
          t.subjectId === group.id &&
          (t.subjectRelation === null || t.subjectRelation === group.relation),
      )
      .map((t) => ({ type: t.resourceType, id: t.resourceId, relation: "member" })),
  );
}

/** Whether the subject has the permission on the resource. */
export function check(world: World, subject: Subject, permission: string, resource: Resource): boolean {
  const relations = implied(world, resource.type, permission);
  const containers = ancestors(world, resource);
  const groups = memberships(world, subject);
  const isOn = (type: string, id: string): boolean => containers.some((c) => c.type === type && c.id === id);
  const isNamed = world.tuples.some(
    (t) =>
      isLive(t) &&
      relations.includes(t.relation) &&
      isOn(t.resourceType, t.resourceId) &&
      ((subject.relation === null &&
        t.subjectRelation === null &&
        t.subjectType === subject.type &&
        t.subjectId === subject.id) ||
        groups.some(
          (group) =>
            group.type === t.subjectType &&
            group.id === t.subjectId &&
            (t.subjectRelation === null || t.subjectRelation === group.relation),
        )),
  );
  // Whoever is in G#r has r on G, and on all that G contains, for being named in a tuple G#r.
  const isSelf = subject.relation !== null && relations.includes(subject.relation) && isOn(subject.type, subject.id);
  return isNamed || isSelf;
}

/** Whether a subject has no members, so that lists of subjects show it. */
export const isLeaf = ({ tuples }: World, subject: Resource): boolean =>
  !tuples.some(
    (t) => isLive(t) && t.relation === "member" && t.resourceType === subject.type && t.resourceId === subject.id,
  );
