-- Roles: named sets of permissions, and who holds them.
--
-- roles and permissions are registers of names; everything else is tuples of two reserved types:
--
--   rbac_role:editor        # member   @ user:ann                 ann is an editor
--   rbac_permission:write   # granted  @ rbac_role:editor#member  editors may write
--   rbac_permission:write   # granted  @ user:bob                 bob may write, whatever his roles
--
-- so that expiry, audit, transfer and lists are those of all tuples. This layer is flat: it asks
-- who is named in those tuples and walks no groups.
--
-- What namespace global registers, and which permissions its roles have there, holds in every
-- namespace; who holds a role is each namespace's own. A name that is not registered gives nothing,
-- whatever tuples say.
--
-- Whoever writes a tuple first locks the registered names that it mentions, and whoever deletes a
-- name deletes its row before its tuples. So one of the two waits for the other: an assignment
-- never outlives its role. (A transaction with a snapshot of its own, REPEATABLE READ, deletes the
-- tuples that it sees. Others may stay, and give nothing.)

create or replace function authz._check_slug(p_field text, p_slug text) returns void
language plpgsql
immutable
parallel safe
as $$
begin
  if p_slug collate "C" ~ '^[a-z][a-z0-9_:-]*$' and octet_length(p_slug) <= 64 then
    return;
  end if;

  perform howdah.fail('authz', 'slug_invalid',
    format('%s %s is no slug', p_field, coalesce(quote_literal(left(p_slug, 100)), 'null')),
    '22023', jsonb_build_object('field', p_field, 'value', left(p_slug, 100), 'limit', 64),
    'Use lower-case letters, digits, _, : and -, beginning with a letter, at most 64 of them.');
end
$$;

comment on function authz._check_slug(text, text) is
'Refuse what cannot be the name of a role or permission.';

create or replace function authz._check_words(p_label text, p_description text) returns void
language plpgsql
immutable
parallel safe
as $$
declare
  v_long record;
begin
  select w.field, length(w.words) as actual, w.most into v_long
  from (values ('label', p_label, 200), ('description', p_description, 2000))
    w (field, words, most)
  where length(w.words) > w.most
  limit 1;
  if found then
    perform howdah.fail('authz', 'identifier_too_long',
      format('%s has %s characters, at most %s are allowed', v_long.field, v_long.actual,
        v_long.most),
      '22001',
      jsonb_build_object('field', v_long.field, 'limit', v_long.most, 'actual', v_long.actual));
  end if;
end
$$;

comment on function authz._check_words(text, text) is
'Refuse a label or description of a role or permission that is too long.';

create or replace function authz._check_slugs(p_field text, p_slugs text[]) returns void
language plpgsql
immutable
parallel safe
as $$
declare
  v_at int := array_position(p_slugs, null);
begin
  if cardinality(p_slugs) > 1000 then
    perform howdah.fail('authz', 'batch_too_large',
      format('%s has %s elements, at most 1000 are allowed', p_field, cardinality(p_slugs)),
      '22023',
      jsonb_build_object('field', p_field, 'limit', 1000, 'actual', cardinality(p_slugs)),
      'Send them in several calls.');
  end if;
  if v_at is not null then
    perform howdah.fail('authz', 'array_element_invalid', format('%s[%s] is null', p_field, v_at),
      '22023', jsonb_build_object('field', p_field, 'index', v_at));
  end if;
end
$$;

comment on function authz._check_slugs(text, text[]) is
'Refuse an array of slugs that is too long or has a null in it. Their form is not looked at: what is
no slug is not registered and held by nobody.';

create or replace function authz._lock_role(p_namespace text, p_role text) returns void
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_role text collate "C" := p_role;
begin
  perform authz._check_slug('role', v_role);
  perform from authz.roles r
  where r.namespace in (v_namespace, 'global') and r.slug = v_role
  for key share;

  if not found then
    perform howdah.fail('authz', 'slug_unknown',
      format('role %L does not exist in namespace %s', v_role, v_namespace), 'P0002',
      jsonb_build_object('role', v_role, 'namespace', v_namespace),
      format('Create it with authz.create_role(%L, p_namespace => %L), or howdah roles create.',
        v_role, v_namespace));
  end if;
end
$$;

comment on function authz._lock_role(text, text) is
'Keep a role from being deleted until the transaction ends; refuse one that does not exist.';

