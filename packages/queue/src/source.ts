// One queue as its worker sees it: jobs that wait in memory, jobs that are done, and what the next claim should ask for.
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Handler } from "./handler.ts";
import { type Batch, Claim, type ClaimedRow, type Session } from "./job.ts";
import type { Settlement } from "./settle.ts";
import { Watch, type WatchSetup } from "./watch.ts";

/** Acknowledgements wait this long for the next claim to ride on. */
const flushDelay = 5;
/** How many jobs 'auto' claims ahead: this many milliseconds of work, up to the most per claim. */
const autoAhead = 20;
const autoMost = 500;
/** A batch of a given size is cut to this many milliseconds of work, so that no job waits long for its turn. */
const givenAhead = 1000;
/** A claim without floors that takes less than this is no burden; slower ones may take up a twentieth of the time. */
const cheapClaim = 2;
const sweepShare = 20;
/** While claims come back full, even cheap ones are made only so often: starting at a floor is cheaper still. */
const busySweep = 10;

interface Floor {
  priority: number;
  fair_seq: string;
  scheduled_at: string;
}

/** How a source is set up. */
export interface SourceOptions {
  name: string;
  schema: StandardSchemaV1 | undefined;
  handler: Handler<never, never>;
  batchSize: number;
  /** How many handlers may run at the same time. */
  limit: number;
  prefetch: number | "auto";
  visibilityTimeout: number;
}

/** The state of one queue in a worker. */
export class Source {
  readonly name: string;
  readonly options: SourceOptions;
  readonly watch: Watch;
  readonly batches = new Set<Batch>();
  /** Handlers that run. */
  active = 0;
  /** Jobs asked for in claims under way. */
  requested = 0;
  /** Jobs handled so far. */
  finished = 0;
  /** Handled jobs that no exchange has acknowledged yet, and leases with nothing left in them. */
  done: Claim[] = [];
  doneLeases: string[] = [];
  /** What does not end in an acknowledgement. */
  settlements: Settlement[] = [];
  /** Acknowledgements have waited long enough. */
  isFlushDue = false;
  private flushTimer: NodeJS.Timeout | undefined;
  private readonly onFlush: () => void;
  private queued: Claim[] = [];
  private head = 0;
  private floors: Floor[] = [];
  /** Whether the last claim got all it asked for. */
  isFull = false;
  private sweptAt = Number.NEGATIVE_INFINITY;
  private sweepEvery = 0;
  private lastSweep = 0;
  private measuredAt = 0;
  private measuredFinished = 0;
  /** Jobs per millisecond, once known. */
  private rate: number | undefined;

  constructor(options: SourceOptions, watch: WatchSetup, onFlush: () => void) {
    this.name = options.name;
    this.options = options;
    this.watch = new Watch(this, watch);
    this.onFlush = onFlush;
  }

  // --- jobs

  /** How many claimed jobs wait for a handler. */
  get waiting(): number {
    return this.queued.length - this.head;
  }

  /** Takes the next waiting job. */
  take(): Claim | undefined {
    const claim = this.queued[this.head];
    if (claim === undefined) return undefined;
    if (++this.head === this.queued.length) {
      this.queued = [];
      this.head = 0;
    }
    return claim;
  }

  /** Takes away all waiting jobs that were claimed before a moment. */
  takeOlder(moment: number): Claim[] {
    const all = this.queued.slice(this.head);
    const older = all.filter((claim) => claim.batch.claimedAt < moment);
    this.queued = older.length === 0 ? all : all.filter((claim) => claim.batch.claimedAt >= moment);
    this.head = 0;
    return older;
  }

  /** Takes in claimed rows, in the order of the queue. */
  accept(rows: ClaimedRow[], session: Session, now: number): void {
    const [first] = rows;
    if (first === undefined) return;
    if (!rows.every((row, i) => i === 0 || isBefore(rows[i - 1] as ClaimedRow, row))) {
      rows.sort((a, b) => (isBefore(a, b) ? -1 : 1));
    }
    this.raiseFloors(rows);
    if (this.active === 0 && this.waiting === 0) this.beginMeasuring(now);
    const batch: Batch = {
      leaseId: first.lease_id,
      source: this,
      session,
      claims: [],
      claimedAt: now,
      left: rows.length,
      riding: 0,
    };
    this.batches.add(batch);
    session.left += rows.length;
    if (this.head > 0) this.queued = this.queued.slice(this.head);
    this.head = 0;
    for (const row of rows) {
      const claim = new Claim(row, batch);
      batch.claims.push(claim);
      this.queued.push(claim);
    }
  }

