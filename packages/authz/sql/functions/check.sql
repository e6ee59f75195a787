-- Checking: may this subject do that on this resource?
--
-- One look-up says which program, if any, answers for the namespace. A program answers for its own
-- model's types, and says what becomes of others; without one, and for roles and permissions
-- always, the dynamic rule answers. Nothing is remembered between calls: a check sees the caller's
-- snapshot, own uncommitted writes included.
--
-- All evaluating functions plan once (force_generic_plan), go by index whatever the statistics say
-- (enable_seqscan off), and are never compiled (jit off), which takes longer than they do. A plan
-- that was made while the table was small may go by a poor index until the table is analysed, which
-- autovacuum does within a minute or so of a large load.

create or replace function authz._active_program(p_namespace text) returns text
language plpgsql
stable
parallel safe
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_program text;
begin
  select left(a.hash, 12) into v_program
  from authz.active_models a
  where a.namespace = v_namespace;
  if not found then
    select left(a.hash, 12) into v_program
    from authz.active_models a
    where a.namespace = 'global';
  end if;
  return v_program;
end
$$;

comment on function authz._active_program(text) is
'The first digits of the program that answers for a namespace: its own, else that of global.';

create or replace function authz._program_for(p_namespace text, p_resource_type text) returns text
language sql
stable
parallel safe
as $$
  select case
    when p_resource_type not in ('rbac_role', 'rbac_permission')
      then authz._active_program(p_namespace)
  end
$$;

comment on function authz._program_for(text, text) is
'The program to ask about a type; null if the dynamic rule decides.';

create or replace function authz._default_decider(
  p_namespace text,
  p_resource_type text,
  p_permission text
) returns table (program text, relations text[])
language sql
stable
parallel safe
as $$
  select
    case
      when p_resource_type not in ('rbac_role', 'rbac_permission') then (
        select left(a.hash, 12) from authz.active_models a where a.namespace = 'global'
      )
    end,
    coalesce(
      (
        select c.implied_by
        from authz.permission_closure c
        where c.namespace = p_namespace
          and c.resource_type = p_resource_type
          and c.permission = p_permission
      ),
      (
        select c.implied_by
        from authz.permission_closure c
        where c.namespace = 'global'
          and c.resource_type = p_resource_type
          and c.permission = p_permission
      ),
      array[p_permission]
    )
$$;

comment on function authz._default_decider(text, text, text) is
'Where a namespace has no model of its own, the program to ask, else (null) the relations by which
the dynamic rule grants. Inlined.';

create or replace function authz._check_permissions(p_permissions text[]) returns void
language plpgsql
immutable
parallel safe
as $$
declare
  v_at int;
begin
  if p_permissions is null then
    perform howdah.fail('authz', 'identifier_null', 'permissions is null', '22004',
      jsonb_build_object('field', 'permissions'));
  end if;
  if cardinality(p_permissions) > 1000 then
    perform howdah.fail('authz', 'batch_too_large',
      format('permissions has %s elements, at most 1000 are allowed', cardinality(p_permissions)),
      '22023',
      jsonb_build_object('field', 'permissions', 'limit', 1000,
        'actual', cardinality(p_permissions)),
      'Send them in several calls.');
  end if;

  select p.at into v_at
  from unnest(p_permissions) with ordinality p (name, at)
  where (length(p.name) <= 1024 and p.name collate "C" ~ '^[a-z][a-z0-9_-]*$') is not true
  order by p.at
  limit 1;
  if found then
    perform howdah.fail('authz', 'array_element_invalid',
      format('permissions[%s] is %s, which is no permission', v_at,
        coalesce(quote_literal(left(p_permissions[v_at], 100)), 'null')),
      '22023',
      jsonb_build_object('field', 'permissions', 'index', v_at,
        'value', left(p_permissions[v_at], 100)),
      'Permissions match ^[a-z][a-z0-9_-]*$.');
  end if;
end
$$;

