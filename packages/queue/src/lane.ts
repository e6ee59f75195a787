// A lane: one connection on which exchanges follow each other, each settling the last jobs and claiming the next.
import type { Context, Database, Fn, Queryable } from "@howdah/core";
import type { ClaimedRow } from "./job.ts";

const exchangeText = `select id, fence_token, attempts, max_attempts, payload, metadata, priority,
  scheduled_at::text as scheduled_at, fair_seq, lease_id, trace
from queue.exchange($1, $2, $3, $4, $5::interval, $6::bigint[], $7::bigint[], null, $8::bigint[], $9::jsonb)`;

/** Errors of a pooler that hands a prepared statement to a connection that never saw it. */
const isForeignStatement = (error: unknown): boolean =>
  /^(26000|42P05)$/.test(String((error as { code?: unknown }).code));

/** A connection as a lane holds it. */
interface Held extends Queryable {
  close(): void;
}

/**
 * One connection of a worker. It is held from one exchange to the next, and replaced when it breaks. It takes no place in the
 * pool, so handlers never wait for a lane, however small the pool is; where there is only one connection, they take turns.
 */
export class Lane {
  private readonly db: Database;
  private connection: Held | undefined;
  private isPrepared: boolean;

  constructor(db: Database, isPrepared: boolean) {
    this.db = db;
    this.isPrepared = isPrepared;
  }

  /** Calls `queue.exchange`. */
  exchange(values: unknown[]): Promise<ClaimedRow[]> {
    return this.query<ClaimedRow>(exchangeText, "howdah_queue_exchange", values);
  }

  /** Calls a function. */
  async call<A, R>(f: Fn<A, R>, args: A, context: Context): Promise<R> {
    const { text, values = [], call } = f.query(args, context);
    return f.read(await this.query(text, call.statement, values));
  }

  /** Has a connection ready, so that a failure from here on means that the statement may have been run. */
  async open(): Promise<Held> {
    this.connection ??= await this.connect();
    return this.connection;
  }

  /** Runs a statement on the lane's connection. */
  private async query<R>(text: string, name: string, values: unknown[]): Promise<R[]> {
    const connection = await this.open();
    try {
      const { rows } = await connection.query<R>(this.isPrepared ? { text, name, values } : { text, values });
      return rows;
    } catch (error) {
      this.close();
      if (!this.isPrepared || !isForeignStatement(error)) throw error;
      this.isPrepared = false;
      return this.query(text, name, values);
    }
  }

  /** Lets others have the connection, if there is only one. */
  yield(): void {
    if (this.db.driver.isSingle) this.close();
  }

  close(): void {
    this.connection?.close();
    this.connection = undefined;
  }

  private async connect(): Promise<Held> {
    const { driver } = this.db;
    if (driver.isSingle) {
      const { query, release } = await driver.acquire();
      return { query, close: () => release() };
    }
    const own = await driver.open();
    return { query: own.query, close: () => void own.end().catch(() => {}) };
  }
}
