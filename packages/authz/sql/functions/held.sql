-- What a subject holds: roles, and permissions by them or directly. See roles.sql.

create or replace function authz._check_slugs(p_field text, p_slugs text[]) returns void
language plpgsql
immutable
parallel safe
as $$
declare
  v_at int;
begin
  if array_ndims(p_slugs) > 1 then
    perform howdah.fail('authz', 'array_element_invalid',
      format('%s[1] is an array, not a slug', p_field), '22023',
      jsonb_build_object('field', p_field, 'index', 1));
  end if;
  if cardinality(p_slugs) > 1000 then
    perform howdah.fail('authz', 'batch_too_large',
      format('%s has %s elements, at most 1000 are allowed', p_field, cardinality(p_slugs)),
      '22023',
      jsonb_build_object('field', p_field, 'limit', 1000, 'actual', cardinality(p_slugs)),
      'Send them in several calls.');
  end if;
  v_at := array_position(p_slugs, null);
  if v_at is not null then
    perform howdah.fail('authz', 'array_element_invalid', format('%s[%s] is null', p_field, v_at),
      '22023', jsonb_build_object('field', p_field, 'index', v_at));
  end if;
end
$$;

comment on function authz._check_slugs(text, text[]) is
'Refuse an array of slugs that is too long or has a null in it. Their form is not looked at: what is
no slug is not registered and held by nobody.';

create or replace function authz._subject_roles(
  p_namespace text,
  p_subject_type text,
  p_subject_id text
) returns table (role text)
language sql
stable
parallel safe
as $$
  select t.resource_id
  from authz.tuples t
  where t.namespace = p_namespace
    and t.resource_type = 'rbac_role'
    and t.relation = 'member'
    and t.subject_type = p_subject_type
    and t.subject_id = p_subject_id
    and t.subject_relation is null
    and (t.expires_at is null or t.expires_at > howdah.now())
    and t.condition_name is null
    and exists (
      select from authz.roles r
      where r.namespace in (p_namespace, 'global') and r.slug = t.resource_id
    )
$$;

comment on function authz._subject_roles(text, text, text) is
'The roles that a subject holds; inlined, so ask it for one role or for all.';

create or replace function authz._subject_permissions(
  p_namespace text,
  p_subject_type text,
  p_subject_id text
) returns table (permission text, role text)
language sql
stable
parallel safe
as $$
  select t.resource_id, null
  from authz.tuples t
  where t.namespace = p_namespace
    and t.resource_type = 'rbac_permission'
    and t.relation = 'granted'
    and t.subject_type = p_subject_type
    and t.subject_id = p_subject_id
    and t.subject_relation is null
    and (t.expires_at is null or t.expires_at > howdah.now())
    and t.condition_name is null
    and exists (
      select from authz.permissions p
      where p.namespace in (p_namespace, 'global') and p.slug = t.resource_id
    )
  union all
  select t.resource_id, held.role
  from authz._subject_roles(p_namespace, p_subject_type, p_subject_id) held
  join authz.tuples t on t.subject_id = held.role
  where t.namespace in (p_namespace, 'global')
    and t.resource_type = 'rbac_permission'
    and t.relation = 'granted'
    and t.subject_type = 'rbac_role'
    and t.subject_relation = 'member'
    and (t.expires_at is null or t.expires_at > howdah.now())
    and t.condition_name is null
    and exists (
      select from authz.permissions p
      where p.namespace in (p_namespace, 'global') and p.slug = t.resource_id
    )
$$;

comment on function authz._subject_permissions(text, text, text) is
'The permissions that a subject has, once for each role that gives them and once with a null role if
granted directly; inlined, so ask it for one permission or for all.';

create or replace function authz._held_slugs(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_roles text[],
  p_permissions text[]
) returns table (roles text[], permissions text[])
language sql
stable
parallel safe
as $$
  select
    array(
      select held.role
      from authz._subject_roles(p_namespace, p_subject_type, p_subject_id) held
      where held.role = any (p_roles)
      order by held.role collate "C"
    ),
    array(
      select distinct held.permission collate "C"
      from authz._subject_permissions(p_namespace, p_subject_type, p_subject_id) held
      where held.permission = any (p_permissions)
      order by 1
    )
$$;

comment on function authz._held_slugs(text, text, text, text[], text[]) is
'Those of some roles and permissions that a subject has, in one statement.';

