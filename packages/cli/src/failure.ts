import { type HowdahError, redact, toHowdahError } from "@howdah/core";
import { CommanderError } from "commander";
import { exitCodes } from "./errors.ts";

/** An error as it is shown. */
export interface Failure {
  exitCode: number;
  code: string;
  message: string;
  hint: string | undefined;
}

/** By name, because a module may have been built with another copy of core. */
const exitCodeByName: Readonly<Record<string, number>> = {
  UsageError: exitCodes.usage,
  CommanderError: exitCodes.usage,
  SchemaBehindError: exitCodes.behind,
  SchemaDriftError: exitCodes.drift,
  ConnectionError: exitCodes.unreachable,
  UnreachableError: exitCodes.unreachable,
};

/** What a driver says when a schema, table or function is not there: the database lacks a migration. */
const missingObject = new Set(["3F000", "42P01", "42883"]);

/** Says of any error what a person, and what a script, should know. Passwords in connection strings are left out. */
export function describe(thrown: unknown): Failure {
  const error = toHowdahError(thrown) as Partial<HowdahError> & { name?: string; message?: string };
  if (thrown instanceof CommanderError) return describeUsage(thrown);
  const code = error.module === undefined ? (error.code ?? "failed") : `${error.module}.${error.code}`;
  const isBehind = error.module === undefined && missingObject.has(code);
  const hint = isBehind ? "Is the database up to date? See `howdah status`, then run `howdah migrate`" : error.hint;
  return {
    exitCode: isBehind ? exitCodes.behind : (exitCodeByName[error.name ?? ""] ?? exitCodes.failed),
    code,
    message: redact(error.message || String(thrown)),
    hint: hint === undefined ? undefined : redact(hint),
  };
}

/** Commander's "error: unknown option '--jsn'\n(Did you mean --json?)". */
function describeUsage(error: CommanderError): Failure {
  const [message = "", hint] = redact(error.message.replace(/^error: /, "")).split("\n");
  return { exitCode: exitCodes.usage, code: "howdah.usage", message, hint: hint?.replace(/^\(|\)$/g, "") };
}
