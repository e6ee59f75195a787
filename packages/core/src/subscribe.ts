import { randomUUID } from "node:crypto";
import type { OwnConnection, Result } from "./driver.ts";
import { type Duration, milliseconds } from "./duration.ts";
import { ConnectionError, PoolerError, ValidationError } from "./errors.ts";
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
}

const echoTimeout = 2000;
const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

const noEcho = (): PoolerError =>
  new PoolerError("LISTEN was accepted, but no notification arrives on this connection", {
    module: "howdah",
    code: "listen_unsupported",
    sqlstate: "0A000",
    hint: "A transaction pooler swallows LISTEN: give connect() the option `direct`, a URL of the server itself",
  });

/**
 * One listening connection, shared by all subscriptions of a database.
 *
 * It proves itself by an echo: it is notified and must hear that. No echo at the start means a transaction pooler, which
 * swallows LISTEN silently; no echo later means a dead connection. After every reconnect each subscriber is told of the gap.
 */
export class Listener {
  private readonly open: () => Promise<OwnConnection>;
  private readonly subscribers = new Set<Subscriber>();
  private readonly echoChannel = `howdah_echo_${randomUUID().replaceAll("-", "")}`;
  private connection: Promise<OwnConnection> | undefined;
  private current: OwnConnection | undefined;
  private confirmedAt = new Date(0);
  private heartbeat = 30_000;
  private timer: NodeJS.Timeout | undefined;
  private answer: (() => void) | undefined;
  private echoing: Promise<void> | undefined;
  private isStopped = false;

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
    if (options.heartbeat !== undefined) this.heartbeat = Math.min(this.heartbeat, milliseconds(options.heartbeat));
    const subscriber = { channel, handlers };
    this.isStopped = false;
    const connection = await this.connected();
    this.subscribers.add(subscriber);
    try {
      await connection.query(`listen ${quoted(channel)}`);
    } catch (error) {
      this.subscribers.delete(subscriber);
      throw error;
    }
    this.tell(subscriber, () => handlers.onGap("connected"));
    const stop = (): Promise<void> => this.unsubscribe(subscriber);
    const confirmedAt = (): Date => this.confirmedAt;
    return {
      get confirmedAt() {
        return confirmedAt();
      },
      query: async (text, values) => (await this.connected()).query(text, values),
      stop,
      [Symbol.asyncDispose]: stop,
    };
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.subscribers.clear();
    clearTimeout(this.timer);
    const connection = await this.connection?.catch(() => undefined);
    this.connection = undefined;
    this.current = undefined;
    await connection?.end().catch(() => {});
  }

  private async unsubscribe(subscriber: Subscriber): Promise<void> {
    if (!this.subscribers.delete(subscriber)) return;
    if (this.subscribers.size === 0) return this.stop();
    if (this.listensOn(subscriber.channel)) return;
    const connection = await this.connection?.catch(() => undefined);
    await connection?.query(`unlisten ${quoted(subscriber.channel)}`).catch(() => {});
  }

  private listensOn(channel: string): boolean {
    return [...this.subscribers].some((subscriber) => subscriber.channel === channel);
  }

  private connected(): Promise<OwnConnection> {
    this.connection ??= this.connect().catch((error) => {
      this.connection = undefined;
      throw error instanceof PoolerError ? error : new ConnectionError(error, false);
    });
    return this.connection;
  }

  private async connect(): Promise<OwnConnection> {
    const connection = await this.open();
    const over = (error?: unknown): void => {
      if (this.current !== connection) return;
      this.current = undefined;
      void this.reconnect(error);
    };
    connection.onNotification((channel, payload) => this.deliver(channel, payload));
    try {
      await connection.query(`listen ${quoted(this.echoChannel)}`);
      for (const channel of new Set([...this.subscribers].map((subscriber) => subscriber.channel))) {
        await connection.query(`listen ${quoted(channel)}`);
      }
      await this.echoFromElsewhere();
    } catch (error) {
      await connection.end().catch(() => {});
      throw error;
    }
    this.current = connection;
    connection.onEnd(over);
    this.beat(connection, over);
    return connection;
  }

  /** Hears its own notification; everything committed before has then been heard too. */
  private echo(connection: OwnConnection): Promise<void> {
    this.echoing ??= this.echoOnce((channel) => connection.query("select pg_notify($1, '')", [channel])).finally(() => {
      this.echoing = undefined;
    });
    return this.echoing;
  }

  /** Hears a notification from elsewhere: a pooler passes on what a session tells itself, and nothing else. */
  private async echoFromElsewhere(): Promise<void> {
    const elsewhere = await this.open();
    try {
      await this.echoOnce((channel) => elsewhere.query("select pg_notify($1, '')", [channel]));
    } finally {
      await elsewhere.end().catch(() => {});
    }
  }

  private async echoOnce(notify: (channel: string) => Promise<unknown>): Promise<void> {
    const sentAt = new Date();
    let timer: NodeJS.Timeout | undefined;
    const heard = new Promise<void>((resolve, reject) => {
      this.answer = resolve;
      timer = setTimeout(() => reject(noEcho()), echoTimeout);
    });
    try {
      await Promise.all([notify(this.echoChannel), heard]);
      this.confirmedAt = sentAt;
    } finally {
      clearTimeout(timer);
      this.answer = undefined;
    }
  }

  private beat(connection: OwnConnection, over: (error?: unknown) => void): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.echo(connection).then(
        () => this.beat(connection, over),
        (error) => {
          connection.end().catch(() => {});
          over(error);
        },
      );
    }, this.heartbeat);
    this.timer.unref();
  }

  private async reconnect(error: unknown): Promise<void> {
    clearTimeout(this.timer);
    if (this.isStopped) return;
    for (const subscriber of this.subscribers) subscriber.handlers.onError?.(error ?? new Error("connection ended"));
    this.connection = undefined;
    for (let failures = 1; !this.isStopped; failures++) {
      try {
        await this.connected();
        for (const subscriber of this.subscribers)
          this.tell(subscriber, () => subscriber.handlers.onGap("reconnected"));
        return;
      } catch (failure) {
        for (const subscriber of this.subscribers) subscriber.handlers.onError?.(failure);
        await new Promise((resolve) => setTimeout(resolve, backoff(failures, 100, 10_000) * (0.5 + Math.random() / 2)));
      }
    }
  }

  private deliver(channel: string, payload: string): void {
    if (channel === this.echoChannel) this.answer?.();
    for (const subscriber of this.subscribers) {
      if (subscriber.channel === channel) this.tell(subscriber, () => subscriber.handlers.onMessage(payload));
    }
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
