// What every queue system under test must be able to do. One file each says how: howdah.ts, graphile-worker.ts, pg-boss.ts.

/** About 60 bytes as JSON, the same for every system. */
export interface Payload {
  id: number;
  to: string;
  subject: string;
}

/** Where a system's recommended settings differ by what one wants, each row says what it wants. */
export type Favour = "throughput" | "latency";

/** Jobs that run at the same time in one worker process. */
export const CONCURRENCY = 24;

/** Most connections that a system may open: one per running job and one to listen. */
export const CONNECTIONS = CONCURRENCY + 1;

/** A system, installed and connected. */
export interface OpenQueue {
  /** Puts one job on the queue. */
  push(payload: Payload): Promise<void>;
  /** Puts many jobs on the queue with one call. */
  pushMany(payloads: Payload[]): Promise<void>;
  /** Starts a worker that takes up to `batch` jobs at a time; resolves to what stops it. */
  work(batch: number, handle: (payload: Payload) => Promise<void>): Promise<() => Promise<void>>;
  /** A query whose one column is true when nothing waits or runs, that is, when each job is settled. */
  readonly isEmpty: string;
  close(): Promise<void>;
}

/** Installs a system into the empty database at `url` and connects to it. */
export type QueueSystem = (url: string, favour: Favour) => Promise<OpenQueue>;
