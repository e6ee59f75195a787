export { type Entity, type EntityParts, entityText, parseEntity } from "./entities.ts";
export { authzWeb, type Denial, type Guarded, type GuardOptions, type WebGuardOptions } from "./guard.ts";
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
