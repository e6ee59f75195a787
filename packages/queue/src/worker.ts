// The worker: what its user starts and stops.
//
// Its parts: an exchange brings jobs and settles them, a crew runs handlers, leases keep jobs while they run, a clock runs what is
// due, and each queue has a watch that knows when to look at it again, woken by its doorbell. Exchange, leases and clock have
// connections of their own, so that none of them waits for another, or for handlers that use up the pool.
import { EventEmitter } from "node:events";
import { hostname } from "node:os";
import { call, type Database, type Duration, milliseconds, StateError, type Subscription } from "@howdah/core";
import { z } from "zod";
import { Clock } from "./clock.ts";
import { Crew } from "./crew.ts";
import type { QueueDefinition } from "./definition.ts";
import { Doorbell } from "./doorbell.ts";
import { JobCancelledError, rethrow, WorkerStoppedError } from "./errors.ts";
import { Exchange } from "./exchange.ts";
import { controlChannel } from "./functions.ts";
import type { Handler } from "./handler.ts";
import type { Job } from "./job.ts";
import { Lane } from "./lane.ts";
import { Leases } from "./leases.ts";
import { duration, parseOptions } from "./options.ts";
import { type Emitter, type JobEvents, Outcomes } from "./outcomes.ts";
import { errorText } from "./settle.ts";
import { Source } from "./source.ts";

/** How long handlers get to end once their signal was aborted by a stop, and what they did to be settled. */
const lastWords = 1000;
/** How long after its deadline a stop gives up on a database that does not answer. */
const lastPatience = 5000;
/** A queue that has come to rest has the clock looked at soon: a job may have been pushed with a delay. */
const restTick = 500;

const settingsText = `select extract(epoch from visibility_timeout) * 1000 as visibility_ms, notify = 'off' as is_silent
from queue.get_queue_settings($1, $2)`;

const workerOptions = z.strictObject({
  /** How many handlers run at the same time; default 10. */
  concurrency: z.int().min(1).max(10_000).default(10),
  /** Fewer for some queues. */
  perQueue: z.record(z.string(), z.int().min(1).max(10_000)).default({}),
  /** How many jobs a claim takes at most: a number, or by default what is about 20 ms of work. */
  prefetch: z.union([z.literal("auto"), z.int().min(1).max(1000)]).default("auto"),
  /** How long a lease lasts; by default as the queue has it. */
  visibilityTimeout: duration.optional(),
  /** How old a lease gets before it is renewed; by default half of its time. Looked at twice a second. */
  heartbeat: duration.optional(),
  /** How long a handler may run before its signal is aborted and the job is tried again; by default for ever. */
  timeout: duration.optional(),
  /** The longest time between two looks at a silent queue; default 5 s, and 1 s without a listener. */
  pollInterval: duration.optional(),
  /** How many connections claim and settle; default 2. Three more keep leases, tick and listen. */
  lanes: z.int().min(1).max(16).default(2),
  /** Whether this worker runs schedules, promotes delayed jobs and reclaims expired leases; default true. */
  tick: z.boolean().default(true),
  /** How long {@link Worker.stop} waits for handlers; default 30 s. */
  shutdownTimeout: duration.default("30s"),
  /** The name under which leases are held; by default the host, the process and a number. */
  workerId: z.string().min(1).max(200).optional(),
  /** Called with what goes wrong beside handlers, like the event `worker:error`. */
  onError: z.custom<(error: unknown) => void>((value) => typeof value === "function").optional(),
});

/** How a worker works. */
export type WorkerOptions = z.input<typeof workerOptions>;

/** What a worker tells. */
export interface WorkerEvents extends JobEvents {
  /** Nothing runs and nothing waits. */
  "worker:idle": [];
  /** Something went wrong beside handlers; the worker goes on. */
  "worker:error": [error: unknown];
}

/** What a worker gets from the client that makes it. */
export interface WorkerSetup {
  db: Database;
  namespace: string;
  /** Whether a listening connection may be used; without it the worker polls and prepares no statements. */
  isListening: boolean;
  handlers: Readonly<Record<string, Handler<never, never>>>;
  definitions: Readonly<Record<string, QueueDefinition>>;
  /** The `push` of a job's context. */
  pushFrom(job: Job): unknown;
}

