-- Timeouts: taking jobs back from workers that fell silent.
--
-- Expired leases name the jobs that may be overdue; each job's own deadline decides. A row that
-- somebody has locked is being settled or extended at this moment and is left for the next call.
-- What is left of a lease is written back with the earliest deadline of its jobs, so that no
-- running job is ever without a lease. A job that wore out too many leases kills its workers and
-- becomes a dead letter; one that somebody asked to cancel is cancelled. A registered worker that
-- was not seen for half a minute loses its leases before they expire.

create or replace function queue.tick_timeouts(p_namespace text default null,
  p_limit int default 100)
returns table (job_id bigint, queue text, stuck_duration interval)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_left int := p_limit;
  v_count int;
  v_namespace text;
begin
  perform howdah.guard('queue', p_namespace, true);
  perform queue._check_limit(p_limit);

  for v_namespace in
    select n.namespace from queue._namespaces(p_namespace) n
  loop
    for v_round in 1..10 loop
      return query select * from queue._reclaim(v_namespace, v_left);
      get diagnostics v_count = row_count;
      v_left := v_left - v_count;
      exit when v_left <= 0 or not queue._overdue(v_namespace);
    end loop;
    exit when v_left <= 0;
  end loop;
end
$$;

comment on function queue.tick_timeouts(text, int) is
'Take back jobs whose leases ran out: they are ready again at once, and their attempts count. Those
that somebody asked to cancel are cancelled.

Any number of callers may do it at once.
p_namespace  one tenant; null for all, for those who may
p_limit      how many at most, 1 to 1,000
Returns      the jobs that are ready again: job_id, queue, and stuck_duration, for which each had
             been leased
Errors       queue.limit_null (22004), not_positive, limit_too_large (22023), tenant_mismatch,
             all_namespaces_requires_bypass (42501)
Example      select * from queue.tick_timeouts(''acme'');';

create or replace function queue._reclaim(p_namespace text, p_limit int)
returns table (job_id bigint, queue text, stuck_duration interval)
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_now timestamptz := clock_timestamp();
  v_silent text[];
  v_lease_ids bigint[];
  v_ids bigint[];
  v_tids tid[];
  v_since timestamptz[];
  v_poisoned bigint[];
