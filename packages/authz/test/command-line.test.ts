// What people see of the commands on a terminal, and how these refuse what they are given.
import type { Command } from "@howdah/core";
import { expect, test } from "vitest";
import { changesText } from "../src/model-diff.ts";
import { authzModule } from "../src/module.ts";

const named = (words: string): Command => {
  const found = authzModule.commands.find(({ path }) => path.replace(/ <.*/, "") === words);
  if (!found) throw new Error(`no command ${words}`);
  return found;
};

test("the changes of a model are lines with a minus or a plus", () => {
  expect(named("authz model diff").show).toBe(changesText);
  expect(
    changesText([
      {
        change: "changed",
        what: "condition recent",
        before: "condition recent(age: int) {\n  age < 3\n}",
        after: "condition recent(age: int) {\n  age < 5\n}",
      },
      { change: "removed", what: "document#owner", before: "[user]", after: null },
      { change: "changed", what: "document#viewer", before: "[user] or owner", after: "[user]" },
      { change: "added", what: "type team", before: null, after: "type team" },
    ]),
  ).toBe(
    `- condition recent(age: int) {
-   age < 3
- }
+ condition recent(age: int) {
+   age < 5
+ }
- document#owner: [user]
- document#viewer: [user] or owner
+ document#viewer: [user]
+ type team`,
  );
  expect(changesText([])).toBe("");
});

test("a list of models says what state each is in", () => {
  const createdAt = new Date();
  const model = (modelId: string, isActive: boolean, isInstalled: boolean) => ({
    ...{ modelId, isActive, isInstalled, createdAt },
    ...{ digest: "0".repeat(64), createdBy: null },
  });
  expect(
    named("authz model list").show?.([model("a", true, true), model("b", false, true), model("c", false, false)]),
  ).toEqual([
    { modelId: "a", state: "active", createdAt },
    { modelId: "b", state: "stored", createdAt },
    { modelId: "c", state: "not installed", createdAt },
  ]);
});

const given = { role: "editor", permission: "read", resource: "document:1", file: "a.fga" };
test.each([
  ["roles assign", "subject", "ann", "must be a type and an id"],
  ["roles assign", "subject", "team:eng#member", '"user:ann"'],
  ["roles assign", "subject", '["user"', "must be a type and an id"],
  ["roles list", "subject", "user:", "must be a type and an id"],
  ["authz check", "subject", ":ann", "must be a type and an id"],
  ["authz check", "resource", "document:1#viewer", '"user:ann"'],
  ["authz check", "context", "ip=10.0.0.7", "must be JSON"],
  ["authz explain", "subject", "team:eng#member", '"user:ann"'],
  ["roles assign", "expiresIn", "soon", "must be a length of time"],
  ["roles assign", "expiresIn", "-1 day", "must be a length of time"],
  ["authz model activate", "modelId", "123", "must be an id"],
  ["authz model write", "maxDepth", 0, "must be a number from 1 to 200"],
  ["authz model test", "maxDepth", "ten", "must be a number from 1 to 200"],
])("%s refuses a %s of %j before it asks the database", (words, option, value, message) => {
  const { options } = named(words);
  const result = options.safeParse({ subject: "user:ann", ...given, [option]: value });
  expect(result.error?.issues).toEqual([
    expect.objectContaining({ path: [option], message: expect.stringContaining(message) }),
  ]);
});

test("what cannot be written as a text is given as a pair", () => {
  const { options } = named("roles assign");
  expect(options.parse({ subject: '["user", "a#b"]', role: "editor" })).toMatchObject({ subject: ["user", "a#b"] });
});
