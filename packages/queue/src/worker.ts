// The worker: claims jobs, runs handlers, settles what they leave behind.
//
// A few lanes, each a connection with at most one exchange under way, serve all queues of the worker. An exchange settles jobs
// that are done and claims the next ones in one round trip and one commit. Claimed jobs wait in memory, handled ones until the
// next exchange, at most 5 ms. Handlers run in slots, loops that take one waiting job after the other, so that a job costs one
// `await` and no timer, no promise chain and no abort controller of its own.
import { EventEmitter } from "node:events";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import {
  backoff,
  call,
  type Database,
  type Duration,
  isConnectionFailure,
  milliseconds,
  type Subscription,
  type Transaction,
  toHowdahError,
} from "@howdah/core";
import { z } from "zod";
import type { QueueDefinition } from "./definition.ts";
import { Doorbell } from "./doorbell.ts";
import {
  isFenceStale,
  JobCancelledError,
  JobLostError,
  JobTimeoutError,
  rethrow,
  WorkerStoppedError,
} from "./errors.ts";
import {
  ack,
  controlChannel,
  extendVisibility,
  heartbeat,
  registerWorker,
  setProgress,
  unregisterWorker,
} from "./functions.ts";
import { type Claim, type ClaimedRow, Context, type Host, type Job, type JobContext, type Session } from "./job.ts";
import { Lane } from "./lane.ts";
import { duration, parseOptions } from "./options.ts";
import { parsePayload } from "./payload.ts";
import { errorText, type Settlement, settlementOf, settlementsJson } from "./settle.ts";
import { Source } from "./source.ts";

/** Acknowledgements wait this long for the next claim to ride on. */
const flushDelay = 5;
/** A claimed job that has not started after this long is given back. */
const patience = 2000;
/** How often leases, timeouts and waiting jobs are looked at. */
const beat = 500;
/** How often a worker says that it lives; after 30 s of silence its jobs are given to others. */
const signOfLife = 10_000;
/** Progress is written at most this often. */
const progressDelay = 200;
/** How long handlers get to end once their signal was aborted by a stop. */
const lastWords = 1000;
/** The shortest time between two ticks. */
const minTick = 25;

// How long until something falls due is reckoned by the database's clock alone; this machine's may be wrong.
const tickText = `select promoted + fired + reclaimed + admitted > 0 as has_work,
  extract(epoch from next_due_at - howdah.now()) * 1000 as due_in
from queue.tick($1)`;
const settleText = "select job_id, outcome from queue.settle_batch($1, $2::jsonb)";
const releaseText = "select queue.release_batch($1, $2::bigint[], $3::bigint[])";
const settingsText = `select extract(epoch from visibility_timeout) * 1000 as visibility_ms
from queue.get_queue_settings($1, $2)`;

