// The clock: promotes what falls due, runs schedules and reclaims expired leases, for all queues of the namespace.
import type { Database } from "@howdah/core";

/** The shortest time between two ticks. */
const minTick = 25;

// How long until something falls due is reckoned by the database's clock alone; this machine's may be wrong.
const text = `select promoted + fired + reclaimed + admitted > 0 as has_work,
  extract(epoch from next_due_at - howdah.now()) * 1000 as due_in
from queue.tick($1)`;

/** What a clock needs of its worker. */
export interface ClockSetup {
  db: Database;
  namespace: string;
  /** The longest time between two ticks. */
  interval: number;
  onWork(): void;
  onError(error: unknown): void;
}

/** Calls `queue.tick` every now and then, and when something is due. Any number of workers may. */
export class Clock {
  private readonly setup: ClockSetup;
  private timer: NodeJS.Timeout | undefined;
  private at = Number.POSITIVE_INFINITY;
  private ticking: Promise<void> | undefined;
  private isStopped = false;

  constructor(setup: ClockSetup) {
    this.setup = setup;
  }

  /** Ticks after a delay at the latest. */
  tickIn(delay: number): void {
    const wait = Math.max(minTick, delay);
    const at = performance.now() + wait;
    if (this.isStopped || at >= this.at) return;
    this.at = at;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.at = Number.POSITIVE_INFINITY;
      this.ticking ??= this.tick().finally(() => {
        this.ticking = undefined;
      });
    }, wait);
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    await this.ticking;
  }

  private async tick(): Promise<void> {
    const { db, namespace, interval, onWork, onError } = this.setup;
    let next = interval * (0.75 + Math.random() / 2);
    try {
      const { rows } = await db.query<{ has_work: boolean; due_in: string | null }>(text, [namespace]);
      const [row] = rows;
      if (row?.has_work) onWork();
      if (row?.due_in != null) next = Math.min(next, Math.ceil(Number(row.due_in)));
    } catch (error) {
      onError(error);
    }
    this.tickIn(next);
  }
}
