import { moduleNamed } from "../modules.ts";
import { sqlReference } from "../reference.ts";
import { type AddCommand, exampleText } from "./help.ts";

/** `howdah docs`: the SQL reference of one module. */
export const docs: AddCommand = (program, session) => {
  program
    .command("docs")
    .summary("print the SQL reference of a module as Markdown")
    .description("Prints the SQL reference of a module as Markdown, from the comments that stand in the database.")
    .argument("<module>", "an installed module, or howdah")
    .addHelpText("after", exampleText([["howdah docs queue > queue.md", "keep it"]]))
    .action(async (name: string) => {
      const module = moduleNamed(session.discovery.modules, name);
      const markdown = await sqlReference(await session.database(), name, module);
      session.output.data({ markdown }, () => markdown);
    });
};
