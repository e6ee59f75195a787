import { type Fn, fn, ModuleClient, type SqlType } from "@howdah/core";
import { type Entity, parseObject } from "./entities.ts";
import { rethrow } from "./errors.ts";
import { type Predicate, predicateJson, type Slugs } from "./predicates.ts";

/** A role, as a namespace has it. */
export interface Role extends Permission {
  /** The slugs of its permissions. */
  permissions: string[];
}

/** A permission, as a namespace has it. */
export interface Permission {
  slug: string;
  label: string | null;
  description: string | null;
  /** Where it is registered: the namespace itself, or `global`. */
  namespace: string;
  createdAt: Date;
}

/** What people read about a role or permission. */
export interface SlugOptions {
  label?: string | undefined;
  description?: string | undefined;
}

/** How a role or permission is given. */
export interface AssignOptions {
  /** When it ends; by default never. A second call sets it anew. */
  expiresAt?: Date | undefined;
}

/** A permission that a subject has. */
export interface SubjectPermission {
  permission: string;
  /** Whether it is granted to the subject itself. */
  direct: boolean;
  /** The roles that give it. */
  viaRoles: string[];
}

interface Subject {
  subjectType: string;
  subjectId: string;
}
const subject = { subjectType: "text", subjectId: "text" } as const;

const change = <A extends object>(name: string, args: Record<string, SqlType>): Fn<A, boolean> =>
  fn<A, boolean>(`authz.${name}`, { args, returns: "value" });

const question = <A extends object>(name: string, args: Record<string, SqlType>): Fn<A, boolean> =>
  fn<A, boolean>(`authz.${name}`, { args, returns: "value", isReadOnly: true });

const list = <A extends object, R>(
  name: string,
  args: Record<string, SqlType>,
  columns: Record<string, SqlType>,
): Fn<A, R[]> => fn<A, R[]>(`authz.${name}`, { args, returns: "rows", columns, isReadOnly: true });

const described = { slug: "text", label: "text", description: "text" } as const;
const columns = { ...described, namespace: "text", createdAt: "timestamptz" } as const;

/** The SQL functions of roles and permissions, in the order of the SQL files. */
export const rbacFunctions = {
  createRole: change<{ slug: string } & SlugOptions>("create_role", described),
  updateRole: change<{ slug: string } & SlugOptions>("update_role", described),
  deleteRole: change<{ slug: string }>("delete_role", { slug: "text" }),
  createPermission: change<{ slug: string } & SlugOptions>("create_permission", described),
  updatePermission: change<{ slug: string } & SlugOptions>("update_permission", described),
  deletePermission: change<{ slug: string }>("delete_permission", { slug: "text" }),
  listRoles: list<Record<never, never>, Role>("list_roles", {}, { ...columns, permissions: "text[]" }),
  listPermissions: list<{ role?: string | undefined }, Permission>("list_permissions", { role: "text" }, columns),
  grantRolePermission: change<{ role: string; permission: string }>("grant_role_permission", {
    role: "text",
    permission: "text",
  }),
  revokeRolePermission: change<{ role: string; permission: string }>("revoke_role_permission", {
    role: "text",
    permission: "text",
  }),
  assignRole: change<Subject & { role: string } & AssignOptions>("assign_role", {
    ...subject,
    role: "text",
    expiresAt: "timestamptz",
  }),
  unassignRole: change<Subject & { role: string }>("unassign_role", { ...subject, role: "text" }),
  grantPermission: change<Subject & { permission: string } & AssignOptions>("grant_permission", {
    ...subject,
    permission: "text",
    expiresAt: "timestamptz",
  }),
  revokePermission: change<Subject & { permission: string }>("revoke_permission", { ...subject, permission: "text" }),
  hasRole: question<Subject & { role: string }>("has_role", { ...subject, role: "text" }),
  hasPermission: question<Subject & { permission: string }>("has_permission", { ...subject, permission: "text" }),
  subjectRoles: list<Subject, { subjectRoles: string }>("subject_roles", subject, { subjectRoles: "text" }),
  subjectPermissions: list<Subject, SubjectPermission>("subject_permissions", subject, {
    permission: "text",
    direct: "boolean",
    viaRoles: "text[]",
  }),
  heldSlugs: fn<Subject & { roles: readonly string[]; permissions: readonly string[] }, Slugs>("authz.held_slugs", {
    args: { ...subject, roles: "text[]", permissions: "text[]" },
    returns: "row",
    columns: { roles: "text[]", permissions: "text[]" },
    isReadOnly: true,
  }),
  unknownSlugs: list<{ roles: readonly string[]; permissions: readonly string[] }, { unknownSlugs: string }>(
    "unknown_slugs",
    { roles: "text[]", permissions: "text[]" },
    { unknownSlugs: "text" },
  ),
  evaluate: question<Subject & { predicate: unknown }>("evaluate", { ...subject, predicate: "jsonb" }),
} as const;

const sql = rbacFunctions;

/** Roles and permissions: what there is, and who has it. */
export class Rbac extends ModuleClient {
  /**
   * Registers a role, which nobody holds yet; in namespace `global` for every tenant.
   *
   * @returns false if the namespace has it already, which is left as it is
   * @throws {ValidationError} `slug_invalid`
   */
  createRole(slug: string, options: SlugOptions = {}): Promise<boolean> {
    return this.call(sql.createRole, { slug, ...options }).catch(rethrow);
  }

  /**
   * Gives a role another label and description; what is left out becomes empty.
   *
   * @returns whether something changed
   */
  updateRole(slug: string, options: SlugOptions = {}): Promise<boolean> {
    return this.call(sql.updateRole, { slug, ...options }).catch(rethrow);
  }

