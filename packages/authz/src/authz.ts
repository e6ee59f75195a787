import {
  connect,
  type Database,
  type Duration,
  type Fn,
  type HowdahError,
  ModuleClient,
  type Target,
} from "@howdah/core";
import { type Entity, entityText, parseEntity, parseObject } from "./entities.ts";
import { invalid, rethrow, undecided } from "./errors.ts";
import * as sql from "./functions.ts";
import { Loader } from "./loader.ts";
import { Models } from "./models.ts";
import { Rbac } from "./rbac.ts";
import { type RoleSource, type RoleSourceOptions, roleSource } from "./role-source.ts";
import { contextOf, type TupleInput, timeOf, tupleJson } from "./tuple.ts";

/** What a grant is about. */
export interface Grant {
  resource: Entity;
  /** Who gets it; `group:eng#member` gives it to all members. */
  subject: Entity;
}

/** How a grant is made. */
export interface GrantOptions extends Grant {
  /** When it ends. */
  expiresAt?: Date;
  /** A condition of the model, and what is known of its parameters. */
  condition?: { name: string; context?: Record<string, unknown> };
}

/** What a check may take into account beside the stored tuples. */
export interface CheckOptions {
  /** Parameters of conditions, at most 64 kB of JSON. */
  context?: Record<string, unknown>;
  /** Tuples that hold for this call only, at most 100. */
  contextualTuples?: readonly TupleInput[];
}

/** One question of a batch. */
export interface Question {
  subject: Entity;
  permission: string;
  resource: Entity;
}

/** What a check found, when it is not to throw. */
export interface Decision {
  allowed: boolean;
  /** True if it could not be told; `allowed` is then false. */
  unknown: boolean;
  /** The parameters that a condition lacks. */
  missing: readonly string[];
  /** Why it could not be told: a {@link ConditionError}, or a `LimitError` if the way is too long. */
  error?: HowdahError;
}

/** How a list is cut into pages. */
export interface PageOptions {
  /** At most so many, 1 to 1000; default 100. */
  limit?: number;
}

/** Subjects by type and id; `*` stands for all of its type. */
export interface SubjectEntry {
  type: string;
  id: string;
}

/** Elements by pages, or one after the other: `for await (const id of authz.listResources(...))`. */
export interface Listing<Item, Cursor> extends AsyncIterable<Item> {
  /** One page; the last element of a page is the cursor of the next. */
  page(options?: PageOptions & { cursor?: Cursor }): Promise<Item[]>;
}

/** What {@link createAuthz} takes. */
export interface AuthzOptions {
  /** The tenant whose tuples these are. */
  namespace: string;
}

/** The client of a namespace's authorization, made by {@link createAuthz}. */
export class Authz extends ModuleClient {
  // --- granting

  /**
   * Grants a relation on a resource to a subject. Granting again sets the expiry and the condition anew.
   *
   * @returns the tuple's id
   * @throws {ConflictError} `cycle_group`, `cycle_resource`, `self_membership`, `self_parent`
   * @throws {ValidationError} `tuple_invalid` if the namespace's model does not allow such a tuple
   */
  grant(relation: string, { resource, subject, expiresAt, condition }: GrantOptions): Promise<string> {
    return this.run(sql.writeTuple, {
      ...about({ resource, subject }),
      relation,
      expiresAt: expiresAt && timeOf("expiresAt", expiresAt),
      condition: condition?.name,
      conditionContext: condition?.context && contextOf(condition.context),
    });
  }

  /** Takes a grant back; false if there was none. */
  revoke(relation: string, grant: Grant): Promise<boolean> {
    return this.run(sql.deleteTuple, { ...about(grant), relation });
  }

  /** Grants a relation on one resource to many subjects of a type, at most 1000; returns how many are new. */
  grantMany(
    relation: string,
    { resource, subjectType, subjectIds }: { resource: Entity; subjectType: string; subjectIds: readonly string[] },
  ): Promise<number> {
    return this.run(sql.writeTuplesBulk, { ...resourceOf(resource), relation, subjectType, subjectIds });
  }

  /** Grants a relation on many resources of a type, at most 1000, to one subject; returns how many are new. */
  grantOnMany(
    relation: string,
    { resourceType, resourceIds, subject }: { resourceType: string; resourceIds: readonly string[]; subject: Entity },
  ): Promise<number> {
    return this.run(sql.grantToResourcesBulk, { resourceType, resourceIds, relation, ...subjectOf(subject) });
  }

