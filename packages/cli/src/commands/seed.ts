import { readFile } from "node:fs/promises";
import { styleText } from "node:util";
import type { Database, Module, SeedChange, SeedOptions, SeedSection } from "@howdah/core";
import { parse as parseYaml } from "yaml";
import type { z } from "zod";
import { CommandError, UsageError } from "../errors.ts";
import { unknownName } from "../nearest.ts";
import type { Session } from "../session.ts";
import { type AddCommand, exampleText } from "./help.ts";

interface Options {
  namespace?: string;
  prune?: boolean;
  dryRun?: boolean;
}

/** `howdah seed apply`: makes the database agree with a file. */
export const seed: AddCommand = (program, session) => {
  program
    .command("seed")
    .summary("make the database agree with a file")
    .description("Makes the database agree with a file that lists what there is to be.")
    .usage("<command> [options]")
    .helpCommand(false)
    .command("apply")
    .summary("create and update what a seed file lists")
    .description(
      "Creates and updates what a seed file lists, in one transaction, and shows the changes first. Applied again, it changes " +
        "nothing.\n\nThe file is YAML or JSON. It names its namespace, and lists any of the " +
        "sections that the installed modules offer.",
    )
    .argument("<file>", "such as seed.yaml")
    .option("--namespace <text>", "the tenant; default the one that the file names")
    .option("--prune", "delete what the file does not list, of the kinds that it lists")
    .option("--dry-run", "show the changes, and make none")
    .addHelpText("after", () => sectionText(session.discovery.modules))
    .addHelpText(
      "after",
      exampleText([
        ["howdah seed apply seed.yaml --dry-run", "see what would change"],
        ["howdah seed apply seed.yaml --prune --yes", "in a deployment"],
      ]),
    )
    .action((file: string, options: Options) => apply(session, file, options));
};

async function apply(session: Session, file: string, { prune = false, dryRun = false, ...given }: Options) {
  const { output } = session;
  const sections = sectionsOf(session.modules());
  const { namespace: named, ...values } = await read(file);
  const namespace = given.namespace ?? named;
  if (typeof namespace !== "string") throw new UsageError(`${file} names no namespace`, "Add it, or give --namespace");
  const plan = judge(file, sections, values);
  const db = await session.database();
  const run = (isTrial: boolean): Promise<SeedChange[]> => applyAll(db, plan, { namespace, prune }, isTrial);

  const changes = await run(true);
  for (const { action, what } of changes) output.note(output.err(colours[action], `${signs[action]} ${what}`));
  if (changes.length === 0) output.note("Nothing to do: the database agrees with the file");
  if (dryRun || changes.length === 0) {
    if (changes.length > 0) output.note("Nothing was changed, as this was a dry run");
    return output.data(changes, () => "");
  }
  const deletions = changes.filter(({ action }) => action === "delete").length;
  if (deletions > 0) await session.confirm(`Delete ${deletions} of these in ${namespace}?`);
  const made = await run(false);
  output.data(made, () => `${made.length} ${made.length === 1 ? "change" : "changes"} in ${namespace}`);
}

const signs = { create: "+", update: "~", delete: "-" } as const;
const colours = { create: "green", update: "yellow", delete: "red" } as const;

/** A section, and what the file has for it. */
interface Planned {
  section: SeedSection;
  value: unknown;
}

/** Applies all sections in one transaction, which a trial rolls back. */
async function applyAll(
  db: Database,
  plan: readonly Planned[],
  options: SeedOptions,
  isTrial: boolean,
): Promise<SeedChange[]> {
  const trialIsOver = new Error("the trial is over");
  let changes: SeedChange[] = [];
  await db
    .transaction(async (tx) => {
      changes = [];
      for (const { section, value } of plan) changes.push(...(await section.apply(tx, value, options)));
      if (isTrial) throw trialIsOver;
    })
    .catch((error: unknown) => {
      if (error !== trialIsOver) throw error;
    });
  return changes;
}

/** The sections that modules offer, in the order in which they are applied. */
function sectionsOf(modules: readonly Module[]): SeedSection[] {
  const sections: SeedSection[] = [];
  for (const { name, seed } of modules) {
    for (const section of seed) {
      if (section.key === "namespace" || sections.some(({ key }) => key === section.key)) {
        throw new CommandError(
          "seed_invalid",
          `module ${name} offers a section "${section.key}", but there is one already`,
        );
      }
      sections.push(section);
    }
  }
  return sections;
}

/** Has the file's values judged by the sections that they are for, and names all mistakes at once. */
function judge(file: string, sections: readonly SeedSection[], values: Record<string, unknown>): Planned[] {
  const keys = sections.map(({ key }) => key);
  const unknown = Object.keys(values).find((key) => !keys.includes(key));
  if (unknown !== undefined) throw unknownName("section", unknown, ["namespace", ...keys]);
  const mistakes: string[] = [];
  const plan = sections
    .filter(({ key }) => key in values)
    .map((section) => {
      const result = section.value.safeParse(values[section.key]);
      if (!result.success) mistakes.push(...result.error.issues.map((issue) => mistake(section.key, issue)));
      return { section, value: result.data };
    });
  if (mistakes.length > 0) throw new UsageError(`${file} is not as it has to be:\n  ${mistakes.join("\n  ")}`);
  return plan;
}

const mistake = (key: string, { path, message }: z.core.$ZodIssue): string =>
  `${[key, ...path]
    .map((step) => (typeof step === "number" ? `[${step}]` : `.${String(step)}`))
    .join("")
    .slice(1)}: ${message}`;

async function read(file: string): Promise<Record<string, unknown>> {
  const text = await readFile(file, "utf8").catch((error: Error) => {
    throw new UsageError(`${file} cannot be read: ${error.message}`);
  });
  let content: unknown;
  try {
    content = file.endsWith(".json") ? JSON.parse(text) : parseYaml(text);
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${(error as Error).message.trim()}`);
  }
  if (typeof content === "object" && content !== null && !Array.isArray(content)) return { ...content };
  throw new UsageError(`${file} must hold sections by their names, such as "roles"`);
}

/** What can be listed, for the help. */
function sectionText(modules: readonly Module[]): string {
  const sections = modules.flatMap((module) => module.seed);
  if (sections.length === 0) return "\nNo installed module offers a section.";
  const width = Math.max(...sections.map(({ key }) => key.length));
  const title = styleText("bold", "Sections:", { validateStream: false });
  return [`\n${title}`, ...sections.map(({ key, value }) => `  ${key.padEnd(width)}  ${value.description ?? ""}`)].join(
    "\n",
  );
}
