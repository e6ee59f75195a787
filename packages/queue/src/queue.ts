import {
  connect,
  type Database,
  type Duration,
  type Fn,
  type JsonText,
  ModuleClient,
  type Target,
  interval as toInterval,
} from "@howdah/core";
import { z } from "zod";
import { DeadLetters } from "./dead-letters.ts";
import type { QueueDefinition } from "./definition.ts";
import { invalid, rethrow } from "./errors.ts";
import * as sql from "./functions.ts";
import type { Handler } from "./handler.ts";
import type { Job, JobId } from "./job.ts";
import { duration, parseOptions } from "./options.ts";
import { parsePayload, payloadText } from "./payload.ts";
import { Schedules } from "./schedules.ts";
import { Worker, type WorkerOptions } from "./worker.ts";

/** Queues by their names, as given to {@link createQueue}. */
export type Definitions = Readonly<Record<string, QueueDefinition>>;

/** What producers of a queue give. */
export type InputOf<Definition> = Definition extends QueueDefinition<string, infer Input, unknown> ? Input : never;

/** What handlers of a queue get. */
export type OutputOf<Definition> = Definition extends QueueDefinition<string, unknown, infer Output> ? Output : never;

/** The `push` of a client, as handlers get it too. */
export type Push<Defs extends Definitions> = <Name extends keyof Defs & string>(
  queue: Name,
  payload: InputOf<Defs[Name]>,
  options?: PushOptions,
) => Promise<JobId | null>;

/** Handlers by the names of their queues. */
export type Handlers<Defs extends Definitions> = {
  readonly [Name in keyof Defs & string]?: Handler<OutputOf<Defs[Name]>, Push<Defs>>;
};

const pushOptions = z.strictObject({
  /** How long the job waits at least. */
  delay: duration.optional(),
  /** When the job is due; not together with `delay`. */
  runAt: z.date().optional(),
  /** Higher ones run first, -1000 to 1000; default 0. */
  priority: z.int().optional(),
  /** How often it runs before it becomes a dead letter, 1 to 30; by default as the queue has it. */
  maxAttempts: z.int().optional(),
  /** No second job of this key waits or runs on the queue. */
  uniqueKey: z.string().optional(),
  /**
   * What happens if there is one: `skip` this push (the default), `replace` payload, priority and time of the job that waits,
   * `debounce`: replace it and start its delay anew, or `raise` an error.
   */
  onConflict: z.enum(["skip", "replace", "debounce", "raise"]).optional(),
  /** At most one accepted push per `uniqueKey` in this time, whatever became of its job. */
  throttle: duration.optional(),
  /** The job becomes a dead letter if it has not started by then. */
  expiresIn: duration.optional(),
  /** At most 50 of 256 characters. */
  tags: z.array(z.string()).readonly().optional(),
  /** Any JSON value, kept beside the payload. */
  metadata: z.unknown().optional(),
  /** A trace context for the handler, such as `{ traceparent: "..." }`. */
  trace: z.unknown().optional(),
});

/** How a job is pushed. */
export type PushOptions = z.input<typeof pushOptions>;

const eachOptions = z.strictObject({
  delay: duration.optional(),
  priority: z.int().optional(),
  uniqueKey: z.string().optional(),
  metadata: z.unknown().optional(),
});

/** What may differ between the jobs of a batch. */
export type EachOptions = z.input<typeof eachOptions>;

/** How a batch of jobs is pushed. */
export interface PushBatchOptions<Input> {
  priority?: number;
  maxAttempts?: number;
  tags?: readonly string[];
  /** What is special about each job. */
  each?: (payload: Input, index: number) => EachOptions;
}

/** How jobs are pulled. */
export interface PullOptions {
  /** Who pulls them; default `anonymous`. */
  workerId?: string;
  /** How long the lease lasts; by default as the queue has it. */
  visibilityTimeout?: Duration;
}

/** What proves that a job is held: its id and the fence token of its lease. A pulled job is one. */
export interface Held {
  id: JobId;
  fenceToken: string;
}

