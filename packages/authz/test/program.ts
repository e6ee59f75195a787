// A program written by hand: what the compiler would make of a small model, small enough to read, so that the tests of what
// surrounds programs need no compiler.
import { createHash } from "node:crypto";
import type { Queryable } from "@howdah/core";
import { compileModel, type ModelOptions } from "../src/compiler/index.ts";
import { value } from "./sql.ts";

/** A program as `install_program` takes it, and the model that it is of. */
export interface Program {
  model: object;
  options: object;
  hash: string;
  prefix: string;
  source: string;
  ir: object;
}

const direct = (type: string, extra: object = {}) => ({ type, ...extra });

/** Documents have viewers: users, everybody, members of groups, and users for whom a condition holds. */
export const documents = (marker = "viewer"): object => ({
  schema_version: "1.1",
  type_definitions: [
    { type: "user" },
    {
      type: "group",
      relations: { member: { this: {} } },
      metadata: {
        relations: {
          member: { directly_related_user_types: [direct("user"), direct("group", { relation: "member" })] },
        },
      },
    },
    {
      type: "document",
      relations: { [marker]: { this: {} } },
      metadata: {
        relations: {
          [marker]: {
            directly_related_user_types: [
              direct("user"),
              direct("user", { wildcard: {} }),
              direct("group", { relation: "member" }),
              direct("user", { condition: "recent" }),
            ],
          },
        },
      },
    },
  ],
  conditions: {
    recent: {
      name: "recent",
      expression: "age < 10",
      parameters: { age: { type_name: "TYPE_NAME_INT" } },
    },
  },
});

/** The program of {@link documents}, for a database that says what the model's hash is. */
export async function documentsProgram(
  db: Queryable,
  { marker = "viewer", options = {}, version = 1 }: { marker?: string; options?: object; version?: number } = {},
): Promise<Program> {
  const model = documents(marker);
  const modelHash = await value<string>(db, "select authz.model_hash($1, $2)", [model, options]);
  const hash = createHash("sha256").update(`${version}\n${modelHash}`).digest("hex");
  const prefix = `m_${hash.slice(0, 12)}`;
  return {
    model,
    options,
    hash,
    prefix,
    source: source(prefix, marker),
    ir: { compiler_version: version, model_hash: modelHash, conditions: { recent: 1 } },
  };
}

/** Installs a program as a migration would. */
export const install = (db: Queryable, { hash, source, ir }: Program): Promise<boolean> =>
  value<boolean>(db, "select authz.install_program($1, $2, $3)", [hash, source, ir]);

/** Installs {@link documentsProgram}, stores its model and activates it. */
export async function activate(
  db: Queryable,
  options: Parameters<typeof documentsProgram>[1] & { namespace?: string } = {},
): Promise<string> {
  const program = await documentsProgram(db, options);
  await install(db, program);
  return value<string>(db, "select authz.write_model($1, $2, true, p_options => $3)", [
    program.model,
    options.namespace ?? "acme",
    program.options,
  ]);
}

