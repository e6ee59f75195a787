-- Dead letters: what failed for good, kept until somebody replays or purges it.
--
-- A dead letter is replayed at most once: taking it and pushing its job is one transaction, and the
-- mark on the row is what a second caller finds. The new job starts with fresh attempts and carries
-- the actor who replayed it.

create or replace function queue.retry_dead_letter(
  p_namespace text,
  p_dead_letter_id bigint,
  p_queue text default null
) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_letter queue.dead_letters;
begin
  perform howdah.guard('queue', p_namespace);
  if p_dead_letter_id is null then
    perform howdah.fail('queue', 'dead_letter_id_null', 'dead_letter_id is null', '22004');
  end if;
  if p_queue is not null then
    perform queue._check_queue(p_namespace, p_queue);
  end if;

  select d.* into v_letter
  from queue.dead_letters d
  where d.namespace = v_namespace
    and d.id = p_dead_letter_id
  for update;
  if not found then
    perform howdah.fail('queue', 'dead_letter_not_found',
      format('dead letter %s does not exist in namespace %s', p_dead_letter_id, p_namespace),
      'P0002',
      jsonb_build_object('dead_letter_id', p_dead_letter_id));
  end if;
  if v_letter.retried_at is not null then
    perform howdah.fail('queue', 'dead_letter_already_retried',
      format('dead letter %s was retried at %s as job %s', p_dead_letter_id, v_letter.retried_at,
      v_letter.retry_job_id),
      '22023', jsonb_build_object('dead_letter_id', p_dead_letter_id, 'job_id',
      v_letter.retry_job_id));
  end if;

  return queue._replay(v_letter, coalesce(p_queue, v_letter.queue));
end
$$;

comment on function queue.retry_dead_letter(text, bigint, text) is
'Push the job of a dead letter again, with fresh attempts and the caller''s actor.

p_namespace       the tenant that owns the dead letter
p_dead_letter_id  the dead letter
p_queue           another queue to push it on; null for its own
Returns           the id of the new job
Errors            queue.dead_letter_id_null (22004), dead_letter_not_found (P0002),
                  dead_letter_already_retried (22023), queue_empty (22026), queue_too_long (22001),
                  queue_invalid_chars, queue_whitespace (22023), tenant_mismatch (42501)
Example           select queue.retry_dead_letter(''acme'', 3);';

create or replace function queue.retry_dead_letters(
  p_namespace text,
  p_queue text,
  p_limit int default 100
) returns table (dead_letter_id bigint, job_id bigint)
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
  perform queue._check_limit(p_limit);

  return query
  with letters as materialized (
    select d.id, d as letter
    from queue.dead_letters d
    where d.namespace = v_namespace
      and d.queue = v_queue
      and d.retried_at is null
    order by d.failed_at, d.id
    limit p_limit
    for update skip locked
  )
  select l.id, queue._replay(l.letter, p_queue)
  from letters l;
end
$$;

comment on function queue.retry_dead_letters(text, text, int) is
'Push the jobs of a queue''s dead letters again, the oldest first.

What another caller is replaying is skipped.
p_namespace  the tenant that owns the dead letters
p_queue      the queue
p_limit      how many at most, 1 to 1,000
Returns      one row per dead letter: dead_letter_id, and the job_id of its new job
Errors       queue.queue_null, limit_null (22004), queue_empty (22026), queue_too_long (22001),
             queue_invalid_chars, queue_whitespace, not_positive, limit_too_large (22023),
             tenant_mismatch (42501)
Example      select * from queue.retry_dead_letters(''acme'', ''mail'', 100);';

create or replace function queue._replay(p_letter queue.dead_letters, p_queue text) returns bigint
language plpgsql
as $$
declare
  v_actor jsonb := howdah.actor();
  v_id bigint;
