-- Pushing: a job is a row, so it commits or rolls back with whatever else the transaction did.
--
-- Two pushes with one unique key meet in the unique index: the second waits until the first has
-- ended and then sees what became of it. A job that waits with the key but has expired is buried
-- first, since it will never run. A throttle key is a row of its own that outlives the job; taking
-- it serialises the pushes of that key in the same way. Pushing waits for nothing else.

create or replace function queue.push(
  p_namespace text,
  p_queue text,
  p_payload jsonb,
  p_delay interval default null,
  p_priority int default 0,
  p_max_attempts int default null,
  p_unique_key text default null,
  p_tags text[] default null,
  p_metadata jsonb default null,
  p_run_at timestamptz default null,
  p_concurrency_key text default null,
  p_fair_key text default null,
  p_expires_in interval default null,
  p_on_conflict text default 'skip',
  p_throttle interval default null,
  p_keep_result boolean default null,
  p_trace jsonb default null
) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text collate "C" := p_queue;
  v_unique_key text collate "C" := p_unique_key;
  v_replaces boolean := p_unique_key is not null and p_on_conflict in ('replace', 'debounce');
  v_actor jsonb := howdah.actor();
  v_now timestamptz := howdah.now();
  v_scheduled_at timestamptz;
  v_max_attempts int;
  v_max_bytes int;
  v_notify text;
  v_id bigint;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_queue(p_namespace, p_queue);
  select coalesce(p_max_attempts, s.max_attempts), s.max_payload_bytes, s.notify
  into v_max_attempts, v_max_bytes, v_notify
  from queue._settings(v_namespace, v_queue) s;

  if p_payload is null or octet_length(p_payload::text) > v_max_bytes then
    perform queue._reject_payload(p_payload, v_max_bytes);
  end if;
  if p_priority not between -1000 and 1000 or v_max_attempts not between 1 and 30 then
    perform queue._check_numbers(p_priority, v_max_attempts);
  end if;
  if p_on_conflict is distinct from 'skip' or num_nonnulls(p_delay, p_expires_in, p_throttle,
    p_unique_key, p_concurrency_key, p_fair_key, p_tags, p_metadata, p_trace) > 0
  then
    perform queue._check_options(p_namespace, p_queue, p_delay, p_expires_in, p_throttle,
      p_unique_key, p_concurrency_key, p_fair_key, p_tags, p_metadata, p_trace, p_on_conflict,
      v_max_bytes);
  end if;
  if p_run_at not between '0001-01-01 UTC' and v_now + interval '100 years' then
    perform howdah.fail('queue', 'range_too_large',
      format('run_at is %s, it must be within 100 years', p_run_at), '22023',
      jsonb_build_object('field', 'run_at', 'actual', p_run_at));
  end if;
  v_scheduled_at := coalesce(p_run_at, v_now) + coalesce(p_delay, interval '0');

  if p_throttle is not null then
    insert into queue.throttle_keys as t (namespace, queue, key, until)
    values (v_namespace, v_queue, v_unique_key, v_now + p_throttle)
    on conflict (namespace, queue, key) do update
    set until = excluded.until
    where t.until <= v_now;
    if not found then
      return null;
    end if;
  end if;

  loop
    if v_replaces then
      update queue.jobs j
      set payload = p_payload,
        priority = coalesce(p_priority, 0),
        scheduled_at = case
          when p_on_conflict = 'debounce'
          then least(v_scheduled_at, j.created_at + 10 * (v_scheduled_at - v_now))
          else v_scheduled_at
        end,
        phase = case when j.phase > 1 then j.phase when v_scheduled_at > v_now then 0 else 1 end,
        expires_at = v_now + p_expires_in,
        updated_at = v_now
      where j.namespace = v_namespace
        and j.queue = v_queue
        and j.unique_key = v_unique_key
        and j.phase < 9
        and j.status = 'pending'
      returning j.id into v_id;
      exit when found;
    end if;

    insert into queue.jobs (
      namespace, queue, payload, scheduled_at, phase, expires_at, priority, max_attempts,
      unique_key, concurrency_key, fair_key, tags, metadata, keep_result, trace, actor_id,
      request_id, on_behalf_of, reason
    )
    values (
      v_namespace, v_queue, p_payload, v_scheduled_at,
      case when v_scheduled_at > v_now then 0 else 1 end, v_now + p_expires_in,
      coalesce(p_priority, 0), v_max_attempts, v_unique_key, p_concurrency_key, p_fair_key,
      coalesce(p_tags, '{}'), p_metadata, p_keep_result, p_trace, v_actor ->> 'actor_id',
      v_actor ->> 'request_id', v_actor ->> 'on_behalf_of', v_actor ->> 'reason'
    )
    on conflict (namespace, queue, unique_key) where unique_key is not null and phase < 9 do nothing
    returning id into v_id;
    exit when found;

    exit when not queue._expire_keys(v_namespace, v_queue, array[v_unique_key]) and (
      not v_replaces or exists (
        select 1
        from queue.jobs j
        where j.namespace = v_namespace
          and j.queue = v_queue
          and j.unique_key = v_unique_key
          and j.phase < 9
          and j.status = 'running'
      )
    );
  end loop;

  if v_id is null then
    if p_throttle is not null then
      delete from queue.throttle_keys t
      where t.namespace = v_namespace and t.queue = v_queue and t.key = v_unique_key;
    end if;
    if p_on_conflict = 'raise' then
      perform howdah.fail('queue', 'duplicate_job',
        format('a job with unique key %L waits or runs in queue %s', p_unique_key, p_queue),
        '23505', jsonb_build_object('queue', p_queue, 'unique_key', p_unique_key));
    end if;
    return null;
  end if;

  perform queue._ring(p_namespace, p_queue, v_notify, 'id', v_id);
  return v_id;
