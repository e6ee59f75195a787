import { script } from "@howdah/core";
import { pick } from "../modules.ts";
import { type AddCommand, exampleText } from "./help.ts";

interface Options {
  plain?: boolean;
  grants?: string;
}

/** `howdah sql`: one script that installs modules without Node. */
export const sql: AddCommand = (program, session) => {
  program
    .command("sql")
    .summary("print one SQL script that installs modules")
    .description(
      "Prints one SQL script that installs or upgrades modules without Node. Needs no database.\n\nThe script may be run as " +
        "often as you like, and `howdah migrate` has nothing to do afterwards.",
    )
    .argument("<module...>", "names of modules; howdah stands for the common ground alone")
    .option("--plain", "without psql's own commands, so that any driver can send it")
    .option("--grants <role>", "let this role use the modules")
    .addHelpText(
      "after",
      exampleText([
        ['howdah sql queue | psql "$DATABASE_URL"', "install one module"],
        ["howdah sql queue --plain > queue.sql", "for another tool"],
      ]),
    )
    .action((names: string[], options: Options) => {
      const { output } = session;
      const text = script(pick(session.discovery, names), options);
      output.data({ sql: text }, () => text);
    });
};
