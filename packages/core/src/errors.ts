/** What a {@link HowdahError} knows beyond its message. */
export interface ErrorFields {
  /** The module that raised it, which is also the name of its schema. */
  module: string;
  /** What went wrong: a noun phrase such as `job_not_found`, fixed for good. */
  code: string;
  /** The SQLSTATE, five characters, by which the error's class is chosen. */
  sqlstate: string;
  /** Values for programs, such as the limit and the actual size. */
  detail?: Readonly<Record<string, unknown>> | undefined;
  /** What to do about it. */
  hint?: string | undefined;
  /** The error underneath, such as the driver's. */
  cause?: unknown;
}

/** Every error that Howdah itself raises. Its subclasses say what kind it is, {@link code} says exactly which. */
export class HowdahError extends Error {
  readonly module: string;
  readonly code: string;
  readonly sqlstate: string;
  readonly detail: Readonly<Record<string, unknown>>;
  readonly hint: string | undefined;
  /** Whether the same call may well succeed if it is simply made again. */
  readonly retryable: boolean = false;

  constructor(message: string, fields: ErrorFields) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.name = new.target.name;
    this.module = fields.module;
    this.code = fields.code;
    this.sqlstate = fields.sqlstate;
    this.detail = fields.detail ?? {};
    this.hint = fields.hint;
  }
}

/** An argument is missing, malformed, too long or out of range. */
export class ValidationError extends HowdahError {}
/** What the call names does not exist. */
export class NotFoundError extends HowdahError {}
/** What the call would make exists already, or somebody else was faster. */
export class ConflictError extends HowdahError {}
/** The caller may not do this, or not for this tenant. */
export class PermissionError extends HowdahError {}
/** A limit is reached. */
export class LimitError extends HowdahError {}
/** The thing is in a state in which this cannot be done. */
export class StateError extends HowdahError {}

/** The database gave up a transaction that may be run again, and all tries ended so. */
export class RetryableError extends HowdahError {
  override readonly retryable = true;
}

/** The database could not be reached, or the connection broke. */
export class ConnectionError extends HowdahError {
  /** True when the statement was already sent, so that nobody knows whether it took effect. */
  readonly mayHaveCommitted: boolean;
  override readonly retryable: boolean;

  constructor(cause: unknown, mayHaveCommitted: boolean) {
    super(`the database cannot be reached: ${redact(messageOf(cause))}`, {
      module: "howdah",
      code: "connection_failed",
      sqlstate: sqlstateOf(cause) ?? "08006",
      hint: mayHaveCommitted
        ? "The statement may have taken effect: repeat it with the function's unique or idempotency key"
        : "Nothing was changed: the call may be made again",
      cause,
    });
    this.mayHaveCommitted = mayHaveCommitted;
    this.retryable = !mayHaveCommitted;
  }
}

/** Something needs a connection of its own and got one of a transaction pooler. */
export class PoolerError extends HowdahError {}

/** A migration could not be run. */
export class MigrationError extends HowdahError {
  /** The file that failed, such as `migrations/0002_index.sql`, with its line where that is known. */
  readonly file: string | undefined;
  readonly position: { line: number; column: number } | undefined;

  constructor(
    message: string,
    fields: Omit<ErrorFields, "sqlstate"> & {
      sqlstate?: string;
      file?: string | undefined;
      position?: { line: number; column: number } | undefined;
    },
  ) {
    super(message, { sqlstate: "55000", ...fields });
    this.file = fields.file;
    this.position = fields.position;
  }
}
/** A migration file that was applied has been edited since. */
export class ChecksumMismatchError extends MigrationError {}
/** The database lacks migrations that this release needs. */
export class SchemaBehindError extends MigrationError {}
/** The database was migrated by a release that no longer serves this one. */
export class SchemaTooNewError extends MigrationError {}

/** One difference between what a module's schema is and what it should be. */
export interface Drift {
  /** `error` breaks the module; `info` is an addition that it tolerates. */
  severity: "error" | "info";
  module: string;
  /** `table`, `column`, `index`, `function`, ... */
  kind: string;
  object: string;
  problem: string;
  expected: string | null;
  actual: string | null;
}

