// One queue as its worker sees it: jobs that wait in memory, jobs that are done, and what the next claim should ask for.
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Doorbell } from "./doorbell.ts";
import { type Batch, Claim, type ClaimedRow, type Session } from "./job.ts";
import type { Settlement } from "./settle.ts";
import type { Handler } from "./worker.ts";

/**
 * What a worker believes of a queue. `hot`: there are more jobs. `warm`: the last claim took what there was, so look again with
 * the next acknowledgements. `cold`: there was nothing; somebody will ring, or a timer.
 */
export type Heat = "hot" | "warm" | "cold";

/** How many jobs 'auto' claims ahead: this many milliseconds of work, up to the most per claim. */
const autoAhead = 20;
const autoMost = 500;
/** A batch of a given size is cut to this many milliseconds of work, so that no job waits long for its turn. */
const givenAhead = 1000;
/** A claim without floors that takes less than this is no burden; a slower one is made seldom. */
const cheapClaim = 2;
const minSweep = 250;

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
  readonly bell: Doorbell | undefined;
  heat: Heat = "hot";
  /** Handlers that run, and jobs asked for in claims under way. */
  active = 0;
  requested = 0;
  /** Counts reasons to look again, so that one that comes during a claim is not lost. */
  rings = 0;
  /** Whether a push rang and no claim has found it yet. */
  hasRung = false;
  /** Handled jobs that no exchange has acknowledged yet, and leases with nothing left in them. */
  done: Claim[] = [];
  doneLeases: string[] = [];
  /** What does not end in an acknowledgement. */
  settlements: Settlement[] = [];
  isFlushDue = false;
  flushTimer: NodeJS.Timeout | undefined;
  timer: NodeJS.Timeout | undefined;
  pollDelay = 0;
  isArming = false;
  readonly batches = new Set<Batch>();
  private waiting: Claim[] = [];
  private head = 0;
  private floors: Floor[] = [];
  private sweptAt = Number.NEGATIVE_INFINITY;
  private sweepEvery = 0;
  private finished = 0;
  private measuredAt = 0;
  private measuredFinished = 0;
  /** Jobs per millisecond, once known. */
  private rate: number | undefined;

  constructor(options: SourceOptions, bell: Doorbell | undefined) {
    this.name = options.name;
    this.options = options;
    this.bell = bell;
  }

  get buffered(): number {
    return this.waiting.length - this.head;
  }

  /** Takes the next waiting job. */
  take(): Claim | undefined {
    const claim = this.waiting[this.head];
    if (claim === undefined) return undefined;
    if (++this.head === this.waiting.length) {
      this.waiting = [];
      this.head = 0;
    }
    return claim;
  }

  /** Takes back all waiting jobs that were claimed before a moment. */
  takeOlder(moment: number): Claim[] {
    const all = this.waiting.slice(this.head);
    const older = all.filter((claim) => claim.batch.claimedAt < moment);
    if (older.length > 0) {
      this.waiting = all.filter((claim) => claim.batch.claimedAt >= moment);
      this.head = 0;
    }
    return older;
  }

  /** One more job has been handled. */
  finish(): void {
    this.finished++;
  }

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
    const room = startable + lanes * ahead - this.buffered - this.requested;
    return room >= batch ? batch : 0;
  }

  /** Starts measuring anew, when work begins after a rest. */
  begin(now: number): void {
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
    this.begin(now);
  }

  /** Whether the next claim must look at the whole queue. */
  isSweepDue(now: number): boolean {
    return this.floors.length === 0 || now >= this.sweptAt + this.sweepEvery;
  }

  /** How long until a claim looks at the whole queue again. */
  sweepsIn(now: number): number {
    return Math.max(0, this.sweptAt + this.sweepEvery - now);
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
    this.sweptAt = now;
    this.sweepEvery = duration < cheapClaim ? 0 : Math.max(minSweep, 20 * duration);
    this.floors = [];
  }

  /** Takes in claimed rows, in the order of the queue. */
  accept(rows: ClaimedRow[], session: Session, now: number): Claim[] {
    const first = rows[0];
    if (first === undefined) return [];
    if (!rows.every((row, i) => i === 0 || isBefore(rows[i - 1] as ClaimedRow, row))) {
      rows.sort((a, b) => (isBefore(a, b) ? -1 : 1));
    }
    this.raiseFloors(rows);
    const batch: Batch = {
      leaseId: first.lease_id,
      source: this,
      session,
      claims: [],
      claimedAt: now,
      left: rows.length,
    };
    session.left += rows.length;
    this.batches.add(batch);
    if (this.active === 0 && this.buffered === 0) this.begin(now);
    if (this.head > 0) {
      this.waiting = this.waiting.slice(this.head);
      this.head = 0;
    }
    for (const row of rows) {
      const claim = new Claim(row, batch);
      batch.claims.push(claim);
      this.waiting.push(claim);
    }
    return batch.claims;
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
