// A lane: a connection of a worker's own, on which one call follows the other.
import {
  ConnectionError,
  type Database,
  isConnectionFailure,
  type OwnConnection,
  type Query,
  type Queryable,
  type Result,
} from "@howdah/core";
import { sqlstateOf, WorkerStoppedError } from "./errors.ts";
import type { ClaimedRow } from "./job.ts";

const exchangeText = `select id, fence_token, attempts, max_attempts, payload, metadata, priority,
  scheduled_at::text as scheduled_at, fair_seq, lease_id, trace
from queue.exchange($1, $2, $3, $4, $5::interval, $6::bigint[], $7::bigint[], null, $8::bigint[], $9::jsonb)`;

/** Errors of a pooler that hands a prepared statement to a connection that never saw it. */
const isForeignStatement = (error: unknown): boolean => /^(26000|42P05)$/.test(sqlstateOf(error));

/**
 * Whether the server refused a statement: then nothing was changed, and the connection is as good as before. After any other error
 * nobody knows. (0A000 may be a prepared statement that is out of date, which a new connection has not.)
 */
export const isRefusal = (error: unknown): boolean =>
  /^(?!0A000)[0-9A-Z]{5}$/.test(sqlstateOf(error)) && !isConnectionFailure(error);

/**
 * One connection of a worker. It is held until the worker stops, and replaced when it breaks. It takes no place in the pool, so
 * a worker never waits for its handlers, nor they for it, however small the pool is; where there is only one connection, they
 * take turns.
 */
export class Lane implements Queryable {
  private readonly db: Database;
  private connection: Promise<OwnConnection> | undefined;
  private isPrepared: boolean;
  private isEnded = false;

  constructor(db: Database, isPrepared = false) {
    this.db = db;
    this.isPrepared = isPrepared;
  }

  /** Calls `queue.exchange`. */
  async exchange(values: unknown[]): Promise<ClaimedRow[]> {
    const named = { text: exchangeText, values, name: "howdah_queue_exchange" };
    try {
      return (await this.query<ClaimedRow>(this.isPrepared ? named : { text: exchangeText, values })).rows;
    } catch (error) {
      if (!this.isPrepared || !isForeignStatement(error)) throw error;
      this.isPrepared = false;
      return this.exchange(values);
    }
  }

  async query<R>(query: string | Query, values?: unknown[]): Promise<Result<R>> {
    const { driver } = this.db;
    if (driver.isSingle) return driver.query(typeof query === "string" ? { text: query, values: values ?? [] } : query);
    const held = this.opened();
    const connection = await held;
    try {
      return await connection.query<R>(query, values);
    } catch (error) {
      if (!isRefusal(error)) this.drop(held);
      throw error;
    }
  }

  /** Has a connection ready, so that a failure from here on means that the statement may have been run. */
  async open(): Promise<void> {
    if (!this.db.driver.isSingle) await this.opened();
  }

  close(): void {
    if (this.connection) this.drop(this.connection);
  }

  /** Closes it for good; what runs on it fails. */
  end(): void {
    this.isEnded = true;
    this.close();
  }

  private opened(): Promise<OwnConnection> {
    if (this.isEnded) return Promise.reject(new WorkerStoppedError());
    this.connection ??= this.connect();
    return this.connection;
  }

  private connect(): Promise<OwnConnection> {
    const made: Promise<OwnConnection> = this.db.driver.open().then(
      (connection) => {
        connection.onEnd(() => this.forget(made));
        return connection;
      },
      (error) => {
        this.forget(made);
        throw new ConnectionError(error, false);
      },
    );
    return made;
  }

  private drop(held: Promise<OwnConnection>): void {
    this.forget(held);
    held.then((connection) => connection.end()).catch(() => {});
  }

  private forget(held: Promise<OwnConnection>): void {
    if (this.connection === held) this.connection = undefined;
  }
}
