import type { Duplex } from "node:stream";
import pg from "pg";
import { ConnectionError, isConnectionFailure } from "./errors.ts";

/** A statement with its values; `name` makes it a prepared one. */
export interface Query {
  text: string;
  values?: unknown[];
  name?: string;
}

/** What a statement answers. */
export interface Result<R> {
  rows: R[];
}

/** Anything that runs a statement: pg's Pool, PoolClient and Client satisfy it as they are. */
export interface Queryable {
  query<R = Record<string, unknown>>(query: string | Query, values?: unknown[]): Promise<Result<R>>;
}

/** One connection, held until it is released. */
export interface Connection extends Queryable {
  /** Runs a text of several statements. */
  execute(sql: string): Promise<unknown>;
  /** Commits. False if the server rolled back instead, because a statement had failed and the error was caught. */
  commit(): Promise<boolean>;
  /** Gives the connection back; a broken one is closed instead. */
  release(isBroken?: boolean): void;
}

/** A connection outside any pool, which may listen and hold locks of its own. */
export interface OwnConnection extends Queryable {
  onNotification(handler: (channel: string, payload: string) => void): void;
  onEnd(handler: (error?: unknown) => void): void;
  end(): Promise<void>;
}

/** What core asks of a database library; {@link connect} finds the right one for its target. */
export interface Driver {
  /** True when there is only one connection, so that no second one can hold a lock beside it. */
  readonly isSingle: boolean;
  /** Runs one statement on any connection. Fails with a {@link ConnectionError} if there was none to send it on. */
  query<R>(query: Query): Promise<Result<R>>;
  acquire(): Promise<Connection>;
  /** Opens a connection that belongs to nobody else and takes no place in the pool. */
  open(): Promise<OwnConnection>;
  close(): Promise<void>;
}

/** Runs a `pg` pool. */
export function pgPoolDriver(pool: pg.Pool, isOwn: boolean): Driver {
  return {
    isSingle: false,
    // By callbacks, because every promise on the way is a turn of the event loop's queue in each call. Unlike pool.query(),
    // this keeps the connection when a statement fails.
    query: <R>(query: Query) =>
      new Promise<Result<R>>((resolve, reject) => {
        pool.connect((failure, client, release) => {
          if (failure || !client) return reject(unsent(failure));
          hearErrors(client);
          const done = (error: Error | undefined, result: unknown): void => {
            // A text without values may be of several statements, and have left a transaction open.
            release(Boolean(error) && (!query.values?.length || isConnectionFailure(error)));
            if (error) reject(error);
            else resolve(result as Result<R>);
          };
          if (query.name === undefined) client.query(query.text, query.values ?? [], done);
          else client.query(query, done);
        });
      }),
    acquire: () => pool.connect().then(pgConnection, (error) => Promise.reject(unsent(error))),
    async open() {
      const { max: _max, ...options } = pool.options;
      return pgOwnConnection({ ...options, password: pool.options.password });
    },
    async close() {
      if (isOwn) await pool.end();
    },
  };
}

/** Runs one `pg` client, connected by its owner. Its users take turns. */
export function pgClientDriver(client: pg.ClientBase): Driver {
  const turns = takeTurns(client);
  const acquire = async (): Promise<Connection> => {
    const done = await turns();
    return { ...pgConnection(client as pg.PoolClient), release: done };
  };
  return {
    isSingle: true,
    query: (query) => queryInTurn(acquire, query),
    acquire,
    async open() {
      const { host, port, database, user, password, ssl } = client as pg.Client;
      return pgOwnConnection({ host, port, database, user, password, ssl });
    },
    async close() {},
  };
}

const lastTurns = new WeakMap<object, Promise<void>>();

/** A lock for users of one connection, however many databases are made of it: each waits for the ones before it. */
export function takeTurns(connection: object): () => Promise<() => void> {
  return async () => {
    let done = (): void => {};
    const before = lastTurns.get(connection);
    lastTurns.set(
      connection,
      new Promise((resolve) => {
        done = resolve;
      }),
    );
    await before;
    return done;
  };
}

const ignore = (): void => {};

const unsent = (error: unknown): unknown => (isConnectionFailure(error) ? new ConnectionError(error, false) : error);

const heard = new WeakSet<pg.ClientBase>();

/** A backend that dies while its client is checked out but idle raises an event that would end the process. */
function hearErrors(client: pg.ClientBase): void {
  if (heard.has(client)) return;
  heard.add(client);
  client.on("error", ignore);
}

function pgConnection(client: pg.PoolClient): Connection {
  hearErrors(client);
  return {
    query: client.query.bind(client) as Connection["query"],
    execute: (sql) => client.query(sql),
    commit: async () => (await client.query("commit")).command === "COMMIT",
    release: (isBroken = false) => client.release(isBroken),
  };
}

/** One statement on the only connection there is, when it is free. */
export async function queryInTurn<R>(acquire: Driver["acquire"], query: Query): Promise<Result<R>> {
  const connection = await acquire();
  try {
    return await connection.query<R>(query);
  } finally {
    connection.release();
  }
}

async function pgOwnConnection(config: pg.ClientConfig): Promise<OwnConnection> {
  const connectionTimeoutMillis = config.connectionTimeoutMillis || 10_000;
  const client = new pg.Client({ ...config, connectionTimeoutMillis, keepAlive: true });
  client.on("error", ignore);
  await client.connect();
  const turns = takeTurns(client);
  return {
    async query<R>(query: string | Query, values?: unknown[]) {
      const done = await turns();
      return (client.query(query as string, values) as unknown as Promise<Result<R>>).finally(done);
    },
    onNotification(handler) {
      client.on("notification", ({ channel, payload }) => handler(channel, payload ?? ""));
    },
    onEnd(handler) {
      client.on("error", handler);
      client.on("end", () => handler());
    },
    async end() {
      // The other side of a half-open socket never says that it has ended.
      const { stream } = (client as unknown as { connection: { stream: Duplex } }).connection;
      const timer = setTimeout(() => stream.destroy(), 1000);
      await client.end().finally(() => clearTimeout(timer));
    },
  };
}
