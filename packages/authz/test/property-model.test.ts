// Whatever the model and the tuples are, the compiled program answers every question as the reference evaluator does.
//
// HOWDAH_PROPERTY_RUNS=5000 tries that many models in each test. HOWDAH_PROPERTY_SEED=<seed>/<path> shows again what a failure
// of one test (choose it with -t) has printed.
import { inRollback, type TestDatabase, testDatabase } from "@howdah/testing";
import fc, { type RunDetails } from "fast-check";
import type { PoolClient } from "pg";
import { afterAll, expect, test } from "vitest";
import { type CompiledModel, compileModel } from "../src/compiler/index.ts";
import { authzModule } from "../src/module.ts";
import { type Case, modelCase } from "./oracle/arbitrary.ts";
import { type Difference, differences } from "./oracle/compare.ts";
import { dslOf, worldText } from "./oracle/print.ts";
import { publicDifferences, writeDifferences } from "./oracle/public.ts";

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
    await client.query("set local plan_cache_mode = force_generic_plan; set local jit = off");
    return fn(client);
  });
}

const { HOWDAH_PROPERTY_RUNS, HOWDAH_PROPERTY_SEED } = process.env;
const patience = { timeout: 3_600_000 };
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

function report({ model, maxDepth }: Case, found: Difference[]): string {
  const [first] = found;
  const wrong = found.filter(({ world }) => world === first?.world);
  const questions = wrong.map(
    ({ question, expected, got }) => `${question}: expected ${expected || "-"}, got ${got || "-"}`,
  );
  return [
    `max_depth ${maxDepth}`,
    dslOf(model),
    first && worldText(first.world),
    ...questions.slice(0, 20),
    JSON.stringify(model),
  ].join("\n\n");
}

type Answered = Awaited<ReturnType<typeof differences>>;

/** Compares with many models, each with some worlds. */
async function compare(
  runs: number,
  worlds: number,
  differencesOf: (client: PoolClient, program: CompiledModel, one: Case) => Promise<Answered>,
): Promise<void> {
  let comparisons = 0;
  let count = 0;
  await fc.assert(
    fc.asyncProperty(modelCase(worlds), (one) =>
      inFreshDatabase(async (client) => {
        const { model, maxDepth } = one;
        const program = compileModel({ model }, maxDepth === undefined ? {} : { maxDepth });
        const answered = await differencesOf(client, program, one);
        if (answered.found.length > 0) throw new Error(report(one, answered.found));
        comparisons += answered.comparisons;
        count += answered.worlds;
      }),
    ),
    parameters(runs),
  );
  if (HOWDAH_PROPERTY_RUNS !== undefined) console.info(`${comparisons} answers in ${count} worlds agree`);
  expect(count).toBeGreaterThan(0);
}

/** Filters do one thing where the subject has little, another where it has much, and a third where it has almost everything. */
function withFilters(sql: string, { worlds }: Case): string {
  const muchFrom = worlds.length % 3 === 1 ? 0 : 5;
  const almostAllFrom = worlds.length % 3 === 2 ? 0 : 20;
  return sql
    .replaceAll(" 5 * cardinality(p_resource_ids)", ` ${muchFrom} * cardinality(p_resource_ids)`)
    .replaceAll(" 20 * cardinality(p_resource_ids)", ` ${almostAllFrom} * cardinality(p_resource_ids)`);
}

test("A program answers every question as the reference evaluator does", patience, () =>
  compare(80, 30, async (client, { hash, sql }, one) => {
    await client.query(withFilters(sql, one));
    return differences(client, `m_${hash.slice(0, 12)}_`, one);
  }),
);

test("The public functions answer as the reference evaluator does", patience, () =>
  compare(40, 4, (client, program, one) => publicDifferences(client, program, one, 150)),
);

test(
  "Writing a tuple takes nothing away where nothing is excluded, and deleting it restores every answer",
  patience,
  () => compare(40, 4, writeDifferences),
);
