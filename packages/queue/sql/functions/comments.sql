-- What tables and columns mean.
--
-- These comments are the reference of the tables that users read and write with plain SQL. They
-- stand here and not beside the tables, so that a release may say better what they mean without
-- touching them. What is reserved is for features that this release does not have.

comment on table queue.jobs is 'Work to be done: one row from push to settlement.';
comment on column queue.jobs.namespace is 'The tenant';
comment on column queue.jobs.id is 'The job';
comment on column queue.jobs.queue is 'The queue that it waits in';
comment on column queue.jobs.payload is 'What the worker needs to know';
comment on column queue.jobs.status is 'pending, running, completed, dead or cancelled';
comment on column queue.jobs.phase is
  'What indexes go by: 0 delayed, 1 ready or running, 3 parked, 4 blocked, 9 ended';
comment on column queue.jobs.priority is 'Higher is pulled first, -1000 to 1000';
comment on column queue.jobs.scheduled_at is 'Not pulled before this time';
comment on column queue.jobs.fair_seq is
  'Reserved: the turn of the job among those of other fair keys; 0 where a queue is not fair';
comment on column queue.jobs.attempts is 'How often it was pulled';
comment on column queue.jobs.max_attempts is 'How often it may be pulled before it is dead';
comment on column queue.jobs.timeouts is 'How often its lease ran out';
comment on column queue.jobs.fence_token is
  'The proof of the lease that holds it: settling must name it';
comment on column queue.jobs.locked_by is 'The worker that holds it';
comment on column queue.jobs.locked_at is 'When that worker pulled it';
comment on column queue.jobs.visibility_timeout_at is
  'When that worker''s lease ends; the job is then given to another';
comment on column queue.jobs.completed_at is 'When it ended, in whatever way';
comment on column queue.jobs.expires_at is 'Not worth starting after this time; null for always';
comment on column queue.jobs.cancel_requested_at is
  'When the worker that runs it was asked to stop';
comment on column queue.jobs.cancel_reason is 'Why it was cancelled';
comment on column queue.jobs.flow_id is 'Reserved: the flow of dependent jobs that it is part of';
comment on column queue.jobs.deps_left is 'Reserved: how many jobs it still waits for';
comment on column queue.jobs.keep_result is
  'Reserved: whether what its handler returns is kept in queue.results';
comment on column queue.jobs.unique_key is
  'While it has not ended, no other job of the queue has the same key';
comment on column queue.jobs.concurrency_key is
  'Reserved: jobs with the same key share a limit on how many run at once';
comment on column queue.jobs.fair_key is 'Reserved: jobs with different keys take turns';
comment on column queue.jobs.error is 'What went wrong last';
comment on column queue.jobs.errors is
  'The last attempts that failed: attempt, at and error of each';
comment on column queue.jobs.tags is 'Words to find it by';
comment on column queue.jobs.metadata is 'Whatever its producer wants to keep with it';
comment on column queue.jobs.progress is 'How far it has come, as its worker said';
comment on column queue.jobs.trace is 'The trace context of its producer';
comment on column queue.jobs.schedule_name is 'The schedule that pushed it';
comment on column queue.jobs.actor_id is 'Who acted, as howdah.set_actor said';
comment on column queue.jobs.request_id is 'The request that caused it';
comment on column queue.jobs.on_behalf_of is 'Whom the actor acted for';
comment on column queue.jobs.reason is 'Why, such as a ticket';
comment on column queue.jobs.created_at is 'When the row was made';
comment on column queue.jobs.updated_at is 'When the row last changed';

comment on table queue.leases is
  'Jobs that were pulled together: how those whose time ran out are found.';
comment on column queue.leases.namespace is 'The tenant';
comment on column queue.leases.lease_id is 'The lease';
comment on column queue.leases.expires_at is
  'When it was to end; the job''s own visibility_timeout_at is the truth';
comment on column queue.leases.worker_id is 'The worker that pulled';
comment on column queue.leases.job_ids is 'The jobs that it pulled';

comment on table queue.dead_letters is
  'Jobs that failed for good, kept to be looked at and retried.';
comment on column queue.dead_letters.namespace is 'The tenant';
comment on column queue.dead_letters.id is 'The dead letter';
comment on column queue.dead_letters.queue is 'The queue that the job was in';
comment on column queue.dead_letters.original_job_id is 'The job that died';
comment on column queue.dead_letters.payload is 'What the job was to do';
comment on column queue.dead_letters.priority is 'The job''s priority';
comment on column queue.dead_letters.tags is 'The job''s tags';
comment on column queue.dead_letters.metadata is 'The job''s metadata';
comment on column queue.dead_letters.failed_at is 'When it died';
comment on column queue.dead_letters.attempts is 'How often it had been pulled';
comment on column queue.dead_letters.max_attempts is 'How often it might have been';
comment on column queue.dead_letters.last_error is 'What went wrong last';
comment on column queue.dead_letters.reason_code is
  'Why it died: attempts_exhausted, failed, timeouts, expired or dependency';
