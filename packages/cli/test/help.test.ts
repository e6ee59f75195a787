import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { howdah, onTerminal } from "./support.ts";

const commands = [
  "migrate",
  "status",
  "plan",
  "verify",
  "sql",
  "grant",
  "revoke",
  "grants",
  "maintain",
  "seed",
  "seed apply",
  "docs",
  "demo",
  "library",
  "library books",
  "library books list",
  "library purge",
  "library echo",
];

test("the help names every command, groups them, and ends with examples and exit codes", async () => {
  const { code, stdout, stderr } = await howdah(["--help"]);
  expect(code).toBe(0);
  expect(stderr).toBe("");
  expect(stdout).toMatchSnapshot();
});

test.each(commands)("howdah %s --help shows usage, needs no database, and ends well", async (command) => {
  const { code, stdout, stderr } = await howdah([...command.split(" "), "--help"]);
  expect(code).toBe(0);
  expect(stderr).toBe("");
  expect(stdout).toMatch(new RegExp(`^Usage: howdah ${command}`));
  expect(stdout.split("\n").filter((line) => line.length > 100)).toEqual([]);
});

test("a module's options become the help of its command", async () => {
  const { stdout } = await howdah(["library", "books", "list", "--help"]);
  expect(stdout).toMatch(/^ {2}--namespace <text> +the tenant \(required\)$/m);
  expect(stdout).toMatch(/^ {2}--max-price <number> +leave out what costs more$/m);
});

test("without a command the help goes to standard error, and the exit code says wrong usage", async () => {
  const { code, stdout, stderr } = await howdah([]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(/^Usage: howdah <command>/);
});

test("--version prints the package's version", async () => {
  const { code, stdout } = await howdah(["--version"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test("the built command runs by itself", () => {
  const main = fileURLToPath(new URL("../dist/main.js", import.meta.url));
  expect(readFileSync(main, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
  expect(execFileSync(main, ["--version"], { encoding: "utf8" })).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test.each([
  [["statsu"], "unknown command 'statsu'", "Did you mean status?"],
  [["status", "--jsn"], "unknown option '--jsn'", "Did you mean --json?"],
  [["sql", "libary"], 'unknown module "libary"', "Did you mean library?"],
  [["status", "--module", "libary"], 'unknown module "libary"', "Did you mean library?"],
  [["docs", "zzz"], 'unknown module "zzz"', "There is: howdah, library"],
  [["library", "prge"], "unknown command 'prge'", "Did you mean purge?"],
  [["library", "echo", "--order", "sideways"], "argument 'sideways' is invalid. Allowed choices are up, down", ""],
  [["library", "books", "add", "--namespace", "acme"], "missing required argument 'title'", ""],
  [
    ["library", "books", "add", "Dune", "cheap", "--namespace", "acme"],
    "<price>: Invalid input",
    "See howdah library books add --help",
  ],
  [["library", "books", "list"], "required option '--namespace <text>' not specified", ""],
  [["status", "--timeout", "soon"], "Give a length of time", ""],
  [["migrate", "--target", "first"], "Give the number of a migration", ""],
  [["maintain", "--every", "-1s"], "Give a length of time", ""],
  [["verify", "--manifest", "nowhere.json"], "nowhere.json cannot be read as a manifest", ""],
])("howdah %j is wrong usage, and the answer says what was meant", async (args, message, hint) => {
  const { code, stdout, stderr } = await howdah(args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain(message);
  expect(stderr).toContain(hint);
});

test("with --json an error is one line of JSON on standard error", async () => {
  const { code, stdout, stderr } = await howdah(["sql", "libary", "--json"]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(JSON.parse(stderr)).toEqual({
    error: { code: "howdah.usage", message: 'unknown module "libary"', hint: "Did you mean library?" },
  });
});

test("colours are shown on a terminal, and not with --no-color", async () => {
  expect((await onTerminal(["--help"])).stdout).toContain("\u001b[");
  expect((await onTerminal(["--help", "--no-color"])).stdout).not.toContain("\u001b[");
});

test("NO_COLOR is respected on a terminal", async () => {
  process.env.NO_COLOR = "1";
  try {
    expect((await onTerminal(["--help"])).stdout).not.toContain("\u001b[");
  } finally {
    delete process.env.NO_COLOR;
  }
});

test("there are no colours without a terminal, whatever FORCE_COLOR says", async () => {
  const { stdout } = await howdah(["--help"], { env: { FORCE_COLOR: "1" } });
  const { stderr } = await howdah(["statsu"], { env: { FORCE_COLOR: "1" } });
  expect(stdout + stderr).not.toContain("\u001b[");
});