  /**
   * Deletes a role and takes it from everyone.
   *
   * @returns false if the namespace registers no such role
   */
  deleteRole(slug: string): Promise<boolean> {
    return this.call(sql.deleteRole, { slug }).catch(rethrow);
  }

  /** Lists the roles of the namespace and of `global`, by slug. */
  listRoles(): Promise<Role[]> {
    return this.call(sql.listRoles, {}).catch(rethrow);
  }

  /**
   * Registers a permission, which nobody has yet; in namespace `global` for every tenant.
   *
   * @returns false if the namespace has it already, which is left as it is
   * @throws {ValidationError} `slug_invalid`
   */
  createPermission(slug: string, options: SlugOptions = {}): Promise<boolean> {
    return this.call(sql.createPermission, { slug, ...options }).catch(rethrow);
  }

  /**
   * Gives a permission another label and description; what is left out becomes empty.
   *
   * @returns whether something changed
   */
  updatePermission(slug: string, options: SlugOptions = {}): Promise<boolean> {
    return this.call(sql.updatePermission, { slug, ...options }).catch(rethrow);
  }

  /**
   * Deletes a permission and takes it from everyone.
   *
   * @returns false if the namespace registers no such permission
   */
  deletePermission(slug: string): Promise<boolean> {
    return this.call(sql.deletePermission, { slug }).catch(rethrow);
  }

  /** Lists the permissions of the namespace and of `global`, or those of one role, by slug. */
  listPermissions(options: { role?: string } = {}): Promise<Permission[]> {
    return this.call(sql.listPermissions, options).catch(rethrow);
  }

  /**
   * Gives a permission to a role, and so to all who hold it.
   *
   * @returns false if the role has it already
   * @throws {NotFoundError} `slug_unknown`
   */
  grantRolePermission(role: string, permission: string): Promise<boolean> {
    return this.call(sql.grantRolePermission, { role, permission }).catch(rethrow);
  }

  /**
   * Takes a permission from a role.
   *
   * @returns false if the role did not have it
   */
  revokeRolePermission(role: string, permission: string): Promise<boolean> {
    return this.call(sql.revokeRolePermission, { role, permission }).catch(rethrow);
  }

  /**
   * Gives a role to a subject.
   *
   * @returns false if the subject has it already, until the same time
   * @throws {NotFoundError} `slug_unknown`
   */
  assignRole(subject: Entity, role: string, options: AssignOptions = {}): Promise<boolean> {
    return this.ask(sql.assignRole, subject, { role, ...options });
  }

  /**
   * Takes a role from a subject.
   *
   * @returns false if the subject did not have it
   */
  unassignRole(subject: Entity, role: string): Promise<boolean> {
    return this.ask(sql.unassignRole, subject, { role });
  }

  /**
   * Gives a permission to a subject directly, beside those that its roles give.
   *
   * @returns false if the subject has it already, until the same time
   * @throws {NotFoundError} `slug_unknown`
   */
  grantPermission(subject: Entity, permission: string, options: AssignOptions = {}): Promise<boolean> {
    return this.ask(sql.grantPermission, subject, { permission, ...options });
  }

  /**
   * Takes a permission from a subject to which it was given directly; what its roles give stays.
   *
   * @returns false if there was no such grant
   */
  revokePermission(subject: Entity, permission: string): Promise<boolean> {
    return this.ask(sql.revokePermission, subject, { permission });
  }

  /** Whether a subject holds a role. */
  hasRole(subject: Entity, role: string): Promise<boolean> {
    return this.ask(sql.hasRole, subject, { role });
  }

  /** Whether a subject has a permission, directly or by one of its roles. */
  hasPermission(subject: Entity, permission: string): Promise<boolean> {
    return this.ask(sql.hasPermission, subject, { permission });
  }

  /** Lists the roles that a subject holds. */
  async subjectRoles(subject: Entity): Promise<string[]> {
    return (await this.ask(sql.subjectRoles, subject, {})).map((row) => row.subjectRoles);
  }

  /** Lists the permissions that a subject has, and where from. */
  subjectPermissions(subject: Entity): Promise<SubjectPermission[]> {
    return this.ask(sql.subjectPermissions, subject, {});
  }

  /**
   * Whether a subject meets a predicate, such as `any(hasRole("admin"), canDo("read", ["document", "1"]))`.
   *
   * @param request what the predicate finds its resources in, if it does
   * @throws {ValidationError} `predicate_invalid`, naming the path of the mistake
   */
  async evaluate<Request>(subject: Entity, predicate: Predicate<Request>, request?: Request): Promise<boolean> {
    return this.ask(sql.evaluate, subject, { predicate: await predicateJson(predicate, request as Request) });
  }

  /** Which of some roles and permissions a subject has. */
  heldSlugs(subject: Entity, { roles = [], permissions = [] }: Partial<Slugs>): Promise<Slugs> {
    return this.ask(sql.heldSlugs, subject, { roles, permissions });
  }

  /** Which of some roles and permissions do not exist. */
  async unknownSlugs({ roles = [], permissions = [] }: Partial<Slugs>): Promise<string[]> {
    const found = await this.call(sql.unknownSlugs, { roles, permissions }).catch(rethrow);
    return found.map((row) => row.unknownSlugs);
  }

  private async ask<A extends object, R>(f: Fn<Subject & A, R>, subject: Entity, args: A): Promise<R> {
    const { type, id } = parseObject(subject);
    return this.call(f, { subjectType: type, subjectId: id, ...args }).catch(rethrow);
  }
}