  /**
   * Writes and deletes tuples, at most 5000, all or none.
   *
   * @param options `onDuplicate`: update (the default), ignore or error; `onMissing`: ignore (the default) or error
   */
  write(
    { writes = [], deletes = [] }: { writes?: readonly TupleInput[]; deletes?: readonly TupleInput[] },
    options: { onDuplicate?: "update" | "ignore" | "error"; onMissing?: "ignore" | "error" } = {},
  ): Promise<{ written: number; deleted: number }> {
    return this.run(sql.writeTuples, { writes: writes.map(tupleJson), deletes: deletes.map(tupleJson), ...options });
  }

  /** Gives a grant of one subject to another, with its expiry and condition; false if there was none. */
  transferGrant(
    relation: string,
    { resource, from, to }: { resource: Entity; from: Entity; to: Entity },
  ): Promise<boolean> {
    const source = plain(from);
    const target = plain(to);
    return this.run(sql.transferTuple, {
      ...resourceOf(resource),
      relation,
      fromSubjectType: source.subjectType,
      fromSubjectId: source.subjectId,
      toSubjectType: target.subjectType,
      toSubjectId: target.subjectId,
    });
  }

  /** Takes back everything that was granted to a subject, or that on one type of resource; returns how much. */
  revokeAllGrants(subject: Entity, options: { resourceType?: string } = {}): Promise<number> {
    return this.run(sql.revokeSubjectGrants, { ...plain(subject), ...options });
  }

  /** Takes back everything that was granted on a resource, or one relation; returns how much. */
  revokeResourceGrants(resource: Entity, options: { relation?: string } = {}): Promise<number> {
    return this.run(sql.revokeResourceGrants, { ...resourceOf(resource), ...options });
  }

  /** The stored tuples that a filter finds, such as `{ resourceType: "document", subjectRelation: null }`, oldest first. */
  readTuples(
    filter: sql.TupleFilter = {},
    options: { includeExpired?: boolean } = {},
  ): Listing<sql.Tuple, Pick<sql.Tuple, "id">> {
    const args = { filter: byColumns(filter), ...options };
    return listing(async ({ limit, cursor }) => {
      const found = await this.run(sql.readTuples, { ...args, limit, cursor: cursor?.id });
      return found.map(({ resourceIdRaw, subjectIdRaw, ...tuple }) => ({
        ...tuple,
        resourceId: resourceIdRaw ?? tuple.resourceId,
        subjectId: subjectIdRaw ?? tuple.subjectId,
      }));
    });
  }

  // --- checking

  /**
   * Whether a subject has a permission on a resource.
   *
   * @throws {ConditionError} if that cannot be told, because a condition lacks parameters; see {@link checkDetailed}
   * @throws {ValidationError} `type_unknown`, `relation_unknown` under a strict model
   */
  check(subject: Entity, permission: string, resource: Entity, options: CheckOptions = {}): Promise<boolean> {
    return this.run(sql.check, { ...ask(subject, permission, resource), ...circumstances(options) });
  }

  /** Like {@link check}, but what cannot be told is an answer and no error, which would end a transaction. */
  async checkDetailed(
    subject: Entity,
    permission: string,
    resource: Entity,
    options: CheckOptions = {},
  ): Promise<Decision> {
    const { allowed, errorCode, missing } = (await this.run(sql.checkDetailed, {
      ...ask(subject, permission, resource),
      ...circumstances(options),
    })) ?? { allowed: false, errorCode: null, missing: [] };
    if (allowed !== null) return { allowed, unknown: false, missing: [] };
    const error = undecided(
      errorCode ?? "condition_invalid",
      `it cannot be told whether ${show(subject)} has ${permission} on ${show(resource)}`,
      missing ?? [],
    );
    return { allowed: false, unknown: true, missing: missing ?? [], error };
  }

  /** Whether a subject has any of these permissions, at most 1000, on a resource. */
  checkAny(subject: Entity, permissions: readonly string[], resource: Entity): Promise<boolean> {
    return this.run(sql.checkAny, { ...plain(subject), permissions, ...resourceOf(resource) });
  }