begin
  insert into queue.jobs (
    namespace, queue, payload, priority, max_attempts, tags, metadata, concurrency_key, fair_key,
    schedule_name, actor_id, request_id, on_behalf_of, reason
  )
  values (
    p_letter.namespace, p_queue, p_letter.payload, p_letter.priority, p_letter.max_attempts,
    p_letter.tags, p_letter.metadata, p_letter.concurrency_key, p_letter.fair_key,
    p_letter.schedule_name, v_actor ->> 'actor_id', v_actor ->> 'request_id',
    v_actor ->> 'on_behalf_of', v_actor ->> 'reason'
  )
  returning id into v_id;

  update queue.dead_letters d
  set retried_at = howdah.now(), retry_job_id = v_id
  where d.namespace = p_letter.namespace
    and d.id = p_letter.id;

  perform queue._audit(p_letter.namespace, 'dead_letter.retried', 'dead_letter', p_letter.id::text,
    null, jsonb_build_object('queue', p_queue, 'job_id', v_id));
  perform queue._ring(p_letter.namespace, p_queue, s.notify, 'id', v_id,
    jsonb_build_object('retry_of_dead_letter', p_letter.id))
  from queue._settings(p_letter.namespace, p_queue collate "C") s;
  return v_id;
end
$$;

comment on function queue._replay(queue.dead_letters, text) is
'Push the job of a locked dead letter again.';

create or replace function queue.purge_dead_letters(
  p_namespace text,
  p_queue text default null,
  p_older_than interval default '30 days'
) returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text collate "C" := p_queue;
  v_count int;
begin
  perform howdah.guard('queue', p_namespace);
  if p_queue is not null then
    perform queue._check_queue(p_namespace, p_queue);
  end if;
  if p_older_than is null then
    perform howdah.fail('queue', 'older_than_null', 'older_than is null', '22004', null,
      'Say how old they must be.');
  end if;

  delete from queue.dead_letters d
  where d.namespace = v_namespace
    and (v_queue is null or d.queue = v_queue)
    and d.retried_at is null
    and d.failed_at <= howdah.now() - least(p_older_than, interval '1000 years');
  get diagnostics v_count = row_count;

  perform queue._audit(p_namespace, 'dead_letters.purged', 'queue', p_queue, null,
    jsonb_build_object('deleted', v_count, 'older_than', p_older_than));
  return v_count;
end
$$;

comment on function queue.purge_dead_letters(text, text, interval) is
'Delete dead letters that nobody retried.

p_namespace   the tenant that owns the dead letters
p_queue       one queue; null for all
p_older_than  how long ago they failed at least
Returns       how many were deleted
Errors        queue.older_than_null (22004), queue_empty (22026), queue_too_long (22001),
              queue_invalid_chars, queue_whitespace (22023), tenant_mismatch (42501)
Example       select queue.purge_dead_letters(''acme'', ''mail'', ''7 days'');';

create or replace function queue.get_dead_letter(p_namespace text, p_dead_letter_id bigint)
returns setof queue.dead_letters
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
  select d.* from queue.dead_letters d
  where d.namespace = v_namespace
    and d.id = p_dead_letter_id;
end
$$;

comment on function queue.get_dead_letter(text, bigint) is
'One dead letter.

p_namespace       the tenant that owns the dead letter
p_dead_letter_id  the dead letter
Returns           its row; no row if it does not exist
Errors            queue.tenant_mismatch (42501)
Example           select payload, last_error from queue.get_dead_letter(''acme'', 3);';

create or replace function queue.list_dead_letters(
  p_namespace text,
  p_queue text default null,
  p_retried boolean default false,
  p_limit int default 100,
  p_cursor bigint default null
) returns setof queue.dead_letters
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
  perform queue._check_limit(p_limit);

  return query
  select d.* from queue.dead_letters d
  where d.namespace = v_namespace
    and (v_queue is null or d.queue = v_queue)
    and (p_retried is null or (d.retried_at is not null) = p_retried)
    and (p_cursor is null or d.id < p_cursor)
  order by d.id desc
  limit p_limit;
end
$$;

comment on function queue.list_dead_letters(text, text, boolean, int, bigint) is
'Dead letters, the newest first.

p_namespace  the tenant that owns the dead letters
p_queue      one queue; null for all
p_retried    false: those that nobody retried; true: those that were; null: both
p_limit      how many at most, 1 to 1,000
p_cursor     the last id of the page before; null for the first page
Returns      the rows
Errors       queue.limit_null (22004), queue_empty (22026), queue_too_long (22001),
             queue_invalid_chars, queue_whitespace, not_positive, limit_too_large (22023),
             tenant_mismatch (42501)
Example      select id, queue, last_error from queue.list_dead_letters(''acme'');';
