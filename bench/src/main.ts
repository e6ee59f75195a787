// node src/main.ts core|queue|authz [options]; see ../README.md.
import { mkdirSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { asJson, type Figure, report, round, table } from "./report.ts";
import { openServer } from "./server.ts";
import { collect, type Options, type Suite } from "./suite.ts";

const suites: Record<string, () => Promise<Suite>> = {
  core: async () => (await import("./core/suite.ts")).coreSuite,
  queue: async () => (await import("./queue/suite.ts")).queueSuite,
  authz: async () => (await import("./authz/suite.ts")).authzSuite,
};

const USAGE = `Usage: node src/main.ts core|queue|authz [options]

  --only <row>     this row only; repeat it for several. The results file is then left alone
  --rounds <n>     how often each row runs with each system; default 3
  --jobs <n>       how many jobs the queue's rows run; default 60000
  --tuples <n>     about how many tuples the rows of authz ask; default 600000
  --server <url>   measure on this server, as a role that may create databases; default a new one with its data in a
                   temporary folder
  --json           print the results as JSON, and nothing else, to standard output`;

class UsageError extends Error {}

function readArguments(): { name: string; suite: () => Promise<Suite>; options: Options; json: boolean } {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: "string", multiple: true, default: [] },
      rounds: { type: "string", default: "3" },
      jobs: { type: "string", default: "60000" },
      tuples: { type: "string", default: "600000" },
      server: { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const [name = ""] = positionals;
  const suite = suites[name];
  const [rounds, jobs, tuples] = [Number(values.rounds), Number(values.jobs), Number(values.tuples)];
  if (!suite || positionals.length > 1) throw new UsageError(`"${positionals.join(" ")}" is not core, queue or authz`);
  if (!Number.isInteger(rounds) || rounds < 1) throw new UsageError(`--rounds ${values.rounds} is not a number from 1`);
  if (!Number.isInteger(jobs) || jobs < 1000) throw new UsageError(`--jobs ${values.jobs} is not a number from 1000`);
  if (!Number.isInteger(tuples) || tuples < 10_000) {
    throw new UsageError(`--tuples ${values.tuples} is not a number from 10000`);
  }
  return {
    name,
    suite,
    options: { only: values.only, rounds, jobs, tuples, server: values.server },
    json: values.json,
  };
}

async function run({ name, suite: loadSuite, options, json }: ReturnType<typeof readArguments>) {
  const suite = await loadSuite();
  const names = suite.rows.map((row) => row.name);
  const unknown = options.only.find((row) => !names.includes(row));
  if (unknown) throw new UsageError(`there is no row ${unknown}; the rows are ${names.join(", ")}`);

  const load = round(loadavg()[0] ?? 0);
  const server = await openServer(options.server);
  try {
    const samples = await collect(suite, server, options, (line) => console.error(line));
    const versions = { node: process.versions.node, postgresql: server.version, ...suite.versions };
    const settings = { rounds: options.rounds, ...suite.settings(options), ...server.settings };
    const figures = Object.assign({}, ...suite.rows.map((row) => row.figures)) as Record<string, Figure>;
    const result = report({ suite: name, versions, settings, ours: suite.ours, load }, figures, samples);
    const text = asJson(result);
    if (options.only.length === 0) {
      const folder = new URL("../results/", import.meta.url);
      mkdirSync(folder, { recursive: true });
      writeFileSync(new URL(`${name}.json`, folder), text);
    }
    process.stdout.write(json ? text : `\n${table(result)}`);
  } finally {
    await server.stop();
  }
}

try {
  await run(readArguments());
} catch (error) {
  const isMisuse = error instanceof UsageError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  console.error(isMisuse ? `${(error as Error).message}\n\n${USAGE}` : error);
  process.exitCode = 1;
}
