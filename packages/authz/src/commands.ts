import { type Command, call, defineCommand, fn, milliseconds } from "@howdah/core";
import { z } from "zod";
import { type Entity, parseEntity, parseObject } from "./entities.ts";
import { check } from "./functions.ts";
import { modelCommands } from "./model-commands.ts";
import { Rbac } from "./rbac.ts";

const namespace = z.string().default("default").describe("the tenant");
const registry = namespace.describe("the tenant; global for all of them");
const label = z.string().optional().describe("its name for people");
const description = z.string().optional().describe("what it is for");
const role = z.string().describe("a role");
const permission = z.string().describe("a permission");

/** A subject or resource, as the command line has it: `user:ann`, or `["user", "a#b"]` for what cannot be written so. */
const entity = (isOne: (entity: Entity) => unknown, message: string) =>
  z.string(message).transform((text, context): Entity => {
    try {
      const entity: Entity = text.startsWith("[") ? JSON.parse(text) : text;
      isOne(entity);
      return entity;
    } catch {
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    }
  });
const single = entity(parseObject, 'must be a type and an id, such as "user:ann"');
const anybody = entity(parseEntity, 'must be a type and an id, such as "user:ann" or "group:eng#member"');
const subject = single.describe("who, such as user:ann");
const resource = single.describe("on what, such as document:1");

/** The `explain_text` of the database, whose lines are for people. */
const explainText = fn<ReturnType<typeof question>, { explainText: string }[]>("authz.explain_text", {
  args: { subjectType: "text", subjectId: "text", permission: "text", resourceType: "text", resourceId: "text" },
  returns: "rows",
  columns: { explainText: "text" },
  isReadOnly: true,
});

/** What authz adds to the `howdah` command line. */
export const commands: readonly Command[] = [
  defineCommand({
    path: "perms create <slug>",
    summary: "register a permission",
    options: z.object({
      slug: z.string().describe("its name, such as posts:write"),
      namespace: registry,
      label,
      description,
    }),
    run: async (db, { slug, namespace, ...options }) => ({
      created: await new Rbac(db, { namespace }).createPermission(slug, options),
    }),
  }),
  defineCommand({
    path: "perms delete <slug>",
    summary: "delete a permission, and take it from everyone",
    options: z.object({ slug: permission, namespace: registry }),
    confirm: ({ slug, namespace }) =>
      `Delete permission ${slug} of ${namespace}, and take it from everyone who has it?`,
    run: async (db, { slug, namespace }) => ({
      deleted: await new Rbac(db, { namespace }).deletePermission(slug),
    }),
  }),
  defineCommand({
    path: "perms list",
    summary: "list permissions, also those of global",
    options: z.object({ namespace, role: role.optional().describe("those of one role only") }),
    run: (db, { namespace, role }) => new Rbac(db, { namespace }).listPermissions(role === undefined ? {} : { role }),
  }),
  defineCommand({
    path: "roles create <slug>",
    summary: "register a role",
    options: z.object({
      slug: z.string().describe("its name, such as editor"),
      namespace: registry,
      label,
      description,
    }),
    run: async (db, { slug, namespace, ...options }) => ({
      created: await new Rbac(db, { namespace }).createRole(slug, options),
    }),
  }),
  defineCommand({
    path: "roles delete <slug>",
    summary: "delete a role, and take it from everyone",
    options: z.object({ slug: role, namespace: registry }),
    confirm: ({ slug, namespace }) => `Delete role ${slug} of ${namespace}, and take it from everyone who holds it?`,
    run: async (db, { slug, namespace }) => ({ deleted: await new Rbac(db, { namespace }).deleteRole(slug) }),
  }),
  defineCommand({
    path: "roles list",
    summary: "list roles and their permissions, also those of global, or the roles of a subject",
    options: z.object({
      namespace,
      subject: single.optional().describe("those that this one holds, such as user:ann"),
    }),
    run: async (db, { namespace, subject }) => {
      const rbac = new Rbac(db, { namespace });
      const roles = await rbac.listRoles();
      if (subject === undefined) return roles;
      const held = await rbac.subjectRoles(subject);
      return roles.filter(({ slug }) => held.includes(slug));
    },
  }),
  defineCommand({
    path: "roles grant <role> <permission>",
    summary: "give a permission to a role",
    options: z.object({ role, permission, namespace: registry }),
    run: async (db, { role, permission, namespace }) => ({
      granted: await new Rbac(db, { namespace }).grantRolePermission(role, permission),
    }),
  }),
  defineCommand({
    path: "roles revoke <role> <permission>",
    summary: "take a permission from a role",
    options: z.object({ role, permission, namespace: registry }),
    run: async (db, { role, permission, namespace }) => ({
      revoked: await new Rbac(db, { namespace }).revokeRolePermission(role, permission),
    }),
  }),
  defineCommand({
    path: "roles assign <subject> <role>",
    summary: "give a role to a subject",
    options: z.object({
      subject,
      role,
      namespace,
      expiresIn: z
        .string()
        .refine(isDuration, 'must be a length of time, such as "30 days"')
        .optional()
        .describe('for how long, such as "30 days"; default for ever'),
    }),
    run: async (db, { subject, role, namespace, expiresIn }) => {
      const expiresAt = expiresIn === undefined ? undefined : new Date(Date.now() + milliseconds(expiresIn));
      return { assigned: await new Rbac(db, { namespace }).assignRole(subject, role, { expiresAt }) };
    },
  }),
  defineCommand({
    path: "roles unassign <subject> <role>",
    summary: "take a role from a subject",
    options: z.object({ subject, role, namespace }),
    run: async (db, { subject, role, namespace }) => ({
      unassigned: await new Rbac(db, { namespace }).unassignRole(subject, role),
    }),
  }),
  defineCommand({
    path: "authz check <subject> <permission> <resource>",
    summary: "tell whether a subject has a permission on a resource",
    options: z.object({
      subject: anybody.describe("who, such as user:ann or group:eng#member"),
      permission,
      resource,
      namespace,
      context: z
        .record(z.string(), z.unknown(), 'must be JSON, such as {"ip": "10.0.0.7"}')
        .optional()
        .describe('what conditions ask for, such as {"ip": "10.0.0.7"}'),
    }),
    run: async (db, { subject, permission, resource, namespace, context }) => {
      const { relation: subjectRelation } = parseEntity(subject);
      const args = { ...question(subject, permission, resource), subjectRelation, context };
      return { allowed: await call(db, check, args, { namespace }) };
    },
  }),
  defineCommand({
    path: "authz explain <subject> <permission> <resource>",
    summary: "tell why a subject has a permission on a resource, or that it has not",
    options: z.object({ subject, permission, resource, namespace }),
    run: async (db, { subject, permission, resource, namespace }) => {
      const lines = await call(db, explainText, question(subject, permission, resource), { namespace });
      return lines.map((line) => line.explainText);
    },
  }),
  ...modelCommands,
];

/** The arguments of a question that one resource is about. */
function question(subject: Entity, permission: string, resource: Entity) {
  const { type: subjectType, id: subjectId } = parseEntity(subject);
  const { type: resourceType, id: resourceId } = parseObject(resource);
  return { subjectType, subjectId, permission, resourceType, resourceId };
}

function isDuration(text: string): boolean {
  try {
    return milliseconds(text) > 0;
  } catch {
    return false;
  }
}
