// All public functions, read from the catalog, and arguments with which each does its work: what must hold of every function is
// asked of every function, also of those that are written tomorrow.
import type { Queryable } from "@howdah/core";
import { compile, deploy } from "./program.ts";
import { rows, value } from "./sql.ts";
import { rowOf, store, tuple } from "./store.ts";

/** A parameter, as the catalog has it. */
export interface Parameter {
  name: string;
  type: string;
  isOptional: boolean;
}

/** A function that may be granted to others. */
export interface PublicFunction {
  name: string;
  parameters: Parameter[];
  /** Whether it only reads. */
  isStable: boolean;
}

/** All functions of schema authz but the internal ones. */
export const publicFunctions = (db: Queryable): Promise<PublicFunction[]> =>
  rows(
    db,
    `select p.proname as name, p.provolatile <> 'v' as "isStable", coalesce(
       (
         select jsonb_agg(jsonb_build_object('name', a.name, 'type', format_type(a.type, null),
           'isOptional', a.at > p.pronargs - p.pronargdefaults) order by a.at)
         from unnest(p.proargnames[1 : p.pronargs], p.proargtypes::oid[]) with ordinality a (name, type, at)
       ), '[]') as parameters
     from pg_proc p
     where p.pronamespace = 'authz'::regnamespace and p.proname not like '\\_%'
     order by p.proname collate "C"`,
  );

/** Arguments by the names of their parameters. */
export type Arguments = Record<string, unknown>;

/** A namespace of {@link settle}, and a model that is stored there. */
export interface Place {
  namespace: string;
  model: string;
}

/** Writes an id in another way. */
export type Spelling = (id: string) => string;
const asItIs: Spelling = (id) => id;

const program = compile(`
type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define viewer: [user, group#member]
type document
  relations
    define parent: [folder]
    define blocked: [user]
    define owner: [user]
    define viewer: [user, user:*, group#member, user with recent] or owner or viewer from parent
    define seer: viewer but not blocked
condition recent(age: int) {
  age < 10
}`);

/** Two namespaces with the same tuples: in `modelled` a model decides about them, in `plain` the dynamic rule. */
export async function settle(db: Queryable, spell: Spelling = asItIs): Promise<Place[]> {
  const places: Place[] = [];
  for (const namespace of ["modelled", "plain"]) {
    places.push({ namespace, model: await deploy(db, program, { namespace, activate: namespace === "modelled" }) });
    const tuples = [
      tuple(`document:${spell("1")}#viewer@user:${spell("ann")}`),
      tuple(`document:${spell("1")}#owner@user:${spell("bob")}`),
      tuple(`document:${spell("2")}#viewer@group:${spell("g")}#member`),
      tuple(`document:${spell("3")}#viewer@user:${spell("ann")}`),
      tuple(`document:${spell("4")}#parent@folder:${spell("f")}`),
      tuple(`document:${spell("5")}#viewer@user:${spell("shared")}`),
      ...(namespace === "modelled"
        ? [tuple(`document:${spell("6")}#viewer@user:${spell("guest")}`, { condition: "recent" })]
        : []),
      tuple(`folder:${spell("f")}#viewer@group:${spell("g")}#member`),
      tuple(`group:${spell("g")}#member@group:${spell("h")}#member`),
      tuple(`group:${spell("h")}#member@user:${spell("ann")}`),
      tuple(`rbac_role:editor#member@user:${spell("ann")}`),
      tuple("rbac_permission:posts:write#granted@rbac_role:editor#member"),
      tuple(`rbac_permission:posts:write#granted@user:${spell("ann")}`),
    ];
    await store(
      db,
      tuples.map((each) => ({
        ...rowOf(each, namespace),
        ...(each.resource.id === spell("3") ? { expires_at: "2998-01-01T00:00:00Z" } : {}),
      })),
    );
    await db.query(
      `insert into authz.permission_hierarchy (namespace, resource_type, permission, implies)
       values ($1, 'document', 'owner', 'viewer'), ($1, 'document', 'viewer', 'seer')`,
      [namespace],
    );
    await db.query("insert into authz.roles (namespace, slug) values ($1, 'editor')", [namespace]);
    await db.query("insert into authz.permissions (namespace, slug) values ($1, 'posts:write')", [namespace]);
  }
  return places;
}