  /** Whether a subject has all of these permissions, at most 1000, on a resource. */
  checkAll(subject: Entity, permissions: readonly string[], resource: Entity): Promise<boolean> {
    return this.run(sql.checkAll, { ...plain(subject), permissions, ...resourceOf(resource) });
  }

  /**
   * Answers many questions, at most 1000, in one round trip and in their order. What cannot be told is `null`, with the code
   * of the error.
   */
  async checkBatch(
    questions: readonly Question[],
    options: { context?: Record<string, unknown> } = {},
  ): Promise<{ allowed: boolean | null; errorCode: string | null }[]> {
    const checks = questions.map(({ subject, permission, resource }) => batchQuestion(subject, permission, resource));
    const found = await this.run(sql.checkBatch, { checks, ...circumstances(options) });
    return found.sort((a, b) => a.ord - b.ord).map(({ allowed, errorCode }) => ({ allowed, errorCode }));
  }

  /** Coalesces the checks of one turn of the event loop into one {@link checkBatch}; equal ones are asked once. */
  loader(options: { context?: Record<string, unknown> } = {}): Loader {
    return new Loader((questions) => this.checkBatch(questions, options));
  }

  /** Those of the resources, at most 1000, on which a subject has a permission, sorted. */
  filterAuthorized(
    subject: Entity,
    permission: string,
    { resourceType, resourceIds }: { resourceType: string; resourceIds: readonly string[] },
  ): Promise<string[]> {
    return this.run(sql.filterAuthorized, { ...plain(subject), permission, resourceType, resourceIds });
  }

  /** Every permission that a subject has on a resource; one that lacks parameters of a condition is left out. */
  async permissionsOn(
    subject: Entity,
    resource: Entity,
    options: { context?: Record<string, unknown> } = {},
  ): Promise<string[]> {
    const args = { ...plain(subject), ...resourceOf(resource), ...circumstances(options) };
    return (await this.run(sql.permissionsOn, args)).map(({ permissionsOn }) => permissionsOn);
  }

  // --- listing

  /** The resources of a type on which a subject has a permission, by id. */
  listResources(subject: Entity, resourceType: string, permission: string): Listing<string, string> {
    const who = plain(subject);
    return listing(async (options) => {
      const found = await this.run(sql.listResources, { ...who, resourceType, permission, ...options });
      return found.map(({ resourceId }) => resourceId);
    });
  }

  /** All of them at once, in no order, with the circumstances that a check may have. */
  async listObjects(
    subject: Entity,
    resourceType: string,
    permission: string,
    options: CheckOptions = {},
  ): Promise<string[]> {
    const args = { ...subjectOf(subject), resourceType, permission, ...circumstances(options) };
    return (await this.run(sql.listObjects, args)).map(({ resourceId }) => resourceId);
  }

  /** Who has a permission on a resource, by type and id. */
  listSubjects(
    resource: Entity,
    permission: string,
    options: { subjectType?: string; subjectRelation?: string } & CheckOptions = {},
  ): Listing<SubjectEntry, SubjectEntry> {
    const { subjectType, subjectRelation, ...rest } = options;
    const args = { ...resourceOf(resource), permission, subjectType, subjectRelation, ...circumstances(rest) };
    return listing(async ({ limit, cursor }) => {
      const after = cursor && { cursorType: cursor.type, cursorId: cursor.id };
      const found = await this.run(sql.listSubjects, { ...args, limit, ...after });
      return found.map(({ subjectType: type, subjectId: id }) => ({ type, id }));
    });
  }

  /** How many have a permission on a resource. */
  async countSubjects(resource: Entity, permission: string, options: { subjectType?: string } = {}): Promise<number> {
    return Number(await this.run(sql.countSubjects, { ...resourceOf(resource), permission, ...options }));
  }

  /** What is granted to a subject directly. */
  listGrants(subject: Entity, options: { resourceType?: string } = {}): Promise<sql.SubjectGrant[]> {
    return this.run(sql.listSubjectGrants, { ...plain(subject), ...options });
  }

