-- Maintaining: what keeps the tables small, in bounded steps that any number of callers may ask
-- for.

create or replace function queue.prune(p_namespace text default null, p_limit int default 10000)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_namespace text;
  v_left bigint := p_limit;
begin
  perform howdah.guard('queue', p_namespace, true);
  perform queue._check_limit(p_limit, 100000);

  for v_namespace in
    select n.namespace from queue._namespaces(p_namespace) n
  loop
    v_left := v_left - queue._prune(v_namespace, v_left);
    exit when v_left <= 0;
  end loop;
  return p_limit - v_left;
end
$$;

comment on function queue.prune(text, int) is
'Delete ended jobs that are older than the retention of their queue, the oldest first.

p_namespace  one tenant; null for all, for those who may
p_limit      how many at most, 1 to 100,000
Returns      how many were deleted
Errors       queue.limit_null (22004), not_positive, limit_too_large (22023), tenant_mismatch,
             all_namespaces_requires_bypass (42501)
Example      select queue.prune(''acme'');';

create or replace function queue._prune(p_namespace text, p_limit bigint) returns bigint
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_shortest interval;
  v_count bigint;
begin
  select least(min(q.retention), s.retention) into v_shortest
  from queue._settings(v_namespace, null) s
  left join queue.queues q on q.namespace = v_namespace
  group by s.retention;

  delete from queue.jobs j
  where j.ctid = any (array(
    select old.ctid
    from queue.jobs old
    where old.namespace = v_namespace
      and old.phase = 9
      and old.completed_at < howdah.now() - v_shortest
      and old.completed_at < howdah.now() - (
        select s.retention from queue._settings(v_namespace, old.queue) s
      )
    order by old.completed_at
    limit p_limit
    for update skip locked
  ));
  get diagnostics v_count = row_count;
  return v_count;
end
$$;

comment on function queue._prune(text, bigint) is 'prune for one namespace.';

create or replace function queue.maintain(p_budget interval default '10 s')
returns table (task text, affected bigint, more boolean)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_until timestamptz := clock_timestamp() + p_budget;
  v_count bigint;
begin
  perform howdah.guard('queue', null, true);
  if not pg_try_advisory_xact_lock(hashtextextended('queue.maintain', 0)) then
    return;
  end if;

  task := 'prune';
  affected := 0;
  loop
    v_count := queue.prune(null, 10000);
    affected := affected + v_count;
    more := v_count = 10000;
    exit when not more or clock_timestamp() >= v_until;
  end loop;
  return next;

  task := 'prune keys';
  delete from queue.throttle_keys t
  where t.ctid = any (array(
    select t.ctid from queue.throttle_keys t
    where t.until < howdah.now()
    limit 10000
    for update skip locked
  ));
  get diagnostics affected = row_count;
  more := affected = 10000;
  return next;

  task := 'forget workers';
  delete from queue.workers w
  where w.seen_at < clock_timestamp() - interval '1 day';
  get diagnostics affected = row_count;
  more := false;
  return next;

  return query
  select 'tick', t.promoted::bigint + t.fired + t.reclaimed, false
  from queue.tick() t;

  task := 'make partitions';
  affected := howdah.ensure_day_partitions('queue.metrics')
    + howdah.ensure_day_partitions('queue.job_history')
    + howdah.ensure_day_partitions('queue.results')
    + howdah.ensure_month_partitions('queue.audit_events');
  return next;

  task := 'drop partitions';
  select count(*) into affected
  from (
    select howdah.drop_partitions('queue.metrics', '2 days')
    union all
    select howdah.drop_partitions('queue.results', '0 days')
  ) dropped;
  return next;
end
$$;

comment on function queue.maintain(interval) is
'Do what keeps the queue in shape: tick, prune, forget dead workers, make and drop partitions.

howdah.maintain calls it; one caller works at a time.
p_budget     how long it may take, about
Returns      one row per task: its name (task), rows or objects changed (affected), and whether work
             is left (more); none while another call works
Errors       queue.all_namespaces_requires_bypass (42501)
Example      select * from queue.maintain(''5 s'');';