comment on column queue.dead_letters.errors is
  'The last attempts that failed: attempt, at and error of each';
comment on column queue.dead_letters.retried_at is 'When it was pushed again; null if it was not';
comment on column queue.dead_letters.retry_job_id is 'The job that it was pushed again as';
comment on column queue.dead_letters.concurrency_key is 'The job''s concurrency key';
comment on column queue.dead_letters.fair_key is 'The job''s fair key';
comment on column queue.dead_letters.schedule_name is 'The schedule that pushed the job';
comment on column queue.dead_letters.actor_id is 'Who acted, as howdah.set_actor said';
comment on column queue.dead_letters.request_id is 'The request that caused it';
comment on column queue.dead_letters.on_behalf_of is 'Whom the actor acted for';
comment on column queue.dead_letters.reason is 'Why, such as a ticket';
comment on column queue.dead_letters.created_at is 'When the row was made';

comment on table queue.schedules is
  'Jobs that are pushed again and again, by a cron expression or at an interval.';
comment on column queue.schedules.namespace is 'The tenant';
comment on column queue.schedules.id is 'The schedule';
comment on column queue.schedules.name is 'Its name, unique in the tenant';
comment on column queue.schedules.queue is 'The queue that it pushes to';
comment on column queue.schedules.payload is 'The payload of its jobs';
comment on column queue.schedules.priority is 'The priority of its jobs';
comment on column queue.schedules.max_attempts is 'The attempts of its jobs';
comment on column queue.schedules.tags is 'The tags of its jobs';
comment on column queue.schedules.metadata is 'The metadata of its jobs';
comment on column queue.schedules.cron_expression is 'When it is due; null if it has an interval';
comment on column queue.schedules.cron_timezone is 'The time zone that the expression is in';
comment on column queue.schedules.every_interval is
  'How often it is due; null if it has an expression';
comment on column queue.schedules.is_active is 'False while it is paused';
comment on column queue.schedules.misfire is
  'What happens with runs that were missed: skip, once or all';
comment on column queue.schedules.overlap is
  'Whether it pushes while its last job has not ended: allow or skip';
comment on column queue.schedules.jitter is 'How much later than due it may push, at random';
comment on column queue.schedules.starts_at is 'Not due before this time';
comment on column queue.schedules.ends_at is 'Not due after this time';
comment on column queue.schedules.unique_key is 'The unique key of its jobs';
comment on column queue.schedules.last_run_at is 'When it last pushed';
comment on column queue.schedules.last_job_id is 'The job that it pushed last';
comment on column queue.schedules.next_run_at is 'When it is due next';
comment on column queue.schedules.run_count is 'How often it has pushed';
comment on column queue.schedules.last_error is 'Why it could not push last';
comment on column queue.schedules.consecutive_failures is 'How often in a row it could not push';
comment on column queue.schedules.created_at is 'When the row was made';
comment on column queue.schedules.updated_at is 'When the row last changed';

comment on table queue.config is
  'Settings of a tenant. The row of the namespace global holds for those that have none.';
comment on column queue.config.namespace is 'The tenant, or global';
comment on column queue.config.archive_completed is
  'Whether completed jobs stay in queue.jobs until they are pruned';
comment on column queue.config.notify_on_push is 'Whether a push wakes sleeping workers';
comment on column queue.config.default_visibility_timeout is
  'How long a lease lasts where nothing else is said';
comment on column queue.config.default_max_attempts is
  'How often a job may be pulled where nothing else is said';
comment on column queue.config.max_payload_bytes is 'How long a payload may be, as text';
comment on column queue.config.max_timeouts is
  'How often the lease of a job may run out before the job is dead';
comment on column queue.config.retention is 'How long ended jobs are kept';
comment on column queue.config.history is 'Reserved: whether ended jobs go to queue.job_history';
comment on column queue.config.created_at is 'When the row was made';
comment on column queue.config.updated_at is 'When the row last changed';

comment on table queue.queues is 'Settings of a queue. Null inherits from the tenant.';
comment on column queue.queues.namespace is 'The tenant';
comment on column queue.queues.queue is 'The queue';
comment on column queue.queues.paused is 'True while its jobs are not handed out';
comment on column queue.queues.visibility_timeout is 'How long a lease lasts';
comment on column queue.queues.max_attempts is 'How often a job may be pulled';
comment on column queue.queues.backoff_type is
  'How the wait after a failure grows: fixed, linear or exponential';
