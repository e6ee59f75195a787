-- Settings: what a queue inherits, and who configures or pauses it.
--
-- A namespace has one row in queue.config or lives by the row 'global'; a queue has one row in
-- queue.queues, whose nulls inherit. _settings() is the one place that knows the order. It is a
-- plain SQL function, so that it is inlined where it is read, costs three primary-key probes, and
-- leaves out what its reader does not ask for.

create or replace function queue._settings(p_namespace text, p_queue text)
returns table (
  is_paused boolean,
  visibility_timeout interval,
  max_attempts int,
  notify text,
  archive_completed boolean,
  max_payload_bytes int,
  max_timeouts int,
  retention interval,
  history boolean,
  backoff_type text,
  backoff_base interval,
  backoff_max interval,
  backoff_jitter real
)
language sql
stable
as $$
  select
    coalesce(q.paused, false),
    coalesce(q.visibility_timeout, c.default_visibility_timeout, g.default_visibility_timeout,
      interval '5 minutes'),
    coalesce(q.max_attempts, c.default_max_attempts, g.default_max_attempts, 3),
    coalesce(q.notify,
      case when coalesce(c.notify_on_push, g.notify_on_push, true) then 'always' else 'off' end),
    coalesce(c.archive_completed, g.archive_completed, false),
    coalesce(c.max_payload_bytes, g.max_payload_bytes, 1048576),
    coalesce(c.max_timeouts, g.max_timeouts, 10),
    coalesce(q.retention, c.retention, g.retention, interval '7 days'),
    coalesce(q.history, c.history, g.history, false),
    coalesce(q.backoff_type, 'exponential'),
    coalesce(q.backoff_base, interval '30 seconds'),
    coalesce(q.backoff_max, interval '1 hour'),
    coalesce(q.backoff_jitter, 0)
  from (values (true)) one
  left join queue.config c on c.namespace = p_namespace
  left join queue.config g on g.namespace = 'global'
  left join queue.queues q on q.namespace = p_namespace and q.queue = p_queue
$$;

comment on function queue._settings(text, text) is
'The settings of one queue: its own, else its namespace''s, else the global, else built-in ones.
Always one row.';

create or replace function queue.configure_queue(
  p_namespace text,
  p_queue text,
  p_settings jsonb
) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text collate "C" := p_queue;
  v_unknown text;
  v_old queue.queues;
  v_new queue.queues;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_queue(p_namespace, p_queue);
  if jsonb_typeof(p_settings) is distinct from 'object' then
    perform howdah.fail('queue', 'settings_invalid',
      format('settings is %s, not a JSON object', coalesce(jsonb_typeof(p_settings), 'null')),
      '22023', jsonb_build_object('field', 'settings'));
  end if;
  select k.name into v_unknown
  from jsonb_object_keys(p_settings) as k(name)
  where k.name <> all (queue._setting_names());
  if found then
    perform howdah.fail('queue', 'field_unknown', format('%L is not a setting of a queue',
      v_unknown),
      '22023', jsonb_build_object('field', v_unknown),
      'Settings: ' || array_to_string(queue._setting_names(), ', '));
  end if;

  insert into queue.queues (namespace, queue)
  values (v_namespace, v_queue)
  on conflict do nothing;
  select q.* into v_old
  from queue.queues q
  where q.namespace = v_namespace
    and q.queue = v_queue
  for update;

  begin
    v_new := jsonb_populate_record(v_old, p_settings);
    update queue.queues q
    set paused = v_new.paused,
      visibility_timeout = v_new.visibility_timeout,
      max_attempts = v_new.max_attempts,
      backoff_type = v_new.backoff_type,
      backoff_base = v_new.backoff_base,
      backoff_max = v_new.backoff_max,
      backoff_jitter = v_new.backoff_jitter,
      max_running = v_new.max_running,
      key_max_running = v_new.key_max_running,
      rate_limit = v_new.rate_limit,
      rate_per = v_new.rate_per,
      fair = v_new.fair,
      notify = v_new.notify,
      history = v_new.history,
      retention = v_new.retention,
      result_ttl = v_new.result_ttl,
      updated_at = howdah.now()
    where q.namespace = v_namespace
      and q.queue = v_queue;
  exception
    when check_violation or invalid_text_representation or invalid_datetime_format
      or numeric_value_out_of_range or datetime_field_overflow
    then
      perform howdah.fail('queue', 'settings_invalid',
        format('the settings of queue %s are not possible: %s', p_queue, sqlerrm), '22023',
        jsonb_build_object('field', 'settings', 'actual', p_settings));
  end;

  perform queue._audit(p_namespace, 'queue.configured', 'queue', p_queue,
    queue._setting_values(v_old), queue._setting_values(v_new));
  if v_old.paused and v_new.paused is not true then
    perform queue._ring_all(p_namespace, array[p_queue]);
  end if;
end
$$;

comment on function queue.configure_queue(text, text, jsonb) is
'Change settings of a queue; what is not named stays, and null inherits again.

