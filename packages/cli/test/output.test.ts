import { expect, test } from "vitest";
import { readComment } from "../src/comment.ts";
import { nearest } from "../src/nearest.ts";
import { table } from "../src/output.ts";

const plain = { width: undefined, style: (_: unknown, text: string) => text };

test("a table has a column for each key, and numbers to the right", () => {
  const rows = [
    { jobName: "mail", count: "7" },
    { jobName: "a", count: "120", is_on: true },
  ];
  expect(table(rows, plain)).toBe("job name  count  is on\nmail          7\na           120  true");
});

test("a table without rows is empty, in colours too", () => {
  expect(table([], { ...plain, style: (_, text) => `<${text}>` })).toBe("");
});

test("a table shortens its widest columns to fit the terminal", () => {
  const rows = [{ id: 1, payload: { text: "x".repeat(100) }, note: "short" }];
  const text = table(rows, { ...plain, width: 40 });
  expect(text.split("\n").every((line) => line.length <= 40)).toBe(true);
  expect(text).toContain("…");
  expect(text).toContain("short");
});

test.each([
  ["queu", ["queue", "authz", "keys"], "queue"],
  ["authn", ["authz", "queue"], "authz"],
  ["xyz", ["queue"], undefined],
  ["", [], undefined],
])("the nearest name to %j among %j is %s", (word, names, expected) => {
  expect(nearest(word, names)).toBe(expected);
});

test("a comment is read by its headings, in which indented lines go on", () => {
  const comment = readComment(`Do it.

Twice, if need be.
p_a          one,
             two
Returns      nothing
Errors       a.b (22023)
Example      select a
               from b;`);
  expect(comment).toEqual({
    prose: "Do it.\n\nTwice, if need be.",
    parameters: new Map([["p_a", "one, two"]]),
    returns: "nothing",
    errors: "a.b (22023)",
    example: "select a\nfrom b;",
  });
});
