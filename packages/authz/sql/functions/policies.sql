-- Rights: every table, and every partition, shows a tenant its own rows only, and PUBLIC has none.
--
-- The functions of this module run as its owner, whom row-level security does not bind, and filter
-- by namespace themselves; the policies are for roles that read the tables. Two things reach over
-- tenants: the rules and names of namespace global, which all may read, and a viewer, who sees and
-- may leave what others granted to it.

do $$
declare
  v_table regclass;
begin
  for v_table in
    select c.oid
    from pg_class c
    where c.relnamespace = 'authz'::regnamespace
      and c.relkind in ('r', 'p')
  loop
    execute format('alter table %s enable row level security', v_table);
    execute format('drop policy if exists tenant on %s', v_table);
    execute format('create policy tenant on %s using (namespace = howdah.tenant())', v_table);
  end loop;
end
$$;

drop policy if exists tuples_recipient_visibility on authz.tuples;
create policy tuples_recipient_visibility on authz.tuples for select
using (
  subject_type = nullif(current_setting('authz.viewer_type', true), '')
  and subject_id = nullif(current_setting('authz.viewer_id', true), '')
);
drop policy if exists tuples_recipient_can_leave on authz.tuples;
create policy tuples_recipient_can_leave on authz.tuples for delete
using (
  subject_type = nullif(current_setting('authz.viewer_type', true), '')
  and subject_id = nullif(current_setting('authz.viewer_id', true), '')
);

-- What belongs to namespace global counts for all tenants: a role whom row-level security binds
-- does not write it with plain SQL, pinned to global or not. A viewer may leave there too.
drop policy if exists tuples_global_write_protection on authz.tuples;
create policy tuples_global_write_protection on authz.tuples as restrictive for insert
with check (namespace <> 'global');
drop policy if exists tuples_global_update_protection on authz.tuples;
create policy tuples_global_update_protection on authz.tuples as restrictive for update
using (namespace <> 'global');
drop policy if exists tuples_global_delete_protection on authz.tuples;
create policy tuples_global_delete_protection on authz.tuples as restrictive for delete
using (
  namespace <> 'global'
  or (
    subject_type = nullif(current_setting('authz.viewer_type', true), '')
    and subject_id = nullif(current_setting('authz.viewer_id', true), '')
  )
);

-- All else of it is there to be read by all.
do $$
declare
  v_table text;
  v_policy text;
  v_command text;
begin
  foreach v_table in array array['permission_hierarchy', 'permission_closure', 'roles',
    'permissions', 'models', 'active_models', 'programs']
  loop
    execute format('drop policy if exists defaults on authz.%I', v_table);
    execute format(
      $policy$create policy defaults on authz.%I for select
      using (namespace = howdah.tenant() or namespace = 'global')$policy$, v_table);

    foreach v_command in array array['insert', 'update', 'delete']
    loop
      v_policy := format('%s_global_%s_protection',
        case v_table when 'permission_hierarchy' then 'hierarchy' else v_table end,
        case v_command when 'insert' then 'write' else v_command end);
      execute format('drop policy if exists %I on authz.%I', v_policy, v_table);
      execute format(
        'create policy %I on authz.%I as restrictive for %s %s
        (namespace = howdah.tenant() and namespace <> %L)',
        v_policy, v_table, v_command,
        case v_command when 'insert' then 'with check' else 'using' end, 'global');
    end loop;
  end loop;
end
$$;

-- Programs belong to global, whoever uses them. A role sees those that its tenant or global uses:
-- the subquery is bound by the policies of its table.
drop policy if exists programs_in_use on authz.programs;
create policy programs_in_use on authz.programs as restrictive for select
using (exists (select from authz.active_models a where a.hash = programs.hash));

revoke all on schema authz from public;
revoke all on schema authz_rt from public;
revoke all on all tables in schema authz from public;
revoke all on all sequences in schema authz from public;
revoke all on all functions in schema authz from public;

-- The partitions of the first months; later ones are made by maintain().
select howdah.ensure_month_partitions('authz.audit_events', 3);
