// Core beside pg alone.
import type { Figure } from "../report.ts";
import { withPool } from "../server.ts";
import { type Row, type Suite, version } from "../suite.ts";
import { measureCalls } from "./call.ts";
import { measureIdleMigration, measureStarters } from "./migrate.ts";

const STARTERS = 40;

interface CoreRow extends Row {
  /** One round: figures by system. */
  run(url: string): Promise<Record<string, Record<string, number>>>;
}

const lower = (unit: string, title: string, goal: Pick<Figure, "target" | "limit"> = {}): Figure => ({
  title,
  unit,
  better: "lower",
  ...goal,
});

const rows: CoreRow[] = [
  {
    name: "call",
    figures: {
      call: lower("us", "call, one after the other", { target: 0.95 }),
      "call-added": lower("us", "  added to pg", { limit: 5 }),
      "call-16": lower("us", "call, 16 in flight", { target: 0.95 }),
      "call-16-added": lower("us", "  added to pg", { limit: 5 }),
      actor: lower("us", "call with an actor; pg: begin, set, call, commit", { target: 2 }),
      "actor-added": lower("%", "  added to the call without", { limit: 20 }),
      "actor-16": lower("us", "call with an actor, 16 in flight", { target: 2 }),
      "actor-16-added": lower("%", "  added to the call without", { limit: 20 }),
    },
    run: (url) => withPool(url, 16, (pool) => measureCalls(pool, 200)),
  },
  {
    name: "idle-migration",
    figures: {
      "idle-migration-trips": lower("round trips", "migrate, nothing to do", { limit: 1 }),
      "idle-migration": lower("ms", "migrate, nothing to do", { limit: 2 }),
    },
    run: async (url) => ({ howdah: await withPool(url, 4, (pool) => measureIdleMigration(pool, 200)) }),
  },
  {
    name: "starters",
    figures: {
      starters: lower("ms", `${STARTERS} processes migrate one empty database, all done`),
      "starters-runs": lower("times", "  most often that one file ran", { limit: 1 }),
    },
    run: async (url) => ({ howdah: await measureStarters(url, STARTERS) }),
  },
];

export const coreSuite: Suite<CoreRow> = {
  ours: "howdah",
  versions: { howdah: version("@howdah/core"), pg: version("pg") },
  settings: () => ({}),
  rows,

  async *measure(row, _round, server) {
    yield* Object.entries(await server.withDatabase(row.run));
  },
};
