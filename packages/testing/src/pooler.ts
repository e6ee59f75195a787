import { existsSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { serverUser } from "./binaries.ts";
import type { TestConnection } from "./database.ts";
import { freePort, giveToServer, temporaryFolder } from "./local.ts";
import { supervise } from "./supervise.ts";

// Debian puts it where only root's PATH looks.
const pgBouncer = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"]
  .map((folder) => join(folder, "pgbouncer"))
  .find((path) => existsSync(path));

/** Whether {@link pooler} can start one, for the name of a test that has to be skipped. */
export const hasPgBouncer: boolean = pgBouncer !== undefined;

/** A running connection pooler. */
export interface Pooler extends AsyncDisposable {
  /** The database's url, through the pooler. */
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Starts PgBouncer in front of a test database, with at most four server connections.
 *
 * @returns undefined if PgBouncer is not installed; see {@link hasPgBouncer}
 */
export async function pooler(
  db: TestConnection,
  { mode = "transaction" }: { mode?: "transaction" | "session" | "statement" } = {},
): Promise<Pooler | undefined> {
  if (!pgBouncer) return undefined;
  const url = new URL(db.url);
  const folder = temporaryFolder(false);
  const port = await freePort();
  const config = join(folder, "pgbouncer.ini");
  const users = join(folder, "users.txt");
  writeFileSync(users, `"${decodeURIComponent(url.username)}" "${decodeURIComponent(url.password)}"\n`, {
    mode: 0o600,
  });
  writeFileSync(
    config,
    `[databases]
* = host=${url.hostname} port=${url.port || 5432}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = plain
auth_file = ${users}
pool_mode = ${mode}
default_pool_size = 4
max_client_conn = 1000
`,
  );
  giveToServer(folder, config, users);
  const { stop } = await supervise({
    setup: [],
    server: [pgBouncer, config],
    ready: "process up",
    signal: "SIGQUIT",
    folder,
    keep: false,
    user: serverUser,
  });
  url.hostname = "127.0.0.1";
  url.port = String(port);
  return { url: url.href, stop, [Symbol.asyncDispose]: stop };
}
