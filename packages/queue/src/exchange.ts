// Exchanges: how jobs come from the database and go back.
//
// Each lane is a connection with at most one exchange under way. An exchange settles the jobs that are done and claims the next
// ones in one round trip and one commit. What does not simply end goes back by calls of its own. If the answer to an exchange is
// lost, its acknowledgements are sent again, and it no longer matters whether they are refused.
import { setTimeout as sleep } from "node:timers/promises";
import { backoff, type Database, interval, isConnectionFailure } from "@howdah/core";
import type { Crew } from "./crew.ts";
import { releaseBatch, settleBatch } from "./functions.ts";
import type { Claim, ClaimedRow } from "./job.ts";
import { Lane } from "./lane.ts";
import type { Leases } from "./leases.ts";
import type { Outcomes } from "./outcomes.ts";
import { type Settlement, settlementItem } from "./settle.ts";
import type { Source } from "./source.ts";

const batchLimit = 1000;

/** What an exchange needs of its worker. */
export interface ExchangeSetup {
  db: Database;
  namespace: string;
  laneCount: number;
  isPrepared: boolean;
  concurrency: number;
  sources: readonly Source[];
  crew: Crew;
  leases: Leases;
  outcomes: Outcomes;
  isClaiming(): boolean;
  isStopping(): boolean;
  /** A lane has done something. */
  onChange(): void;
  /** Jobs were given another time to run at. */
  onDelayed(): void;
  onError(error: unknown): void;
}

/** The lanes of a worker and what they carry. */
export class Exchange {
  private readonly setup: ExchangeSetup;
  private readonly lanes: Lane[];
  private readonly parked: (() => void)[] = [];
  private driven: Promise<unknown> = Promise.resolve();
  private isStopped = false;
  private requested = 0;
  private busy = 0;
  private turn = 0;

  constructor(setup: ExchangeSetup) {
    this.setup = setup;
    this.lanes = Array.from({ length: setup.laneCount }, () => new Lane(setup.db, setup.isPrepared));
  }

  start(): void {
    this.driven = Promise.all(this.lanes.map((lane) => this.drive(lane)));
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.unpark();
    await this.driven;
  }

  /** Whether the database knows of all that happened here. */
  get isFlushed(): boolean {
    return (
      this.busy === 0 && this.setup.crew.waiting === 0 && !this.setup.sources.some((source) => source.hasUnsettled)
    );
  }

  /** Has lanes that have nothing to do look for work. */
  unpark(): void {
    if (this.parked.length === 0) return;
    for (const resolve of this.parked.splice(0)) resolve();
  }

  /** Has lanes look for work if a source wants jobs. */
  unparkFor(source: Source): void {
    if (this.parked.length > 0 && source.watch.heat === "hot" && this.wanted(source) > 0) this.unpark();
  }

  /** Sends all acknowledgements now. */
  flush(): void {
    for (const source of this.setup.sources) source.isFlushDue = true;
    this.unpark();
  }

  /** Gives back waiting jobs that were claimed before a moment. */
  giveBack(source: Source, moment = Number.POSITIVE_INFINITY): void {
    const claims = source.takeOlder(moment);
    if (claims.length === 0) return;
    this.setup.crew.waiting -= claims.length;
    for (const claim of claims) source.settlements.push({ claim, outcome: "release" });
    this.unpark();
  }

  private async drive(lane: Lane): Promise<void> {
    let failures = 0;
    while (!this.isStopped) {
      const source = this.next();
      if (!source) {
        await new Promise<void>((resolve) => this.parked.push(resolve));
        continue;
      }
      this.busy++;
      try {
        await lane.open();
        if (source.settlements.length > 0) await this.settle(lane, source);
        await this.trade(lane, source);
        failures = 0;
      } catch (error) {
        failures++;
        this.setup.onError(error);
      }
      lane.yield();
      this.busy--;
      this.setup.onChange();
      if (failures > 0 && !this.isStopped) await sleep(backoff(failures, 50, 5000) * (0.5 + Math.random() / 2));
    }
    lane.close();
  }

  /** The next source that needs an exchange, each in its turn. */
  private next(): Source | undefined {
    const { sources } = this.setup;
    for (let i = 0; i < sources.length; i++) {
      const source = sources[this.turn++ % sources.length] as Source;
      if (source.watch.heat === "hot" && this.wanted(source) > 0) return source;
      if (source.settlements.length > 0) return source;
      if (!source.isFlushDue) continue;
      if (source.done.length > 0 || source.doneLeases.length > 0) return source;
    }
    return undefined;
  }

  /** How many jobs to claim for a source now. */
  private wanted(source: Source): number {
    const { crew, concurrency, isClaiming } = this.setup;
    if (source.watch.heat === "cold" || !isClaiming()) return 0;
    const elsewhere = crew.waiting - source.waiting + this.requested - source.requested;
    const free = Math.min(source.options.limit - source.active, concurrency - crew.active - elsewhere);
    return source.wanted(Math.max(0, free), this.lanes.length);
  }

