-- Pulling: taking ready jobs under a lease.
--
-- A claim first makes delayed jobs that fell due ready, then locks the head of the queue with "skip
-- locked", so that any number of workers share a queue without waiting for each other, and writes
-- the lease into the rows it holds by their address: one update by tuple id, which no planner can
-- get wrong and which touches no index. Every claim of a job draws a new fence token. Whoever
-- settles must name it, so a worker that lost its lease can do no harm.
--
-- While any transaction of the server is open, vacuum may not remove the rows of finished jobs, and
-- the head of the queue fills up with them. A caller that remembers where each lane began last time
-- (a floor) skips them all: such a claim looks at nothing but its lanes from their floors on.
-- Sooner or later it must claim without floors, to find what came in below them.

create or replace function queue._due() returns timestamptz
language sql
volatile
as $$
  select howdah.now() + (clock_timestamp() - pg_catalog.now())
$$;

comment on function queue._due() is
'The time that decides what is due: the clock as it runs, moved as far as howdah.now() is, so that a
long transaction that pulls again sees what fell due meanwhile.';

create or replace function queue._take(
  p_namespace text,
  p_queue text,
  p_limit int,
  p_floors jsonb,
  out tids tid[],
  out ids bigint[]
)
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text collate "C" := p_queue;
  v_due timestamptz := queue._due();
  v_expired boolean;
  v_lane record;
  v_tids tid[];
  v_ids bigint[];
begin
  if p_floors is not null then
    for v_lane in
      select distinct on (f.priority) f.priority, coalesce(f.fair_seq, 0) as fair_seq,
        coalesce(f.scheduled_at, '-infinity') as scheduled_at
      from jsonb_to_recordset(p_floors)
        as f(priority int, fair_seq bigint, scheduled_at timestamptz)
      order by f.priority desc, 2, 3
    loop
      select array_agg(c.ctid), array_agg(c.id) into v_tids, v_ids
      from (
        select j.ctid, j.id
        from queue.jobs j
        where j.namespace = v_namespace
          and j.queue = v_queue
          and j.priority = v_lane.priority
          and (j.fair_seq, j.scheduled_at) >= (v_lane.fair_seq, v_lane.scheduled_at)
          and j.phase = 1
          and j.status = 'pending'
          and j.scheduled_at <= v_due
          and (j.expires_at is null or j.expires_at > v_due)
        order by j.fair_seq, j.scheduled_at, j.id
        limit p_limit - coalesce(cardinality(ids), 0)
        for update skip locked
      ) c;
      tids := tids || v_tids;
      ids := ids || v_ids;
      exit when cardinality(ids) >= p_limit;
    end loop;
    return;
  end if;

  if exists (
    select 1 from queue.jobs j
    where j.namespace = v_namespace and j.queue = v_queue and j.phase = 0
      and j.scheduled_at <= v_due
  ) then
    perform queue._promote(p_namespace, p_queue, v_due, p_limit);
  end if;

  for v_round in 1..5 loop
    select array_agg(c.ctid), array_agg(c.id), bool_or(c.expires_at <= v_due)
    into tids, ids, v_expired
    from (
      select j.ctid, j.id, j.expires_at
      from queue.jobs j
      where j.namespace = v_namespace
        and j.queue = v_queue
        and j.phase = 1
        and j.status = 'pending'
        and j.scheduled_at <= v_due
        and (v_round < 5 or j.expires_at is null or j.expires_at > v_due)
      order by j.priority desc, j.fair_seq, j.scheduled_at, j.id
      limit p_limit
      for update skip locked
    ) c;
    exit when v_expired is not true;
    perform queue._expire(p_namespace, v_due, 1000);
  end loop;
end
$$;

comment on function queue._take(text, text, int, jsonb) is
'Lock up to p_limit ready jobs of a queue in their order and answer their addresses and ids; null
when there are none.';

create or replace function queue._promote(
  p_namespace text,
  p_queue text,
  p_due timestamptz,
  p_limit int
) returns int
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text collate "C" := p_queue;
  v_count int;
begin
  update queue.jobs j
  set phase = 1
  where j.ctid = any (array(
    select d.ctid
    from queue.jobs d
    where d.namespace = v_namespace
      and d.queue = v_queue
      and d.phase = 0
      and d.scheduled_at <= p_due
    order by d.scheduled_at
    limit p_limit
    for update skip locked
  ));
  get diagnostics v_count = row_count;
  return v_count;
end
$$;

comment on function queue._promote(text, text, timestamptz, int) is
'Make up to p_limit delayed jobs that fell due ready, oldest first.';

create or replace function queue._claim(
  p_namespace text,
  p_queue text,
  p_limit int,
  p_worker_id text,
  p_visibility_timeout interval,
  p_floors jsonb default null
) returns setof queue.jobs
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text collate "C" := p_queue;
  v_worker_id text collate "C" := coalesce(p_worker_id, 'anonymous');
  v_paused boolean;
  v_visibility_timeout interval;
  v_now timestamptz;
  v_tids tid[];
  v_ids bigint[];