begin
  select array_agg(due.lease_id) into v_lease_ids
  from (
    select l.lease_id, sum(l.size) over (order by l.expires_at, l.lease_id) - l.size as before
    from (
      select l.lease_id, l.expires_at, cardinality(l.job_ids) as size
      from queue.leases l
      where l.namespace = v_namespace
        and l.expires_at <= v_now
      order by l.expires_at
      limit 1000
      for update skip locked
    ) l
  ) due
  where due.before < 20000;

  select array_agg(w.worker_id) into v_silent
  from queue.workers w
  where w.namespace = v_namespace
    and w.seen_at < v_now - interval '30 seconds';
  if v_silent is not null then
    select v_lease_ids || array_agg(due.lease_id) into v_lease_ids
    from (
      select l.lease_id
      from queue.leases l
      where l.namespace = v_namespace
        and l.worker_id = any (v_silent)
      limit 100
      for update skip locked
    ) due;
  end if;
  if v_lease_ids is null then
    return;
  end if;

  select array_agg(h.id) filter (where h.is_poisoned),
    array_agg(h.id) filter (where not h.is_poisoned),
    array_agg(h.ctid) filter (where not h.is_poisoned),
    array_agg(h.locked_at) filter (where not h.is_poisoned)
  into v_poisoned, v_ids, v_tids, v_since
  from (
    select held.*, held.timeouts >= s.max_timeouts as is_poisoned
    from queue._settings(v_namespace, null) s
    cross join (
      select distinct u.job_id
      from queue.leases l
      cross join lateral unnest(l.job_ids) as u(job_id)
      where l.namespace = v_namespace
        and l.lease_id = any (v_lease_ids)
      order by u.job_id
    ) a
    cross join lateral (
      select j.ctid, j.id, j.locked_at, j.timeouts
      from queue.jobs j
      where j.namespace = v_namespace
        and j.id = a.job_id
        and j.status = 'running'
        and (j.visibility_timeout_at <= clock_timestamp() or j.locked_by = any (v_silent))
      for update skip locked
    ) held
    limit p_limit
  ) h;

  if v_poisoned is not null then
    perform queue._bury(p_namespace, v_poisoned, 'timeouts', 'its lease ran out too often');
  end if;

  update queue.jobs j
  set status = 'cancelled',
    phase = 9,
    completed_at = howdah.now(),
    fence_token = null,
    visibility_timeout_at = null,
    updated_at = howdah.now()
  where j.ctid = any (v_tids)
    and j.status = 'running'
    and j.cancel_requested_at is not null;

  return query
  update queue.jobs j
  set status = 'pending',
    timeouts = j.timeouts + 1,
    fence_token = null,
    locked_by = null,
    locked_at = null,
    visibility_timeout_at = null,
    updated_at = howdah.now()
  from unnest(v_tids, v_since) as h(tid, since)
  where j.ctid = h.tid
    and j.status = 'running'
  returning j.id, j.queue, v_now - h.since;

  with remaining as (
    select l.lease_id, array_agg(held.id) as job_ids, min(held.visibility_timeout_at) as expires_at
    from queue.leases l
    cross join lateral unnest(l.job_ids) as u(job_id)
    cross join lateral (
      select j.id, j.visibility_timeout_at
      from queue.jobs j
      where j.namespace = v_namespace
        and j.id = u.job_id
        and j.status = 'running'
      offset 0
    ) held
    where l.namespace = v_namespace
      and l.lease_id = any (v_lease_ids)
    group by l.lease_id
  ), kept as (
    update queue.leases l
    set job_ids = r.job_ids,
      expires_at = r.expires_at
    from remaining r
    where l.namespace = v_namespace
      and l.lease_id = r.lease_id
  )
  delete from queue.leases l
  where l.namespace = v_namespace
    and l.lease_id = any (v_lease_ids)
    and l.lease_id not in (select r.lease_id from remaining r);

  perform queue._ring_all(p_namespace, array(
    select j.queue from queue.jobs j where j.namespace = v_namespace and j.id = any (v_ids)
  ));
end
$$;

comment on function queue._reclaim(text, int) is
'tick_timeouts for one namespace: looks at up to 1,000 leases with about 20,000 jobs, and takes back
up to p_limit.';

create or replace function queue._namespaces(p_namespace text) returns table (namespace text)
language plpgsql
stable
as $$
begin
  if p_namespace is not null then
    return query select p_namespace;
    return;
  end if;

  return query
  with recursive jobs as (
    (select j.namespace from queue.jobs j order by j.namespace limit 1)
    union all
    select (select j.namespace from queue.jobs j where j.namespace > s.namespace
      order by j.namespace limit 1)
    from jobs s
    where s.namespace is not null
  ), leases as (
    (select l.namespace from queue.leases l order by l.namespace limit 1)
    union all
    select (select l.namespace from queue.leases l where l.namespace > s.namespace
      order by l.namespace limit 1)
    from leases s
    where s.namespace is not null
  ), schedules as (
    (select d.namespace from queue.schedules d where d.is_active order by d.namespace limit 1)
    union all
    select (
      select d.namespace from queue.schedules d where d.is_active and d.namespace > s.namespace
      order by d.namespace limit 1
    )
    from schedules s
    where s.namespace is not null
  )
  select s.namespace from jobs s where s.namespace is not null
  union
  select s.namespace from leases s where s.namespace is not null
  union
  select s.namespace from schedules s where s.namespace is not null;
end
$$;

comment on function queue._namespaces(text) is
'The namespace given, or every one that has jobs, leases or schedules: one index probe each.';

create or replace function queue._lease_shortened() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into queue.leases (namespace, expires_at, worker_id, job_ids)
  values (new.namespace, new.visibility_timeout_at, new.locked_by, array[new.id]);
  return null;
end
$$;

comment on function queue._lease_shortened() is
'Gives a job whose deadline was moved forward by hand a lease of its own, by which tick_timeouts
finds it in time.';

create or replace trigger jobs_lease_shortened
after update of visibility_timeout_at on queue.jobs
for each row
when (new.visibility_timeout_at < old.visibility_timeout_at)
execute function queue._lease_shortened();
