import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { queueModule } from "@howdah/queue";
import { testDatabase } from "@howdah/testing";
import { expect, test } from "vitest";
import { snippets } from "../src/snippets.ts";

const readme = new URL("../../README.md", import.meta.url);
const coreReadme = new URL("../../packages/core/README.md", import.meta.url);

/** Runs a program of a README against a database and gives what it printed. */
function run(command: string, args: string[], url: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: "utf8",
    env: { ...process.env, DATABASE_URL: url },
  });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

function runTypeScript(source: string, url: string): string {
  const folder = mkdtempSync(new URL("../snippet-", import.meta.url).pathname);
  try {
    writeFileSync(join(folder, "snippet.ts"), source);
    return run(process.execPath, [join(folder, "snippet.ts")], url);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("the TypeScript example of the README pushes with an order and runs the job", async () => {
  await using db = await testDatabase();
  const [source = ""] = snippets(readme, "ts");
  expect(runTypeScript(source, db.url)).toBe("invoice for order 7\n");
  expect((await db.query("select id from orders")).rows).toEqual([{ id: 7 }]);
});

test("the TypeScript example of core migrates a module and calls its function", async () => {
  await using db = await testDatabase();
  const [source = ""] = snippets(coreReadme, "ts");
  expect(runTypeScript(source, db.url)).toBe("1\n");
});

test("the SQL example of the README runs", async () => {
  await using db = await testDatabase({ modules: [queueModule] });
  const [source = ""] = snippets(readme, "sql");
  await db.pool.query(source);
  const { rows } = await db.query("select queue, pending from queue.get_queue_stats('acme')");
  expect(rows).toEqual([{ queue: "mail", pending: "1" }]);
});

const python = ["python3", "/usr/bin/python3"].find((path) => spawnSync(path, ["-c", "import psycopg"]).status === 0);
test.skipIf(!python)(
  `the Python example of the README runs${python ? "" : " (skipped: no python3 with psycopg on this machine)"}`,
  async () => {
    await using db = await testDatabase({ modules: [queueModule] });
    const [source = ""] = snippets(readme, "python");
    expect(run(python ?? "", ["-c", source], db.url)).toBe("sending to ann@example.com\nfence_stale\n");
    expect((await db.query("select 1 from queue.jobs")).rows).toEqual([]);
  },
);
