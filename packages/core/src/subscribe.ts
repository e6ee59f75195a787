import { randomUUID } from "node:crypto";
import { setImmediate as afterInput, setTimeout as sleep } from "node:timers/promises";
import type { OwnConnection, Result } from "./driver.ts";
import { type Duration, milliseconds } from "./duration.ts";
import { ConnectionError, HowdahError, PoolerError, StateError, ValidationError } from "./errors.ts";
import { backoff } from "./retry.ts";

/** What a subscriber wants to hear. */
export interface SubscriptionHandlers {
  /** A notification's payload. */
  onMessage(payload: string): void;
  /** Messages may have been missed: called after every connect, before the first message. Look once for yourself. */
  onGap(reason: "connected" | "reconnected"): void;
  /** The connection broke or a handler threw; the subscription goes on. */
  onError?(error: unknown): void;
}

/** How a subscription is kept. */
export interface SubscribeOptions {
  /** How often the connection is tried for life; default 30 s. A half-open socket raises no event. */
  heartbeat?: Duration;
}

/** A running subscription. */
export interface Subscription extends AsyncDisposable {
  /** Every notification committed before this moment has been delivered. */
  readonly confirmedAt: Date;
  /** Runs a statement on the listening connection, where session-level locks may be held until it reconnects. */
  query<R = Record<string, unknown>>(text: string, values?: unknown[]): Promise<Result<R>>;
  stop(): Promise<void>;
}

interface Subscriber {
  channel: string;
  handlers: SubscriptionHandlers;
  /** A gap that it is still to be told of. Messages before that are left out: its own look finds what they were about. */
  gap: "connected" | "reconnected" | undefined;
}

/** An echo that takes longer is asked for. */
const echoTimeout = 2000;
/** A connection that says nothing for so long is dead. */
const silenceTimeout = 5000;
const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

const noEcho = (): PoolerError =>
  new PoolerError("LISTEN was accepted, but no notification arrives on this connection", {
    module: "howdah",
    code: "listen_unsupported",
    sqlstate: "0A000",
    hint: "A transaction pooler swallows LISTEN: give connect() the option `direct`, a URL of the server itself",
  });

const noAnswer = (): ConnectionError =>
  new ConnectionError(new Error(`no answer for ${silenceTimeout / 1000} s`), false);

/** Waits, and then for what arrived meanwhile to be read: where this process was held up, its timers are due before that. */
const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).then(() => afterInput());

/**
 * One listening connection, shared by all subscriptions of a database.
 *
 * It proves itself by an echo: it is notified and must hear that. A server passes on what it has heard before it answers, so
 * an answer without the echo means a transaction pooler, which swallows LISTEN silently, and no answer means a dead
 * connection. After every reconnect each subscriber is told of the gap.
 */
export class Listener {
  private readonly open: () => Promise<OwnConnection>;
  private readonly subscribers = new Set<Subscriber>();
  private readonly echoChannel = `howdah_echo_${randomUUID().replaceAll("-", "")}`;
  private readonly echoes = new Map<string, () => void>();
  /** The connection, or the attempt to make it. */
  private connection: Promise<OwnConnection> | undefined;
  /** The connection while it is known to live. */
  private current: OwnConnection | undefined;
  private confirmedAt = new Date(0);
  private heartbeat = 30_000;
  private timer: NodeJS.Timeout | undefined;

  constructor(open: () => Promise<OwnConnection>) {
    this.open = open;
  }

  async subscribe(channel: string, handlers: SubscriptionHandlers, options: SubscribeOptions): Promise<Subscription> {
    if (channel === "" || Buffer.byteLength(channel) > 63) {
      throw new ValidationError(`channel ${JSON.stringify(channel)} must have 1 to 63 bytes`, {
        module: "howdah",
        code: "channel_invalid",
        sqlstate: "22023",
      });
    }
    const heartbeat = milliseconds(options.heartbeat ?? this.heartbeat);
    if (heartbeat < this.heartbeat) {
      this.heartbeat = heartbeat;
      this.beat();
    }
    // It counts from here on, so that nobody who stops meanwhile takes the channel or the connection away.
    const subscriber: Subscriber = { channel, handlers, gap: "connected" };
    this.subscribers.add(subscriber);
    const stop = (): Promise<void> => this.unsubscribe(subscriber);
    try {
      await (await this.connected()).query(`listen ${quoted(channel)}`);
    } catch (error) {
      await stop();
      throw error;
    }
    this.tellOfGap(subscriber);
    const confirmedAt = (): Date => this.confirmedAt;
    return {
      get confirmedAt() {
        return confirmedAt();
      },
      query: async (text, values) => {
        if (!this.subscribers.has(subscriber)) throw stopped(channel);
        return (await this.connected()).query(text, values);
      },
      stop,
      [Symbol.asyncDispose]: stop,
    };
  }

  async stop(): Promise<void> {
    this.subscribers.clear();
    clearTimeout(this.timer);
    const connection = this.connection;
    this.connection = undefined;
    this.current = undefined;
    await (await connection?.catch(() => undefined))?.end().catch(() => {});
  }

  private async unsubscribe(subscriber: Subscriber): Promise<void> {
    if (!this.subscribers.delete(subscriber)) return;
    if (this.subscribers.size === 0) return this.stop();
    const connection = await this.connection?.catch(() => undefined);
    const isShared = [...this.subscribers].some((other) => other.channel === subscriber.channel);
    if (!isShared) await connection?.query(`unlisten ${quoted(subscriber.channel)}`).catch(() => {});
  }

