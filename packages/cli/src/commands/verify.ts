import { readFile } from "node:fs/promises";
import { type Database, type Drift, verify as verifyModules } from "@howdah/core";
import { exitCodes, UsageError } from "../errors.ts";
import { type AddCommand, exampleText } from "./help.ts";

/** `howdah verify`: what differs from what the migrations made. */
export const verify: AddCommand = (program, session) => {
  program
    .command("verify")
    .summary("find what differs from what the migrations made")
    .description(
      "Compares the installed schemas with what their migrations made. Changes nothing.\n\n" +
        "Ends with 4 if something breaks a module. Additions, such as an index of your own, are shown and tolerated.",
    )
    .option(
      "--manifest <file>",
      "compare with the manifests in this file, one or a list, as howdah.manifest() prints them",
    )
    .addHelpText(
      "after",
      exampleText([
        ["howdah verify", "all installed modules"],
        ["howdah verify --manifest sql/manifest.json", "a schema of your own"],
      ]),
    )
    .action(async ({ manifest }: { manifest?: string }) => {
      const { output } = session;
      const wanted = manifest === undefined ? undefined : await readManifest(manifest);
      const modules = wanted === undefined ? session.modules() : [];
      const db = await session.database();
      const drift =
        wanted === undefined ? await verifyModules(db, modules, { report: true }) : await compare(db, wanted);
      output.data(drift, () => output.table(drift));
      const broken = drift.filter((row) => row.severity === "error").length;
      if (broken > 0) session.exitCode = exitCodes.drift;
      output.note(
        broken === 0 ? "The schema is as its migrations made it" : `Differences that break a module: ${broken}`,
      );
    });
};

async function compare(db: Database, manifest: string): Promise<Drift[]> {
  return (await db.query<Drift>("select * from howdah.verify($1::jsonb)", [manifest])).rows;
}

async function readManifest(file: string): Promise<string> {
  try {
    const text = await readFile(file, "utf8");
    JSON.parse(text);
    return text;
  } catch (error) {
    throw new UsageError(`${file} cannot be read as a manifest: ${(error as Error).message}`);
  }
}