begin
  select s.is_paused, coalesce(p_visibility_timeout, s.visibility_timeout)
  into v_paused, v_visibility_timeout
  from queue._settings(v_namespace, v_queue) s;
  if v_paused then
    return;
  end if;

  select t.tids, t.ids into v_tids, v_ids
  from queue._take(p_namespace, p_queue, p_limit, p_floors) t;
  if v_ids is null then
    return;
  end if;

  v_now := clock_timestamp();
  insert into queue.leases (namespace, expires_at, worker_id, job_ids)
  values (v_namespace, v_now + v_visibility_timeout, v_worker_id, v_ids);

  return query
  update queue.jobs j
  set status = 'running',
    attempts = j.attempts + 1,
    fence_token = nextval('queue.fence_token_seq'),
    locked_by = v_worker_id,
    locked_at = v_now,
    visibility_timeout_at = v_now + v_visibility_timeout,
    updated_at = howdah.now()
  where j.ctid = any (v_tids)
  returning j.*;
end
$$;

comment on function queue._claim(text, text, int, text, interval, jsonb) is
'Lease up to p_limit ready jobs of a queue to a worker; their rows come in no particular order.';

create or replace function queue.pull(
  p_namespace text,
  p_queue text,
  p_worker_id text default null,
  p_visibility_timeout interval default null
) returns setof queue.jobs
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_queue(p_namespace, p_queue);
  perform queue._check_claim(p_namespace, p_worker_id, p_visibility_timeout);
  return query
  select * from queue._claim(p_namespace, p_queue, 1, p_worker_id, p_visibility_timeout);
end
$$;

comment on function queue.pull(text, text, text, interval) is
'Take the next ready job of a queue under a lease.

Commit before doing anything outside the database, then settle the job with ack, nack, fail, release
or snooze, naming its fence_token.
p_namespace           the tenant that owns the queue
p_queue               the queue
p_worker_id           who takes it, at most 256 characters; null for anonymous
p_visibility_timeout  how long the job is the caller''s before others may have it; null for the
                      queue''s setting
Returns               the job, by priority, then the time it was due, then id; no row if none is
                      ready or the queue is paused
Errors                queue.queue_null (22004), queue_empty, worker_id_empty (22026),
                      queue_too_long, worker_id_too_long (22001), queue_invalid_chars,
                      queue_whitespace, not_positive, range_too_large (22023), tenant_mismatch
                      (42501)
Example               select id, fence_token, payload from queue.pull(''acme'', ''mail'',
                      ''worker-1'', ''1 minute'');';

create or replace function queue.pull_batch(
  p_namespace text,
  p_queue text,
  p_limit int default 10,
  p_worker_id text default null,
  p_visibility_timeout interval default null,
  p_floors jsonb default null
) returns setof queue.jobs
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_queue(p_namespace, p_queue);
  perform queue._check_limit(p_limit);
  perform queue._check_claim(p_namespace, p_worker_id, p_visibility_timeout, p_floors);
  return query
  select *
  from queue._claim(p_namespace, p_queue, p_limit, p_worker_id, p_visibility_timeout, p_floors) j
  order by j.priority desc, j.fair_seq, j.scheduled_at, j.id;
end
$$;

comment on function queue.pull_batch(text, text, int, text, interval, jsonb) is
'Take up to p_limit ready jobs of a queue under one lease, each with a fence token of its own.

p_namespace           the tenant that owns the queue
p_queue               the queue
p_limit               how many at most, 1 to 1,000
p_worker_id           who takes them, at most 256 characters; null for anonymous
p_visibility_timeout  how long the jobs are the caller''s before others may have them; null for the
                      queue''s setting
p_floors              [{"priority", "fair_seq", "scheduled_at"}]: look only at these lanes, each
                      from its floor on, and not at what fell due meanwhile. Give the place of the
                      lowest job taken last per lane, and nothing now and then
Returns               the jobs, by priority, then the time they were due, then id
Errors                those of pull, and queue.limit_null (22004), limit_too_large, floors_invalid
                      (22023)
Example               select id, fence_token, payload from queue.pull_batch(''acme'', ''mail'', 10,
                      ''worker-1'');';

create or replace function queue.pull_any(
  p_namespace text,
  p_queues text[],
  p_worker_id text default null,
  p_visibility_timeout interval default null
) returns setof queue.jobs
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_due timestamptz := queue._due();
  v_queue text;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_batch(cardinality(p_queues));
  perform queue._check_claim(p_namespace, p_worker_id, p_visibility_timeout);
  perform queue._check_queue(p_namespace, u.queue) from unnest(p_queues) as u(queue);

  for v_queue in
    select u.queue
    from unnest(p_queues) with ordinality as u(queue, place)
    where exists (
      select 1 from queue.jobs j
      where j.namespace = v_namespace and j.queue = u.queue collate "C" and j.phase = 1
        and j.status = 'pending' and j.scheduled_at <= v_due
    ) or exists (
      select 1 from queue.jobs j
      where j.namespace = v_namespace and j.queue = u.queue collate "C" and j.phase = 0
        and j.scheduled_at <= v_due
    )
    order by u.place
  loop
    return query
    select * from queue._claim(p_namespace, v_queue, 1, p_worker_id, p_visibility_timeout);
    exit when found;
  end loop;
end
$$;

comment on function queue.pull_any(text, text[], text, interval) is
'Take the next ready job of the first queue that has one.

p_namespace           the tenant that owns the queues
p_queues              at most 1,000 queues, the most urgent first; null or empty answers no row
p_worker_id           who takes it, at most 256 characters; null for anonymous
p_visibility_timeout  how long the job is the caller''s before others may have it; null for the
                      queue''s setting
Returns               the job; no row if none of the queues has one ready
Errors                those of pull, and queue.batch_too_large (22023)
Example               select id, queue, fence_token, payload from queue.pull_any(''acme'',
                      array[''urgent'', ''mail'']);';
