import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { PassThrough, type Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { run } from "../src/program.ts";

/** A project whose howdah.config.ts names the module library. */
const fixture = fileURLToPath(new URL("fixture", import.meta.url));

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Run {
  url?: string;
  cwd?: string;
  env?: Record<string, string>;
}

/** Starts the command as a process of its own. */
export function start(args: readonly string[], { url, cwd = fixture, env = {} }: Run = {}): ChildProcess {
  const { PATH = "", HOME = "", TMPDIR } = process.env;
  const child = spawn(process.execPath, [main, ...args], {
    cwd,
    env: { PATH, HOME, ...(TMPDIR && { TMPDIR }), ...(url && { DATABASE_URL: url }), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL")); // if the test has not come that far
  return child;
}

/** Waits for a process, and collects what it says. */
export async function ended(child: ChildProcess): Promise<Outcome> {
  const outcome: Outcome = { code: null, stdout: "", stderr: "" };
  child.stdout?.on("data", (text) => (outcome.stdout += text));
  child.stderr?.on("data", (text) => (outcome.stderr += text));
  const [code, signal] = await once(child, "close");
  if (signal) throw new Error(`killed by ${signal}: ${outcome.stderr}`);
  return { ...outcome, code };
}

/** Runs the command as a process of its own, without a terminal. */
export const howdah = (args: readonly string[], options: Run = {}): Promise<Outcome> => ended(start(args, options));

/** Waits until a process has said something. */
export async function said(stream: Readable | null, text: string): Promise<void> {
  let seen = "";
  for await (const chunk of stream?.iterator({ destroyOnReturn: false }) ?? []) {
    seen += chunk;
    if (seen.includes(text)) return;
  }
  throw new Error(`${JSON.stringify(text)} was not said, but ${JSON.stringify(seen)}`);
}

/** Runs the command in this process on a terminal where somebody presses the given keys. */
export async function onTerminal(args: readonly string[], keys = ""): Promise<Outcome> {
  const stdin = terminal();
  const [stdout, stderr] = [terminal(), terminal()];
  const outcome: Outcome = { code: null, stdout: "", stderr: "" };
  stdout.on("data", (text) => (outcome.stdout += text));
  stderr.on("data", (text) => {
    outcome.stderr += text;
    if (keys !== "" && String(text).includes("Yes")) setImmediate(() => stdin.write(keys)); // once the question stands
  });
  const code = await run(args, { stdin, stdout, stderr, cwd: fixture, signal: new AbortController().signal });
  return { ...outcome, code };
}

const terminal = (): PassThrough & { isTTY: boolean; columns: number; rows: number } =>
  Object.assign(new PassThrough(), { isTTY: true, columns: 60, rows: 24, setRawMode: () => {} });
