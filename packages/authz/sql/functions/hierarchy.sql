-- Hierarchy: rules by which one permission on a type implies another, such as admin write and write
-- read.
--
-- Rules of namespace global hold for all tenants, and each tenant may add its own. What follows
-- from them is kept in permission_closure by a trigger: the rows of global say what global rules
-- imply, and a tenant has rows for those types only for which it has rules of its own; they unite
-- both.
--
-- Who changes a rule locks the type in its namespace, so that two changes at once cannot each miss
-- the other's rule. A tenant's change shares a second lock with those of other tenants, which a
-- change of global rules excludes, because it writes to the closures of tenants too.

create or replace function authz.add_hierarchy(
  p_resource_type text,
  p_permission text,
  p_implies text,
  p_namespace text default 'default'
) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_permission text collate "C" := p_permission;
  v_implies text collate "C" := p_implies;
  v_id bigint;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_global(v_namespace);
  perform authz._check_rule(v_namespace, v_resource_type, v_permission, v_implies);
  if v_permission = v_implies then
    perform howdah.fail('authz', 'cycle_self',
      format('permission %s on %s cannot imply itself', left(v_permission, 100),
        left(v_resource_type, 100)),
      'PK001',
      jsonb_build_object('resource_type', left(v_resource_type, 100),
        'permission', left(v_permission, 100)));
  end if;

  perform authz._lock_hierarchy(v_namespace, v_resource_type);
  if v_implies = any (authz._implied_by(v_namespace, v_resource_type, v_permission)) then
    perform howdah.fail('authz', 'cycle_hierarchy',
      format('permission %s on %s cannot imply %s, which already implies it',
        left(v_permission, 100), left(v_resource_type, 100), left(v_implies, 100)),
      'PK001',
      jsonb_build_object('resource_type', left(v_resource_type, 100),
        'permission', left(v_permission, 100), 'implies', left(v_implies, 100)));
  end if;

  insert into authz.permission_hierarchy (namespace, resource_type, permission, implies)
  values (v_namespace, v_resource_type, v_permission, v_implies)
  on conflict (namespace, resource_type, permission, implies) do nothing
  returning id into v_id;

  if v_id is null then
    select h.id into v_id
    from authz.permission_hierarchy h
    where h.namespace = v_namespace
      and h.resource_type = v_resource_type
      and h.permission = v_permission
      and h.implies = v_implies;
  end if;
  return v_id;
end
$$;

comment on function authz.add_hierarchy(text, text, text, text) is
'Let whoever has one permission on resources of a type have another one too.

p_resource_type  the type
p_permission     the permission that is had, such as admin
p_implies        the permission that it implies, such as write
p_namespace      the tenant; only administrators add rules to global, which hold for all tenants
Returns          the id of the rule, also if it was there
Errors           authz.identifier_null (22004), identifier_empty (22026), identifier_too_long
                 (22001), identifier_format (22023), cycle_self, cycle_hierarchy (PK001),
                 global_write_denied, tenant_mismatch (42501)
Example          select authz.add_hierarchy(''repo'', ''admin'', ''write'', ''acme'');';

