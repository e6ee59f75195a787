-- Checking what a call names: queues, jobs, fences and limits, refused with one error each before
-- anything is written.

create or replace function queue._check_queue(p_namespace text, p_queue text) returns void
language plpgsql
stable
as $$
declare
  v_queue text collate "C" := p_queue;
begin
  if length(v_queue) <= 256 and v_queue ~ '^[!-~]+$' and octet_length(p_namespace) <= 2100 then
    return;
  end if;

  perform case
    when v_queue is null then
      howdah.fail('queue', 'queue_null', 'queue is null', '22004', null, 'Name the queue.')
    when v_queue = '' then
      howdah.fail('queue', 'queue_empty', 'queue is empty', '22026', null, 'Name the queue.')
    when length(v_queue) > 256 then
      howdah.fail('queue', 'queue_too_long',
        format('queue has %s characters, at most 256 are allowed', length(v_queue)), '22001',
        jsonb_build_object('field', 'queue', 'limit', 256, 'actual', length(v_queue)))
    when v_queue ~ e'[\\x01-\\x1f\\x7f\\u0085\\u2028\\u2029]' then
      howdah.fail('queue', 'queue_invalid_chars', 'queue contains control characters', '22023',
        jsonb_build_object('field', 'queue'))
    when v_queue ~ e'^[\\s\\u00a0\\u3000]|[\\s\\u00a0\\u3000]$' then
      howdah.fail('queue', 'queue_whitespace',
        format('queue %L begins or ends with white space', v_queue), '22023',
        jsonb_build_object('field', 'queue'))
    when octet_length(p_namespace) + octet_length(v_queue) > 2400 then
      howdah.fail('queue', 'queue_too_long',
        format('namespace and queue take %s bytes together, at most 2400 are allowed',
          octet_length(p_namespace) + octet_length(v_queue)), '22001',
        jsonb_build_object('field', 'queue', 'limit', 2400,
          'actual', octet_length(p_namespace) + octet_length(v_queue)))
  end;
end
$$;

comment on function queue._check_queue(text, text) is
'Raise the error that names what is wrong with a queue name, if anything is.';

create or replace function queue._check_limit(p_limit int, p_most int default 1000) returns void
language plpgsql
immutable
as $$
begin
  if p_limit between 1 and p_most then
    return;
  end if;

  perform case
    when p_limit is null then
      howdah.fail('queue', 'limit_null', 'limit is null', '22004', null,
        'Say how many rows at most.')
    when p_limit < 1 then
      howdah.fail('queue', 'not_positive',
        format('limit is %s, it must be positive', p_limit), '22023',
        jsonb_build_object('field', 'limit', 'actual', p_limit))
    else
      howdah.fail('queue', 'limit_too_large',
        format('limit is %s, at most %s is allowed', p_limit, p_most), '22023',
        jsonb_build_object('field', 'limit', 'limit', p_most, 'actual', p_limit))
  end;
end
$$;

comment on function queue._check_limit(int, int) is
'Raise the error that names what is wrong with a limit, if anything is.';

create or replace function queue._check_batch(p_size int, p_most int default 1000) returns void
language plpgsql
immutable
as $$
begin
  if p_size > p_most then
    perform howdah.fail('queue', 'batch_too_large',
      format('batch has %s items, at most %s are allowed', p_size, p_most), '22023',
      jsonb_build_object('limit', p_most, 'actual', p_size), 'Send it in several calls.');
  end if;
end
$$;

comment on function queue._check_batch(int, int) is 'Refuse a batch of too many items.';

create or replace function queue._check_positive(
  p_field text,
  p_value interval,
  p_code text default 'not_positive'
) returns void
language plpgsql
immutable
as $$
begin
  if p_value <= interval '0' then
    perform howdah.fail('queue', p_code,
      format('%s is %s, it must be positive', p_field, p_value), '22023',
      jsonb_build_object('field', p_field, 'actual', p_value));
  end if;
  perform queue._check_range(p_field, p_value);
end
$$;

comment on function queue._check_positive(text, interval, text) is
'Refuse a duration that is zero, negative or too long; null passes.';

create or replace function queue._check_range(p_field text, p_value interval) returns void
language plpgsql
immutable
as $$
begin
  if p_value > interval '100 years' then
    perform howdah.fail('queue', 'range_too_large',
      format('%s is %s, at most 100 years are allowed', p_field, p_value), '22023',
      jsonb_build_object('field', p_field, 'limit', '100 years', 'actual', p_value));
  end if;
end
$$;

comment on function queue._check_range(text, interval) is
'Refuse a duration with which times could not be reckoned; null passes.';

create or replace function queue._check_delay(p_delay interval) returns void
language plpgsql
immutable
as $$
begin
  if p_delay < interval '0' then
    perform howdah.fail('queue', 'not_positive',
      format('delay is %s, it must not be negative', p_delay), '22023',
      jsonb_build_object('field', 'delay', 'actual', p_delay));
  end if;
  perform queue._check_range('delay', p_delay);
