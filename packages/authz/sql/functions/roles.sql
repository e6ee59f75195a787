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
    p_namespace, 'rbac_' || split_part(p_event_type collate "C", '_', 1), p_slug,
    nullif(jsonb_strip_nulls(p_detail), '{}')
  );
end
$$;

comment on function authz._audit_slug(text, text, text, jsonb) is
'Record what became of a role or permission.';

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