/** A job that was pulled without a worker. */
export interface PulledJob<Payload = unknown> extends Held {
  queue: string;
  payload: Payload;
  /** Which attempt this is, the first one being 1. */
  attempts: number;
  maxAttempts: number;
  priority: number;
  scheduledAt: Date;
  /** When the lease ends. */
  visibilityTimeoutAt: Date;
  tags: string[];
  metadata: unknown;
  trace: unknown;
}

/** What all views of a job for operators have. */
interface JobView {
  id: JobId;
  queue: string;
  status: "pending" | "running" | "completed" | "dead" | "cancelled";
  payload: unknown;
  priority: number;
  attempts: number;
  maxAttempts: number;
  scheduledAt: Date;
  createdAt: Date;
  updatedAt: Date;
  lockedBy: string | null;
  lockedAt: Date | null;
  visibilityTimeoutAt: Date | null;
  completedAt: Date | null;
  error: string | null;
  uniqueKey: string | null;
  tags: string[];
  metadata: unknown;
  progress: unknown;
  actorId: string | null;
}

/** The state of a job in one word: its status, and of pending jobs what they wait for. */
export type JobState = "ready" | "delayed" | "parked" | "blocked" | "running" | "completed" | "dead" | "cancelled";

/** A job in a list. */
export interface JobEntry extends JobView {
  state: JobState;
  /** How many jobs were looked at for this page. */
  searched: number;
  /** Give it as `cursor` to go on after this job. */
  cursor: string;
}

/** A job with all its particulars. */
export interface JobRecord extends JobView {
  trace: unknown;
  scheduleName: string | null;
  requestId: string | null;
  onBehalfOf: string | null;
  reason: string | null;
}

/** Which jobs to list. */
export interface ListOptions {
  queue?: string;
  state?: JobState;
  /** Tags that the job must have, all of them. */
  tags?: readonly string[];
  limit?: number;
  /** The `cursor` of the last row of the page before. */
  cursor?: string;
  /** The id, the unique key, or a part of the payload or the error, among the first 20,000 jobs from the cursor on. */
  search?: string;
}

/** Exact counts of a namespace's jobs, as text because they may be large. */
export interface Stats {
  totalJobs: string;
  pending: string;
  running: string;
  completed: string;
  dead: string;
  totalQueues: string;
  delayed: string;
  ready: string;
  parked: string;
  blocked: string;
  cancelled: string;
}

/** Exact counts of one queue's jobs. */
export interface QueueStats {
  queue: string;
  pending: string;
  running: string;
  completed: string;
  dead: string;
  oldestPendingSeconds: string | null;
  deadLetters: string;
  delayed: string;
  ready: string;
  parked: string;
  blocked: string;
  paused: boolean;
}

const batchLimit = 1000;

/** The client of all queues of a namespace, made by {@link createQueue}. */
export class Queue<Defs extends Definitions = Definitions> extends ModuleClient {
  private readonly database: Database;
  private readonly definitions: Defs | undefined;
  private readonly isListening: boolean;

  constructor(db: Database, options: QueueOptions<Defs>) {
    super(db, { namespace: options.namespace });
    this.database = db;
    this.definitions = options.queues;
    this.isListening = options.listen ?? true;
  }

  // --- producers

  /**
   * Puts one job on a queue, in the caller's transaction if the client is bound to one with `using`.
   *
   * @param queue   name of the queue
   * @param payload any JSON value, at most 1 MB once serialised, that the queue's schema accepts
   * @returns the job's id, or `null` when `uniqueKey` names a job that still waits or runs
   * @throws {PayloadInvalidError} `payload_invalid` before anything is sent
   * @throws {ValidationError} `payload_too_large`, `queue_unknown`, `options_invalid`
   * @throws {ConflictError} `duplicate_job` with `onConflict: "raise"`
   */
  async push<Name extends keyof Defs & string>(
    queue: Name,
    payload: InputOf<Defs[Name]>,
    options?: PushOptions,
  ): Promise<JobId | null> {
    const args = { queue, payload: await this.written(queue, payload) };
    return this.run(
      sql.push,
      options === undefined ? args : { ...args, ...parseOptions(pushOptions, options, `push to ${queue}`) },
    );
  }

