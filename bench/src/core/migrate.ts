// What starting a process costs: the migration that finds nothing to do, and forty processes at once that all find work.
import { type MigrationReport, migrate } from "@howdah/core";
import { queueModule } from "@howdah/queue";
import type { Pool } from "pg";
import { startChild } from "../child.ts";
import { median } from "../measure.ts";

export const modules = [queueModule];

/** Migrates once, then again with nothing to do: the statements it sends, each a round trip, and how long it takes. */
export async function measureIdleMigration(pool: Pool, times: number) {
  let statements = 0;
  pool.on("connect", (client) => {
    const query = client.query.bind(client);
    client.query = ((...args: Parameters<typeof query>) => {
      statements++;
      return query(...args);
    }) as typeof client.query;
  });
  await migrate(pool, modules);
  const counts: number[] = [];
  const milliseconds: number[] = [];
  for (let i = 0; i < times; i++) {
    statements = 0;
    const started = performance.now();
    const { modules: changed } = await migrate(pool, modules);
    milliseconds.push(performance.now() - started);
    counts.push(statements);
    if (changed.length > 0) throw new Error("a migration with nothing to do changed something");
  }
  return { "idle-migration-trips": Math.max(...counts), "idle-migration": median(milliseconds) };
}

/** Lets `count` processes migrate the same empty database at the same moment. */
export async function measureStarters(url: string, count: number) {
  const starters = Array.from({ length: count }, () => startChild(new URL("./starter.ts", import.meta.url)));
  await Promise.all(starters.map((starter) => starter.ask(url)));
  const started = performance.now();
  const reports = await Promise.all(starters.map((starter) => starter.ask<MigrationReport>("go")));
  const milliseconds = performance.now() - started;
  for (const starter of starters) starter.dismiss();

  const runs = new Map(modules.flatMap(({ name, files }) => files.map(({ path }) => [`${name}/${path}`, 0])));
  for (const { module, file } of reports.flatMap((report) => report.modules).flatMap(({ applied }) => applied)) {
    runs.set(`${module}/${file}`, (runs.get(`${module}/${file}`) ?? 0) + 1);
  }
  const missing = [...runs].find(([, times]) => times === 0);
  if (missing) throw new Error(`${missing[0]} was run by no process`);
  return { starters: milliseconds, "starters-runs": Math.max(...runs.values()) };
}
