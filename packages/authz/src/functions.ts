// The SQL functions that the client calls, in the order of its methods. Those of roles and permissions stand beside their
// client, in rbac.ts.
import { type Duration, type Fn, fn, type SqlType } from "@howdah/core";
import type { OpenFgaModel } from "./compiler/model.ts";
import type { ModelTests } from "./models.ts";

interface Subject {
  subjectType: string;
  subjectId: string;
}
const subject = { subjectType: "text", subjectId: "text" } as const;

interface Resource {
  resourceType: string;
  resourceId: string;
}
const resource = { resourceType: "text", resourceId: "text" } as const;

interface Grant extends Resource, Subject {
  relation: string;
}
const grant = { ...resource, relation: "text", ...subject } as const;

interface Question extends Subject, Resource {
  permission: string;
}
const question = { ...subject, permission: "text", ...resource } as const;

/** What a question may take into account beside the tuples. */
export interface Circumstances {
  subjectRelation?: string | undefined;
  context?: unknown;
  contextualTuples?: unknown;
}
const circumstances = { subjectRelation: "text", context: "jsonb", contextualTuples: "jsonb" } as const;

const value = <A extends object, R>(name: string, args: Record<string, SqlType>, type?: SqlType): Fn<A, R> =>
  fn<A, R>(`authz.${name}`, { args, returns: "value", ...(type && { value: type }) });

const read = <A extends object, R>(name: string, args: Record<string, SqlType>, type?: SqlType): Fn<A, R> =>
  fn<A, R>(`authz.${name}`, { args, returns: "value", isReadOnly: true, ...(type && { value: type }) });

const list = <A extends object, R>(
  name: string,
  args: Record<string, SqlType>,
  columns: Record<string, SqlType>,
): Fn<A, R[]> => fn<A, R[]>(`authz.${name}`, { args, returns: "rows", columns, isReadOnly: true });

// --- writing

export const writeTuple = value<
  Grant & {
    subjectRelation?: string | undefined;
    expiresAt?: Date | undefined;
    condition?: string | undefined;
    conditionContext?: unknown;
  },
  string
>(
  "write_tuple",
  { ...grant, subjectRelation: "text", expiresAt: "timestamptz", condition: "text", conditionContext: "jsonb" },
  "bigint",
);

export const writeTuplesBulk = value<
  Resource & { relation: string; subjectType: string; subjectIds: readonly string[] },
  number
>("write_tuples_bulk", { ...resource, relation: "text", subjectType: "text", subjectIds: "text[]" });

export const grantToResourcesBulk = value<
  Subject & {
    resourceType: string;
    resourceIds: readonly string[];
    relation: string;
    subjectRelation?: string | undefined;
  },
  number
>("grant_to_resources_bulk", {
  resourceType: "text",
  resourceIds: "text[]",
  relation: "text",
  ...subject,
  subjectRelation: "text",
});

export const deleteTuple = value<Grant & { subjectRelation?: string | undefined }, boolean>("delete_tuple", {
  ...grant,
  subjectRelation: "text",
});

export const transferTuple = value<
  Resource & {
    relation: string;
    fromSubjectType: string;
    fromSubjectId: string;
    toSubjectType: string;
    toSubjectId: string;
  },
  boolean
>("transfer_tuple", {
  ...resource,
  relation: "text",
  fromSubjectType: "text",
  fromSubjectId: "text",
  toSubjectType: "text",
  toSubjectId: "text",
});

export const revokeSubjectGrants = value<Subject & { resourceType?: string | undefined }, number>(
  "revoke_subject_grants",
  { ...subject, resourceType: "text" },
);

export const revokeResourceGrants = value<Resource & { relation?: string | undefined }, number>(
  "revoke_resource_grants",
  { ...resource, relation: "text" },
);

export const writeTuples = fn<
  { writes: unknown; deletes: unknown; onDuplicate?: string | undefined; onMissing?: string | undefined },
  { written: number; deleted: number }
>("authz.write_tuples", {
  args: { writes: "jsonb", deletes: "jsonb", onDuplicate: "text", onMissing: "text" },
  returns: "row",
  columns: { written: "int", deleted: "int" },
});

/** A stored tuple, its ids as they were written. */
export interface Tuple {
  id: string;
  namespace: string;
  resourceType: string;
  resourceId: string;
  relation: string;
  subjectType: string;
  subjectId: string;
  subjectRelation: string | null;
  createdAt: Date;
  expiresAt: Date | null;
  conditionName: string | null;
  conditionContext: Record<string, unknown> | null;
}

/** A tuple as it is stored: its ids in NFC, and beside them those that were written differently. */
export interface TupleRow extends Tuple {
  resourceIdRaw: string | null;
  subjectIdRaw: string | null;
}

