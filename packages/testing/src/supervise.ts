import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import type { Errand } from "./supervisor.ts";

const program = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "supervisor.ts" : "supervisor.js", import.meta.url),
);

/**
 * Runs a server until `stop` is called or this process ends, in whatever way.
 *
 * @throws an error with the server's log when it does not come up
 */
export async function supervise(errand: Errand): Promise<{ stop(): Promise<void> }> {
  const supervisor = spawn(process.execPath, [program, JSON.stringify(errand)], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, NODE_OPTIONS: "" },
    detached: true, // in its own process group, so that ctrl-C ends this process first
    windowsHide: true,
  });
  const exited = once(supervisor, "exit");
  let answer = "";
  for await (const chunk of supervisor.stdout) {
    answer += chunk;
    if (answer === "ready\n") break;
  }
  if (answer !== "ready\n") throw new Error(`${errand.server[0]} did not start:\n${answer.trim()}`);

  // A server must not keep this process alive either.
  supervisor.unref();
  (supervisor.stdin as Socket).unref();
  return {
    async stop() {
      supervisor.ref();
      supervisor.stdin.end();
      await exited;
    },
  };
}
