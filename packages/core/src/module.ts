import { createHash } from "node:crypto";
import type { z } from "zod";
import type { Database } from "./database.ts";
import type { Queryable } from "./driver.ts";
import { MigrationError } from "./errors.ts";
import { statements } from "./statements.ts";

/** What a module's schema looks like when all its files are applied, as `howdah.manifest` prints it. */
export interface Manifest {
  readonly schema?: string;
  readonly tables?: Readonly<Record<string, unknown>>;
  /** By signature, such as `push(text,text,jsonb)`. */
  readonly functions?: Readonly<Record<string, unknown>>;
  readonly enums?: Readonly<Record<string, unknown>>;
  readonly sequences?: Readonly<Record<string, unknown>>;
  /** Which functions belong to which access, as given to {@link defineModule}. */
  readonly access?: Access;
}

/**
 * Which functions need more than `use`, by their names without schema: `admin` names those that only administrators may call,
 * `secret` those whose results `view` must not see; any other key is a narrower set of its own, such as `producer`.
 */
export type Access = Readonly<Record<string, readonly string[]>>;

/** A command that a module adds to the `howdah` command line. */
export interface Command<Options extends z.ZodObject = z.ZodObject, Result = unknown> {
  /**
   * The words after `howdah`, such as `queue dead-letters list`. Last may come options that are given by their place alone, in
   * the form `roles assign <subject> <role>`.
   */
  path: string;
  summary: string;
  /** The options by their names in TypeScript; their descriptions become the help. */
  options: Options;
  /** For a command that destroys something: the question to ask first. */
  confirm?: (options: z.output<Options>) => string;
  /** True for a command that can do without a database; it is given one that connects only when it is used. */
  isOffline?: boolean;
  /** Does the work; what it returns is printed as it is if it is text, else as a table, or as JSON. */
  run(db: Database, options: z.output<Options>): Promise<Result>;
  /** What people see in place of the result, where it is not what they would read; JSON has the result as it is. */
  show?(result: Result): unknown;
}

/** What a seed file changed, as `howdah seed apply` shows it: `create`, `role editor`. */
export interface SeedChange {
  action: "create" | "update" | "delete";
  what: string;
}

/** How a seed file is applied. */
export interface SeedOptions {
  namespace: string;
  /** True if what the section does not list is to be deleted. */
  prune: boolean;
}

/** One kind of thing that a seed file may list. */
export interface SeedSection<Value extends z.ZodType = z.ZodType> {
  /** The key of the file that it stands under, such as `roles`. */
  key: string;
  /** What may stand there; its description becomes the help. */
  value: Value;
  /**
   * Makes the database agree with the file, inside a transaction, and returns what that changed: nothing, if the file was
   * applied before. The sections of a module are applied in the order in which it offers them.
   */
  apply(tx: Queryable, value: z.output<Value>, options: SeedOptions): Promise<SeedChange[]>;
}

/** One stop of the tour of a module that `howdah demo` gives: what is shown, and the statement that shows it. */
export interface TourStop {
  say: string;
  sql: string;
}

/** One file of a module's `sql` folder. */
export interface ModuleFile {
  /** The path within `sql`, such as `migrations/0001_tables.sql`. */
  readonly path: string;
  readonly kind: "versioned" | "repeatable";
  readonly text: string;
  /** SHA-256 of the text with its line ends as LF. */
  readonly checksum: string;
  /** The number of a versioned file; 0 for a repeatable one. */
  readonly number: number;
  /** False if the file must run outside a transaction: `-- howdah: no-transaction`. */
  readonly inTransaction: boolean;
  /** How long its statements may wait for locks: `-- howdah: lock-timeout 500ms`. */
  readonly lockTimeout: string | undefined;
  /** The lowest PostgreSQL that it is run on, below it is only recorded: `-- howdah: min-version 15`. */
  readonly minVersion: number;
}

/** What {@link defineModule} takes. */
export interface ModuleDefinition {
  /** The module's name and that of its schema. */
  name: string;
  /** The version of the package. */
  release: string;
  /** Raised by each release that adds something. */
  api: number;
  /** The lowest `api` of a client that this release's database still serves. */
  minApi: number;
  /** The SQL files by their path within `sql`. */
  files: Readonly<Record<string, string>>;
  /** The content of `sql/manifest.json`. */
  manifest: Manifest;
  access?: Access;
  commands?: readonly Command[];
  /** What seed files may list of this module. */
  seed?: readonly SeedSection[];
  /** Statements that show the module at work, one after the other in one transaction. */
  tour?: readonly TourStop[];
}

