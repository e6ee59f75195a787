import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testDatabase } from "@howdah/testing";
import { afterAll, beforeEach, expect, test } from "vitest";
import { libraryModule } from "./fixture/library.ts";
import { howdah, onTerminal } from "./support.ts";

const db = await testDatabase({ modules: [libraryModule] });
const folder = mkdtempSync(join(tmpdir(), "howdah-seed-"));
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await db.close();
});
beforeEach(async () => {
  await db.query("truncate library.books restart identity");
  await db.query("select library.add_book('acme', 'Dune', 9), library.add_book('acme', 'Emma', 20)");
});

const write = (content: unknown, name = "seed.json"): string => {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
};
const books = async (namespace = "acme"): Promise<string[]> => {
  const { rows } = await db.query<{ book: string }>(
    "select title || ' ' || trunc(price) as book from library.books where namespace = $1 order by 1",
    [namespace],
  );
  return rows.map((row) => row.book);
};

const file = write(
  {
    namespace: "acme",
    books: [
      { title: "Dune", price: 12 },
      { title: "Odyssey", price: 5 },
    ],
  },
  "books.json",
);

test("a seed file is applied, its changes shown first, and applied again it changes nothing", async () => {
  const first = await howdah(["seed", "apply", file], db);
  expect(first).toEqual({ code: 0, stdout: "2 changes in acme\n", stderr: "~ book Dune\n+ book Odyssey\n" });
  expect(await books()).toEqual(["Dune 12", "Emma 20", "Odyssey 5"]);
  const second = await howdah(["seed", "apply", file, "--json"], db);
  expect(second.stderr).toBe("Nothing to do: the database agrees with the file\n");
  expect(JSON.parse(second.stdout)).toEqual([]);
});

test("--json prints what was changed", async () => {
  const { stdout } = await howdah(["seed", "apply", file, "--json", "--quiet"], db);
  expect(JSON.parse(stdout)).toEqual([
    { action: "update", what: "book Dune" },
    { action: "create", what: "book Odyssey" },
  ]);
});

test("--dry-run shows the changes and makes none", async () => {
  const { code, stdout, stderr } = await howdah(["seed", "apply", file, "--prune", "--dry-run"], db);
  expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
  expect(stderr).toBe("~ book Dune\n+ book Odyssey\n- book Emma\nNothing was changed, as this was a dry run\n");
  expect(await books()).toEqual(["Dune 9", "Emma 20"]);
});

test("--prune deletes what the file does not list, and asks first", async () => {
  const refused = await howdah(["seed", "apply", file, "--prune"], db);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain("Delete 1 of these in acme?");
  expect(await books()).toEqual(["Dune 9", "Emma 20"]);
  expect((await howdah(["seed", "apply", file, "--prune", "--yes"], db)).code).toBe(0);
  expect(await books()).toEqual(["Dune 12", "Odyssey 5"]);
});

test.each([
  ["y", 0, ["Dune 12", "Odyssey 5"]],
  ["n", 1, ["Dune 9", "Emma 20"]],
])("on a terminal %j decides about what is deleted", async (key, code, left) => {
  expect((await onTerminal(["seed", "apply", file, "--prune", "--url", db.url], key)).code).toBe(code);
  expect(await books()).toEqual(left);
});

test("--prune leaves alone what the file has no section for", async () => {
  const { code, stderr } = await howdah(["seed", "apply", write({ namespace: "acme" }), "--prune"], db);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "Nothing to do: the database agrees with the file\n" });
  expect(await books()).toEqual(["Dune 9", "Emma 20"]);
});

test("--namespace chooses another tenant than the file does", async () => {
  await howdah(["seed", "apply", file, "--namespace", "beta"], db);
  expect(await books("beta")).toEqual(["Dune 12", "Odyssey 5"]);
  expect(await books()).toEqual(["Dune 9", "Emma 20"]);
});

test("a failure in the midst leaves nothing behind", async () => {
  const bad = write({
    namespace: "",
    books: [
      { title: "Dune", price: 1e9 },
      { title: "Odyssey", price: 1e300 },
    ],
  });
  const { code } = await howdah(["seed", "apply", bad, "--namespace", "acme"], db);
  expect(code).toBe(1);
  expect(await books()).toEqual(["Dune 9", "Emma 20"]);
});

test.each([
  [{ namespace: "acme", boks: [] }, 'unknown section "boks"', "Did you mean books?"],
  [{ books: [] }, "names no namespace", "Add it, or give --namespace"],
  [[], 'must hold sections by their names, such as "roles"', ""],
  ["{", "cannot be read: ", ""],
  [{ namespace: "acme", books: {} }, "books: Invalid input: expected array", ""],
  [
    {
      namespace: "acme",
      books: [
        { title: "", price: 1 },
        { title: "Dune", price: 1, shelf: 7 },
      ],
    },
    "books[0].title: Too small",
    'books[1]: Unrecognized key: "shelf"',
  ],
  ['{"namespace": "acme", "__proto__": []}', 'unknown section "__proto__"', ""],
])("%j is refused, and the answer says where", async (content, message, hint) => {
  const { code, stdout, stderr } = await howdah(["seed", "apply", write(content)], db);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain(message);
  expect(stderr).toContain(hint);
});

test("a file that is not there is wrong usage", async () => {
  const { code, stderr } = await howdah(["seed", "apply", "nowhere.json"]);
  expect(code).toBe(2);
  expect(stderr).toContain("nowhere.json cannot be read: ENOENT");
});

test("what is not JSON is read as YAML", async () => {
  const yaml = "namespace: acme\nbooks:\n  - { title: Odyssey, price: 5 }\n";
  const applied = await howdah(["seed", "apply", write(yaml, "seed.yaml")], db);
  expect(applied).toEqual({ code: 0, stdout: "1 change in acme\n", stderr: "+ book Odyssey\n" });
  const refused = await howdah(["seed", "apply", write("books: [", "broken.yaml")], db);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain("broken.yaml cannot be read: ");
});

test("the help lists the sections that the modules offer", async () => {
  const { stdout } = await howdah(["seed", "apply", "--help"]);
  expect(stdout).toContain("Sections:\n  books  what stands on the shelves: title, price\n");
});
