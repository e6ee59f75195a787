import { transformer } from "@openfga/syntax-transformer";
import { expect, test } from "vitest";
import type { OpenFgaModel } from "../src/compiler/model.ts";
import { diffModels } from "../src/model-diff.ts";

const model = (relations: string, more = "", types = ""): OpenFgaModel =>
  transformer.transformDSLToJSONObject(
    `model\n  schema 1.1\ntype user\n${types}type document\n  relations\n${relations}\n${more}`,
  ) as OpenFgaModel;

test("a difference is named by type, relation or condition, with both texts", () => {
  const before = model(
    "    define owner: [user]\n    define viewer: [user, user:*] or owner",
    "condition recent(age: int) {\n  age < 3\n}\n",
  );
  const after = model(
    "    define editor: [user] but not viewer\n    define viewer: [user with recent] or editor",
    "condition recent(age: int) {\n  age < 5\n}\n",
    "type team\n",
  );
  expect(diffModels(before, after)).toEqual([
    {
      change: "changed",
      what: "condition recent",
      before: expect.stringContaining("age < 3"),
      after: expect.stringContaining("age < 5"),
    },
    { change: "added", what: "document#editor", before: null, after: "[user] but not viewer" },
    { change: "removed", what: "document#owner", before: "[user]", after: null },
    {
      change: "changed",
      what: "document#viewer",
      before: "[user, user:*] or owner",
      after: "[user with recent] or editor",
    },
    { change: "added", what: "type team", before: null, after: "type team" },
  ]);
  expect(diffModels(after, after)).toEqual([]);
  expect(diffModels(undefined, model("    define owner: [user]")).map(({ what }) => what)).toEqual([
    "document#owner",
    "type document",
    "type user",
  ]);
});

test("a condition is compared as a whole, whatever its lines look like", () => {
  const conditional = (last: string): OpenFgaModel => ({
    ...model("    define viewer: [user with typed]", "condition typed(type: string) {\n  true\n}\n"),
    conditions: {
      typed: {
        name: "typed",
        expression: `type != """\ndefine x: y\n}\n""" &&\ntype == "${last}"`,
        parameters: { type: { type_name: "TYPE_NAME_STRING" } },
      },
    },
  });
  expect(diffModels(conditional("one"), conditional("two"))).toEqual([
    {
      change: "changed",
      what: "condition typed",
      before: expect.stringContaining("one"),
      after: expect.stringContaining("two"),
    },
  ]);
});
