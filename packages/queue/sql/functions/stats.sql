-- Statistics: exact counts, which cost what they count. Pages and alerts that look often read the
-- samples in queue.metrics instead.

create or replace function queue.get_stats(p_namespace text)
returns table (
  total_jobs bigint,
  pending bigint,
  running bigint,
  completed bigint,
  dead bigint,
  total_queues bigint,
  delayed bigint,
  ready bigint,
  parked bigint,
  blocked bigint,
  cancelled bigint
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
begin
  perform howdah.guard('queue', p_namespace);
  return query
  select
    count(*),
    count(*) filter (where j.status = 'pending'),
    count(*) filter (where j.status = 'running'),
    count(*) filter (where j.status = 'completed'),
    count(*) filter (where j.status = 'dead'),
    count(distinct j.queue),
    count(*) filter (where j.phase = 0),
    count(*) filter (where j.phase = 1 and j.status = 'pending'),
    count(*) filter (where j.phase = 3),
    count(*) filter (where j.phase = 4),
    count(*) filter (where j.status = 'cancelled')
  from queue.jobs j
  where j.namespace = v_namespace;
end
$$;

comment on function queue.get_stats(text) is
'How many jobs of a tenant are in which state, counted exactly.

p_namespace  the tenant
Returns      one row: total_jobs, of which pending, running, completed, dead and cancelled;
             total_queues that have any; and of the pending ones how many are delayed, ready, parked
             and blocked
Errors       queue.tenant_mismatch (42501)
Example      select * from queue.get_stats(''acme'');';

create or replace function queue.get_queue_stats(p_namespace text, p_queue text default null)
returns table (
  queue text,
  pending bigint,
  running bigint,
  completed bigint,
  dead bigint,
  oldest_pending_seconds numeric,
  dead_letters bigint,
  delayed bigint,
  ready bigint,
  parked bigint,
  blocked bigint,
  paused boolean
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text collate "C" := p_queue;
begin
  perform howdah.guard('queue', p_namespace);
  if p_queue is not null then
    perform queue._check_queue(p_namespace, p_queue);
  end if;

  return query
  with jobs as (
    select
      j.queue,
      count(*) filter (where j.status = 'pending') as pending,
      count(*) filter (where j.status = 'running') as running,
      count(*) filter (where j.status = 'completed') as completed,
      count(*) filter (where j.status = 'dead') as dead,
      min(j.created_at) filter (where j.status = 'pending') as oldest_at,
      count(*) filter (where j.phase = 0) as delayed,
      count(*) filter (where j.phase = 1 and j.status = 'pending') as ready,
      count(*) filter (where j.phase = 3) as parked,
      count(*) filter (where j.phase = 4) as blocked
    from queue.jobs j
    where j.namespace = v_namespace
      and (v_queue is null or j.queue = v_queue)
    group by j.queue
  ), letters as (
    select d.queue, count(*) as dead_letters
    from queue.dead_letters d
    where d.namespace = v_namespace
      and (v_queue is null or d.queue = v_queue)
      and d.retried_at is null
    group by d.queue
  ), settings as (
    select q.queue, q.paused
    from queue.queues q
    where q.namespace = v_namespace
      and (v_queue is null or q.queue = v_queue)
  )
  select
    n.queue,
    coalesce(j.pending, 0),
    coalesce(j.running, 0),
    coalesce(j.completed, 0),
    coalesce(j.dead, 0),
    round(extract(epoch from howdah.now() - j.oldest_at)::numeric, 3),
    coalesce(l.dead_letters, 0),
    coalesce(j.delayed, 0),
    coalesce(j.ready, 0),
    coalesce(j.parked, 0),
    coalesce(j.blocked, 0),
    coalesce(s.paused, false)
  from (
    select jobs.queue from jobs
    union
    select letters.queue from letters
    union
    select settings.queue from settings
  ) n
  left join jobs j on j.queue = n.queue
  left join letters l on l.queue = n.queue
  left join settings s on s.queue = n.queue
  order by n.queue;
end
$$;

comment on function queue.get_queue_stats(text, text) is
'How many jobs of each queue are in which state, counted exactly.

p_namespace  the tenant
p_queue      one queue; null for all that have jobs, dead letters or settings
Returns      per queue, by name: pending, running, completed and dead jobs; oldest_pending_seconds
             (since the oldest pending job was pushed; null if there is none); dead_letters that
             nobody retried; of the pending jobs how many are delayed, ready, parked and blocked;
             paused
Errors       queue.queue_empty (22026), queue_too_long (22001), queue_invalid_chars,
             queue_whitespace (22023), tenant_mismatch (42501)
Example      select * from queue.get_queue_stats(''acme'');';