  /** Lets acknowledgements wait for the next claim, but not long. */
  flushSoon(): void {
    this.flushTimer ??= setTimeout(() => {
      this.flushTimer = undefined;
      this.isFlushDue = true;
      if (this.watch.heat === "warm") this.watch.heat = "hot";
      this.onFlush();
    }, flushDelay);
  }

  /** Whether something is left to settle. */
  get hasUnsettled(): boolean {
    return this.done.length > 0 || this.settlements.length > 0 || this.doneLeases.length > 0;
  }

  stop(): void {
    this.watch.stop();
    clearTimeout(this.flushTimer);
  }

  // --- how much to claim

  /** How many jobs to claim beyond those that can start at once. */
  get ahead(): number {
    const { prefetch } = this.options;
    if (prefetch === "auto") return Math.min(autoMost, Math.floor((this.rate ?? 0) * autoAhead));
    return this.rate === undefined ? prefetch : Math.min(prefetch, Math.floor(this.rate * givenAhead));
  }

  /** How many jobs the next claim should take, given free handlers and lanes; 0 for no claim now. */
  wanted(free: number, lanes: number): number {
    const { prefetch, batchSize } = this.options;
    const { ahead } = this;
    const startable = free * batchSize;
    const batch = Math.min(prefetch === "auto" ? autoMost : prefetch, startable + ahead);
    const room = startable + lanes * ahead - this.waiting - this.requested;
    return room >= batch ? batch : 0;
  }

  private beginMeasuring(now: number): void {
    this.measuredAt = now;
    this.measuredFinished = this.finished;
  }

  /** Learns the rate at which jobs get done. */
  measure(now: number): void {
    const elapsed = now - this.measuredAt;
    const count = this.finished - this.measuredFinished;
    if (elapsed < 20 && count < 20) return;
    const rate = count / Math.max(elapsed, 0.1);
    this.rate = this.rate === undefined ? rate : (this.rate + rate) / 2;
    this.beginMeasuring(now);
  }

  // --- floors: where each lane begins

  /** Whether the next claim must look at the whole queue. */
  isSweepDue(now: number): boolean {
    return this.floors.length === 0 || this.sweepsIn(now) === 0;
  }

  /** How long until a claim looks at the whole queue again. */
  sweepsIn(now: number): number {
    const every = this.isFull ? Math.max(this.sweepEvery, busySweep) : this.sweepEvery;
    return Math.max(0, this.sweptAt + every - now);
  }

  /** Makes the next claim look at the whole queue. */
  forgetFloors(): void {
    this.floors = [];
  }

  /** Where each lane began last time, as `p_floors` takes it. */
  floorsJson(): string {
    return JSON.stringify(this.floors);
  }

  /** Remembers what a claim without floors cost. */
  swept(startedAt: number, now: number): void {
    const duration = now - startedAt;
    const cost = Math.min(duration, this.lastSweep); // one slow answer may have any reason
    this.lastSweep = duration;
    this.sweptAt = now;
    this.sweepEvery = cost < cheapClaim ? 0 : sweepShare * cost;
    this.floors = [];
  }

  private raiseFloors(rows: ClaimedRow[]): void {
    let priority: number | undefined;
    for (const row of rows) {
      if (row.priority === priority) continue;
      priority = row.priority;
      const floor = { priority, fair_seq: row.fair_seq, scheduled_at: row.scheduled_at };
      const i = this.floors.findIndex((known) => known.priority === priority);
      if (i < 0) this.floors.push(floor);
      else this.floors[i] = floor;
    }
  }
}

/** Whether a row comes before another in the order in which a queue is worked off. */
function isBefore(a: ClaimedRow, b: ClaimedRow): boolean {
  if (a.priority !== b.priority) return a.priority > b.priority;
  if (a.fair_seq !== b.fair_seq) return isLess(a.fair_seq, b.fair_seq);
  if (a.scheduled_at !== b.scheduled_at) return a.scheduled_at < b.scheduled_at;
  return isLess(a.id, b.id);
}

/** Compares two numbers that are written without leading zeros. */
const isLess = (a: string, b: string): boolean => (a.length === b.length ? a < b : a.length < b.length);