create or replace function authz.remove_hierarchy(
  p_resource_type text,
  p_permission text,
  p_implies text,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_permission text collate "C" := p_permission;
  v_implies text collate "C" := p_implies;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_global(v_namespace);
  perform authz._check_rule(v_namespace, v_resource_type, v_permission, v_implies);
  perform authz._lock_hierarchy(v_namespace, v_resource_type);

  delete from authz.permission_hierarchy h
  where h.namespace = v_namespace
    and h.resource_type = v_resource_type
    and h.permission = v_permission
    and h.implies = v_implies;
  return found;
end
$$;

comment on function authz.remove_hierarchy(text, text, text, text) is
'Take back a rule that add_hierarchy made. What other rules imply stays.

p_resource_type  the type
p_permission     the permission that is had
p_implies        the permission that it implied
p_namespace      the tenant; only administrators remove rules of global
Returns          true if there was such a rule
Errors           authz.identifier_null (22004), identifier_empty (22026), identifier_too_long
                 (22001), identifier_format (22023), global_write_denied, tenant_mismatch (42501)
Example          select authz.remove_hierarchy(''repo'', ''admin'', ''write'', ''acme'');';

create or replace function authz.clear_hierarchy(
  p_resource_type text,
  p_namespace text default 'default'
) returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_count int;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_global(v_namespace);
  perform authz._check_name('resource_type', v_resource_type);
  perform authz._lock_hierarchy(v_namespace, v_resource_type);

  delete from authz.permission_hierarchy h
  where h.namespace = v_namespace
    and h.resource_type = v_resource_type;
  get diagnostics v_count = row_count;
  return v_count;
end
$$;

comment on function authz.clear_hierarchy(text, text) is
'Take back all rules of a namespace for a type. For a tenant, those of global stay.

p_resource_type  the type
p_namespace      the tenant; only administrators remove rules of global
Returns          how many rules there were
Errors           authz.identifier_null (22004), identifier_empty (22026), identifier_too_long
                 (22001), identifier_format (22023), global_write_denied, tenant_mismatch (42501)
Example          select authz.clear_hierarchy(''repo'', ''acme'');';

create or replace function authz._check_rule(
  p_namespace text,
  p_resource_type text,
  p_permission text,
  p_implies text
) returns void
language plpgsql
immutable
as $$
begin
  perform authz._check_name('resource_type', p_resource_type);
  perform authz._check_name('permission', p_permission);
  perform authz._check_name('implies', p_implies);
  perform authz._check_size(p_namespace, p_resource_type, '', p_permission, '', p_implies, null,
    null);
end
$$;

comment on function authz._check_rule(text, text, text, text) is
'Raise the error that names what is wrong with a rule, if anything is.';

create or replace function authz._lock_hierarchy(p_namespace text, p_resource_type text)
returns void
language plpgsql
as $$
declare
  v_type bigint := hashtextextended('authz.hierarchy' || chr(31) || p_resource_type, 0);
begin
  if p_namespace = 'global' then
    perform pg_advisory_xact_lock(v_type);
  else
    perform pg_advisory_xact_lock_shared(v_type);
    perform pg_advisory_xact_lock(
      hashtextextended('authz.hierarchy' || chr(31) || p_resource_type || chr(31) || p_namespace, 0)
    );
  end if;
end
$$;

comment on function authz._lock_hierarchy(text, text) is
'Let one transaction at a time change the rules of a namespace for a type.';

create or replace function authz._implied_by(
  p_namespace text,
  p_resource_type text,
  p_permission text
) returns text[]
language plpgsql
stable
parallel safe
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_permission text collate "C" := p_permission;
  v_implied_by text[] collate "C";
begin
  select c.implied_by into v_implied_by
  from authz.permission_closure c
  where c.namespace in (v_namespace, 'global')
    and c.resource_type = v_resource_type
    and c.permission = v_permission
  order by c.namespace = v_namespace desc
  limit 1;
  return coalesce(v_implied_by, array[v_permission]);
end
$$;

comment on function authz._implied_by(text, text, text) is
'A permission on a type, and all permissions that imply it in a namespace.';

create or replace function authz._refresh_closure(p_namespace text, p_resource_type text)
returns void
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
begin
  delete from authz.permission_closure c
  where (c.namespace = v_namespace or v_namespace = 'global')
    and c.resource_type = v_resource_type;

  insert into authz.permission_closure (namespace, resource_type, permission, implied_by)
  with recursive spaces as (
    select distinct h.namespace
    from authz.permission_hierarchy h
    where (h.namespace = v_namespace or v_namespace = 'global')
      and h.resource_type = v_resource_type
  ),
  rules as materialized (
    select s.namespace, h.permission, h.implies
    from spaces s
    join authz.permission_hierarchy h on h.namespace in (s.namespace, 'global')
    where h.resource_type = v_resource_type
  ),
  reach as (
    select r.namespace, r.permission, r.implies
    from rules r
    union
    select reach.namespace, reach.permission, r.implies
    from reach
    join rules r on (r.namespace, r.permission) = (reach.namespace, reach.implies)
  )
  select reach.namespace, v_resource_type, reach.implies,
    array_agg(reach.permission order by reach.permission)
      filter (where reach.permission <> reach.implies) || reach.implies
  from reach
  group by reach.namespace, reach.implies;
end
$$;

comment on function authz._refresh_closure(text, text) is
'Compute the closure of a type anew: that of a tenant, or of global and all tenants with rules.';
