import { type Entity, parseObject } from "./entities.ts";

/** The resource of a {@link canDo}: the same one for all requests, or one that is found in each. */
export type ResourceOf<Request> = Entity | ((request: Request) => Entity | Promise<Entity>);

/**
 * What is demanded of a subject, as a plain frozen object. `Request` is what {@link canDo} finds its resources in; a predicate
 * without such a resource suits every request.
 */
export type Predicate<Request = unknown> =
  | { readonly role: string }
  | { readonly permission: string }
  | { readonly check: { readonly permission: string; readonly resource: ResourceOf<Request> } }
  | { readonly any: readonly Predicate<Request>[] }
  | { readonly all: readonly Predicate<Request>[] }
  | { readonly not: Predicate<Request> };

/** Holds for those who hold a role. */
export const hasRole = (role: string): { readonly role: string } => Object.freeze({ role });

/** Holds for those who have a permission, directly or by one of their roles. */
export const hasPermission = (permission: string): { readonly permission: string } => Object.freeze({ permission });

/** Holds for those who have a permission on a resource: `canDo("read", (c) => ["document", c.req.param("id")])`. */
export const canDo = <Request = unknown>(permission: string, resource: ResourceOf<Request>): Predicate<Request> =>
  Object.freeze({ check: Object.freeze({ permission, resource }) });

/** Holds if one of them does; without any, never. */
export const any = <Request = unknown>(...predicates: readonly Predicate<Request>[]): Predicate<Request> =>
  Object.freeze({ any: Object.freeze([...predicates]) });

/** Holds if all of them do; without any, always. */
export const all = <Request = unknown>(...predicates: readonly Predicate<Request>[]): Predicate<Request> =>
  Object.freeze({ all: Object.freeze([...predicates]) });

/** Holds if the other one does not. */
export const not = <Request = unknown>(predicate: Predicate<Request>): Predicate<Request> =>
  Object.freeze({ not: predicate });

/** Names of roles and permissions. */
export interface Slugs {
  roles: string[];
  permissions: string[];
}

/** The roles and permissions that a predicate names, once each. */
export function slugsOf(predicate: Predicate<never>): Slugs {
  const roles = new Set<string>();
  const permissions = new Set<string>();
  const visit = (part: Predicate<never>): void => {
    if ("role" in part) roles.add(part.role);
    else if ("permission" in part) permissions.add(part.permission);
    else if ("not" in part) visit(part.not);
    else if ("any" in part) part.any.forEach(visit);
    else if ("all" in part) part.all.forEach(visit);
  };
  visit(predicate);
  return { roles: [...roles], permissions: [...permissions] };
}

/** The predicate as `authz.evaluate` takes it, with the resources that a request has. */
export async function predicateJson<Request>(predicate: Predicate<Request>, request: Request): Promise<object> {
  const each = (parts: readonly Predicate<Request>[]): Promise<object[]> =>
    Promise.all(parts.map((part) => predicateJson(part, request)));
  if ("check" in predicate) {
    const { permission, resource } = predicate.check;
    const { type, id } = parseObject(typeof resource === "function" ? await resource(request) : resource);
    return { check: { permission, resource_type: type, resource_id: id } };
  }
  if ("any" in predicate) return { any: await each(predicate.any) };
  if ("all" in predicate) return { all: await each(predicate.all) };
  if ("not" in predicate) return { not: await predicateJson(predicate.not, request) };
  return predicate;
}
