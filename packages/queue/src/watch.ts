// When to look at a queue again.
//
// A queue is hot while claims come back full: look at once. It is warm when a claim took what there was: look again with the next
// acknowledgements. It is cold when a look at all of it found nothing: then arm the bell, look once more, and sleep until
// somebody rings. Where the bell cannot be had, look again after 5 ms, then after ever longer times.
import type { Doorbell } from "./doorbell.ts";
import type { Source } from "./source.ts";

const shortestPoll = 5;
/** The longest time between two looks while a bell cannot be had, because others sleep or push. */
const longestPoll = 1000;

/** More rings than this in so many milliseconds are too many: the worker is about to look anyway. */
const busyRings = 2;
const busyTime = 10;

/** What a watch needs of its worker. */
export interface WatchSetup {
  bell: Doorbell | undefined;
  pollInterval: number;
  isRunning(): boolean;
  /** The queue is worth a look. */
  onWake(): void;
  /** All of the queue was looked at in vain, `isRiddle` if somebody rang and yet nothing was found. */
  onRest(isRiddle: boolean): void;
}

/** Decides when a worker looks at one queue. */
export class Watch {
  heat: "hot" | "warm" | "cold" = "hot";
  /** Counts reasons to look again, so that one that comes during a claim is not lost. */
  wakes = 0;
  private readonly source: Source;
  private readonly setup: WatchSetup;
  private timer: NodeJS.Timeout | undefined;
  private pollDelay = 0;
  /** Whether somebody rang and no claim has found anything since. */
  private hasRung = false;
  /** How often somebody rang in a short time, which ends then. */
  private rings = 0;
  private countsUntil = 0;
  private isArming = false;

  constructor(source: Source, setup: WatchSetup) {
    this.source = source;
    this.setup = setup;
  }

  /** Somebody pushed, or, after a gap, may have pushed. */
  ring(isGap: boolean): void {
    const now = performance.now();
    if (now > this.countsUntil) {
      this.countsUntil = now + busyTime;
      this.rings = 0;
    }
    if (++this.rings > busyRings) void this.setup.bell?.disarm(); // let so many pushes be cheap
    this.hasRung = true;
    this.wake(isGap);
  }

  /** There is a reason to look, at all of the queue if it is not known where. */
  wake(everywhere = false): void {
    clearTimeout(this.timer);
    if (everywhere) this.source.forgetFloors();
    this.wakes++;
    this.heat = "hot";
    this.setup.onWake();
  }

  /** Draws the conclusion from a claim that was begun after `wakes` wake-ups. */
  claimed(taken: number, limit: number, isSweep: boolean, wakes: number, now: number): void {
    const { source } = this;
    if (taken > 0) {
      this.hasRung = false;
      this.pollDelay = 0;
    }
    source.isFull = taken >= limit;
    if (source.isFull || this.wakes !== wakes || (!isSweep && source.isSweepDue(now))) this.heat = "hot";
    else if (isSweep && taken === 0) this.rest();
    else this.heat = "warm";
    if (this.heat === "warm" && !isSweep) this.sleep(source.sweepsIn(now));
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private rest(): void {
    const { bell, pollInterval, onRest } = this.setup;
    this.heat = "cold";
    if (bell?.isArmed) {
      this.sleep(pollInterval);
    } else {
      this.poll();
      if (bell && !this.isArming) void this.arm(bell);
    }
    onRest(this.hasRung);
    this.hasRung = false;
  }

  private async arm(bell: Doorbell): Promise<void> {
    this.isArming = true;
    const isArmed = await bell.arm();
    this.isArming = false;
    if (isArmed) this.wake(true);
  }

  private poll(): void {
    const longest = this.setup.bell ? longestPoll : this.setup.pollInterval;
    this.pollDelay = Math.min(this.pollDelay * 2 || shortestPoll, longest);
    this.sleep(this.pollDelay);
  }

  private sleep(delay: number): void {
    clearTimeout(this.timer);
    if (this.setup.isRunning()) this.timer = setTimeout(() => this.wake(true), delay);
  }
}