/** One package's SQL schema and what belongs to it, made by {@link defineModule}. */
export interface Module {
  readonly name: string;
  readonly release: string;
  readonly api: number;
  readonly minApi: number;
  /** The files in the order in which they run: versioned by number, then repeatable by name. */
  readonly files: readonly ModuleFile[];
  /** A hash over release, files and manifest: equal in code and database means that there is nothing to do. */
  readonly fingerprint: string;
  readonly manifest: Manifest;
  readonly commands: readonly Command[];
  readonly seed: readonly SeedSection[];
  readonly tour: readonly TourStop[];
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/**
 * Describes a module: its SQL, and what the command line offers for it. An application's own schema may be one too.
 *
 * @throws {MigrationError} `module_invalid`, `file_unknown`, `file_duplicate`, `file_missing`, `file_empty`,
 *   `file_transaction` when the files are not what the runner can apply
 */
export function defineModule(definition: ModuleDefinition): Module {
  const { name, release, api, minApi, access = {}, commands = [], seed = [], tour = [] } = definition;
  if (!/^[a-z][a-z0-9_]{0,30}$/.test(name)) {
    throw invalid(name, "module_invalid", `module name ${JSON.stringify(name)} must match ^[a-z][a-z0-9_]{0,30}$`);
  }
  if (!(Number.isInteger(minApi) && minApi >= 1 && Number.isInteger(api) && api >= minApi)) {
    throw invalid(name, "module_invalid", `module ${name} must have 1 <= minApi <= api, got ${minApi} and ${api}`);
  }
  const files = Object.entries(definition.files)
    .map(([path, text]) => readFile(name, path, text))
    .sort((a, b) => Number(b.kind === "versioned") - Number(a.kind === "versioned") || (a.path < b.path ? -1 : 1));
  const versioned = files.filter((file) => file.kind === "versioned");
  versioned.forEach((file, i) => {
    const before = versioned[i - 1];
    if (before?.number === file.number) {
      throw invalid(name, "file_duplicate", `${before.path} and ${file.path} have the same number`);
    }
    if (file.number !== i + 1) {
      throw invalid(
        name,
        "file_missing",
        `${before?.path ?? "the start"} is followed by ${file.path}: number ${i + 1} is missing`,
      );
    }
  });
  const manifest = { schema: name, ...definition.manifest, access };
  const identity = [release, api, minApi, ...files.map((file) => file.checksum), JSON.stringify(manifest)];
  const fingerprint = sha256(identity.join("\n"));
  return { name, release, api, minApi, files, fingerprint, manifest, commands, seed, tour };
}

/** Describes a command with its options' types; see {@link Command}. */
export const defineCommand = <Options extends z.ZodObject, Result>(command: Command<Options, Result>): Command =>
  command as unknown as Command;

/** Describes a section of seed files with the type of its value; see {@link SeedSection}. */
export const defineSeed = <Value extends z.ZodType>(section: SeedSection<Value>): SeedSection =>
  section as unknown as SeedSection;

const invalid = (module: string, code: string, message: string, file?: string): MigrationError =>
  new MigrationError(message, { module, code, file });

function readFile(module: string, path: string, raw: string): ModuleFile {
  const match = /^(?:migrations\/(\d{4})_[a-z0-9_]+|functions\/[a-z0-9_]+)\.sql$/.exec(path);
  if (!match) {
    const hint = "use migrations/NNNN_name.sql and functions/name.sql";
    throw invalid(
      module,
      "file_unknown",
      `${module} has a file ${JSON.stringify(path)} that is not ours: ${hint}`,
      path,
    );
  }
  const text = raw.replace(/^\uFEFF/, "").replaceAll("\r\n", "\n");
  const parts = statements(text);
  if (parts.length === 0) throw invalid(module, "file_empty", `${path} has no statement`, path);
  const ending = parts.find((part) =>
    /^(begin|commit|rollback|abort|start\s+transaction|end)\b(?!\s+atomic)/i.test(part),
  );
  if (ending !== undefined) {
    const problem = `${path} begins or ends a transaction itself: ${ending.slice(0, 40)}`;
    throw invalid(module, "file_transaction", problem, path);
  }
  const directives = new Map<string, string>();
  for (const [, word = "", value = ""] of text.split("\n", 1)[0]?.matchAll(/^-- howdah: ([a-z-]+)(?: (\S+))?$/g) ??
    []) {
    directives.set(word, value);
  }
  const inTransaction = !directives.has("no-transaction");
  if (!inTransaction && parts.length !== 1) {
    throw invalid(
      module,
      "file_transaction",
      `${path} runs outside a transaction and must be a single statement`,
      path,
    );
  }
  return {
    path,
    kind: match[1] === undefined ? "repeatable" : "versioned",
    text,
    checksum: sha256(text),
    number: Number(match[1] ?? 0),
    inTransaction,
    lockTimeout: directives.get("lock-timeout"),
    minVersion: Number(directives.get("min-version") ?? 0),
  };
}
