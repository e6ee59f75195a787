-- Settling many jobs that did not simply end well, each in its own way, in one call.
--
-- This is the worker's slow path. A job that the worker lost is answered as lost and stops nothing,
-- as in exchange(). What goes back to the queue goes back with one update; what dies is buried job
-- by job, because each has an error of its own and few do.

create or replace function queue.settle_batch(p_namespace text, p_items jsonb)
returns table (job_id bigint, outcome text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_ids bigint[];
  v_fences bigint[];
  v_tids tid[];
  v_held bigint[];
  v_done tid[];
  v_done_ids bigint[];
  v_dead record;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_items(p_items, s.max_payload_bytes)
  from queue._settings(v_namespace, null) s;
  select array_agg(i.id), array_agg(i.fence) into v_ids, v_fences
  from jsonb_to_recordset(p_items) as i(id bigint, fence bigint);
  perform queue._check_fences(v_ids, v_fences);
  select h.tids, h.fences into v_tids, v_held
  from queue._hold_all(p_namespace, v_ids, v_fences) h;

  return query
  select i.id, 'lost'
  from jsonb_to_recordset(p_items) as i(id bigint, fence bigint)
  where v_held is null or i.fence <> all (v_held);

  return query
  update queue.jobs j
  set status = case when i.outcome = 'cancelled' then 'cancelled' else 'pending' end,
    phase = case i.outcome when 'cancelled' then 9 when 'release' then j.phase else 0 end,
    completed_at = case when i.outcome = 'cancelled' then howdah.now() end,
    scheduled_at = case i.outcome
      when 'snooze' then howdah.now() + i.delay
      when 'nack' then howdah.now() + coalesce(i.delay, (
        select queue._backoff(j.attempts, s.backoff_type, s.backoff_base, s.backoff_max,
          s.backoff_jitter)
        from queue._settings(v_namespace, j.queue) s
      ))
      else j.scheduled_at
    end,
    attempts = case when i.outcome = 'snooze' then greatest(j.attempts - 1, 0) else j.attempts end,
    payload = case when i.outcome = 'snooze' then coalesce(i.payload, j.payload) else j.payload end,
    error = case when i.outcome = 'nack' then left(i.error, 8192) else j.error end,
    errors = case
      when i.outcome = 'nack' then queue._errors(j.errors, j.attempts, i.error)
      else j.errors
    end,
    fence_token = null,
    visibility_timeout_at = null,
    locked_by = case when i.outcome = 'cancelled' then j.locked_by end,
    locked_at = case when i.outcome = 'cancelled' then j.locked_at end,
    updated_at = howdah.now()
  from unnest(v_tids, v_held) as h(tid, fence)
  join jsonb_to_recordset(p_items)
    as i(fence bigint, outcome text, error text, delay interval, payload jsonb)
    on i.fence = h.fence
  where j.ctid = h.tid
    and (
      i.outcome in ('snooze', 'release', 'cancelled')
      or i.outcome = 'nack' and j.attempts < j.max_attempts
    )
  returning j.id, case i.outcome
    when 'snooze' then 'snoozed'
    when 'release' then 'released'
    when 'cancelled' then 'cancelled'
    else 'retry'
  end;

  for v_dead in
    select i.id, i.outcome, i.error
    from unnest(v_tids, v_held) as h(tid, fence)
    join jsonb_to_recordset(p_items) as i(id bigint, fence bigint, outcome text, error text)
      on i.fence = h.fence
    join queue.jobs j on j.ctid = h.tid
    where i.outcome = 'fail'
      or i.outcome = 'nack' and j.status = 'running' and j.attempts >= j.max_attempts
  loop
    perform queue._bury(p_namespace, array[v_dead.id],
      case when v_dead.outcome = 'fail' then 'failed' else 'attempts_exhausted' end, v_dead.error);
    return query select v_dead.id, 'dead';
  end loop;

  select array_agg(h.tid), array_agg(i.id) into v_done, v_done_ids
  from unnest(v_tids, v_held) as h(tid, fence)
  join jsonb_to_recordset(p_items) as i(id bigint, fence bigint, outcome text)
    on i.fence = h.fence
  where i.outcome = 'ack';
  if v_done is not null then
    perform queue._complete(v_done, s.archive_completed)
    from queue._settings(v_namespace, null) s;
    return query select d.id, 'completed' from unnest(v_done_ids) as d(id);
  end if;

  perform queue._ring_all(p_namespace, array(
    select j.queue
    from jsonb_to_recordset(p_items) as i(id bigint, fence bigint, outcome text)
    join queue.jobs j on j.namespace = v_namespace and j.id = i.id
    where i.outcome in ('nack', 'snooze', 'release')
      and i.fence = any (v_held)
      and j.status = 'pending'
      and j.scheduled_at <= queue._due()
  ));
end
$$;

comment on function queue.settle_batch(text, jsonb) is
'Settle up to 1,000 jobs, each in its own way; those that the caller lost stop nothing.

p_namespace  the tenant that owns the jobs
p_items      [{"id", "fence", "outcome", "error", "delay", "payload"}]; outcome is ack, nack, fail,
             snooze, release or cancelled. error goes with nack and fail, delay (an interval as
             text) with nack and snooze, payload with snooze
Returns      each job_id and its outcome: completed, retry, dead, snoozed, released, cancelled, or
             lost
Errors       queue.job_id_null, fence_null, delay_null (22004), items_invalid, outcome_invalid,
             batch_too_large, payload_too_large, not_positive, range_too_large (22023),
             tenant_mismatch (42501)
Example      select * from queue.settle_batch(''acme'',
             ''[{"id": 18, "fence": 9002, "outcome": "nack", "error": "smtp down"}]'');';

create or replace function queue._check_items(p_items jsonb, p_most int) returns void
language plpgsql
stable
as $$
declare
  v_item record;
begin
  if jsonb_typeof(p_items) is distinct from 'array' then
    perform howdah.fail('queue', 'items_invalid',
      format('items is %s, not a JSON array', coalesce(jsonb_typeof(p_items), 'null')), '22023',
      jsonb_build_object('field', 'items'));
  end if;
  perform queue._check_batch(jsonb_array_length(p_items));
  if exists (
    select 1 from jsonb_array_elements(p_items) as i(item) where jsonb_typeof(i.item) <> 'object'
  ) then
    perform howdah.fail('queue', 'items_invalid', 'an item is not a JSON object', '22023',
      jsonb_build_object('field', 'items'));
  end if;

  begin
    if (
      select count(i.id) > count(distinct i.id) from jsonb_to_recordset(p_items) as i(id bigint)
    ) then
      perform howdah.fail('queue', 'items_invalid', 'the batch names a job twice', '22023',
        jsonb_build_object('field', 'items'));
    end if;

    for v_item in
      select *
      from jsonb_to_recordset(p_items) as i(
        id bigint, fence bigint, outcome text, error text, delay interval, payload jsonb
      )
      where i.outcome is distinct from 'ack'
    loop
      if v_item.outcome is null or v_item.outcome not in (
        'nack', 'fail', 'snooze', 'release', 'cancelled'
      ) then
        perform howdah.fail('queue', 'outcome_invalid', format('outcome is %L', v_item.outcome),
          '22023', jsonb_build_object('field', 'outcome', 'actual', v_item.outcome),
          'Use ack, nack, fail, snooze, release or cancelled.');
      end if;
      if v_item.outcome = 'snooze' and v_item.delay is null then
        perform howdah.fail('queue', 'delay_null', format('job %s is snoozed without a delay',
          v_item.id), '22004', null, 'Say how long the job shall wait.');
      end if;
      perform queue._check_delay(v_item.delay);
      perform queue._check_size('payload', v_item.payload, p_most);
    end loop;
  exception
    when invalid_text_representation or invalid_datetime_format or numeric_value_out_of_range
      or datetime_field_overflow
    then
      perform howdah.fail('queue', 'items_invalid', format('an item is malformed: %s', sqlerrm),
        '22023', jsonb_build_object('field', 'items'));
  end;
end
$$;

comment on function queue._check_items(jsonb, int) is
'Refuse what is wrong with the items of settle_batch.';
