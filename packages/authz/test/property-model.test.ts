// Whatever the model and the tuples are, the compiled program answers every question as the reference evaluator does.
//
// HOWDAH_PROPERTY_RUNS=5000 runs that many models; HOWDAH_PROPERTY_SEED=<seed>/<path> runs again what a failure has printed.
import { inRollback, type TestDatabase, testDatabase } from "@howdah/testing";
import fc, { type RunDetails } from "fast-check";
import type { PoolClient } from "pg";
import { afterAll, expect, test } from "vitest";
import { compileModel } from "../src/compiler/index.ts";
import { authzModule } from "../src/module.ts";
import { type Case, modelCase } from "./oracle/arbitrary.ts";
import { type Difference, differences } from "./oracle/compare.ts";
import { dslOf, worldText } from "./oracle/print.ts";

let db: TestDatabase;
let used = 0;
afterAll(() => db?.close());

/** Runs in a transaction that is rolled back. Programs are large, and what is left of them slows a database down. */
async function inFreshDatabase<T>(fn: (client: PoolClient) => Promise<T>): Promise<T> {
  if (used++ % 20 === 0) {
    await db?.close();
    db = await testDatabase({ modules: [authzModule] });
  }
  return inRollback(db, async (client) => {
    await client.query("set local statement_timeout = '120s'; set local plan_cache_mode = force_generic_plan");
    return fn(client);
  });
}

const { HOWDAH_PROPERTY_RUNS, HOWDAH_PROPERTY_SEED } = process.env;
const [seed, path] = HOWDAH_PROPERTY_SEED?.split("/") ?? [];

/** How many models to try, and how a failure tells what would show it again. */
const parameters = (runs: number): fc.Parameters<[Case]> => ({
  numRuns: HOWDAH_PROPERTY_RUNS === undefined ? runs : Number(HOWDAH_PROPERTY_RUNS),
  ...(seed === undefined ? {} : { seed: Number(seed) }),
  ...(path === undefined ? {} : { path, endOnFailure: false }),
  reporter: ({ failed, seed, counterexamplePath, errorInstance }: RunDetails<[Case]>): void => {
    if (!failed) return;
    throw new Error(`HOWDAH_PROPERTY_SEED=${seed}/${counterexamplePath}\n\n${(errorInstance as Error)?.message}`);
  },
});

function describe(model: Case["model"], found: Difference[]): string {
  const [first] = found;
  const wrong = found.filter(({ world }) => world === first?.world);
  const questions = wrong.map(
    ({ question, expected, got }) => `${question}: expected ${expected || "-"}, got ${got || "-"}`,
  );
  return [dslOf(model), first && worldText(first.world), ...questions.slice(0, 20), JSON.stringify(model)].join("\n\n");
}

test("A program answers every question as the reference evaluator does", async () => {
  let worlds = 0;
  let comparisons = 0;
  await fc.assert(
    fc.asyncProperty(modelCase(12), (one) =>
      inFreshDatabase(async (client) => {
        const { hash, sql } = compileModel({ model: one.model });
        await client.query(sql);
        const answered = await differences(client, `m_${hash.slice(0, 12)}_`, one);
        if (answered.found.length > 0) throw new Error(describe(one.model, answered.found));
        worlds += answered.worlds;
        comparisons += answered.comparisons;
      }),
    ),
    parameters(80),
  );
  console.info(`${comparisons} answers in ${worlds} worlds agree`);
  expect(worlds).toBeGreaterThan(0);
});
