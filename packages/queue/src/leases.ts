// Leases: what keeps claimed jobs ours, and what lets go of them in time.
//
// A worker says every 10 s that it lives; after 30 s of silence its jobs go to others. Jobs that run for long have their leases
// renewed in one call, which also tells which of them are lost or shall stop. Jobs that were claimed but cannot start soon are
// given back.
import { hostname } from "node:os";
import {
  call,
  type Database,
  type Duration,
  isConnectionFailure,
  milliseconds,
  type Queryable,
  type Transaction,
} from "@howdah/core";
import { isFenceStale, JobCancelledError, JobLostError, JobTimeoutError, rethrow } from "./errors.ts";
import { ack, extendVisibility, heartbeat, registerWorker, setProgress, unregisterWorker } from "./functions.ts";
import type { Claim, Session } from "./job.ts";
import type { Outcomes } from "./outcomes.ts";
import type { Source } from "./source.ts";

/** How often leases, timeouts and waiting jobs are looked at. */
const beat = 500;
const signOfLife = 10_000;
/** A claimed job that has not started after this long is given back. */
const patience = 2000;
/** Progress is written at most this often. */
const progressDelay = 200;
const batchLimit = 1000;

/** What leases need of their worker. */
export interface LeasesSetup {
  db: Database;
  /** A connection that waits for no handler. */
  own: Queryable;
  namespace: string;
  workerId: string;
  concurrency: number;
  sources: readonly Source[];
  /** After how long leases are renewed; by default after half of their time. */
  heartbeat: number | undefined;
  /** How long a handler may run. */
  timeout: number;
  outcomes: Outcomes;
  giveBack(source: Source, moment: number): void;
  /** Jobs came back to the queues. */
  onReleased(): void;
  onError(error: unknown): void;
}

/** The leases of one worker. */
export class Leases {
  /** The name under which jobs are claimed now. */
  session: Session;
  private readonly setup: LeasesSetup;
  private readonly retired = new Set<Session>();
  private sessionCount = 1;
  private livedAt = 0;
  private timer: NodeJS.Timeout | undefined;
  private beating: Promise<void> | undefined;
  private readonly unwritten = new Map<Claim, unknown>();
  private progressTimer: NodeJS.Timeout | undefined;

  constructor(setup: LeasesSetup) {
    this.setup = setup;
    this.session = { workerId: setup.workerId, left: 0, isRegistered: false };
  }

  async open(): Promise<void> {
    await this.register();
    this.timer = setInterval(() => this.onBeat(), beat);
  }

  /** A connection broke during a claim: goes on under a new name, so that what was claimed unseen can be told apart. */
  renew(session: Session): void {
    if (session !== this.session) return;
    this.retired.add(session);
    this.session = { workerId: `${this.setup.workerId}~${++this.sessionCount}`, left: 0, isRegistered: false };
  }

  /** Gives back whatever is still held, seen or not. */
  async close(): Promise<void> {
    clearInterval(this.timer);
    await Promise.allSettled([this.beating, this.writeProgress()]);
    for (const { workerId } of [this.session, ...this.retired]) {
      await call(this.setup.own, unregisterWorker, { workerId }, this.setup).catch(this.setup.onError);
    }
  }

  eachRunning(visit: (claim: Claim) => void): void {
    for (const { batches } of this.setup.sources) {
      for (const { claims } of batches) for (const claim of claims) if (claim.state === "running") visit(claim);
    }
  }

  /** Remembers how far a job is, and writes it soon. */
  progress(claim: Claim, value: unknown): void {
    if (claim.state !== "running") return;
    this.unwritten.set(claim, value);
    this.progressTimer ??= setTimeout(() => void this.writeProgress(), progressDelay);
  }

  /** Adds time to a job's lease. */
  async extend(claim: Claim, length: Duration): Promise<void> {
    if (claim.state !== "running") throw new JobLostError(claim.id);
    const args = { jobId: claim.id, fence: claim.fence, extension: length };
    await call(this.setup.own, extendVisibility, args, this.setup).catch((error) => {
      if (isFenceStale(error)) this.setup.outcomes.lose(claim);
      rethrow(error);
    });
    claim.renewedAt = Math.max(claim.renewedAt, claim.batch.claimedAt) + milliseconds(length);
  }

  /** Runs `fn` and the acknowledgement of a job in one transaction. */
  async acknowledgeIn<T>(claim: Claim, fn: (tx: Transaction) => Promise<T>): Promise<T> {
    let isEnding = false;
    try {
      const result = await this.setup.db.transaction(async (tx) => {
        const value = await fn(tx);
        if (claim.state === "running") {
          claim.state = "ended"; // so that no heartbeat takes the deleted row for a lost one
          isEnding = true;
        }
        await call(tx, ack, { jobId: claim.id, fence: claim.fence }, this.setup).catch(rethrow);
        return value;
      });
      this.setup.outcomes.complete([claim]);
      return result;
    } catch (error) {
      if (isEnding && claim.state === "ended") claim.state = "running";
      if (isConnectionFailure(error)) claim.isUnsure = true;
      if (isFenceStale(error)) this.setup.outcomes.lose(claim);
      throw error;
    }
  }