  /** What other tenants granted to a subject, newest first; for the subject itself, see {@link setViewer}. */
  listExternalResources(
    subject: Entity,
    resourceType: string,
    permission: string,
  ): Listing<sql.ExternalResource, Pick<sql.ExternalResource, "createdAt" | "namespace" | "resourceId" | "relation">> {
    const { namespace } = this.context;
    if (namespace == null) throw invalid("namespace_null", "resources of other tenants are asked for by one tenant");
    const args = { ...plain(subject), resourceType, permission, excludeNamespace: namespace };
    return listing(({ limit, cursor }) => {
      const after = cursor && [
        timeOf("createdAt", cursor.createdAt),
        cursor.namespace,
        cursor.resourceId,
        cursor.relation,
      ];
      return this.run(sql.listExternalResources, { ...args, limit, cursor: after && JSON.stringify(after) });
    });
  }

  // --- explaining

  /** Every way in which a subject has a permission; none if it has not. */
  explain(
    subject: Entity,
    permission: string,
    resource: Entity,
    options: { maxDepth?: number } = {},
  ): Promise<sql.PermissionPath[]> {
    return this.run(sql.explain, { ...plain(subject), permission, ...resourceOf(resource), ...options });
  }

  /** The whole decision as a tree, and for a denial what would grant it. */
  explainJson(
    subject: Entity,
    permission: string,
    resource: Entity,
    options: CheckOptions = {},
  ): Promise<Record<string, unknown>> {
    return this.run(sql.explainJson, { ...ask(subject, permission, resource), ...circumstances(options) });
  }

  /** The tree of usersets that have a permission; `depth` 0 expands them all. */
  expand(resource: Entity, permission: string, options: { depth?: number } = {}): Promise<Record<string, unknown>> {
    return this.run(sql.expand, { ...resourceOf(resource), permission, ...options });
  }

  // --- hierarchy

  /**
   * Says that on a type of resource each permission implies the next one: `setHierarchy("repo", "admin", "write", "read")`.
   *
   * @throws {ConflictError} `cycle_hierarchy`
   */
  async setHierarchy(resourceType: string, ...chain: readonly string[]): Promise<void> {
    const rules = chain.slice(1).map((implies, i) => ({ resourceType, permission: chain[i] ?? "", implies }));
    for (const rule of rules) await this.run(sql.addHierarchy, rule);
  }

  /** Says that one permission implies another one; returns the rule's id, also if it was there already. */
  addHierarchyRule(resourceType: string, permission: string, implies: string): Promise<string> {
    return this.run(sql.addHierarchy, { resourceType, permission, implies });
  }

  /** Takes such a rule back; false if there was none. */
  removeHierarchyRule(resourceType: string, permission: string, implies: string): Promise<boolean> {
    return this.run(sql.removeHierarchy, { resourceType, permission, implies });
  }

  /** Takes all rules of a type back; returns how many. */
  clearHierarchy(resourceType: string): Promise<number> {
    return this.run(sql.clearHierarchy, { resourceType });
  }

  // --- expiry

  /** Sets when a grant ends, `null` for never; false if there is no such grant. */
  setExpiration(relation: string, grant: Grant, expiresAt: Date | null): Promise<boolean> {
    const until = expiresAt && timeOf("expiresAt", expiresAt);
    return this.run(sql.setExpiration, { ...withoutRelation(grant), relation, expiresAt: until });
  }

  /** Lets a grant last for ever; false if there is no such grant. */
  clearExpiration(relation: string, grant: Grant): Promise<boolean> {
    return this.run(sql.clearExpiration, { ...withoutRelation(grant), relation });
  }

  /**
   * Lets a grant last longer, from now on if it has expired; returns when it ends.
   *
   * @throws {NotFoundError} `grant_not_found`
   */
  extendExpiration(relation: string, grant: Grant, extension: Duration): Promise<Date> {
    return this.run(sql.extendExpiration, { ...withoutRelation(grant), relation, extension });
  }

  /** The grants that end within a time, 7 days unless told. */
  listExpiring(within?: Duration): Promise<sql.ExpiringGrant[]> {
    return this.run(sql.listExpiring, { within });
  }

  /** Deletes expired tuples, which nothing sees any more; returns how many. */
  async cleanupExpired(options: { limit?: number } = {}): Promise<number> {
    return Number((await this.run(sql.cleanupExpired, options))?.tuplesDeleted ?? 0);
  }

  // --- looking after it

  /** How much there is. */
  getStats(): Promise<sql.AuthzStats> {
    return this.run(sql.getStats, {});
  }

  /** What is not as it should be; empty if all is well. */
  verify(): Promise<sql.IntegrityProblem[]> {
    return this.run(sql.verifyIntegrity, {});
  }

