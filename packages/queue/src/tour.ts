import type { TourStop } from "@howdah/core";

/** What `howdah demo` shows of the queue: the life of a job, in plain SQL. */
export const tour: readonly TourStop[] = [
  {
    say: "Push a job. It exists if and only if the transaction commits",
    sql: `select queue.push('demo', 'mail', '{"to": "ann@example.com"}', p_max_attempts => 2, p_priority => 1) as job_id`,
  },
  {
    say: "While a job with a unique key waits or runs, no second one is made",
    sql: `select queue.push('demo', 'mail', '{"to": "bob@example.com"}', p_unique_key => 'welcome:bob') as first,
  queue.push('demo', 'mail', '{"to": "bob@example.com"}', p_unique_key => 'welcome:bob') as second`,
  },
  {
    say: "Take the next job under a lease. Its fence token proves that it is yours",
    sql: "select id, payload, attempts, fence_token from queue.pull('demo', 'mail', 'worker-1', '1 minute')",
  },
  {
    say: "It failed: try it again, here at once, usually after a backoff",
    sql: `select queue.nack('demo', j.id, j.fence_token, 'smtp down', '0 seconds') as will_retry
from queue.jobs j where j.namespace = 'demo' and j.locked_by = 'worker-1'`,
  },
  {
    say: "It fails for good when its attempts are used up",
    sql: `select j.attempts, queue.nack('demo', j.id, j.fence_token, 'smtp still down') as will_retry
from queue.pull('demo', 'mail', 'worker-1') j`,
  },
  {
    say: "What failed for good is a dead letter, to be looked at and run again",
    sql: "select id, queue, payload, attempts, last_error from queue.list_dead_letters('demo')",
  },
  {
    say: "The other job goes well: take it, do the work, acknowledge it",
    sql: `select j.payload, queue.ack('demo', j.id, j.fence_token) as is_done from queue.pull('demo', 'mail', 'worker-2') j`,
  },
  {
    say: "Run the dead letters again",
    sql: "select * from queue.retry_dead_letters('demo', 'mail')",
  },
  {
    say: "Push a job every working day at nine, in Berlin's time",
    sql: `select queue.create_schedule('demo', 'daily-report', 'reports', '{}', p_cron_expression => '0 9 * * 1-5',
  p_cron_timezone => 'Europe/Berlin') as schedule_id`,
  },
  {
    say: "See where things stand",
    sql: "select queue, pending, running, dead_letters from queue.get_queue_stats('demo')",
  },
];