create or replace function authz._lock_permission(p_namespace text, p_permission text)
returns void
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_permission text collate "C" := p_permission;
begin
  perform authz._check_slug('permission', v_permission);
  perform from authz.permissions p
  where p.namespace in (v_namespace, 'global') and p.slug = v_permission
  for key share;

  if not found then
    perform howdah.fail('authz', 'slug_unknown',
      format('permission %L does not exist in namespace %s', v_permission, v_namespace), 'P0002',
      jsonb_build_object('permission', v_permission, 'namespace', v_namespace),
      format(
        'Create it with authz.create_permission(%L, p_namespace => %L), or howdah perms create.',
        v_permission, v_namespace
      ));
  end if;
end
$$;

comment on function authz._lock_permission(text, text) is
'Keep a permission from being deleted until the transaction ends; refuse one that does not exist.';

create or replace function authz._audit_slug(
  p_event_type text,
  p_namespace text,
  p_slug text,
  p_detail jsonb
) returns void
language plpgsql
as $$
declare
  v_actor jsonb := howdah.actor();
begin
  insert into authz.audit_events (
    event_type, actor_id, request_id, reason, on_behalf_of, current_user_name,
    namespace, resource_type, resource_id, detail
  )
  values (
    p_event_type, v_actor ->> 'actor_id', v_actor ->> 'request_id', v_actor ->> 'reason',
    v_actor ->> 'on_behalf_of', howdah.outer_role(),
    p_namespace, 'rbac_' || split_part(p_event_type, '_', 1), p_slug,
    nullif(jsonb_strip_nulls(p_detail), '{}')
  );
end
$$;

comment on function authz._audit_slug(text, text, text, jsonb) is
'Record what became of a role or permission.';

create or replace function authz._write_assignment(
  p_namespace text,
  p_resource_type text,
  p_slug text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_expires_at timestamptz
) returns boolean
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_slug text collate "C" := p_slug;
  v_relation text collate "C" := p_relation;
  v_subject_type text collate "C" := p_subject_type;
  v_is_edge boolean;
  v_id bigint;
begin
  perform authz._check_global(v_namespace);
  perform authz._check_size(v_namespace, v_resource_type, v_slug, v_relation, v_subject_type,
    authz._nfc(p_subject_id), p_subject_relation, null);
  if p_expires_at <= howdah.now() then
    perform authz._fail_expiration(p_expires_at);
  end if;
  v_is_edge := authz._lock_edges(v_namespace, v_resource_type, v_relation, v_subject_type);

  insert into authz.tuples as t (namespace, resource_type, resource_id, relation, subject_type,
    subject_id, subject_relation, expires_at)
  values (v_namespace, v_resource_type, v_slug, v_relation, v_subject_type, p_subject_id,
    p_subject_relation, p_expires_at)
  on conflict (namespace, resource_type, resource_id, relation, subject_type, subject_id,
    (coalesce(subject_relation, ''))) do update
  set expires_at = excluded.expires_at, condition_name = null, condition_context = null
  where (t.expires_at, t.condition_name) is distinct from (excluded.expires_at, null)
  returning t.id into v_id;

  if v_id is not null and v_is_edge then
    perform authz._check_cycles(v_namespace, array[v_id]);
  end if;
  return v_id is not null;
end
$$;

comment on function authz._write_assignment(
  text, text, text, text, text, text, text, timestamptz
) is
'Write a tuple of a role or permission; false if it is there already, with that expiry.';

create or replace function authz._delete_assignment(
  p_namespace text,
  p_resource_type text,
  p_slug text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text
) returns boolean
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_slug text collate "C" := p_slug;
  v_subject_type text collate "C" := p_subject_type;
  v_subject_id text collate "C" := authz._nfc(p_subject_id);
begin
  perform authz._check_global(v_namespace);

  delete from authz.tuples t
  where t.namespace = v_namespace
    and t.resource_type = p_resource_type
    and t.resource_id = v_slug
    and t.relation = p_relation
    and t.subject_type = v_subject_type
    and t.subject_id = v_subject_id
    and coalesce(t.subject_relation, '') = coalesce(p_subject_relation, '');

  return found;
end
$$;

comment on function authz._delete_assignment(text, text, text, text, text, text, text) is
'Delete a tuple of a role or permission; false if there is none.';

create or replace function authz._delete_tuples_of(
  p_namespace text,
  p_type text,
  p_slug text
) returns void
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_type text collate "C" := p_type;
  v_slug text collate "C" := p_slug;
