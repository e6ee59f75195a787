import { styleText } from "node:util";
import { redact } from "@howdah/core";
import { Command, CommanderError, Help, Option } from "commander";
import packageJson from "../package.json" with { type: "json" };
import { demo } from "./commands/demo.ts";
import { docs } from "./commands/docs.ts";
import { grant } from "./commands/grant.ts";
import { grants } from "./commands/grants.ts";
import { duration, exampleText } from "./commands/help.ts";
import { maintain } from "./commands/maintain.ts";
import { migrate } from "./commands/migrate.ts";
import { mountModule } from "./commands/mount.ts";
import { plan } from "./commands/plan.ts";
import { revoke } from "./commands/revoke.ts";
import { seed } from "./commands/seed.ts";
import { sql } from "./commands/sql.ts";
import { status } from "./commands/status.ts";
import { verify } from "./commands/verify.ts";
import { exitCodes, Interrupted } from "./errors.ts";
import { describe } from "./failure.ts";
import { discover } from "./modules.ts";
import { hasColours, type Stream } from "./output.ts";
import { type GlobalOptions, type Io, Session } from "./session.ts";

/** Runs the command line and returns its exit code. Never throws. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const session = new Session(io, argv, await discover(io.cwd));
  try {
    await using _ = session;
    await createProgram(session, io, argv).parseAsync(argv, { from: "user" });
    return session.exitCode;
  } catch (error) {
    const reason = session.signal.aborted ? session.signal.reason : error;
    return report(session, reason);
  }
}

function report(session: Session, error: unknown): number {
  if (error instanceof CommanderError && error.code !== "commander.version") {
    for (const [name] of session.discovery.failures) {
      session.output.warn(`${name} cannot be loaded, so its commands are missing`);
    }
  }
  if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.fine; // help or version was asked for
  if (error instanceof CommanderError && error.code === "commander.help") return exitCodes.usage; // and is shown already
  if (error instanceof Interrupted) {
    session.output.note("Interrupted");
    return error.exitCode;
  }
  session.output.failure(describe(error));
  if (process.env.HOWDAH_DEBUG && error instanceof Error) session.output.warn(redact(stackOf(error)));
  return describe(error).exitCode;
}

const stackOf = (error: Error): string =>
  error.cause instanceof Error ? `${error.stack}\ncaused by ${stackOf(error.cause)}` : String(error.stack);

/** Builds the commands: those of this program, and those that the modules bring. */
function createProgram(session: Session, io: Io, argv: readonly string[]): Command {
  const program = new Command("howdah")
    .version(packageJson.version, "-V, --version", "print the version")
    .helpOption("-h, --help", "show help, also of a single command")
    .description("Installs and operates Howdah's modules in a PostgreSQL database.")
    .usage("<command> [options]");
  dress(program, io, argv);
  addGlobalOptions(program);
  program.hook("preAction", () => session.configure(program.opts<GlobalOptions>()));

  for (const [group, add] of groups) {
    program.commandsGroup(group);
    for (const one of add) one(program, session);
  }
  program.helpCommand("help [command]", "show help of a command");
  program.commandsGroup("Modules:");
  for (const module of session.discovery.modules) mountModule(program, session, module);
  program.addHelpText("after", () => footer(program));
  program.addHelpText("afterAll", ({ command }) => (command === program ? "" : commandFooter));
  return program;
}

const groups = [
  ["Schema:", [migrate, status, plan, verify, sql]],
  ["Access:", [grant, revoke, grants]],
  ["Operation:", [maintain, seed]],
  ["Learning:", [docs, demo]],
] as const;

function addGlobalOptions(program: Command): void {
  program
    .option("--url <url>", "the database; default DATABASE_URL, else PGHOST, PGDATABASE and so on")
    .addOption(
      new Option("--module <names>", "only these modules, as in a,b; default all that are installed").argParser(names),
    )
    .option("--json", "print data as JSON")
    .option("--yes", "answer yes to every question")
    .option("--quiet", "print data and errors only")
    .option("--no-color", "print without colours, as with NO_COLOR=1")
    .addOption(new Option("--timeout <duration>", 'give up after this long, such as "30s"').argParser(duration));
}

const names = (text: string): string[] => text.split(",").map((name) => name.trim());

/** Colours that commander takes out again where they are not wanted. */
const paint = (style: Parameters<typeof styleText>[0], text: string): string =>
  styleText(style, text, { validateStream: false });

const footer = (program: Command): string =>
  `
${paint("bold", "Options of every command:")}
${optionLines(program)}
${exampleText([
  ["howdah migrate", "bring the database of DATABASE_URL up to the installed modules"],
  ["howdah plan", "read the SQL first, with the locks that it takes"],
  ["howdah grant queue app", "let the role app use the module queue"],
  ["howdah sql queue | psql", "install without Node on the server"],
  ["howdah verify --json", "find what somebody changed by hand"],
])}

${paint("bold", "Exit codes:")}
  0 fine   1 failed   2 wrong usage   3 migrations are pending   4 the schema has drifted
  5 the database cannot be reached   130 interrupted

Data goes to standard output, progress to standard error.`;

const commandFooter =
  "\nEvery command also takes --url, --module, --json, --yes, --quiet, --timeout: see howdah --help";

/** At the root the options stand below the commands, in the footer. */
const withoutOptions = (helper: Help): Help =>
  Object.assign(Object.create(helper) as Help, { visibleOptions: () => [] });

/** The root's options, which stand below the commands there. */
function optionLines(program: Command): string {
  const options = new Help().visibleOptions(program);
  const width = Math.max(...options.map((option) => option.flags.length));
  return options.map(({ flags, description }) => `  ${paint("green", flags.padEnd(width))}  ${description}`).join("\n");
}

/** Says how help looks, and keeps commander from ending the process or printing errors itself. */
function dress(program: Command, io: Io, argv: readonly string[]): void {
  const widthOf = (stream: Stream): number => Math.min(100, stream.isTTY ? (stream.columns ?? 80) : 100);
  program
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      outputError: () => {},
      getOutHelpWidth: () => widthOf(io.stdout),
      getErrHelpWidth: () => widthOf(io.stderr),
      getOutHasColors: () => hasColours(io.stdout, argv),
      getErrHasColors: () => hasColours(io.stderr, argv),
    })
    .configureHelp({
      formatHelp: (command, helper) =>
        Help.prototype.formatHelp.call(helper, command, command === program ? withoutOptions(helper) : helper),
      styleTitle: (text) => paint("bold", text),
      styleCommandText: (text) => paint("cyan", text),
      styleSubcommandText: (text) => paint("cyan", text),
      styleArgumentText: (text) => paint("yellow", text),
      styleOptionText: (text) => paint("green", text),
      subcommandTerm: (command) => new Help().subcommandTerm(command).replace(" [options]", ""),
    });
}
