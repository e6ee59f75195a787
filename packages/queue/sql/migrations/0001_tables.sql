-- Tables of the queue.
--
-- A job is one row of queue.jobs from push to settlement. Its public word is status; its internal
-- word is phase, which every index is built on and which a claim does not change: 0 delayed,
-- 1 ready or running, 3 parked, 4 blocked, 9 ended. So a claim is a heap-only update that touches
-- no index, which is what makes the queue fast. Hence the one hard rule of this schema: no index,
-- predicate, generated column or constraint trigger mentions status, attempts, locked_by,
-- locked_at, visibility_timeout_at, fence_token, updated_at, progress or cancel_requested_at.

create schema if not exists queue;

create sequence queue.fence_token_seq as bigint;
create sequence queue.lease_id_seq as bigint;

-- Columns of fixed width come first, those that are never null before those that mostly are: rows
-- are read faster so. A claim writes a second version of each row; fillfactor 40 keeps room for it
-- on the same page.
create table queue.jobs (
  id bigint generated always as identity,
  scheduled_at timestamptz not null default howdah.now(),
  created_at timestamptz not null default howdah.now(),
  updated_at timestamptz not null default howdah.now(),
  fair_seq bigint not null default 0,
  priority int not null default 0,
  attempts int not null default 0,
  max_attempts int not null default 3,
  phase smallint not null default 1,
  timeouts smallint not null default 0,
  fence_token bigint,
  locked_at timestamptz,
  visibility_timeout_at timestamptz,
  completed_at timestamptz,
  expires_at timestamptz,
  cancel_requested_at timestamptz,
  flow_id bigint,
  deps_left int,
  keep_result boolean,
  namespace text collate "C" not null,
  queue text collate "C" not null,
  status text collate "C" not null default 'pending',
  payload jsonb not null,
  locked_by text collate "C",
  unique_key text collate "C",
  concurrency_key text collate "C",
  fair_key text collate "C",
  error text,
  errors jsonb,
  tags text[] default '{}',
  metadata jsonb,
  progress jsonb,
  trace jsonb,
  cancel_reason text,
  schedule_name text collate "C",
  actor_id text,
  request_id text,
  on_behalf_of text,
  reason text,
  primary key (namespace, id),
  constraint jobs_status_check check (status in ('pending', 'running', 'completed', 'dead',
  'cancelled')),
  constraint jobs_priority_check check (priority between -1000 and 1000),
  constraint jobs_lease_check check (
    (status = 'running') = (num_nulls(fence_token, visibility_timeout_at, locked_at, locked_by) = 0)
  ),
  constraint jobs_end_check check (
    (phase = 9) = (completed_at is not null)
    and (phase = 9) = (status in ('completed', 'dead', 'cancelled'))
  )
) with (
  fillfactor = 40,
  autovacuum_vacuum_scale_factor = 0.01,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_cost_delay = 0,
  autovacuum_vacuum_insert_scale_factor = 0.05
);

create index jobs_pull_idx on queue.jobs (namespace, queue, priority desc, fair_seq, scheduled_at,
  id)
  where phase = 1;
create index jobs_delayed_idx on queue.jobs (namespace, queue, scheduled_at)
  where phase = 0;
create unique index jobs_unique_key_idx on queue.jobs (namespace, queue, unique_key)
  where unique_key is not null and phase < 9;
create index jobs_key_idx on queue.jobs (namespace, queue, concurrency_key)
  where concurrency_key is not null and phase = 1;
create index jobs_parked_idx
  on queue.jobs (namespace, queue, concurrency_key, priority desc, fair_seq, scheduled_at, id)
  where phase = 3;
create index jobs_fair_idx on queue.jobs (namespace, queue, fair_key, fair_seq desc)
  where fair_key is not null and phase in (0, 1, 3);
create index jobs_expiry_idx on queue.jobs (namespace, expires_at)
  where expires_at is not null and phase < 9;
create index jobs_done_idx on queue.jobs (namespace, completed_at)
  where phase = 9;

-- One row per claimed batch: the index by which expired jobs are found. The job's own deadline is
-- the truth.
create table queue.leases (
  namespace text collate "C" not null,
  lease_id bigint not null default nextval('queue.lease_id_seq'),
  expires_at timestamptz not null,
  worker_id text collate "C" not null,
  job_ids bigint[] not null,
  primary key (namespace, lease_id)
) with (fillfactor = 70);

create index leases_expiry_idx on queue.leases (namespace, expires_at);
create index leases_worker_idx on queue.leases (namespace, worker_id);