/** Which tuples to read: those that have all of this. */
export interface TupleFilter {
  resourceType?: string | undefined;
  resourceId?: string | undefined;
  relation?: string | undefined;
  subjectType?: string | undefined;
  subjectId?: string | undefined;
  /** `null` for tuples about a single subject. */
  subjectRelation?: string | null | undefined;
  /** The name of a condition; `null` for tuples without one. */
  condition?: string | null | undefined;
}

export const readTuples = list<
  { filter: unknown; limit?: number | undefined; cursor?: string | undefined; includeExpired?: boolean | undefined },
  TupleRow
>(
  "read_tuples",
  { filter: "jsonb", limit: "int", cursor: "text", includeExpired: "boolean" },
  {
    id: "bigint",
    namespace: "text",
    resourceType: "text",
    resourceId: "text",
    relation: "text",
    subjectType: "text",
    subjectId: "text",
    subjectRelation: "text",
    createdAt: "timestamptz",
    expiresAt: "timestamptz",
    conditionName: "text",
    conditionContext: "jsonb",
    resourceIdRaw: "text",
    subjectIdRaw: "text",
  },
);

// --- checking

export const check = read<Question & Circumstances, boolean>("check", { ...question, ...circumstances });

export const checkDetailed = fn<
  Question & Circumstances,
  { allowed: boolean | null; errorCode: string | null; missing: string[] | null }
>("authz.check_detailed", {
  args: { ...question, ...circumstances },
  returns: "row",
  columns: { allowed: "boolean", errorCode: "text", missing: "text[]" },
  isReadOnly: true,
});

const severalPermissions = { ...subject, permissions: "text[]", ...resource } as const;
type SeveralPermissions = Subject & Resource & { permissions: readonly string[] };
export const checkAny = read<SeveralPermissions, boolean>("check_any", severalPermissions);
export const checkAll = read<SeveralPermissions, boolean>("check_all", severalPermissions);

export const filterAuthorized = read<
  Subject & { resourceType: string; permission: string; resourceIds: readonly string[] },
  string[]
>("filter_authorized", { ...subject, resourceType: "text", permission: "text", resourceIds: "text[]" });

export const checkBatch = list<
  { checks: unknown; context?: unknown },
  { ord: number; allowed: boolean | null; errorCode: string | null }
>("check_batch", { checks: "jsonb", context: "jsonb" }, { ord: "int", allowed: "boolean", errorCode: "text" });

export const permissionsOn = list<Subject & Resource & { context?: unknown }, { permissionsOn: string }>(
  "permissions_on",
  { ...subject, ...resource, context: "jsonb" },
  { permissionsOn: "text" },
);

// --- lists, explanations

export const listResources = list<
  Subject & { resourceType: string; permission: string; limit?: number | undefined; cursor?: string | undefined },
  { resourceId: string }
>(
  "list_resources",
  { ...subject, resourceType: "text", permission: "text", limit: "int", cursor: "text" },
  { resourceId: "text" },
);

export const listObjects = list<
  Subject & { resourceType: string; permission: string } & Circumstances,
  { resourceId: string }
>("list_objects", { ...subject, resourceType: "text", permission: "text", ...circumstances }, { resourceId: "text" });

export const listSubjects = list<
  Resource & {
    permission: string;
    limit?: number | undefined;
    subjectType?: string | undefined;
    cursorType?: string | undefined;
    cursorId?: string | undefined;
  } & Circumstances,
  { subjectType: string; subjectId: string }
>(
  "list_subjects",
  {
    ...resource,
    permission: "text",
    limit: "int",
    subjectType: "text",
    cursorType: "text",
    cursorId: "text",
    ...circumstances,
  },
  { subjectType: "text", subjectId: "text" },
);

export const countSubjects = read<Resource & { permission: string; subjectType?: string | undefined }, string>(
  "count_subjects",
  { ...resource, permission: "text", subjectType: "text" },
  "bigint",
);

/** What is granted to a subject directly. */
export interface SubjectGrant {
  resourceType: string;
  resourceId: string;
  relation: string;
  subjectRelation: string | null;
  expiresAt: Date | null;
}

export const listSubjectGrants = list<Subject & { resourceType?: string | undefined }, SubjectGrant>(
  "list_subject_grants",
  { ...subject, resourceType: "text" },
  {
    resourceType: "text",
    resourceId: "text",
    relation: "text",
    subjectRelation: "text",
    expiresAt: "timestamptz",
  },
);

/** What another tenant granted to a subject. */
export interface ExternalResource {
  namespace: string;
  resourceId: string;
  relation: string;
  createdAt: Date;
  expiresAt: Date | null;
}

export const listExternalResources = fn<
  Subject & {
    resourceType: string;
    permission: string;
    excludeNamespace: string;
    limit?: number | undefined;
    cursor?: string | undefined;
  },
  ExternalResource[]
