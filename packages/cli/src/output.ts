import { styleText } from "node:util";
import type { Failure } from "./failure.ts";

/** Where text goes: a terminal, a file, a pipe. */
export type Stream = NodeJS.WritableStream & { isTTY?: boolean; columns?: number };

/** A colour or weight of `node:util`'s `styleText`. */
export type Style = Parameters<typeof styleText>[0];

/** What the user asked for. */
export interface OutputSettings {
  json: boolean;
  quiet: boolean;
}

/** Whether a stream takes colours: only a terminal, and not against the user's wish. */
export const hasColours = (stream: Stream, argv: readonly string[]): boolean =>
  stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb" && !argv.includes("--no-color");

/** Data goes to standard output, everything that only accompanies it to standard error. */
export class Output {
  readonly settings: OutputSettings = { json: false, quiet: false };
  private readonly stdout: Stream;
  private readonly stderr: Stream;
  private readonly colours: { out: boolean; err: boolean };

  constructor(stdout: Stream, stderr: Stream, argv: readonly string[]) {
    this.stdout = stdout;
    this.stderr = stderr;
    this.colours = { out: hasColours(stdout, argv), err: hasColours(stderr, argv) };
  }

  /** Prints data: as JSON if asked for, else as text. */
  data(value: unknown, text: () => string = () => this.shown(value)): void {
    if (this.settings.json) this.stdout.write(`${JSON.stringify(value ?? null, null, 2)}\n`);
    else if (value !== undefined) this.stdout.write(ended(text()));
  }

  /** Prints text that is laid out already. */
  text(text: string): void {
    this.stdout.write(ended(text));
  }

  /** Prints one line of JSON, for commands that go on for ever. */
  line(value: unknown): void {
    this.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** Prints progress, unless the user wants quiet. */
  note(text: string): void {
    if (!this.settings.quiet) this.stderr.write(ended(text));
  }

  /** Prints what the user should see in any case. */
  warn(text: string): void {
    this.stderr.write(ended(`${this.err("yellow", "warning:")} ${text}`));
  }

  /** Prints an error. */
  failure({ code, message, hint }: Failure): void {
    if (this.settings.json) {
      this.stderr.write(`${JSON.stringify({ error: { code, message, hint } })}\n`);
      return;
    }
    this.stderr.write(ended(`${this.err("red", "error:")} ${message}`));
    if (hint !== undefined) this.stderr.write(ended(`${this.err("cyan", "hint:")} ${hint}`));
  }

  /** Styles text for standard output. */
  out = (style: Style, text: string): string => paint(this.colours.out, style, text);

  /** Styles text for standard error. */
  err = (style: Style, text: string): string => paint(this.colours.err, style, text);

  /** Writes a list of objects as a table that fits the terminal. */
  table(rows: readonly object[]): string {
    return table(rows, { width: this.stdout.isTTY ? (this.stdout.columns ?? 80) : undefined, style: this.out });
  }

  /** A value as text: text as it is, a list as a table, an object line by line. */
  shown(value: unknown): string {
    if (Array.isArray(value)) {
      if (value.every((item) => typeof item === "object" && item !== null)) return this.table(value);
      return value.map(cell).join("\n");
    }
    if (typeof value === "string") return value.replace(/(?![\n\t])\p{Cc}/gu, "\ufffd");
    if (typeof value !== "object" || value === null || value instanceof Date) return cell(value);
    const entries = Object.entries(value).map(([key, item]) => [heading(key), cell(item)] as const);
    const width = Math.max(0, ...entries.map(([key]) => key.length));
    return entries.map(([key, item]) => `${this.out("dim", key.padEnd(width))}  ${item}`.trimEnd()).join("\n");
  }
}

const ended = (text: string): string => (text === "" || text.endsWith("\n") ? text : `${text}\n`);

const paint = (hasColour: boolean, style: Style, text: string): string =>
  hasColour ? styleText(style, text, { validateStream: false }) : text;

interface TableOptions {
  /** Cells are shortened to keep lines within this many characters. */
  width: number | undefined;
  style: (style: Style, text: string) => string;
}

/** Lays out rows in columns: one for each key of any of them, numbers to the right. */
export function table(rows: readonly object[], { width, style }: TableOptions): string {
  if (rows.length === 0) return "";
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const columns = keys.map((key) => {
    const cells = rows.map((row) => cell((row as Record<string, unknown>)[key]));
    const isNumeric = cells.every((text) => /^(-?\d+(\.\d+)?)?$/.test(text));
    return { title: heading(key), cells, isNumeric, width: Math.max(heading(key).length, ...cells.map(lengthOf)) };
  });
  if (width !== undefined) shrink(columns, width - 2 * (columns.length - 1));
  const line = (texts: readonly string[]): string =>
    columns
      .map((column, i) => fit(texts[i] ?? "", column.width, column.isNumeric))
      .join("  ")
      .trimEnd();
  return [
    style("dim", line(columns.map((column) => column.title))),
    ...rows.map((_, i) => line(columns.map((column) => column.cells[i] ?? ""))),
  ].join("\n");
}

/** Takes room from the widest columns until all fit. */
function shrink(columns: { width: number }[], room: number): void {
  for (;;) {
    const total = columns.reduce((sum, column) => sum + column.width, 0);
    const widest = columns.reduce((a, b) => (b.width > a.width ? b : a), { width: 0 });
    if (total <= room || widest.width <= 12) return;
    widest.width = Math.max(12, widest.width - (total - room));
  }
}

const lengthOf = (text: string): number => [...text].length;

function fit(text: string, width: number, isRight: boolean): string {
  const letters = [...text];
  if (letters.length > width) return `${letters.slice(0, width - 1).join("")}…`;
  const padding = " ".repeat(width - letters.length);
  return isRight ? padding + text : text + padding;
}

/** `databaseRelease` and `database_release` as words. */
const heading = (key: string): string =>
  key
    .replace(/_/g, " ")
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .toLowerCase();

/** A value on one line, without control characters: what a database holds must not steer a terminal. */
function cell(value: unknown): string {
  if (value === null || value === undefined) return "";
  const text =
    value instanceof Date ? value.toISOString() : typeof value === "object" ? JSON.stringify(value) : String(value);
  return text.replace(/\s+/g, " ").replace(/\p{Cc}/gu, "\ufffd");
}
