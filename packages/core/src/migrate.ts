import { setTimeout as sleep } from "node:timers/promises";
import { coreModule } from "./core-module.ts";
import { type Database, type Target, withDatabase } from "./database.ts";
import type { Connection } from "./driver.ts";
import { type Duration, milliseconds } from "./duration.ts";
import { isConnectionFailure, MigrationError, SchemaBehindError, sqlstateOf } from "./errors.ts";
import { type LedgerModule, readLedger, readModules } from "./ledger.ts";
import type { Module, ModuleFile } from "./module.ts";
import { isNewer, type ModulePlan, type ModuleState, planModule, type Step, tooNew } from "./plan.ts";
import { backoff } from "./retry.ts";
import { concurrentIndex } from "./statements.ts";

/** How {@link migrate} runs. */
export interface MigrateOptions {
  /** Run the versioned files of the given module up to this number only. */
  target?: number;
  /** Run everything in one transaction and roll it back. */
  dryRun?: boolean;
  /** Record the files of a schema that exists without a ledger as applied, and run none of them. */
  baseline?: boolean;
  /** How long a statement may wait for a lock before its module is rolled back and tried again; default 5 s. */
  lockTimeout?: Duration;
  /** How long a statement may run; default 0, without limit. */
  statementTimeout?: Duration;
  /** How long to wait for another process that is migrating; default 1 minute. */
  wait?: Duration;
  signal?: AbortSignal;
  /** Called after each file. */
  onStep?: (step: AppliedStep) => void;
}

/** A file that was run. */
export interface AppliedStep {
  module: string;
  file: string;
  ms: number;
}

/** What {@link migrate} did to one module. */
export interface ModuleMigration {
  module: string;
  /** The release before, if the module was installed. */
  from: string | undefined;
  to: string;
  /** Where the module stood before. */
  state: ModuleState;
  applied: AppliedStep[];
}

/** What {@link migrate} did. */
export interface MigrationReport {
  /** The modules that were changed; empty when there was nothing to do. */
  modules: ModuleMigration[];
  ms: number;
}

/** Where one module stands; see {@link status}. */
export interface ModuleStatus {
  module: string;
  state: ModuleState;
  /** The release of the code. */
  release: string;
  /** The release that the database is at. */
  databaseRelease: string | undefined;
  /** The files that {@link migrate} would run. */
  pending: string[];
}

/**
 * Brings a database up to the given modules. Safe in any number of processes at once: one works, the others wait and then
 * find nothing to do. When there is nothing to do it is one round trip.
 *
 * Each module is one transaction, so a failing module leaves the ones before it applied and itself untouched.
 *
 * @throws {MigrationError} with the module, the file and the line that failed; {@link ChecksumMismatchError},
 *   {@link SchemaTooNewError}
 */
export function migrate(
  target: Target | Database,
  modules: readonly Module[],
  options: MigrateOptions = {},
): Promise<MigrationReport> {
  return withDatabase(target, (db) => migrateDatabase(db, modules, options));
}

async function migrateDatabase(
  db: Database,
  modules: readonly Module[],
  options: MigrateOptions,
): Promise<MigrationReport> {
  const startedAt = performance.now();
  const all = withCore(modules);
  const isTargeted = options.target !== undefined;
  if (isTargeted && modules.length !== 1) {
    throw new MigrationError("a target needs exactly one module", { module: "howdah", code: "target_invalid" });
  }
  if (!options.dryRun && !isTargeted && isCurrent(all, await readModules(db))) return { modules: [], ms: 0 };

  const lock = await takeLock(db, all, options);
  if (lock === "nothing to do") return { modules: [], ms: performance.now() - startedAt };
  try {
    const migrated = await new Migration(db, lock, options).run(all);
    return { modules: migrated, ms: performance.now() - startedAt };
  } finally {
    await lock.release();
  }
}

/** Says of each module, and of `howdah` itself, where it stands. Changes nothing. */
export async function status(target: Target | Database, modules: readonly Module[]): Promise<ModuleStatus[]> {
  const plans = await withDatabase(target, (db) => planAll(db, modules));
  return plans.map(({ module, state, databaseRelease, steps }) => ({
    module: module.name,
    state,
    release: module.release,
    databaseRelease,
    pending: steps.map((step) => step.file.path),
  }));
}