begin
  with recursive namespaces (namespace) as (
    select case when v_namespace = 'global' then '' collate "C" else v_namespace end
    union all
    select next.namespace
    from namespaces n
    cross join lateral (
      select t.namespace
      from authz.tuples t
      where t.namespace > n.namespace
      order by t.namespace
      limit 1
    ) next
    where v_namespace = 'global'
  )
  delete from authz.tuples t
  using namespaces n
  cross join lateral (
    select r.id
    from authz.tuples r
    where r.namespace = n.namespace and r.resource_type = v_type and r.resource_id = v_slug
    union all
    select s.id
    from authz.tuples s
    where s.namespace = n.namespace and s.subject_type = v_type and s.subject_id = v_slug
  ) mention
  where t.namespace = n.namespace
    and t.id = mention.id
    and not exists (
      select from authz.roles r
      where v_type = 'rbac_role' and r.namespace = n.namespace and r.slug = v_slug
    )
    and not exists (
      select from authz.permissions p
      where v_type = 'rbac_permission' and p.namespace = n.namespace and p.slug = v_slug
    );
end
$$;

comment on function authz._delete_tuples_of(text, text, text) is
'Delete all tuples that mention a role or permission: those of the namespace, and for global those
of every namespace that does not register the name itself.';

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
      order by held.role
    ),
    array(
      select distinct held.permission
      from authz._subject_permissions(p_namespace, p_subject_type, p_subject_id) held
      where held.permission = any (p_permissions)
      order by held.permission
    )
$$;

comment on function authz._held_slugs(text, text, text, text[], text[]) is
'Those of some roles and permissions that a subject has, in one statement.';