  /**
   * Puts many jobs on a queue, all or none: up to 1000 in one statement, more in one transaction.
   *
   * @returns their ids in order, `null` for those whose unique key was taken
   */
  async pushBatch<Name extends keyof Defs & string>(
    queue: Name,
    payloads: readonly InputOf<Defs[Name]>[],
    options: PushBatchOptions<InputOf<Defs[Name]>> = {},
  ): Promise<(JobId | null)[]> {
    const texts: JsonText[] = [];
    for (const payload of payloads) texts.push(await this.written(queue, payload));
    const { each, ...shared } = options;
    const special = each && payloads.map((payload, i) => parseOptions(eachOptions, each(payload, i), `job ${i}`));
    const chunk = (start: number): sql.PushBatchArgs => {
      const end = start + batchLimit;
      const args: sql.PushBatchArgs = { queue, payloads: texts.slice(start, end), ...shared };
      if (!special) return args;
      const part = special.slice(start, end);
      if (part.some(({ delay }) => delay !== undefined)) args.delays = part.map(({ delay }) => delay);
      if (part.some(({ priority }) => priority !== undefined)) args.priorities = part.map(({ priority }) => priority);
      if (part.some(({ uniqueKey }) => uniqueKey !== undefined)) args.uniqueKeys = part.map((one) => one.uniqueKey);
      if (part.some(({ metadata }) => metadata !== undefined)) args.metadata = part.map(({ metadata }) => metadata);
      return args;
    };
    if (payloads.length <= batchLimit) return this.run(sql.pushBatch, chunk(0));
    const pushAll = async (client: this): Promise<(JobId | null)[]> => {
      const ids: (JobId | null)[] = [];
      for (let start = 0; start < payloads.length; start += batchLimit) {
        ids.push(...(await client.run(sql.pushBatch, chunk(start))));
      }
      return ids;
    };
    if (this.db !== this.database) return pushAll(this);
    return this.database.transaction((tx) => pushAll(this.using(tx)));
  }

  // --- consumers without a worker

  /** Takes the next job of a queue under a lease, or null. Settle it with {@link ack}, {@link nack}, {@link fail}, ... */
  pull<Name extends keyof Defs & string>(
    queue: Name,
    options: PullOptions = {},
  ): Promise<PulledJob<InputOf<Defs[Name]>> | null> {
    this.known(queue);
    return this.run(sql.pull, { queue, ...options }) as Promise<PulledJob<InputOf<Defs[Name]>> | null>;
  }

  /** Takes up to `limit` (10, at most 1000) jobs of a queue under one lease, each with a fence token of its own. */
  pullBatch<Name extends keyof Defs & string>(
    queue: Name,
    options: PullOptions & { limit?: number } = {},
  ): Promise<PulledJob<InputOf<Defs[Name]>>[]> {
    this.known(queue);
    const { limit = 10, ...rest } = options;
    return this.run(sql.pullBatch, { queue, limit, ...rest }) as Promise<PulledJob<InputOf<Defs[Name]>>[]>;
  }

  /** Takes the next job of the first of these queues that has one, or null. */
  pullAny<Name extends keyof Defs & string>(
    queues: readonly Name[],
    options: PullOptions = {},
  ): Promise<PulledJob<InputOf<Defs[Name]>> | null> {
    for (const queue of queues) this.known(queue);
    return this.run(sql.pullAny, { queues, ...options }) as Promise<PulledJob<InputOf<Defs[Name]>> | null>;
  }

  /**
   * The job is done.
   *
   * @throws {FenceStaleError} when the lease has ended: throw the result away
   */
  async ack(job: Held): Promise<void> {
    await this.run(sql.ack, heldArgs(job));
  }

