-- Cancelling: taking back what nobody has started, and asking whoever runs a job to stop.
--
-- A job that waits is simply deleted. A job that runs belongs to the worker that holds its lease:
-- request_cancel() marks it, and the worker learns of it by the notification or with its next
-- heartbeat, and settles it with cancelled(). Whoever wins the row's lock first, cancel or pull,
-- decides, and the other one finds nothing to do. A job that came back to the queue while
-- request_cancel() waited for its row waits again, so that is looked at anew.

create or replace function queue.cancel(p_namespace text, p_job_id bigint) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_job queue.jobs;
begin
  perform howdah.guard('queue', p_namespace);
  if p_job_id is null then
    perform howdah.fail('queue', 'job_id_null', 'job_id is null', '22004');
  end if;

  delete from queue.jobs j
  where j.namespace = v_namespace
    and j.id = p_job_id
    and j.status = 'pending'
  returning j.* into v_job;
  if not found then
    return false;
  end if;

  perform queue._audit(p_namespace, 'job.cancelled', 'job', p_job_id::text,
    jsonb_build_object('queue', v_job.queue));
  return true;
end
$$;

comment on function queue.cancel(text, bigint) is
'Take back a job that has not started.

p_namespace  the tenant that owns the job
p_job_id     the job, as returned by push
Returns      true if the job was deleted; false if it runs, has ended, or does not exist
Errors       queue.job_id_null (22004), tenant_mismatch (42501)
Example      select queue.cancel(''acme'', 42);';

create or replace function queue.request_cancel(
  p_namespace text,
  p_job_id bigint,
  p_reason text default null
) returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text;
begin
  loop
    if queue.cancel(p_namespace, p_job_id) then
      return 'cancelled';
    end if;

    update queue.jobs j
    set cancel_requested_at = coalesce(j.cancel_requested_at, howdah.now()),
      cancel_reason = coalesce(left(p_reason, 8192), j.cancel_reason)
    where j.namespace = v_namespace
      and j.id = p_job_id
      and j.status = 'running'
    returning j.queue into v_queue;
    exit when found;

    if not exists (
      select 1
      from queue.jobs j
      where j.namespace = v_namespace
        and j.id = p_job_id
        and j.phase < 9
    ) then
      return 'not_found';
    end if;
  end loop;

  perform pg_notify(queue._control_channel(p_namespace),
    jsonb_build_object('cancel', p_job_id)::text);
  perform queue._audit(p_namespace, 'job.cancel_requested', 'job', p_job_id::text, null,
    jsonb_build_object('queue', v_queue, 'reason', p_reason));
  return 'requested';
end
$$;

comment on function queue.request_cancel(text, bigint, text) is
'Cancel a job that waits, or ask the worker that runs it to stop.

The worker learns of it by {"cancel": job id} on control_channel and by its heartbeat.
p_namespace  the tenant that owns the job
p_job_id     the job
p_reason     why, for the worker and the record
Returns      cancelled: it waited and is gone; requested: it runs and its worker was told;
             not_found: neither
Errors       queue.job_id_null (22004), tenant_mismatch (42501)
Example      select queue.request_cancel(''acme'', 42, ''customer left'');';

create or replace function queue.control_channel(p_namespace text) returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.guard('queue', p_namespace);
  return queue._control_channel(p_namespace);
end
$$;

comment on function queue.control_channel(text) is
'The channel to LISTEN on for requests to workers of one tenant.

p_namespace  the tenant
Returns      the name, different from that of every queue, shorter than 63 bytes
Errors       queue.tenant_mismatch (42501)
Example      select queue.control_channel(''acme'');';

create or replace function queue._control_channel(p_namespace text) returns text
language sql
stable
as $$
  select 'howdah_queue_control_' || left(encode(sha256(convert_to(p_namespace, 'UTF8')), 'hex'), 40)
$$;

comment on function queue._control_channel(text) is
'The channel for requests to workers of a namespace.';

create or replace function queue.cancelled(
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
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._hold(p_namespace, p_job_id, p_fence);

  update queue.jobs j
  set status = 'cancelled',
    phase = 9,
    completed_at = howdah.now(),
    fence_token = null,
    visibility_timeout_at = null,
    updated_at = howdah.now()
  where j.namespace = v_namespace
    and j.id = p_job_id;
  return true;
end
$$;

comment on function queue.cancelled(text, bigint, bigint) is
'Settle a job that stopped because it was asked to; it stays as cancelled until it is pruned.

p_namespace  the tenant that owns the job
p_job_id     the job
p_fence      the fence_token with which it was pulled
Returns      true
Errors       queue.job_id_null, fence_null (22004), fence_stale (40001), tenant_mismatch (42501)
Example      select queue.cancelled(''acme'', 42, 9005);';

create or replace function queue.purge_queue(p_namespace text, p_queue text) returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text collate "C" := p_queue;
  v_count int;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_queue(p_namespace, p_queue);

  delete from queue.jobs j
  where j.ctid = any (array(
    select waiting.ctid
    from queue.jobs waiting
    where waiting.namespace = v_namespace
      and waiting.queue = v_queue
      and waiting.phase < 9
      and waiting.status = 'pending'
    for update skip locked
  ));
  get diagnostics v_count = row_count;

  perform queue._audit(p_namespace, 'queue.purged', 'queue', p_queue, null,
    jsonb_build_object('deleted', v_count));
  return v_count;
end
$$;

comment on function queue.purge_queue(text, text) is
'Delete all jobs of a queue that have not started, but for those that somebody is claiming.

p_namespace  the tenant that owns the queue
p_queue      the queue
Returns      how many were deleted
Errors       queue.queue_null (22004), queue_empty (22026), queue_too_long (22001),
             queue_invalid_chars, queue_whitespace (22023), tenant_mismatch (42501)
Example      select queue.purge_queue(''acme'', ''mail'');';