interface Waiter {
  isMet: () => boolean;
  resolve: (isMet: boolean) => void;
}

let count = 0;

/** Runs the jobs of one or several queues. Made by `queue.worker(...)`, started by {@link start}. */
export class Worker extends EventEmitter<WorkerEvents> implements AsyncDisposable {
  readonly id: string;
  private readonly setup: WorkerSetup;
  private readonly options: z.output<typeof workerOptions>;
  private readonly pollInterval: number;
  private readonly sources: Source[] = [];
  private readonly doorbells: Doorbell[] = [];
  private readonly leases: Leases;
  private readonly crew: Crew;
  private readonly exchange: Exchange;
  private readonly clock: Clock;
  /** The connections of leases and clock. */
  private readonly lanes: readonly Lane[];
  private readonly waiters: Waiter[] = [];
  private control: Subscription | undefined;
  private state: "new" | "running" | "stopping" | "stopped" = "new";
  private isPaused = false;
  private started: Promise<void> | undefined;
  private stopped: Promise<void> | undefined;
  private isIdle = false;

  constructor(setup: WorkerSetup, options: WorkerOptions = {}) {
    super();
    const { db, namespace, isListening } = setup;
    const { sources } = this;
    this.setup = setup;
    this.options = parseOptions(workerOptions, options, "worker");
    const { concurrency, lanes, heartbeat, timeout, pollInterval, workerId } = this.options;
    this.id = workerId ?? `${hostname()}/${process.pid}/${++count}`;
    this.pollInterval = milliseconds(pollInterval ?? (isListening ? "5s" : "1s"));
    const onError = (error: unknown): void => this.report(error);
    const emitter: Emitter = {
      listenerCount: (event) => this.listenerCount(event),
      emit: (event, ...args) => this.tell(event, ...(args as never)),
    };
    const outcomes = new Outcomes(emitter);
    const [forLeases, forClock] = [new Lane(db), new Lane(db)];
    this.lanes = [forLeases, forClock];
    const leases = new Leases({
      db,
      own: forLeases,
      namespace,
      workerId: this.id,
      concurrency,
      sources,
      heartbeat: heartbeat === undefined ? undefined : milliseconds(heartbeat),
      timeout: timeout === undefined ? Number.POSITIVE_INFINITY : milliseconds(timeout),
      outcomes,
      giveBack: (source, moment) => this.exchange.giveBack(source, moment),
      onReleased: () => this.wakeAll(),
      onError,
    });
    this.leases = leases;
    this.crew = new Crew({
      sources,
      concurrency,
      host: {
        progress: (claim, value) => leases.progress(claim, value),
        extend: (claim, length) => leases.extend(claim, length),
        acknowledgeIn: (claim, fn) => leases.acknowledgeIn(claim, fn),
        pushFrom: (claim) => setup.pushFrom(claim),
      },
      onStart: (claim) => {
        if (this.listenerCount("job:start") > 0) this.tell("job:start", claim);
      },
      onLost: (claim) => outcomes.lose(claim),
      onStray: onError,
      onFree: (source) => {
        this.exchange.unparkFor(source);
        if (this.crew.active > 0) return;
        if (source.done.length === 1) this.exchange.flush(); // a lone job: nothing will come that it could ride with
        this.onChange();
      },
      onSettlement: () => this.exchange.unpark(),
    });
    this.exchange = new Exchange({
      db,
      namespace,
      laneCount: db.driver.isSingle ? 1 : lanes,
      isPrepared: isListening,
      concurrency,
      sources,
      crew: this.crew,
      leases,
      outcomes,
      isClaiming: () => this.isClaiming,
      isStopping: () => this.state === "stopping",
      onChange: () => this.onChange(),
      onDelayed: () => this.tickIn(0),
      onError,
    });
    const onWork = (): void => this.wakeAll();
    this.clock = new Clock({ db: forClock, namespace, interval: this.pollInterval, onWork, onError });
  }

  /**
   * Starts claiming. Rejects if the database cannot be reached or lacks the queue's schema, and may then be called again; from
   * then on the worker goes on through any failure of the database.
   *
   * @throws {StateError} `worker_stopped` after {@link stop}: make a new worker
   */
  start(): Promise<void> {
    if (this.stopped) return Promise.reject(stopped(`worker ${this.id} was stopped`, "Make a new one"));
    this.started ??= this.open().catch(async (error: unknown) => {
      await this.hangUp();
      for (const lane of this.lanes) lane.close();
      this.sources.length = 0;
      this.started = undefined;
      throw error;
    });
    return this.started;
  }