const workerOptions = z.strictObject({
  /** How many handlers run at the same time; default 10. */
  concurrency: z.int().min(1).max(10_000).default(10),
  /** Fewer for some queues. */
  perQueue: z.record(z.string(), z.int().min(1).max(10_000)).default({}),
  /** How many jobs a claim takes: a number, or by default what is about 20 ms of work. */
  prefetch: z.union([z.literal("auto"), z.int().min(1).max(1000)]).default("auto"),
  /** How long a lease lasts; by default as the queue has it. */
  visibilityTimeout: duration.optional(),
  /** How often leases of long-running jobs are renewed; by default after half of their time. */
  heartbeat: duration.optional(),
  /** How long a handler may run before its signal is aborted and the job is tried again; by default for ever. */
  timeout: duration.optional(),
  /** The longest time between two looks at a silent queue; default 5 s, and 1 s without a listener. */
  pollInterval: duration.optional(),
  /** How many connections claim and settle; default 2. */
  lanes: z.int().min(1).max(16).default(2),
  /** Whether this worker runs schedules and reclaims expired leases; default true. */
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
export interface WorkerEvents {
  "job:start": [job: Job];
  /** The job is done and settled. */
  "job:complete": [job: Job];
  /** The job failed or was snoozed, and will run again. */
  "job:retry": [job: Job, error: unknown];
  /** The job failed for good and is a dead letter. */
  "job:dead": [job: Job, error: unknown];
  /** The lease ended before the job was settled: it runs again, maybe elsewhere. */
  "job:lost": [job: Job];
  "job:cancelled": [job: Job];
  /** Nothing runs and nothing waits. */
  "worker:idle": [];
  "worker:error": [error: unknown];
}

/** What may become of one job of a batch: nothing for done, or what a handler would have thrown. */
export type BatchResult = undefined | Error;

/** A handler of many jobs at once, made by {@link batchHandler}. */
export interface BatchHandler<Payload, Push = unknown> {
  readonly size: number;
  readonly run: (jobs: readonly Job<Payload>[], contexts: readonly JobContext<Push>[]) => unknown;
}

/**
 * Makes a handler that gets up to `size` waiting jobs at once, for work that is cheaper together.
 *
 * It may return one result per job, in their order: undefined for done, or an error, treated as if a handler of that job had
 * thrown it. If it throws, all of them failed.
 */
export function batchHandler<Payload, Push = unknown>(
  size: number,
  run: BatchHandler<Payload, Push>["run"],
): BatchHandler<Payload, Push> {
  return { size, run };
}

/** A handler of single jobs, or of batches. */
export type Handler<Payload, Push = unknown> =
  | ((job: Job<Payload>, context: JobContext<Push>) => unknown)
  | BatchHandler<Payload, Push>;

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

type State = "new" | "running" | "paused" | "stopping" | "stopped";

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
  private readonly host: Host;
  private readonly lanes: Lane[] = [];
  private session: Session;
  private readonly retired = new Set<Session>();
  private sessionCount = 1;
  private control: Subscription | undefined;
  private livedAt = 0;
  private readonly sources: Source[] = [];
  private readonly parked: (() => void)[] = [];
  private readonly waiters: Waiter[] = [];
  private readonly unwritten = new Map<Claim, unknown>();
  private readonly pollInterval: number;
  private readonly heartbeatAfter: number | undefined;
  private readonly timeout: number;
  private state: State = "new";
  private started: Promise<void> | undefined;
  private stopped: Promise<void> | undefined;
  private driven: Promise<unknown> = Promise.resolve();
  private active = 0;
  private requested = 0;
  private buffered = 0;
  private trades = 0;
  private turn = 0;
  private isIdle = false;
  private beatTimer: NodeJS.Timeout | undefined;
  private beating: Promise<void> | undefined;
  private tickTimer: NodeJS.Timeout | undefined;
  private tickAt = Number.POSITIVE_INFINITY;
  private ticking: Promise<void> | undefined;
  private progressTimer: NodeJS.Timeout | undefined;

  constructor(setup: WorkerSetup, options: WorkerOptions = {}) {
    super();
    this.setup = setup;
    this.options = parseOptions(workerOptions, options, "worker");
    this.id = this.options.workerId ?? `${hostname()}/${process.pid}/${++count}`;
    this.session = { workerId: this.id, left: 0, isRegistered: false };
    this.pollInterval = milliseconds(this.options.pollInterval ?? (setup.isListening ? "5s" : "1s"));
    this.heartbeatAfter = this.options.heartbeat === undefined ? undefined : milliseconds(this.options.heartbeat);
    this.timeout = this.options.timeout === undefined ? Number.POSITIVE_INFINITY : milliseconds(this.options.timeout);
    this.host = {
      db: setup.db,
      progress: (claim, value) => this.progress(claim, value),
      extend: (claim, length) => this.extend(claim, length),
      pushFrom: (claim) => setup.pushFrom(claim),
      acknowledgeIn: (claim, fn) => this.acknowledgeIn(claim, fn),
    };
  }

  /**
   * Starts claiming. Rejects if the database cannot be reached or lacks the queue's schema; from then on the worker goes on
   * through any failure of the database.
   */
  start(): Promise<void> {
    this.started ??= this.open();
    return this.started;
  }

  /** Stops claiming until {@link resume}; what was claimed is still worked off. */
  pause(): void {
    if (this.state === "running") this.state = "paused";
  }

  /** Claims again. */
  resume(): void {
    if (this.state !== "paused") return;
    this.state = "running";
    this.wakeAll();
  }

  /** Waits until nothing is ready in its queues and all it claimed is settled. The worker goes on. */
  async drain(): Promise<void> {
    await this.start();
    for (const source of this.sources) {
      source.forgetFloors();
      this.wake(source);
    }
    await this.until(() => this.isAtRest());
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
   * what is done and gives back the rest. Nothing is lost.
   */
  stop(options: { deadline?: Duration } = {}): Promise<void> {
    this.stopped ??= this.close(milliseconds(options.deadline ?? this.options.shutdownTimeout));
    return this.stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  // --- opening and closing

  private async open(): Promise<void> {
    const { setup, options } = this;
    for (const [name, handler] of Object.entries(setup.handlers)) await this.addSource(name, handler);
    await this.register();
    if (setup.isListening) await this.listen();
    if (this.state !== "new") return;
    this.state = "running";
    const laneCount = setup.db.driver.isSingle ? 1 : options.lanes;
    for (let i = 0; i < laneCount; i++) {
      this.lanes.push(new Lane(setup.db, setup.isListening && !setup.db.driver.isSingle));
    }
    this.driven = Promise.all(this.lanes.map((lane) => this.drive(lane)));
    this.beatTimer = setInterval(() => this.onBeat(), beat);
    if (options.tick) this.tickIn(0);
  }

  private async register(): Promise<void> {
    const { session } = this;
    const args = {
      workerId: session.workerId,
      queues: this.sources.map((source) => source.name),
      host: hostname(),
      pid: process.pid,
      concurrency: this.options.concurrency,
    };
    this.livedAt = performance.now();
    await call(this.setup.db, registerWorker, args, this.context);
    session.isRegistered = true;
  }

  /** A connection broke during a claim: goes on under a new name, so that what was claimed unseen can be told apart. */
  private renew(): void {
    this.retired.add(this.session);
    this.session = { workerId: `${this.id}~${++this.sessionCount}`, left: 0, isRegistered: false };
  }

  /** Hears of requests to cancel a job. */
  private async listen(): Promise<void> {
    this.control = await this.setup.db.subscribe(await call(this.setup.db, controlChannel, {}, this.context), {
      onMessage: (text) => {
        const { cancel } = JSON.parse(text) as { cancel?: unknown };
        this.eachRunning((claim) => {
          if (claim.id === String(cancel)) claim.abort(new JobCancelledError(claim.id));
        });
      },
      onGap: () => {},
    });
  }

  private async addSource(name: string, handler: Handler<never, never>): Promise<void> {
    const { setup, options } = this;
    const { rows } = await setup.db
      .query<{ visibility_ms: string }>(settingsText, [setup.namespace, name])
      .catch(rethrow);
    const bell = setup.isListening
      ? new Doorbell(
          setup.db,
          setup.namespace,
          name,
          (isGap) => this.ring(source, isGap),
          (error) => this.report(error),
        )
      : undefined;
    const source: Source = new Source(
      {
        name,
        schema: setup.definitions[name]?.schema,
        handler,
        batchSize: typeof handler === "object" ? handler.size : 1,
        limit: options.perQueue[name] ?? options.concurrency,
        prefetch: options.prefetch,
        visibilityTimeout: milliseconds(options.visibilityTimeout ?? Number(rows[0]?.visibility_ms)),
      },
      bell,
    );
    this.sources.push(source);
    await bell?.open();
  }

  private async close(deadline: number): Promise<void> {
    await this.started?.catch(() => {});
    const wasRunning = this.state === "running" || this.state === "paused";
    this.state = wasRunning ? "stopping" : "stopped";
    clearTimeout(this.tickTimer);
    if (wasRunning) {
      for (const source of this.sources) this.giveBack(source, Number.POSITIVE_INFINITY);
      if (!(await this.until(() => this.active === 0, deadline))) {
        this.eachRunning((claim) => claim.abort(new WorkerStoppedError()));
        await this.until(() => this.active === 0, lastWords);
        this.eachRunning((claim) => this.abandon(claim));
      }
      this.flush();
      await this.until(() => this.isFlushed(), Math.max(deadline, lastWords));
      this.state = "stopped";
      this.unpark();
      await this.driven;
    }
    clearInterval(this.beatTimer);
    clearTimeout(this.progressTimer);
    await Promise.allSettled([this.beating, this.ticking, this.writeProgress()]);
    for (const source of this.sources) {
      clearTimeout(source.timer);
      clearTimeout(source.flushTimer);
    }
    const sessions = wasRunning ? [this.session, ...this.retired] : [];
    await Promise.allSettled([
      this.control?.stop(),
      ...this.sources.map((source) => source.bell?.close()),
      ...sessions.map(({ workerId }) => call(this.setup.db, unregisterWorker, { workerId }, this.context)),
    ]);
  }

  /** A handler that does not end in time: its job goes back, and whatever it still does is ignored. */
  private abandon(claim: Claim): void {
    claim.abort(new WorkerStoppedError());
    claim.state = "ended";
    claim.batch.source.settlements.push({ claim, outcome: "release" });
  }

  // --- lanes

  private async drive(lane: Lane): Promise<void> {
    let failures = 0;
    while (this.state !== "stopped") {
      const source = this.pick();
      if (!source) {
        if (this.setup.db.driver.isSingle) lane.release();
        await new Promise<void>((resolve) => this.parked.push(resolve));
        continue;
      }
      this.trades++;
      try {
        if (source.settlements.length > 0) await this.settle(lane, source);
        await this.trade(lane, source);
        failures = 0;
      } catch (error) {
        this.report(error);
        failures++;
      }
      this.trades--;
      this.changed();
      if (failures > 0 && !this.hasState("stopped")) {
        await sleep(backoff(failures, 50, 5000) * (0.5 + Math.random() / 2));
      }
    }
    lane.release();
  }

  private hasState(state: State): boolean {
    return this.state === state;
  }

  /** The next source that needs an exchange. */
  private pick(): Source | undefined {
    const { sources } = this;
    for (let i = 0; i < sources.length; i++) {
      const source = sources[this.turn++ % sources.length] as Source;
      if (this.wanted(source) > 0 && source.heat === "hot") return source;
      if (source.settlements.length > 0) return source;
      if (source.isFlushDue && (source.done.length > 0 || source.doneLeases.length > 0)) return source;
    }
    return undefined;
  }

  /** How many jobs to claim for a source now. */
  private wanted(source: Source): number {
    if (this.state !== "running" || source.heat === "cold") return 0;
    const others = this.buffered - source.buffered + this.requested - source.requested;
    const free = Math.min(source.options.limit - source.active, this.options.concurrency - this.active - others);
    return source.wanted(Math.max(0, free), this.lanes.length);
  }

  /** One exchange: settles what is done, claims what is wanted. */
  private async trade(lane: Lane, source: Source): Promise<void> {
    const { namespace } = this.setup;
    const { session } = this;
    const limit = this.wanted(source);
    const { done, doneLeases } = source;
    if (limit === 0 && done.length === 0 && doneLeases.length === 0) {
      source.isFlushDue = false;
      return;
    }
    source.done = [];
    source.doneLeases = [];
    source.isFlushDue = false;
    let ids: string | null = null;
    let fences: string | null = null;
    if (done.length > 0) {
      ids = `{${done[0]?.id}`;
      fences = `{${done[0]?.fence}`;
      for (let i = 1; i < done.length; i++) {
        const claim = done[i] as Claim;
        ids += `,${claim.id}`;
        fences += `,${claim.fence}`;
      }
      ids += "}";
      fences += "}";
    }
    const startedAt = performance.now();
    source.measure(startedAt);
    const isSweep = source.isSweepDue(startedAt);
    const { rings } = source;
    source.requested += limit;
    this.requested += limit;
    let rows: ClaimedRow[];
    try {
      rows = await lane.exchange([
        namespace,
        source.name,
        limit,
        session.workerId,
        `${source.options.visibilityTimeout} milliseconds`,
        ids,
        fences,
        doneLeases.length > 0 ? `{${doneLeases.join(",")}}` : null,
        isSweep ? null : source.floorsJson(),
      ]);
    } catch (error) {
      if (isConnectionFailure(error)) {
        for (const claim of done) claim.isUnsure = true;
        if (session === this.session) this.renew();
      }
      source.done = done.concat(source.done);
      source.doneLeases = doneLeases.concat(source.doneLeases);
      this.flushSoon(source);
      throw error;
    } finally {
      source.requested -= limit;
      this.requested -= limit;
    }
    const now = performance.now();
    if (rows.length > 0 && rows.some((row) => row.attempts === null)) rows = this.takeLost(rows, done);
    this.settled(source, done);
    if (limit === 0) return;
    if (isSweep) source.swept(startedAt, now);
    const claims = source.accept(rows, session, now);
    this.buffered += claims.length;
    this.cool(source, claims.length, limit, isSweep, rings, now);
    if (this.hasState("stopping") || this.hasState("stopped")) this.giveBack(source, Number.POSITIVE_INFINITY);
    else this.pump();
  }

  /** Acknowledgements that were refused: their jobs had been lost before. */
  private takeLost(rows: ClaimedRow[], done: Claim[]): ClaimedRow[] {
    const lost = new Map(rows.filter((row) => row.attempts === null).map((row) => [row.id, row.fence_token]));
    for (const claim of done) if (lost.get(claim.id) === claim.fence) this.lose(claim);
    return rows.filter((row) => row.attempts !== null);
  }

  /** Everything of these jobs has reached the database. */
  private settled(source: Source, claims: readonly Claim[]): void {
    const isHeard = this.listenerCount("job:complete") > 0;
    for (const claim of claims) {
      if (claim.state === "gone") continue;
      this.forget(claim);
      if (isHeard) this.emit("job:complete", claim);
    }
    if (source.doneLeases.length > 0) this.flushSoon(source);
  }

  /** The job is none of this worker's business any more. */
  private forget(claim: Claim): void {
    if (claim.state === "gone") return;
    claim.state = "gone";
    const { batch } = claim;
    batch.session.left--;
    if (--batch.left === 0) {
      batch.source.batches.delete(batch);
      batch.source.doneLeases.push(batch.leaseId);
    }
  }

  private lose(claim: Claim): void {
    if (claim.state === "gone") return;
    const isKnown = !claim.isUnsure;
    claim.abort(new JobLostError(claim.id));
    this.forget(claim);
    if (isKnown) this.emit("job:lost", claim);
  }

  /** Settles jobs that did not simply end: those that go back as if never claimed, or else the others. */
  private async settle(lane: Lane, source: Source): Promise<void> {
    const { namespace } = this.setup;
    const isReturned = ({ outcome }: Settlement): boolean => outcome === "release";
    const returned = source.settlements.filter(isReturned);
    const some = (returned.length > 0 ? returned : source.settlements).slice(0, 1000);
    source.settlements = source.settlements.filter((settlement) => !some.includes(settlement));
    try {
      if (returned.length > 0) {
        const ids = `{${some.map(({ claim }) => claim.id).join(",")}}`;
        const fences = `{${some.map(({ claim }) => claim.fence).join(",")}}`;
        await lane.query(releaseText, "howdah_queue_release", [namespace, ids, fences]);
        for (const { claim } of some) this.forget(claim);
      } else {
        const values = [namespace, settlementsJson(some)];
        const rows = await lane.query<{ job_id: string; outcome: string }>(settleText, "howdah_queue_settle", values);
        const outcomes = new Map(rows.map((row) => [row.job_id, row.outcome]));
        for (const settlement of some) this.conclude(settlement, outcomes.get(settlement.claim.id));
        this.tickIn(20);
      }
    } catch (error) {
      if (isConnectionFailure(error)) for (const { claim } of some) claim.isUnsure = true;
      source.settlements = some.concat(source.settlements);
      throw error;
    }
  }

  private conclude({ claim, error }: Settlement, outcome: string | undefined): void {
    if (claim.state === "gone") return;
    if (outcome === "lost" || outcome === undefined) {
      this.lose(claim);
      return;
    }
    this.forget(claim);
    if (outcome === "dead") this.emit("job:dead", claim, error);
    else if (outcome === "cancelled") this.emit("job:cancelled", claim);
    else if (outcome === "retry" || outcome === "snoozed") this.emit("job:retry", claim, error);
  }

  // --- heat: when to look at a queue

  private cool(source: Source, taken: number, limit: number, isSweep: boolean, rings: number, now: number): void {
    const { bell } = source;
    if (taken > 1) void bell?.disarm();
    if (taken > 0) {
      source.hasRung = false;
      source.pollDelay = 0;
      this.isIdle = false;
    }
    if (taken >= limit || source.rings !== rings) {
      source.heat = "hot";
    } else if (!isSweep && source.isSweepDue(now)) {
      source.heat = "hot";
    } else if (taken > 0 || !isSweep) {
      source.heat = "warm";
      if (isSweep) this.flushSoon(source);
      else this.sleep(source, source.sweepsIn(now));
    } else {
      this.rest(source);
    }
  }

  /** A look at all of the queue found nothing. */
  private rest(source: Source): void {
    source.heat = "cold";
    const { bell } = source;
    if (bell?.isArmed) {
      this.sleep(source, this.pollInterval);
      // Somebody rang and nothing is ready: it may be a job that is due later.
      this.tickIn(source.hasRung ? minTick : beat);
      source.hasRung = false;
    } else if (!bell || source.pollDelay > 0) {
      this.poll(source);
    }
    if (bell && !bell.isArmed && !source.isArming) void this.arm(source, bell);
  }

  private async arm(source: Source, bell: Doorbell): Promise<void> {
    source.isArming = true;
    const isArmed = await bell.arm();
    source.isArming = false;
    if (isArmed) {
      source.forgetFloors();
      this.wake(source);
    } else if (source.heat === "cold") {
      this.poll(source);
    }
  }

  private poll(source: Source): void {
    source.pollDelay = Math.min(source.pollDelay * 2 || 20, source.bell ? 1000 : this.pollInterval, this.pollInterval);
    this.sleep(source, source.pollDelay);
  }

  private sleep(source: Source, delay: number): void {
    clearTimeout(source.timer);
    if (this.state !== "running") return;
    source.timer = setTimeout(() => {
      source.forgetFloors();
      this.wake(source);
    }, delay);
  }

  private ring(source: Source, isGap: boolean): void {
    source.hasRung = true;
    if (isGap) source.forgetFloors();
    this.wake(source);
  }

  private wake(source: Source): void {
    clearTimeout(source.timer);
    source.rings++;
    source.heat = "hot";
    this.unpark();
  }

  private wakeAll(): void {
    for (const source of this.sources) this.wake(source);
  }

  private unpark(): void {
    if (this.parked.length === 0) return;
    const parked = this.parked.splice(0);
    for (const resolve of parked) resolve();
  }

  /** Lets acknowledgements wait for the next claim, but not long. */
  private flushSoon(source: Source): void {
    if (source.flushTimer) return;
    source.flushTimer = setTimeout(() => {
      source.flushTimer = undefined;
      source.isFlushDue = true;
      if (source.heat === "warm") source.heat = "hot";
      this.unpark();
    }, flushDelay);
  }

  private flush(): void {
    for (const source of this.sources) source.isFlushDue = true;
    this.unpark();
  }

  // --- slots: running handlers

  private pump(): void {
    const { concurrency } = this.options;
    while (this.active < concurrency && this.buffered > 0) {
      const claim = this.next();
      if (!claim) return;
      void this.slot(claim);
    }
  }

  /** The next waiting job whose queue has a handler to spare, each queue in its turn. */
  private next(): Claim | undefined {
    if (this.buffered === 0) return undefined;
    const { sources } = this;
    for (let i = 0; i < sources.length; i++) {
      const source = sources[this.turn++ % sources.length] as Source;
      if (source.active >= source.options.limit) continue;
      const claim = source.take();
      if (claim) {
        this.buffered--;
        source.active++;
        return claim;
      }
    }
    return undefined;
  }

  /** Runs one job after the other while there are any. */
  private async slot(first: Claim): Promise<void> {
    this.active++;
    for (let claim: Claim | undefined = first; claim; claim = this.next()) {
      const { source } = claim.batch;
      const { handler, schema } = source.options;
      if (typeof handler === "object") {
        await this.runBatch(source, handler, claim);
      } else {
        this.begin(claim);
        try {
          if (schema) claim.payload = await parsePayload(schema, claim.payload);
          const result = handler(
            claim as unknown as Job<never>,
            new Context(this.host, claim) as unknown as JobContext<never>,
          );
          if (isThenable(result)) await result;
          this.done(claim);
        } catch (error) {
          this.failed(claim, error);
        }
      }
      source.active--;
      if (this.parked.length > 0 && source.heat === "hot" && this.wanted(source) > 0) this.unpark();
    }
    this.active--;
    if (this.parked.length > 0) this.unpark();
    this.changed();
  }

  private async runBatch(source: Source, handler: BatchHandler<never, never>, first: Claim): Promise<void> {
    const claims = [first];
    while (claims.length < handler.size) {
      const claim = source.take();
      if (!claim) break;
      this.buffered--;
      claims.push(claim);
    }
    const { schema } = source.options;
    const ready: Claim[] = [];
    for (const claim of claims) {
      this.begin(claim);
      try {
        if (schema) claim.payload = await parsePayload(schema, claim.payload);
        ready.push(claim);
      } catch (error) {
        this.failed(claim, error);
      }
    }
    if (ready.length === 0) return;
    try {
      const contexts = ready.map((claim) => new Context(this.host, claim) as unknown as JobContext<never>);
      const results: unknown = await handler.run(ready as unknown as Job<never>[], contexts);
      ready.forEach((claim, i) => {
        const result: unknown = Array.isArray(results) ? results[i] : undefined;
        if (result instanceof Error) this.failed(claim, result);
        else this.done(claim);
      });
    } catch (error) {
      for (const claim of ready) this.failed(claim, error);
    }
  }

  private begin(claim: Claim): void {
    claim.state = "running";
    claim.startedAt = performance.now();
    if (this.listenerCount("job:start") > 0) this.emit("job:start", claim);
  }

  private done(claim: Claim): void {
    const { source } = claim.batch;
    source.finish();
    if (claim.state !== "running") return;
    claim.state = "ended";
    source.done.push(claim);
    if (source.flushTimer === undefined) this.flushSoon(source);
  }

  private failed(claim: Claim, error: unknown): void {
    const { source } = claim.batch;
    source.finish();
    if (claim.state !== "running") {
      if (!claim.reason) this.report(error);
      return;
    }
    claim.state = "ended";
    const settlement = settlementOf(claim, error);
    if (settlement) source.settlements.push(settlement);
    else this.lose(claim);
    this.unpark();
  }

  // --- what a handler asks for

  private progress(claim: Claim, value: unknown): void {
    if (claim.state !== "running") return;
    this.unwritten.set(claim, value);
    this.progressTimer ??= setTimeout(() => void this.writeProgress(), progressDelay);
  }

  private async writeProgress(): Promise<void> {
    clearTimeout(this.progressTimer);
    this.progressTimer = undefined;
    const written = [...this.unwritten];
    this.unwritten.clear();
    for (const [claim, value] of written) {
      if (claim.state === "gone") continue;
      const args = { jobId: claim.id, fence: claim.fence, progress: value };
      await call(this.setup.db, setProgress, args, this.context).catch((error) => this.onSettleError(claim, error));
    }
  }

  private async extend(claim: Claim, length: Duration): Promise<void> {
    const args = { jobId: claim.id, fence: claim.fence, extension: length };
    await call(this.setup.db, extendVisibility, args, this.context).catch((error) => {
      if (isFenceStale(error)) this.lose(claim);
      rethrow(error);
    });
    claim.renewedAt = performance.now() + milliseconds(length) - claim.batch.source.options.visibilityTimeout;
  }

  private async acknowledgeIn<T>(claim: Claim, fn: (tx: Transaction) => Promise<T>): Promise<T> {
    try {
      const result = await this.setup.db.transaction(async (tx) => {
        const value = await fn(tx);
        if (claim.state !== "running") throw claim.reason ?? new JobLostError(claim.id);
        await call(tx, ack, { jobId: claim.id, fence: claim.fence }, this.context).catch(rethrow);
        claim.state = "ended"; // so that no heartbeat takes the deleted row for a lost one
        return value;
      });
      this.settled(claim.batch.source, [claim]);
      return result;
    } catch (error) {
      if (claim.state === "ended") claim.state = "running";
      if (isConnectionFailure(error)) claim.isUnsure = true;
      if (isFenceStale(error)) this.lose(claim);
      throw error;
    }
  }

  private onSettleError(claim: Claim, error: unknown): void {
    if (isFenceStale(toHowdahError(error))) this.lose(claim);
    else this.report(error);
  }

  // --- the clock

  private onBeat(): void {
    const now = performance.now();
    for (const source of this.sources) {
      if (source.buffered > 0) {
        source.measure(now);
        this.giveBack(source, now - Math.min(patience, source.options.visibilityTimeout / 2));
      }
    }
    if (this.timeout !== Number.POSITIVE_INFINITY) {
      this.eachRunning((claim) => {
        if (now - claim.startedAt > this.timeout) claim.abort(new JobTimeoutError(claim.id, this.timeout));
      });
    }
    this.beating ??= this.live(now).finally(() => {
      this.beating = undefined;
    });
  }

  /** Says that the worker lives, renews the leases of old jobs, and hears which of them are lost or asked to stop. */
  private async live(now: number): Promise<void> {
    const old = new Map<string, Claim[]>();
    this.eachRunning((claim) => {
      const { batch } = claim;
      const { visibilityTimeout } = batch.source.options;
      const age = now - Math.max(claim.renewedAt, batch.claimedAt);
      if (age < (this.heartbeatAfter ?? visibilityTimeout / 2)) return;
      if (claim.reason instanceof JobTimeoutError) return; // its handler ignores the signal: let the lease end
      const key = `${visibilityTimeout} ${batch.session.workerId}`;
      const claims = old.get(key);
      if (claims) claims.push(claim);
      else old.set(key, [claim]);
    });
    try {
      for (const claims of old.values()) {
        for (let i = 0; i < claims.length; i += 1000) await this.extendLeases(claims.slice(i, i + 1000));
      }
      for (const session of this.retired) if (session.left === 0) await this.bury(session);
      if (!this.session.isRegistered) await this.register();
      if (now >= this.livedAt + signOfLife) {
        this.livedAt = now;
        for (const { workerId } of [this.session, ...this.retired]) {
          await call(this.setup.db, heartbeat, { workerId, jobIds: [], fences: [], extend: null }, this.context);
        }
      }
    } catch (error) {
      this.report(error);
    }
  }

  /** All jobs known of an old session are settled; what it still holds was never seen, and goes back. */
  private async bury(session: Session): Promise<void> {
    const released = await call(this.setup.db, unregisterWorker, { workerId: session.workerId }, this.context);
    this.retired.delete(session);
    if (released > 0) this.wakeAll();
  }

  private async extendLeases(claims: Claim[]): Promise<void> {
    const [{ batch }] = claims as [Claim];
    const now = performance.now();
    const args = {
      workerId: batch.session.workerId,
      jobIds: claims.map((claim) => claim.id),
      fences: claims.map((claim) => claim.fence),
      extend: batch.source.options.visibilityTimeout,
    };
    const rows = await call(this.setup.db, heartbeat, args, this.context);
    const byId = new Map(rows.map((row) => [row.jobId, row]));
    for (const claim of claims) {
      if (claim.state !== "running") continue;
      const row = byId.get(claim.id);
      if (!row?.alive) this.lose(claim);
      else if (row.cancelRequested) claim.abort(new JobCancelledError(claim.id));
      claim.renewedAt = now;
    }
  }

  /** Gives back waiting jobs that were claimed before a moment. */
  private giveBack(source: Source, moment: number): void {
    const claims = source.takeOlder(moment);
    if (claims.length === 0) return;
    this.buffered -= claims.length;
    for (const claim of claims) source.settlements.push({ claim, outcome: "release" });
    this.unpark();
  }

  private tickIn(delay: number): void {
    if (!this.options.tick || (this.state !== "running" && this.state !== "paused")) return;
    const at = performance.now() + delay;
    if (at >= this.tickAt) return;
    this.tickAt = at;
    clearTimeout(this.tickTimer);
    this.tickTimer = setTimeout(() => {
      this.tickAt = Number.POSITIVE_INFINITY;
      this.ticking ??= this.tick().finally(() => {
        this.ticking = undefined;
      });
    }, delay);
  }

  private async tick(): Promise<void> {
    let next = this.pollInterval * (0.75 + Math.random() / 2);
    try {
      const { rows } = await this.setup.db.query<{ has_work: boolean; due_in: string | null }>(tickText, [
        this.setup.namespace,
      ]);
      if (rows[0]?.has_work) this.wakeAll();
      const dueIn = rows[0]?.due_in;
      if (dueIn != null) next = Math.min(next, Math.max(minTick, Math.ceil(Number(dueIn))));
    } catch (error) {
      this.report(error);
    }
    this.tickIn(next);
  }

  // --- small things

  private get context(): { namespace: string } {
    return this.setup;
  }

  private eachRunning(visit: (claim: Claim) => void): void {
    for (const source of this.sources) {
      for (const batch of source.batches) for (const claim of batch.claims) if (claim.state === "running") visit(claim);
    }
  }

  /** Whether the database knows of all that happened here. */
  private isFlushed(): boolean {
    const isEmpty = ({ done, settlements, doneLeases }: Source): boolean =>
      done.length === 0 && settlements.length === 0 && doneLeases.length === 0;
    return this.trades === 0 && this.buffered === 0 && this.sources.every(isEmpty);
  }

  private isAtRest(): boolean {
    return this.active === 0 && this.sources.every((source) => source.heat === "cold") && this.isFlushed();
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

  private changed(): void {
    for (const waiter of [...this.waiters]) if (waiter.isMet()) waiter.resolve(true);
    const isIdle = this.state === "running" && this.isAtRest();
    if (isIdle && !this.isIdle) this.emit("worker:idle");
    this.isIdle = isIdle;
  }

  /** Tells what went wrong, without ever failing itself. */
  private report(error: unknown): void {
    this.options.onError?.(error);
    if (!this.emit("worker:error", error) && !this.options.onError) {
      process.emitWarning(`queue worker ${this.id}: ${errorText(error)}`);
    }
  }
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof (value as PromiseLike<unknown> | undefined)?.then === "function";
