-- Heartbeats: how a worker says, once in a while and in one call, that it lives, which jobs it
-- still runs, and what it did.
--
-- The long-running jobs of a worker are extended together. A job that the worker lost is answered
-- as not alive, so that it stops; it is no error, because the other jobs are fine. Counters are
-- added to rows that belong to this worker alone, so no two writers ever meet on one.

create or replace function queue.heartbeat(
  p_namespace text,
  p_worker_id text,
  p_job_ids bigint[],
  p_fences bigint[],
  p_extend interval,
  p_counters jsonb default null
) returns table (job_id bigint, alive boolean, cancel_requested boolean)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_worker_id text collate "C" := p_worker_id;
  v_tids tid[];
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_worker(p_namespace, p_worker_id);
  perform queue._check_fences(p_job_ids, p_fences);
  perform queue._check_positive('extend', p_extend);

  update queue.workers w
  set seen_at = clock_timestamp(), running = coalesce(cardinality(p_job_ids), 0)
  where w.namespace = v_namespace
    and w.worker_id = v_worker_id;
  if p_counters is not null then
    perform queue._count(p_namespace, p_worker_id, p_counters);
  end if;
  if coalesce(cardinality(p_job_ids), 0) = 0 then
    return;
  end if;

  select h.tids into v_tids
  from queue._hold_all(p_namespace, p_job_ids, p_fences) h;
  return query
  with extended as (
    update queue.jobs j
    set visibility_timeout_at = greatest(
      j.visibility_timeout_at, clock_timestamp() + coalesce(p_extend, s.visibility_timeout)
    )
    from queue._settings(v_namespace, null) s
    where j.ctid = any (v_tids)
    returning j.id, j.fence_token, j.cancel_requested_at
  )
  select a.id, e.id is not null, coalesce(e.cancel_requested_at is not null, false)
  from unnest(p_job_ids, p_fences) as a(id, fence)
  left join extended e on e.id = a.id and e.fence_token = a.fence;
end
$$;

comment on function queue.heartbeat(text, text, bigint[], bigint[], interval, jsonb) is
'Say that a worker lives, keep its long-running jobs, and add to its counters.

A worker that called register_worker must call this at least every 10 seconds: once silent for 30
seconds, it loses its leases before they end. Others may call it when they like.
p_namespace  the tenant that the worker serves
p_worker_id  the worker
p_job_ids    jobs that it still runs, at most 1,000; null for none
p_fences     their fence tokens, in the same order
p_extend     the jobs are the worker''s for at least this long from now; null for the namespace''s
             visibility timeout
p_counters   [{"queue", "bucket", "completed", "retried", "dead", "lost", "wait_hist", "run_hist"}],
             at most 100, are added to the worker''s metrics; bucket is a minute, the histograms
             have 16 numbers
Returns      each job: job_id, alive (false: it is lost, stop) and cancel_requested (true: stop and
             call cancelled)
Errors       queue.worker_id_null, job_id_null, fence_null (22004), worker_id_empty (22026),
             worker_id_too_long (22001), batch_length, batch_too_large, not_positive,
             range_too_large, counters_invalid (22023), tenant_mismatch (42501)
Example      select * from queue.heartbeat(''acme'', ''worker-1'', array[17], array[9001],
             ''1 minute'');';

create or replace function queue.register_worker(
  p_namespace text,
  p_worker_id text,
  p_queues text[],
  p_host text default null,
  p_pid int default null,
  p_concurrency int default null,
  p_version text default null
) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_worker_id text collate "C" := p_worker_id;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_worker(p_namespace, p_worker_id);
  perform queue._check_batch(cardinality(p_queues));

  insert into queue.workers as w (namespace, worker_id, queues, host, pid, concurrency, version)
  values (v_namespace, v_worker_id, coalesce(p_queues, '{}'), left(p_host, 1024), p_pid,
    p_concurrency, left(p_version, 1024))
  on conflict (namespace, worker_id) do update
  set queues = excluded.queues,
    host = excluded.host,
    pid = excluded.pid,
    concurrency = excluded.concurrency,
    version = excluded.version,
    started_at = excluded.started_at,
    seen_at = excluded.seen_at;
end
$$;

comment on function queue.register_worker(text, text, text[], text, int, int, text) is
'Say what a worker is; from then on it must call heartbeat.

p_namespace    the tenant that the worker serves
p_worker_id    the worker
p_queues       the queues it handles
p_host         the machine it runs on
p_pid          its process
p_concurrency  how many jobs it runs at once
p_version      the release of the application
Returns        nothing
Errors         queue.worker_id_null (22004), worker_id_empty (22026), worker_id_too_long (22001),
               batch_too_large (22023), tenant_mismatch (42501)
