import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, expect, test } from "vitest";

const packages = join(import.meta.dirname, "../..");
const root: { packageManager: string } = JSON.parse(readFileSync(join(packages, "../package.json"), "utf8"));
const run = (command: string, args: string[], cwd: string, env = {}): string =>
  execFileSync(command, args, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });

const folder = mkdtempSync(join(tmpdir(), "howdah-tarballs-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => {
  for (const name of ["core", "queue"]) {
    run("npx", ["--yes", root.packageManager, "pack", "--pack-destination", folder], join(packages, name));
  }
  const tarballs = readdirSync(folder).map((file) => `./${file}`);
  writeFileSync(join(folder, "package.json"), '{ "name": "empty", "version": "1.0.0", "private": true }');
  run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", ...tarballs, "pg@8", "zod@4"], folder);
});

const program = (load: string): string => `
  ${load}
  (async () => {
    const db = connect(process.env.DATABASE_URL);
    await migrate(db, [queueModule]);
    const mail = defineQueue("mail", { schema: z.object({ to: z.string() }) });
    const jobs = createQueue(db, { namespace: "acme", queues: { mail } });
    await jobs.push("mail", { to: "ann" });
    await jobs.worker({ mail: (job) => console.log(job.payload.to) }).run({ until: "empty" });
    await db.close();
  })();`;
const names = "{ connect, migrate }";
const queueNames = "{ createQueue, defineQueue, queueModule }";

test.each([
  [
    "ESM",
    "main.mjs",
    `import ${names} from "@howdah/core"; import ${queueNames} from "@howdah/queue"; import { z } from "zod";`,
  ],
  [
    "CommonJS",
    "main.cjs",
    `const ${names} = require("@howdah/core"); const ${queueNames} = require("@howdah/queue"); const { z } = require("zod");`,
  ],
])("the packed tarballs of core and queue work in an empty project as %s", async (_format, file, load) => {
  await using db = await testDatabase();
  writeFileSync(join(folder, file), program(load));
  expect(run(process.execPath, [file], folder, { DATABASE_URL: db.url })).toBe("ann\n");
});

test("a tarball holds the license, the SQL files and a script for any driver", () => {
  for (const [name, module] of [
    ["core", "howdah"],
    ["queue", "queue"],
  ] as const) {
    const installed = join(folder, "node_modules/@howdah", name);
    expect(readFileSync(join(installed, "LICENSE"), "utf8")).toContain("Apache License");
    expect(readdirSync(join(installed, "sql/migrations"))).toContain("0001_tables.sql");
    expect(readFileSync(join(installed, `dist/${module}.sql`), "utf8")).toContain(
      `create schema if not exists ${module};`,
    );
  }
});