max_running, key_max_running, rate_limit, rate_per, fair, history and result_ttl are kept for
features that this release does not have.
p_namespace  the tenant that owns the queue
p_queue      the queue
p_settings   an object with any of paused, visibility_timeout, max_attempts (1 to 30), backoff_type
             (fixed, linear, exponential), backoff_base, backoff_max, backoff_jitter (0 to 1),
             max_running, key_max_running, rate_limit, rate_per, fair, notify (always, idle, off),
             history, retention and result_ttl; intervals as text
Returns      nothing
Errors       queue.queue_null (22004), queue_empty (22026), queue_too_long (22001),
             queue_invalid_chars, queue_whitespace, settings_invalid, field_unknown (22023),
             tenant_mismatch (42501)
Example      select queue.configure_queue(''acme'', ''mail'', ''{"max_attempts": 5}'');';

create or replace function queue._setting_names() returns text[]
language sql
immutable
as $$
  select array[
    'paused', 'visibility_timeout', 'max_attempts', 'backoff_type', 'backoff_base', 'backoff_max',
    'backoff_jitter', 'max_running', 'key_max_running', 'rate_limit', 'rate_per', 'fair', 'notify',
    'history', 'retention', 'result_ttl'
  ]
$$;

comment on function queue._setting_names() is 'What may be set for a queue.';

create or replace function queue._setting_values(p_queue queue.queues) returns jsonb
language sql
stable
as $$
  select jsonb_strip_nulls(to_jsonb(p_queue))
    - array['namespace', 'queue', 'created_at', 'updated_at']
$$;

comment on function queue._setting_values(queue.queues) is
'What is set for a queue, as the audit keeps it.';

create or replace function queue.pause_queue(p_namespace text, p_queue text) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text collate "C" := p_queue;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_queue(p_namespace, p_queue);

  insert into queue.queues as q (namespace, queue, paused)
  values (v_namespace, v_queue, true)
  on conflict (namespace, queue) do update
  set paused = true, updated_at = excluded.updated_at
  where q.paused is not true;
  if not found then
    return false;
  end if;

  perform queue._audit(p_namespace, 'queue.paused', 'queue', p_queue);
  return true;
end
$$;

comment on function queue.pause_queue(text, text) is
'Stop handing out the jobs of a queue; pushing and settling go on.

p_namespace  the tenant that owns the queue
p_queue      the queue
Returns      true if it was paused; false if it was before
Errors       queue.queue_null (22004), queue_empty (22026), queue_too_long (22001),
             queue_invalid_chars, queue_whitespace (22023), tenant_mismatch (42501)
Example      select queue.pause_queue(''acme'', ''mail'');';

create or replace function queue.resume_queue(p_namespace text, p_queue text) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text collate "C" := p_queue;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_queue(p_namespace, p_queue);

  update queue.queues q
  set paused = null, updated_at = howdah.now()
  where q.namespace = v_namespace
    and q.queue = v_queue
    and q.paused;
  if not found then
    return false;
  end if;

  perform queue._ring_all(p_namespace, array[p_queue]);
  perform queue._audit(p_namespace, 'queue.resumed', 'queue', p_queue);
  return true;
end
$$;

comment on function queue.resume_queue(text, text) is
'Hand out the jobs of a paused queue again.

p_namespace  the tenant that owns the queue
p_queue      the queue
Returns      true if it was resumed; false if it was not paused
Errors       queue.queue_null (22004), queue_empty (22026), queue_too_long (22001),
             queue_invalid_chars, queue_whitespace (22023), tenant_mismatch (42501)
Example      select queue.resume_queue(''acme'', ''mail'');';

create or replace function queue.get_queue_settings(p_namespace text, p_queue text)
returns table (
  paused boolean,
  visibility_timeout interval,
  max_attempts int,
  backoff_type text,
  backoff_base interval,
  backoff_max interval,
  backoff_jitter real,
  max_running int,
  key_max_running int,
  rate_limit int,
  rate_per interval,
  fair boolean,
  notify text,
  history boolean,
  retention interval,
  result_ttl interval
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
  perform queue._check_queue(p_namespace, p_queue);

  return query
  select s.is_paused, s.visibility_timeout, s.max_attempts, s.backoff_type, s.backoff_base,
    s.backoff_max, s.backoff_jitter, q.max_running, q.key_max_running, q.rate_limit, q.rate_per,
    coalesce(q.fair, false), s.notify, s.history, s.retention, q.result_ttl
  from queue._settings(v_namespace, v_queue) s
  left join queue.queues q on q.namespace = v_namespace and q.queue = v_queue;
end
$$;

comment on function queue.get_queue_settings(text, text) is
'The settings that hold for a queue, inherited ones included.

p_namespace  the tenant that owns the queue
p_queue      the queue, which need not have settings or jobs
Returns      one row: paused, visibility_timeout, max_attempts, backoff_type, backoff_base,
             backoff_max, backoff_jitter, max_running, key_max_running, rate_limit, rate_per, fair,
             notify, history, retention, result_ttl; null where there is no limit
Errors       queue.queue_null (22004), queue_empty (22026), queue_too_long (22001),
             queue_invalid_chars, queue_whitespace (22023), tenant_mismatch (42501)
Example      select * from queue.get_queue_settings(''acme'', ''mail'');';
