import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import * as prompts from "@clack/prompts";
import { connect, type Database, type Duration, type Module, milliseconds } from "@howdah/core";
import pg from "pg";
import { CommandError, Interrupted, UnreachableError, UsageError } from "./errors.ts";
import { type Discovery, pick } from "./modules.ts";
import { Output, type Stream } from "./output.ts";

/** What a run has to do with the world around it. */
export interface Io {
  stdin: NodeJS.ReadableStream & { isTTY?: boolean };
  stdout: Stream;
  stderr: Stream;
  /** Where to look for modules. */
  cwd: string;
  /** Aborted when the process is asked to end, with {@link Interrupted} as the reason. */
  signal: AbortSignal;
}

/** The options that every command has. */
export interface GlobalOptions {
  url?: string;
  module?: string[];
  json?: boolean;
  yes?: boolean;
  quiet?: boolean;
  timeout?: Duration;
}

/** One run of the command: its output, its modules, its database. */
export class Session implements AsyncDisposable {
  readonly output: Output;
  readonly discovery: Discovery;
  exitCode = 0;
  /** Aborted when the user or the system interrupts, or when `--timeout` has passed. */
  signal: AbortSignal;
  options: GlobalOptions = {};
  private readonly io: Io;
  private readonly closing: (() => Promise<void>)[] = [];

  constructor(io: Io, argv: readonly string[], discovery: Discovery) {
    this.io = io;
    this.signal = io.signal;
    this.discovery = discovery;
    this.output = new Output(io.stdout, io.stderr, argv);
    this.output.settings.json = argv.includes("--json"); // also for errors in the command line itself
  }

  /** Takes over the global options, once they are parsed. */
  configure(options: GlobalOptions): void {
    this.options = options;
    this.output.settings.json = options.json ?? false;
    this.output.settings.quiet = options.quiet ?? false;
    if (options.timeout === undefined) return;
    const deadline = new AbortController();
    const message = `gave up after ${options.timeout}`;
    const timer = setTimeout(
      () => deadline.abort(new CommandError("timeout", message)),
      milliseconds(options.timeout),
    ).unref();
    this.closing.push(async () => clearTimeout(timer));
    this.signal = AbortSignal.any([this.io.signal, deadline.signal]);
  }

  /** The modules that the user means. */
  modules(): Module[] {
    return pick(this.discovery, this.options.module);
  }

  /**
   * Connects to the database that the user means.
   *
   * @param options.isLoop leave it to the caller what an interruption means; else running statements are cancelled
   * @param options.isLazy connect only when the database is used
   * @throws {UnreachableError} whatever the reason
   */
  async database({ isLoop = false, isLazy = false } = {}): Promise<Database> {
    const url = this.options.url ?? process.env.DATABASE_URL;
    const patience = Math.min(10_000, milliseconds(this.options.timeout ?? 10_000));
    const settings: pg.PoolConfig = {
      ...(url === undefined ? {} : { connectionString: url }),
      application_name: `howdah/${randomBytes(4).toString("hex")}`,
      connectionTimeoutMillis: patience,
    };
    const pool = isLazy ? newPool(settings) : await unlessAborted(this.signal, open(settings));
    const db = connect(pool);
    this.closing.unshift(async () => {
      await db.close();
      await pool.end();
    });
    if (!isLoop) this.closing.unshift(cancelWhenAborted(settings, this.signal));
    return db;
  }

  /** Asks before something is destroyed. */
  async confirm(question: string): Promise<void> {
    if (this.options.yes) return;
    if (!this.io.stdin.isTTY || !this.io.stderr.isTTY) {
      throw new UsageError(question, "Nobody can answer here: add --yes if you are sure");
    }
    const answer = await prompts.confirm({
      message: question,
      initialValue: false,
      input: this.io.stdin as NodeJS.ReadStream,
      output: this.io.stderr as NodeJS.WriteStream,
      signal: this.signal,
    });
    this.signal.throwIfAborted();
    if (prompts.isCancel(answer)) throw new Interrupted("SIGINT");
    if (!answer) throw new CommandError("declined", "nothing was done");
  }

  /** Has something done when the command has ended. */
  defer(close: () => Promise<void>): void {
    this.closing.unshift(close);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.closing.splice(0)) await close();
  }
}

/** Waits for a promise, or throws as soon as the signal is aborted. */
async function unlessAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const settled = new AbortController();
  const aborted = once(signal, "abort", { signal: settled.signal }).then(() => {
    throw signal.reason;
  });
  aborted.catch(() => {});
  return Promise.race([promise, aborted]).finally(() => settled.abort());
}

function newPool(settings: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool(settings);
  pool.on("error", () => {}); // an idle connection that breaks is replaced at the next use
  return pool;
}

async function open(settings: pg.PoolConfig): Promise<pg.Pool> {
  let pool: pg.Pool | undefined;
  try {
    pool = newPool(settings);
    (await pool.connect()).release();
    return pool;
  } catch (error) {
    await pool?.end();
    throw unreachable(error, settings);
  }
}

/** The code of a failed connection, and what to do about it. */
const hints: Readonly<Record<string, string>> = {
  "28P01": "Check user and password in --url, DATABASE_URL or PGPASSWORD",
  "28000": "Check the user in --url or DATABASE_URL, and the server's pg_hba.conf",
  "3D000": "Create the database first, or check its name in --url, DATABASE_URL or PGDATABASE",
};

function unreachable(thrown: unknown, { connectionString }: pg.PoolConfig): UnreachableError | UsageError {
  const error = (thrown as { errors?: Error[] }).errors?.[0] ?? (thrown as Error);
  const code = (thrown as { code?: string }).code ?? "";
  if (code === "ERR_INVALID_URL") {
    return new UsageError("the url of the database cannot be read", "It looks like postgres://user@host:5432/database");
  }
  const hint =
    hints[code] ??
    (connectionString === undefined
      ? "Give --url postgres://user@host/database, or set DATABASE_URL"
      : "Is the server running, and does the url name it?");
  return new UnreachableError(`the database cannot be reached: ${error.message}`, { hint, cause: thrown });
}

/**
 * Cancels, from a connection of its own, whatever our connections are doing when the signal is aborted: a server would go on
 * with a statement whose client has gone.
 */
function cancelWhenAborted(settings: pg.PoolConfig, signal: AbortSignal): () => Promise<void> {
  let isOver = false;
  let work = Promise.resolve();
  const start = (): void => {
    work = cancel().catch(() => {});
  };
  async function cancel(): Promise<void> {
    const client = new pg.Client({ ...settings, application_name: "howdah/cancel", connectionTimeoutMillis: 10_000 });
    client.on("error", () => {});
    await client.connect();
    while (!isOver) {
      await client.query(
        "select pg_cancel_backend(pid) from pg_stat_activity where application_name = $1 and state = 'active'",
        [settings.application_name],
      );
      await sleep(50);
    }
    await client.end();
  }
  if (signal.aborted) start();
  signal.addEventListener("abort", start, { once: true });
  return async () => {
    isOver = true;
    signal.removeEventListener("abort", start);
    await work;
  };
}
