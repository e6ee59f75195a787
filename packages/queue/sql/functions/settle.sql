-- Settling: giving a job back, one way or another, once.
--
-- Every settling call names the fence token of its claim. It locks the row, and only then looks at
-- token and clock: whoever held the lock before, be it the reclaim of an expired lease, another
-- settling call or a reader, has ended by then. A job that is missing, does not run, runs under
-- another token or is past its deadline is lost to the caller, which must throw its result away:
-- fence_stale. Calls on many jobs lock them in the order of their ids, so two of them never wait
-- for each other in a circle; an "offset 0" keeps the planner from reading the clock before that.
-- Locking and changing are two statements, because a statement that waited for a row does not see
-- the version it was given at that address.

create or replace function queue._lose(
  p_namespace text,
  p_job_id bigint,
  p_fence bigint
) returns void
language plpgsql
as $$
begin
  perform howdah.fail('queue', 'fence_stale',
    format('job %s is no longer held with fence %s', p_job_id, p_fence), '40001',
    jsonb_build_object('namespace', p_namespace, 'job_id', p_job_id, 'fence', p_fence),
    'The lease ended or the job was settled. Throw the result away; do not retry the call.');
end
$$;

comment on function queue._lose(text, bigint, bigint) is 'Tell a caller that it lost its job.';

create or replace function queue._hold(
  p_namespace text,
  p_job_id bigint,
  p_fence bigint
) returns queue.jobs
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_job queue.jobs;
begin
  perform queue._check_fence(p_job_id, p_fence);

  select j.* into v_job
  from queue.jobs j
  where j.namespace = v_namespace
    and j.id = p_job_id
    and j.status = 'running'
    and j.fence_token = p_fence
  for update;

  if not found or v_job.visibility_timeout_at <= clock_timestamp() then
    perform queue._lose(p_namespace, p_job_id, p_fence);
  end if;
  return v_job;
end
$$;

comment on function queue._hold(text, bigint, bigint) is
'Lock a running job that the caller holds and answer its row, or raise fence_stale.';

create or replace function queue._hold_all(
  p_namespace text,
  p_job_ids bigint[],
  p_fences bigint[],
  out tids tid[],
  out fences bigint[]
)
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
begin
  select array_agg(held.ctid), array_agg(held.fence_token) into tids, fences
  from (
    select a.id, a.fence
    from unnest(p_job_ids, p_fences) as a(id, fence)
    order by a.id
  ) a
  cross join lateral (
    select j.ctid, j.fence_token, j.visibility_timeout_at
    from queue.jobs j
    where j.namespace = v_namespace
      and j.id = a.id
      and j.status = 'running'
      and j.fence_token = a.fence
    offset 0
    for update
  ) held
  where held.visibility_timeout_at > clock_timestamp();
end
$$;

comment on function queue._hold_all(text, bigint[], bigint[]) is
'Lock those of a batch''s jobs that the caller holds, in the order of their ids, and answer their
addresses and fences.';

create or replace function queue._complete(p_tids tid[], p_archive boolean) returns void
language plpgsql
as $$
begin
  if p_archive then
    update queue.jobs j
    set status = 'completed',
      phase = 9,
      completed_at = howdah.now(),
      fence_token = null,
      visibility_timeout_at = null,
      updated_at = howdah.now()
    where j.ctid = any (p_tids);
  else
    delete from queue.jobs j
    where j.ctid = any (p_tids);
  end if;
end
$$;

comment on function queue._complete(tid[], boolean) is
'End locked jobs well: keep them as completed, or delete them.';

