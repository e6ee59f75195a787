import { once } from "node:events";
import { type Database, type MaintenanceTask, maintain as maintainOnce, maintenance } from "@howdah/core";
import { Option } from "commander";
import { exitCodes, Interrupted, UsageError } from "../errors.ts";
import { describe } from "../failure.ts";
import type { Session } from "../session.ts";
import { type AddCommand, duration, exampleText } from "./help.ts";

interface Options {
  every?: string;
  budget: string;
}

/** `howdah maintain`: keeps the installed modules in shape. */
export const maintain: AddCommand = (program, session) => {
  program
    .command("maintain")
    .summary("prune, and make and drop partitions, once or in a loop")
    .description(
      "Runs the maintenance of the installed modules: prune, make and drop partitions, whatever each of them needs.\n\n" +
        "Any number of processes may do so at once: they share the work. With --every it goes on until SIGTERM or ctrl-C, " +
        "and then ends after the run that is under way.",
    )
    .addOption(new Option("--every <duration>", 'repeat, with this pause, such as "60s"').argParser(duration))
    .addOption(new Option("--budget <duration>", "how long one run may take").default("10s").argParser(duration))
    .addHelpText(
      "after",
      exampleText([
        ["howdah maintain", "from cron"],
        ["howdah maintain --every 60s --json", "as a service, one line of JSON a run"],
      ]),
    )
    .action((options: Options) =>
      options.every === undefined ? runOnce(session, options) : runLoop(session, options),
    );
};

async function runOnce(session: Session, { budget }: Options): Promise<void> {
  const db = await session.database();
  const modules = session.options.module ?? [undefined];
  const tasks: MaintenanceTask[] = [];
  for (const module of modules) {
    tasks.push(...(await maintainOnce(db, { budget, ...(module === undefined ? {} : { module }) })));
  }
  session.output.data(tasks, () => session.output.table(tasks));
  if (tasks.length === 0) session.output.note("Nothing to do, or another process is at it");
  if (await warnOfFailures(session, db, tasks)) session.exitCode = exitCodes.failed;
}

async function runLoop(session: Session, { every, budget }: Options & { every?: string }): Promise<void> {
  const { output, signal } = session;
  const [module, another] = session.options.module ?? [];
  if (another) throw new UsageError("a loop maintains one module or all", "Name one with --module, or none");
  const db = await session.database({ isLoop: true });
  let checking = Promise.resolve(false);
  await using loop = maintenance(db, {
    every: every as string,
    budget,
    ...(module === undefined ? {} : { module }),
    onRun: (tasks) => {
      if (output.settings.json) output.line({ at: new Date(), tasks });
      else if (tasks.length > 0) output.data(tasks);
      checking = warnOfFailures(session, db, tasks).catch(() => false);
    },
    onError: (error) => output.failure(describe(error)),
  });
  loop.start();
  output.note(`Maintaining every ${every}, until SIGTERM or ctrl-C`);
  if (!signal.aborted) await once(signal, "abort");
  output.note("Stopping after the run that is under way");
  await loop.stop();
  await checking;
  const { reason } = signal;
  if (reason instanceof Interrupted && reason.exitCode === 130) session.exitCode = 130;
}

/** A module that fails does not stop the others, and says why in a table. */
async function warnOfFailures(session: Session, db: Database, tasks: readonly MaintenanceTask[]): Promise<boolean> {
  if (!tasks.some((task) => task.task === "maintain")) return false;
  const { rows } = await db.query<{ module: string; error: string }>(
    "select module, error from howdah.maintenance where error is not null and module = any($1::text[])",
    [`{${tasks.map((task) => task.module).join(",")}}`],
  );
  for (const { module, error } of rows) session.output.warn(`maintenance of ${module} failed: ${error}`);
  return rows.length > 0;
}