end
$$;

comment on function queue.push(
  text, text, jsonb, interval, int, int, text, text[], jsonb, timestamptz, text, text, interval,
  text, interval, boolean, jsonb
) is
'Put one job on a queue; it exists if and only if the caller''s transaction commits.

The actor of the transaction is kept with the job.
p_namespace        the tenant that owns the job
p_queue            the queue, 1 to 256 characters
p_payload          what the handler gets, any JSON value of at most 1 MiB as text
p_delay            how long the job waits at least, up to 100 years; null for none
p_priority         -1000 to 1000; higher goes first
p_max_attempts     how often it may be tried, 1 to 30; null for the queue''s setting
p_unique_key       at most 1,024 characters; while a job with this key waits or runs in the queue no
                   second one is made
p_tags             at most 50 tags of at most 256 characters
p_metadata         what is known about the job beside its payload
p_run_at           a time instead of now from which p_delay counts, at most in 100 years
p_concurrency_key  what the job uses that may be used by few at a time
p_fair_key         on whose behalf the job runs, where a queue is shared fairly
p_expires_in       how long after the push the job may still start; then it becomes a dead letter
p_on_conflict      what to do if p_unique_key is taken: skip; replace (payload, priority, delay and
                   expiry of a job that waits); debounce (replace, and restart the delay, at most to
                   ten times the delay after the job''s creation); raise
p_throttle         accept at most one push of p_unique_key in this time, whatever became of its job
p_keep_result      kept with the job; this release stores no results
p_trace            trace context for the handler
Returns            the job''s id; null if nothing was pushed or replaced, because the key is taken
                   or throttled
Errors             queue.queue_null, payload_null, unique_key_null (22004), queue_empty,
                   unique_key_empty (22026), queue_too_long (22001), queue_invalid_chars,
                   queue_whitespace, payload_too_large, priority_range, max_attempts_range,
                   unique_key_too_long, concurrency_key_too_long, fair_key_too_long, tags_limit,
                   not_positive, range_too_large, on_conflict_invalid (22023), duplicate_job
                   (23505), tenant_mismatch (42501)
Example            select queue.push(''acme'', ''mail'', ''{"to": "bob"}'', ''5 minutes'');';

