// The demo: audits the licenses of all packages that this workspace has installed, one job each, and kills a worker half-way.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { globSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, migrate } from "@howdah/core";
import { createQueue, queueModule } from "@howdah/queue";
import { startServer } from "@howdah/testing";
import { auditModule, licenses, namespace } from "./audit.ts";

const root = join(import.meta.dirname, "../../..");
const print = (text = ""): void => void process.stdout.write(`${text}\n`);

// 1. A PostgreSQL in a temporary folder, with its defaults for durability, and the schemas in it.
await using server = await startServer({ durable: true });
const url = server.url();
const db = connect(url);
const { modules } = await migrate(db, [queueModule, auditModule]);
print(`PostgreSQL ${server.version} is up, migrated: ${modules.map((one) => `${one.module} ${one.to}`).join(", ")}`);

// 2. Every package, and three that are broken, becomes a row and a job, in one transaction.
const queue = createQueue(db, { namespace, queues: { licenses } });
await queue.sync();
const paths = [...packageFiles(), ...brokenFiles()];
const payloads = paths.map((path) => ({ path }));
await db.transaction(async (tx) => {
  await tx.query("insert into audit.packages (namespace, path) select $1, unnest($2::text[])", [namespace, paths]);
  await queue.using(tx).pushBatch("licenses", payloads);
});
print(`${paths.length} jobs pushed, one for each package.json under node_modules and three broken ones\n`);

// 3. Two worker processes. Half-way, one is killed without warning; a third takes its place.
const [survivor, victim] = [start("worker-1"), start("worker-2")];
await progressTo(1);
const startedAt = performance.now();
await progressTo(paths.length / 2);
const rate = paths.length / 2 / ((performance.now() - startedAt) / 1000);
victim.kill("SIGKILL");
await once(victim, "exit");
const orphans = await rows<{ path: string }>(
  "select payload ->> 'path' as path from queue.jobs where namespace = $1 and locked_by like 'worker-2%'",
);
print(`\nworker-2 was killed with ${orphans.length} jobs in its hands; worker-3 starts, their leases end in 2 seconds`);
const heir = start("worker-3");
await progressTo(paths.length);
await Promise.all([survivor, heir].map((worker) => worker.kill("SIGTERM") && once(worker, "exit")));

// 4. What came of it.
const found = await rows<{ path: string; license: string; kind: string; attempt: number; found_by: string }>(
  "select path, license, kind, attempt, found_by from audit.packages where namespace = $1 and kind is not null",
);
const dead = await queue.deadLetters.list({ queue: "licenses" });
const licensesFound = Map.groupBy(found, (row) => `${row.license}${row.kind === "legacy" ? " (legacy form)" : ""}`);
print("\n\npackages  license");
for (const [license, { length }] of [...licensesFound].sort((a, b) => b[1].length - a[1].length)) {
  print(`${String(length).padStart(8)}  ${license}`);
}
const inherited = found.filter((row) => row.found_by !== "worker-2" && orphans.some(({ path }) => path === row.path));
const attempts = [...found.map((row) => row.attempt), ...dead.map((letter) => letter.attempts)];
print(`\n${Math.round(rate)} jobs a second, ${attempts.reduce((a, b) => a + b, 0)} attempts for ${paths.length} jobs`);
print(`in the killed worker's hands: ${orphans.length}, of which others finished ${inherited.length}:`);
for (const { path, found_by, attempt } of inherited)
  print(`  ${found_by}, attempt ${attempt}: ${relative(root, path)}`);
print("dead letters:");
for (const { payload, lastError } of dead) print(`  ${Object(payload).path}: ${lastError?.split("\n")[0]}`);

const { pending, running } = await queue.stats();
const isProved = paths.length === found.length + dead.length && Number(pending) + Number(running) === 0;
print(`\npushed = completed + dead: ${paths.length} = ${found.length} + ${dead.length}${isProved ? "" : "   WRONG"}`);
process.exitCode = isProved ? 0 : 1;

if (process.argv.includes("--keep")) {
  print(`\nThe server stays up until Ctrl-C. Try:\n\nexport DATABASE_URL='${url}'`);
  print(`npx howdah queue dead-letters list --namespace ${namespace}\nnpx howdah status`);
  print(`psql "$DATABASE_URL" -c "select * from queue.get_queue_stats('${namespace}')"`);
  await once(process, "SIGINT");
}
await db.close();

function start(name: string): ChildProcess {
  const child = spawn(process.execPath, [join(import.meta.dirname, "worker.ts"), url, name], { stdio: "inherit" });
  process.once("exit", () => child.kill("SIGKILL"));
  return child;
}

async function rows<Row>(sql: string): Promise<Row[]> {
  return (await db.query<Row>(sql, [namespace])).rows;
}

/** Draws the progress until a number of jobs has ended. */
async function progressTo(goal: number): Promise<void> {
  for (let ended = 0; ended < goal; await sleep(10)) {
    const [now] = await rows<{ ended: number }>(
      `select (select count(*) from audit.packages where namespace = $1 and kind is not null)::int
        + (select count(*) from queue.dead_letters where namespace = $1)::int as ended`,
    );
    ended = now?.ended ?? 0;
    const bar = "#".repeat(Math.round((ended / paths.length) * 40)).padEnd(40, ".");
    if (process.stdout.isTTY) process.stdout.write(`\r[${bar}] ${ended} of ${paths.length} `);
  }
}

/** The package.json of every installed package, each once, however many links lead to it. */
function packageFiles(): string[] {
  const found = globSync("{node_modules/.pnpm/*/,}node_modules/{*,@*/*}/package.json", { cwd: root });
  return [...new Set(found.map((path) => realpathSync(join(root, path))))];
}

function brokenFiles(): string[] {
  const folder = mkdtempSync(join(tmpdir(), "license-audit-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const texts = { "broken.json": '{ "name": "half', "nameless.json": "{}", "large.json": "x".repeat(2_000_000) };
  return Object.entries(texts).map(([name, text]) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  });
}