comment on function authz._check_permissions(text[]) is
'Refuse an array of permissions that is too long or has an element that is none; names the first.';

create or replace function authz.check(
  p_subject_type text,
  p_subject_id text,
  p_permission text,
  p_resource_type text,
  p_resource_id text,
  p_namespace text default 'default',
  p_subject_relation text default null,
  p_context jsonb default null,
  p_contextual_tuples jsonb default null
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
  v_subject_relation text collate "C" := p_subject_relation;
  v_permission text collate "C" := p_permission;
  v_resource_type text collate "C" := p_resource_type;
  v_resource_id text collate "C" := authz._nfc(p_resource_id);
  v_contextual authz.tuple[];
  v_program text;
  v_relations text[] collate "C";
  v_allowed boolean;
begin
  perform howdah.guard('authz', v_namespace);
  if authz._are_names(v_resource_type, v_resource_id, v_permission, v_subject_type, v_subject_id,
    v_subject_relation) is not true
  then
    perform authz._check_names(v_resource_type, v_resource_id, v_permission, v_subject_type,
      v_subject_id, v_subject_relation, p_relation_field => 'permission');
  end if;
  if p_context is not null then
    perform authz._check_context('context', p_context);
  end if;

  if v_resource_type not in ('rbac_role', 'rbac_permission') then
    select left(a.hash, 12) into v_program
    from authz.active_models a
    where a.namespace = v_namespace;
  end if;
  if v_program is null then
    select d.program, d.relations into v_program, v_relations
    from authz._default_decider(v_namespace, v_resource_type, v_permission) d;
  end if;
  if p_contextual_tuples is not null then
    v_contextual := authz._contextual(v_namespace,
      coalesce(v_program, authz._active_program(v_namespace)), p_contextual_tuples);
  end if;
  if v_program is null then
    return authz._dynamic_holds(v_namespace, v_subject_type, v_subject_id, v_subject_relation,
      v_relations, v_resource_type, v_resource_id, v_contextual);
  end if;

  v_allowed := authz_rt.check(v_program, v_namespace, v_subject_type, v_subject_id,
    v_subject_relation, v_permission, v_resource_type, v_resource_id, p_context, v_contextual);
  if v_allowed is null then
    perform authz._raise_unknown(v_namespace, v_subject_type, v_subject_id, v_subject_relation,
      v_permission, v_resource_type, v_resource_id, p_context, v_contextual);
  end if;
  return v_allowed;
end
$$;

comment on function authz.check(text, text, text, text, text, text, text, jsonb, jsonb) is
'Whether a subject has a permission on a resource.

p_subject_type       type of the subject, such as user
p_subject_id         its id, 1 to 1,024 characters
p_permission         the permission or relation, such as read
p_resource_type      type of the resource
p_resource_id        its id
p_namespace          the tenant
p_subject_relation   asks about a userset instead: with member, about all members of the subject
p_context            values for conditions, an object of at most 64 kB
p_contextual_tuples  tuples that count for this call only, at most 100: an array of texts such as
                     "team:eng#member@user:ann", or of objects with a tuple''s columns
Returns              true if it has the permission, else false, also for what nobody has heard of
Errors               tenant_mismatch (42501), identifier_null, id_null, namespace_null (22004),
                     identifier_empty, id_empty, namespace_empty (22026), identifier_too_long,
                     id_too_long, namespace_too_long (22001), identifier_format, id_invalid_chars,
                     id_whitespace, namespace_invalid_chars, namespace_whitespace,
                     contextual_tuple_invalid, batch_too_large (22023); of models also type_unknown,
                     relation_unknown, condition_context_missing, condition_invalid (22023),
                     resolution_too_complex (54001)
Example              select authz.check(''user'', ''ann'', ''read'', ''repo'', ''api'', ''acme'');';

create or replace function authz._check_each(
  p_subject_type text,
  p_subject_id text,
  p_permissions text[],
  p_resource_type text,
  p_resource_id text,
  p_namespace text,
  p_stop boolean
) returns boolean
language plpgsql
stable
parallel safe
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_subject_type text collate "C" := p_subject_type;
  v_subject_id text collate "C" := authz._nfc(p_subject_id);
  v_resource_type text collate "C" := p_resource_type;
  v_resource_id text collate "C" := authz._nfc(p_resource_id);
  v_permissions text[] collate "C";
  v_permission text collate "C";
  v_relations text[] collate "C";
  v_unknown text collate "C";
  v_program text;
  v_allowed boolean;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_names(v_resource_type, v_resource_id, 'any', v_subject_type, v_subject_id);
  perform authz._check_permissions(p_permissions);
  v_permissions := array(select distinct p collate "C" from unnest(p_permissions) p);

  v_program := authz._program_for(v_namespace, v_resource_type);
  if v_program is null then
    if p_stop then
      return authz._dynamic_holds(v_namespace, v_subject_type, v_subject_id, null,
        array(
          select distinct i
          from unnest(v_permissions) p
          cross join unnest(authz._implied_by(v_namespace, v_resource_type, p)) i
        ),
        v_resource_type, v_resource_id);
    end if;
    v_relations := authz._dynamic_relations(v_namespace, v_subject_type, v_subject_id, null,
      v_resource_type, v_resource_id);
    return not exists (
      select
      from unnest(v_permissions) p
      where not authz._implied_by(v_namespace, v_resource_type, p) && v_relations
    );
  end if;

  foreach v_permission in array v_permissions
  loop
    v_allowed := authz_rt.check(v_program, v_namespace, v_subject_type, v_subject_id, null,
      v_permission, v_resource_type, v_resource_id, null);
    if v_allowed = p_stop then
      return p_stop;
    elsif v_allowed is null then
      v_unknown := v_permission;
    end if;
  end loop;
  if v_unknown is not null then
    perform authz._raise_unknown(v_namespace, v_subject_type, v_subject_id, null, v_unknown,
      v_resource_type, v_resource_id, null);
  end if;
  return not p_stop;
end
$$;

comment on function authz._check_each(text, text, text[], text, text, text, boolean) is
'What check_any (p_stop true) and check_all (p_stop false) do.';

create or replace function authz.check_any(
  p_subject_type text,
  p_subject_id text,
  p_permissions text[],
  p_resource_type text,
  p_resource_id text,
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
begin
  return authz._check_each(p_subject_type, p_subject_id, p_permissions, p_resource_type,
    p_resource_id, p_namespace, true);
end
$$;

comment on function authz.check_any(text, text, text[], text, text, text) is
'Whether a subject has at least one of several permissions on a resource.

p_subject_type   type of the subject
p_subject_id     its id
p_permissions    the permissions, at most 1,000
p_resource_type  type of the resource
p_resource_id    its id
p_namespace      the tenant
Returns          true if it has one of them; false for an empty array
Errors           those of check, and array_element_invalid, batch_too_large (22023). One that is
                 unknown for lack of context raises only if no other one is true
Example          select authz.check_any(''user'', ''ann'', ''{read,write}'', ''repo'', ''api'');';

create or replace function authz.check_all(
  p_subject_type text,
  p_subject_id text,
  p_permissions text[],
  p_resource_type text,
  p_resource_id text,
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
begin
  return authz._check_each(p_subject_type, p_subject_id, p_permissions, p_resource_type,
    p_resource_id, p_namespace, false);
end
$$;

comment on function authz.check_all(text, text, text[], text, text, text) is
'Whether a subject has all of several permissions on a resource.

p_subject_type   type of the subject
p_subject_id     its id
p_permissions    the permissions, at most 1,000
p_resource_type  type of the resource
p_resource_id    its id
p_namespace      the tenant
Returns          true if it has all of them, also for an empty array
Errors           those of check, and array_element_invalid, batch_too_large (22023). One that is
                 unknown for lack of context raises only if no other one is false
Example          select authz.check_all(''user'', ''ann'', ''{read,write}'', ''repo'', ''api'');';