>("authz.list_external_resources", {
  args: {
    ...subject,
    resourceType: "text",
    permission: "text",
    excludeNamespace: "text",
    limit: "int",
    cursor: "text",
  },
  returns: "rows",
  columns: {
    namespace: "text",
    resourceId: "text",
    relation: "text",
    createdAt: "timestamptz",
    expiresAt: "timestamptz",
  },
  isNamespaced: false,
  isReadOnly: true,
});

/** One way in which a permission is reached. */
export interface PermissionPath {
  pathType: "direct" | "group" | "hierarchy" | "resource" | "userset" | "ttu" | "condition" | "excluded" | "truncated";
  viaRelation: string | null;
  viaSubjectType: string | null;
  viaSubjectId: string | null;
  viaMembership: string | null;
  pathChain: string[] | null;
}

export const explain = list<Question & { maxDepth?: number | undefined }, PermissionPath>(
  "explain",
  { ...question, maxDepth: "int" },
  {
    pathType: "text",
    viaRelation: "text",
    viaSubjectType: "text",
    viaSubjectId: "text",
    viaMembership: "text",
    pathChain: "text[]",
  },
);

export const explainJson = read<Question & Circumstances, Record<string, unknown>>("explain_json", {
  ...question,
  ...circumstances,
});

export const expand = read<Resource & { permission: string; depth?: number | undefined }, Record<string, unknown>>(
  "expand",
  { ...resource, permission: "text", depth: "int" },
);

// --- hierarchy

interface Rule {
  resourceType: string;
  permission: string;
  implies: string;
}
const rule = { resourceType: "text", permission: "text", implies: "text" } as const;

export const addHierarchy = value<Rule, string>("add_hierarchy", rule, "bigint");
export const removeHierarchy = value<Rule, boolean>("remove_hierarchy", rule);
export const clearHierarchy = value<{ resourceType: string }, number>("clear_hierarchy", { resourceType: "text" });

// --- expiry

export const setExpiration = value<Grant & { expiresAt: Date | null }, boolean>("set_expiration", {
  ...grant,
  expiresAt: "timestamptz",
});
export const clearExpiration = value<Grant, boolean>("clear_expiration", grant);
export const extendExpiration = value<Grant & { extension: Duration }, Date>(
  "extend_expiration",
  { ...grant, extension: "interval" },
  "timestamptz",
);

/** A grant that ends soon. */
export interface ExpiringGrant extends SubjectGrant {
  subjectType: string;
  subjectId: string;
  expiresAt: Date;
}

export const listExpiring = list<{ within?: Duration | undefined }, ExpiringGrant>(
  "list_expiring",
  { within: "interval" },
  {
    resourceType: "text",
    resourceId: "text",
    relation: "text",
    subjectType: "text",
    subjectId: "text",
    subjectRelation: "text",
    expiresAt: "timestamptz",
  },
);

export const cleanupExpired = fn<{ limit?: number | undefined }, { tuplesDeleted: string }>("authz.cleanup_expired", {
  args: { limit: "int" },
  returns: "row",
  columns: { tuplesDeleted: "bigint" },
});

// --- what is there

/** How much a namespace has. */
export interface AuthzStats {
  tupleCount: string;
  /** Rules of the namespace and of `global`. */
  hierarchyRuleCount: string;
  uniqueUsers: string;
  uniqueResources: string;
}

export const getStats = fn<Record<never, never>, AuthzStats>("authz.get_stats", {
  args: {},
  returns: "row",
  columns: { tupleCount: "bigint", hierarchyRuleCount: "bigint", uniqueUsers: "bigint", uniqueResources: "bigint" },
  isReadOnly: true,
});

/** Something that is not as it should be. */
export interface IntegrityProblem {
  resourceType: string;
  resourceId: string;
  status: "warning" | "error";
  details: string;
}

export const verifyIntegrity = list<Record<never, never>, IntegrityProblem>(
  "verify_integrity",
  {},
  { resourceType: "text", resourceId: "text", status: "text", details: "text" },
);

/** One change of who may do what. */
export interface AuditEvent {
  id: string;
  eventId: string;
  eventType: string;
  eventTime: Date;
  actorId: string | null;
  requestId: string | null;
  reason: string | null;
  onBehalfOf: string | null;
  /** The database user that signed in, and the one that it acted as. */
  sessionUserName: string;
  currentUserName: string;
  /** Where the connection came from; null if over a local socket. */
  clientAddr: string | null;
  clientPort: number | null;
  applicationName: string | null;
  backendPid: number;
  resourceType: string | null;
  resourceId: string | null;
  relation: string | null;
  subjectType: string | null;
  subjectId: string | null;
  subjectRelation: string | null;
  tupleId: string | null;
  expiresAt: Date | null;
  detail: Record<string, unknown> | null;
}

