// What seed files may list of authz: permissions, then roles that have them, then who has either.
import { call, defineSeed, type Queryable, type SeedChange, type SeedSection } from "@howdah/core";
import { z } from "zod";
import { type Entity, entityText, parseObject } from "./entities.ts";
import { readTuples, type Tuple } from "./functions.ts";
import { type Permission, Rbac, type SlugOptions } from "./rbac.ts";

const slug = z
  .string()
  .regex(
    /^[a-z][a-z0-9_:-]{0,63}$/,
    "must be lower-case letters, digits, _, : and -, beginning with a letter, at most 64",
  );
const described = { slug, label: z.string().optional(), description: z.string().optional() };

/** A list in which no two elements are for the same thing. */
const listOf = <Item extends z.ZodType>(item: Item, nameOf: (value: z.output<Item>) => string) =>
  z.array(item).superRefine((values, context) => {
    const seen = new Set<string>();
    values.forEach((value, i) => {
      const name = nameOf(value);
      if (seen.has(name)) context.addIssue({ code: "custom", path: [i], message: `${name} is listed twice` });
      seen.add(name);
    });
  });

const permissions = defineSeed({
  key: "permissions",
  value: listOf(z.strictObject(described), (item) => item.slug).describe(
    "what may be permitted: slug, label, description",
  ),
  async apply(tx, items, { namespace, prune }) {
    const rbac = new Rbac(tx, { namespace });
    const registered = own(await rbac.listPermissions(), namespace);
    return register("permission", items, registered, prune, {
      create: (slug, options) => rbac.createPermission(slug, options),
      update: (slug, options) => rbac.updatePermission(slug, options),
      delete: (slug) => rbac.deletePermission(slug),
    });
  },
});

const roles = defineSeed({
  key: "roles",
  value: listOf(z.strictObject({ ...described, permissions: z.array(slug).optional() }), (item) => item.slug).describe(
    "sets of permissions: slug, label, description, permissions",
  ),
  async apply(tx, items, { namespace, prune }) {
    const rbac = new Rbac(tx, { namespace });
    const before = await rbac.listRoles();
    const changes = await register("role", items, own(before, namespace), prune, {
      create: (slug, options) => rbac.createRole(slug, options),
      update: (slug, options) => rbac.updateRole(slug, options),
      delete: (slug) => rbac.deleteRole(slug),
    });
    for (const { slug, permissions } of items) {
      if (permissions === undefined) continue;
      for (const permission of permissions) {
        const isNew = await rbac.grantRolePermission(slug, permission);
        if (isNew) changes.push({ action: "create", what: `permission ${permission} of role ${slug}` });
      }
      const held = before.find((role) => role.slug === slug)?.permissions ?? [];
      for (const permission of prune ? held.filter((one) => !permissions.includes(one)) : []) {
        const wasOwn = await rbac.revokeRolePermission(slug, permission);
        if (wasOwn) changes.push({ action: "delete", what: `permission ${permission} of role ${slug}` });
      }
    }
    return changes;
  },
});

const subject = z.string().refine(isSubject, 'must be a type and an id, such as "user:ann"');

const grants = defineSeed({
  key: "grants",
  value: z
    .array(
      z
        .strictObject({ subject, role: slug.optional(), permission: slug.optional() })
        .refine(
          (grant) => grant.role !== undefined || grant.permission !== undefined,
          "must give a role or a permission",
        ),
    )
    .describe('who has them: subject ("user:ann"), role, permission'),
  async apply(tx, items, { namespace, prune }) {
    const rbac = new Rbac(tx, { namespace });
    const changes: SeedChange[] = [];
    const listed = new Set<string>();
    for (const { subject, role, permission } of items) {
      const entity = subject as Entity;
      const give = async (what: string, isNew: Promise<boolean>): Promise<void> => {
        listed.add(what.normalize("NFC"));
        if (await isNew) changes.push({ action: "create", what });
      };
      if (role !== undefined) await give(`role ${role} of ${subject}`, rbac.assignRole(entity, role));
      if (permission !== undefined) {
        await give(`permission ${permission} of ${subject}`, rbac.grantPermission(entity, permission));
      }
    }
    if (!prune) return changes;
    for (const tuple of await assignments(tx, namespace)) {
      const entity = { type: tuple.subjectType, id: tuple.subjectId };
      const isRole = tuple.resourceType === "rbac_role";
      const what = `${isRole ? "role" : "permission"} ${tuple.resourceId} of ${entityText(entity)}`;
      if (listed.has(what.normalize("NFC"))) continue;
      const wasGiven = isRole
        ? await rbac.unassignRole(entity, tuple.resourceId)
        : await rbac.revokePermission(entity, tuple.resourceId);
      if (wasGiven) changes.push({ action: "delete", what });
    }
    return changes;
  },
});

/** In the order in which they are applied. */
export const seed: readonly SeedSection[] = [permissions, roles, grants];

interface Registry {
  create(slug: string, options: SlugOptions): Promise<boolean>;
  update(slug: string, options: SlugOptions): Promise<boolean>;
  delete(slug: string): Promise<boolean>;
}

/** Registers names, and describes them as the file does where it does. */
async function register(
  kind: string,
  items: readonly { slug: string; label?: string | undefined; description?: string | undefined }[],
  registered: ReadonlyMap<string, Permission>,
  prune: boolean,
  registry: Registry,
): Promise<SeedChange[]> {
  const changes: SeedChange[] = [];
  const note = (isMade: boolean, action: SeedChange["action"], slug: string): void => {
    if (isMade) changes.push({ action, what: `${kind} ${slug}` });
  };
  for (const { slug, label, description } of items) {
    const known = registered.get(slug);
    const options = {
      label: label ?? known?.label ?? undefined,
      description: description ?? known?.description ?? undefined,
    };
    if (known) note(await registry.update(slug, options), "update", slug);
    else note(await registry.create(slug, options), "create", slug);
  }
  const listed = new Set(items.map((item) => item.slug));
  for (const slug of prune ? registered.keys() : []) {
    if (!listed.has(slug)) note(await registry.delete(slug), "delete", slug);
  }
  return changes;
}

const own = <Item extends Permission>(items: readonly Item[], namespace: string): Map<string, Item> =>
  new Map(items.filter((item) => item.namespace === namespace).map((item) => [item.slug, item]));

/** Who holds which role, and has which permission directly. */
async function assignments(tx: Queryable, namespace: string): Promise<Tuple[]> {
  const limit = 1000;
  const found: Tuple[] = [];
  for (const resourceType of ["rbac_role", "rbac_permission"]) {
    let page: Tuple[];
    let cursor: string | undefined;
    do {
      page = await call(tx, readTuples, { filter: { resource_type: resourceType }, limit, cursor }, { namespace });
      found.push(...page.filter((tuple) => tuple.subjectRelation === null));
      cursor = page.at(-1)?.id;
    } while (page.length === limit);
  }
  return found;
}

function isSubject(text: string): boolean {
  try {
    return parseObject(text as Entity) !== undefined;
  } catch {
    return false;
  }
}
