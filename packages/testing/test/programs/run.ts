import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** What `start.ts` says about its server. */
export interface Started {
  url: string;
  folder: string;
  version: number;
}

/** Runs a program of this folder until it has said its first line. */
export async function run<T>(
  program: string,
  args: string[] = [],
  { env = {}, ...options }: SpawnOptions = {},
): Promise<{ said: T; child: ChildProcess; exited: Promise<unknown> }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, program), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    ...options,
    env: { ...process.env, VITEST: "", ...env },
  });
  const exited = once(child, "exit");
  let output = "";
  let errors = "";
  child.stderr?.on("data", (chunk) => (errors += chunk));
  for await (const chunk of child.stdout ?? []) {
    output += chunk;
    if (output.includes("\n")) break;
  }
  if (!output.includes("\n")) throw new Error(`${program} said nothing: ${errors}`);
  return { said: JSON.parse(output), child, exited };
}