create or replace function queue.push_batch(
  p_namespace text,
  p_queue text,
  p_payloads jsonb[],
  p_priority int default 0,
  p_max_attempts int default null,
  p_tags text[] default null,
  p_unique_keys text[] default null,
  p_delays interval[] default null,
  p_concurrency_keys text[] default null,
  p_fair_keys text[] default null,
  p_metadata jsonb[] default null,
  p_priorities int[] default null
) returns bigint[]
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text collate "C" := p_queue;
  v_size int := coalesce(cardinality(p_payloads), 0);
  v_actor jsonb := howdah.actor();
  v_now timestamptz := howdah.now();
  v_max_attempts int;
  v_max_bytes int;
  v_max_key int := 1024 - octet_length(p_namespace) - octet_length(p_queue);
  v_notify text;
  v_ids bigint[];
  v_pushed int;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_queue(p_namespace, p_queue);
  perform queue._check_batch(v_size);
  select coalesce(p_max_attempts, s.max_attempts), s.max_payload_bytes, s.notify
  into v_max_attempts, v_max_bytes, v_notify
  from queue._settings(v_namespace, v_queue) s;
  perform queue._check_numbers(p_priority, v_max_attempts);
  if v_size = 0 then
    return '{}';
  end if;

  if array_position(p_payloads, null) is not null then
    perform queue._reject_payload(null, v_max_bytes);
  end if;
  if (select max(pg_column_size(i.payload)) from unnest(p_payloads) as i(payload)) > v_max_bytes / 8
  then
    perform queue._reject_payload(i.payload, v_max_bytes)
    from unnest(p_payloads) as i(payload)
    where octet_length(i.payload::text) > v_max_bytes;
  end if;
  if p_tags is not null then
    perform queue._check_options(p_namespace, p_queue, null, null, null, null, null, null, p_tags,
      null, null, 'skip', v_max_bytes);
  end if;
  if num_nonnulls(p_unique_keys, p_delays, p_concurrency_keys, p_fair_keys, p_metadata,
    p_priorities) > 0
  then
    perform queue._check_lengths(v_size, cardinality(p_unique_keys), cardinality(p_delays),
      cardinality(p_concurrency_keys), cardinality(p_fair_keys), cardinality(p_metadata),
      cardinality(p_priorities));
    perform queue._check_numbers(i.priority, v_max_attempts),
      queue._check_options(p_namespace, p_queue, i.delay, null, null, i.unique_key,
        i.concurrency_key, i.fair_key, null, i.metadata, null, 'skip', v_max_bytes)
    from unnest(p_unique_keys, p_delays, p_concurrency_keys, p_fair_keys, p_metadata, p_priorities)
      as i(unique_key, delay, concurrency_key, fair_key, metadata, priority)
    where i.priority not between -1000 and 1000
      or i.delay not between interval '0' and interval '100 years'
      or octet_length(i.unique_key) not between 1 and v_max_key
      or octet_length(i.concurrency_key) not between 1 and v_max_key
      or octet_length(i.fair_key) not between 1 and v_max_key
      or pg_column_size(i.metadata) > v_max_bytes / 8;
  end if;

  if p_unique_keys is not null then
    perform queue._expire_keys(v_namespace, v_queue, p_unique_keys);
  end if;

  select array_agg(nextval('queue.jobs_id_seq')) into v_ids
  from generate_series(1, v_size);

  insert into queue.jobs (
    id, namespace, queue, payload, scheduled_at, phase, priority, max_attempts, unique_key,
    concurrency_key, fair_key, tags, metadata, actor_id, request_id, on_behalf_of, reason
  )
  overriding system value
  select i.id, v_namespace, v_queue, i.payload, v_now + coalesce(i.delay, interval '0'),
    case when i.delay > interval '0' then 0 else 1 end, coalesce(i.priority, p_priority, 0),
    v_max_attempts, i.unique_key, i.concurrency_key, i.fair_key, coalesce(p_tags, '{}'),
    i.metadata, v_actor ->> 'actor_id', v_actor ->> 'request_id', v_actor ->> 'on_behalf_of',
    v_actor ->> 'reason'
  from unnest(v_ids, p_payloads, p_unique_keys, p_delays, p_concurrency_keys, p_fair_keys,
    p_metadata, p_priorities)
    as i(id, payload, unique_key, delay, concurrency_key, fair_key, metadata, priority)
  order by i.unique_key, i.id
  on conflict (namespace, queue, unique_key) where unique_key is not null and phase < 9 do nothing;
  get diagnostics v_pushed = row_count;

  if v_pushed < v_size then
    select array_agg(j.id order by i.id) into v_ids
    from unnest(v_ids) as i(id)
    left join queue.jobs j on j.namespace = v_namespace and j.id = i.id;
  end if;
  if v_pushed > 0 then
    perform queue._ring(p_namespace, p_queue, v_notify, 'count', v_pushed);
  end if;
  return v_ids;
end
$$;

comment on function queue.push_batch(
  text, text, jsonb[], int, int, text[], text[], interval[], text[], text[], jsonb[], int[]
) is
'Put up to 1,000 jobs on one queue with one insert and one notification.

An array that is given has one element per payload; a null element means what leaving out the
argument of push means.
p_namespace         the tenant that owns the jobs
p_queue             the queue
p_payloads          what the handlers get
p_priority          the priority of the jobs that p_priorities leaves out
p_max_attempts      how often each may be tried; null for the queue''s setting
p_tags              the tags of every job
p_unique_keys       unique keys; a key that is taken, also by an earlier job of the batch, is
                    skipped
p_delays            delays
p_concurrency_keys  concurrency keys
p_fair_keys         fair keys
p_metadata          metadata
p_priorities        priorities
Returns             the ids in the order of p_payloads, null where a job was skipped; {} for no
                    payloads
Errors              those of push, and queue.batch_too_large, batch_length (22023)
Example             select queue.push_batch(''acme'', ''mail'', array[''{}'', ''[]'']::jsonb[]);';

create or replace function queue._expire_keys(
  p_namespace text,
  p_queue text,
  p_unique_keys text[]
) returns boolean
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text collate "C" := p_queue;
  v_due timestamptz := queue._due();
  v_ids bigint[];
begin
  select array_agg(expired.id) into v_ids
  from unnest(p_unique_keys) as k(unique_key)
  cross join lateral (
    select j.id
    from queue.jobs j
    where j.namespace = v_namespace
      and j.queue = v_queue
      and j.unique_key = k.unique_key collate "C"
      and j.phase < 9
      and j.status = 'pending'
      and j.expires_at <= v_due
    for update skip locked
  ) expired;
  if v_ids is null then
    return false;
  end if;

  perform queue._bury(p_namespace, v_ids, 'expired', 'it expired before it could start');
  return true;
end
$$;

comment on function queue._expire_keys(text, text, text[]) is
'Bury the jobs that keep these keys though they have expired; whether there were any.';