/** Lists the files that {@link migrate} would run, in order. Changes nothing. */
export async function plan(target: Target | Database, modules: readonly Module[]): Promise<Step[]> {
  const plans = await withDatabase(target, (db) => planAll(db, modules));
  return plans.flatMap(({ steps }) => steps);
}

/**
 * Makes sure at start-up that the database fits the code.
 *
 * @param policy.migrate true migrates; `"check"` throws {@link SchemaBehindError} instead, for roles that may not; false
 *   does neither. Default true
 */
export async function prepare(
  target: Target | Database,
  modules: readonly Module[],
  policy: { migrate?: boolean | "check" } = {},
): Promise<void> {
  const wanted = policy.migrate ?? true;
  if (wanted === true) await migrate(target, modules);
  if (wanted === "check") await withDatabase(target, (db) => assertServed(db, modules));
}

/** By what every role may know of the installation; a plan needs the ledger, which is the owner's. */
async function assertServed(db: Database, modules: readonly Module[]): Promise<void> {
  const installed = await readModules(db);
  for (const module of withCore(modules)) {
    const row = installed.get(module.name);
    if (row && module.api < row.min_api) throw tooNew(module, row.release, row.min_api);
    const isServed = row?.has_schema && (row.fingerprint === module.fingerprint || isNewer(row, module));
    if (isServed) continue;
    throw new SchemaBehindError(
      `${module.name}: the database is at ${row?.release ?? "no release"}, this process needs ${module.release}`,
      { module: module.name, code: "schema_behind", hint: "Run `howdah migrate` first" },
    );
  }
}

/** The modules with `howdah` in front, each once. */
export function withCore(modules: readonly Module[]): Module[] {
  const all = [coreModule, ...modules.filter((module) => module !== coreModule)];
  const names = new Set<string>();
  for (const { name } of all) {
    if (names.has(name)) {
      throw new MigrationError(`two modules are named ${name}`, { module: name, code: "module_duplicate" });
    }
    names.add(name);
  }
  return all;
}

async function planAll(db: Database, modules: readonly Module[]): Promise<ModulePlan[]> {
  const all = withCore(modules);
  const ledger = await readLedger(
    db,
    all.map((module) => module.name),
  );
  return all.map((module) => planModule(module, ledger));
}

function isCurrent(modules: readonly Module[], installed: ReadonlyMap<string, LedgerModule>): boolean {
  return modules.every((module) => {
    const row = installed.get(module.name);
    return row?.has_schema === true && row.fingerprint === module.fingerprint;
  });
}

interface Lock {
  /** Fails if the lock is no longer held. */
  assertHeld(): Promise<void>;
  release(): Promise<void>;
}

/** Lifts the limits that a role or a database may have on transactions, whichever of them this server knows. */
const withoutTimeouts = `select pg_catalog.set_config(name, '0', true) from pg_catalog.pg_settings
  where name in ('idle_in_transaction_session_timeout', 'transaction_timeout')`;

const noLock: Lock = { assertHeld: async () => {}, release: async () => {} };

/**
 * Takes the lock that lets one process migrate.
 *
 * It is held by an open transaction on a connection of its own, outside the pool that the work may need, and never waited for
 * inside the server: a statement that waits holds a snapshot, for which `create index concurrently` in turn would wait for
 * ever. So it is tried, rolled back, and tried again.
 */
async function takeLock(db: Database, modules: Module[], options: MigrateOptions): Promise<Lock | "nothing to do"> {
  if (db.driver.isSingle) return noLock;
  const connection = await db.driver.open();
  const giveUpAt = performance.now() + milliseconds(options.wait ?? "1 minute");
  let isHeld = false;
  try {
    for (;;) {
      options.signal?.throwIfAborted();
      await connection.query(`begin isolation level read committed; ${withoutTimeouts}`);
      const { rows } = await connection.query<{ ok: boolean }>(
        "select pg_try_advisory_xact_lock(hashtextextended('howdah.migrate', 0)) as ok",
      );
      isHeld = rows[0]?.ok === true;
      if (isHeld) break;
      await connection.query("rollback");
      if (!options.dryRun && options.target === undefined && isCurrent(modules, await readModules(connection))) {
        return "nothing to do";
      }
      if (performance.now() > giveUpAt) {
        throw new MigrationError("another process is migrating this database and does not come to an end", {
          module: "howdah",
          code: "migration_locked",
          hint: "Wait for it, or look for an open transaction that holds an advisory lock in pg_locks",
        });
      }
      await sleep(50 + Math.random() * 200, undefined, options.signal ? { signal: options.signal } : {});
    }
  } finally {
    if (!isHeld) await connection.end().catch(() => {});
  }
  return {
    assertHeld: async () => {
      await connection.query("select 1").catch((error) => {
        throw new MigrationError(
          "the connection that holds the migration lock was lost; nothing of this module was applied",
          {
            module: "howdah",
            code: "lock_lost",
            hint: "Run the migration again",
            cause: error,
          },
        );
      });
    },
    release: () => connection.end().catch(() => {}),
  };
}

