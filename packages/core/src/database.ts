import pg from "pg";
import type { CallQuery } from "./call.ts";
import { call, fn } from "./call.ts";
import type { Actor } from "./context.ts";
import {
  type Connection,
  type Driver,
  pgClientDriver,
  pgPoolDriver,
  type Query,
  type Queryable,
  type Result,
} from "./driver.ts";
import {
  ConnectionError,
  isConnectionFailure,
  isSerializationFailure,
  RetryableError,
  StateError,
  sqlstateOf,
} from "./errors.ts";
import { isPGlite, type PGliteLike, pgliteDriver } from "./pglite.ts";
import { type RetryOptions, retry } from "./retry.ts";
import { Listener, type SubscribeOptions, type Subscription, type SubscriptionHandlers } from "./subscribe.ts";

/** What {@link connect} takes: a `pg` pool or client, a connection string, or a PGlite. */
export type Target = pg.Pool | pg.ClientBase | PGliteLike | string;

/** A hook's view of one call of a SQL function. */
export interface CallInfo {
  /** The function, such as `queue.push`. */
  readonly name: string;
  readonly namespace: string | null | undefined;
  readonly isReadOnly: boolean;
}

/** Watches calls, for tracing and metrics. It never sees an argument's value. */
export interface Hook {
  /** Called before a call is sent; what it returns is called with the error, if there was one, after the answer. */
  start(call: CallInfo): ((error?: unknown) => void) | undefined;
}

/** How a database is reached and how patiently. */
export interface ConnectOptions {
  /** A session-mode pool or URL for LISTEN, when the target is behind a transaction pooler. */
  direct?: pg.Pool | string;
  /** Send calls as named prepared statements: faster, but not through a pooler that does not track them. Default false. */
  prepare?: boolean;
  /** How often a statement is tried again that the server gave up or that was never sent; false for never. */
  retry?: RetryOptions | false;
  hooks?: readonly Hook[];
}

/** How a transaction runs. */
export interface TransactionOptions {
  isolation?: "read committed" | "repeatable read" | "serializable";
  readOnly?: boolean;
  /** How often the whole transaction is run again after a serialization failure or a deadlock; false for never. */
  retry?: RetryOptions | false;
  /** Pins the transaction to one tenant: calls that name another fail. */
  tenant?: string;
  /** Who acts in the transaction. */
  actor?: Actor;
}

/** A running transaction. */
export interface Transaction extends Queryable {}

/** A database that Howdah's clients work on, made by {@link connect}. */
export interface Database extends Queryable {
  /** Runs `fn` in a transaction: committed when it returns, rolled back when it throws, run again after a deadlock. */
  transaction<T>(fn: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** Listens on a channel, for as long as it takes and through any reconnect. */
  subscribe(channel: string, handlers: SubscriptionHandlers, options?: SubscribeOptions): Promise<Subscription>;
  /** Ends subscriptions, and the pool if {@link connect} made it. */
  close(): Promise<void>;
  /** The driver underneath, for what needs a connection of its own. */
  readonly driver: Driver;
}

/** Whether a value is a {@link Database} already. */
export const isDatabase = (value: unknown): value is Database => typeof (value as Database).subscribe === "function";

/** Makes a {@link Database} of a pool, a client, a connection string or a PGlite; a database is returned as it is. */
export function connect(target: Target | Database, options: ConnectOptions = {}): Database {
  if (isDatabase(target)) return target;
  return new DriverDatabase(driverFor(target), options);
}

/** Runs `fn` in a transaction of any target; see {@link Database.transaction}. */
export function transaction<T>(
  target: Target | Database,
  fn: (tx: Transaction) => Promise<T>,
  options: TransactionOptions = {},
): Promise<T> {
  return withDatabase(target, (db) => db.transaction(fn, options));
}

/** Runs `fn` on a database, and closes it afterwards if it had to be made of a connection string. */
export async function withDatabase<T>(target: Target | Database, fn: (db: Database) => Promise<T>): Promise<T> {
  const db = connect(target);
  try {
    return await fn(db);
  } finally {
    if (typeof target === "string") await db.close();
  }
}

function driverFor(target: Target): Driver {
  if (typeof target === "string") {
    const pool = new pg.Pool({ connectionString: target });
    pool.on("error", () => {}); // an idle connection that breaks is replaced at the next use
    return pgPoolDriver(pool, true);
  }
  if (isPGlite(target)) return pgliteDriver(target);
  return "totalCount" in target ? pgPoolDriver(target, false) : pgClientDriver(target);
}

const setTenant = fn<{ namespace: string }, void>("howdah.set_tenant", {
  args: { namespace: "text" },
  isNamespaced: false,
  returns: "void",
});
const setActor = fn<Actor, void>("howdah.set_actor", {
  args: {
    actorId: "text",
    requestId: "text",
    onBehalfOf: "text",
    reason: "text",
    ipAddress: "text",
    userAgent: "text",
  },
  isNamespaced: false,
  returns: "void",
});

class DriverDatabase implements Database {
  readonly driver: Driver;
  private readonly options: ConnectOptions;
  private readonly listener: Listener;
  private readonly direct: Driver | undefined;

  constructor(driver: Driver, options: ConnectOptions) {
    this.driver = driver;
    this.options = options;
    this.direct = options.direct === undefined ? undefined : driverFor(options.direct);
    this.listener = new Listener(() => (this.direct ?? this.driver).open());
  }