create or replace function queue._bury(
  p_namespace text,
  p_job_ids bigint[],
  p_reason_code text,
  p_error text
) returns void
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
begin
  with dead as (
    update queue.jobs j
    set status = 'dead',
      phase = 9,
      completed_at = howdah.now(),
      fence_token = null,
      visibility_timeout_at = null,
      error = coalesce(left(p_error, 8192), j.error),
      errors = queue._errors(j.errors, j.attempts, p_error),
      updated_at = howdah.now()
    where j.namespace = v_namespace
      and j.id = any (p_job_ids)
    returning j.*
  )
  insert into queue.dead_letters (
    namespace, queue, original_job_id, payload, priority, tags, metadata, attempts, max_attempts,
    last_error, reason_code, errors, concurrency_key, fair_key, schedule_name, actor_id,
    request_id, on_behalf_of, reason, created_at
  )
  select d.namespace, d.queue, d.id, d.payload, d.priority, d.tags, d.metadata, d.attempts,
    d.max_attempts, d.error, p_reason_code, d.errors, d.concurrency_key, d.fair_key,
    d.schedule_name, d.actor_id, d.request_id, d.on_behalf_of, d.reason, d.created_at
  from dead d;
end
$$;

comment on function queue._bury(text, bigint[], text, text) is
'End locked jobs badly: mark them dead and write their dead letters.';

create or replace function queue._errors(p_errors jsonb, p_attempt int, p_error text) returns jsonb
language sql
stable
as $$
  select case
    when jsonb_array_length(p_errors) >= 10 then p_errors - 0
    else coalesce(p_errors, '[]')
  end || jsonb_build_object('attempt', p_attempt, 'at', howdah.now(), 'error', left(p_error, 1024))
$$;

comment on function queue._errors(jsonb, int, text) is
'The last ten errors of a job, with one more.';

create or replace function queue._backoff(
  p_attempt int,
  p_type text,
  p_base interval,
  p_max interval,
  p_jitter real
) returns interval
language sql
volatile
as $$
  select interval '1 second' * least(
    extract(epoch from p_base)::float8 * case p_type
      when 'fixed' then 1
      when 'linear' then p_attempt
      else power(2, least(p_attempt, 31) - 1)
    end,
    extract(epoch from p_max)::float8
  ) * (1 + p_jitter * (2 * random() - 1))
$$;

comment on function queue._backoff(int, text, interval, interval, real) is
'How long a job waits after its p_attempt-th attempt failed.';

