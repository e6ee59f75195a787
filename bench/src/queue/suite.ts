// Our queue beside graphile-worker and pg-boss: same server, same jobs, same handlers, same number of connections.
//
// In each round the systems take turns, and each begins in another round: what disturbs the machine for a while then
// disturbs all of them, and nobody always comes first.
import { startChild } from "../child.ts";
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

/** Runs one turn in a process of its own. */
async function turn(task: Task) {
  const child = startChild(new URL("./turn.ts", import.meta.url));
  const figures = await child.ask<Record<string, number>>(task);
  child.dismiss();
  return figures;
}
