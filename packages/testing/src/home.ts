// What one process makes on the server: databases, and the roles and templates that go with them.
//
// All of it bears the name that this process's connections to the server bear. So the server itself knows what is left over:
// things with a name that no connection has belong to a process that has died, on whatever machine.
import { createHash, randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { connect, coreModule, type Module, migrate } from "@howdah/core";
import pg from "pg";
import { databaseUrl, testServer } from "./server.ts";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** The name of this process on the server. */
const run = `howdah_test_${sha256(hostname()).slice(0, 6)}_${process.pid}_${randomBytes(3).toString("hex")}`;

interface Home {
  url: string;
  version: number;
  pool: pg.Pool;
}

let home: Promise<Home> | undefined;
let count = 0;
const templates = new Map<string, Promise<string>>();

/** The options of a pool whose connections are this process's, never keep it alive, and may break without ending it. */
export function ownPool(url: string, max: number): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: run,
    max,
    idleTimeoutMillis: 0,
    allowExitOnIdle: true,
  });
  pool.on("error", () => {});
  return pool;
}

/** Makes a database with the given modules, or an empty one; returns its name and url. */
export async function createDatabase(modules: readonly Module[] | undefined): Promise<{ name: string; url: string }> {
  const { pool, url, version } = await findHome();
  const template = modules ? await findTemplate(modules) : "template0";
  const name = freshName();
  await pool.query(createStatement(name, template, version));
  return { name, url: databaseUrl(url, name) };
}

/**
 * Drops a database and its roles, unless somebody else is still connected: their connection would break, and an unprepared
 * process with it. What stays goes with the server, or at the next start.
 */
export async function dropDatabase(name: string, roles: readonly string[]): Promise<void> {
  const { pool } = await findHome();
  const { rows } = await pool.query<{ others: number }>(
    `select count(*)::int as others from pg_stat_activity
    where datname = $1 and usesysid is not null and application_name <> $2`,
    [name, run],
  );
  if (rows[0]?.others !== 0) return;
  await pool.query(`drop database ${name} with (force)`);
  for (const role of roles) await pool.query(`drop role ${pg.escapeIdentifier(role)}`);
}

/** Makes a role that may log in and nothing else; roles belong to the whole server, so its name is unique. */
export async function createRole(name: string): Promise<{ name: string; password: string }> {
  const { pool } = await findHome();
  const role = `${freshName()}_${name}`.slice(0, 63);
  const password = randomBytes(12).toString("hex");
  await pool.query(`create role ${pg.escapeIdentifier(role)} login password '${password}'`);
  return { name: role, password };
}

const freshName = (): string => {
  count += 1;
  return `${run}_${count}`;
};

// Copying files is several times faster than writing every page to the log.
const createStatement = (name: string, template: string, version: number): string =>
  `create database ${name} template ${template} ${version >= 15 ? "strategy file_copy" : ""}`;

function findHome(): Promise<Home> {
  home ??= openHome();
  return home;
}

async function openHome(): Promise<Home> {
  const { url, version } = (await serverOfVitest()) ?? (await serverOfProcess());
  return { url, version, pool: ownPool(url, 2) };
}

/** The server that the global setup of this vitest run has started. */
async function serverOfVitest(): Promise<{ url: string; version: number } | undefined> {
  if (!process.env.VITEST) return undefined;
  try {
    const { inject } = await import("vitest");
    return inject("howdah");
  } catch {
    return undefined; // a process that a test has started
  }
}

/** Without a global setup, such as under `node --test`, each process has a server of its own that ends with it. */
async function serverOfProcess(): Promise<{ url: string; version: number }> {
  const server = await testServer();
  return { url: server.url(), version: server.version };
}

/** The database that has these modules and nothing else, made by whoever needs it first. */
function findTemplate(modules: readonly Module[]): Promise<string> {
  const fingerprints = [coreModule, ...modules].map(
    (module) => `${module.name} ${module.release} ${module.fingerprint}`,
  );
  // The day is in its name so that those on a server that stays can be thrown away when they are old.
  const today = new Date().toISOString().slice(0, 10).replaceAll("-", "");
  const name = `howdah_template_${today}_${sha256(fingerprints.join("\n")).slice(0, 16)}`;
  const template = templates.get(name) ?? makeTemplate(name, modules);
  templates.set(name, template);
  return template;
}

async function makeTemplate(name: string, modules: readonly Module[]): Promise<string> {
  const { pool, url, version } = await findHome();
  const client = await pool.connect();
  try {
    await client.query("select pg_advisory_lock(hashtextextended($1, 0))", [name]);
    const { rows } = await client.query("select from pg_database where datname = $1", [name]);
    if (rows.length > 0) return name;

    // A draft gets its name when it is complete, so a template is never half made.
    const draft = freshName();
    await client.query(createStatement(draft, "template0", version));
    const db = connect(databaseUrl(url, draft));
    try {
      await migrate(db, modules);
    } finally {
      await db.close();
    }
    await client.query(`alter database ${draft} allow_connections false`);
    await client.query(`alter database ${draft} rename to ${name}`);
    return name;
  } finally {
    await client.query("select pg_advisory_unlock_all()");
    client.release();
  }
}
