-- Schedules: jobs that come back, by a cron expression or every so often.
--
-- A schedule is a row with the time of its next run. Whoever calls tick_schedules() locks the rows
-- that are due, skipping those another ticker holds, makes their jobs and moves next_run_at on, all
-- in one transaction: so each run is made exactly once, however many tick and wherever one of them
-- crashes. Each schedule has a subtransaction of its own. One that fails keeps the error, is tried
-- again a minute later and is switched off at the tenth failure in a row; the others do not notice.
--
-- next_run_at is then the time of the retry. The run that the retry stands for is found again as
-- the first one after the last that was made, or after updated_at, which is why only people move
-- updated_at and ticks do not.
--
-- A run is late when nobody ticked in time. misfire says what then: once makes one job for all runs
-- that are due, all makes a job for each of the oldest 100, skip drops every run that is more than
-- two minutes late. jitter delays the job, not the run: each schedule has its own constant share of
-- it, so that a thousand schedules at nine o'clock spread and each stays regular.

create or replace function queue.create_schedule(
  p_namespace text,
  p_name text,
  p_queue text,
  p_payload jsonb,
  p_cron_expression text default null,
  p_cron_timezone text default 'UTC',
  p_every_interval interval default null,
  p_priority int default 0,
  p_max_attempts int default 3,
  p_tags text[] default '{}',
  p_is_active boolean default true,
  p_misfire text default 'once',
  p_overlap text default 'allow',
  p_jitter interval default null,
  p_starts_at timestamptz default null,
  p_ends_at timestamptz default null,
  p_upsert boolean default false
) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := howdah.now();
  v_timezone text := coalesce(p_cron_timezone, 'UTC');
  v_is_active boolean := coalesce(p_is_active, true);
  v_starts_at timestamptz := nullif(p_starts_at, '-infinity');
  v_next timestamptz;
  v_old jsonb;
  v_new queue.schedules;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_schedule_name(p_namespace, p_name);
  perform queue._check_queue(p_namespace, p_queue);
  perform queue._check_schedule(p_cron_expression, v_timezone, p_every_interval, p_misfire,
    p_overlap, p_jitter);
  perform queue._check_job(p_namespace, p_queue, p_payload, p_priority, p_max_attempts, null,
    p_tags, null);

  v_next := queue._next_run(p_cron_expression, v_timezone, p_every_interval, v_starts_at, p_ends_at,
    coalesce(v_starts_at, v_now), v_now);
  if v_next is null then
    perform queue._reject_never(p_name, p_cron_expression, p_ends_at);
  end if;

  if p_upsert then
    select queue._schedule_values(s) into v_old
    from queue.schedules s
    where s.namespace = p_namespace collate "C" and s.name = p_name collate "C"
    for update;
  end if;

  insert into queue.schedules as s (
    namespace, name, queue, payload, cron_expression, cron_timezone, every_interval, priority,
    max_attempts, tags, is_active, misfire, overlap, jitter, starts_at, ends_at, next_run_at,
    created_at, updated_at
  )
  values (
    p_namespace, p_name, p_queue, p_payload, p_cron_expression, v_timezone, p_every_interval,
    coalesce(p_priority, 0), coalesce(p_max_attempts, 3), coalesce(p_tags, '{}'), v_is_active,
    p_misfire, p_overlap, p_jitter, v_starts_at, p_ends_at, case when v_is_active then v_next end,
    v_now, v_now
  )
  on conflict on constraint schedules_name_key do update
  set queue = excluded.queue,
    payload = excluded.payload,
    cron_expression = excluded.cron_expression,
    cron_timezone = excluded.cron_timezone,
    every_interval = excluded.every_interval,
    priority = excluded.priority,
    max_attempts = excluded.max_attempts,
    tags = excluded.tags,
    is_active = excluded.is_active,
    misfire = excluded.misfire,
    overlap = excluded.overlap,
    jitter = excluded.jitter,
    starts_at = excluded.starts_at,
    ends_at = excluded.ends_at,
    updated_at = excluded.updated_at,
    consecutive_failures = case when s.is_active then s.consecutive_failures else 0 end,
    last_error = case when s.is_active then s.last_error end,
    next_run_at = case
      when s.is_active and excluded.is_active
        and (s.cron_expression, s.cron_timezone, s.every_interval, s.starts_at, s.ends_at)
          is not distinct from (excluded.cron_expression, excluded.cron_timezone,
            excluded.every_interval, excluded.starts_at, excluded.ends_at)
      then s.next_run_at
      else excluded.next_run_at
    end
  where p_upsert
  returning s.* into v_new;

  if not found then
    perform howdah.fail('queue', 'schedule_duplicate',
      format('schedule %L exists already in namespace %s', p_name, p_namespace), '23505',
      jsonb_build_object('schedule', p_name),
      'Choose another name, or give p_upsert => true to replace it.');
  end if;

  perform queue._audit(p_namespace,
    case when v_old is null then 'schedule.created' else 'schedule.updated' end,
    'schedule', p_name, v_old, queue._schedule_values(v_new));
  return v_new.id;
