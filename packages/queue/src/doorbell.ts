// The quiet NOTIFY: pushes ring only while somebody sleeps.
//
// Whoever is about to sleep takes the queue's bell, an advisory lock, on the connection that listens; claims once more; and only
// then sleeps. A push that committed before the lock was taken is found by that claim. A push that comes later cannot share the
// lock and rings. A push that is under way holds a share of it, so the bell cannot be taken: then its worker polls.
import { call, type Database, type Subscription } from "@howdah/core";
import { bell, channelName } from "./functions.ts";

/** Who hears a bell. */
export interface DoorbellHandlers {
  /** Somebody pushed; after a gap, somebody may have pushed. */
  onRing(isGap: boolean): void;
  onError(error: unknown): void;
}

/** The bell of one queue. */
export class Doorbell {
  /** True while every push rings. */
  isArmed = false;
  private readonly db: Database;
  private readonly namespace: string;
  private readonly queue: string;
  private readonly handlers: DoorbellHandlers;
  private key = "0";
  private subscription: Subscription | undefined;
  private arming: Promise<boolean> | undefined;

  constructor(db: Database, namespace: string, queue: string, handlers: DoorbellHandlers) {
    this.db = db;
    this.namespace = namespace;
    this.queue = queue;
    this.handlers = handlers;
  }

  async open(): Promise<void> {
    const { db, queue } = this;
    const context = { namespace: this.namespace };
    this.key = await call(db, bell, { queue }, context);
    this.subscription = await db.subscribe(await call(db, channelName, { queue }, context), {
      onMessage: () => this.handlers.onRing(false),
      onGap: () => {
        this.isArmed = false; // the lock went with the connection that held it
        this.handlers.onRing(true);
      },
      onError: this.handlers.onError,
    });
  }

  /** Tries to make every push ring from now on. What was pushed before must then be looked for once more. */
  arm(): Promise<boolean> {
    this.arming ??= this.take().finally(() => {
      this.arming = undefined;
    });
    return this.arming;
  }

  /** Lets pushes be silent again. */
  async disarm(): Promise<void> {
    if (!this.isArmed) return;
    this.isArmed = false;
    await this.subscription?.query("select pg_advisory_unlock($1)", [this.key]).catch(this.handlers.onError);
  }

  async close(): Promise<void> {
    await this.arming;
    await this.disarm();
    await this.subscription?.stop();
  }

  private async take(): Promise<boolean> {
    try {
      const text = "select pg_try_advisory_lock($1) as taken";
      const result = await this.subscription?.query<{ taken: boolean }>(text, [this.key]);
      this.isArmed = result?.rows[0]?.taken === true;
    } catch (error) {
      this.isArmed = false;
      this.handlers.onError(error);
    }
    return this.isArmed;
  }
}
