// What starting a process costs: the migration that finds nothing to do, and forty processes at once that all find work.
import { fork } from "node:child_process";
import { once } from "node:events";
import { type MigrationReport, migrate } from "@howdah/core";
import { queueModule } from "@howdah/queue";
import type { Pool } from "pg";
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
  const starters = Array.from({ length: count }, () =>
    fork(new URL("./starter.ts", import.meta.url), [url], { stdio: ["ignore", 2, 2, "ipc"] }),
  );
  await Promise.all(starters.map((starter) => once(starter, "message")));
  const started = performance.now();
  const reports = await Promise.all(
    starters.map(async (starter) => {
      const answer = once(starter, "message");
      const exit = once(starter, "exit").then(([code]) => {
        if (code !== 0) throw new Error(`a process that migrated ended with exit code ${code}`);
      });
      starter.send("go");
      const [report] = (await Promise.race([answer, exit])) as [MigrationReport];
      return { report, milliseconds: performance.now() - started };
    }),
  );
  const runs = new Map<string, number>();
  for (const { module, file } of reports.flatMap(({ report }) => report.modules.flatMap(({ applied }) => applied))) {
    runs.set(`${module}/${file}`, (runs.get(`${module}/${file}`) ?? 0) + 1);
  }
  const wanted = modules.flatMap(({ name, files }) => files.map(({ path }) => `${name}/${path}`));
  const missing = wanted.find((file) => !runs.has(file));
  if (missing) throw new Error(`${missing} was run by no process`);
  return {
    starters: Math.max(...reports.map(({ milliseconds }) => milliseconds)),
    "starters-runs": Math.max(...runs.values()),
  };
}