  /** One exchange: settles what is done, claims what is wanted. */
  private async trade(lane: Lane, source: Source): Promise<void> {
    const { namespace, leases, outcomes, crew } = this.setup;
    const { session } = leases;
    const { done, watch } = source;
    const limit = this.wanted(source);
    source.isFlushDue = false;
    if (limit === 0 && done.length === 0 && source.doneLeases.length === 0) return;
    const { doneLeases } = source;
    const endedLeases = doneLeases.concat(board(done));
    source.done = [];
    source.doneLeases = [];
    const startedAt = performance.now();
    source.measure(startedAt);
    const isSweep = source.isSweepDue(startedAt);
    const { wakes } = watch;
    source.requested += limit;
    this.requested += limit;
    let rows: ClaimedRow[];
    try {
      rows = await lane.exchange([
        namespace,
        source.name,
        limit,
        session.workerId,
        interval(source.options.visibilityTimeout),
        arrayText(done, "id"),
        arrayText(done, "fence"),
        endedLeases.length > 0 ? `{${endedLeases.join(",")}}` : null,
        isSweep ? null : source.floorsJson(),
      ]);
    } catch (error) {
      if (isConnectionFailure(error)) {
        for (const claim of done) claim.isUnsure = true;
        leases.renew(session);
      }
      for (const { batch } of done) batch.riding = 0;
      source.done = done.concat(source.done);
      source.doneLeases = doneLeases.concat(source.doneLeases);
      source.flushSoon();
      throw error;
    } finally {
      source.requested -= limit;
      this.requested -= limit;
    }
    const now = performance.now();
    if (rows.some((row) => row.attempts === null)) rows = this.takeLost(rows, done);
    outcomes.complete(done);
    if (limit === 0) return;
    if (isSweep) source.swept(startedAt, now);
    source.accept(rows, session, now);
    crew.waiting += rows.length;
    watch.claimed(rows.length, limit, isSweep, wakes, now);
    if (watch.heat === "warm") source.flushSoon();
    if (this.setup.isStopping()) this.giveBack(source);
    else crew.pump();
  }

  /** Acknowledgements that were refused: their jobs had been lost before. */
  private takeLost(rows: ClaimedRow[], done: Claim[]): ClaimedRow[] {
    const lost = new Map(rows.filter((row) => row.attempts === null).map((row) => [row.id, row.fence_token]));
    for (const claim of done) if (lost.get(claim.id) === claim.fence) this.setup.outcomes.lose(claim);
    return rows.filter((row) => row.attempts !== null);
  }

  /** Settles jobs that did not simply end: those that go back as if never claimed, or else the others. */
  private async settle(lane: Lane, source: Source): Promise<void> {
    const { outcomes, onDelayed } = this.setup;
    const returned = source.settlements.filter(isReturned);
    const some = (returned.length > 0 ? returned : source.settlements).slice(0, batchLimit);
    const taken = new Set(some);
    source.settlements = source.settlements.filter((settlement) => !taken.has(settlement));
    const claims = some.map(({ claim }) => claim);
    try {
      if (returned.length > 0) {
        const jobIds = claims.map(({ id }) => id);
        await lane.call(releaseBatch, { jobIds, fences: claims.map(({ fence }) => fence) }, this.setup);
        for (const claim of claims) outcomes.forget(claim);
        source.watch.wake();
      } else {
        const rows = await lane.call(settleBatch, { items: some.map(settlementItem) }, this.setup);
        const answers = new Map(rows.map((row) => [row.jobId, row.outcome]));
        for (const settlement of some) outcomes.conclude(settlement, answers.get(settlement.claim.id));
        onDelayed();
      }
    } catch (error) {
      if (isConnectionFailure(error)) for (const claim of claims) claim.isUnsure = true;
      source.settlements = some.concat(source.settlements);
      throw error;
    }
  }
}

const isReturned = ({ outcome }: Settlement): boolean => outcome === "release";

/** Puts acknowledgements on an exchange, and answers the leases that end with it. */
function board(claims: readonly Claim[]): string[] {
  const ended: string[] = [];
  for (const { batch, state } of claims) {
    if (state === "ended" && ++batch.riding === batch.left) ended.push(batch.leaseId);
  }
  for (const { batch } of claims) if (batch.riding < batch.left) batch.riding = 0;
  return ended;
}

/** An array of numbers as PostgreSQL reads it, null for none. */
function arrayText(claims: readonly Claim[], key: "id" | "fence"): string | null {
  if (claims.length === 0) return null;
  let text = "{";
  for (const claim of claims) text += text.length > 1 ? `,${claim[key]}` : claim[key];
  return `${text}}`;
}