create table queue.dead_letters (
  namespace text collate "C" not null,
  id bigint generated always as identity,
  queue text collate "C" not null,
  original_job_id bigint not null,
  payload jsonb not null,
  priority int not null default 0,
  tags text[] default '{}',
  metadata jsonb,
  failed_at timestamptz not null default howdah.now(),
  attempts int not null,
  max_attempts int not null,
  last_error text,
  reason_code text not null default 'failed',
  errors jsonb,
  retried_at timestamptz,
  retry_job_id bigint,
  concurrency_key text collate "C",
  fair_key text collate "C",
  schedule_name text collate "C",
  actor_id text,
  request_id text,
  on_behalf_of text,
  reason text,
  created_at timestamptz not null default howdah.now(),
  primary key (namespace, id),
  constraint dead_letters_reason_code_check check (
    reason_code in ('attempts_exhausted', 'failed', 'timeouts', 'expired', 'dependency')
  )
);

create index dead_letters_open_idx on queue.dead_letters (namespace, queue, failed_at)
  where retried_at is null;
create index dead_letters_list_idx on queue.dead_letters (namespace, queue, failed_at desc);

create table queue.schedules (
  namespace text collate "C" not null,
  id bigint generated always as identity,
  name text collate "C" not null,
  queue text collate "C" not null,
  payload jsonb not null,
  priority int not null default 0,
  max_attempts int not null default 3,
  tags text[] default '{}',
  metadata jsonb,
  cron_expression text,
  cron_timezone text not null default 'UTC',
  every_interval interval,
  is_active boolean not null default true,
  misfire text not null default 'once',
  overlap text not null default 'allow',
  jitter interval,
  starts_at timestamptz,
  ends_at timestamptz,
  unique_key text collate "C",
  last_run_at timestamptz,
  last_job_id bigint,
  next_run_at timestamptz,
  run_count bigint not null default 0,
  last_error text,
  consecutive_failures int not null default 0,
  created_at timestamptz not null default howdah.now(),
  updated_at timestamptz not null default howdah.now(),
  primary key (namespace, id),
  constraint schedules_name_key unique (namespace, name),
  constraint schedules_rhythm_check check ((cron_expression is null) <> (every_interval is null)),
  constraint schedules_priority_check check (priority between -1000 and 1000),
  constraint schedules_misfire_check check (misfire in ('skip', 'once', 'all')),
  constraint schedules_overlap_check check (overlap in ('allow', 'skip'))
);

create index schedules_due_idx on queue.schedules (namespace, next_run_at)
  where is_active;

create table queue.config (
  namespace text collate "C" not null primary key,
  archive_completed boolean not null default false,
  notify_on_push boolean not null default true,
  default_visibility_timeout interval not null default '5 minutes',
  default_max_attempts int not null default 3,
  max_payload_bytes int not null default 1048576,
  max_timeouts int not null default 10,
  retention interval not null default '7 days',
  history boolean not null default false,
  created_at timestamptz not null default howdah.now(),
  updated_at timestamptz not null default howdah.now(),
  constraint config_visibility_check check (
    default_visibility_timeout > interval '0' and default_visibility_timeout <= interval '100 years'
  ),
  constraint config_max_attempts_check check (default_max_attempts between 1 and 30),
  constraint config_max_payload_bytes_check check (max_payload_bytes between 1 and 268435456),
  constraint config_max_timeouts_check check (max_timeouts between 0 and 1000),
  constraint config_retention_check check (retention between interval '0' and interval '100 years')
);

insert into queue.config (namespace) values ('global');

create table queue.queues (
  namespace text collate "C" not null,
  queue text collate "C" not null,
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
  result_ttl interval,
  created_at timestamptz not null default howdah.now(),
  updated_at timestamptz not null default howdah.now(),
  primary key (namespace, queue),
  constraint queues_visibility_check check (
    visibility_timeout > interval '0' and visibility_timeout <= interval '100 years'
  ),
  constraint queues_max_attempts_check check (max_attempts between 1 and 30),
  constraint queues_backoff_type_check check (backoff_type in ('fixed', 'linear', 'exponential')),
  constraint queues_backoff_base_check check (
    backoff_base between interval '0' and interval '100 years'
  ),
  constraint queues_backoff_max_check check (
    backoff_max between interval '0' and interval '100 years'
  ),
  constraint queues_backoff_jitter_check check (backoff_jitter between 0 and 1),
  constraint queues_max_running_check check (max_running > 0),
  constraint queues_key_max_running_check check (key_max_running > 0),
  constraint queues_rate_limit_check check (rate_limit > 0),
  constraint queues_rate_per_check check (rate_per > interval '0'),
  constraint queues_notify_check check (notify in ('always', 'idle', 'off')),
  constraint queues_retention_check check (retention between interval '0' and interval '100 years'),
  constraint queues_result_ttl_check check (result_ttl > interval '0')
);

