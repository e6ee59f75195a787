import pg from "pg";
import type { TestConnection } from "./database.ts";

/**
 * Runs `fn` on n connections at the same moment: all are open before the first one starts.
 *
 * @returns what became of each, in order; nothing is thrown
 */
export async function race<T>(
  db: TestConnection,
  n: number,
  fn: (client: pg.Client, index: number) => Promise<T>,
): Promise<PromiseSettledResult<T>[]> {
  const clients = await db.clients(n);
  const results = await Promise.allSettled(clients.map((client, index) => fn(client, index)));
  await Promise.all(clients.map((client) => client.end()));
  return results;
}

/**
 * Terminates a client's backend from another connection, as a crash or a fail-over would: its transaction is rolled back,
 * its locks are released, and a query in flight rejects. Returns when the backend is gone and the client knows.
 */
export async function crash(client: pg.Client): Promise<void> {
  client.on("error", () => {});
  const ended = new Promise<void>((done) => client.once("end", done));
  const { host, port, database, user, password, ssl } = client;
  const { processID } = client as unknown as { processID: number };
  const killer = new pg.Client({ host, port, database, user, password, ssl });
  await killer.connect();
  const { rows } = await killer
    .query<{ died: boolean }>("select pg_terminate_backend($1, 60000) as died", [processID])
    .finally(() => killer.end());
  if (!rows[0]?.died) throw new Error(`The backend ${processID} of this client has ended before`);
  await ended;
}

/** Runs `fn` in a transaction that is always rolled back, so that a test can share its database with others. */
export async function inRollback<T>(db: TestConnection, fn: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await db.pool.connect();
  try {
    await client.query("begin");
    return await fn(client);
  } finally {
    await client.query("rollback").catch(() => {});
    client.release();
  }
}
