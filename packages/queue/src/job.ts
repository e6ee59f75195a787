import type { Duration, Transaction } from "@howdah/core";
import { JobLostError } from "./errors.ts";
import type { Source } from "./source.ts";

/** A job's id: a 64-bit number as text. */
export type JobId = string;

/** A job as its handler sees it. */
export interface Job<Payload = unknown> {
  readonly id: JobId;
  readonly queue: string;
  readonly payload: Payload;
  /** Which attempt this is, the first one being 1. */
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly priority: number;
  /** When it was due. */
  readonly scheduledAt: Date;
  readonly metadata: unknown;
  /** The trace context that its producer gave it. */
  readonly trace: unknown;
}

/** A row of `queue.exchange`, as the lanes read it: only what handlers and floors need. */
export interface ClaimedRow {
  id: string;
  fence_token: string;
  /** Null for a job that could not be acknowledged. */
  attempts: number | null;
  max_attempts: number;
  payload: unknown;
  metadata: unknown;
  priority: number;
  scheduled_at: string;
  fair_seq: string;
  lease_id: string;
  trace: unknown;
}

/** The jobs of one claim, which share a lease. */
export interface Batch {
  readonly leaseId: string;
  readonly source: Source;
  readonly session: Session;
  readonly claims: Claim[];
  /** By the monotonic clock. */
  readonly claimedAt: number;
  /** How many of them are not settled yet. */
  left: number;
  /** How many of those are on their way in one exchange; if it is all of them, their lease ends with it. */
  riding: number;
}

/**
 * The name under which a worker holds leases. A connection that breaks may take the answer to a claim with it; then the worker
 * goes on under a new name, and when the last job that it knows under the old one is settled, it gives back what remains.
 */
export interface Session {
  readonly workerId: string;
  /** How many jobs claimed under it are not settled yet. */
  left: number;
  isRegistered: boolean;
}

/** Where a claimed job stands: waiting in memory, in its handler, handled but not yet settled in the database, or done with. */
export type ClaimState = "waiting" | "running" | "ended" | "gone";

/** A claimed job, from claim to settlement. */
export class Claim implements Job {
  readonly id: JobId;
  readonly fence: string;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly metadata: unknown;
  readonly priority: number;
  readonly trace: unknown;
  readonly batch: Batch;
  payload: unknown;
  state: ClaimState = "waiting";
  /** True once an acknowledgement's reply was lost: then nobody knows what a refusal of the next one means. */
  isUnsure = false;
  startedAt = 0;
  /** When its lease was last renewed; 0 for never. */
  renewedAt = 0;
  /** Why its signal is aborted, even if nobody asked for the signal yet. */
  reason: Error | undefined = undefined;
  controller: AbortController | undefined = undefined;
  private readonly scheduledText: string;

  constructor(row: ClaimedRow, batch: Batch) {
    this.id = row.id;
    this.fence = row.fence_token;
    this.attempt = row.attempts ?? 0;
    this.maxAttempts = row.max_attempts;
    this.payload = row.payload;
    this.metadata = row.metadata;
    this.priority = row.priority;
    this.trace = row.trace;
    this.scheduledText = row.scheduled_at;
    this.batch = batch;
  }

  get queue(): string {
    return this.batch.source.name;
  }

  get scheduledAt(): Date {
    return new Date(this.scheduledText);
  }

  /** Aborts the handler's signal, now or as soon as it is asked for. The first reason stays. */
  abort(reason: Error): void {
    if (this.reason) return;
    this.reason = reason;
    this.controller?.abort(reason);
  }
}

/** What a handler can do beside its work. */
export interface JobContext<Push = unknown> {
  /**
   * Aborted when the job should stop, with the reason: {@link JobCancelledError}, {@link JobLostError},
   * {@link JobTimeoutError} or {@link WorkerStoppedError}.
   */
  readonly signal: AbortSignal;
  /** The fence token that proves the lease. Give it to systems that can refuse older ones. */
  readonly fence: string;
  readonly attempt: number;
  /** Records how far the job is, any JSON value. Calls in quick succession are written once. */
  progress(value: unknown): void;
  /** Adds time to the lease. Workers renew leases by themselves, so this is for handlers that block the event loop. */
  extend(duration: Duration): Promise<void>;
  /** Pushes a job that carries on this one's trace. */
  readonly push: Push;
  /**
   * Runs `fn` and the acknowledgement in one transaction: its effects on the database happen exactly once. If the lease has
   * ended meanwhile, all of it is rolled back and a `FenceStaleError` is thrown. Once it returns, the job is done.
   */
  tx<T>(fn: (tx: Transaction) => Promise<T>): Promise<T>;
}

/** What a context asks of its worker. */
export interface Host {
  progress(claim: Claim, value: unknown): void;
  extend(claim: Claim, duration: Duration): Promise<void>;
  pushFrom(claim: Claim): unknown;
  acknowledgeIn<T>(claim: Claim, fn: (tx: Transaction) => Promise<T>): Promise<T>;
}

/** The context of one job. All of it is made on demand: a handler that asks for nothing costs nothing. */
export class Context implements JobContext {
  private readonly host: Host;
  private readonly claim: Claim;

  constructor(host: Host, claim: Claim) {
    this.host = host;
    this.claim = claim;
  }

  get signal(): AbortSignal {
    const { claim } = this;
    if (!claim.controller) {
      claim.controller = new AbortController();
      if (claim.reason) claim.controller.abort(claim.reason);
    }
    return claim.controller.signal;
  }

  get fence(): string {
    return this.claim.fence;
  }

  get attempt(): number {
    return this.claim.attempt;
  }

  get push(): unknown {
    return this.host.pushFrom(this.claim);
  }

  progress(value: unknown): void {
    this.host.progress(this.claim, value);
  }

  extend(duration: Duration): Promise<void> {
    return this.host.extend(this.claim, duration);
  }

  tx<T>(fn: (tx: Transaction) => Promise<T>): Promise<T> {
    if (this.claim.state === "gone") return Promise.reject(new JobLostError(this.claim.id));
    return this.host.acknowledgeIn(this.claim, fn);
  }
}