  /** Who changed what, such as `{ actorId: "user:ann" }`, newest first. */
  auditEvents(filter: sql.AuditFilter = {}): Listing<sql.AuditEvent, Pick<sql.AuditEvent, "id" | "eventTime">> {
    const args = { filter: byColumns(filter) };
    return listing(({ limit, cursor }) => {
      const before = cursor && { beforeTime: timeOf("eventTime", cursor.eventTime), beforeId: cursor.id };
      return this.run(sql.listAuditEvents, { ...args, limit, ...before });
    });
  }

  /** Says in whose eyes the rest of this transaction looks: what was granted to that subject is visible in all tenants. */
  setViewer(subject: Entity): Promise<void> {
    return this.run(sql.setViewer, plain(subject));
  }

  /** Takes {@link setViewer} back. */
  clearViewer(): Promise<void> {
    return this.run(sql.clearViewer, {});
  }

  // --- models, roles and permissions

  /** Models of the namespace: to write, test, activate and compare them. */
  get model(): Models {
    return new Models(this.db, this.context);
  }

  /** Roles and permissions of the namespace. */
  get rbac(): Rbac {
    return new Rbac(this.db, this.context);
  }

  /** Where a sign-in finds the roles and permissions of a user. */
  roleSource(options: RoleSourceOptions = {}): RoleSource {
    return roleSource(this.rbac, options);
  }

  private run<A, R>(f: Fn<A, R>, args: A): Promise<R> {
    return this.call(f, args).catch(rethrow);
  }
}

/**
 * Makes the client of a namespace's authorization.
 *
 * @param db a `pg` pool or client, a connection string, or what `connect` returned
 */
export function createAuthz(db: Target | Database, { namespace }: AuthzOptions): Authz {
  return new Authz(connect(db), { namespace });
}

const show = (entity: Entity): string => entityText(parseEntity(entity));

function subjectOf(subject: Entity): { subjectType: string; subjectId: string; subjectRelation?: string } {
  const { type, id, relation } = parseEntity(subject);
  return { subjectType: type, subjectId: id, ...(relation !== undefined && { subjectRelation: relation }) };
}

function resourceOf(resource: Entity): { resourceType: string; resourceId: string } {
  const { type, id } = parseObject(resource);
  return { resourceType: type, resourceId: id };
}

/** A subject of a function that takes none with a relation. */
function plain(subject: Entity): { subjectType: string; subjectId: string } {
  const { type, id } = parseObject(subject);
  return { subjectType: type, subjectId: id };
}

const about = ({ resource, subject }: Grant) => ({ ...resourceOf(resource), ...subjectOf(subject) });

const withoutRelation = ({ resource, subject }: Grant) => ({ ...resourceOf(resource), ...plain(subject) });

const ask = (subject: Entity, permission: string, resource: Entity) => ({
  ...subjectOf(subject),
  permission,
  ...resourceOf(resource),
});

const circumstances = ({ context, contextualTuples }: CheckOptions): sql.Circumstances => ({
  ...(context !== undefined && { context: contextOf(context) }),
  ...(contextualTuples !== undefined && { contextualTuples: contextualTuples.map(tupleJson) }),
});

/** A filter by the names of SQL's columns. */
const byColumns = (filter: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(filter).map(([key, value]) => [
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );

function batchQuestion(subject: Entity, permission: string, resource: Entity): Record<string, unknown> {
  const { subjectType, subjectId, subjectRelation, resourceType, resourceId } = ask(subject, permission, resource) as {
    subjectType: string;
    subjectId: string;
    subjectRelation?: string;
    resourceType: string;
    resourceId: string;
  };
  return {
    subject_type: subjectType,
    subject_id: subjectId,
    ...(subjectRelation !== undefined && { subject_relation: subjectRelation }),
    permission,
    resource_type: resourceType,
    resource_id: resourceId,
  };
}

function listing<Item, Cursor>(
  fetch: (options: PageOptions & { cursor?: Cursor }) => Promise<Item[]>,
): Listing<Item, Cursor> {
  return {
    page: (options = {}) => fetch(options),
    async *[Symbol.asyncIterator]() {
      const limit = 1000;
      let found = await fetch({ limit });
      yield* found;
      while (found.length === limit) {
        found = await fetch({ limit, cursor: found.at(-1) as Cursor });
        yield* found;
      }
    },
  };
}
