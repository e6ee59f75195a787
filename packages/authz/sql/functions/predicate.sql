-- Predicates: what a route demands of a subject, as one JSON value that is decided in one call.
--
--   {"role": "editor"}                      holds a role
--   {"permission": "posts:write"}           has a permission
--   {"check": {"permission": "read", "resource_type": "document", "resource_id": "1"}}
--   {"any": [...]}  {"all": [...]}  {"not": ...}
--
-- Roles and permissions are looked up in one statement, however many it names; checks are made in
-- order, as far as the answer needs them. Parts that it does not need are validated all the same,
-- so that a mistake shows at the first call and not at the first one that gets there.

create or replace function authz._predicate_problem(p_path text, p_problem text) returns void
language plpgsql
immutable
parallel safe
as $$
begin
  perform howdah.fail('authz', 'predicate_invalid',
    format('predicate %s %s', left(p_path, 200), p_problem), '22023',
    jsonb_build_object('path', left(p_path, 200)),
    'One of {"role": slug}, {"permission": slug}, {"check": {"permission", "resource_type", '
      '"resource_id"}}, {"any": [...]}, {"all": [...]}, {"not": ...}.');
end
$$;

comment on function authz._predicate_problem(text, text) is
'Say where in a predicate which mistake is.';

create or replace function authz._decide(
  p_predicate jsonb,
  p_roles text[],
  p_permissions text[],
  p_subject_type text,
  p_subject_id text,
  p_namespace text,
  p_path text,
  p_depth int,
  p_is_needed boolean
) returns boolean
language plpgsql
stable
parallel safe
as $$
declare
  v_kind text collate "C" := case
    when p_predicate ? 'role' then 'role'
    when p_predicate ? 'permission' then 'permission'
    when p_predicate ? 'any' then 'any'
    when p_predicate ? 'all' then 'all'
    when p_predicate ? 'not' then 'not'
    when p_predicate ? 'check' then 'check'
  end;
  v_value jsonb;
  v_path text;
  v_holds boolean;
  v_part boolean;
begin
  if jsonb_typeof(p_predicate) is distinct from 'object' then
    perform authz._predicate_problem(p_path,
      format('is %s, not an object', coalesce(jsonb_typeof(p_predicate), 'null')));
  elsif v_kind is null or p_predicate - v_kind <> '{}' then
    perform authz._predicate_problem(p_path,
      'must have exactly one key: role, permission, check, any, all or not');
  end if;
  v_value := p_predicate -> v_kind;
  v_path := concat(p_path, '.', v_kind);

  if v_kind in ('role', 'permission') then
    if jsonb_typeof(v_value) <> 'string'
      or v_value #>> '{}' !~ '^[a-z][a-z0-9_:-]*$'
      or octet_length(v_value #>> '{}') > 64
    then
      perform authz._predicate_problem(v_path, format('is no slug: %s', left(v_value::text, 100)));
    end if;
    return v_value #>> '{}' = any (case v_kind when 'role' then p_roles else p_permissions end);
  end if;

  if v_kind = 'check' then
    if jsonb_typeof(v_value) <> 'object'
      or v_value - '{permission,resource_type,resource_id}'::text[] <> '{}'
      or (jsonb_typeof(v_value -> 'permission') = 'string'
        and jsonb_typeof(v_value -> 'resource_type') = 'string'
        and jsonb_typeof(v_value -> 'resource_id') = 'string') is not true
    then
      perform authz._predicate_problem(v_path,
        'must have the texts permission, resource_type and resource_id, and nothing else');
    end if;
    if not p_is_needed then
      return false;
    end if;
    return authz.check(p_subject_type, p_subject_id, v_value ->> 'permission',
      v_value ->> 'resource_type', v_value ->> 'resource_id', p_namespace);
  end if;

  if p_depth = 10 then
    perform authz._predicate_problem(v_path, 'is nested deeper than 10');
  end if;
  if v_kind = 'not' then
    return not authz._decide(v_value, p_roles, p_permissions, p_subject_type, p_subject_id,
      p_namespace, v_path, p_depth + 1, p_is_needed);
  end if;

  if jsonb_typeof(v_value) <> 'array' then
    perform authz._predicate_problem(v_path, format('is %s, not an array', jsonb_typeof(v_value)));
  elsif jsonb_array_length(v_value) > 1000 then
    perform authz._predicate_problem(v_path,
      format('has %s elements, at most 1000 are allowed', jsonb_array_length(v_value)));
  end if;
  v_holds := v_kind = 'all';
  for i in 0 .. jsonb_array_length(v_value) - 1 loop
    v_part := authz._decide(v_value -> i, p_roles, p_permissions, p_subject_type, p_subject_id,
      p_namespace, concat(v_path, '[', i, ']'), p_depth + 1,
      p_is_needed and v_holds = (v_kind = 'all'));
    if v_holds = (v_kind = 'all') then
      v_holds := v_part;
    end if;
  end loop;
  return v_holds;
end
$$;

comment on function authz._decide(
  jsonb, text[], text[], text, text, text, text, int, boolean
) is
'Whether a predicate holds for a subject, of whose roles and permissions those that the predicate
names are given; or the error that names the path of what is no predicate. What is not needed any
more for the answer is validated, but not checked.';

create or replace function authz.evaluate(
  p_subject_type text,
  p_subject_id text,
  p_predicate jsonb,
  p_namespace text default 'default'
) returns boolean
language plpgsql
stable
parallel safe
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_subject_type text collate "C" := p_subject_type;
  v_subject_id text collate "C" := authz._nfc(p_subject_id);
  v_asked_roles text[] collate "C";
  v_asked_permissions text[] collate "C";
  v_roles text[] collate "C" := '{}';
  v_permissions text[] collate "C" := '{}';
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_name('subject_type', p_subject_type);
  perform authz._check_id('subject_id', p_subject_id);
  if octet_length(p_predicate::text) > 65536 then
    perform authz._predicate_problem('$', format('takes %s bytes, at most 65536 are allowed',
      octet_length(p_predicate::text)));
  end if;

  v_asked_roles := array(
    select leaf #>> '{}' from jsonb_path_query(p_predicate, '$.**.role') leaf
  );
  v_asked_permissions := array(
    select leaf #>> '{}' from jsonb_path_query(p_predicate, '$.**.permission') leaf
  );
  if v_asked_roles <> '{}' or v_asked_permissions <> '{}' then
    select held.roles, held.permissions into v_roles, v_permissions
    from authz._held_slugs(v_namespace, v_subject_type, v_subject_id, v_asked_roles,
      v_asked_permissions) held;
  end if;

  return coalesce(
    authz._decide(p_predicate, v_roles, v_permissions, v_subject_type, v_subject_id, v_namespace,
      '$', 0, true),
    false);
end
$$;

comment on function authz.evaluate(text, text, jsonb, text) is
'Tell whether a subject meets a predicate over roles, permissions and checks.

p_subject_type  the type of the subject
p_subject_id    its id
p_predicate     {"role": slug}, {"permission": slug}, {"check": {"permission", "resource_type",
                "resource_id"}}, {"any": [...]}, {"all": [...]} or {"not": ...}, nested at most 10
                deep, of at most 64 kB; an empty any is false, an empty all is true
p_namespace     the tenant
Returns         whether it holds; a role or permission that does not exist is held by nobody
Errors          authz.predicate_invalid, identifier_format, id_invalid_chars, id_whitespace (22023),
                what authz.check raises, tenant_mismatch (42501)
Example         select authz.evaluate(''user'', ''ann'',
                  ''{"any": [{"role": "admin"}, {"permission": "posts:write"}]}'', ''acme'');';
