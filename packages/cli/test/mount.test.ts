import { testDatabase } from "@howdah/testing";
import { afterAll, beforeEach, expect, test } from "vitest";
import { libraryModule } from "./fixture/library.ts";
import { howdah, onTerminal } from "./support.ts";

const db = await testDatabase({ modules: [libraryModule] });
afterAll(() => db.close());
beforeEach(async () => {
  await db.query("truncate library.books restart identity");
  await db.query("select library.add_book('acme', 'Dune', 9), library.add_book('acme', 'Emma', 20)");
});

const count = async () => (await db.query<{ n: string }>("select count(*) as n from library.books")).rows[0]?.n;

test("a module's command prints its rows as a table, or as JSON", async () => {
  const text = await howdah(["library", "books", "list", "--namespace", "acme"], db);
  expect(text.stdout).toBe("id  title  price\n 1  Dune    9.00\n 2  Emma   20.00\n");
  const json = await howdah(["library", "books", "list", "--namespace", "acme", "--max-price", "10", "--json"], db);
  expect(JSON.parse(json.stdout)).toEqual([{ id: "1", title: "Dune", price: "9.00" }]);
});

test("a command may show people something else than its result", async () => {
  const { stdout } = await howdah(["library", "books", "add", "Odyssey", "5", "--namespace", "acme"], db);
  expect(stdout).toBe("It stands at number 3\n");
});

test("where there is nothing to show, it is said beside the data", async () => {
  const none = ["library", "books", "list", "--namespace", "nobody"];
  expect(await howdah(none, db)).toEqual({ code: 0, stdout: "", stderr: "Nothing to show\n" });
  expect(await howdah([...none, "--quiet", "--json"], db)).toEqual({ code: 0, stdout: "[]\n", stderr: "" });
});

test("options arrive as the schema wants them, defaults included", async () => {
  const words = "--tags a b --order down --wait 5m --dry --no-loud --json --payload".split(" ");
  const given = await howdah(["library", "echo", ...words, '{"to": ["bob"]}'], db);
  expect(JSON.parse(given.stdout)).toEqual({
    tags: ["a", "b"],
    order: "down",
    wait: "5m",
    payload: { to: ["bob"] },
    dry: true,
    loud: false,
  });
  const bare = await howdah(["library", "echo", "--json"], db);
  expect(JSON.parse(bare.stdout)).toEqual({ tags: [], order: "up", dry: false, loud: true });
});

test("options in angle brackets are given by their place", async () => {
  const { stdout } = await howdah(["library", "books", "add", "Odyssey", "5", "--namespace", "acme", "--json"], db);
  expect(JSON.parse(stdout)).toEqual({ id: "3" });
  const help = await howdah(["library", "books", "add", "--help"]);
  expect(help.stdout).toMatch(/^Usage: howdah library books add \[options\] <title> <price>$/m);
  expect(help.stdout).toMatch(/^ {2}price +what it cost$/m);
  expect(help.stdout).not.toContain("--title");
});

test("an option that its schema refuses is wrong usage", async () => {
  const { code, stderr } = await howdah(["library", "books", "list", "--namespace", "acme", "--max-price", "-1"], db);
  expect(code).toBe(2);
  expect(stderr).toContain("error: --max-price: ");
  expect(stderr).toContain("hint: See howdah library books list --help");
});

test("what destroys something needs --yes where there is no terminal", async () => {
  const refused = await howdah(["library", "purge", "--namespace", "acme"], db);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain("Throw away all books of acme?");
  expect(await count()).toBe("2");
  const done = await howdah(["library", "purge", "--namespace", "acme", "--yes"], db);
  expect(done).toEqual({ code: 0, stdout: "purged  acme\n", stderr: "" });
  expect(await count()).toBe("0");
});

test.each([
  ["y", 0, "0"],
  ["n", 1, "2"],
  ["\u0003", 130, "2"],
])("what destroys something asks on a terminal, and %j is obeyed", async (key, code, left) => {
  const outcome = await onTerminal(["library", "purge", "--namespace", "acme", "--url", db.url], key);
  expect(outcome.code).toBe(code);
  expect(await count()).toBe(left);
});

test("control characters in data do not reach a terminal", async () => {
  await db.query("select library.add_book('acme', $1)", ["a\u001b[2Jb\nc"]);
  const { stdout } = await howdah(["library", "books", "list", "--namespace", "acme"], db);
  expect(stdout).toContain("a\ufffd[2Jb c");
});
