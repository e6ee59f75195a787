import { type ModuleState, type ModuleStatus, status as statusOf } from "@howdah/core";
import { exitCodes } from "../errors.ts";
import { type AddCommand, exampleText } from "./help.ts";

/** `howdah status`: where each module stands. */
export const status: AddCommand = (program, session) => {
  program
    .command("status")
    .summary("show where each module stands")
    .description(
      "Shows where each module stands. Changes nothing.\n\n" +
        "Ends with 0 if the database serves every installed module, with 3 if one is absent or behind.",
    )
    .addHelpText("after", exampleText([["howdah status --quiet || howdah migrate", "migrate when it is needed"]]))
    .action(async () => {
      const { output } = session;
      const modules = session.modules();
      const rows = await statusOf(await session.database(), modules);
      output.data(rows, () => output.table(rows.map(row)));
      const pending = rows.filter((module) => !isServed(module.state));
      if (pending.length === 0) return;
      session.exitCode = exitCodes.behind;
      for (const { module, state } of pending) output.note(`${output.err("yellow", module)} ${advice[state]}`);
    });
};

const isServed = (state: ModuleState): boolean => state === "current" || state === "ahead";

const row = ({ module, state, release, databaseRelease, pending }: ModuleStatus): object => ({
  module,
  state,
  installed: databaseRelease ?? "",
  release,
  pending: pending.length,
});

const advice: Readonly<Record<ModuleState, string>> = {
  absent: "is not installed: run `howdah migrate`",
  behind: "has pending files: see `howdah plan`, then run `howdah migrate`",
  current: "",
  ahead: "",
  foreign: "has a schema that no migration made: record it with `howdah migrate --baseline`, or move it away",
  lost: "has lost its schema: `howdah migrate` installs it anew",
};