  /**
   * All these jobs are done, at most 1000; or none of them.
   *
   * @throws {FenceStaleError} when one of the leases has ended
   */
  async ackBatch(jobs: readonly Held[]): Promise<void> {
    await this.run(sql.ackBatch, { jobIds: jobs.map((job) => job.id), fences: jobs.map((job) => job.fenceToken) });
  }

  /**
   * The attempt failed.
   *
   * @returns true if the job will be tried again, after `backoff` or as the queue has it; false if it is a dead letter now
   */
  nack(job: Held, options: { error?: string; backoff?: Duration } = {}): Promise<boolean> {
    return this.run(sql.nack, { ...heldArgs(job), ...options });
  }

  /** The job can never succeed: it is a dead letter now. */
  async fail(job: Held, error?: string): Promise<void> {
    await this.run(sql.fail, { ...heldArgs(job), error });
  }

  /** Gives the job back, ready at once; the attempt counts. */
  async release(job: Held): Promise<void> {
    await this.run(sql.release, heldArgs(job));
  }

  /** The job stopped because somebody asked for it with {@link requestCancel}. */
  async cancelled(job: Held): Promise<void> {
    await this.run(sql.cancelled, heldArgs(job));
  }

  /** Adds time to the lease. */
  async extendVisibility(job: Held, extension: Duration): Promise<void> {
    await this.run(sql.extendVisibility, { ...heldArgs(job), extension });
  }

  /** Puts the job off; the attempt does not count. */
  async snooze(job: Held, delay: Duration, options: { payload?: unknown } = {}): Promise<void> {
    await this.run(sql.snooze, { ...heldArgs(job), delay, ...options });
  }

  // --- operators

  /** Takes back a job that nobody has started; false if it runs, has ended, or does not exist. */
  cancel(jobId: JobId): Promise<boolean> {
    return this.run(sql.cancel, { jobId });
  }

  /** Takes back a job that waits, or asks the worker that runs it to stop. */
  requestCancel(jobId: JobId, reason?: string): Promise<"cancelled" | "requested" | "not_found"> {
    return this.run(sql.requestCancel, { jobId, reason });
  }

  /** One job, or null. */
  getJob(jobId: JobId): Promise<JobRecord | null> {
    return this.run(sql.getJob, { jobId });
  }

  /** Lists jobs in pages. */
  listJobs(options: ListOptions = {}): Promise<JobEntry[]> {
    return this.run(sql.listJobs, { ...options });
  }

  /** Counts all jobs of the namespace exactly, which costs what counting costs. */
  stats(): Promise<Stats> {
    return this.run(sql.getStats, {});
  }

  /** Counts the jobs of one queue, or of each, exactly. */
  queueStats(queue?: string): Promise<QueueStats[]> {
    return this.run(sql.getQueueStats, { queue });
  }

  /** Jobs that failed for good. */
  get deadLetters(): DeadLetters {
    return new DeadLetters(this.db, this.context);
  }

  /** Jobs that are pushed by the clock. */
  get schedules(): Schedules {
    return new Schedules(this.db, this.context);
  }

  /** Stops a queue: nobody gets jobs of it until {@link resume}. Pushing goes on. */
  async pause(queue: string): Promise<void> {
    await this.run(sql.pauseQueue, { queue });
  }

  /** Lets a queue run again. */
  async resume(queue: string): Promise<void> {
    await this.run(sql.resumeQueue, { queue });
  }

  /** Deletes all jobs of a queue that wait; returns how many. */
  purge(queue: string): Promise<number> {
    return this.run(sql.purgeQueue, { queue });
  }

  /** Sets what a queue does by default, for every client of it; what is not named stays. */
  async configure(queue: string, settings: Readonly<Record<string, unknown>>): Promise<void> {
    await this.run(sql.configureQueue, { queue, settings });
  }