create or replace function authz.create_role(
  p_slug text,
  p_label text default null,
  p_description text default null,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_global(p_namespace);
  perform authz._check_slug('role', p_slug);
  perform authz._check_words(p_label, p_description);

  insert into authz.roles (namespace, slug, label, description)
  values (p_namespace, p_slug, p_label, p_description)
  on conflict (namespace, slug) do nothing;
  if not found then
    return false;
  end if;

  perform authz._audit_slug('role_created', p_namespace, p_slug,
    jsonb_build_object('label', p_label, 'description', p_description));
  return true;
end
$$;

comment on function authz.create_role(text, text, text, text) is
'Register a role, which nobody holds and which permits nothing yet.

Namespace global registers roles that every namespace has; a namespace may register one of the same
name, with a label of its own.
p_slug         its name: ^[a-z][a-z0-9_:-]*$, at most 64 bytes
p_label        its name for people, at most 200 characters
p_description  what it is for, at most 2,000 characters
p_namespace    the tenant, or global for all of them
Returns        true; false if the namespace has it already, which is left as it is
Errors         authz.slug_invalid (22023), identifier_too_long (22001), global_write_denied,
               tenant_mismatch (42501)
Example        select authz.create_role(''editor'', ''Editor'', p_namespace => ''acme'');';

create or replace function authz.update_role(
  p_slug text,
  p_label text default null,
  p_description text default null,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_slug text collate "C" := p_slug;
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_global(p_namespace);
  perform authz._check_slug('role', p_slug);
  perform authz._check_words(p_label, p_description);

  update authz.roles r
  set label = p_label, description = p_description
  where r.namespace = v_namespace
    and r.slug = v_slug
    and (r.label, r.description) is distinct from (p_label, p_description);
  if not found then
    return false;
  end if;

  perform authz._audit_slug('role_updated', p_namespace, p_slug,
    jsonb_build_object('label', p_label, 'description', p_description));
  return true;
end
$$;

comment on function authz.update_role(text, text, text, text) is
'Give a role of the namespace another label and description.

p_slug         the role
p_label        its name for people, at most 200 characters, null for none
p_description  what it is for, at most 2,000 characters, null for nothing
p_namespace    the tenant, or global
Returns        true if something changed; false if not, or if the namespace registers no such role
Errors         authz.slug_invalid (22023), identifier_too_long (22001), global_write_denied,
               tenant_mismatch (42501)
Example        select authz.update_role(''editor'', ''Editors'', p_namespace => ''acme'');';

create or replace function authz.delete_role(
  p_slug text,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_slug text collate "C" := p_slug;
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_global(p_namespace);
  perform authz._check_slug('role', p_slug);

  delete from authz.roles r
  where r.namespace = v_namespace and r.slug = v_slug;
  if not found then
    return false;
  end if;

  perform authz._delete_tuples_of(p_namespace, 'rbac_role', p_slug);
  perform authz._audit_slug('role_deleted', p_namespace, p_slug, null);
  return true;
end
$$;

comment on function authz.delete_role(text, text) is
'Delete a role, and with it every tuple that gives it to somebody or something to it.

Deleting a role of global takes it from all namespaces, except those that register it themselves.
p_slug       the role
p_namespace  the tenant, or global
Returns      true if the role was deleted; false if the namespace registers no such role
Errors       authz.slug_invalid (22023), global_write_denied, tenant_mismatch (42501)
Example      select authz.delete_role(''editor'', ''acme'');';

create or replace function authz.create_permission(
  p_slug text,
  p_label text default null,
  p_description text default null,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_global(p_namespace);
  perform authz._check_slug('permission', p_slug);
  perform authz._check_words(p_label, p_description);

  insert into authz.permissions (namespace, slug, label, description)
  values (p_namespace, p_slug, p_label, p_description)
  on conflict (namespace, slug) do nothing;
  if not found then
    return false;
  end if;

  perform authz._audit_slug('permission_created', p_namespace, p_slug,
    jsonb_build_object('label', p_label, 'description', p_description));
  return true;
end
$$;

comment on function authz.create_permission(text, text, text, text) is
'Register a permission, which nobody has yet.

Namespace global registers permissions that every namespace has; a namespace may register one of the
same name, with a label of its own.
p_slug         its name: ^[a-z][a-z0-9_:-]*$, at most 64 bytes
p_label        its name for people, at most 200 characters
p_description  what it permits, at most 2,000 characters
p_namespace    the tenant, or global for all of them
Returns        true; false if the namespace has it already, which is left as it is
Errors         authz.slug_invalid (22023), identifier_too_long (22001), global_write_denied,
               tenant_mismatch (42501)
Example        select authz.create_permission(''posts:write'', p_namespace => ''acme'');';

create or replace function authz.update_permission(
  p_slug text,
  p_label text default null,
  p_description text default null,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_slug text collate "C" := p_slug;
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_global(p_namespace);
  perform authz._check_slug('permission', p_slug);
  perform authz._check_words(p_label, p_description);

  update authz.permissions p
  set label = p_label, description = p_description
  where p.namespace = v_namespace
    and p.slug = v_slug
    and (p.label, p.description) is distinct from (p_label, p_description);
  if not found then
    return false;
  end if;

  perform authz._audit_slug('permission_updated', p_namespace, p_slug,
    jsonb_build_object('label', p_label, 'description', p_description));
  return true;
end
$$;

comment on function authz.update_permission(text, text, text, text) is
'Give a permission of the namespace another label and description.

p_slug         the permission
p_label        its name for people, at most 200 characters, null for none
p_description  what it permits, at most 2,000 characters, null for nothing
p_namespace    the tenant, or global
Returns        true if something changed; false if not, or if the namespace registers none of it
Errors         authz.slug_invalid (22023), identifier_too_long (22001), global_write_denied,
               tenant_mismatch (42501)
Example        select authz.update_permission(''write'', ''Write'', p_namespace => ''acme'');';

create or replace function authz.delete_permission(
  p_slug text,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_slug text collate "C" := p_slug;
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_global(p_namespace);
  perform authz._check_slug('permission', p_slug);

  delete from authz.permissions p
  where p.namespace = v_namespace and p.slug = v_slug;
  if not found then
    return false;
  end if;

  perform authz._delete_tuples_of(p_namespace, 'rbac_permission', p_slug);
  perform authz._audit_slug('permission_deleted', p_namespace, p_slug, null);
  return true;
end
$$;

comment on function authz.delete_permission(text, text) is
'Delete a permission, and with it every tuple that grants it.

Deleting a permission of global takes it from all namespaces, except those that register it
themselves.
p_slug       the permission
p_namespace  the tenant, or global
Returns      true if the permission was deleted; false if the namespace registers no such permission
Errors       authz.slug_invalid (22023), global_write_denied, tenant_mismatch (42501)
Example      select authz.delete_permission(''posts:write'', ''acme'');';

create or replace function authz.list_roles(p_namespace text default 'default')
returns table (
  slug text,
  label text,
  description text,
  namespace text,
  created_at timestamptz,
  permissions text[]
)
language plpgsql
stable
parallel safe
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
begin
  perform howdah.guard('authz', p_namespace);

  return query
  select distinct on (r.slug) r.slug, r.label, r.description, r.namespace, r.created_at,
    array(
      select distinct t.resource_id
      from authz.tuples t
      where t.namespace in (v_namespace, 'global')
        and t.resource_type = 'rbac_permission'
        and t.relation = 'granted'
        and t.subject_type = 'rbac_role'
        and t.subject_id = r.slug
        and t.subject_relation = 'member'
        and (t.expires_at is null or t.expires_at > howdah.now())
        and t.condition_name is null
        and exists (
          select from authz.permissions p
          where p.namespace in (v_namespace, 'global') and p.slug = t.resource_id
        )
      order by t.resource_id
    )
  from authz.roles r
  where r.namespace in (v_namespace, 'global')
  order by r.slug, r.namespace = 'global';
end
$$;

comment on function authz.list_roles(text) is
'List the roles that a namespace has: its own, and those of global.

p_namespace  the tenant
Returns      one row per role, by slug: slug, label, description, namespace that registers it,
             created_at, and the slugs of its permissions
Errors       authz.tenant_mismatch (42501)
Example      select slug, permissions from authz.list_roles(''acme'');';

create or replace function authz.list_permissions(
  p_namespace text default 'default',
  p_role text default null
)
returns table (
  slug text,
  label text,
  description text,
  namespace text,
  created_at timestamptz
)
language plpgsql
stable
parallel safe
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_role text collate "C" := p_role;
begin
  perform howdah.guard('authz', p_namespace);
  if v_role is not null then
    perform authz._check_slug('role', v_role);
  end if;

  return query
  select distinct on (p.slug) p.slug, p.label, p.description, p.namespace, p.created_at
  from authz.permissions p
  where p.namespace in (v_namespace, 'global')
    and (v_role is null or exists (
      select from authz.tuples t
      where t.namespace in (v_namespace, 'global')
        and t.resource_type = 'rbac_permission'
        and t.resource_id = p.slug
        and t.relation = 'granted'
        and t.subject_type = 'rbac_role'
        and t.subject_id = v_role
        and t.subject_relation = 'member'
        and (t.expires_at is null or t.expires_at > howdah.now())
        and t.condition_name is null
    ))
  order by p.slug, p.namespace = 'global';
end
$$;

comment on function authz.list_permissions(text, text) is
'List the permissions that a namespace has: its own, and those of global.

p_namespace  the tenant
p_role       only those that this role has
Returns      one row per permission, by slug: slug, label, description, namespace that registers it,
             created_at
Errors       authz.slug_invalid (22023), tenant_mismatch (42501)
Example      select slug, label from authz.list_permissions(''acme'', ''editor'');';

create or replace function authz.grant_role_permission(
  p_role text,
  p_permission text,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._lock_role(p_namespace, p_role);
  perform authz._lock_permission(p_namespace, p_permission);

  return authz._write_assignment(p_namespace, 'rbac_permission', p_permission, 'granted',
    'rbac_role', p_role, 'member', null);
end
$$;

comment on function authz.grant_role_permission(text, text, text) is
'Give a permission to a role, and so to all who hold it.

In namespace global this holds for the role of that name in every namespace.
p_role        the role
p_permission  the permission
p_namespace   the tenant, or global
Returns       true if the role has got it; false if it had it already
Errors        authz.slug_invalid (22023), slug_unknown (P0002), global_write_denied,
              tenant_mismatch (42501)
Example       select authz.grant_role_permission(''editor'', ''posts:write'', ''acme'');';

create or replace function authz.revoke_role_permission(
  p_role text,
  p_permission text,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_slug('role', p_role);
  perform authz._check_slug('permission', p_permission);

  return authz._delete_assignment(p_namespace, 'rbac_permission', p_permission, 'granted',
    'rbac_role', p_role, 'member');
end
$$;

comment on function authz.revoke_role_permission(text, text, text) is
'Take a permission from a role. What namespace global gave to it stays.

p_role        the role
p_permission  the permission
p_namespace   the tenant, or global
Returns       true if the role had it
Errors        authz.slug_invalid (22023), global_write_denied, tenant_mismatch (42501)
Example       select authz.revoke_role_permission(''editor'', ''posts:write'', ''acme'');';

create or replace function authz.assign_role(
  p_subject_type text,
  p_subject_id text,
  p_role text,
  p_namespace text default 'default',
  p_expires_at timestamptz default null
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._lock_role(p_namespace, p_role);
  perform authz._check_name('subject_type', p_subject_type);
  perform authz._check_id('subject_id', p_subject_id);

  return authz._write_assignment(p_namespace, 'rbac_role', p_role, 'member',
    p_subject_type, p_subject_id, null, p_expires_at);
end
$$;

comment on function authz.assign_role(text, text, text, text, timestamptz) is
'Give a role to a subject.

p_subject_type  the type of the subject, such as user
p_subject_id    its id
p_role          the role, of the namespace or of global
p_namespace     the tenant in which the subject holds it
p_expires_at    when it ends, null for never; a second call sets it anew
Returns         true if something changed; false if the subject had it, until the same time
Errors          authz.slug_unknown (P0002), slug_invalid, identifier_format, id_invalid_chars,
                id_whitespace (22023), identifier_null, id_null (22004), identifier_empty,
                id_empty (22026), identifier_too_long, id_too_long (22001),
                expiration_future (23514), cycle_group (PK001), global_write_denied,
                tenant_mismatch (42501)
Example         select authz.assign_role(''user'', ''ann'', ''editor'', ''acme'');';

create or replace function authz.unassign_role(
  p_subject_type text,
  p_subject_id text,
  p_role text,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_slug('role', p_role);
  perform authz._check_name('subject_type', p_subject_type);
  perform authz._check_id('subject_id', p_subject_id);

  return authz._delete_assignment(p_namespace, 'rbac_role', p_role, 'member',
    p_subject_type, p_subject_id, null);
end
$$;

comment on function authz.unassign_role(text, text, text, text) is
'Take a role from a subject.

p_subject_type  the type of the subject
p_subject_id    its id
p_role          the role
p_namespace     the tenant
Returns         true if an assignment was deleted
Errors          authz.slug_invalid, identifier_format, id_invalid_chars, id_whitespace (22023),
                global_write_denied, tenant_mismatch (42501)
Example         select authz.unassign_role(''user'', ''ann'', ''editor'', ''acme'');';

create or replace function authz.grant_permission(
  p_subject_type text,
  p_subject_id text,
  p_permission text,
  p_namespace text default 'default',
  p_expires_at timestamptz default null
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._lock_permission(p_namespace, p_permission);
  perform authz._check_name('subject_type', p_subject_type);
  perform authz._check_id('subject_id', p_subject_id);

  return authz._write_assignment(p_namespace, 'rbac_permission', p_permission, 'granted',
    p_subject_type, p_subject_id, null, p_expires_at);
end
$$;

comment on function authz.grant_permission(text, text, text, text, timestamptz) is
'Give a permission to a subject directly, beside those that its roles give.

p_subject_type  the type of the subject, such as user
p_subject_id    its id
p_permission    the permission, of the namespace or of global
p_namespace     the tenant in which the subject has it
p_expires_at    when it ends, null for never; a second call sets it anew
Returns         true if something changed; false if the subject had it, until the same time
Errors          authz.slug_unknown (P0002), slug_invalid, identifier_format, id_invalid_chars,
                id_whitespace (22023), identifier_null, id_null (22004), identifier_empty,
                id_empty (22026), identifier_too_long, id_too_long (22001),
                expiration_future (23514), global_write_denied,
                tenant_mismatch (42501)
Example         select authz.grant_permission(''user'', ''bob'', ''posts:write'', ''acme'');';

create or replace function authz.revoke_permission(
  p_subject_type text,
  p_subject_id text,
  p_permission text,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_slug('permission', p_permission);
  perform authz._check_name('subject_type', p_subject_type);
  perform authz._check_id('subject_id', p_subject_id);

  return authz._delete_assignment(p_namespace, 'rbac_permission', p_permission, 'granted',
    p_subject_type, p_subject_id, null);
end
$$;

comment on function authz.revoke_permission(text, text, text, text) is
'Take a permission from a subject to which it was given directly; what its roles give stays.

p_subject_type  the type of the subject
p_subject_id    its id
p_permission    the permission
p_namespace     the tenant
Returns         true if a grant was deleted
Errors          authz.slug_invalid, identifier_format, id_invalid_chars, id_whitespace (22023),
                global_write_denied, tenant_mismatch (42501)
Example         select authz.revoke_permission(''user'', ''bob'', ''posts:write'', ''acme'');';

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
  order by held.role;
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
      array_agg(distinct held.role order by held.role) filter (where held.role is not null), '{}'
    )
  from authz._subject_permissions(v_namespace, v_subject_type, v_subject_id) held
  group by held.permission
  order by held.permission;
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
