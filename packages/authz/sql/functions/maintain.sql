-- Maintaining: what keeps the tables small and the audit in its partitions, in bounded steps that
-- any number of callers may ask for. The tenant whose expired tuples waited longest goes first,
-- so that a short budget reaches everyone in turn. Of programs ten go at a time, because each of
-- their functions is a lock until the transaction ends.

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
  v_until timestamptz := clock_timestamp()
    + greatest('0', least('1 day', coalesce(p_budget, interval '10 s')));
  v_namespace text;
  v_count bigint;
begin
  perform howdah.guard('authz', null, true);
  if not pg_try_advisory_xact_lock(hashtextextended('authz.maintain', 0)) then
    return;
  end if;

  task := 'delete expired tuples';
  affected := 0;
  more := false;
  for v_namespace in
    with recursive tenant as (
      (
        select t.namespace, t.expires_at
        from authz.tuples t
        where t.expires_at is not null
        order by t.namespace, t.expires_at
        limit 1
      )
      union all
      select n.namespace, n.expires_at
      from tenant p
      cross join lateral (
        select t.namespace, t.expires_at
        from authz.tuples t
        where t.namespace > p.namespace and t.expires_at is not null
        order by t.namespace, t.expires_at
        limit 1
      ) n
    )
    select t.namespace
    from tenant t
    where t.expires_at <= howdah.now()
    order by t.expires_at, t.namespace
  loop
    more := affected > 0 and clock_timestamp() >= v_until;
    exit when more;
    loop
      v_count := authz._delete_expired(v_namespace, 1000);
      affected := affected + v_count;
      more := v_count = 1000 and clock_timestamp() >= v_until;
      exit when v_count < 1000 or more;
    end loop;
    exit when more;
  end loop;
  return next;

  task := 'make partitions';
  affected := howdah.ensure_month_partitions('authz.audit_events', 3);
  more := false;
  return next;

  task := 'drop unused programs';
  affected := authz._drop_unused_programs(10);
  more := affected = 10;
  return next;
end
$$;

comment on function authz.maintain(interval) is
'Do what keeps this module in shape: delete expired tuples of all tenants, make the partitions of
the audit, drop compiled models that nobody has used for a week.

howdah.maintain calls it; one caller works at a time.
p_budget     how long it may take, about, at most one day
Returns      one row per task: its name (task), rows or objects changed (affected), and whether work
             is left (more); none while another call works
Errors       authz.all_namespaces_requires_bypass (42501)
Example      select * from authz.maintain(''5 s'');';