/** One run over all modules, by the process that holds the lock. */
class Migration {
  private readonly db: Database;
  private readonly lock: Lock;
  private readonly options: MigrateOptions;

  constructor(db: Database, lock: Lock, options: MigrateOptions) {
    this.db = db;
    this.lock = lock;
    this.options = options;
  }

  async run(modules: Module[]): Promise<ModuleMigration[]> {
    const work = await this.db.driver.acquire();
    let isBroken = false;
    try {
      await checkServer(work);
      const done: ModuleMigration[] = [];
      if (this.options.dryRun) await work.execute(`begin; ${withoutTimeouts}`);
      for (const module of modules) {
        const migrated = await this.withPatience(() => this.migrateModule(work, module, modules));
        if (migrated) done.push(migrated);
      }
      return done;
    } catch (error) {
      isBroken = isConnectionFailure(error) || isConnectionFailure((error as Error).cause);
      throw error;
    } finally {
      if (this.options.dryRun && !isBroken) await work.execute("rollback").catch(() => {});
      work.release(isBroken);
    }
  }

  /**
   * Runs a module again when its locks were not to be had in time, so that DDL never queues long in front of traffic, or when
   * somebody who had lost the migration lock finished one of its files meanwhile.
   */
  private async withPatience<T>(fn: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures++) {
      this.options.signal?.throwIfAborted();
      try {
        return await fn();
      } catch (error) {
        const mayPass = isLockTimeout(error) || isAnnounced(error);
        if (!mayPass || failures >= 10 || this.options.dryRun) throw error;
        await sleep(backoff(failures, 100, "5 seconds") * Math.random());
      }
    }
  }

  private async migrateModule(work: Connection, module: Module, all: Module[]): Promise<ModuleMigration | undefined> {
    const ledger = await readLedger(
      work,
      all.map((one) => one.name),
    );
    const { state, steps, databaseRelease } = planModule(module, ledger, this.targetOf(module, all));
    if (state === "current" || state === "ahead") return undefined;
    const isBaseline = state === "foreign" && this.options.baseline === true;
    if (state === "foreign" && !isBaseline) throw foreignSchema(module);

    const applied: AppliedStep[] = [];
    await this.begin(work);
    try {
      if (state === "lost") await forget(work, module);
      if (isBaseline) for (const file of module.files) await announce(work, module, file, true);
      const run = async (file: ModuleFile): Promise<void> => {
        const ms = file.inTransaction
          ? await this.runInside(work, module, file)
          : await this.runOutside(work, module, file);
        const step = { module: module.name, file: file.path, ms };
        applied.push(step);
        this.options.onStep?.(step);
      };
      const isVersioned = ({ file }: Step): boolean => file.kind === "versioned";
      for (const { file } of steps.filter(isVersioned)) await run(file);
      const due = steps.filter((step) => !isVersioned(step)).map((step) => step.file);
      // What was dropped may have stood in a file that is not due, so then all of them are.
      const hasDropped = due.length > 0 && (await dropStaleFunctions(work, module));
      for (const file of hasDropped ? module.files.filter((file) => file.kind === "repeatable") : due) await run(file);
      const isWhole =
        this.targetOf(module, all) === undefined || applied.some((step) => step.file.startsWith("functions/"));
      if (isWhole) await finish(work, module);
      await this.commit(work);
    } catch (error) {
      if (!this.options.dryRun) await work.execute("rollback").catch(() => {});
      throw error;
    }
    return { module: module.name, from: databaseRelease, to: module.release, state, applied };
  }

  private targetOf(module: Module, all: Module[]): number | undefined {
    return module === all.at(-1) ? this.options.target : undefined;
  }

  /** The timeouts go with the `begin` in one message: a transaction that idles before they are lifted would be ended. */
  private async begin(work: Connection): Promise<void> {
    await work.execute(`${this.options.dryRun ? "" : "begin;"} ${withoutTimeouts}`);
    await this.setTimeouts(work, undefined);
    await work.execute("set local search_path = pg_catalog, pg_temp; set local client_min_messages = warning");
  }

  private async commit(work: Connection): Promise<void> {
    if (this.options.dryRun) return;
    await this.lock.assertHeld();
    await work.execute("commit");
  }

  private async setTimeouts(work: Connection, lockTimeout: string | undefined): Promise<void> {
    const lock = milliseconds(lockTimeout ?? this.options.lockTimeout ?? "5s");
    const statement = milliseconds(this.options.statementTimeout ?? 0);
    await work.execute(
      `set local lock_timeout = ${Math.round(lock)}; set local statement_timeout = ${Math.round(statement)}`,
    );
  }

  private async runInside(work: Connection, module: Module, file: ModuleFile): Promise<number> {
    const startedAt = performance.now();
    const version = await serverVersion(work);
    // The ledger's own first file makes the table that its row goes into.
    const isBootstrap = module.name === "howdah" && file.number === 1;
    if (!isBootstrap) await announce(work, module, file);
    if (version >= file.minVersion) {
      if (file.lockTimeout) await this.setTimeouts(work, file.lockTimeout);
      await work.execute(file.text).catch((error) => {
        throw failedFile(module, file, error);
      });
      if (file.lockTimeout) await this.setTimeouts(work, undefined);
    }
    if (isBootstrap) await announce(work, module, file);
    const ms = performance.now() - startedAt;
    await recordDuration(work, module, file, ms);
    return ms;
  }

  /** Runs a file such as `create index concurrently`, after what came before it is committed. */
  private async runOutside(work: Connection, module: Module, file: ModuleFile): Promise<number> {
    if (this.options.dryRun) return 0;
    const startedAt = performance.now();
    await this.commit(work);
    if ((await serverVersion(work)) >= file.minVersion) {
      await dropInvalidIndex(work, module, file);
      await work.execute(file.text).catch((error) => {
        throw failedFile(module, file, error);
      });
    }
    await this.begin(work);
    await announce(work, module, file);
    const ms = performance.now() - startedAt;
    await recordDuration(work, module, file, ms);
    return ms;
  }
}

