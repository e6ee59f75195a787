// One turn: one row with one system, in a process of its own, so that no system inherits another's compiled code, heap,
// timers or connections. The parent sends what to do and gets the figures back.
import { Client } from "pg";
import { postmasterOf } from "../measure.ts";
import { rows } from "./rows.ts";
import type { QueueSystem } from "./system.ts";

/** The systems, ours first, each loaded only where it is measured. */
const systems: Record<string, () => Promise<QueueSystem>> = {
  howdah: async () => (await import("./howdah.ts")).howdah,
  "graphile-worker": async () => (await import("./graphile-worker.ts")).graphileWorker,
  "pg-boss": async () => (await import("./pg-boss.ts")).pgBoss,
};

export interface Task {
  row: string;
  system: string;
  url: string;
  jobs: number;
}

async function connect(url: string) {
  const client = new Client({ connectionString: url });
  await client.connect();
  return client;
}

async function take({ row: name, system, url, jobs }: Task) {
  const row = rows.find((row) => row.name === name);
  const open = await systems[system]?.();
  if (!row || !open) throw new Error(`there is no row ${name} or no system ${system}`);

  const client = await connect(url);
  const bystander = await connect(url);
  const queue = await open(url, row.favour);
  const figures = await row.run({ queue, client, bystander, postmaster: await postmasterOf(client), jobs });
  await queue.close();
  await Promise.all([client.end(), bystander.end()]);
  return figures;
}

process.on("message", async (task: Task) => {
  process.send?.(await take(task));
});
