-- Exchanging: the worker's one hot call. It hands in what it finished and takes what comes next, in
-- one round trip and one commit.
--
-- An ack that comes too late is answered with a row of kind 'lost' and does not stop the others:
-- unlike a caller of ack_batch, a worker has no use for an error about work that is done. The job
-- of such an ack may still be running by its row, past its deadline, and its lease is how it is
-- found: so a lease stays as long as one of its jobs runs, though the worker is done with it. Only
-- the columns that a handler needs are returned, because reading and sending rows is most of what a
-- job costs.

create or replace function queue.exchange(
  p_namespace text,
  p_queue text,
  p_limit int,
  p_worker_id text,
  p_visibility_timeout interval,
  p_ack_ids bigint[],
  p_ack_fences bigint[],
  p_ack_results jsonb[] default null,
  p_done_leases bigint[] default null,
  p_floors jsonb default null
) returns table (
  kind text,
  id bigint,
  fence_token bigint,
  attempts int,
  max_attempts int,
  payload jsonb,
  metadata jsonb,
  priority int,
  scheduled_at timestamptz,
  fair_seq bigint,
  lease_id bigint,
  trace jsonb
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text collate "C" := p_queue;
  v_worker_id text collate "C" := coalesce(p_worker_id, 'anonymous');
  v_paused boolean;
  v_archive boolean;
  v_visibility_timeout interval;
  v_now timestamptz;
  v_lease_id bigint;
  v_tids tid[];
  v_fences bigint[];
  v_ids bigint[];
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_queue(p_namespace, p_queue);
  if p_limit is distinct from 0 then
    perform queue._check_limit(p_limit);
  end if;
  perform queue._check_claim(p_namespace, p_worker_id, p_visibility_timeout, p_floors);
  perform queue._check_fences(p_ack_ids, p_ack_fences);
  select s.is_paused, s.archive_completed, coalesce(p_visibility_timeout, s.visibility_timeout)
  into v_paused, v_archive, v_visibility_timeout
  from queue._settings(v_namespace, v_queue) s;

  if cardinality(p_ack_ids) > 0 then
    select h.tids, h.fences into v_tids, v_fences
    from queue._hold_all(p_namespace, p_ack_ids, p_ack_fences) h;
    perform queue._complete(v_tids, v_archive);

    if coalesce(cardinality(v_tids), 0) < cardinality(p_ack_ids) then
      return query
      select 'lost', a.id, a.fence, null::int, null::int, null::jsonb, null::jsonb, null::int,
        null::timestamptz, null::bigint, null::bigint, null::jsonb
      from unnest(p_ack_ids, p_ack_fences) as a(id, fence)
      where v_fences is null or a.fence <> all (v_fences);
    end if;
  end if;

  if p_done_leases is not null then
    delete from queue.leases l
    where l.namespace = v_namespace
      and l.lease_id = any (p_done_leases)
      and not exists (
        select 1
        from unnest(l.job_ids) as u(job_id)
        cross join lateral (
          select 1
          from queue.jobs j
          where j.namespace = v_namespace
            and j.id = u.job_id
            and j.status = 'running'
          offset 0
        ) held
      );
  end if;

  if p_limit = 0 or v_paused then
    return;
  end if;

  select t.tids, t.ids into v_tids, v_ids
  from queue._take(p_namespace, p_queue, p_limit, p_floors) t;
  if v_ids is null then
    return;
  end if;

  v_now := clock_timestamp();
  insert into queue.leases as l (namespace, expires_at, worker_id, job_ids)
  values (v_namespace, v_now + v_visibility_timeout, v_worker_id, v_ids)
  returning l.lease_id into v_lease_id;

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
  returning 'job', j.id, j.fence_token, j.attempts, j.max_attempts, j.payload, j.metadata,
    j.priority, j.scheduled_at, j.fair_seq, v_lease_id, j.trace;
end
$$;

comment on function queue.exchange(
  text, text, int, text, interval, bigint[], bigint[], jsonb[], bigint[], jsonb
) is
'Settle the jobs that went well and take the next ones, in one call.

p_namespace           the tenant that owns the queue
p_queue               the queue to take from; the settled jobs may be of any queue
p_limit               how many to take at most, 0 to 1,000; 0 only settles
p_worker_id           who takes them; null for anonymous
p_visibility_timeout  how long they are the worker''s; null for the queue''s setting
p_ack_ids             jobs to settle as by ack, at most 1,000; null for none
p_ack_fences          their fence tokens, in the same order
p_ack_results         accepted for handlers that return something; this release stores no results
p_done_leases         leases of which no job is the worker''s any more; they are deleted unless one
                      of their jobs still runs
p_floors              as in pull_batch
Returns               kind job: a job that was taken, with columns of queue.jobs and the lease_id
                      of all that were taken, in no particular order (by priority, fair_seq,
                      scheduled_at and id the worker can sort them); kind lost: id and fence_token
                      of an ack that came too late
Errors                those of pull_batch, and queue.job_id_null, fence_null (22004), batch_length,
                      batch_too_large (22023)
Example               select * from queue.exchange(''acme'', ''mail'', 100, ''worker-1'',
                      ''1 minute'', null, null);';