create or replace function authz.has_role(
  p_subject_type text,
  p_subject_id text,
  p_role text,
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
  v_role text collate "C" := p_role;
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_slug('role', p_role);
  perform authz._check_name('subject_type', p_subject_type);
  perform authz._check_id('subject_id', p_subject_id);

  return exists (
    select from authz._subject_roles(v_namespace, v_subject_type, v_subject_id) held
    where held.role = v_role
  );
end
$$;

comment on function authz.has_role(text, text, text, text) is
'Tell whether a subject holds a role.

p_subject_type  the type of the subject
p_subject_id    its id
p_role          the role
p_namespace     the tenant
Returns         true if the role was assigned to the subject itself, exists, and has not expired
Errors          authz.slug_invalid, identifier_format, id_invalid_chars, id_whitespace (22023),
                tenant_mismatch (42501)
Example         select authz.has_role(''user'', ''ann'', ''editor'', ''acme'');';

create or replace function authz.has_permission(
  p_subject_type text,
  p_subject_id text,
  p_permission text,
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
  v_permission text collate "C" := p_permission;
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_slug('permission', p_permission);
  perform authz._check_name('subject_type', p_subject_type);
  perform authz._check_id('subject_id', p_subject_id);

  return exists (
    select from authz._subject_permissions(v_namespace, v_subject_type, v_subject_id) held
    where held.permission = v_permission
  );
end
$$;

comment on function authz.has_permission(text, text, text, text) is
'Tell whether a subject has a permission, directly or by one of its roles.

p_subject_type  the type of the subject
p_subject_id    its id
p_permission    the permission
p_namespace     the tenant
Returns         true if the subject itself or a role that it holds has the permission
Errors          authz.slug_invalid, identifier_format, id_invalid_chars, id_whitespace (22023),
                tenant_mismatch (42501)
Example         select authz.has_permission(''user'', ''ann'', ''posts:write'', ''acme'');';

create or replace function authz.subject_roles(
  p_subject_type text,
  p_subject_id text,
  p_namespace text default 'default'
) returns setof text
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
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_name('subject_type', p_subject_type);
  perform authz._check_id('subject_id', p_subject_id);

  return query
  select held.role
  from authz._subject_roles(v_namespace, v_subject_type, v_subject_id) held
  order by held.role collate "C";
end
$$;

comment on function authz.subject_roles(text, text, text) is
'List the roles that a subject holds.

p_subject_type  the type of the subject
p_subject_id    its id
p_namespace     the tenant
Returns         their slugs, in order
Errors          authz.identifier_format, id_invalid_chars, id_whitespace (22023),
                tenant_mismatch (42501)
Example         select * from authz.subject_roles(''user'', ''ann'', ''acme'');';

create or replace function authz.subject_permissions(
  p_subject_type text,
  p_subject_id text,
  p_namespace text default 'default'
)
returns table (permission text, direct boolean, via_roles text[])
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
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_name('subject_type', p_subject_type);
  perform authz._check_id('subject_id', p_subject_id);

  return query
  select held.permission, bool_or(held.role is null),
    coalesce(
      array_agg(distinct held.role collate "C" order by held.role collate "C")
        filter (where held.role is not null), '{}'
    )
  from authz._subject_permissions(v_namespace, v_subject_type, v_subject_id) held
  group by held.permission
  order by held.permission collate "C";
end
$$;

comment on function authz.subject_permissions(text, text, text) is
'List the permissions that a subject has, and where from.

p_subject_type  the type of the subject
p_subject_id    its id
p_namespace     the tenant
Returns         one row per permission, in order: permission, direct (granted to the subject
                itself), via_roles (the roles that give it)
Errors          authz.identifier_format, id_invalid_chars, id_whitespace (22023),
                tenant_mismatch (42501)
Example         select * from authz.subject_permissions(''user'', ''ann'', ''acme'');';

create or replace function authz.held_slugs(
  p_subject_type text,
  p_subject_id text,
  p_roles text[],
  p_permissions text[],
  p_namespace text default 'default'
)
returns table (roles text[], permissions text[])
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
  v_roles text[] collate "C" := p_roles;
  v_permissions text[] collate "C" := p_permissions;
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_name('subject_type', p_subject_type);
  perform authz._check_id('subject_id', p_subject_id);
  perform authz._check_slugs('roles', p_roles);
  perform authz._check_slugs('permissions', p_permissions);

  return query
  select held.roles, held.permissions
  from authz._held_slugs(v_namespace, v_subject_type, v_subject_id, v_roles, v_permissions) held;
end
$$;

comment on function authz.held_slugs(text, text, text[], text[], text) is
'Tell which of some roles and permissions a subject has, at once.

p_subject_type  the type of the subject
p_subject_id    its id
p_roles         roles to ask for, at most 1,000; null for none
p_permissions   permissions to ask for, at most 1,000; null for none
p_namespace     the tenant
Returns         one row: roles and permissions, those of the asked ones that the subject has
Errors          authz.batch_too_large, array_element_invalid, identifier_format, id_invalid_chars,
                id_whitespace (22023), tenant_mismatch (42501)
Example         select *
                from authz.held_slugs(''user'', ''ann'', ''{admin}'', ''{write}'', ''acme'');';

create or replace function authz.unknown_slugs(
  p_roles text[],
  p_permissions text[],
  p_namespace text default 'default'
) returns setof text
language plpgsql
stable
parallel safe
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_roles text[] collate "C" := p_roles;
  v_permissions text[] collate "C" := p_permissions;
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_slugs('roles', p_roles);
  perform authz._check_slugs('permissions', p_permissions);

  return query
  select asked.slug
  from unnest(v_roles) asked (slug)
  where not exists (
    select from authz.roles r
    where r.namespace in (v_namespace, 'global') and r.slug = asked.slug
  )
  union
  select asked.slug
  from unnest(v_permissions) asked (slug)
  where not exists (
    select from authz.permissions p
    where p.namespace in (v_namespace, 'global') and p.slug = asked.slug
  )
  order by slug;
end
$$;

comment on function authz.unknown_slugs(text[], text[], text) is
'Tell which of some roles and permissions do not exist, so that a program finds its own spelling
mistakes when it starts.

p_roles        roles, at most 1,000; null for none
p_permissions  permissions, at most 1,000; null for none
p_namespace    the tenant
Returns        the slugs that neither the namespace nor global registers, in order; a text that
               is no slug is one of them
Errors         authz.batch_too_large, array_element_invalid (22023), tenant_mismatch (42501)
Example        select * from authz.unknown_slugs(''{editor}'', ''{posts:wirte}'', ''acme'');';
