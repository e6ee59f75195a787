-- Looking at jobs: one by its id, many by their state.
--
-- Each state has an index that hands out its jobs in a useful order; a page begins where the cursor
-- says and costs what it shows. A filter that no index serves (tags, a search, a queue where the
-- state's index does not begin with it) looks at 20,000 jobs in that order at most.

create or replace function queue.get_job(p_namespace text, p_job_id bigint)
returns setof queue.jobs
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
  select j.* from queue.jobs j
  where j.namespace = v_namespace
    and j.id = p_job_id;
end
$$;

comment on function queue.get_job(text, bigint) is
'One job.

p_namespace  the tenant that owns the job
p_job_id     the job
Returns      its row; no row if it does not exist
Errors       queue.tenant_mismatch (42501)
Example      select status, attempts, error from queue.get_job(''acme'', 42);';

create or replace function queue.list_jobs(
  p_namespace text,
  p_queue text default null,
  p_state text default null,
  p_tags text[] default null,
  p_limit int default 100,
  p_cursor text default null,
  p_search text default null
) returns table (
  id bigint,
  queue text,
  state text,
  status text,
  priority int,
  payload jsonb,
  tags text[],
  metadata jsonb,
  attempts int,
  max_attempts int,
  scheduled_at timestamptz,
  created_at timestamptz,
  updated_at timestamptz,
  locked_by text,
  locked_at timestamptz,
  visibility_timeout_at timestamptz,
  completed_at timestamptz,
  error text,
  unique_key text,
  progress jsonb,
  trace jsonb,
  schedule_name text,
  actor_id text,
  request_id text,
  on_behalf_of text,
  reason text,
  searched int,
  cursor text
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text collate "C" := p_queue;
  v_after queue.jobs;
  v_ids bigint[];
begin
  perform howdah.guard('queue', p_namespace);
  if p_queue is not null then
    perform queue._check_queue(p_namespace, p_queue);
  end if;
  perform queue._check_limit(p_limit);
  v_after := queue._job_cursor(p_cursor);
  v_ids := queue._job_ids(v_namespace, v_queue, p_state, v_after,
    case
      when num_nonnulls(p_tags, p_search) = 0
        and (p_queue is null or p_state in ('ready', 'delayed', 'parked'))
      then p_limit
      else 20000
    end);

  return query
  select j.id, j.queue, queue._state(j.phase, j.status), j.status, j.priority, j.payload, j.tags,
    j.metadata, j.attempts, j.max_attempts, j.scheduled_at, j.created_at, j.updated_at, j.locked_by,
    j.locked_at, j.visibility_timeout_at, j.completed_at, j.error, j.unique_key, j.progress,
    j.trace, j.schedule_name, j.actor_id, j.request_id, j.on_behalf_of, j.reason,
    cardinality(v_ids),
    jsonb_build_object('id', j.id, 'queue', j.queue, 'priority', j.priority, 'fair_seq', j.fair_seq,
      'scheduled_at', j.scheduled_at, 'locked_at', j.locked_at, 'completed_at', j.completed_at,
      'concurrency_key', j.concurrency_key)::text
  from unnest(v_ids) with ordinality as a(id, place)
  join queue.jobs j on j.namespace = v_namespace and j.id = a.id
  where (v_queue is null or j.queue = v_queue)
    and (p_tags is null or j.tags @> p_tags)
    and (
      p_search is null
      or j.id::text = p_search
      or j.unique_key = p_search collate "C"
      or strpos(j.payload::text, p_search) > 0
      or strpos(j.error, p_search) > 0
    )
  order by a.place
  limit p_limit;
end
$$;

comment on function queue.list_jobs(text, text, text, text[], int, text, text) is
'Jobs of one state, or all, in pages.

Ready jobs come in the order in which they will be pulled, delayed ones by the time they are due,
running ones by the time they were pulled, ended ones the latest first, and all jobs together the
newest first; ready, delayed and parked ones queue by queue.
p_namespace  the tenant that owns the jobs
p_queue      one queue; null for all
p_state      ready, delayed, running, parked, blocked, completed, dead or cancelled; null for all
p_tags       tags that the job must have, all of them
p_limit      how many at most, 1 to 1,000
p_cursor     the cursor of the last row of the page before; null for the first page
p_search     the id, the unique key, or a part of the payload or the error, among the first 20,000
             jobs from the cursor on
Returns      id, queue, state, status, priority, payload, tags, metadata, attempts, max_attempts,
             scheduled_at, created_at, updated_at, locked_by, locked_at, visibility_timeout_at,
             completed_at, error, unique_key, progress, trace, schedule_name, actor_id, request_id,
             on_behalf_of, reason; searched (how many jobs were looked at) and cursor (where the
             next page begins)
Errors       queue.limit_null (22004), queue_empty (22026), queue_too_long (22001),
             queue_invalid_chars, queue_whitespace, state_invalid, cursor_invalid, not_positive,
             limit_too_large (22023), tenant_mismatch (42501)
Example      select id, state, error from queue.list_jobs(''acme'', ''mail'', ''dead'');';

create or replace function queue._state(p_phase smallint, p_status text) returns text
language sql
immutable
as $$
  select case
    when p_status <> 'pending' then p_status
    when p_phase = 0 then 'delayed'
    when p_phase = 3 then 'parked'
    when p_phase = 4 then 'blocked'
    else 'ready'
  end
$$;

comment on function queue._state(smallint, text) is 'The state of a job in one word.';

create or replace function queue._job_cursor(p_cursor text) returns queue.jobs
language plpgsql
stable
as $$
begin
  return jsonb_populate_record(null::queue.jobs, p_cursor::jsonb);
exception
  when invalid_text_representation or invalid_datetime_format or invalid_parameter_value
    or numeric_value_out_of_range or datetime_field_overflow
  then
    perform howdah.fail('queue', 'cursor_invalid', 'cursor is not one of a page of jobs', '22023',
      jsonb_build_object('field', 'cursor'), 'Give the cursor of the last row of the page before.');
end
$$;

comment on function queue._job_cursor(text) is 'Where a page of jobs begins; nulls for the first.';

create or replace function queue._job_ids(
  p_namespace text,
  p_queue text,
  p_state text,
  p_after queue.jobs,
  p_limit int
) returns bigint[]
language plpgsql
stable
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_queue text collate "C" := p_queue;
  v_from text collate "C" := coalesce(p_after.queue, p_queue, '');
  v_first boolean := p_after.id is null;
begin
  case
    when p_state is null then
      return array(
        select j.id
        from queue.jobs j
        where j.namespace = v_namespace
          and j.id < coalesce(p_after.id, 9223372036854775807)
        order by j.id desc
        limit p_limit
      );
    when p_state = 'ready' then
      return array(
        select j.id
        from queue.jobs j
        where j.namespace = v_namespace
          and j.phase = 1
          and j.status = 'pending'
          and j.queue >= v_from
          and (v_queue is null or j.queue <= v_queue)
          and (
            v_first
            or j.queue > v_from
            or (-j.priority, j.fair_seq, j.scheduled_at, j.id)
              > (-p_after.priority, p_after.fair_seq, p_after.scheduled_at, p_after.id)
          )
        order by j.queue, j.priority desc, j.fair_seq, j.scheduled_at, j.id
        limit p_limit
      );
    when p_state = 'delayed' then
      return array(
        select j.id
        from queue.jobs j
        where j.namespace = v_namespace
          and j.phase = 0
          and j.queue >= v_from
          and (v_queue is null or j.queue <= v_queue)
          and (
            v_first
            or j.queue > v_from
            or (j.scheduled_at, j.id) > (p_after.scheduled_at, p_after.id)
          )
        order by j.queue, j.scheduled_at, j.id
        limit p_limit
      );
    when p_state = 'running' then
      return array(
        select j.id
        from (
          select distinct unnest(l.job_ids) as id
          from queue.leases l
          where l.namespace = v_namespace
        ) leased
        cross join lateral (
          select j.id, j.locked_at
          from queue.jobs j
          where j.namespace = v_namespace
            and j.id = leased.id
            and j.status = 'running'
          offset 0
        ) j
        where v_first or (j.locked_at, j.id) > (p_after.locked_at, p_after.id)
        order by j.locked_at, j.id
        limit p_limit
      );
    when p_state = 'parked' then
      return array(
        select j.id
        from queue.jobs j
        where j.namespace = v_namespace
          and j.phase = 3
          and j.queue >= v_from
          and (v_queue is null or j.queue <= v_queue)
          and (v_first or (j.queue, j.id) > (v_from, p_after.id))
        order by j.queue, j.id
        limit p_limit
      );
    when p_state = 'blocked' then
      return array(
        select distinct j.id
        from queue.dependencies d
        join queue.jobs j on j.namespace = v_namespace and j.id = d.child_id
        where d.namespace = v_namespace
          and j.phase = 4
          and j.id > coalesce(p_after.id, 0)
        order by j.id
        limit p_limit
      );
    when p_state in ('completed', 'dead', 'cancelled') then
      return array(
        select ended.id
        from (
          select j.id, j.status, j.completed_at
          from queue.jobs j
          where j.namespace = v_namespace
            and j.phase = 9
            and (v_first or (j.completed_at, j.id) < (p_after.completed_at, p_after.id))
          order by j.completed_at desc, j.id desc
          limit 20000
        ) ended
        where ended.status = p_state
        order by ended.completed_at desc, ended.id desc
        limit p_limit
      );
    else
      perform howdah.fail('queue', 'state_invalid', format('state is %L', p_state), '22023',
        jsonb_build_object('field', 'state', 'actual', p_state),
        'Use ready, delayed, running, parked, blocked, completed, dead or cancelled.');
  end case;
end
$$;

comment on function queue._job_ids(text, text, text, queue.jobs, int) is
'Up to p_limit jobs of a state after p_after, in the order of the state''s index.';