end
$$;

comment on function queue.create_schedule(
  text, text, text, jsonb, text, text, interval, int, int, text[], boolean, text, text, interval,
  timestamptz, timestamptz, boolean
) is
'Make a schedule, which puts a job on a queue at each of its runs.

Jobs carry the time of their run as metadata.scheduled_for and the schedule as schedule_name.
p_namespace        the tenant that owns the schedule
p_name             the schedule, 1 to 256 characters, unique in the namespace
p_queue            the queue that the jobs go to
p_payload          their payload
p_cron_expression  five fields (minute, hour, day of month, month, day of week), or @hourly, @daily,
                   @midnight, @weekly, @monthly, @yearly, @annually; this or p_every_interval
p_cron_timezone    IANA name of the zone whose clocks the cron expression means
p_every_interval   the time between two runs, at most 100 years; runs keep its rhythm, counted in
                   UTC from p_starts_at, or from now
p_priority         the priority of the jobs, -1000 to 1000
p_max_attempts     how often each job may be tried, 1 to 30
p_tags             the tags of the jobs, at most 50 of at most 256 characters
p_is_active        false makes it paused
p_misfire          runs that nobody made in time: once (one job for all of them), all (one each, the
                   oldest 100), skip (none for those more than two minutes late)
p_overlap          allow, or skip: no job while the schedule''s last one waits or runs
p_jitter           each job is delayed by the schedule''s own constant share of this
p_starts_at        no run before this time
p_ends_at          no run after this time; then the schedule becomes inactive
p_upsert           true replaces a schedule of this name. One that is active and keeps its timing
                   keeps its next run
Returns            the schedule''s id
Errors             queue.schedule_name_null, queue_null, payload_null (22004), schedule_name_empty,
                   queue_empty, cron_empty (22026), schedule_name_too_long, queue_too_long,
                   cron_too_long (22001), schedule_name_invalid_chars, schedule_name_whitespace,
                   queue_invalid_chars, queue_whitespace, schedule_cron_and_interval,
                   schedule_requires_schedule, cron_fields, cron_invalid, cron_step_zero,
                   cron_never, timezone_unknown, interval_not_positive, range_too_large,
                   not_positive, misfire_invalid, overlap_invalid, priority_range,
                   max_attempts_range, tags_limit, payload_too_large (22023), schedule_duplicate
                   (23505), tenant_mismatch (42501)
Example            select queue.create_schedule(''acme'', ''daily'', ''reports'', ''{}'',
                     p_cron_expression => ''0 9 * * 1-5'', p_cron_timezone => ''Europe/Berlin'');';