create table queue.job_history (
  namespace text collate "C" not null,
  id bigint not null,
  queue text collate "C" not null,
  status text collate "C" not null,
  finished_at timestamptz not null default howdah.now(),
  scheduled_at timestamptz not null,
  created_at timestamptz not null,
  locked_at timestamptz,
  priority int not null,
  attempts int not null,
  max_attempts int not null,
  payload jsonb not null,
  locked_by text,
  unique_key text,
  concurrency_key text,
  fair_key text,
  error text,
  tags text[],
  metadata jsonb,
  progress jsonb,
  trace jsonb,
  schedule_name text,
  actor_id text,
  request_id text,
  on_behalf_of text,
  reason text,
  primary key (namespace, finished_at, id)
) partition by range (finished_at);

create table queue.job_history_default partition of queue.job_history default;

create table queue.results (
  namespace text collate "C" not null,
  job_id bigint not null,
  status text not null,
  result jsonb,
  error text,
  expires_at timestamptz not null,
  primary key (namespace, job_id, expires_at)
) partition by range (expires_at);

create table queue.results_default partition of queue.results default;

create table queue.rate_state (
  namespace text collate "C" not null,
  queue text collate "C" not null,
  key text collate "C" not null,
  tat timestamptz not null,
  primary key (namespace, queue, key)
) with (fillfactor = 70);

create table queue.throttle_keys (
  namespace text collate "C" not null,
  queue text collate "C" not null,
  key text collate "C" not null,
  until timestamptz not null,
  primary key (namespace, queue, key)
);

create table queue.dependencies (
  namespace text collate "C" not null,
  parent_id bigint not null,
  child_id bigint not null,
  primary key (namespace, parent_id, child_id)
);

create index dependencies_child_idx on queue.dependencies (namespace, child_id);

create table queue.workers (
  namespace text collate "C" not null,
  worker_id text collate "C" not null,
  queues text[] not null default '{}',
  host text,
  pid int,
  started_at timestamptz not null default clock_timestamp(),
  seen_at timestamptz not null default clock_timestamp(),
  concurrency int,
  running int,
  version text,
  primary key (namespace, worker_id)
) with (fillfactor = 50);

create table queue.metrics (
  namespace text collate "C" not null,
  queue text collate "C" not null,
  bucket timestamptz not null,
  source text collate "C" not null,
  completed bigint not null default 0,
  retried bigint not null default 0,
  dead bigint not null default 0,
  lost bigint not null default 0,
  wait_hist bigint[],
  run_hist bigint[],
  ready bigint,
  delayed bigint,
  running bigint,
  parked bigint,
  blocked bigint,
  oldest_age_ms bigint,
  exact boolean,
  primary key (namespace, queue, bucket, source)
) partition by range (bucket);

create table queue.metrics_default partition of queue.metrics default with (fillfactor = 70);

create table queue.metrics_hourly (
  namespace text collate "C" not null,
  queue text collate "C" not null,
  bucket timestamptz not null,
  completed bigint not null default 0,
  retried bigint not null default 0,
  dead bigint not null default 0,
  lost bigint not null default 0,
  wait_hist bigint[],
  run_hist bigint[],
  ready bigint,
  delayed bigint,
  running bigint,
  parked bigint,
  blocked bigint,
  oldest_age_ms bigint,
  exact boolean,
  primary key (namespace, queue, bucket)
);

create table queue.audit_events (
  namespace text collate "C" not null,
  id bigint generated always as identity,
  event_id uuid not null default howdah.uuid_v7(),
  event_type text not null,
  event_time timestamptz not null default howdah.now(),
  actor_id text,
  request_id text,
  on_behalf_of text,
  reason text,
  resource_type text,
  resource_id text,
  ip_address inet,
  user_agent text,
  old_values jsonb,
  new_values jsonb,
  primary key (namespace, event_time, id)
) partition by range (event_time);

create index audit_events_resource_idx
  on queue.audit_events (namespace, resource_type, resource_id, event_time desc);
create index audit_events_actor_idx on queue.audit_events (namespace, actor_id, event_time desc)
  where actor_id is not null;

create table queue.audit_events_default partition of queue.audit_events default;