/** The database's schema is not what the installed modules made. */
export class SchemaDriftError extends HowdahError {
  readonly drift: readonly Drift[];

  constructor(drift: readonly Drift[]) {
    const broken = drift.filter((row) => row.severity === "error");
    const lines = broken.slice(0, 20).map((row) => `  ${row.module}: ${row.kind} ${row.object} ${row.problem}`);
    super(`the schema differs from its migrations in ${broken.length} places:\n${lines.join("\n")}`, {
      module: "howdah",
      code: "schema_drift",
      sqlstate: "55000",
      hint: "Undo the changes by hand, or run `howdah verify` for expected and actual values",
    });
    this.drift = drift;
  }
}

interface DriverError {
  message?: unknown;
  code?: unknown;
  detail?: unknown;
  hint?: unknown;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The SQLSTATE of a driver's error, if it has one. */
export function sqlstateOf(error: unknown): string | undefined {
  if (error instanceof HowdahError) return error.sqlstate;
  const code = (error as DriverError | null)?.code;
  return typeof code === "string" && /^(?=.*\d)[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** Takes the password out of any connection string in a text. */
export const redact = (text: string): string =>
  text.replace(/(\w+:\/\/[^:/@\s]*):[^@\s]*@/g, "$1:***@").replace(/([?&]password=)[^&\s]*/gi, "$1***");

function classFor(sqlstate: string): typeof HowdahError {
  if (sqlstate === "P0002") return NotFoundError;
  if (sqlstate === "42501") return PermissionError;
  if (sqlstate === "23505" || sqlstate === "PK001" || sqlstate.startsWith("40")) return ConflictError;
  if (sqlstate.startsWith("22") || sqlstate === "23514") return ValidationError;
  if (sqlstate.startsWith("54")) return LimitError;
  if (sqlstate === "55000" || sqlstate === "25006" || sqlstate === "0A000") return StateError;
  return HowdahError;
}

/**
 * Turns what a driver throws into a {@link HowdahError} if a module raised it, and returns anything else unchanged.
 *
 * The code is read from the brackets that `howdah.fail` puts at the start of DETAIL, because every driver and every
 * proxy between servers keeps that field.
 */
export function toHowdahError(error: unknown): unknown {
  if (error instanceof HowdahError) return error;
  const { detail, hint } = (error ?? {}) as DriverError;
  const match = typeof detail === "string" && /^\[([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)\] (\{.*\})$/s.exec(detail);
  const sqlstate = sqlstateOf(error);
  if (!match || sqlstate === undefined) return error;
  const [, module, code, text] = match as unknown as [string, string, string, string];
  const fields = parsed(text);
  if (!fields) return error;
  return new (classFor(sqlstate))(messageOf(error), {
    module,
    code,
    sqlstate,
    detail: fields,
    hint: typeof hint === "string" && hint !== "" ? hint : undefined,
    cause: error,
  });
}

function parsed(json: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** Whether an error means that the transaction was given up by the server and may simply be run again. */
export function isSerializationFailure(error: unknown): boolean {
  const sqlstate = sqlstateOf(error);
  return (sqlstate === "40001" || sqlstate === "40P01") && !(toHowdahError(error) instanceof HowdahError);
}

/** Whether an error means that the connection, not the statement, failed. */
export function isConnectionFailure(error: unknown): boolean {
  if (error instanceof ConnectionError) return true;
  const sqlstate = sqlstateOf(error);
  if (sqlstate !== undefined) return /^(08|57P0[123]|53300)/.test(sqlstate);
  const { code } = (error ?? {}) as DriverError;
  if (typeof code === "string") return /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EHOST|ENETUNREACH|EAI_AGAIN)/.test(code);
  return /connection (terminated|closed)|client has encountered a connection error|not queryable/i.test(
    messageOf(error),
  );
}