create or replace function queue.get_schedule(p_namespace text, p_name text)
returns table (
  id bigint,
  name text,
  queue text,
  payload jsonb,
  priority int,
  max_attempts int,
  tags text[],
  cron_expression text,
  cron_timezone text,
  every_interval interval,
  is_active boolean,
  last_run_at timestamptz,
  last_job_id bigint,
  next_run_at timestamptz,
  run_count bigint,
  created_at timestamptz,
  updated_at timestamptz
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_schedule_name(p_namespace, p_name);

  return query
  select s.id, s.name, s.queue, s.payload, s.priority, s.max_attempts, s.tags, s.cron_expression,
    s.cron_timezone, s.every_interval, s.is_active, s.last_run_at, s.last_job_id, s.next_run_at,
    s.run_count, s.created_at, s.updated_at
  from queue.schedules s
  where s.namespace = p_namespace collate "C" and s.name = p_name collate "C";
end
$$;

comment on function queue.get_schedule(text, text) is
'Show one schedule.

p_namespace  the tenant that owns the schedule
p_name       the schedule
Returns      its row of queue.schedules, or none if it does not exist. next_run_at is null while the
             schedule is inactive; updated_at is when it was last created, replaced, paused or
             resumed
Errors       queue.schedule_name_null (22004), schedule_name_empty (22026), schedule_name_too_long
             (22001), schedule_name_invalid_chars, schedule_name_whitespace (22023), tenant_mismatch
             (42501)
Example      select * from queue.get_schedule(''acme'', ''daily'');';

create or replace function queue.list_schedules(
  p_namespace text,
  p_queue text default null,
  p_is_active boolean default null,
  p_limit int default 100,
  p_cursor text default null
) returns table (
  name text,
  queue text,
  cron_expression text,
  every_interval interval,
  is_active boolean,
  next_run_at timestamptz,
  last_run_at timestamptz,
  run_count bigint,
  created_at timestamptz
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_limit(p_limit);
  if p_queue is not null then
    perform queue._check_queue(p_namespace, p_queue);
  end if;

  return query
  select s.name, s.queue, s.cron_expression, s.every_interval, s.is_active, s.next_run_at,
    s.last_run_at, s.run_count, s.created_at
  from queue.schedules s
  where s.namespace = p_namespace collate "C"
    and s.name > coalesce(p_cursor, '') collate "C"
    and (p_queue is null or s.queue = p_queue collate "C")
    and (p_is_active is null or s.is_active = p_is_active)
  order by s.name
  limit p_limit;
end
$$;

comment on function queue.list_schedules(text, text, boolean, int, text) is
'List schedules by name, a page at a time.

p_namespace  the tenant that owns the schedules
p_queue      only those of this queue; null for all
p_is_active  only the active or only the inactive ones; null for all
p_limit      how many at most, 1 to 1,000
p_cursor     only names after this one: the last of the page before; null for the first page
Returns      one row per schedule, with columns of queue.schedules
Errors       queue.limit_null (22004), not_positive, limit_too_large (22023), those of a queue''s
             name, tenant_mismatch (42501)
Example      select * from queue.list_schedules(''acme'', p_is_active => true);';

create or replace function queue.delete_schedule(p_namespace text, p_name text) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_old queue.schedules;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_schedule_name(p_namespace, p_name);

  delete from queue.schedules s
  where s.namespace = p_namespace collate "C" and s.name = p_name collate "C"
  returning s.* into v_old;
  if not found then
    return false;
  end if;

  perform queue._audit(p_namespace, 'schedule.deleted', 'schedule', p_name,
    queue._schedule_values(v_old));
  return true;
end
$$;

comment on function queue.delete_schedule(text, text) is
'Delete a schedule. Jobs that it has made stay.

p_namespace  the tenant that owns the schedule
p_name       the schedule
Returns      true if it was deleted; false if it does not exist
Errors       queue.schedule_name_null (22004), schedule_name_empty (22026), schedule_name_too_long
             (22001), schedule_name_invalid_chars, schedule_name_whitespace (22023), tenant_mismatch
             (42501)
Example      select queue.delete_schedule(''acme'', ''daily'');';

create or replace function queue.pause_schedule(p_namespace text, p_name text) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_schedule_name(p_namespace, p_name);

  update queue.schedules s
  set is_active = false,
    next_run_at = null,
    updated_at = howdah.now()
  where s.namespace = p_namespace collate "C" and s.name = p_name collate "C";
  if not found then
    return false;
  end if;

  perform queue._audit(p_namespace, 'schedule.paused', 'schedule', p_name);
  return true;
end
$$;

comment on function queue.pause_schedule(text, text) is
'Stop a schedule until it is resumed; the runs in between are not made up for.

p_namespace  the tenant that owns the schedule
p_name       the schedule
Returns      true if the schedule is paused now; false if it does not exist
Errors       queue.schedule_name_null (22004), schedule_name_empty (22026), schedule_name_too_long
             (22001), schedule_name_invalid_chars, schedule_name_whitespace (22023), tenant_mismatch
             (42501)
Example      select queue.pause_schedule(''acme'', ''daily'');';

create or replace function queue.resume_schedule(p_namespace text, p_name text) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := howdah.now();
  v_schedule queue.schedules;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_schedule_name(p_namespace, p_name);

  select s.* into v_schedule
  from queue.schedules s
  where s.namespace = p_namespace collate "C" and s.name = p_name collate "C"
  for update;
  if not found or v_schedule.is_active then
    return found;
  end if;

  v_schedule.next_run_at := queue._next_run_of(v_schedule,
    coalesce(v_schedule.starts_at, v_now), v_now);
  if v_schedule.next_run_at is null then
    perform queue._reject_never(p_name, v_schedule.cron_expression, v_schedule.ends_at);
  end if;

  update queue.schedules s
  set is_active = true,
    next_run_at = v_schedule.next_run_at,
    consecutive_failures = 0,
    last_error = null,
    updated_at = v_now
  where s.namespace = v_schedule.namespace and s.id = v_schedule.id;

  perform queue._audit(p_namespace, 'schedule.resumed', 'schedule', p_name);
  return true;
end
$$;

comment on function queue.resume_schedule(text, text) is
'Start a schedule that was paused, ended or switched off after failures; its next run is the first
after now.

p_namespace  the tenant that owns the schedule
p_name       the schedule
Returns      true if the schedule is active now; false if it does not exist
Errors       queue.schedule_name_null (22004), schedule_name_empty (22026), schedule_name_too_long
             (22001), schedule_name_invalid_chars, schedule_name_whitespace, cron_never (22023),
             tenant_mismatch (42501)
Example      select queue.resume_schedule(''acme'', ''daily'');';

create or replace function queue.run_schedule_now(p_namespace text, p_name text) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := howdah.now();
  v_schedule queue.schedules;
  v_job_id bigint;
begin
  perform howdah.guard('queue', p_namespace);
  perform queue._check_schedule_name(p_namespace, p_name);

  select s.* into v_schedule
  from queue.schedules s
  where s.namespace = p_namespace collate "C" and s.name = p_name collate "C"
  for update;
  if not found then
    perform howdah.fail('queue', 'schedule_not_found',
      format('schedule %L does not exist in namespace %s', p_name, p_namespace), 'P0002',
      jsonb_build_object('schedule', p_name));
  end if;

  v_job_id := queue._push_scheduled(v_schedule, v_now, v_now);
  if v_job_id is not null then
    update queue.schedules s
    set last_run_at = v_now,
      last_job_id = v_job_id,
      run_count = s.run_count + 1
    where s.namespace = v_schedule.namespace and s.id = v_schedule.id;
    perform queue._audit(p_namespace, 'schedule.run', 'schedule', p_name, null,
      jsonb_build_object('job_id', v_job_id));
  end if;
  return v_job_id;
end
$$;

comment on function queue.run_schedule_now(text, text) is
'Make the job of a schedule now, whether it is active or not; its next run stays as it is.

Neither overlap nor jitter counts.
p_namespace  the tenant that owns the schedule
p_name       the schedule
Returns      the job''s id; null if the schedule''s unique key is taken by a job that waits or runs
Errors       queue.schedule_not_found (P0002), schedule_name_null (22004), schedule_name_empty
             (22026), schedule_name_too_long (22001), schedule_name_invalid_chars,
             schedule_name_whitespace (22023), those of push, tenant_mismatch (42501)
Example      select queue.run_schedule_now(''acme'', ''daily'');';

create or replace function queue.tick_schedules(
  p_namespace text default null,
  p_limit int default 100
) returns table (schedule_name text, job_id bigint, next_run_at timestamptz)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := howdah.now();
  v_due refcursor;
  v_schedule queue.schedules;
  v_made record;
begin
  perform howdah.guard('queue', p_namespace, true);
  perform queue._check_limit(p_limit);

  if p_namespace is null then
    open v_due for
    select s.*
    from queue.schedules s
    where s.is_active and s.next_run_at <= v_now
    order by s.next_run_at
    limit p_limit
    for update skip locked;
  else
    open v_due for
    select s.*
    from queue.schedules s
    where s.namespace = p_namespace collate "C" and s.is_active and s.next_run_at <= v_now
    order by s.next_run_at
    limit p_limit
    for update skip locked;
  end if;

  loop
    fetch v_due into v_schedule;
    exit when not found;
    begin
      v_made := queue._run_schedule(v_schedule, v_now);
    exception when others then
      update queue.schedules s
      set last_error = left(sqlerrm, 8192),
        consecutive_failures = s.consecutive_failures + 1,
        is_active = s.consecutive_failures < 9,
        next_run_at = case when s.consecutive_failures < 9 then v_now + interval '1 minute' end
      where s.namespace = v_schedule.namespace and s.id = v_schedule.id;
      continue;
    end;

    return query
    select v_schedule.name, j.id, v_made.next_run_at
    from unnest(v_made.job_ids) as j(id);
  end loop;
  close v_due;
end
$$;

comment on function queue.tick_schedules(text, int) is
'Make the jobs of the schedules that are due. Workers call it; any number may at once.

A schedule that fails keeps last_error, is tried again in a minute and becomes inactive at the tenth
failure in a row.
p_namespace  the tenant whose schedules are meant; null for all, which needs admin access
p_limit      how many schedules at most, 1 to 1,000
Returns      one row per run: schedule_name, job_id (null if overlap or a unique key kept the job
             from being made), next_run_at (null if the schedule has ended)
Errors       queue.limit_null (22004), not_positive, limit_too_large (22023), tenant_mismatch,
             all_namespaces_requires_bypass (42501)
Example      select * from queue.tick_schedules(''acme'');';

create or replace function queue._run_schedule(
  p_schedule queue.schedules,
  p_now timestamptz,
  out job_ids bigint[],
  out next_run_at timestamptz
)
language plpgsql
as $$
declare
  v_run timestamptz := p_schedule.next_run_at;
  v_anchor timestamptz := v_run;
  v_most int := case p_schedule.misfire when 'all' then 100 else 1 end;
  v_last_job_id bigint := p_schedule.last_job_id;
  v_job_id bigint;
begin
  if p_schedule.consecutive_failures > 0 then
    v_run := least(v_run, queue._next_run_of(p_schedule,
      coalesce(p_schedule.starts_at, p_schedule.updated_at),
      greatest(p_schedule.last_run_at, p_schedule.updated_at)));
    v_anchor := v_run;
  end if;
  if p_schedule.misfire = 'skip' and v_run < p_now - interval '2 minutes' then
    v_run := queue._next_run_of(p_schedule, v_anchor, p_now - interval '2 minutes 1 microsecond');
  end if;

  job_ids := '{}';
  while v_run <= p_now loop
    v_job_id := null;
    if p_schedule.overlap = 'allow' or not exists (
      select 1
      from queue.jobs j
      where j.namespace = p_schedule.namespace and j.id = v_last_job_id and j.phase < 9
    ) then
      v_job_id := queue._push_scheduled(p_schedule, v_run, p_now + queue._jitter(p_schedule));
    end if;
    job_ids := array_append(job_ids, v_job_id);
    v_last_job_id := coalesce(v_job_id, v_last_job_id);
    v_anchor := v_run;
    exit when cardinality(job_ids) = v_most;
    v_run := queue._next_run_of(p_schedule, v_anchor, v_anchor);
  end loop;
  next_run_at := queue._next_run_of(p_schedule, v_anchor, p_now);

  update queue.schedules s
  set last_run_at = case when made.count > 0 then p_now else s.last_run_at end,
    last_job_id = v_last_job_id,
    run_count = s.run_count + made.count,
    next_run_at = _run_schedule.next_run_at,
    is_active = _run_schedule.next_run_at is not null,
    last_error = null,
    consecutive_failures = 0
  from (select count(j.id) as count from unnest(job_ids) as j(id)) made
  where s.namespace = p_schedule.namespace and s.id = p_schedule.id;
end
$$;

comment on function queue._run_schedule(queue.schedules, timestamptz) is
'Make the jobs of one schedule that is due and move it on; its row is locked.';

create or replace function queue._push_scheduled(
  p_schedule queue.schedules,
  p_scheduled_for timestamptz,
  p_run_at timestamptz
) returns bigint
language plpgsql
as $$
declare
  v_actor jsonb := howdah.actor();
  v_notify text;
  v_id bigint;
begin
  perform queue._check_queue(p_schedule.namespace, p_schedule.queue);
  v_notify := queue._check_job(p_schedule.namespace, p_schedule.queue, p_schedule.payload,
    p_schedule.priority, p_schedule.max_attempts, p_schedule.unique_key, p_schedule.tags,
    p_schedule.metadata);

  insert into queue.jobs (
    namespace, queue, payload, scheduled_at, phase, priority, max_attempts, unique_key, tags,
    metadata, schedule_name, actor_id, request_id, on_behalf_of, reason
  )
  values (
    p_schedule.namespace, p_schedule.queue, p_schedule.payload, p_run_at,
    case when p_run_at > howdah.now() then 0 else 1 end, p_schedule.priority,
    p_schedule.max_attempts, p_schedule.unique_key, p_schedule.tags,
    coalesce(p_schedule.metadata, '{}') || jsonb_build_object('scheduled_for',
      to_char(p_scheduled_for at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')),
    p_schedule.name, v_actor ->> 'actor_id', v_actor ->> 'request_id',
    v_actor ->> 'on_behalf_of', v_actor ->> 'reason'
  )
  on conflict (namespace, queue, unique_key) where unique_key is not null and phase < 9 do nothing
  returning id into v_id;

  if v_id is not null then
    perform queue._ring(p_schedule.namespace, p_schedule.queue, v_notify, 'id', v_id,
      jsonb_build_object('schedule', p_schedule.name));
  end if;
  return v_id;
end
$$;

comment on function queue._push_scheduled(queue.schedules, timestamptz, timestamptz) is
'Push the job of one run; null if the schedule''s unique key is taken.';

create or replace function queue._jitter(p_schedule queue.schedules) returns interval
language sql
immutable
as $$
  select coalesce(p_schedule.jitter, interval '0') * (h.hash & 2147483647)::float8 / 2147483648
  from hashtextextended(p_schedule.namespace || chr(31) || p_schedule.name, 0) as h(hash)
$$;

comment on function queue._jitter(queue.schedules) is
'A schedule''s own share of its jitter, always the same; zero without jitter.';

create or replace function queue._next_run(
  p_cron text,
  p_timezone text,
  p_every interval,
  p_starts_at timestamptz,
  p_ends_at timestamptz,
  p_anchor timestamptz,
  p_base timestamptz
) returns timestamptz
language plpgsql
stable
as $$
declare
  v_base timestamp := p_base at time zone 'UTC';
  v_anchor timestamp := p_anchor at time zone 'UTC';
  v_count float8;
  v_run timestamptz;
begin
  if p_cron is not null then
    v_run := queue._cron_next_run(p_cron, p_timezone,
      greatest(p_base, p_starts_at - interval '1 microsecond'));
  elsif p_starts_at > p_base then
    v_run := p_starts_at;
  else
    v_count := extract(epoch from v_base - v_anchor) / extract(epoch from p_every);
    v_count := greatest(1, floor(v_count));
    while v_anchor + p_every * v_count <= v_base loop
      v_count := v_count + 1;
    end loop;
    while v_count > 1 and v_anchor + p_every * (v_count - 1) > v_base loop
      v_count := v_count - 1;
    end loop;
    v_run := (v_anchor + p_every * v_count) at time zone 'UTC';
  end if;

  return case when isfinite(v_run) and v_run <= coalesce(p_ends_at, 'infinity') then v_run end;
end
$$;

comment on function queue._next_run(
  text, text, interval, timestamptz, timestamptz, timestamptz, timestamptz
) is
'The first run strictly after p_base by a cron expression, or by an interval counted from p_anchor;
null if there is none.';

create or replace function queue._next_run_of(
  p_schedule queue.schedules,
  p_anchor timestamptz,
  p_base timestamptz
) returns timestamptz
language sql
stable
as $$
  select queue._next_run(p_schedule.cron_expression, p_schedule.cron_timezone,
    p_schedule.every_interval, p_schedule.starts_at, p_schedule.ends_at, p_anchor, p_base)
$$;

comment on function queue._next_run_of(queue.schedules, timestamptz, timestamptz) is
'The first run of a schedule strictly after p_base, null if there is none.';

create or replace function queue._check_schedule_name(p_namespace text, p_name text) returns void
language plpgsql
immutable
as $$
declare
  v_name text collate "C" := p_name;
begin
  if v_name ~ '^[!-~]{1,255}$' and octet_length(p_namespace) <= 2048 then
    return;
  end if;

  perform case
    when v_name is null then
      howdah.fail('queue', 'schedule_name_null', 'schedule name is null', '22004', null,
        'Name the schedule.')
    when v_name = '' then
      howdah.fail('queue', 'schedule_name_empty', 'schedule name is empty', '22026', null,
        'Name the schedule.')
    when length(v_name) > 256 then
      howdah.fail('queue', 'schedule_name_too_long',
        format('schedule name has %s characters, at most 256 are allowed', length(v_name)), '22001',
        jsonb_build_object('field', 'schedule_name', 'limit', 256, 'actual', length(v_name)))
    when v_name ~ e'[\\x01-\\x1f\\x7f\\u0085\\u2028\\u2029]' then
      howdah.fail('queue', 'schedule_name_invalid_chars',
        'schedule name contains control characters', '22023',
        jsonb_build_object('field', 'schedule_name'))
    when v_name ~ e'^[\\s\\u00a0\\u3000]|[\\s\\u00a0\\u3000]$' then
      howdah.fail('queue', 'schedule_name_whitespace',
        format('schedule name %L begins or ends with white space', v_name), '22023',
        jsonb_build_object('field', 'schedule_name'))
    when octet_length(p_namespace) + octet_length(v_name) > 2400 then
      howdah.fail('queue', 'schedule_name_too_long',
        format('namespace and schedule name take %s bytes together, at most 2400 are allowed',
          octet_length(p_namespace) + octet_length(v_name)), '22001',
        jsonb_build_object('field', 'schedule_name', 'limit', 2400,
          'actual', octet_length(p_namespace) + octet_length(v_name)))
  end;
end
$$;

comment on function queue._check_schedule_name(text, text) is
'Raise the error that names what is wrong with a schedule''s name, if anything is.';

create or replace function queue._check_schedule(
  p_cron text,
  p_timezone text,
  p_every interval,
  p_misfire text,
  p_overlap text,
  p_jitter interval
) returns void
language plpgsql
stable
as $$
begin
  if p_cron is not null and p_every is not null then
    perform howdah.fail('queue', 'schedule_cron_and_interval',
      'a schedule has a cron expression or an interval, this one has both', '22023', null,
      'Leave out p_cron_expression or p_every_interval.');
  end if;
  if p_cron is null and p_every is null then
    perform howdah.fail('queue', 'schedule_requires_schedule',
      'a schedule needs a cron expression or an interval, this one has none', '22023', null,
      'Give p_cron_expression or p_every_interval.');
  end if;

  perform queue._check_timezone(p_timezone);
  if not isfinite(p_every) or p_every <= interval '0' or least(
    extract(year from p_every), extract(month from p_every), extract(day from p_every),
    extract(hour from p_every), extract(minute from p_every), extract(second from p_every)
  ) < 0 then
    perform howdah.fail('queue', 'interval_not_positive',
      format('every_interval is %s, it must be positive in all its parts', p_every), '22023',
      jsonb_build_object('field', 'every_interval', 'actual', p_every));
  end if;
  perform queue._check_range('every_interval', p_every);

  if p_misfire is null or p_misfire not in ('skip', 'once', 'all') then
    perform howdah.fail('queue', 'misfire_invalid', format('misfire is %L', p_misfire), '22023',
      jsonb_build_object('field', 'misfire', 'actual', p_misfire), 'Use skip, once or all.');
  end if;
  if p_overlap is null or p_overlap not in ('allow', 'skip') then
    perform howdah.fail('queue', 'overlap_invalid', format('overlap is %L', p_overlap), '22023',
      jsonb_build_object('field', 'overlap', 'actual', p_overlap), 'Use allow or skip.');
  end if;
  perform queue._check_positive('jitter', p_jitter);
end
$$;

comment on function queue._check_schedule(text, text, interval, text, text, interval) is
'Refuse what is wrong with the timing of a schedule, but for its cron expression.';

create or replace function queue._check_job(
  p_namespace text,
  p_queue text,
  p_payload jsonb,
  p_priority int,
  p_max_attempts int,
  p_unique_key text,
  p_tags text[],
  p_metadata jsonb
) returns text
language plpgsql
stable
as $$
declare
  v_max_bytes int;
  v_notify text;
begin
  select s.max_payload_bytes, s.notify into v_max_bytes, v_notify
  from queue._settings(p_namespace collate "C", p_queue collate "C") s;
  perform queue._reject_payload(p_payload, v_max_bytes);
  perform queue._check_numbers(p_priority, p_max_attempts);
  perform queue._check_options(p_namespace, p_queue, null, null, null, p_unique_key, null, null,
    p_tags, p_metadata, null, 'skip', v_max_bytes);
  return v_notify;
end
$$;

comment on function queue._check_job(text, text, jsonb, int, int, text, text[], jsonb) is
'Refuse what push would refuse in a schedule''s job; returns how its queue notifies.';

create or replace function queue._reject_never(p_name text, p_cron text, p_ends_at timestamptz)
returns void
language plpgsql
immutable
as $$
begin
  perform howdah.fail('queue', 'cron_never',
    case
      when p_ends_at is not null then
        format('schedule %L has no run until it ends at %s', p_name, p_ends_at)
      when p_cron is not null then
        format('schedule %L never runs: nothing within 8 years matches %L', p_name, p_cron)
      else format('schedule %L never starts', p_name)
    end, '22023',
    jsonb_build_object('schedule', p_name, 'cron_expression', p_cron, 'ends_at', p_ends_at),
    'See when an expression runs with queue.preview_cron.');
end
$$;

comment on function queue._reject_never(text, text, timestamptz) is
'Raise cron_never for a schedule without a run to come.';

create or replace function queue._schedule_values(p_schedule queue.schedules) returns jsonb
language sql
immutable
as $$
  select jsonb_strip_nulls(to_jsonb(p_schedule)) - array[
    'namespace', 'id', 'name', 'payload', 'last_run_at', 'last_job_id', 'run_count', 'last_error',
    'consecutive_failures', 'created_at', 'updated_at'
  ]
$$;

comment on function queue._schedule_values(queue.schedules) is
'What the audit keeps of a schedule: its definition, without the payload.';