comment on column queue.queues.backoff_base is 'The wait after the first failure';
comment on column queue.queues.backoff_max is 'The longest wait';
comment on column queue.queues.backoff_jitter is
  'By which part of itself a wait varies at random, 0 to 1';
comment on column queue.queues.max_running is 'Reserved: how many jobs may run at once';
comment on column queue.queues.key_max_running is
  'Reserved: how many jobs of one concurrency key may run at once';
comment on column queue.queues.rate_limit is 'Reserved: how many jobs may start per rate_per';
comment on column queue.queues.rate_per is 'Reserved: the time that rate_limit is for';
comment on column queue.queues.fair is 'Reserved: whether fair keys take turns';
comment on column queue.queues.notify is 'When a push wakes workers: always, idle or off';
comment on column queue.queues.history is 'Reserved: whether ended jobs go to queue.job_history';
comment on column queue.queues.retention is 'How long ended jobs are kept';
comment on column queue.queues.result_ttl is 'Reserved: how long results are kept';
comment on column queue.queues.created_at is 'When the row was made';
comment on column queue.queues.updated_at is 'When the row last changed';

comment on table queue.job_history is
  'Reserved: jobs that have ended, where history is on; dropped by the day.';
comment on column queue.job_history.namespace is 'The tenant';
comment on column queue.job_history.id is 'The job';
comment on column queue.job_history.queue is 'The queue that it was in';
comment on column queue.job_history.status is 'How it ended: completed, dead or cancelled';
comment on column queue.job_history.finished_at is 'When it ended';
comment on column queue.job_history.scheduled_at is 'When it was due';
comment on column queue.job_history.created_at is 'When it was pushed';
comment on column queue.job_history.locked_at is 'When it was pulled last';
comment on column queue.job_history.priority is 'Its priority';
comment on column queue.job_history.attempts is 'How often it was pulled';
comment on column queue.job_history.max_attempts is 'How often it might have been';
comment on column queue.job_history.payload is 'What it was to do';
comment on column queue.job_history.locked_by is 'The worker that pulled it last';
comment on column queue.job_history.unique_key is 'Its unique key';
comment on column queue.job_history.concurrency_key is 'Its concurrency key';
comment on column queue.job_history.fair_key is 'Its fair key';
comment on column queue.job_history.error is 'What went wrong last';
comment on column queue.job_history.tags is 'Its tags';
comment on column queue.job_history.metadata is 'Its metadata';
comment on column queue.job_history.progress is 'How far it came';
comment on column queue.job_history.trace is 'The trace context of its producer';
comment on column queue.job_history.schedule_name is 'The schedule that pushed it';
comment on column queue.job_history.actor_id is 'Who acted, as howdah.set_actor said';
comment on column queue.job_history.request_id is 'The request that caused it';
comment on column queue.job_history.on_behalf_of is 'Whom the actor acted for';
comment on column queue.job_history.reason is 'Why, such as a ticket';

comment on table queue.results is 'Reserved: what handlers returned, for those who wait for it.';
comment on column queue.results.namespace is 'The tenant';
comment on column queue.results.job_id is 'The job';
comment on column queue.results.status is 'How it ended';
comment on column queue.results.result is 'What its handler returned';
comment on column queue.results.error is 'What went wrong';
comment on column queue.results.expires_at is 'Until when it is kept';

comment on table queue.rate_state is 'Reserved: how much of a rate limit is used up.';
comment on column queue.rate_state.namespace is 'The tenant';
comment on column queue.rate_state.queue is 'The queue';
comment on column queue.rate_state.key is 'What the limit is counted for';
comment on column queue.rate_state.tat is 'The theoretical arrival time of the next job (GCRA)';

comment on table queue.throttle_keys is
  'Pushes that are throttled: a job with the same key is not pushed again so soon.';
comment on column queue.throttle_keys.namespace is 'The tenant';
comment on column queue.throttle_keys.queue is 'The queue';
comment on column queue.throttle_keys.key is 'The unique key of the push';
comment on column queue.throttle_keys.until is 'Until when it is not pushed again';

comment on table queue.dependencies is 'Reserved: which job waits for which.';
comment on column queue.dependencies.namespace is 'The tenant';
comment on column queue.dependencies.parent_id is 'The job that must end first';
comment on column queue.dependencies.child_id is 'The job that waits';