  query<R>(query: string | CallQuery | Query, values?: unknown[]): Promise<Result<R>> {
    const statement: Query | CallQuery =
      typeof query === "string" ? (values === undefined ? { text: query } : { text: query, values }) : query;
    return this.watch(callOf(statement), () => this.send<R>(statement));
  }

  async transaction<T>(fn: (tx: Transaction) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const patience = options.retry ?? this.options.retry ?? {};
    const mayRetry = (error: unknown): boolean => patience !== false && isSerializationFailure(error);
    return retry(patience || {}, mayRetry, () => this.transactionOnce(fn, options)).catch(giveUp);
  }

  subscribe(channel: string, handlers: SubscriptionHandlers, options: SubscribeOptions = {}): Promise<Subscription> {
    return this.listener.subscribe(channel, handlers, options);
  }

  async close(): Promise<void> {
    await this.listener.stop();
    await this.direct?.close();
    await this.driver.close();
  }

  private async send<R>(statement: Query | CallQuery): Promise<Result<R>> {
    try {
      return await this.driver.query<R>(this.prepared(statement));
    } catch (error) {
      return this.sendAgain(statement, error);
    }
  }

  private sendAgain<R>(statement: Query | CallQuery, first: unknown): Promise<Result<R>> {
    const mayHaveCommitted = !callOf(statement)?.isReadOnly;
    const classified = (error: unknown): never => {
      throw isConnectionFailure(error) && !(error instanceof ConnectionError)
        ? new ConnectionError(error, mayHaveCommitted)
        : error;
    };
    let attempts = 0;
    const attempt = (): Promise<Result<R>> =>
      (attempts++ === 0 ? Promise.reject(first) : this.driver.query<R>(this.prepared(statement))).catch(classified);
    const { retry: patience = {} } = this.options;
    return (patience === false ? attempt() : retry(patience, mayRetry, attempt)).catch(giveUp);
  }

  private async transactionOnce<T>(fn: (tx: Transaction) => Promise<T>, options: TransactionOptions): Promise<T> {
    const connection = await this.driver.acquire();
    let isBroken = false;
    let isCommitting = false;
    try {
      await connection.execute(beginStatement(options));
      const tx = this.within(connection);
      if (options.tenant !== undefined) await call(tx, setTenant, { namespace: options.tenant });
      if (options.actor !== undefined) await call(tx, setActor, options.actor);
      const result = await fn(tx);
      isCommitting = true;
      if (!(await connection.commit())) throw aborted();
      return result;
    } catch (error) {
      await connection.execute("rollback").catch(() => (isBroken = true));
      const isLost = isBroken && isConnectionFailure(error) && !(error instanceof ConnectionError);
      throw isLost ? new ConnectionError(error, isCommitting) : error;
    } finally {
      connection.release(isBroken);
    }
  }

  /** A connection as users of a transaction see it: watched by hooks, and never retried on its own. */
  private within(connection: Connection): Transaction {
    return {
      query: <R>(query: string | Query | CallQuery, values?: unknown[]) => {
        if (typeof query === "string") return connection.query<R>(query, values);
        return this.watch(callOf(query), () => connection.query<R>(this.prepared(query)));
      },
    };
  }

  private prepared(statement: Query | CallQuery): Query {
    const isNamed = this.options.prepare === true && "call" in statement;
    return isNamed
      ? { text: statement.text, values: statement.values ?? [], name: statement.call.statement }
      : statement;
  }

  private watch<T>(call: CallInfo | undefined, run: () => Promise<T>): Promise<T> {
    const { hooks } = this.options;
    return call === undefined || hooks === undefined ? run() : this.watched(hooks, call, run);
  }

  private async watched<T>(hooks: readonly Hook[], call: CallInfo, run: () => Promise<T>): Promise<T> {
    const ends = hooks.map((hook) => hook.start(call));
    try {
      const result = await run();
      for (const end of ends) end?.();
      return result;
    } catch (error) {
      for (const end of ends) end?.(error);
      throw error;
    }
  }
}

const callOf = (query: Query | CallQuery): CallQuery["call"] | undefined => ("call" in query ? query.call : undefined);

/** Whether a statement outside a transaction may be sent again: the server gave it up, or it cannot have taken effect. */
const mayRetry = (error: unknown): boolean =>
  isSerializationFailure(error) || (error instanceof ConnectionError && !error.mayHaveCommitted);

const aborted = (): StateError =>
  new StateError("the transaction was rolled back, because one of its statements had failed", {
    module: "howdah",
    code: "transaction_aborted",
    sqlstate: "25P02",
    hint: "Let the statement's error end the transaction, or put a savepoint before the statement",
  });

function beginStatement({ isolation, readOnly }: TransactionOptions): string {
  return ["begin", isolation && `isolation level ${isolation}`, readOnly && "read only"].filter(Boolean).join(" ");
}

function giveUp(error: unknown): never {
  if (!isSerializationFailure(error)) throw error;
  throw new RetryableError(`the server gave up the transaction at every try: ${String(error)}`, {
    module: "howdah",
    code: "retries_exhausted",
    sqlstate: sqlstateOf(error) ?? "40001",
    hint: "Try again later, or make the transaction shorter",
    cause: error,
  });
}
