// A suite is a table's worth of rows; this runs its rows in rounds and gathers what they measure.
import { createRequire } from "node:module";
import type { Figure, Samples } from "./report.ts";
import type { Server } from "./server.ts";

/** What the caller asked for. */
export interface Options {
  /** The rows to run; all if empty. */
  only: readonly string[];
  rounds: number;
  jobs: number;
  tuples: number;
  /** The URL of the server to measure on, if it is not our own. */
  server: string | undefined;
}

/** Something measured in one go, which may give several figures. */
export interface Row {
  name: string;
  figures: Record<string, Figure>;
}

export interface Suite<R extends Row = Row> {
  /** Which of the systems is ours. */
  ours: string;
  versions: Record<string, string>;
  /** What else decides the figures. */
  settings(options: Options): Record<string, string | number>;
  rows: readonly R[];
  /** One round of a row: figures by system, one system after the other. */
  measure(row: R, round: number, server: Server, options: Options): AsyncIterable<[string, Record<string, number>]>;
}

/** Runs the rows that are wanted, and tells of each result as it comes. */
export async function collect(suite: Suite, server: Server, options: Options, progress: (line: string) => void) {
  const samples: Samples = {};
  for (const row of suite.rows.filter(({ name }) => options.only.length === 0 || options.only.includes(name))) {
    for (let round = 0; round < options.rounds; round++) {
      for await (const [system, figures] of suite.measure(row, round, server, options)) {
        for (const [figure, value] of Object.entries(figures)) {
          samples[figure] ??= {};
          samples[figure][system] ??= [];
          samples[figure][system].push(value);
        }
        const values = Object.entries(figures).map(([key, value]) => `${key} ${Number(value.toPrecision(3))}`);
        progress(`round ${round + 1} of ${options.rounds}  ${system.padEnd(15)}  ${values.join(", ")}`);
      }
    }
  }
  return samples;
}

/** The version of an installed package, found as Node finds the package, since not every one exports its package.json. */
export function version(name: string): string {
  const require = createRequire(import.meta.url);
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      return (require(`${folder}/${name}/package.json`) as { version: string }).version;
    } catch {}
  }
  return "unknown";
}