  /** Stops claiming until {@link resume}; what was claimed is still worked off. A worker may be paused before it starts. */
  pause(): void {
    this.isPaused = true;
  }

  /** Claims again. */
  resume(): void {
    this.isPaused = false;
    this.wakeAll();
  }

  /**
   * Waits until nothing is ready in its queues, unless it is paused, and all it claimed is settled; or until it is stopped. The
   * worker goes on.
   */
  async drain(): Promise<void> {
    await this.start();
    const finished = (): number => this.sources.reduce((sum, source) => sum + source.finished, 0);
    for (let before = -1; before !== finished(); ) {
      before = finished(); // a job that ends may have pushed others, so look again after it
      if (this.options.tick) await this.clock.tick(); // what is due is ready
      this.wakeAll();
      await this.until(() => this.isAtRest());
    }
  }

  /** Starts, works until nothing is ready, and stops: for scripts and cron. */
  async run(_options: { until: "empty" }): Promise<void> {
    try {
      await this.drain();
    } finally {
      await this.stop();
    }
  }

  /**
   * Stops: claims no more, gives back what has not started, waits for handlers, aborts their signals at the deadline, settles
   * what is done and gives back the rest. A handler that ignores its signal is left behind after another second; a database that
   * does not answer is given up, with a `worker:error`, 5 s after the deadline. Nothing is lost: what could not be given back
   * goes back when its lease ends.
   */
  stop(options: { deadline?: Duration } = {}): Promise<void> {
    this.stopped ??= this.close(milliseconds(options.deadline ?? this.options.shutdownTimeout));
    return this.stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  private get isClaiming(): boolean {
    return this.state === "running" && !this.isPaused;
  }

  private async open(): Promise<void> {
    for (const [name, handler] of Object.entries(this.setup.handlers)) await this.addSource(name, handler);
    if (this.setup.isListening) await this.listen();
    if (this.stopped) return;
    await this.leases.open();
    this.state = "running";
    this.exchange.start();
    this.tickIn(0);
  }

  private async addSource(name: string, handler: Handler<never, never>): Promise<void> {
    const { db, namespace, isListening, definitions } = this.setup;
    const { concurrency, perQueue, prefetch, visibilityTimeout } = this.options;
    const { rows } = await db
      .query<{ visibility_ms: string; is_silent: boolean }>(settingsText, [namespace, name])
      .catch(rethrow);
    const options = {
      name,
      schema: definitions[name]?.schema,
      handler,
      batchSize: typeof handler === "object" ? handler.size : 1,
      limit: perQueue[name] ?? concurrency,
      prefetch,
      visibilityTimeout: milliseconds(visibilityTimeout ?? Number(rows[0]?.visibility_ms)),
    };
    const bell =
      isListening && !rows[0]?.is_silent
        ? new Doorbell(db, namespace, name, {
            onRing: (isGap) => source.watch.ring(isGap),
            onError: (error) => this.report(error),
          })
        : undefined;
    const watch = {
      bell,
      pollInterval: this.pollInterval,
      isRunning: () => this.isClaiming,
      onWake: () => this.exchange.unpark(),
      onRest: (isRiddle: boolean) => this.tickIn(isRiddle ? 0 : restTick), // maybe a job that is due later
    };
    const source: Source = new Source(options, watch, () => this.exchange.unpark());
    this.sources.push(source);
    if (!bell) return;
    this.doorbells.push(bell);
    await bell.open();
  }

  /** Hears of requests to cancel a job. */
  private async listen(): Promise<void> {
    const { db } = this.setup;
    this.control = await db.subscribe(await call(db, controlChannel, {}, this.setup), {
      onMessage: (text) => {
        const id = idToCancel(text);
        this.leases.eachRunning((claim) => {
          if (claim.id === id) claim.abort(new JobCancelledError(claim.id));
        });
      },
      onGap: () => {},
    });
  }

  private async close(deadline: number): Promise<void> {
    void this.shutDown(performance.now() + deadline)
      .catch((error: unknown) => this.report(error))
      .finally(() => this.end());
    if (await this.until(() => this.state === "stopped", deadline + lastPatience)) return;
    const hint = "What was not settled goes back to its queue when its lease ends";
    this.report(stopped(`worker ${this.id} has stopped without an answer of the database`, hint));
    this.end();
  }

  private async shutDown(deadline: number): Promise<void> {
    const left = (least: number): number => Math.max(deadline - performance.now(), least);
    await this.started?.catch(() => {});
    const ticked = this.clock.stop();
    if (this.state === "running") {
      this.state = "stopping";
      for (const source of this.sources) this.exchange.giveBack(source);
      if (!(await this.until(() => this.crew.active === 0, left(0)))) await this.abort();
      this.exchange.flush();
      await this.until(() => this.exchange.isFlushed, left(lastWords));
      this.exchange.end();
      await this.leases.close();
    }
    await this.hangUp();
    await ticked;
  }

  /** Stops listening. */
  private async hangUp(): Promise<void> {
    const bells = this.doorbells.splice(0);
    await Promise.allSettled([this.control?.stop(), ...bells.map((bell) => bell.close())]);
  }

  /** Ends at once whatever has not ended by itself. */
  private end(): void {
    this.state = "stopped";
    this.exchange.end();
    for (const lane of this.lanes) lane.end();
    for (const source of this.sources) source.stop();
    this.onChange();
  }

  /** The deadline has passed: handlers are told, and the jobs of those that do not listen go back without them. */
  private async abort(): Promise<void> {
    this.leases.eachRunning((claim) => claim.abort(new WorkerStoppedError()));
    await this.until(() => this.crew.active === 0, lastWords);
    this.leases.eachRunning((claim) => {
      claim.state = "ended";
      claim.batch.source.settlements.push({ claim, outcome: "release" });
    });
  }

  private wakeAll(): void {
    for (const source of this.sources) source.watch.wake(true);
  }

  private tickIn(delay: number): void {
    if (this.options.tick) this.clock.tickIn(delay);
  }

  private isAtRest(): boolean {
    const isCold = ({ watch }: Source): boolean => watch.heat === "cold";
    if (this.state === "stopped") return true;
    return (!this.isClaiming || this.sources.every(isCold)) && this.crew.active === 0 && this.exchange.isFlushed;
  }

  /** Waits for a condition, for at most so long. */
  private until(isMet: () => boolean, limit?: number): Promise<boolean> {
    if (isMet()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const waiter: Waiter = {
        isMet,
        resolve: (result) => {
          clearTimeout(timer);
          this.waiters.splice(this.waiters.indexOf(waiter), 1);
          resolve(result);
        },
      };
      const timer = limit === undefined ? undefined : setTimeout(() => waiter.resolve(false), limit);
      this.waiters.push(waiter);
    });
  }

