// A server must not outlive the process that wanted it, however that process ends. A process cannot clean up after its own
// SIGKILL, but the system closes its pipes. So this program stands between the two: it runs the server and reads its own
// standard input, and when that ends, it ends the server and removes the server's folder.
//
// It answers with the line "ready" on standard output, or else with the server's log and exit code 1.
import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";

/** What to run: the `setup` commands one after the other, then the server. */
export interface Errand {
  setup: string[][];
  server: string[];
  /** What the server's log says when it is up. */
  ready: string;
  /** How to end the server. */
  signal: NodeJS.Signals;
  /** Where everything runs. */
  folder: string;
  /** Leave the folder when the server has ended. */
  keep: boolean;
  /** Who runs it, if not the user of this process. */
  user: { uid?: number; gid?: number };
}

const errand: Errand = JSON.parse(process.argv[2] ?? "");
let child: ChildProcess | undefined;
let isStopping = false;
let isReady = false;
let log = "";

function read(chunk: Buffer): void {
  log = (log + chunk).slice(-8_000);
  if (isReady || !log.includes(errand.ready)) return;
  isReady = true;
  process.stdout.write("ready\n");
}

/** Runs one command to its end; true if it ended well. */
function run([command = "", ...args]: string[]): Promise<boolean> {
  return new Promise((done) => {
    child = spawn(command, args, {
      cwd: errand.folder,
      env: { ...process.env, LC_ALL: "C" },
      stdio: ["ignore", "pipe", "pipe"],
      windowsHide: true,
      ...errand.user,
    });
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.once("error", (error) => {
      log += error.message;
      done(false);
    });
    child.once("close", (code) => done(code === 0));
  });
}

function stop(): void {
  isStopping = true;
  child?.kill(errand.signal);
}

async function main(): Promise<void> {
  process.stdin.once("close", stop).resume();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop);
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {}); // nobody may be left to read

  for (const command of [...errand.setup, errand.server]) {
    const isFine = await run(command);
    if (isStopping || !isFine) break;
  }
  if (!errand.keep) rmSync(errand.folder, { recursive: true, force: true, maxRetries: 10 });
  if (!isStopping) {
    process.exitCode = 1;
    if (isReady) process.stderr.write(`PostgreSQL, or the pooler before it, has ended by itself:\n${log}\n`);
    else process.stdout.write(log);
  }
  process.stdin.destroy();
}

void main();
