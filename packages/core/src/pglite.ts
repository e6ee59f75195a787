import {
  type Connection,
  type Driver,
  type Query,
  type Queryable,
  queryInTurn,
  type Result,
  takeTurns,
} from "./driver.ts";
import { sqlstateOf } from "./errors.ts";

/** What core uses of a PGlite; the library itself is never imported. */
export interface PGliteLike {
  query<R>(text: string, values?: unknown[], options?: Record<string, unknown>): Promise<{ rows: R[] }>;
  exec(sql: string): Promise<unknown>;
  onNotification(handler: (channel: string, payload: string) => void): () => void;
}

/** Whether a value is a PGlite. */
export const isPGlite = (value: unknown): value is PGliteLike =>
  typeof (value as PGliteLike).exec === "function" && typeof (value as PGliteLike).onNotification === "function";

const asText = (value: string): string => value;
/** bigint, numeric and bigint[] arrive as text, as they do from `pg`. */
const parsers = {
  20: asText,
  1700: asText,
  1016: (value: string) =>
    value === "{}"
      ? []
      : value
          .slice(1, -1)
          .split(",")
          .map((item) => (item === "NULL" ? null : item)),
};

/** Runs a PGlite: one connection inside this process, whose users take turns, with notifications delivered in process. */
export function pgliteDriver(db: PGliteLike): Driver {
  const turns = takeTurns(db);
  const query = <R>(input: string | Query, values?: unknown[]): Promise<Result<R>> => run<R>(db, input, values);
  // It does not say what became of a commit, but in an aborted transaction the statement before it fails.
  const commit = async (): Promise<boolean> => {
    try {
      await db.exec("select; commit");
      return true;
    } catch (error) {
      if (sqlstateOf(error) !== "25P02") throw error;
      return false;
    }
  };
  const acquire = async (): Promise<Connection> => {
    const release = await turns();
    return { query, execute: (sql) => db.exec(sql), commit, release };
  };
  return {
    isSingle: true,
    query: (query) => queryInTurn(acquire, query),
    acquire,
    async open() {
      const ends: (() => void)[] = [];
      const whenFree: typeof query = async (input, values) => {
        const release = await turns();
        return query<never>(input, values).finally(release);
      };
      return {
        query: whenFree,
        onNotification: (handler) => void ends.push(db.onNotification(handler)),
        onEnd: () => {},
        async end() {
          for (const end of ends) end();
        },
      };
    },
    async close() {},
  };
}

/** Makes a PGlite, or a transaction of one, something that clients can use: `jobs.using(fromPGlite(tx))`. */
export function fromPGlite(db: Pick<PGliteLike, "query">): Queryable {
  return { query: (query, values) => run(db, query, values) };
}

/** Values of calls travel as text, which the statement's casts turn into their types. */
function run<R>(db: Pick<PGliteLike, "query">, input: string | Query, given?: unknown[]): Promise<Result<R>> {
  const query: Query = typeof input === "string" ? { text: input } : input;
  const values = query.values ?? given ?? [];
  const paramTypes = "call" in query ? { paramTypes: values.map(() => 25) } : {};
  return db.query<R>(query.text, values, { parsers, ...paramTypes });
}