/** Which changes to read: those that have all of this. */
export interface AuditFilter {
  eventType?: string | undefined;
  actorId?: string | undefined;
  requestId?: string | undefined;
  onBehalfOf?: string | undefined;
  resourceType?: string | undefined;
  resourceId?: string | undefined;
  relation?: string | undefined;
  subjectType?: string | undefined;
  subjectId?: string | undefined;
  subjectRelation?: string | undefined;
  tupleId?: string | undefined;
}

export const listAuditEvents = list<
  {
    filter?: unknown;
    limit?: number | undefined;
    beforeTime?: Date | undefined;
    beforeId?: string | undefined;
  },
  AuditEvent
>(
  "list_audit_events",
  { filter: "jsonb", limit: "int", beforeTime: "timestamptz", beforeId: "bigint" },
  {
    id: "bigint",
    eventId: "uuid",
    eventType: "text",
    eventTime: "timestamptz",
    actorId: "text",
    requestId: "text",
    reason: "text",
    onBehalfOf: "text",
    sessionUserName: "text",
    currentUserName: "text",
    clientAddr: "inet",
    clientPort: "int",
    applicationName: "text",
    backendPid: "int",
    resourceType: "text",
    resourceId: "text",
    relation: "text",
    subjectType: "text",
    subjectId: "text",
    subjectRelation: "text",
    tupleId: "bigint",
    expiresAt: "timestamptz",
    detail: "jsonb",
  },
);

const withoutNamespace = <A extends object>(name: string, args: Record<string, SqlType>): Fn<A, void> =>
  fn<A, void>(`authz.${name}`, { args, returns: "void", isNamespaced: false });

export const setViewer = withoutNamespace<Subject>("set_viewer", subject);
export const clearViewer = withoutNamespace<Record<never, never>>("clear_viewer", {});

// --- models

export const installProgram = withoutNamespace<{ hash: string; source: string; ir: unknown }>("install_program", {
  hash: "text",
  source: "text",
  ir: "jsonb",
});

export const writeModel = value<
  { model: unknown; activate?: boolean | undefined; tests?: unknown; dsl?: string | undefined; options?: unknown },
  string
>("write_model", { model: "jsonb", activate: "boolean", tests: "jsonb", dsl: "text", options: "jsonb" });

export const activateModel = fn<{ modelId: string }, boolean>("authz.activate_model", {
  args: { modelId: "uuid" },
  returns: "value",
});

/** A stored model without its content. */
export interface ModelEntry {
  modelId: string;
  /** The model's name by its content. */
  digest: string;
  isActive: boolean;
  createdAt: Date;
  createdBy: string | null;
}

/** A stored model. */
export interface StoredModel extends ModelEntry {
  /** The namespace that has it: the client's, or `global`. */
  namespace: string;
  model: OpenFgaModel;
  dsl: string | null;
  options: Record<string, unknown>;
  tests: ModelTests | null;
}

const modelEntryColumns = {
  modelId: "uuid",
  digest: "text",
  isActive: "boolean",
  createdAt: "timestamptz",
  createdBy: "text",
} as const;

export const getModel = fn<{ modelId?: string | undefined }, StoredModel | null>("authz.get_model", {
  args: { modelId: "uuid" },
  returns: "row",
  columns: {
    ...modelEntryColumns,
    namespace: "text",
    model: "jsonb",
    dsl: "text",
    options: "jsonb",
    tests: "jsonb",
  },
  isReadOnly: true,
});

export const listModels = list<Record<never, never>, ModelEntry & { isInstalled: boolean }>(
  "list_models",
  {},
  { ...modelEntryColumns, isInstalled: "boolean" },
);

/** A stored tuple that the active model does not allow. */
export interface InvalidTuple {
  tupleId: string;
  resourceType: string;
  resourceId: string;
  relation: string;
  subjectType: string;
  subjectId: string;
  subjectRelation: string | null;
  conditionName: string | null;
  errorCode: string;
}

export const validateTuples = list<Record<never, never>, InvalidTuple>(
  "validate_tuples",
  {},
  {
    tupleId: "bigint",
    resourceType: "text",
    resourceId: "text",
    relation: "text",
    subjectType: "text",
    subjectId: "text",
    subjectRelation: "text",
    conditionName: "text",
    errorCode: "text",
  },
);

/** What came of one test of a model. */
export interface ModelTestResult {
  name: string;
  passed: boolean;
  detail: string | null;
}

export const testModel = list<{ modelId: string; tests?: unknown }, ModelTestResult>(
  "test_model",
  { modelId: "uuid", tests: "jsonb" },
  { name: "text", passed: "boolean", detail: "text" },
);

export const compiledSource = read<{ modelId: string; type: string; relation: string }, string>("compiled_source", {
  modelId: "uuid",
  type: "text",
  relation: "text",
});