create or replace function queue.ack(
  p_namespace text,
  p_job_id bigint,
  p_fence bigint,
  p_result jsonb default null
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_archive boolean;
  v_held boolean;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_fence(p_job_id, p_fence);
  select s.archive_completed into v_archive
  from queue._settings(v_namespace, null) s;

  if v_archive then
    perform queue._hold(p_namespace, p_job_id, p_fence);
    update queue.jobs j
    set status = 'completed',
      phase = 9,
      completed_at = howdah.now(),
      fence_token = null,
      visibility_timeout_at = null,
      updated_at = howdah.now()
    where j.namespace = v_namespace
      and j.id = p_job_id;
    return true;
  end if;

  delete from queue.jobs j
  where j.namespace = v_namespace
    and j.id = p_job_id
    and j.status = 'running'
    and j.fence_token = p_fence
  returning j.visibility_timeout_at > clock_timestamp() into v_held;
  if v_held is not true then
    perform queue._lose(p_namespace, p_job_id, p_fence);
  end if;
  return true;
end
$$;

comment on function queue.ack(text, bigint, bigint, jsonb) is
'Settle a job that went well: delete it, or keep it as completed if the namespace archives.

p_namespace  the tenant that owns the job
p_job_id     the job
p_fence      the fence_token with which it was pulled
p_result     accepted for handlers that return something; this release stores no results
Returns      true
Errors       queue.job_id_null, fence_null (22004), fence_stale (40001), tenant_mismatch (42501)
Example      select queue.ack(''acme'', 17, 9001);';

create or replace function queue.ack_batch(
  p_namespace text,
  p_job_ids bigint[],
  p_fences bigint[]
) returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_archive boolean;
  v_tids tid[];
  v_fences bigint[];
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_fences(p_job_ids, p_fences, 'ack_batch_length');
  if coalesce(cardinality(p_job_ids), 0) = 0 then
    return 0;
  end if;
  if (select count(distinct a.id) from unnest(p_job_ids) as a(id)) < cardinality(p_job_ids) then
    perform howdah.fail('queue', 'ack_batch_duplicate_job', 'the batch names a job twice', '22023');
  end if;

  select s.archive_completed into v_archive
  from queue._settings(v_namespace, null) s;
  select h.tids, h.fences into v_tids, v_fences
  from queue._hold_all(p_namespace, p_job_ids, p_fences) h;

  if coalesce(cardinality(v_tids), 0) < cardinality(p_job_ids) then
    perform queue._lose(p_namespace, a.id, a.fence)
    from unnest(p_job_ids, p_fences) as a(id, fence)
    where v_fences is null or a.fence <> all (v_fences);
  end if;
  perform queue._complete(v_tids, v_archive);
  return cardinality(v_tids);
end
$$;

comment on function queue.ack_batch(text, bigint[], bigint[]) is
'Settle up to 1,000 jobs that went well, all or none.

p_namespace  the tenant that owns the jobs
p_job_ids    the jobs, each once
p_fences     their fence tokens, in the same order
Returns      how many were settled; 0 for none given
Errors       queue.job_id_null, fence_null (22004), ack_batch_length, ack_batch_duplicate_job,
             batch_too_large (22023), fence_stale (40001): one of them is lost, nothing was settled,
             tenant_mismatch (42501)
Example      select queue.ack_batch(''acme'', array[19, 20], array[9003, 9004]);';

create or replace function queue.nack(
  p_namespace text,
  p_job_id bigint,
  p_fence bigint,
  p_error text default null,
  p_backoff interval default null
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_job queue.jobs;
  v_is_due boolean;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_delay(p_backoff);
  v_job := queue._hold(p_namespace, p_job_id, p_fence);

  if v_job.attempts >= v_job.max_attempts then
    perform queue._bury(p_namespace, array[p_job_id], 'attempts_exhausted', p_error);
    return false;
  end if;

  update queue.jobs j
  set status = 'pending',
    phase = 0,
    scheduled_at = howdah.now() + coalesce(p_backoff,
      queue._backoff(v_job.attempts, s.backoff_type, s.backoff_base, s.backoff_max,
      s.backoff_jitter)),
    fence_token = null,
    locked_by = null,
    locked_at = null,
    visibility_timeout_at = null,
    error = left(p_error, 8192),
    errors = queue._errors(j.errors, j.attempts, p_error),
    updated_at = howdah.now()
  from queue._settings(v_namespace, v_job.queue) s
  where j.namespace = v_namespace
    and j.id = p_job_id
  returning j.scheduled_at <= queue._due() into v_is_due;
  if v_is_due then
    perform queue._ring_all(p_namespace, array[v_job.queue]);
  end if;
  return true;
end
$$;

comment on function queue.nack(text, bigint, bigint, text, interval) is
'Settle a job whose attempt failed: it is tried again after a while, or becomes a dead letter.

p_namespace  the tenant that owns the job
p_job_id     the job
p_fence      the fence_token with which it was pulled
p_error      what went wrong, cut to 8,192 characters
p_backoff    how long to wait; null for the queue''s setting, or 30 seconds doubled with each
             attempt up to an hour
Returns      true if the job will be tried again; false if it became a dead letter
Errors       queue.job_id_null, fence_null (22004), not_positive, range_too_large (22023),
             fence_stale (40001), tenant_mismatch (42501)
Example      select queue.nack(''acme'', 18, 9002, ''smtp down'');';

create or replace function queue.fail(
  p_namespace text,
  p_job_id bigint,
  p_fence bigint,
  p_error text default null
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._hold(p_namespace, p_job_id, p_fence);
  perform queue._bury(p_namespace, array[p_job_id], 'failed', p_error);
  return true;
end
$$;

comment on function queue.fail(text, bigint, bigint, text) is
'Settle a job that can never succeed: it becomes a dead letter at once, whatever attempts it has
left.

p_namespace  the tenant that owns the job
p_job_id     the job
p_fence      the fence_token with which it was pulled
p_error      what went wrong, cut to 8,192 characters
Returns      true
Errors       queue.job_id_null, fence_null (22004), fence_stale (40001), tenant_mismatch (42501)
Example      select queue.fail(''acme'', 18, 9002, ''no such customer'');';

create or replace function queue.release(
  p_namespace text,
  p_job_id bigint,
  p_fence bigint
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_job queue.jobs;
begin
  perform howdah.guard('queue', p_namespace);
  v_job := queue._hold(p_namespace, p_job_id, p_fence);

  update queue.jobs j
  set status = 'pending',
    fence_token = null,
    locked_by = null,
    locked_at = null,
    visibility_timeout_at = null,
    updated_at = howdah.now()
  where j.namespace = v_namespace
    and j.id = p_job_id;
  perform queue._ring_all(p_namespace, array[v_job.queue]);
  return true;
end
$$;

comment on function queue.release(text, bigint, bigint) is
'Give a job back: it is ready again at once, in its old place; the attempt counts.

p_namespace  the tenant that owns the job
p_job_id     the job
p_fence      the fence_token with which it was pulled
Returns      true
Errors       queue.job_id_null, fence_null (22004), fence_stale (40001), tenant_mismatch (42501)
Example      select queue.release(''acme'', 18, 9002);';

create or replace function queue.release_batch(
  p_namespace text,
  p_job_ids bigint[],
  p_fences bigint[],
  p_refund boolean default true
) returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_tids tid[];
  v_queues text[];
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_fences(p_job_ids, p_fences);
  select h.tids into v_tids
  from queue._hold_all(p_namespace, p_job_ids, p_fences) h;

  with freed as (
    update queue.jobs j
    set status = 'pending',
      attempts = case when p_refund is false then j.attempts else greatest(j.attempts - 1, 0) end,
      fence_token = null,
      locked_by = null,
      locked_at = null,
      visibility_timeout_at = null,
      updated_at = howdah.now()
    where j.ctid = any (v_tids)
    returning j.queue
  )
  select array_agg(f.queue) into v_queues from freed f;
  perform queue._ring_all(p_namespace, v_queues);
  return coalesce(cardinality(v_queues), 0);
end
$$;

comment on function queue.release_batch(text, bigint[], bigint[], boolean) is
'Give up to 1,000 jobs back, ready again at once in their old places; those that the caller lost are
left out.

p_namespace  the tenant that owns the jobs
p_job_ids    the jobs
p_fences     their fence tokens, in the same order
p_refund     true, also for null: the attempt does not count; false: it does
Returns      how many were given back
Errors       queue.job_id_null, fence_null (22004), batch_length, batch_too_large (22023),
             tenant_mismatch (42501)
Example      select queue.release_batch(''acme'', array[19, 20], array[9003, 9004]);';

create or replace function queue.release_jobs(p_namespace text, p_worker_id text) returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_worker_id text collate "C" := p_worker_id;
  v_lease_ids bigint[];
  v_tids tid[];
  v_queues text[];
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_worker(p_namespace, p_worker_id);

  select array_agg(l.lease_id) into v_lease_ids
  from queue.leases l
  where l.namespace = v_namespace
    and l.worker_id = v_worker_id;

  select array_agg(held.ctid) into v_tids
  from (
    select distinct unnest(l.job_ids) as id
    from queue.leases l
    where l.namespace = v_namespace
      and l.lease_id = any (v_lease_ids)
    order by 1
  ) a
  cross join lateral (
    select j.ctid
    from queue.jobs j
    where j.namespace = v_namespace
      and j.id = a.id
      and j.status = 'running'
      and j.locked_by = v_worker_id
    for update
  ) held;

  with freed as (
    update queue.jobs j
    set status = 'pending',
      fence_token = null,
      locked_by = null,
      locked_at = null,
      visibility_timeout_at = null,
      updated_at = howdah.now()
    where j.ctid = any (v_tids)
    returning j.queue
  )
  select array_agg(f.queue) into v_queues from freed f;

  delete from queue.leases l
  where l.namespace = v_namespace
    and l.lease_id = any (v_lease_ids);
  perform queue._ring_all(p_namespace, v_queues);
  return coalesce(cardinality(v_queues), 0);
end
$$;

comment on function queue.release_jobs(text, text) is
'Give back every job that a worker holds, ready again at once in their old places; the attempts
count.

For a worker that stops or was stopped: its jobs need not wait for their leases to end.
p_namespace  the tenant that owns the jobs
p_worker_id  the worker, as it pulled them
Returns      how many were given back
Errors       queue.worker_id_null (22004), worker_id_empty (22026), worker_id_too_long (22001),
             tenant_mismatch (42501)
Example      select queue.release_jobs(''acme'', ''worker-1'');';

create or replace function queue.snooze(
  p_namespace text,
  p_job_id bigint,
  p_fence bigint,
  p_delay interval,
  p_payload jsonb default null
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_job queue.jobs;
begin
  perform howdah.guard('queue', p_namespace);
  if p_delay is null then
    perform howdah.fail('queue', 'delay_null', 'delay is null', '22004', null,
      'Say how long the job shall wait.');
  end if;
  perform queue._check_delay(p_delay);
  v_job := queue._hold(p_namespace, p_job_id, p_fence);
  if p_payload is not null then
    perform queue._check_size('payload', p_payload, s.max_payload_bytes)
    from queue._settings(v_namespace, v_job.queue) s;
  end if;

  update queue.jobs j
  set status = 'pending',
    phase = 0,
    scheduled_at = howdah.now() + p_delay,
    attempts = greatest(j.attempts - 1, 0),
    payload = coalesce(p_payload, j.payload),
    fence_token = null,
    locked_by = null,
    locked_at = null,
    visibility_timeout_at = null,
    updated_at = howdah.now()
  where j.namespace = v_namespace
    and j.id = p_job_id;
  if p_delay = interval '0' then
    perform queue._ring_all(p_namespace, array[v_job.queue]);
  end if;
  return true;
end
$$;

comment on function queue.snooze(text, bigint, bigint, interval, jsonb) is
'Put a job off: it waits again, and the attempt does not count.

p_namespace  the tenant that owns the job
p_job_id     the job
p_fence      the fence_token with which it was pulled
p_delay      how long it waits at least
p_payload    a new payload, for a handler that remembers how far it came; null keeps the old one
Returns      true
Errors       queue.job_id_null, fence_null, delay_null (22004), not_positive, range_too_large,
             payload_too_large (22023), fence_stale (40001), tenant_mismatch (42501)
Example      select queue.snooze(''acme'', 18, 9002, ''1 hour'');';

create or replace function queue.extend_visibility(
  p_namespace text,
  p_job_id bigint,
  p_fence bigint,
  p_extension interval
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
begin
  perform howdah.guard('queue', p_namespace);
  if p_extension is null then
    perform howdah.fail('queue', 'extension_null', 'extension is null', '22004', null,
      'Say how much longer the job takes.');
  end if;
  perform queue._check_positive('extension', p_extension, 'extension_positive');
  perform queue._hold(p_namespace, p_job_id, p_fence);

  update queue.jobs j
  set visibility_timeout_at = j.visibility_timeout_at + p_extension
  where j.namespace = v_namespace
    and j.id = p_job_id;
  return true;
end
$$;

comment on function queue.extend_visibility(text, bigint, bigint, interval) is
'Keep a job longer: its deadline moves by p_extension.

p_namespace  the tenant that owns the job
p_job_id     the job
p_fence      the fence_token with which it was pulled
p_extension  how much is added to the deadline as it stands
Returns      true
Errors       queue.job_id_null, fence_null, extension_null (22004), extension_positive,
             range_too_large (22023), fence_stale (40001), tenant_mismatch (42501)
Example      select queue.extend_visibility(''acme'', 18, 9002, ''1 minute'');';
