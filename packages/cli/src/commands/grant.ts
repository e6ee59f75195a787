import { explainAccessError } from "../access.ts";
import { type AddCommand, exampleText } from "./help.ts";

/** `howdah grant`: lets a role use a module. */
export const grant: AddCommand = (program, session) => {
  program
    .command("grant")
    .summary("let a role use a module")
    .description(
      "Lets a role use a module. The role may then call functions, and owns nothing.\n\n" +
        "view   functions that only read\n" +
        "use    all public functions\n" +
        "read   use, and select on the tables under row-level security\n" +
        "admin  read, maintenance, all namespaces\n\n" +
        "A module may offer narrower sets of its own, such as producer.",
    )
    .argument("<module>", "an installed module, or howdah")
    .argument("<role>", "an existing role of the server")
    .option("--access <level>", "view, use, read, admin, or a set of the module", "use")
    .addHelpText("after", exampleText([["howdah grant queue app --access view", "let the role app look, not touch"]]))
    .action(async (module: string, role: string, { access }: { access: string }) => {
      const db = await session.database();
      try {
        await db.query("select howdah.grant_module($1, $2, $3)", [module, role, access]);
      } catch (error) {
        throw await explainAccessError(db, error);
      }
      session.output.data({ module, role, access }, () => `${role} has ${access} of ${module}`);
    });
};
