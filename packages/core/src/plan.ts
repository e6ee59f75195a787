import { ChecksumMismatchError, MigrationError, SchemaTooNewError } from "./errors.ts";
import type { Ledger, LedgerFile, LedgerModule } from "./ledger.ts";
import type { Module, ModuleFile } from "./module.ts";

/**
 * Where a module stands in a database. `absent`: not installed. `behind`: files are pending. `current`: nothing to do.
 * `ahead`: a newer release migrated it and still serves this one. `foreign`: the schema exists, the ledger does not know it.
 * `lost`: the ledger knows it, the schema is gone.
 */
export type ModuleState = "absent" | "behind" | "current" | "ahead" | "foreign" | "lost";

/** One file that would run, and why. */
export interface Step {
  module: string;
  file: ModuleFile;
  reason: "new" | "changed" | "after migrations";
}

/** What is to be done for one module. */
export interface ModulePlan {
  module: Module;
  state: ModuleState;
  /** The release that the database is at, if the module is installed. */
  databaseRelease: string | undefined;
  steps: readonly Step[];
}

/**
 * Compares a module with what a database has of it.
 *
 * @param target run versioned files up to this number only
 * @throws {ChecksumMismatchError} an applied file was edited
 * @throws {SchemaTooNewError} the database no longer serves this release
 * @throws {MigrationError} `file_missing`, `out_of_order`
 */
export function planModule(module: Module, ledger: Ledger, target?: number): ModulePlan {
  const installed = ledger.modules.get(module.name);
  const applied = new Map(ledger.files.filter((row) => row.module === module.name).map((row) => [row.file, row]));
  const hasSchema = ledger.schemas.has(module.name);
  const plan = (state: ModuleState, steps: readonly Step[] = []): ModulePlan => {
    const databaseRelease = installed?.release ?? [...applied.values()][0]?.release;
    return { module, state, databaseRelease, steps };
  };

  const stepsAfter = (seen: ReadonlyMap<string, LedgerFile>): Step[] => {
    const pending = module.files.filter((file) => file.kind === "versioned" && !seen.has(file.path));
    const due = pending.filter((file) => target === undefined || file.number <= target);
    const steps: Step[] = due.map((file) => ({ module: module.name, file, reason: "new" }));
    if (due.length < pending.length) return steps;
    for (const file of module.files.filter((file) => file.kind === "repeatable")) {
      const before = seen.get(file.path);
      if (!before) steps.push({ module: module.name, file, reason: "new" });
      else if (before.checksum !== file.checksum) steps.push({ module: module.name, file, reason: "changed" });
      else if (due.length > 0) steps.push({ module: module.name, file, reason: "after migrations" });
    }
    return steps;
  };
  if (applied.size === 0)
    return hasSchema && module.name !== "howdah" ? plan("foreign") : plan("absent", stepsAfter(new Map()));
  if (!hasSchema) return plan("lost", stepsAfter(new Map()));

  if (installed && module.api < installed.min_api) throw tooNew(module, installed.release, installed.min_api);
  const known = new Set(module.files.map((file) => file.path));
  const versionedUnknown = [...applied.values()].filter((row) => row.kind === "versioned" && !known.has(row.file));
  const last = module.files.filter((file) => file.kind === "versioned").at(-1)?.path ?? "";
  const isAhead =
    versionedUnknown.some((row) => row.file > last) || (installed !== undefined && isNewer(installed, module));
  for (const file of module.files) checkUnedited(module, file, applied.get(file.path));
  if (isAhead) return plan("ahead");
  const gone = versionedUnknown[0];
  if (gone) throw missing(module, gone);

  const pending = module.files.filter((file) => file.kind === "versioned" && !applied.has(file.path));
  const newest = [...applied.values()].filter((row) => row.kind === "versioned").at(-1)?.file ?? "";
  const late = pending.find((file) => file.path < newest);
  if (late) {
    throw new MigrationError(`${module.name}: ${late.path} is pending, but the later ${newest} is applied already`, {
      module: module.name,
      code: "out_of_order",
      file: late.path,
      hint: "Give the file the next free number",
    });
  }

  const steps = stepsAfter(applied);
  const isCurrent = pending.length === 0 && steps.length === 0 && installed?.fingerprint === module.fingerprint;
  return plan(isCurrent ? "current" : "behind", steps);
}

/** Whether a later release than this one migrated the database. */
export const isNewer = (installed: LedgerModule, module: Module): boolean =>
  installed.api > module.api || compareReleases(installed.release, module.release) > 0;

function checkUnedited(module: Module, file: ModuleFile, row: LedgerFile | undefined): void {
  if (file.kind === "repeatable" || row === undefined || row.checksum === file.checksum) return;
  throw new ChecksumMismatchError(
    `${module.name}: ${file.path} was applied on ${row.applied_at.toISOString()} by release ${row.release} and has been edited since` +
      ` (checksum ${row.checksum.slice(0, 12)} then, ${file.checksum.slice(0, 12)} now)`,
    {
      module: module.name,
      code: "checksum_mismatch",
      file: file.path,
      detail: { file: file.path, applied: row.checksum, actual: file.checksum, release: row.release },
      hint: "Restore the file, and put the change into a new one",
    },
  );
}

function missing(module: Module, row: LedgerFile): MigrationError {
  return new MigrationError(`${module.name}: ${row.file} is applied, but release ${module.release} does not have it`, {
    module: module.name,
    code: "file_missing",
    file: row.file,
    hint: `Restore the file; release ${row.release} applied it`,
  });
}

/** The error of a release that the database no longer serves. */
export function tooNew(module: Module, release: string, minApi: number): SchemaTooNewError {
  return new SchemaTooNewError(
    `${module.name}: the database is at release ${release} and serves clients from api ${minApi} on, this one has api ${module.api}`,
    {
      module: module.name,
      code: "schema_too_new",
      detail: { api: module.api, minApi, release },
      hint: `Upgrade the package of ${module.name} to ${release} or later`,
    },
  );
}

/** Orders two releases by their three numbers. */
export function compareReleases(a: string, b: string): number {
  const numbers = (release: string): number[] => (release.match(/\d+/g) ?? []).slice(0, 3).map(Number);
  const [left, right] = [numbers(a), numbers(b)];
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
