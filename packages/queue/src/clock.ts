// The clock: promotes what falls due, runs schedules and reclaims expired leases, for all queues of the namespace.
import type { Queryable } from "@howdah/core";

/** The shortest time between two ticks. */
const minTick = 25;

// How long until something falls due is reckoned by the database's clock alone; this machine's may be wrong.
const text = `select promoted + fired + reclaimed + admitted > 0 as has_work,
  extract(epoch from next_due_at - howdah.now()) * 1000 as due_in
from queue.tick($1)`;

/** What a clock needs of its worker. */
export interface ClockSetup {
  db: Queryable;
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
  /** When the next tick is due. */
  private at = Number.POSITIVE_INFINITY;
  private ticking: Promise<void> | undefined;
  private isStopped = false;

  constructor(setup: ClockSetup) {
    this.setup = setup;
  }

  /** Ticks after a delay at the latest, and after the tick that is under way, which may have looked already. */
  tickIn(delay: number): void {
    const at = performance.now() + Math.max(minTick, delay);
    if (at >= this.at) return;
    this.at = at;
    if (!this.ticking) this.wind();
  }

  /** Ticks now, and not before the tick that is under way has ended. */
  async tick(): Promise<void> {
    await this.ticking;
    if (!this.isStopped) await this.ticked();
  }

  /** Waits for the tick that is under way. */
  async stop(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    await this.ticking;
  }

  private wind(): void {
    clearTimeout(this.timer);
    const wait = Math.max(0, this.at - performance.now());
    if (!this.isStopped) this.timer = setTimeout(() => void this.ticked(), wait);
  }

  private ticked(): Promise<void> {
    this.ticking ??= this.look().then((next) => {
      this.tickIn(next);
      this.ticking = undefined;
      this.wind();
    });
    return this.ticking;
  }

  /** Calls the function; returns after how long to call it again. */
  private async look(): Promise<number> {
    const { db, namespace, interval, onWork, onError } = this.setup;
    this.at = Number.POSITIVE_INFINITY;
    const next = interval * (0.75 + Math.random() / 2);
    try {
      const { rows } = await db.query<{ has_work: boolean; due_in: string | null }>(text, [namespace]);
      const [row] = rows;
      if (row?.has_work) onWork();
      if (row?.due_in != null) return Math.min(next, Math.ceil(Number(row.due_in)));
    } catch (error) {
      onError(error);
    }
    return next;
  }
}
