import type { Slugs } from "./predicates.ts";
import type { Rbac } from "./rbac.ts";

/** Where the guards of another module find the roles and permissions of its users; authn takes it as it is. */
export interface RoleSource {
  /** Which of the wanted roles and permissions a user has. */
  load(
    session: { namespace: string; userId: string },
    want: Slugs,
  ): Promise<{ roles: Set<string>; permissions: Set<string> }>;
  /** Which of these do not exist in the client's namespace. */
  unknown(slugs: Slugs): Promise<string[]>;
}

/** How {@link roleSource} understands users. */
export interface RoleSourceOptions {
  /** The type of subject that a user is; default `user`. */
  subjectType?: string;
}

/** Makes roles and permissions known to the module that signs users in. */
export const roleSource = (rbac: Rbac, { subjectType = "user" }: RoleSourceOptions = {}): RoleSource => ({
  async load({ namespace, userId }, want) {
    const { roles, permissions } = await rbac.in(namespace).heldSlugs([subjectType, userId], want);
    return { roles: new Set(roles), permissions: new Set(permissions) };
  },
  unknown: (slugs) => rbac.unknownSlugs(slugs),
});
