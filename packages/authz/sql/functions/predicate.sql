-- Predicates: what a route demands of a subject, as one JSON value that is decided in one call.
--
--   {"role": "editor"}                      holds a role
--   {"permission": "posts:write"}           has a permission
--   {"check": {"permission": "read", "resource_type": "document", "resource_id": "1"}}
--   {"any": [...]}  {"all": [...]}  {"not": ...}
--
-- The whole of it is validated before any of it is decided, so that a mistake shows at the first
-- call and not at the first one that gets there. Roles and permissions are then looked up in one
-- statement, however many it names; checks are made in order, as far as the answer needs them.

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

create or replace function authz._check_predicate(
  p_predicate jsonb,
  p_path text default '$',
  p_depth int default 0
) returns void
language plpgsql
immutable
parallel safe
as $$
declare
  v_kind text collate "C";
  v_value jsonb;
  v_path text;
begin
  if jsonb_typeof(p_predicate) is distinct from 'object' then
    perform authz._predicate_problem(p_path,
      format('is %s, not an object', coalesce(jsonb_typeof(p_predicate), 'null')));
  elsif (select count(*) <> 1 from jsonb_object_keys(p_predicate)) then
    perform authz._predicate_problem(p_path, 'must have exactly one key');
  end if;

  select e.key, e.value into v_kind, v_value from jsonb_each(p_predicate) e;
  v_path := concat(p_path, '.', left(v_kind, 100));
  if v_kind in ('any', 'all', 'not') and p_depth = 10 then
    perform authz._predicate_problem(v_path, 'is nested deeper than 10');
  end if;

  case v_kind
    when 'role', 'permission' then
      if jsonb_typeof(v_value) <> 'string'
        or v_value #>> '{}' !~ '^[a-z][a-z0-9_:-]*$'
        or octet_length(v_value #>> '{}') > 64
      then
        perform authz._predicate_problem(v_path,
          format('is no slug: %s', left(v_value::text, 100)));
      end if;
    when 'check' then
      if jsonb_typeof(v_value) <> 'object'
        or not v_value ?& '{permission,resource_type,resource_id}'
        or exists (
          select from jsonb_each(v_value) e
          where e.key not in ('permission', 'resource_type', 'resource_id')
            or jsonb_typeof(e.value) <> 'string'
        )
      then
        perform authz._predicate_problem(v_path,
          'must have the texts permission, resource_type and resource_id, and nothing else');
      end if;
    when 'not' then
      perform authz._check_predicate(v_value, v_path, p_depth + 1);
    when 'any', 'all' then
      if jsonb_typeof(v_value) <> 'array' then
        perform authz._predicate_problem(v_path,
          format('is %s, not an array', jsonb_typeof(v_value)));
      elsif jsonb_array_length(v_value) > 1000 then
        perform authz._predicate_problem(v_path,
          format('has %s elements, at most 1000 are allowed', jsonb_array_length(v_value)));
      end if;
      perform authz._check_predicate(e.value, format('%s[%s]', v_path, e.at - 1), p_depth + 1)
      from jsonb_array_elements(v_value) with ordinality e (value, at);
    else
      perform authz._predicate_problem(v_path, 'is no kind of predicate');
  end case;
end
$$;

comment on function authz._check_predicate(jsonb, text, int) is
'Refuse what is no predicate, naming the path of the first mistake.';

create or replace function authz._decide(
  p_predicate jsonb,
  p_roles text[],
  p_permissions text[],
  p_subject_type text,
  p_subject_id text,
  p_namespace text
) returns boolean
language plpgsql
stable
parallel safe
as $$
declare
  v_kind text collate "C";
  v_value jsonb;
  v_part jsonb;
  v_holds boolean;
begin
  select e.key, e.value into v_kind, v_value from jsonb_each(p_predicate) e;

  case v_kind
    when 'role' then
      return v_value #>> '{}' = any (p_roles);
    when 'permission' then
      return v_value #>> '{}' = any (p_permissions);
    when 'check' then
      return authz.check(p_subject_type, p_subject_id, v_value ->> 'permission',
        v_value ->> 'resource_type', v_value ->> 'resource_id', p_namespace);
    when 'not' then
      return not authz._decide(v_value, p_roles, p_permissions, p_subject_type, p_subject_id,
        p_namespace);
    else
      v_holds := v_kind = 'all';
      for v_part in select e.value from jsonb_array_elements(v_value) e loop
        v_holds := authz._decide(v_part, p_roles, p_permissions, p_subject_type, p_subject_id,
          p_namespace);
        exit when v_holds is distinct from (v_kind = 'all');
      end loop;
      return v_holds;
  end case;
end
$$;

comment on function authz._decide(jsonb, text[], text[], text, text, text) is
'Whether a valid predicate holds for a subject, of whose roles and permissions those that the
predicate names are given.';

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
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_subject_type text collate "C" := p_subject_type;
  v_subject_id text collate "C" := p_subject_id;
  v_asked_roles text[] collate "C";
  v_asked_permissions text[] collate "C";
  v_roles text[] collate "C" := '{}';
  v_permissions text[] collate "C" := '{}';
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_name('subject_type', p_subject_type);
  perform authz._check_id('subject_id', p_subject_id);
  perform authz._check_predicate(p_predicate);

  v_asked_roles := array(
    select leaf #>> '{}' from jsonb_path_query(p_predicate, '$.**.role') leaf
  );
  v_asked_permissions := array(
    select leaf #>> '{}' from jsonb_path_query(p_predicate, '$.**.permission') leaf
  );
  if v_asked_roles <> '{}' or v_asked_permissions <> '{}' then
    select held.roles, held.permissions into v_roles, v_permissions
    from authz._held_slugs(v_namespace, v_subject_type, authz._nfc(v_subject_id), v_asked_roles,
      v_asked_permissions) held;
  end if;

  return coalesce(
    authz._decide(p_predicate, v_roles, v_permissions, v_subject_type, v_subject_id, v_namespace),
    false);
end
$$;

comment on function authz.evaluate(text, text, jsonb, text) is
'Tell whether a subject meets a predicate over roles, permissions and checks.

p_subject_type  the type of the subject
p_subject_id    its id
p_predicate     {"role": slug}, {"permission": slug}, {"check": {"permission", "resource_type",
                "resource_id"}}, {"any": [...]}, {"all": [...]} or {"not": ...}, nested at most 10
                deep; an empty any is false, an empty all is true
p_namespace     the tenant
Returns         whether it holds; a role or permission that does not exist is held by nobody
Errors          authz.predicate_invalid, identifier_format, id_invalid_chars, id_whitespace (22023),
                what authz.check raises, tenant_mismatch (42501)
Example         select authz.evaluate(''user'', ''ann'',
                  ''{"any": [{"role": "admin"}, {"permission": "posts:write"}]}'', ''acme'');';