end
$$;

comment on function queue._check_delay(interval) is
'Refuse a delay that is negative or too long; zero and null pass.';

create or replace function queue._check_fence(p_job_id bigint, p_fence bigint) returns void
language plpgsql
immutable
as $$
begin
  if p_job_id is null then
    perform howdah.fail('queue', 'job_id_null', 'job_id is null', '22004');
  end if;
  if p_fence is null then
    perform howdah.fail('queue', 'fence_null', 'fence is null', '22004', null,
      'Give the fence_token with which the job was pulled.');
  end if;
end
$$;

comment on function queue._check_fence(bigint, bigint) is
'Refuse a settling call that names no job or no fence.';

create or replace function queue._check_fences(
  p_job_ids bigint[],
  p_fences bigint[],
  p_code text default 'batch_length'
) returns void
language plpgsql
immutable
as $$
declare
  v_job_ids int := coalesce(cardinality(p_job_ids), 0);
  v_fences int := coalesce(cardinality(p_fences), 0);
begin
  if v_job_ids <> v_fences then
    perform howdah.fail('queue', p_code,
      format('%s job ids but %s fences', v_job_ids, v_fences), '22023',
      jsonb_build_object('job_ids', v_job_ids, 'fences', v_fences),
      'Give one fence per job, in the same order.');
  end if;
  perform queue._check_batch(v_job_ids);
  if array_position(p_job_ids, null) is not null then
    perform howdah.fail('queue', 'job_id_null', 'a job_id of the batch is null', '22004');
  end if;
  if array_position(p_fences, null) is not null then
    perform howdah.fail('queue', 'fence_null', 'a fence of the batch is null', '22004');
  end if;
end
$$;

comment on function queue._check_fences(bigint[], bigint[], text) is
'Refuse a batch whose job ids and fences do not belong together.';

create or replace function queue._check_numbers(p_priority int, p_max_attempts int) returns void
language plpgsql
immutable
as $$
begin
  if p_priority not between -1000 and 1000 then
    perform howdah.fail('queue', 'priority_range',
      format('priority is %s, it must be between -1000 and 1000', p_priority), '22023',
      jsonb_build_object('field', 'priority', 'actual', p_priority));
  end if;
  if p_max_attempts not between 1 and 30 then
    perform howdah.fail('queue', 'max_attempts_range',
      format('max_attempts is %s, it must be between 1 and 30', p_max_attempts), '22023',
      jsonb_build_object('field', 'max_attempts', 'actual', p_max_attempts));
  end if;
end
$$;

comment on function queue._check_numbers(int, int) is
'Refuse a priority or a number of attempts out of range; null passes.';

create or replace function queue._reject_payload(p_payload jsonb, p_most int) returns void
language plpgsql
immutable
as $$
begin
  if p_payload is null then
    perform howdah.fail('queue', 'payload_null', 'payload is null', '22004', null,
      'Push the JSON value null if the job needs no payload.');
  end if;
  perform queue._check_size('payload', p_payload, p_most);
end
$$;

comment on function queue._reject_payload(jsonb, int) is
'Raise the error that names what is wrong with a payload, if anything is.';

create or replace function queue._check_size(p_field text, p_value jsonb, p_most int) returns void
language plpgsql
immutable
as $$
declare
  v_size int := octet_length(p_value::text);
begin
  if v_size > p_most then
    perform howdah.fail('queue', 'payload_too_large',
      format('%s takes %s bytes, at most %s are allowed', p_field, v_size, p_most), '22023',
      jsonb_build_object('field', p_field, 'limit', p_most, 'actual', v_size),
      'Store it elsewhere and push a reference to it.');
  end if;
end
$$;

comment on function queue._check_size(text, jsonb, int) is
'Refuse a JSON value of too many bytes as text; null passes.';

create or replace function queue._check_key(
  p_field text,
  p_namespace text,
  p_queue text,
  p_key text
) returns void
language plpgsql
immutable
as $$
begin
  if p_key = '' then
    perform howdah.fail('queue', p_field || '_empty', format('%s is empty', p_field), '22026', null,
      'Leave it out, or give it a value.');
  end if;
  if length(p_key) > 1024 then
    perform howdah.fail('queue', p_field || '_too_long',
      format('%s has %s characters, at most 1024 are allowed', p_field, length(p_key)), '22023',
      jsonb_build_object('field', p_field, 'limit', 1024, 'actual', length(p_key)));
  end if;
  if octet_length(p_namespace) + octet_length(p_queue) + octet_length(p_key) > 2400 then
    perform howdah.fail('queue', p_field || '_too_long',
      format('namespace, queue and %s take %s bytes together, at most 2400 are allowed', p_field,
        octet_length(p_namespace) + octet_length(p_queue) + octet_length(p_key)), '22023',
      jsonb_build_object('field', p_field, 'limit', 2400,
        'actual', octet_length(p_namespace) + octet_length(p_queue) + octet_length(p_key)));
  end if;
end
$$;

