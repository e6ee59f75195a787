// What callers in any language rely on: the names of functions, the names, types and order of their parameters and results, and the
// columns of the tables that are read from outside. Parameters may be added at the end; nothing else may change.
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { rows, value } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
afterAll(() => db.close());

// R is a resource, S a subject, NS the tenant; a parameter with = may be left out.
const short: Record<string, string> = {
  R: "p_resource_type text, p_resource_id text",
  S: "p_subject_type text, p_subject_id text",
  NS: "p_namespace text='default'",
  EXTRA: "p_subject_relation text=null, p_context jsonb=null, p_contextual_tuples jsonb=null",
};
const signatures = `
write_tuple(R, p_relation text, S, p_subject_relation text=null, NS, p_expires_at timestamptz=null, p_condition text=null, p_condition_context jsonb=null) -> bigint
write(R, p_relation text, S, NS, p_expires_at timestamptz=null) -> bigint
write_tuples_bulk(R, p_relation text, p_subject_type text, p_subject_ids text[], NS) -> int
grant_to_resources_bulk(p_resource_type text, p_resource_ids text[], p_relation text, S, p_subject_relation text=null, NS) -> int
delete_tuple(R, p_relation text, S, p_subject_relation text=null, NS) -> boolean
delete(R, p_relation text, S, NS) -> boolean
transfer_tuple(R, p_relation text, p_from_subject_type text, p_from_subject_id text, p_to_subject_type text, p_to_subject_id text, NS) -> boolean
revoke_subject_grants(S, NS, p_resource_type text=null) -> int
revoke_resource_grants(R, NS, p_relation text=null) -> int
write_tuples(p_writes jsonb, p_deletes jsonb='[]', NS, p_on_duplicate text='update', p_on_missing text='ignore') -> table(written int, deleted int)
read_tuples(p_filter jsonb='{}', NS, p_limit int=100, p_cursor text=null, p_include_expired boolean=false) -> setof authz.tuples
check(S, p_permission text, R, NS, EXTRA) -> boolean
check_any(S, p_permissions text[], R, NS) -> boolean
check_all(S, p_permissions text[], R, NS) -> boolean
filter_authorized(S, p_resource_type text, p_permission text, p_resource_ids text[], NS) -> text[]
check_batch(p_checks jsonb, NS, p_context jsonb=null) -> table(ord int, allowed boolean, error_code text)
permissions_on(S, R, NS) -> setof text
list_resources(S, p_resource_type text, p_permission text, NS, p_limit int=100, p_cursor text=null) -> table(resource_id text)
list_objects(S, p_resource_type text, p_permission text, NS, EXTRA) -> table(resource_id text)
list_subjects(R, p_permission text, NS, p_limit int=100, p_subject_type text=null, p_cursor_type text=null, p_cursor_id text=null, EXTRA) -> table(subject_type text, subject_id text)
count_subjects(R, p_permission text, NS, p_subject_type text=null) -> bigint
list_subject_grants(S, NS, p_resource_type text=null) -> table(resource_type text, resource_id text, relation text, subject_relation text, expires_at timestamptz)
list_external_resources(S, p_resource_type text, p_permission text, p_exclude_namespace text, p_limit int=100, p_cursor text=null) -> table(namespace text, resource_id text, relation text, created_at timestamptz, expires_at timestamptz)
explain(S, p_permission text, R, NS, p_max_depth int=null) -> setof authz.permission_path
explain_text(S, p_permission text, R, NS) -> setof text
explain_json(S, p_permission text, R, NS, EXTRA) -> jsonb
expand(R, p_permission text, NS, p_depth int=1) -> jsonb
add_hierarchy(p_resource_type text, p_permission text, p_implies text, NS) -> bigint
remove_hierarchy(p_resource_type text, p_permission text, p_implies text, NS) -> boolean
clear_hierarchy(p_resource_type text, NS) -> int
set_expiration(R, p_relation text, S, p_expires_at timestamptz, NS) -> boolean
clear_expiration(R, p_relation text, S, NS) -> boolean
extend_expiration(R, p_relation text, S, p_extension interval, NS) -> timestamptz
list_expiring(p_within interval='7 days', NS) -> table(resource_type text, resource_id text, relation text, subject_type text, subject_id text, subject_relation text, expires_at timestamptz)
cleanup_expired(NS, p_limit int=null) -> table(tuples_deleted bigint)
get_stats(NS) -> table(tuple_count bigint, hierarchy_rule_count bigint, unique_users bigint, unique_resources bigint)
verify_integrity(NS) -> table(resource_type text, resource_id text, status text, details text)
maintain(p_budget interval='00:00:10') -> table(task text, affected bigint, more boolean)
set_tenant(p_tenant_id text) -> void
clear_tenant() -> void
set_viewer(S) -> void
clear_viewer() -> void
assert_rls_active() -> void
set_actor(p_actor_id text, p_request_id text=null, p_reason text=null, p_on_behalf_of text=null) -> void
clear_actor() -> void
create_audit_partition(p_year int, p_month int) -> text
ensure_audit_partitions(p_months_ahead int=3) -> setof text
drop_audit_partitions(p_older_than_months int=84) -> setof text
list_audit_events(NS, p_filter jsonb='{}', p_limit int=100, p_before_time timestamptz=null, p_before_id bigint=null) -> setof authz.audit_events
create_role(p_slug text, p_label text=null, p_description text=null, NS) -> boolean
delete_role(p_slug text, NS) -> boolean
create_permission(p_slug text, p_label text=null, p_description text=null, NS) -> boolean
delete_permission(p_slug text, NS) -> boolean
list_roles(NS) -> table(slug text, label text, description text, namespace text, created_at timestamptz, permissions text[])
list_permissions(NS, p_role text=null) -> table(slug text, label text, description text, namespace text, created_at timestamptz)
grant_role_permission(p_role text, p_permission text, NS) -> boolean
revoke_role_permission(p_role text, p_permission text, NS) -> boolean
assign_role(S, p_role text, NS, p_expires_at timestamptz=null) -> boolean
unassign_role(S, p_role text, NS) -> boolean
grant_permission(S, p_permission text, NS, p_expires_at timestamptz=null) -> boolean
revoke_permission(S, p_permission text, NS) -> boolean
has_role(S, p_role text, NS) -> boolean
has_permission(S, p_permission text, NS) -> boolean
subject_roles(S, NS) -> setof text
subject_permissions(S, NS) -> table(permission text, direct boolean, via_roles text[])
evaluate(S, p_predicate jsonb, NS) -> boolean
held_slugs(S, p_roles text[], p_permissions text[], NS) -> table(roles text[], permissions text[])
unknown_slugs(p_roles text[], p_permissions text[], NS) -> setof text
install_program(p_hash text, p_source text, p_ir jsonb) -> boolean
write_model(p_model jsonb, NS, p_activate boolean=false, p_tests jsonb=null, p_dsl text=null, p_options jsonb='{}') -> uuid
activate_model(p_model_id uuid, NS) -> boolean
get_model(p_model_id uuid=null, NS) -> table(model_id uuid, namespace text, digest text, is_active boolean, model jsonb, dsl text, options jsonb, tests jsonb, created_at timestamptz, created_by text)
list_models(NS) -> table(model_id uuid, digest text, is_active boolean, is_installed boolean, created_at timestamptz, created_by text)
test_model(p_model_id uuid, p_tests jsonb=null, NS) -> table(name text, passed boolean, detail text)
validate_tuples(NS) -> table(tuple_id bigint, resource_type text, resource_id text, relation text, subject_type text, subject_id text, subject_relation text, condition_name text, error_code text)
compiled_source(p_model_id uuid, p_type text, p_relation text, NS) -> text`
  .trim()
  .split("\n")
  .map((line) => line.replaceAll(/\b(R|S|NS|EXTRA)\b/g, (name) => short[name] as string));

