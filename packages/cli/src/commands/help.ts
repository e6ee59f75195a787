import { styleText } from "node:util";
import { milliseconds } from "@howdah/core";
import { type Command, InvalidArgumentError } from "commander";
import type { Session } from "../session.ts";

/** Adds a command to the program; each file of this folder exports one. */
export type AddCommand = (program: Command, session: Session) => void;

/** A command line, and what it is good for. */
export type Example = readonly [line: string, meaning: string];

/** The part of a help text that shows examples, in two columns. */
export function exampleText(examples: readonly Example[]): string {
  const width = Math.max(...examples.map(([line]) => line.length));
  const title = styleText("bold", "Examples:", { validateStream: false });
  return [`\n${title}`, ...examples.map(([line, meaning]) => `  ${line.padEnd(width)}  ${meaning}`)].join("\n");
}

/** Reads an option that is a length of time. */
export function duration(text: string): string {
  try {
    if (milliseconds(text) > 0) return text;
  } catch {
    // said below, in the words of a command line
  }
  throw new InvalidArgumentError('Give a length of time, such as "30s" or "5 minutes".');
}