Example        select queue.register_worker(''acme'', ''worker-1'', array[''mail''], ''app-3'',
               4711, 10);';

create or replace function queue.unregister_worker(p_namespace text, p_worker_id text) returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_worker_id text collate "C" := p_worker_id;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_worker(p_namespace, p_worker_id);

  delete from queue.workers w
  where w.namespace = v_namespace
    and w.worker_id = v_worker_id;
  return queue.release_jobs(p_namespace, p_worker_id);
end
$$;

comment on function queue.unregister_worker(text, text) is
'Say that a worker stops: every job that it holds is given back, and it is forgotten.

p_namespace  the tenant that the worker served
p_worker_id  the worker
Returns      how many jobs were given back
Errors       those of release_jobs
Example      select queue.unregister_worker(''acme'', ''worker-1'');';

create or replace function queue.set_progress(
  p_namespace text,
  p_job_id bigint,
  p_fence bigint,
  p_progress jsonb
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_size('progress', p_progress, 65536);
  perform queue._hold(p_namespace, p_job_id, p_fence);

  update queue.jobs j
  set progress = p_progress
  where j.namespace = v_namespace
    and j.id = p_job_id;
  return true;
end
$$;

comment on function queue.set_progress(text, bigint, bigint, jsonb) is
'Note how far a job that runs has come.

p_namespace  the tenant that owns the job
p_job_id     the job
p_fence      the fence_token with which it was pulled
p_progress   any JSON value of at most 64 KiB as text
Returns      true
Errors       queue.job_id_null, fence_null (22004), payload_too_large (22023), fence_stale (40001),
             tenant_mismatch (42501)
Example      select queue.set_progress(''acme'', 17, 9001, ''0.5'');';

create or replace function queue._count(
  p_namespace text,
  p_worker_id text,
  p_counters jsonb
) returns void
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_worker_id text collate "C" := p_worker_id;
  v_item record;
begin
  begin
    if (
      select count(*) > 100 from jsonb_to_recordset(p_counters) as c(
        bucket timestamptz, completed bigint, retried bigint, dead bigint, lost bigint,
        wait_hist bigint[], run_hist bigint[]
      )
    ) then
      raise invalid_parameter_value using message = 'there are too many';
    end if;
  exception when data_exception then
    perform howdah.fail('queue', 'counters_invalid',
      format('counters is not an array of at most 100 objects with counters: %s', sqlerrm), '22023',
      jsonb_build_object('field', 'counters', 'limit', 100));
  end;

  for v_item in
    select *
    from jsonb_to_recordset(p_counters) as c(
      queue text, bucket timestamptz, completed bigint, retried bigint, dead bigint, lost bigint,
      wait_hist bigint[], run_hist bigint[]
    )
    order by c.queue, c.bucket
  loop
    perform queue._check_queue(p_namespace, v_item.queue);
    if v_item.bucket is null
      or least(v_item.completed, v_item.retried, v_item.dead, v_item.lost, 0) < 0
      or cardinality(v_item.wait_hist) <> 16
      or cardinality(v_item.run_hist) <> 16
    then
      perform howdah.fail('queue', 'counters_invalid',
        'a counter has no bucket, is negative, or has a histogram of other than 16 numbers',
        '22023', jsonb_build_object('field', 'counters', 'actual', to_jsonb(v_item)));
    end if;

    insert into queue.metrics as m (
      namespace, queue, bucket, source, completed, retried, dead, lost, wait_hist, run_hist
    )
    values (
      v_namespace, v_item.queue, date_trunc('minute', v_item.bucket), v_worker_id,
      coalesce(v_item.completed, 0), coalesce(v_item.retried, 0), coalesce(v_item.dead, 0),
      coalesce(v_item.lost, 0), v_item.wait_hist, v_item.run_hist
    )
    on conflict (namespace, queue, bucket, source) do update
    set completed = m.completed + excluded.completed,
      retried = m.retried + excluded.retried,
      dead = m.dead + excluded.dead,
      lost = m.lost + excluded.lost,
      wait_hist = queue._hist_add(m.wait_hist, excluded.wait_hist),
      run_hist = queue._hist_add(m.run_hist, excluded.run_hist);
  end loop;
end
$$;

comment on function queue._count(text, text, jsonb) is 'Add counters to the rows of a worker.';

create or replace function queue._hist_add(p_a bigint[], p_b bigint[]) returns bigint[]
language sql
immutable
as $$
  select case
    when p_a is null then p_b
    when p_b is null then p_a
    else array(
      select coalesce(h.a, 0) + coalesce(h.b, 0)
      from unnest(p_a, p_b) with ordinality as h(a, b, place)
      order by h.place
    )
  end
$$;

comment on function queue._hist_add(bigint[], bigint[]) is
'The sum of two histograms; null is an empty one.';