function source(m: string, marker: string): string {
  const subject = "p_subject_type text, p_subject_id text, p_subject_relation text";
  const all = `(select t.* from authz.tuples t where t.namespace = p_namespace
      and (t.expires_at is null or t.expires_at > howdah.now())
    union all select c.* from unnest(p_contextual) c)`;
  const attributes = "language plpgsql stable parallel safe";
  return `
create function authz_rt.${m}_cond_1(p_stored jsonb, p_context jsonb) returns boolean ${attributes} as $$
begin
  return authz._cel_int((coalesce(p_context, '{}') || coalesce(p_stored, '{}')) -> 'age') < 10;
end $$;

create function authz_rt.${m}_r1_check(p_namespace text, ${subject}, p_relation text, p_resource_type text,
  p_resource_id text, p_context jsonb, p_contextual authz.tuples[]) returns boolean ${attributes} as $$
declare
  v_allowed boolean;
begin
  with recursive t as materialized (select a.* from ${all} a),
  held as (
    select p_subject_type collate "C" as type, p_subject_id collate "C" as id, p_subject_relation collate "C" as relation
    union
    select t.resource_type, t.resource_id, t.relation from held h
    join t on t.resource_type = 'group' and t.relation = 'member'
      and t.subject_type = h.type and t.subject_id = h.id and t.subject_relation is not distinct from h.relation
  )
  select bool_or(case when t.condition_name is null then true
    else authz_rt.${m}_cond_1(t.condition_context, p_context) end) filter (where t.condition_name is null
      or authz_rt.${m}_cond_1(t.condition_context, p_context) is not false)
  into v_allowed
  from t
  join held h on t.subject_type = h.type and t.subject_relation is not distinct from h.relation
    and (t.subject_id = h.id or (t.subject_id = '*' and t.resource_type = 'document'))
  where t.resource_type = p_resource_type and t.resource_id = p_resource_id and t.relation = p_relation;
  if found and v_allowed is null and not exists (
    select 1 from ${all} t where t.resource_type = p_resource_type and t.resource_id = p_resource_id
      and t.relation = p_relation and t.condition_name is not null
      and authz_rt.${m}_cond_1(t.condition_context, p_context) is null
      and t.subject_type = p_subject_type and t.subject_id = p_subject_id
  ) then
    return false;
  end if;
  return v_allowed;
end $$;
comment on function authz_rt.${m}_r1_check(text, text, text, text, text, text, text, jsonb, authz.tuples[])
is 'document#${marker}';

create function authz_rt.${m}_check_x(p_namespace text, ${subject}, p_relation text, p_resource_type text,
  p_resource_id text, p_context jsonb, p_contextual authz.tuples[]) returns boolean ${attributes} as $$
begin
  if p_resource_type = 'document' then
    if p_relation <> '${marker}' then
      perform howdah.fail('authz', 'relation_unknown', 'relation ' || p_relation || ' is unknown', '22023');
    end if;
  elsif p_resource_type <> 'group' then
    perform howdah.fail('authz', 'type_unknown', 'type ' || p_resource_type || ' is unknown', '22023');
  end if;
  return authz_rt.${m}_r1_check(p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_relation,
    p_resource_type, p_resource_id, p_context, p_contextual);
end $$;
create function authz_rt.${m}_check(p_namespace text, ${subject}, p_relation text, p_resource_type text,
  p_resource_id text, p_context jsonb) returns boolean ${attributes} as $$
begin
  return authz_rt.${m}_check_x(p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_relation,
    p_resource_type, p_resource_id, p_context, null);
end $$;

create function authz_rt.${m}_filter_x(p_namespace text, ${subject}, p_relation text, p_resource_type text,
  p_resource_ids text[], p_context jsonb, p_contextual authz.tuples[])
returns table (resource_id text, allowed boolean) ${attributes} as $$
begin
  return query select i.id, c.allowed from (select distinct u as id from unnest(p_resource_ids) u) i
  cross join lateral (select authz_rt.${m}_check_x(p_namespace, p_subject_type, p_subject_id, p_subject_relation,
    p_relation, p_resource_type, i.id, p_context, p_contextual) as allowed) c
  where c.allowed is not false;
end $$;
create function authz_rt.${m}_filter(p_namespace text, ${subject}, p_relation text, p_resource_type text,
  p_resource_ids text[], p_context jsonb) returns table (resource_id text, allowed boolean) ${attributes} as $$
begin
  return query select f.* from authz_rt.${m}_filter_x(p_namespace, p_subject_type, p_subject_id, p_subject_relation,
    p_relation, p_resource_type, p_resource_ids, p_context, null) f;
end $$;

create function authz_rt.${m}_objects_x(p_namespace text, ${subject}, p_relation text, p_resource_type text,
  p_context jsonb, p_contextual authz.tuples[]) returns table (resource_id text, allowed boolean) ${attributes} as $$
begin
  return query select f.* from authz_rt.${m}_filter_x(p_namespace, p_subject_type, p_subject_id, p_subject_relation,
    p_relation, p_resource_type, array(select t.resource_id from ${all} t where t.resource_type = p_resource_type),
    p_context, p_contextual) f;
end $$;
create function authz_rt.${m}_objects(p_namespace text, ${subject}, p_relation text, p_resource_type text,
  p_context jsonb) returns table (resource_id text, allowed boolean) ${attributes} as $$
begin
  return query select f.* from authz_rt.${m}_objects_x(p_namespace, p_subject_type, p_subject_id, p_subject_relation,
    p_relation, p_resource_type, p_context, null) f;
end $$;

create function authz_rt.${m}_subjects_x(p_namespace text, p_resource_type text, p_resource_id text, p_relation text,
  p_subject_type text, p_subject_relation text, p_context jsonb, p_contextual authz.tuples[])
returns table (subject_id text, allowed boolean) ${attributes} as $$
begin
  return query select i.id, c.allowed from (select distinct t.subject_id as id from ${all} t
    where t.subject_type = p_subject_type and t.subject_relation is not distinct from p_subject_relation) i
  cross join lateral (select authz_rt.${m}_check_x(p_namespace, p_subject_type, i.id, p_subject_relation,
    p_relation, p_resource_type, p_resource_id, p_context, p_contextual) as allowed) c
  where c.allowed is not false;
end $$;
create function authz_rt.${m}_subjects(p_namespace text, p_resource_type text, p_resource_id text, p_relation text,
  p_subject_type text, p_subject_relation text, p_context jsonb)
returns table (subject_id text, allowed boolean) ${attributes} as $$
begin
  return query select f.* from authz_rt.${m}_subjects_x(p_namespace, p_resource_type, p_resource_id, p_relation,
    p_subject_type, p_subject_relation, p_context, null) f;
end $$;

create function authz_rt.${m}_refusal(p_resource_type text, p_relation text, p_subject_type text, p_subject_id text,
  p_subject_relation text, p_condition text) returns text ${attributes} as $$
begin
  return case
    when p_resource_type not in ('user', 'group', 'document') then 'type_unknown'
    when concat(p_resource_type, '#', p_relation) not in ('group#member', 'document#${marker}') then 'relation_unknown'
    when p_condition <> 'recent' then 'condition_unknown'
    when p_subject_type = 'user' and p_subject_relation is null
      and (p_resource_type = 'document' or p_subject_id <> '*' and p_condition is null) then null
    when p_subject_type = 'group' and p_subject_relation = 'member' and p_condition is null then null
    else 'tuple_invalid'
  end;
end $$;
`;
}

/** Compiles a model, installs its program, stores it and lets a namespace answer by it. */
export async function useModel(
  db: Queryable,
  dsl: string,
  { namespace = "acme", tests, ...options }: ModelOptions & { namespace?: string; tests?: unknown } = {},
): Promise<string> {
  const compiled = compileModel({ dsl: `model\n  schema 1.1\n${dsl}` }, options);
  await install(db, { ...compiled, prefix: "", source: compiled.sql });
  return value<string>(db, "select authz.write_model($1, $2, true, $3, $4, $5)", [
    compiled.model,
    namespace,
    tests ? JSON.stringify(tests) : null,
    dsl,
    compiled.options,
  ]);
}
