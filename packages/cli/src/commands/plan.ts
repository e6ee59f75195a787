import { plan as planOf, type Step } from "@howdah/core";
import { exitCodes } from "../errors.ts";
import { type LockNote, lockNotes } from "../locks.ts";
import { splitStatements } from "../statements.ts";
import { type AddCommand, exampleText } from "./help.ts";

interface PlannedStatement extends LockNote {
  sql: string;
}

interface PlannedFile {
  module: string;
  file: string;
  reason: Step["reason"];
  isInTransaction: boolean;
  statements: PlannedStatement[];
}

/** `howdah plan`: the SQL that migrate would run, with the locks that it takes. */
export const plan: AddCommand = (program, session) => {
  program
    .command("plan")
    .summary("print the SQL that migrate would run, with its locks")
    .description(
      "Prints the SQL that `howdah migrate` would run. Changes nothing.\n\nAbove each statement stands which lock it takes " +
        "and whether it rewrites the table, judged by the kind of statement. Ends with 3 if anything is pending.",
    )
    .addHelpText("after", exampleText([["howdah plan --module queue | less", "read it in peace"]]))
    .action(async () => {
      const { output } = session;
      const modules = session.modules();
      const files = planned(await planOf(await session.database(), modules));
      output.data(files, () => files.map((file) => print(file)).join("\n"));
      if (files.length === 0) output.note("Nothing to do: every module is current");
      else session.exitCode = exitCodes.behind;

      function print({ module, file, reason, isInTransaction, statements }: PlannedFile): string {
        const outside = isInTransaction ? "" : ", outside a transaction";
        const title = output.out(["bold", "cyan"], `-- ${module}: ${file} (${reason}${outside})`);
        const parts = statements.map(({ sql, ...note }) => `${output.out("yellow", `-- ${words(note)}`)}\n${sql};\n`);
        return [title, "", ...parts].join("\n");
      }
    });
};

function planned(steps: readonly Step[]): PlannedFile[] {
  const notes = lockNotes();
  return steps.map(({ module, file, reason }) => ({
    module,
    file: file.path,
    reason,
    isInTransaction: file.inTransaction,
    statements: splitStatements(file.text).map((statement) => ({ sql: statement.text, ...notes(statement.bare) })),
  }));
}

const words = ({ lock, on, rewrites, note }: LockNote): string =>
  [
    `lock: ${lock}${on === undefined ? "" : ` on ${on}`}`,
    ...(rewrites === "no" ? [] : [rewrites === "yes" ? "rewrites the table" : "may rewrite the table"]),
    ...(note === undefined ? [] : [note]),
  ].join("; ");
