import { type AppliedStep, type ModuleMigration, migrate as migrateModules } from "@howdah/core";
import { InvalidArgumentError, Option } from "commander";
import { type AddCommand, duration, exampleText } from "./help.ts";

interface Options {
  target?: number;
  dryRun?: boolean;
  lockTimeout?: string;
  baseline?: boolean;
}

/** `howdah migrate`: brings the database up to the installed modules. */
export const migrate: AddCommand = (program, session) => {
  program
    .command("migrate")
    .summary("bring the database up to the installed modules")
    .description(
      "Brings the database up to the installed modules.\n\nEach module is one transaction. Safe to run from any number of " +
        "processes at once, and to run again after a failure: what was applied is not applied twice.",
    )
    .addOption(
      new Option("--target <number>", "stop after this migration, such as 0007; needs one --module").argParser(
        fileNumber,
      ),
    )
    .option("--dry-run", "run everything in a transaction and roll it back")
    .addOption(
      new Option("--lock-timeout <duration>", "how long a statement may wait for a lock")
        .default("5s")
        .argParser(duration),
    )
    .option("--baseline", "record the files of a schema that is there already as applied, and run none of them")
    .addHelpText(
      "after",
      exampleText([
        ["howdah migrate", "all installed modules"],
        ["howdah migrate --dry-run", "see whether it would work, and leave no trace"],
        ["howdah migrate --module queue", "one module"],
      ]),
    )
    .action(async (options: Options) => {
      const { output, signal } = session;
      const modules = session.modules();
      const db = await session.database();
      const widest = Math.max(6, ...modules.map((module) => module.name.length));
      const onStep = ({ module, file, ms }: AppliedStep): void => {
        output.note(`${output.err("cyan", module.padEnd(widest))}  ${file}  ${output.err("dim", time(ms))}`);
        signal.throwIfAborted();
      };
      const report = await migrateModules(db, modules, { ...options, signal, onStep });
      if (report.modules.length === 0) output.note("Nothing to do: every module is current");
      else if (options.dryRun) output.note("Rolled back, as this was a dry run");
      output.data(report, () => output.table(report.modules.map(row)));
    });
};

const row = ({ module, from, to, applied }: ModuleMigration): object => ({
  module,
  from: from ?? "none",
  to,
  files: applied.length,
  ms: Math.round(applied.reduce((sum, step) => sum + step.ms, 0)),
});

const time = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

function fileNumber(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Give the number of a migration, such as 0007.");
}
