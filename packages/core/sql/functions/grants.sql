-- Grants: least privilege for roles that may call a module but own nothing of it.
--
-- What a role may do is recorded in howdah.grants and applied from there, because a function that
-- is dropped and made again loses its rights. Applying is idempotent: everything a role has in the
-- module is taken away, then given anew.

create or replace function howdah.grant_module(
  p_module text,
  p_role name,
  p_access text default 'use'
) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_access jsonb;
begin
  select m.manifest -> 'access' into v_access
  from howdah.modules m
  where m.module = p_module;
  if not found then
    perform howdah.fail('howdah', 'module_not_found',
      format('module %L is not installed', p_module), 'P0002',
      jsonb_build_object('module', p_module));
  end if;

  if not exists (select 1 from pg_roles r where r.rolname = p_role) then
    perform howdah.fail('howdah', 'role_not_found',
      format('role %L does not exist', p_role), 'P0002',
      jsonb_build_object('role', p_role), format('Create it first: create role %I login;', p_role));
  end if;

  if p_access is null or not (
    p_access in ('view', 'use', 'read', 'admin')
    or (p_access <> 'secret' and coalesce(v_access, '{}') ? p_access)
  ) then
    perform howdah.fail('howdah', 'access_unknown',
      format('%L is not an access of module %s', p_access, p_module), '22023',
      jsonb_build_object('access', p_access),
      'Accesses: view, use, read, admin'
        || coalesce((
          select string_agg(', ' || k, '' order by k)
          from jsonb_object_keys(v_access) k
          where k not in ('admin', 'secret')
        ), ''));
  end if;

  perform howdah._lock_grants();
  insert into howdah.grants (module, role_name, access)
  values (p_module, p_role, p_access)
  on conflict (module, role_name) do update
  set access = excluded.access, granted_at = excluded.granted_at;

  perform howdah.apply_grants(p_module);
end
$$;

comment on function howdah.grant_module(text, name, text) is
'Let a role use a module.

p_module     an installed module, or howdah itself
p_role       an existing role
p_access     view (functions that only read), use (all public functions), read (use, and select on
             the tables under row-level security), admin (read, maintenance, all namespaces), or a
             set that the module names
Returns      nothing
Errors       howdah.module_not_found, role_not_found (P0002), access_unknown (22023)
Example      select howdah.grant_module(''queue'', ''app'', ''use'');';

create or replace function howdah.revoke_module(p_module text, p_role name) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_had boolean;
begin
  perform howdah._lock_grants();
  delete from howdah.grants g
  where g.module = p_module and g.role_name = p_role;
  v_had := found;

  if v_had and exists (select 1 from pg_roles r where r.rolname = p_role) then
    perform howdah._take_all(p_module, p_role);
    perform howdah._take_all('howdah', p_role);
    perform howdah.apply_grants('howdah');
  end if;
  return v_had;
end
$$;

comment on function howdah.revoke_module(text, name) is
'Take a module away from a role.

p_module     the module
p_role       the role
Returns      true if the role had access; false if there was nothing to take
Errors       none
Example      select howdah.revoke_module(''queue'', ''app'');';

create or replace function howdah.apply_grants(p_module text default null) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_module record;
  v_grant record;
  v_function regprocedure;
begin
  perform howdah._lock_grants();
  delete from howdah.grants g
  where not exists (select 1 from pg_roles r where r.rolname = g.role_name);

  for v_module in
    select m.module, m.manifest -> 'functions' as functions,
      coalesce(m.manifest -> 'access', '{}') as access
    from howdah.modules m
    where (p_module is null or m.module = p_module)
      and to_regnamespace(quote_ident(m.module)) is not null
  loop
    execute format('revoke all on all routines in schema %I from public', v_module.module);
    execute format('revoke all on all tables in schema %I from public', v_module.module);
    execute format('revoke all on all sequences in schema %I from public', v_module.module);
    if v_module.module = 'howdah' then
      grant usage on schema howdah to public;
      grant execute on function howdah.tenant(), howdah.actor(), howdah.now() to public;
    else
      execute format('revoke all on schema %I from public', v_module.module);
    end if;

    perform howdah._take_all(v_module.module, g.role_name)
    from howdah.grants g
    where v_module.module in (g.module, 'howdah')
    group by g.role_name;

    for v_grant in
      select g.role_name, g.access
      from howdah.grants g
      where g.module = v_module.module
      union
      select g.role_name, 'context'
      from howdah.grants g
      where v_module.module = 'howdah'
        and g.module <> 'howdah'
    loop
      execute format('grant usage on schema %I to %I', v_module.module, v_grant.role_name);
      for v_function in
        select p.oid::regprocedure
        from pg_proc p
        where p.pronamespace = to_regnamespace(quote_ident(v_module.module))
          and left(p.proname, 1) <> '_'
          and p.prorettype <> 'trigger'::regtype
          and (
            v_module.functions is null
            or exists (
              select 1
              from jsonb_object_keys(v_module.functions) f
              where split_part(f, '(', 1) = quote_ident(p.proname)
            )
          )
          and howdah._is_granted(v_module.access, p.proname, p.provolatile <> 'v', v_grant.access)
      loop
        execute format('grant execute on function %s to %I', v_function, v_grant.role_name);
      end loop;
      if v_grant.access in ('read', 'admin') then
        execute format('grant select on all tables in schema %I to %I',
          v_module.module, v_grant.role_name);
      end if;
    end loop;
  end loop;

  if p_module <> 'howdah' then
    perform howdah.apply_grants('howdah');
  end if;
end
$$;

comment on function howdah.apply_grants(text) is
'Give all roles the rights that howdah.grants records, and PUBLIC none.

Runs after every change of a module. Grants of roles that no longer exist are forgotten. A role with
access to any module may also set tenant and actor. Functions are those that the module''s manifest
names; without a manifest, all that do not begin with an underscore.
p_module     one module, or null for all
Returns      nothing
Errors       none
Example      select howdah.apply_grants();';

create or replace function howdah._is_granted(
  p_sets jsonb,
  p_function name,
  p_only_reads boolean,
  p_access text
) returns boolean
language sql
immutable
as $$
  select case p_access
    when 'admin' then true
    when 'use' then not coalesce(p_sets -> 'admin', '[]') ? p_function
    when 'read' then not coalesce(p_sets -> 'admin', '[]') ? p_function
    when 'view' then p_only_reads
      and not coalesce(p_sets -> 'admin', '[]') ? p_function
      and not coalesce(p_sets -> 'secret', '[]') ? p_function
    else coalesce(p_sets -> p_access, '[]') ? p_function
  end
$$;

comment on function howdah._is_granted(jsonb, name, boolean, text) is
'Whether an access of a module includes a function.';

create or replace function howdah._lock_grants() returns void
language sql
as $$
  select pg_advisory_xact_lock(hashtextextended('howdah.grants', 0))
$$;

comment on function howdah._lock_grants() is
'Let one transaction at a time change rights, of which PostgreSQL would fail the second one.';

create or replace function howdah._take_all(p_module text, p_role name) returns void
language plpgsql
as $$
begin
  if to_regnamespace(quote_ident(p_module)) is null then
    return;
  end if;
  execute format('revoke all on all routines in schema %I from %I', p_module, p_role);
  execute format('revoke all on all tables in schema %I from %I', p_module, p_role);
  execute format('revoke all on schema %I from %I', p_module, p_role);
end
$$;

comment on function howdah._take_all(text, name) is
'Take every right on a module''s schema from a role.';