const isLockTimeout = (error: unknown): boolean => sqlstateOf((error as Error).cause ?? error) === "55P03";
const isAnnounced = (error: unknown): boolean => (error as { constraint?: string }).constraint === "migrations_pkey";

async function serverVersion(work: Connection): Promise<number> {
  const { rows } = await work.query<{ version: number }>(
    "select current_setting('server_version_num')::int / 10000 as version",
  );
  return rows[0]?.version ?? 0;
}

async function checkServer(work: Connection): Promise<void> {
  const { rows } = await work.query<{
    version: number;
    is_standby: boolean;
    is_template: boolean;
    may_create: boolean;
    name: string;
  }>(
    `select current_setting('server_version_num')::int / 10000 as version, pg_is_in_recovery() as is_standby,
       d.datistemplate as is_template, d.datname as name,
       has_database_privilege(d.oid, 'create') or to_regnamespace('howdah') is not null as may_create
     from pg_database d where d.datname = current_database()`,
  );
  const server = rows[0];
  const refuse = (code: string, message: string, hint: string): never => {
    throw new MigrationError(message, { module: "howdah", code, hint });
  };
  if (!server) return;
  if (server.version < 14) {
    refuse("server_too_old", `PostgreSQL ${server.version} is too old`, "Use PostgreSQL 14 or later");
  }
  if (server.is_standby) refuse("server_is_standby", "this server is a standby", "Migrate on the primary");
  if (server.is_template) {
    refuse("database_is_template", `database ${server.name} is a template`, "Migrate a database of your own");
  }
  if (!server.may_create) {
    refuse(
      "rights_missing",
      `this role may not create schemas in database ${server.name}`,
      `Migrate as the owner, or: grant create on database "${server.name}" to the role`,
    );
  }
}

