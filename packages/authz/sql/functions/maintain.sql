-- Maintaining: what keeps the tables small and the audit in its partitions, in bounded steps that
-- any number of callers may ask for.

create or replace function authz.maintain(p_budget interval default '10 s')
returns table (task text, affected bigint, more boolean)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  v_until timestamptz := clock_timestamp() + coalesce(p_budget, interval '10 s');
  v_namespace text collate "C" := '';
  v_count bigint;
begin
  perform howdah.guard('authz', null, true);
  if not pg_try_advisory_xact_lock(hashtextextended('authz.maintain', 0)) then
    return;
  end if;

  task := 'delete expired tuples';
  affected := 0;
  more := false;
  loop
    select min(t.namespace) into v_namespace
    from authz.tuples t
    where t.namespace > v_namespace
      and t.expires_at is not null;
    exit when v_namespace is null;
    loop
      v_count := authz._delete_expired(v_namespace, 1000);
      affected := affected + v_count;
      exit when v_count < 1000 or clock_timestamp() >= v_until;
    end loop;
    more := clock_timestamp() >= v_until;
    exit when more;
  end loop;
  return next;

  task := 'make partitions';
  affected := howdah.ensure_month_partitions('authz.audit_events', 3);
  more := false;
  return next;

  task := 'drop unused programs';
  affected := authz._drop_unused_programs();
  return next;
end
$$;

comment on function authz.maintain(interval) is
'Do what keeps this module in shape: delete expired tuples of all tenants, make the partitions of
the audit, drop compiled models that nobody has used for a week.

howdah.maintain calls it; one caller works at a time.
p_budget     how long it may take, about
Returns      one row per task: its name (task), rows or objects changed (affected), and whether work
             is left (more); none while another call works
Errors       authz.all_namespaces_requires_bypass (42501)
Example      select * from authz.maintain(''5 s'');';
