-- Ticking: all that the passing of time does to a queue, in one call.
--
-- Any client may call it as often as it likes: what another caller is doing is skipped. Nothing
-- depends on one process being alive, and claims promote what they find due themselves, so a tick
-- only bounds how late things are noticed.

create or replace function queue.tick(p_namespace text default null)
returns table (promoted int, fired int, reclaimed int, admitted int, next_due_at timestamptz)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_due timestamptz := queue._due();
  v_namespace text;
  v_promoted int := 0;
  v_fired int := 0;
  v_reclaimed int := 0;
  v_next timestamptz;
begin
  perform howdah.guard('queue', p_namespace, true);

  for v_namespace in
    select n.namespace from queue._namespaces(p_namespace) n
  loop
    v_fired := v_fired + (select count(*) from queue.tick_schedules(v_namespace));
    for v_round in 1..10 loop
      v_reclaimed := v_reclaimed + (select count(*) from queue._reclaim(v_namespace, 1000));
      exit when not queue._overdue(v_namespace);
    end loop;
    perform queue._expire(v_namespace, v_due, 1000);
    v_promoted := v_promoted + queue._promote_all(v_namespace, v_due);
    v_next := least(v_next, queue._next_due(v_namespace));
  end loop;

  return query select v_promoted, v_fired, v_reclaimed, 0, v_next;
end
$$;

comment on function queue.tick(text) is
'Do everything that is due: make delayed jobs ready, run schedules, take back jobs whose leases ran
out, bury expired ones.

p_namespace  one tenant; null for all, for those who may
Returns      one row: promoted (delayed jobs made ready), fired (jobs that schedules pushed),
             reclaimed (jobs taken back), admitted (0 in this release), next_due_at (when the next
             delayed job or schedule is due; null if there is none; in the past if work is left)
Errors       queue.tenant_mismatch, all_namespaces_requires_bypass (42501)
Example      select * from queue.tick(''acme'');';

create or replace function queue._promote_all(p_namespace text, p_due timestamptz) returns int
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text;
  v_count int;
  v_total int := 0;
begin
  for v_queue in
    with recursive delayed as (
      (
        select j.queue from queue.jobs j
        where j.namespace = v_namespace and j.phase = 0
        order by j.queue limit 1
      )
      union all
      select (
        select j.queue from queue.jobs j
        where j.namespace = v_namespace and j.phase = 0 and j.queue > d.queue
        order by j.queue limit 1
      )
      from delayed d
      where d.queue is not null
    )
    select d.queue
    from delayed d
    where exists (
      select 1 from queue.jobs j
      where j.namespace = v_namespace and j.queue = d.queue and j.phase = 0
        and j.scheduled_at <= p_due
    )
  loop
    v_count := queue._promote(p_namespace, v_queue, p_due, 1000);
    v_total := v_total + v_count;
    if v_count > 0 then
      perform queue._ring(p_namespace, v_queue, s.notify, 'count', v_count)
      from queue._settings(v_namespace, v_queue collate "C") s;
    end if;
  end loop;
  return v_total;
end
$$;

comment on function queue._promote_all(text, timestamptz) is
'Promote what is due in each queue of a namespace and wake its workers.';

create or replace function queue._next_due(p_namespace text) returns timestamptz
language sql
stable
as $$
  with recursive delayed as (
    (
      select j.queue, j.scheduled_at from queue.jobs j
      where j.namespace = p_namespace collate "C" and j.phase = 0
      order by j.queue, j.scheduled_at limit 1
    )
    union all
    select n.queue, n.scheduled_at
    from delayed d
    cross join lateral (
      select j.queue, j.scheduled_at from queue.jobs j
      where j.namespace = p_namespace collate "C" and j.phase = 0 and j.queue > d.queue
      order by j.queue, j.scheduled_at limit 1
    ) n
  )
  select least(
    (select min(d.scheduled_at) from delayed d),
    (
      select min(s.next_run_at) from queue.schedules s
      where s.namespace = p_namespace collate "C" and s.is_active
    )
  )
$$;

comment on function queue._next_due(text) is
'When the next delayed job or schedule of a namespace is due.';

create or replace function queue._overdue(p_namespace text) returns boolean
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_now timestamptz := clock_timestamp();
begin
  return exists (
    select 1 from queue.leases l
    where l.namespace = v_namespace and l.expires_at <= v_now
  );
end
$$;

comment on function queue._overdue(text) is 'Whether a namespace has leases that ran out.';

create or replace function queue._expire(
  p_namespace text,
  p_due timestamptz,
  p_limit int
) returns int
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_ids bigint[];
begin
  select array_agg(c.id) into v_ids
  from (
    select j.id
    from queue.jobs j
    where j.namespace = v_namespace
      and j.expires_at <= p_due
      and j.phase < 9
      and j.status = 'pending'
    order by j.expires_at
    limit p_limit
    for update skip locked
  ) c;
  if v_ids is null then
    return 0;
  end if;

  perform queue._bury(p_namespace, v_ids, 'expired', 'it expired before it could start');
  return cardinality(v_ids);
end
$$;

comment on function queue._expire(text, timestamptz, int) is
'Bury up to p_limit waiting jobs of a namespace whose time has passed.';