comment on function queue._check_key(text, text, text, text) is
'Refuse an empty key, or one too long for the index it goes to; null passes.';

create or replace function queue._check_options(
  p_namespace text,
  p_queue text,
  p_delay interval,
  p_expires_in interval,
  p_throttle interval,
  p_unique_key text,
  p_concurrency_key text,
  p_fair_key text,
  p_tags text[],
  p_metadata jsonb,
  p_trace jsonb,
  p_on_conflict text,
  p_most int
) returns void
language plpgsql
immutable
as $$
begin
  perform queue._check_delay(p_delay);
  perform queue._check_positive('expires_in', p_expires_in);
  perform queue._check_positive('throttle', p_throttle);
  perform queue._check_key('unique_key', p_namespace, p_queue, p_unique_key);
  perform queue._check_key('concurrency_key', p_namespace, p_queue, p_concurrency_key);
  perform queue._check_key('fair_key', p_namespace, p_queue, p_fair_key);
  perform queue._check_size('metadata', p_metadata, p_most);
  perform queue._check_size('trace', p_trace, p_most);

  if p_throttle is not null and p_unique_key is null then
    perform howdah.fail('queue', 'unique_key_null', 'throttle needs a unique key', '22004', null,
      'Give the key of which one push in that time is accepted.');
  end if;
  if cardinality(p_tags) > 50
    or exists (select 1 from unnest(p_tags) as t(tag) where length(t.tag) > 256)
  then
    perform howdah.fail('queue', 'tags_limit',
      'at most 50 tags of at most 256 characters are allowed', '22023',
      jsonb_build_object('field', 'tags', 'limit', 50, 'actual', cardinality(p_tags)));
  end if;
  if p_on_conflict not in ('skip', 'replace', 'debounce', 'raise') then
    perform howdah.fail('queue', 'on_conflict_invalid',
      format('on_conflict is %L', p_on_conflict), '22023',
      jsonb_build_object('field', 'on_conflict', 'actual', p_on_conflict),
      'Use skip, replace, debounce or raise.');
  end if;
end
$$;

comment on function queue._check_options(
  text, text, interval, interval, interval, text, text, text, text[], jsonb, jsonb, text, int
) is
'Refuse what is wrong with the options of a push; null passes.';

create or replace function queue._check_lengths(p_size int, variadic p_sizes int[]) returns void
language plpgsql
immutable
as $$
declare
  v_other int;
begin
  select s.size into v_other
  from unnest(p_sizes) as s(size)
  where s.size <> p_size
  limit 1;
  if found then
    perform howdah.fail('queue', 'batch_length',
      format('the batch has %s items, one of its arrays has %s', p_size, v_other), '22023',
      jsonb_build_object('limit', p_size, 'actual', v_other),
      'Give one element per item, null where it has none.');
  end if;
end
$$;

comment on function queue._check_lengths(int, int[]) is
'Refuse arrays that are not as long as the batch they belong to; null passes.';

create or replace function queue._check_worker(p_namespace text, p_worker_id text) returns void
language plpgsql
immutable
as $$
begin
  if p_worker_id is null then
    perform howdah.fail('queue', 'worker_id_null', 'worker_id is null', '22004', null,
      'Name the worker.');
  end if;
  if p_worker_id = '' then
    perform howdah.fail('queue', 'worker_id_empty', 'worker_id is empty', '22026', null,
      'Name the worker.');
  end if;
  if length(p_worker_id) > 256 or octet_length(p_namespace) + octet_length(p_worker_id) > 2400 then
    perform howdah.fail('queue', 'worker_id_too_long',
      format('worker_id has %s characters, at most 256 are allowed', length(p_worker_id)), '22001',
      jsonb_build_object('field', 'worker_id', 'limit', 256, 'actual', length(p_worker_id)));
  end if;
end
$$;

comment on function queue._check_worker(text, text) is
'Raise the error that names what is wrong with a worker''s name, if anything is.';

create or replace function queue._check_claim(
  p_namespace text,
  p_worker_id text,
  p_visibility_timeout interval,
  p_floors jsonb default null
) returns void
language plpgsql
stable
as $$
begin
  if p_worker_id is not null then
    perform queue._check_worker(p_namespace, p_worker_id);
  end if;
  if p_visibility_timeout is not null then
    perform queue._check_positive('visibility_timeout', p_visibility_timeout);
  end if;
  if p_floors is not null then
    begin
      perform f.priority
      from jsonb_to_recordset(p_floors)
        as f(priority int, fair_seq bigint, scheduled_at timestamptz);
    exception when data_exception then
      perform howdah.fail('queue', 'floors_invalid',
        format('floors is not an array of lanes: %s', sqlerrm), '22023',
        jsonb_build_object('field', 'floors'),
        'Give [{"priority", "fair_seq", "scheduled_at"}], one per lane.');
    end;
  end if;
end
$$;

comment on function queue._check_claim(text, text, interval, jsonb) is
'Refuse what is wrong with the arguments of a claim; null passes.';
