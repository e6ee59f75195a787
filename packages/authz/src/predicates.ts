import { type Entity, parseObject } from "./entities.ts";
import { invalid } from "./errors.ts";

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

/**
 * A predicate as the one thing that it demands, and its parts. What demands two things, such as `{ role, all }`, demands
 * neither for certain, so it is refused like everything else that is no predicate.
 */
type Demand<Request> =
  | readonly ["role", slug: string]
  | readonly ["permission", slug: string]
  | readonly ["check", { readonly permission: string; readonly resource: ResourceOf<Request> }]
  | readonly ["any", parts: readonly Predicate<Request>[]]
  | readonly ["all", parts: readonly Predicate<Request>[]]
  | readonly ["not", part: Predicate<Request>];

function demandOf<Request>(predicate: Predicate<Request>): Demand<Request> {
  const [first, ...others] = Object.entries(predicate ?? {});
  const [kind = "", value] = first ?? [];
  const isRight = Object.hasOwn(tests, kind) && tests[kind as keyof typeof tests](value);
  if (isRight && others.length === 0) return [kind, value] as unknown as Demand<Request>;
  throw invalid("predicate_invalid", `${JSON.stringify(predicate)?.slice(0, 100)} is no predicate`, {
    hint: "Make predicates with hasRole, hasPermission, canDo, any, all and not",
  });
}

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null;
const isText = (value: unknown): boolean => typeof value === "string";
const tests = {
  role: isText,
  permission: isText,
  check: isObject,
  any: Array.isArray,
  all: Array.isArray,
  not: isObject,
};

/**
 * The roles and permissions that a predicate names, once each.
 *
 * @throws {ValidationError} `predicate_invalid`
 */
export function slugsOf(predicate: Predicate<never>): Slugs {
  const roles = new Set<string>();
  const permissions = new Set<string>();
  const visit = (part: Predicate<never>): void => {
    const [kind, value] = demandOf(part);
    if (kind === "role") roles.add(value);
    else if (kind === "permission") permissions.add(value);
    else if (kind === "not") visit(value);
    else if (kind !== "check") value.forEach(visit);
  };
  visit(predicate);
  return { roles: [...roles], permissions: [...permissions] };
}

/**
 * The predicate as `authz.evaluate` takes it, with the resources that a request has.
 *
 * @throws {ValidationError} `predicate_invalid`
 */
export async function predicateJson<Request>(predicate: Predicate<Request>, request: Request): Promise<object> {
  const [kind, value] = demandOf(predicate);
  if (kind === "role" || kind === "permission") return { [kind]: value };
  if (kind === "not") return { not: await predicateJson(value, request) };
  if (kind !== "check") return { [kind]: await Promise.all(value.map((part) => predicateJson(part, request))) };
  const { permission, resource } = value;
  const { type, id } = parseObject(typeof resource === "function" ? await resource(request) : resource);
  return { check: { permission, resource_type: type, resource_id: id } };
}