  private async register(): Promise<void> {
    const { own, sources, concurrency } = this.setup;
    const { session } = this;
    const queues = sources.map(({ name }) => name);
    const args = { workerId: session.workerId, queues, host: hostname(), pid: process.pid, concurrency };
    this.livedAt = performance.now();
    await call(own, registerWorker, args, this.setup).catch(rethrow);
    session.isRegistered = true;
  }

  private onBeat(): void {
    const now = performance.now();
    const { sources, timeout, giveBack } = this.setup;
    for (const source of sources) {
      if (source.waiting > 0) {
        source.measure(now);
        giveBack(source, now - Math.min(patience, source.options.visibilityTimeout / 2));
      }
    }
    if (timeout !== Number.POSITIVE_INFINITY) {
      this.eachRunning((claim) => {
        if (now - claim.startedAt > timeout) claim.abort(new JobTimeoutError(claim.id, timeout));
      });
    }
    this.beating ??= this.live(now)
      .catch(this.setup.onError)
      .finally(() => {
        this.beating = undefined;
      });
  }

  private async live(now: number): Promise<void> {
    for (const claims of this.old(now)) {
      for (let i = 0; i < claims.length; i += batchLimit) await this.renewLeases(claims.slice(i, i + batchLimit));
    }
    for (const session of this.retired) if (session.left === 0) await this.bury(session);
    if (!this.session.isRegistered) await this.register();
    if (now < this.livedAt + signOfLife) return;
    this.livedAt = now;
    for (const { workerId } of [this.session, ...this.retired]) {
      await call(this.setup.own, heartbeat, { workerId, jobIds: [], fences: [], extend: null }, this.setup);
    }
  }

  /** Running jobs whose leases are old, by session and by how long a lease lasts. */
  private old(now: number): Iterable<Claim[]> {
    const groups = new Map<string, Claim[]>();
    this.eachRunning((claim) => {
      const { session, source, claimedAt } = claim.batch;
      const { visibilityTimeout } = source.options;
      if (now - Math.max(claim.renewedAt, claimedAt) < (this.setup.heartbeat ?? visibilityTimeout / 2)) return;
      if (claim.reason instanceof JobTimeoutError) return; // its handler ignores the signal: let the lease end
      const key = `${visibilityTimeout} ${session.workerId}`;
      const group = groups.get(key);
      if (group) group.push(claim);
      else groups.set(key, [claim]);
    });
    return groups.values();
  }

  private async renewLeases(claims: Claim[]): Promise<void> {
    const [{ batch }] = claims as [Claim];
    const now = performance.now();
    const args = {
      workerId: batch.session.workerId,
      jobIds: claims.map((claim) => claim.id),
      fences: claims.map((claim) => claim.fence),
      extend: batch.source.options.visibilityTimeout,
    };
    const rows = await call(this.setup.own, heartbeat, args, this.setup);
    const alive = new Map(rows.filter((row) => row.alive).map((row) => [row.jobId, row]));
    const latest = new Map(claims.map((claim) => [claim.id, claim])); // a job that was lost may have come back to this worker
    for (const claim of claims) {
      if (claim.state !== "running") continue;
      const row = alive.get(claim.id);
      if (!row || latest.get(claim.id) !== claim) this.setup.outcomes.lose(claim);
      else if (row.cancelRequested) claim.abort(new JobCancelledError(claim.id));
      claim.renewedAt = now;
    }
  }

  /** All that is known of an old session is settled; what it still holds was never seen, and goes back. */
  private async bury(session: Session): Promise<void> {
    const released = await call(this.setup.own, unregisterWorker, { workerId: session.workerId }, this.setup);
    this.retired.delete(session);
    if (released > 0) this.setup.onReleased();
  }

  private async writeProgress(): Promise<void> {
    clearTimeout(this.progressTimer);
    this.progressTimer = undefined;
    const written = [...this.unwritten];
    this.unwritten.clear();
    for (const [claim, progress] of written) {
      if (claim.state === "gone") continue;
      const args = { jobId: claim.id, fence: claim.fence, progress };
      await call(this.setup.own, setProgress, args, this.setup).catch((error) => {
        if (isFenceStale(error)) this.setup.outcomes.lose(claim);
        else this.setup.onError(error);
      });
    }
  }
}