  private onChange(): void {
    for (const waiter of [...this.waiters]) if (waiter.isMet()) waiter.resolve(true);
    const isIdle = this.isClaiming && this.isAtRest();
    if (isIdle && !this.isIdle) this.tell("worker:idle");
    this.isIdle = isIdle;
  }

  /** Emits an event; what a listener throws must not keep jobs from being settled. */
  private tell<Event extends keyof WorkerEvents>(event: Event, ...args: WorkerEvents[Event]): boolean {
    try {
      return (this as EventEmitter).emit(event, ...args);
    } catch (error) {
      if (event === "worker:error") this.warn(error);
      else this.report(error);
      return true;
    }
  }

  /** Tells what went wrong. */
  private report(error: unknown): void {
    const { onError } = this.options;
    try {
      onError?.(error);
    } catch (thrown) {
      this.warn(thrown);
    }
    if (!this.tell("worker:error", error) && !onError) this.warn(error);
  }

  private warn(error: unknown): void {
    process.emitWarning(`queue worker ${this.id}: ${errorText(error)}`);
  }
}

/** The job that a notification asks to cancel, if that is what it says: anybody may notify anything. */
function idToCancel(text: string): string | undefined {
  try {
    return String((JSON.parse(text) as { cancel?: unknown } | null)?.cancel);
  } catch {
    return undefined;
  }
}

const stopped = (message: string, hint: string): StateError =>
  new StateError(message, { module: "queue", code: "worker_stopped", sqlstate: "55000", hint });
