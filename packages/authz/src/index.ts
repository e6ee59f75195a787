export {
  Authz,
  type AuthzOptions,
  type CheckOptions,
  createAuthz,
  type Decision,
  type Grant,
  type GrantOptions,
  type Listing,
  type PageOptions,
  type Question,
  type SubjectEntry,
} from "./authz.ts";
export {
  type CompiledModel,
  compileModel,
  type ModelInput,
  ModelInvalidError,
  type ModelOptions,
  type ModelProblem,
  type ModelProblemCode,
  type OpenFgaModel,
} from "./compiler/index.ts";
export { type Entity, type EntityParts, entityText, parseEntity } from "./entities.ts";
export { type AuthzErrorCode, ConditionError } from "./errors.ts";
export type {
  AuditEvent,
  AuditFilter,
  AuthzStats,
  ExpiringGrant,
  ExternalResource,
  IntegrityProblem,
  InvalidTuple,
  ModelEntry,
  ModelTestResult,
  PermissionPath,
  StoredModel,
  SubjectGrant,
  Tuple,
  TupleFilter,
} from "./functions.ts";
export { authzWeb, type Denial, type Guarded, type GuardOptions, type WebGuardOptions } from "./guard.ts";
export type { Loader } from "./loader.ts";
export type { ModelChange } from "./model-diff.ts";
export type { Models, ModelTest, ModelTests, WriteModelOptions } from "./models.ts";
export { authzModule } from "./module.ts";
export {
  all,
  any,
  canDo,
  hasPermission,
  hasRole,
  not,
  type Predicate,
  type ResourceOf,
  type Slugs,
} from "./predicates.ts";
export type { AssignOptions, Permission, Rbac, Role, SlugOptions, SubjectPermission } from "./rbac.ts";
export type { RoleSource, RoleSourceOptions } from "./role-source.ts";
export type { TupleInput } from "./tuple.ts";
