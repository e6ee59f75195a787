-- Waking: how a push reaches a worker that sleeps.
--
-- NOTIFY takes a server-wide lock at commit, so a busy queue must not ring for every push. A worker
-- that is about to sleep takes the queue's bell, an advisory lock, on its listening connection,
-- claims once more, and only then sleeps. A push tries to share that lock until its transaction
-- ends. If it can, nobody sleeps, and nobody can fall asleep before the push is visible to that
-- last claim; if it cannot, somebody sleeps, and the push notifies. So no wake-up is lost, and a
-- queue that is busy is silent.
--
-- That is the mode 'idle'. In the mode 'always' every push notifies, in the mode 'off' none does.

create or replace function queue.channel_name(p_namespace text, p_queue text) returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_queue(p_namespace, p_queue);
  return queue._channel(p_namespace, p_queue);
end
$$;

comment on function queue.channel_name(text, text) is
'The channel to LISTEN on for one queue of one tenant.

Pushes send {"id", "queue"}, batches {"count", "queue"}; a schedule adds "schedule", a replay
"retry_of_dead_letter".
p_namespace  the tenant that owns the queue
p_queue      the queue
Returns      the name, the same for the same pair and for no other, shorter than 63 bytes
Errors       queue.queue_null (22004), queue_empty (22026), queue_too_long (22001),
             queue_invalid_chars, queue_whitespace (22023), tenant_mismatch (42501)
Example      select queue.channel_name(''acme'', ''mail'');';

create or replace function queue.bell(p_namespace text, p_queue text) returns bigint
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_queue(p_namespace, p_queue);
  return queue._bell(p_namespace, p_queue);
end
$$;

comment on function queue.bell(text, text) is
'The key of the advisory lock that a worker holds while it sleeps, so that pushes know to notify.

Take it with pg_try_advisory_lock on the connection that listens, claim once more, then sleep.
Whoever cannot take it polls.
p_namespace  the tenant that owns the queue
p_queue      the queue
Returns      the key
Errors       queue.queue_null (22004), queue_empty (22026), queue_too_long (22001),
             queue_invalid_chars, queue_whitespace (22023), tenant_mismatch (42501)
Example      select pg_try_advisory_lock(queue.bell(''acme'', ''mail''));';

create or replace function queue._channel(p_namespace text, p_queue text) returns text
language sql
stable
as $$
  select 'howdah_queue_' || left(encode(sha256(convert_to(p_namespace || chr(31) || p_queue,
    'UTF8')), 'hex'), 40)
$$;

comment on function queue._channel(text, text) is
'The channel of a queue; names hold no control characters, so U+001F joins them for certain.';

create or replace function queue._bell(p_namespace text, p_queue text) returns bigint
language sql
immutable
as $$
  select hashtextextended((p_namespace || chr(31) || p_queue) collate "C", 1903714)
$$;

comment on function queue._bell(text, text) is
'The advisory key of a queue''s sleeper. A collision with another key costs a needless wake-up, no
more.';

create or replace function queue._ring(
  p_namespace text,
  p_queue text,
  p_mode text,
  p_field text,
  p_value bigint,
  p_more jsonb default '{}'
) returns void
language plpgsql
as $$
begin
  if p_mode = 'always'
    or p_mode = 'idle' and not pg_try_advisory_xact_lock_shared(queue._bell(p_namespace, p_queue))
  then
    perform pg_notify(
      queue._channel(p_namespace, p_queue),
      (jsonb_build_object(p_field, p_value, 'queue', p_queue) || p_more)::text
    );
  end if;
end
$$;

comment on function queue._ring(text, text, text, text, bigint, jsonb) is
'Wake a sleeping worker of a queue, as its notify mode has it; the message is {p_field: p_value,
"queue"} and p_more.';

create or replace function queue._ring_all(p_namespace text, p_queues text[]) returns void
language plpgsql
as $$
begin
  perform queue._ring(p_namespace, q.queue, s.notify, 'count', q.count)
  from (
    select u.queue collate "C" as queue, count(*) as count
    from unnest(p_queues) as u(queue)
    group by 1
  ) q
  cross join lateral queue._settings(p_namespace collate "C", q.queue) s;
end
$$;

comment on function queue._ring_all(text, text[]) is
'Wake sleeping workers of the queues to which jobs came back; a queue stands in p_queues once per
job.';