/** A function as a line of the list reads. */
async function signatureOf(name: string): Promise<string> {
  const [found, ...others] = await rows<{ parameters: string; result: string }>(
    db,
    `select pg_get_function_arguments(oid) as parameters, pg_get_function_result(oid) as result
     from pg_proc where pronamespace = 'authz'::regnamespace and proname = $1`,
    [name],
  );
  if (!found || others.length > 0) return `${others.length + 1} functions ${name}`;
  const shorten = (text: string): string =>
    text
      .replaceAll(/ DEFAULT ('[^']*'|\w+)(::[a-z ]+)?/g, "=$1")
      .replaceAll("NULL", "null")
      .replaceAll("timestamp with time zone", "timestamptz")
      .replaceAll("integer", "int")
      .replace("TABLE", "table")
      .replace("SETOF", "setof");
  return `${name}(${shorten(found.parameters)}) -> ${shorten(found.result)}`;
}

test.each(signatures)("%s", async (line) => {
  const parts = (text: string): [name: string, parameters: string[], result: string] => {
    const [, name = "", parameters = "", result = ""] = /^(\w+)\((.*)\) -> (.*)$/.exec(text) ?? [];
    return [name, parameters === "" ? [] : parameters.split(", "), result];
  };
  const [name, parameters, result] = parts(line);
  const [, has, returns] = parts(await signatureOf(name));
  expect([has.slice(0, parameters.length), returns]).toEqual([parameters, result]);
  // What is added may be left out.
  expect(has.slice(parameters.length).filter((added) => !added.includes("="))).toEqual([]);
});

describe("The columns of", () => {
  test.each([
    [
      "tuples",
      `id namespace resource_type resource_id relation subject_type subject_id subject_relation created_at expires_at condition_name
       condition_context resource_id_raw subject_id_raw`,
    ],
    [
      "audit_events",
      `id event_id event_type event_time actor_id request_id reason on_behalf_of session_user_name current_user_name client_addr
       client_port application_name backend_pid namespace resource_type resource_id relation subject_type subject_id
       subject_relation tuple_id expires_at detail`,
    ],
    ["permission_path", "path_type via_relation via_subject_type via_subject_id via_membership path_chain"],
    ["permission_hierarchy", "id namespace resource_type permission implies created_at"],
    ["permission_closure", "namespace resource_type permission implied_by"],
  ])("%s stand in their order", async (name, columns) => {
    const found = await value<string[]>(
      db,
      `select array_agg(a.attname::text order by a.attnum) from pg_attribute a
       where a.attrelid = ('authz.' || $1)::regclass and a.attnum > 0 and not a.attisdropped`,
      [name],
    );
    expect(found.slice(0, columns.split(/\s+/).length)).toEqual(columns.split(/\s+/));
  });
});

test("tuples compare byte by byte, are vacuumed in time, and have the indexes and policies that are documented", async () => {
  const loose = await rows(
    db,
    `select attname from pg_attribute where attrelid = 'authz.tuples'::regclass and atttypid = 'text'::regtype and attnum > 0
       and attcollation <> '"C"'::regcollation`,
  );
  expect(loose).toEqual([]);
  expect(
    await value(
      db,
      "select array(select unnest(reloptions) order by 1) from pg_class where oid = 'authz.tuples'::regclass",
    ),
  ).toEqual(["autovacuum_analyze_scale_factor=0.02", "autovacuum_vacuum_scale_factor=0.02", "fillfactor=90"]);
  expect(
    await value(
      db,
      "select array_agg(indexname::text) from pg_indexes where schemaname = 'authz' and tablename = 'tuples'",
    ),
  ).toEqual(expect.arrayContaining(["tuples_forward_idx", "tuples_reverse_idx", "tuples_expiry_idx"]));
  expect(await value(db, "select array_agg(policyname::text) from pg_policies where schemaname = 'authz'")).toEqual(
    expect.arrayContaining([
      ...["tuples_recipient_visibility", "tuples_recipient_can_leave"],
      ...["hierarchy_global_write_protection", "hierarchy_global_delete_protection"],
    ]),
  );
});

test("every function that evaluates plans once, and every reading one is stable", async () => {
  const evaluating = `check check_any check_all check_batch filter_authorized permissions_on list_objects list_resources
    list_subjects count_subjects evaluate has_role has_permission held_slugs subject_roles subject_permissions expand explain
    explain_text explain_json`.split(/\s+/);
  const found = await rows<{ name: string }>(
    db,
    `select proname as name from pg_proc
     where pronamespace = 'authz'::regnamespace and proname = any ($1) and provolatile = 's' and prosecdef
       and proconfig @> '{"search_path=pg_catalog, pg_temp",plan_cache_mode=force_generic_plan}' order by 1`,
    [evaluating],
  );
  expect(found.map(({ name }) => name)).toEqual(evaluating.toSorted());
  const reading = await rows(
    db,
    `select proname from pg_proc where pronamespace = 'authz'::regnamespace and provolatile = 'v'
       and proname ~ '^(check|list|get|has|subject|held|unknown|count|filter|explain|expand|read|verify|validate|evaluate|compiled)_?'`,
  );
  expect(reading).toEqual([]);
});