comment on table queue.workers is 'Processes that take jobs, and when they were last heard of.';
comment on column queue.workers.namespace is 'The tenant';
comment on column queue.workers.worker_id is 'The worker';
comment on column queue.workers.queues is 'The queues that it handles';
comment on column queue.workers.host is 'The machine that it runs on';
comment on column queue.workers.pid is 'Its process';
comment on column queue.workers.started_at is 'When it registered';
comment on column queue.workers.seen_at is 'When it was last heard of';
comment on column queue.workers.concurrency is 'How many jobs it runs at once';
comment on column queue.workers.running is 'How many it ran when it was last heard of';
comment on column queue.workers.version is 'The release of the application';

comment on table queue.metrics is
  'What happened in a minute, from each worker, and how deep queues were; kept for two days.';
comment on column queue.metrics.namespace is 'The tenant';
comment on column queue.metrics.queue is 'The queue';
comment on column queue.metrics.bucket is 'The minute';
comment on column queue.metrics.source is 'The worker that counted, or sampler';
comment on column queue.metrics.completed is 'Jobs that went well';
comment on column queue.metrics.retried is 'Attempts that failed and are tried again';
comment on column queue.metrics.dead is 'Jobs that failed for good';
comment on column queue.metrics.lost is 'Jobs whose lease ran out';
comment on column queue.metrics.wait_hist is
  'Jobs by how long they waited: 16 counts, with bounds from 0 ms to over 30 s';
comment on column queue.metrics.run_hist is
  'Jobs by how long they ran: 16 counts, with bounds from 0 ms to over 30 s';
comment on column queue.metrics.ready is 'Reserved: jobs that could be pulled';
comment on column queue.metrics.delayed is 'Reserved: jobs that were not due yet';
comment on column queue.metrics.running is 'Reserved: jobs that were running';
comment on column queue.metrics.parked is 'Reserved: jobs that waited for a concurrency key';
comment on column queue.metrics.blocked is 'Reserved: jobs that waited for other jobs';
comment on column queue.metrics.oldest_age_ms is
  'Reserved: how long the oldest ready job had waited, in milliseconds';
comment on column queue.metrics.exact is 'Reserved: false if the depths are estimates';

comment on table queue.metrics_hourly is 'Reserved: the metrics of an hour; kept for 90 days.';
comment on column queue.metrics_hourly.namespace is 'The tenant';
comment on column queue.metrics_hourly.queue is 'The queue';
comment on column queue.metrics_hourly.bucket is 'The hour';
comment on column queue.metrics_hourly.completed is 'Jobs that went well';
comment on column queue.metrics_hourly.retried is 'Attempts that failed and are tried again';
comment on column queue.metrics_hourly.dead is 'Jobs that failed for good';
comment on column queue.metrics_hourly.lost is 'Jobs whose lease ran out';
comment on column queue.metrics_hourly.wait_hist is
  'Jobs by how long they waited: 16 counts, with bounds from 0 ms to over 30 s';
comment on column queue.metrics_hourly.run_hist is
  'Jobs by how long they ran: 16 counts, with bounds from 0 ms to over 30 s';
comment on column queue.metrics_hourly.ready is 'Jobs that could be pulled';
comment on column queue.metrics_hourly.delayed is 'Jobs that were not due yet';
comment on column queue.metrics_hourly.running is 'Jobs that were running';
comment on column queue.metrics_hourly.parked is 'Jobs that waited for a concurrency key';
comment on column queue.metrics_hourly.blocked is 'Jobs that waited for other jobs';
comment on column queue.metrics_hourly.oldest_age_ms is
  'How long the oldest ready job had waited, in milliseconds';
comment on column queue.metrics_hourly.exact is 'False if the depths are estimates';

comment on table queue.audit_events is
  'What operators did: settings, schedules, cancelled and retried jobs. Never one row a job.';
comment on column queue.audit_events.namespace is 'The tenant';
comment on column queue.audit_events.id is 'The event';
comment on column queue.audit_events.event_id is 'The event, for other systems';
comment on column queue.audit_events.event_type is 'What was done, such as queue.paused';
comment on column queue.audit_events.event_time is 'When';
comment on column queue.audit_events.actor_id is 'Who acted, as howdah.set_actor said';
comment on column queue.audit_events.request_id is 'The request that caused it';
comment on column queue.audit_events.on_behalf_of is 'Whom the actor acted for';
comment on column queue.audit_events.reason is 'Why, such as a ticket';
comment on column queue.audit_events.resource_type is
  'What it was done to: job, queue, schedule and the like';
comment on column queue.audit_events.resource_id is 'Which of them';
comment on column queue.audit_events.ip_address is 'Where the actor was';
comment on column queue.audit_events.user_agent is 'What the actor used';
comment on column queue.audit_events.old_values is 'What was there before';
comment on column queue.audit_events.new_values is 'What was there after';
