import type { Module, Command as ModuleCommand } from "@howdah/core";
import { type Command, Option } from "commander";
import { z } from "zod";
import { CommandError, UsageError } from "../errors.ts";
import type { Session } from "../session.ts";

/** An option's JSON Schema, as far as a command line cares. */
interface OptionSchema {
  type?: string | string[];
  anyOf?: OptionSchema[];
  items?: OptionSchema;
  enum?: unknown[];
  description?: string;
  default?: unknown;
}

/** Adds the commands that a module brings, each at its path: `queue dead-letters list`. */
export function mountModule(program: Command, session: Session, module: Module): void {
  for (const command of module.commands) mountCommand(program, session, module, command);
  for (const group of program.commands.filter((one) => moduleOf.get(one) === module.name)) summarize(group);
}

/** Says in one line what is below a word. */
function summarize(group: Command): void {
  group.commands.filter((one) => one.commands.length > 0).forEach(summarize);
  group.summary(group.commands.map((one) => one.name()).join(", "));
}

function mountCommand(program: Command, session: Session, module: Module, command: ModuleCommand): void {
  const places = [...command.path.matchAll(/<(\w+)>/g)].map(([, name = ""]) => name);
  const words = wordsOf(command).split(" ");
  const last = words.pop() ?? "";
  const isOwn = (one: Command): boolean => !program.commands.includes(one) || moduleOf.get(one) === module.name;
  const parent = words.reduce((above, word) => {
    const existing = above.commands.find((one) => one.name() === word);
    if (existing && isOwn(existing)) return existing;
    if (existing) throw clash(module, command, `howdah ${word} is taken`);
    const added = above
      .command(word)
      .description(`Commands of the module ${module.name}.`)
      .usage("<command> [options]")
      .helpCommand(false);
    moduleOf.set(added, module.name);
    return added;
  }, program);
  if (parent.commands.some((one) => one.name() === last)) throw clash(module, command, "there are two of it");

  const { properties = {}, required = [] } = z.toJSONSchema(command.options, {
    io: "input",
    unrepresentable: "any",
  }) as { properties?: Record<string, OptionSchema>; required?: string[] };
  const mounted = parent.command(last).summary(command.summary).description(command.summary);
  for (const name of places) {
    const schema = properties[name];
    if (schema === undefined) throw clash(module, command, `<${name}> is not one of its options`);
    mounted.argument(`<${name}>`, schema.description);
  }
  for (const [name, schema] of Object.entries(properties)) {
    if (places.includes(name)) continue;
    const option = optionFor(name, schema, required.includes(name));
    if (program.options.some((global) => global.long === option.long)) {
      throw clash(module, command, `${option.long} is an option of every command`);
    }
    mounted.addOption(option);
  }
  mounted.action(async (...given: unknown[]) => {
    const placed = Object.fromEntries(places.map((name, i) => [name, given[i]]));
    const options = parse(command, properties, places, { ...placed, ...(given[places.length] as object) });
    const question = command.confirm?.(options);
    if (question !== undefined) await session.confirm(question);
    const db = await session.database({ isLazy: command.isOffline ?? false });
    const result = await command.run(db, options);
    if (Array.isArray(result) && result.length === 0) session.output.note("Nothing to show");
    session.output.data(result, command.show && (() => session.output.shown(command.show?.(result))));
  });
}

/** The path without what is given by its place. */
const wordsOf = ({ path }: ModuleCommand): string => path.replace(/ <.*/, "");

const moduleOf = new WeakMap<Command, string>();

const clash = (module: Module, { path }: ModuleCommand, reason: string): CommandError =>
  new CommandError("command_invalid", `module ${module.name} offers a command "${path}", but ${reason}`);

/** `maxAttempts` as `--max-attempts <number>`. */
function optionFor(name: string, schema: OptionSchema, isRequired: boolean): Option {
  const flag = flagOf(name);
  const byDefault = schema.default === undefined || schema.type === "boolean" ? [] : [defaultText(schema.default)];
  const description = [schema.description ?? [], isRequired ? "(required)" : [], byDefault].flat().join(" ");
  if (schema.type === "boolean") {
    const isOn = schema.default === true;
    return new Option(isOn ? `--no-${flag}` : `--${flag}`, description);
  }
  const option = new Option(`--${flag} ${placeholder(schema)}`, description).makeOptionMandatory(isRequired);
  if (schema.enum) option.choices(schema.enum.map(String));
  return option;
}

const flagOf = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const defaultText = (value: unknown): string =>
  `(default ${typeof value === "string" ? value : JSON.stringify(value)})`;

function placeholder(schema: OptionSchema): string {
  if (schema.type === "array") return "<values...>";
  if (isNumeric(schema)) return "<number>";
  return isText(schema) ? "<text>" : "<json>";
}

const types = (schema: OptionSchema): string[] =>
  schema.anyOf ? schema.anyOf.flatMap(types) : [schema.type ?? (schema.enum ? "string" : "any")].flat();
const isText = (schema: OptionSchema): boolean => types(schema).includes("string") && !types(schema).includes("object");
const isNumeric = (schema: OptionSchema): boolean =>
  types(schema).every((type) => type === "number" || type === "integer" || type === "null");

/** Reads the words of a command line as what the module's schema wants, and has it judged by that. */
function parse(
  command: ModuleCommand,
  properties: Record<string, OptionSchema>,
  places: readonly string[],
  given: Record<string, unknown>,
): Record<string, unknown> {
  const values = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, read(properties[name] ?? {}, value)]),
  );
  const parsed = command.options.safeParse(values);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const name = String(issue?.path[0] ?? "");
  const shown = places.includes(name) ? `<${name}>` : `--${flagOf(name)}`;
  throw new UsageError(`${shown}: ${issue?.message}`, `See howdah ${wordsOf(command)} --help`);
}

function read(schema: OptionSchema, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => read(schema.items ?? { type: "string" }, item));
  if (typeof value !== "string") return value;
  if (isNumeric(schema)) return /\d/.test(value) && !Number.isNaN(Number(value)) ? Number(value) : value;
  return isText(schema) ? value : jsonOr(value);
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
