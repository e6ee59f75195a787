-- Assignments: what roles may do, and who holds roles and permissions. See roles.sql.

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
  v_resource_type text collate "C" := p_resource_type;
  v_slug text collate "C" := p_slug;
  v_relation text collate "C" := p_relation;
  v_subject_type text collate "C" := p_subject_type;
  v_subject_id text collate "C" := authz._nfc(p_subject_id);
  v_subject_relation text collate "C" := p_subject_relation;
begin
  perform authz._check_global(v_namespace);

  delete from authz.tuples t
  where t.namespace = v_namespace
    and t.resource_type = v_resource_type
    and t.resource_id = v_slug
    and t.relation = v_relation
    and t.subject_type = v_subject_type
    and t.subject_id = v_subject_id
    and coalesce(t.subject_relation, '') = coalesce(v_subject_relation, '');

  return found;
end
$$;

comment on function authz._delete_assignment(text, text, text, text, text, text, text) is
'Delete a tuple of a role or permission; false if there is none.';

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