  private connected(): Promise<OwnConnection> {
    if (this.connection) return this.connection;
    const attempt: Promise<OwnConnection> = this.connect().then(
      ({ connection, heardAt }) => {
        if (this.connection === attempt) this.adopt(connection, heardAt);
        return connection;
      },
      (error) => {
        if (this.connection === attempt) this.connection = undefined;
        throw error instanceof HowdahError ? error : new ConnectionError(error, false);
      },
    );
    this.connection = attempt;
    return attempt;
  }

  private async connect(): Promise<{ connection: OwnConnection; heardAt: Date }> {
    const connection = await this.open();
    let isOver = false;
    connection.onNotification((channel, payload) => this.deliver(channel, payload));
    connection.onEnd((error) => {
      isOver = true;
      this.lose(connection, error ?? new Error("the connection ended"));
    });
    try {
      await connection.query(`listen ${quoted(this.echoChannel)}`);
      for (const channel of new Set([...this.subscribers].map((subscriber) => subscriber.channel))) {
        await connection.query(`listen ${quoted(channel)}`);
      }
      const heardAt = await this.echoFromElsewhere(connection);
      if (isOver) throw new Error("the connection ended");
      return { connection, heardAt };
    } catch (error) {
      await connection.end().catch(() => {});
      throw error;
    }
  }

  private adopt(connection: OwnConnection, heardAt: Date): void {
    this.current = connection;
    for (const subscriber of this.subscribers) if (subscriber.gap === "reconnected") this.tellOfGap(subscriber);
    this.confirmedAt = heardAt;
    this.beat();
  }

  /** Hears a notification from elsewhere: a pooler passes on what a session tells itself, and nothing else. */
  private async echoFromElsewhere(listening: OwnConnection): Promise<Date> {
    const elsewhere = await this.open();
    try {
      return await this.echo(elsewhere, listening);
    } finally {
      await elsewhere.end().catch(() => {});
    }
  }

  /** Has a connection notify the listening one; everything committed before the returned moment has then been heard too. */
  private async echo(from: OwnConnection, listening: OwnConnection): Promise<Date> {
    const sentAt = new Date();
    const nonce = randomUUID();
    const isOver = new AbortController();
    const heard = new Promise<void>((resolve) => this.echoes.set(nonce, resolve));
    const sent = from.query("select pg_notify($1, $2)", [this.echoChannel, nonce]);
    const asked = Promise.all([sent, pause(echoTimeout, isOver.signal)]).then(() => listening.query("select 1"));
    const silence = pause(silenceTimeout, isOver.signal).then(() => Promise.reject(noAnswer()));
    try {
      await Promise.race([Promise.all([sent, heard]), asked, silence]);
      if (this.echoes.has(nonce)) throw noEcho();
      return sentAt;
    } finally {
      isOver.abort();
      this.echoes.delete(nonce);
    }
  }

  private beat(): void {
    clearTimeout(this.timer);
    const connection = this.current;
    if (!connection) return;
    const isCurrent = (): boolean => this.current === connection;
    this.timer = setTimeout(() => {
      this.echo(connection, connection).then(
        (heardAt) => {
          if (!isCurrent()) return;
          this.confirmedAt = heardAt;
          this.beat();
        },
        (error) => {
          if (!isCurrent()) return;
          this.lose(connection, error);
          connection.end().catch(() => {});
        },
      );
    }, this.heartbeat);
    this.timer.unref();
  }

  private lose(connection: OwnConnection, error: unknown): void {
    if (this.current !== connection) return;
    clearTimeout(this.timer);
    this.connection = undefined;
    this.current = undefined;
    for (const subscriber of this.subscribers) subscriber.gap ??= "reconnected";
    void this.reconnect(error);
  }

  private async reconnect(reason: unknown): Promise<void> {
    let error = reason;
    for (let failures = 0; ; failures++) {
      for (const subscriber of this.subscribers) subscriber.handlers.onError?.(error);
      if (failures > 0) await sleep(backoff(failures, 100, 10_000) * (0.5 + Math.random() / 2));
      if (this.subscribers.size === 0) return;
      try {
        await this.connected();
        return;
      } catch (failure) {
        error = failure;
      }
    }
  }

  private deliver(channel: string, payload: string): void {
    if (channel === this.echoChannel) this.hearEcho(payload);
    for (const subscriber of this.subscribers) {
      if (subscriber.channel !== channel || subscriber.gap !== undefined) continue;
      this.tell(subscriber, () => subscriber.handlers.onMessage(payload));
    }
  }

  private hearEcho(nonce: string): void {
    const heard = this.echoes.get(nonce);
    this.echoes.delete(nonce);
    heard?.();
  }

  private tellOfGap(subscriber: Subscriber): void {
    const { gap } = subscriber;
    subscriber.gap = undefined;
    if (gap !== undefined) this.tell(subscriber, () => subscriber.handlers.onGap(gap));
  }

  /** Runs a subscriber's handler; what it throws must not reach the others. */
  private tell(subscriber: Subscriber, handler: () => void): void {
    try {
      handler();
    } catch (error) {
      subscriber.handlers.onError?.(error);
    }
  }
}

const stopped = (channel: string): StateError =>
  new StateError(`the subscription of channel ${JSON.stringify(channel)} was stopped`, {
    module: "howdah",
    code: "subscription_stopped",
    sqlstate: "55000",
  });