async function forget(work: Connection, module: Module): Promise<void> {
  await work.query("delete from howdah.migrations where module = $1", [module.name]);
  await work.query("delete from howdah.modules where module = $1", [module.name]);
}

/** Writes a file's row before the file runs: if somebody else is running the same file, this waits for them and then fails. */
async function announce(work: Connection, module: Module, file: ModuleFile, isBaseline = false): Promise<void> {
  const again = file.kind === "repeatable" ? updateOnConflict : "";
  await work.query(
    `insert into howdah.migrations (module, file, kind, checksum, release, baseline) values ($1, $2, $3, $4, $5, $6) ${again}`,
    [module.name, file.path, file.kind, file.checksum, module.release, isBaseline],
  );
}

const updateOnConflict = `on conflict (module, file) do update
  set checksum = excluded.checksum, release = excluded.release, applied_at = excluded.applied_at,
    applied_by = excluded.applied_by, baseline = excluded.baseline`;

async function recordDuration(work: Connection, module: Module, file: ModuleFile, ms: number): Promise<void> {
  await work.query("update howdah.migrations set duration_ms = $3 where module = $1 and file = $2", [
    module.name,
    file.path,
    Math.round(ms),
  ]);
}

async function dropStaleFunctions(work: Connection, module: Module): Promise<boolean> {
  if (module.manifest.functions === undefined) return false;
  const { rows } = await work.query<{ exists: boolean }>(
    "select to_regprocedure('howdah.drop_stale_functions(jsonb)') is not null as exists",
  );
  if (!rows[0]?.exists) return false;
  const dropped = await work.query("select howdah.drop_stale_functions($1)", [JSON.stringify(module.manifest)]);
  return dropped.rows.length > 0;
}

/** Records what the module is now, and gives roles their rights back on what was made anew. */
async function finish(work: Connection, module: Module): Promise<void> {
  await work.query(
    `insert into howdah.modules (module, release, fingerprint, api, min_api, manifest)
     values ($1, $2, $3, $4, $5, $6)
     on conflict (module) do update
     set release = excluded.release, fingerprint = excluded.fingerprint, api = excluded.api,
       min_api = excluded.min_api, manifest = excluded.manifest, updated_at = excluded.updated_at`,
    [module.name, module.release, module.fingerprint, module.api, module.minApi, JSON.stringify(module.manifest)],
  );
  await work.query("select howdah.apply_grants($1)", [module.name]);
  await work.query("select pg_notify('howdah_core_migrated', $1)", [module.name]);
}

/** Removes what a crash in `create index concurrently` left: an index that exists, costs, and serves nothing. */
async function dropInvalidIndex(work: Connection, module: Module, file: ModuleFile): Promise<void> {
  const index = concurrentIndex(file.text);
  if (index === undefined) return;
  const { rows } = await work.query<{ name: string }>(
    `select i.indexrelid::regclass::text as name from pg_index i join pg_class c on c.oid = i.indexrelid
     where c.relname = $1 and c.relnamespace = to_regnamespace($2) and not i.indisvalid`,
    [index, module.name],
  );
  for (const { name } of rows) await work.execute(`drop index concurrently ${name}`);
}

function foreignSchema(module: Module): MigrationError {
  return new MigrationError(`schema ${module.name} exists, but no Howdah migration made it`, {
    module: module.name,
    code: "foreign_schema",
    hint: `If it is ${module.name} from elsewhere, compare it by \`howdah verify\` and record it with --baseline; else move it away`,
  });
}

function failedFile(module: Module, file: ModuleFile, error: unknown): MigrationError {
  const offset = Number((error as { position?: unknown }).position);
  const before = Number.isInteger(offset) && offset > 0 ? file.text.slice(0, offset - 1).split("\n") : undefined;
  const position = before && { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
  const place = position ? `${file.path}:${position.line}` : file.path;
  return new MigrationError(`${module.name}: ${place}: ${error instanceof Error ? error.message : String(error)}`, {
    module: module.name,
    code: "migration_failed",
    sqlstate: sqlstateOf(error) ?? "55000",
    file: file.path,
    position,
    hint: (error as { hint?: string }).hint,
    cause: error,
  });
}
