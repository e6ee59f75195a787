// Our queue beside graphile-worker and pg-boss: same server, same jobs, same handlers, same number of connections.
//
// In each round the systems take turns, and each begins in another round: what disturbs the machine for a while then
// disturbs all of them, and nobody always comes first.
import { fork } from "node:child_process";
import { type Suite, version } from "../suite.ts";
import { type QueueRow, rows } from "./rows.ts";
import { CONCURRENCY, CONNECTIONS } from "./system.ts";
import type { Task } from "./turn.ts";

const systems = ["howdah", "graphile-worker", "pg-boss"];

export const queueSuite: Suite<QueueRow> = {
  ours: "howdah",
  versions: {
    howdah: version("@howdah/queue"),
    "graphile-worker": version("graphile-worker"),
    "pg-boss": version("pg-boss"),
  },
  settings: ({ jobs }) => ({ jobs, concurrency: CONCURRENCY, connections: CONNECTIONS }),
  rows,

  async *measure({ name: row }, round, server, { jobs }) {
    for (let place = 0; place < systems.length; place++) {
      const system = systems[(place + round) % systems.length] ?? "";
      yield [system, await server.withDatabase((url) => turn({ row, system, url, jobs }))];
    }
  },
};

/** Runs one turn in a child process, whose output goes to our standard error so that ours stays clean. */
function turn(task: Task): Promise<Record<string, number>> {
  const child = fork(new URL("./turn.ts", import.meta.url), {
    execArgv: ["--no-deprecation"], // what the peers do with pg is not ours to fix
    stdio: ["ignore", 2, 2, "ipc"],
  });
  return new Promise((resolve, reject) => {
    let figures: Record<string, number> | undefined;
    child.once("message", (message) => {
      figures = message as Record<string, number>;
    });
    child.once("error", reject);
    child.once("exit", (code) => {
      if (figures && code === 0) resolve(figures);
      else reject(new Error(`${task.system} did not finish row ${task.row} (exit code ${code})`));
    });
    child.send(task);
  });
}
