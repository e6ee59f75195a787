// Exchanges: how jobs come from the database and go back.
//
// Each lane is a connection with at most one exchange under way. An exchange settles the jobs that are done and claims the next
// ones in one round trip and one commit. What does not simply end goes back by calls of its own. If the answer to an exchange is
// lost, its acknowledgements are sent again, and it no longer matters whether they are refused.
//
// What the database refuses holds up nothing else: acknowledgements that came with a refused exchange are settled by themselves,
// settlements that were refused together are sent one by one, and a job whose own outcome is refused fails with that refusal.
import { setTimeout as sleep } from "node:timers/promises";
import { backoff, call, type Database, interval } from "@howdah/core";
import type { Crew } from "./crew.ts";
import { releaseBatch, settleBatch } from "./functions.ts";
import type { Claim, ClaimedRow } from "./job.ts";
import { isRefusal, Lane } from "./lane.ts";
import type { Leases } from "./leases.ts";
import type { Outcomes } from "./outcomes.ts";
import { isRefusedForGood, type Settlement, settlementItem } from "./settle.ts";
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
  private readonly ending = new AbortController();
  private requested = 0;
  private busy = 0;
  private turn = 0;

  constructor(setup: ExchangeSetup) {
    this.setup = setup;
    this.lanes = Array.from({ length: setup.laneCount }, () => new Lane(setup.db, setup.isPrepared));
  }

  start(): void {
    for (const lane of this.lanes) void this.drive(lane);
  }

  /** Ends all lanes, and with them what they are at. */
  end(): void {
    this.ending.abort();
    for (const lane of this.lanes) lane.end();
    this.unpark();
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
    const { signal } = this.ending;
    let failures = 0;
    while (!signal.aborted) {
      const source = this.next();
      if (!source) {
        await new Promise<void>((resolve) => this.parked.push(resolve));
        continue;
      }
      this.busy++;
      try {
        await lane.open();
        await this.settle(lane, source).finally(() => this.trade(lane, source));
        failures = 0;
      } catch (error) {
        failures++;
        this.setup.onError(error);
      }
      this.busy--;
      this.setup.onChange();
      if (failures === 0) continue;
      const pause = backoff(failures, 50, 5000) * (0.5 + Math.random() / 2);
      await sleep(pause, undefined, { signal }).catch(() => {});
    }
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
    await lane.open();
    const { session } = leases;
    const { done, doneLeases, watch } = source;
    const limit = this.wanted(source);
    source.isFlushDue = false;
    if (limit === 0 && done.length === 0 && doneLeases.length === 0) return;
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
      for (const { batch } of done) batch.riding = 0;
      if (isRefusal(error)) {
        for (const claim of done) source.settlements.push({ claim, outcome: "ack" });
      } else {
        for (const claim of done) claim.isUnsure = true;
        leases.renew(session);
        source.done = done.concat(source.done);
      }
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
    const lost = new Set(rows.filter((row) => row.attempts === null).map((row) => row.fence_token));
    for (const claim of done) if (lost.has(claim.fence)) this.setup.outcomes.lose(claim);
    return rows.filter((row) => row.attempts !== null);
  }

  /** Settles jobs that did not simply end: those that go back as if never claimed, or else the others, or else a refused one. */
  private async settle(lane: Lane, source: Source): Promise<void> {
    const { settlements } = source;
    if (settlements.length === 0) return;
    const together = settlements.filter(({ refused }) => !refused);
    const returned = together.filter(isReturned);
    const alone = settlements.slice(0, 1);
    const some = (returned.length > 0 ? returned : together.length > 0 ? together : alone).slice(0, batchLimit);
    const taken = new Set(some);
    source.settlements = settlements.filter((settlement) => !taken.has(settlement));
    try {
      if (some.every(isReturned)) await this.release(lane, source, some);
      else await this.conclude(lane, some);
    } catch (error) {
      if (!isRefusal(error)) {
        for (const { claim } of some) claim.isUnsure = true;
        source.settlements = some.concat(source.settlements);
        throw error;
      }
      if (some.length === 1 && isRefusedForGood(error)) {
        this.refuse(source, some[0] as Settlement, error);
      } else {
        for (const one of some) source.settlements.push({ refused: "among others", ...one });
        throw error;
      }
    }
  }

  private async release(lane: Lane, source: Source, returned: readonly Settlement[]): Promise<void> {
    const jobIds = returned.map(({ claim }) => claim.id);
    const fences = returned.map(({ claim }) => claim.fence);
    await call(lane, releaseBatch, { jobIds, fences }, this.setup);
    for (const { claim } of returned) this.setup.outcomes.forget(claim);
    source.watch.wake();
  }

  private async conclude(lane: Lane, some: readonly Settlement[]): Promise<void> {
    const rows = await call(lane, settleBatch, { items: some.map(settlementItem) }, this.setup);
    const answers = new Map(rows.map((row) => [row.jobId, row.outcome]));
    for (const settlement of some) this.setup.outcomes.conclude(settlement, answers.get(settlement.claim.id));
    this.setup.onDelayed();
  }

  /** The outcome of a job is refused, so it fails with that; if it may not even fail, its lease has to end. */
  private refuse(source: Source, { claim, outcome, refused }: Settlement, error: unknown): void {
    this.setup.onError(error);
    if (outcome === "release" || refused === "itself") this.setup.outcomes.lose(claim);
    else source.settlements.push({ claim, outcome: "fail", error, refused: "itself" });
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