/** What most parameters take, by their names. */
const usual = (spell: Spelling): Arguments => ({
  p_subject_type: "user",
  p_subject_id: spell("ann"),
  p_from_subject_type: "user",
  p_from_subject_id: spell("ann"),
  p_to_subject_type: "user",
  p_to_subject_id: spell("eve"),
  p_permission: "viewer",
  p_permissions: ["viewer", "seer"],
  p_resource_type: "document",
  p_resource_id: spell("1"),
  p_resource_ids: [spell("1"), spell("2"), spell("9")],
  p_subject_ids: [spell("ann"), spell("eve")],
  p_relation: "viewer",
  p_implies: "seer",
  p_type: "document",
  p_exclude_namespace: "elsewhere",
  p_expires_at: "2999-01-01T00:00:00Z",
  p_extension: "1 day",
  p_within: "1000 years",
  p_budget: "10 s",
  p_limit: 10,
  p_role: "editor",
  p_roles: ["editor", "nobody"],
  p_slug: "editor",
  p_label: "Editor",
  p_description: "edits",
  p_tenant_id: "plain",
  p_actor_id: "user:ann",
  p_request_id: "req-1",
  p_reason: "ticket",
  p_on_behalf_of: "user:bob",
  p_predicate: {
    any: [{ role: "nobody" }, { check: { permission: "viewer", resource_type: "document", resource_id: spell("1") } }],
  },
  p_context: { age: 1 },
  p_contextual_tuples: [`group:${spell("y")}#member@user:${spell("eve")}`],
  p_checks: [
    `document:${spell("1")}#viewer@user:${spell("ann")}`,
    `document:${spell("9")}#viewer@user:${spell("ann")}`,
  ],
  p_writes: [`document:${spell("9")}#viewer@user:${spell("ann")}`],
  p_deletes: [`document:${spell("1")}#viewer@user:${spell("ann")}`],
  p_filter: { resource_id: spell("1"), subject_id: spell("ann") },
  p_tests: [
    {
      name: "the wrong way round",
      tuples: [`document:${spell("1")}#viewer@user:${spell("ann")}`],
      check: [{ user: `user:${spell("ann")}`, object: `document:${spell("1")}`, assertions: { viewer: true } }],
    },
  ],
  p_depth: 0,
  p_max_depth: 9,
  p_year: 2031,
  p_month: 2,
  p_months_ahead: 1,
  p_older_than_months: 84,
  p_activate: false,
  p_include_expired: true,
  p_on_duplicate: "update",
  p_on_missing: "ignore",
  p_options: {},
});

/** What may be left out, and is. */
const left = [
  ...["p_subject_relation", "p_condition", "p_condition_context", "p_cursor", "p_cursor_type", "p_cursor_id"],
  ...["p_before_time", "p_before_id", "p_dsl"],
];

/** What a function takes in the place of what is usual. */
const special = (spell: Spelling): Record<string, Arguments> => {
  const userset = { p_subject_type: "group", p_subject_id: spell("g"), p_subject_relation: "member" };
  const slug = { p_permission: "posts:write" };
  return {
    write_tuple: { ...userset, p_resource_id: spell("2") },
    delete_tuple: { ...userset, p_resource_id: spell("2") },
    grant_to_resources_bulk: userset,
    extend_expiration: { p_resource_id: spell("3") },
    list_external_resources: { p_subject_id: spell("shared") },
    has_permission: slug,
    grant_permission: slug,
    revoke_permission: slug,
    grant_role_permission: slug,
    revoke_role_permission: slug,
    create_permission: { p_slug: "posts:read" },
    update_permission: { p_slug: "posts:write" },
    delete_permission: { p_slug: "posts:write" },
    create_role: { p_slug: "author" },
    held_slugs: { p_permissions: ["posts:write", "none"] },
    unknown_slugs: { p_permissions: ["posts:write", "none"] },
    add_hierarchy: { p_permission: "writer", p_implies: "owner" },
    remove_hierarchy: { p_permission: "owner", p_implies: "viewer" },
    install_program: { p_hash: program.hash, p_source: program.sql, p_ir: program.ir },
    write_model: { p_model: program.model, p_tests: null },
    model_hash: { p_model: program.model },
  };
};

/** Arguments with which a function finds, changes or makes something at a place. */
export function argumentsOf(
  { name, parameters }: PublicFunction,
  { namespace, model }: Place,
  spell: Spelling = asItIs,
): Arguments {
  const nothing = Object.fromEntries(left.map((parameter) => [parameter, null]));
  const known = { ...nothing, ...usual(spell), p_namespace: namespace, p_model_id: model, ...special(spell)[name] };
  return Object.fromEntries(
    parameters.map((parameter) => {
      if (!(parameter.name in known)) throw new Error(`${name}: say in functions.ts what ${parameter.name} takes`);
      return [parameter.name, known[parameter.name as keyof typeof known]];
    }),
  );
}

/** A value as `pg` takes it for a parameter. */
export const given = (value: unknown, { type }: Parameter): unknown =>
  type === "jsonb" && value !== null ? JSON.stringify(value) : value;

/** Calls a function; what it returns comes as JSON. */
export const call = async (db: Queryable, { name, parameters }: PublicFunction, args: Arguments): Promise<unknown[]> =>
  (
    await rows<{ result: unknown }>(
      db,
      `select to_jsonb(f) as result
       from authz.${name}(${parameters.map((each, i) => `${each.name} => $${i + 1}::${each.type}`).join(", ")}) f`,
      parameters.map((each) => given(args[each.name], each)),
    )
  ).map(({ result }) => result);

/** What a call returns and what it leaves of tuples and settings, but for numbers that never come twice. */
export async function outcome(db: Queryable, f: PublicFunction, args: Arguments, sql?: string): Promise<string> {
  const result = sql
    ? (
        await rows<{ result: unknown }>(
          db,
          sql,
          f.parameters.map((each) => given(args[each.name], each)),
        )
      ).map((row) => row.result)
    : await call(db, f, args);
  const left = await value<unknown>(
    db,
    `select jsonb_build_array(
       (select jsonb_agg(concat_ws(' ', namespace, resource_type, resource_id, relation, subject_type, subject_id,
          subject_relation, expires_at) order by namespace, resource_type, resource_id, relation, subject_type, subject_id)
        from authz.tuples),
       (select jsonb_agg(concat_ws(' ', namespace, permission, implies) order by namespace, permission, implies)
        from authz.permission_hierarchy),
       current_setting('authz.viewer_id', true), current_setting('howdah.tenant', true))`,
  );
  return JSON.stringify([f.isStable || typeof result[0] !== "number" ? result : "a number", left]);
}
