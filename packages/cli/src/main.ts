#!/usr/bin/env node
import { Interrupted } from "./errors.ts";
import { run } from "./program.ts";

const interruption = new AbortController();

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (interruption.signal.aborted) process.exit(new Interrupted(signal).exitCode); // asked twice: now
    interruption.abort(new Interrupted(signal));
  });
}

// `howdah sql queue | head` closes the pipe early, which is no failure of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const exitCode = await run(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  cwd: process.cwd(),
  signal: interruption.signal,
});

process.exitCode = exitCode;
if (interruption.signal.aborted) process.exit(); // whatever is still being waited for