  /** Writes the settings of all defined queues to the database. */
  async sync(): Promise<void> {
    for (const { name, settings } of Object.values(this.definitions ?? {})) {
      const { retry, visibilityTimeout, notify, retention } = settings;
      await this.configure(name, {
        notify,
        max_attempts: retry?.maxAttempts,
        backoff_type: retry?.backoff?.type,
        backoff_base: interval(retry?.backoff?.base),
        backoff_max: interval(retry?.backoff?.max),
        backoff_jitter: retry?.backoff?.jitter,
        visibility_timeout: interval(visibilityTimeout),
        retention: interval(retention),
      });
    }
  }

  // --- worker

  /**
   * Makes a worker that runs jobs of the queues that it has handlers for; `start()` starts it.
   *
   * It has connections of its own as long as it runs: `lanes` to claim and settle, one to keep leases, one to tick and one to
   * listen. The pool is left to handlers.
   */
  worker(handlers: Handlers<Defs>, options: WorkerOptions = {}): Worker {
    const given = Object.entries(handlers).filter(([, handler]) => handler !== undefined);
    for (const [queue] of given) this.known(queue);
    const { namespace } = this.context;
    if (namespace == null) throw invalid("namespace_null", "a worker serves one namespace", { sqlstate: "22004" });
    return new Worker(
      {
        db: this.database,
        namespace,
        // A single connection cannot hold a bell against its own pushes.
        isListening: this.isListening && !this.database.driver.isSingle,
        handlers: Object.fromEntries(given) as Readonly<Record<string, Handler<never, never>>>,
        definitions: this.definitions ?? {},
        pushFrom:
          (job: Job) =>
          (queue: string, payload: unknown, options: PushOptions = {}) =>
            this.push(queue, payload as never, job.trace == null ? options : { trace: job.trace, ...options }),
      },
      options,
    );
  }

  /**
   * Writes a payload as JSON. Refuses a queue that is not among the defined ones, and a payload that would not arrive or that the
   * schema refuses.
   */
  private async written(queue: string, payload: unknown): Promise<JsonText> {
    const schema = this.known(queue)?.schema;
    const text = payloadText(payload);
    if (schema) await parsePayload(schema, payload);
    return text;
  }

  private known(queue: string): QueueDefinition | undefined {
    if (!this.definitions) return undefined;
    const definition = Object.hasOwn(this.definitions, queue) ? this.definitions[queue] : undefined;
    if (definition) return definition;
    throw invalid("queue_unknown", `queue ${JSON.stringify(queue)} is not defined in this client`, {
      detail: { queue, defined: Object.keys(this.definitions) },
      hint: "Add it to the queues given to createQueue",
    });
  }

  private run<A, R>(f: Fn<A, R>, args: A): Promise<R> {
    return this.call(f, args).catch(rethrow);
  }
}

const heldArgs = (job: Held): { jobId: JobId; fence: string } => ({ jobId: job.id, fence: job.fenceToken });

const interval = (value: Duration | undefined): string | undefined =>
  value === undefined ? undefined : toInterval(value);

/** What {@link createQueue} takes. */
export interface QueueOptions<Defs extends Definitions = Definitions> {
  /** The tenant whose queues these are. */
  namespace: string;
  /** The queues by their names, made by `defineQueue`. Without it any queue may be named, and payloads are `unknown`. */
  queues?: Defs & { readonly [Name in keyof Defs]: { readonly name: Name } };
  /** False behind a transaction pooler: workers poll instead of listening, and prepare no statements. Default true. */
  listen?: boolean;
}

/**
 * Makes the client of a namespace's queues.
 *
 * @param db a `pg` pool or client, a connection string, or what `connect` returned
 */
export function createQueue<const Defs extends Definitions = Definitions>(
  db: Target | Database,
  options: QueueOptions<Defs>,
): Queue<Defs> {
  for (const [key, { name }] of Object.entries(options.queues ?? {})) {
    if (key === name) continue;
    throw invalid(
      "queue_name_mismatch",
      `queue ${JSON.stringify(name)} is given under the name ${JSON.stringify(key)}`,
    );
  }
  return new Queue(connect(db), options);
}
