import { transformer } from "@openfga/syntax-transformer";
import { expect, test } from "vitest";
import { compileModel } from "../src/compiler/index.ts";
import type { OpenFgaModel, Rewrite } from "../src/compiler/model.ts";
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

const granted = { this: {} };
const of = (relation: string): Rewrite => ({ computedUserset: { relation } });
const twice: Rewrite = { union: { child: [granted, { intersection: { child: [of("owner"), granted] } }] } };
const late: Rewrite = { intersection: { child: [of("owner"), { union: { child: [of("owner"), granted] } }] } };

function written(viewer: Rewrite, user = "user"): OpenFgaModel {
  const given = (type: string) => ({ directly_related_user_types: [{ type }] });
  return {
    schema_version: "1.1",
    type_definitions: [
      { type: "user" },
      { type: "robot" },
      {
        type: "document",
        relations: { owner: granted, viewer },
        metadata: { relations: { owner: given("user"), viewer: given(user) } },
      },
    ],
  };
}

test.each([
  ["granted in two places", twice, '{"union": {"child": [{"this": ["user"]}, {"intersection": {"child": '],
  ["granted in the second place", late, '{"intersection": {"child": [{"computedUserset": {"relation": "owner"}}, '],
])("a relation that is %s, which the language cannot say, is compared as JSON", (_name, viewer, text) => {
  const plain = written({ union: { child: [of("owner"), granted] } });
  const change = { change: "changed", what: "document#viewer" };
  const json = expect.stringContaining(text);
  expect(compileModel({ model: written(viewer) }).model).toEqual(written(viewer));
  expect(diffModels(plain, written(viewer))).toEqual([{ ...change, before: "[user] or owner", after: json }]);
  expect(diffModels(written(viewer), plain)).toEqual([{ ...change, before: json, after: "[user] or owner" }]);
  expect(diffModels(written(viewer), written(viewer, "robot"))).toEqual([
    { ...change, before: json, after: expect.stringContaining('{"this": ["robot"]}') },
  ]);
  expect(diffModels(written(viewer), written(structuredClone(viewer)))).toEqual([]);
  expect(diffModels(undefined, written(viewer))).toHaveLength(5);
});

test("a blank in a string of a condition is a difference, the order of its parameters is none", () => {
  const text = (blank: string, parameters: string[]): OpenFgaModel => ({
    ...model("    define viewer: [user with named]", "condition named(a: string) {\n  true\n}\n"),
    conditions: {
      named: {
        name: "named",
        expression: `a + b == "x${blank}y"`,
        parameters: Object.fromEntries(parameters.map((name) => [name, { type_name: "TYPE_NAME_STRING" }])),
      },
    },
  });
  expect(diffModels(text(" ", ["a", "b"]), text("  ", ["a", "b"]))).toEqual([
    {
      change: "changed",
      what: "condition named",
      before: 'condition named(a: string, b: string) {\n  a + b == "x y"\n}',
      after: 'condition named(a: string, b: string) {\n  a + b == "x  y"\n}',
    },
  ]);
  expect(diffModels(text(" ", ["a", "b"]), text(" ", ["b", "a"]))).toEqual([]);
});

test("who is granted a relation may stand anywhere in a union", () => {
  const union = (child: Rewrite[]): OpenFgaModel => written({ union: { child } });
  expect(diffModels(union([granted, of("owner")]), union([of("owner"), granted]))).toEqual([]);
});
