// The server under test: our own, durable as in production, or one that the caller names.
import { startServer } from "@howdah/testing";
import { Client, Pool } from "pg";

/** Room enough that no checkpoint falls into a row; everything else, autovacuum included, is as PostgreSQL has it. */
const SETTINGS = { shared_buffers: "512MB", max_wal_size: "4GB", checkpoint_timeout: "30min", max_connections: "200" };

export interface Server {
  version: string;
  /** The settings that decide about durability and speed, as the server reports them. */
  settings: Record<string, string>;
  /** Makes a database, hands its URL to `work`, and drops it, so that each row starts on a clean and idle server. */
  withDatabase<T>(work: (url: string) => Promise<T>): Promise<T>;
  stop(): Promise<void>;
}

/** Connects to the server at `url`, or starts one with its data in a temporary folder. */
export async function openServer(url: string | undefined): Promise<Server> {
  const own =
    url === undefined ? await startServer({ kind: "embedded", durable: true, settings: SETTINGS }) : undefined;
  const base = url ?? own?.url() ?? "";
  const admin = new Client({ connectionString: base });
  await admin.connect();
  const { rows } = await admin.query<{ name: string; value: string }>(
    `select name, current_setting(name) as value
    from unnest(array['fsync', 'synchronous_commit', 'full_page_writes', 'autovacuum', 'shared_buffers', 'max_wal_size',
      'server_version']) as name`,
  );
  const { server_version: version = "", ...settings } = Object.fromEntries(
    rows.map(({ name, value }) => [name, value]),
  );
  const name = `howdah_bench_${process.pid}`;

  return {
    version,
    settings,

    async withDatabase(work) {
      await admin.query(`create database ${name}`);
      await admin.query("checkpoint");
      const database = new URL(base);
      database.pathname = name;
      const result = await work(database.href);
      await admin.query(`drop database ${name}`); // waits for connections that are about to close
      return result;
    },

    async stop() {
      await admin.query(`drop database if exists ${name} with (force)`);
      await admin.end();
      await own?.stop();
    },
  };
}

/** Opens a pool for `work` and closes it whatever happens, so that its database can be dropped. */
export async function withPool<T>(url: string, max: number, work: (pool: Pool) => Promise<T>): Promise<T> {
  const pool = new Pool({ connectionString: url, max });
  pool.on("error", () => {}); // connections that still close when a failed row's database is dropped
  try {
    return await work(pool);
  } finally {
    await pool.end();
  }
}
