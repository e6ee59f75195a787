import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { testDatabase } from "@howdah/testing";
import pg from "pg";
import { expect, test } from "vitest";
import { howdah } from "./support.ts";

const hasPsql = spawnSync("psql", ["--version"]).status === 0;
const pythons = ["python3", "/usr/bin/python3"];
const python3 = pythons.find((path) => spawnSync(path, ["-c", "import psycopg"]).status === 0);
const hasPsycopg = python3 !== undefined;
const testPsql = test.skipIf(!hasPsql);
const testPsycopg = test.skipIf(!hasPsycopg);
const because = (isThere: boolean, program: string): string => (isThere ? "" : ` (skipped: there is no ${program})`);

const nothingToDo = { code: 0, stdout: "", stderr: "Nothing to do: every module is current\n" };

testPsql(
  `the script may be run by psql twice, and migrate has nothing to do then${because(hasPsql, "psql")}`,
  async () => {
    await using db = await testDatabase();
    const { code, stdout: input } = await howdah(["sql", "library"]); // and no database
    expect(code).toBe(0);
    for (let i = 0; i < 2; i++) {
      const { status, stderr, stdout } = spawnSync("psql", ["-X", db.url], { input, encoding: "utf8" });
      expect({ status, stderr, stdout }).toEqual({ status: 0, stderr: "", stdout: "" });
    }
    expect(await howdah(["migrate"], db)).toEqual(nothingToDo);
  },
);

testPsql(`an installed module is found, and its script works too${because(hasPsql, "psql")}`, async () => {
  await using db = await testDatabase();
  const cwd = fileURLToPath(new URL("..", import.meta.url)); // where the module queue is installed
  const { code, stdout: input } = await howdah(["sql", "queue"], { cwd });
  expect(code).toBe(0);
  for (let i = 0; i < 2; i++) {
    const { status, stderr, stdout } = spawnSync("psql", ["-X", db.url], { input, encoding: "utf8" });
    expect({ status, stderr, stdout }).toEqual({ status: 0, stderr: "", stdout: "" });
  }
  expect(await howdah(["migrate", "--module", "queue"], { cwd, url: db.url })).toEqual(nothingToDo);
});

test("the plain script may be sent by pg twice, and migrate has nothing to do then", async () => {
  await using db = await testDatabase();
  const { stdout: script } = await howdah(["sql", "library", "--plain"]);
  const client = new pg.Client(db.url);
  await client.connect();
  await client.query(script);
  await client.query(script);
  await client.end();
  expect(await howdah(["migrate"], db)).toEqual(nothingToDo);
});

const python = `
import sys, psycopg
script = sys.stdin.read()
for i in range(2):
    with psycopg.connect(sys.argv[1], autocommit=True) as connection:
        connection.execute(script)
`;

testPsycopg(
  `the plain script may be sent by psycopg twice, and migrate has nothing to do then${because(hasPsycopg, "psycopg")}`,
  async () => {
    await using db = await testDatabase();
    const { stdout: input } = await howdah(["sql", "library", "--plain"]);
    const { status, stderr } = spawnSync(python3 ?? "", ["-c", python, db.url], { input, encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(await howdah(["migrate"], db)).toEqual(nothingToDo);
  },
);

test("--grants lets a role use the modules", async () => {
  await using db = await testDatabase();
  await using app = await db.role("app");
  const { stdout: script } = await howdah(["sql", "library", "--plain", "--grants", app.name]);
  await db.pool.query(script);
  expect((await app.query("select library.add_book('acme', 'Dune') as id")).rows).toEqual([{ id: "1" }]);
});

test("the script of howdah alone installs no module", async () => {
  const { code, stdout } = await howdah(["sql", "howdah"]);
  expect(code).toBe(0);
  expect(stdout).not.toContain("library");
});

test("a reader that closes the pipe early is no failure", () => {
  const main = new URL("../src/main.ts", import.meta.url).pathname;
  const { status, stderr } = spawnSync("sh", ["-c", `"${process.execPath}" "${main}" sql library | head -1`], {
    cwd: new URL("fixture", import.meta.url).pathname,
    encoding: "utf8",
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
});
