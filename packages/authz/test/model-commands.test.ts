import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "@howdah/core";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createAuthz } from "../src/index.ts";
import { authzModule } from "../src/module.ts";
import { value } from "./sql.ts";

let db: TestDatabase;
let folder: string;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
  folder = mkdtempSync(join(tmpdir(), "howdah-models-"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await db.close();
});

const run = (words: string, options: Record<string, unknown>): Promise<unknown> => {
  const command = authzModule.commands.find(({ path }) => path.replace(/ <.*/, "") === words) as Command;
  return command.run(db, command.options.parse(options));
};

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const model = `model
  schema 1.1
type user
type note
  relations
    define owner: [user]
    define reader: [user] or owner
`;
const indented = model.replace(/^/gm, "  ");
const store = (expected: boolean): string => `model: |
${indented}
tuples:
  - { user: user:ann, relation: owner, object: note:1 }
tests:
  - name: owners read
    check:
      - { user: user:ann, object: note:1, assertions: { reader: ${expected} } }
`;

test("a model is written, listed, compared and activated", async () => {
  const written = (await run("authz model write", { file: write("a.fga", model), namespace: "acme" })) as {
    modelId: string;
  };
  expect(written).toEqual({ modelId: expect.any(String), active: false });
  expect(await run("authz model list", { namespace: "acme" })).toMatchObject([{ isActive: false, isInstalled: true }]);
  expect(await run("authz model activate", { modelId: written.modelId, namespace: "acme" })).toMatchObject({
    active: true,
  });
  expect(await createAuthz(db, { namespace: "acme" }).model.get()).toMatchObject({
    modelId: written.modelId,
    dsl: model,
  });
  expect(await run("authz model write", { file: join(folder, "a.fga"), namespace: "acme" })).toEqual({
    modelId: written.modelId,
    active: true,
  });

  const next = write("b.fga", `${model}    define writer: [user]\n`);
  expect(await run("authz model diff", { file: next, namespace: "acme" })).toEqual([
    { change: "added", what: "note#writer", before: null, after: "[user]" },
  ]);
  await expect(run("authz model write", { file: write("c.fga", `${model}    define x: y\n`) })).rejects.toMatchObject({
    code: "model_invalid",
    message: expect.stringMatching(/line 8.*y/),
  });
});

test("a file that cannot be read is named", async () => {
  const files = [write("broken.json", "{"), write("broken.yaml", "a: ["), write("lost.yaml", "model_file: none.fga")];
  for (const file of [...files, "none.fga"]) {
    await expect(run("authz model compile", { file })).rejects.toMatchObject({
      code: "model_invalid",
      message: expect.stringMatching(/\.(json|yaml|fga) cannot be read: /),
    });
  }
});

test("the compiled script does by itself what write does, twice too", async () => {
  const file = write("script.fga.yaml", store(true));
  const script = (await run("authz model compile", { file, namespace: "scripted", activate: true })) as string;
  const client = await db.client();
  await client.query(script);
  await client.query(script);
  expect(await createAuthz(db, { namespace: "scripted" }).model.list()).toMatchObject([{ isActive: true }]);
  expect(script).toContain("note#reader");
});

test("the tests of a store file run and leave nothing behind", async () => {
  const before = await value(db, "select count(*) from authz.models");
  expect(await run("authz model test", { file: write("good.fga.yaml", store(true)) })).toMatchObject([
    { passed: true, name: "owners read" },
  ]);
  await expect(run("authz model test", { file: write("bad.fga.yaml", store(false)) })).rejects.toMatchObject({
    code: "model_tests_failed",
    message: expect.stringMatching(/1 of 1 assertions fail[\s\S]*owners read/),
  });
  await expect(run("authz model test", { file: write("d.fga", model) })).rejects.toThrow("has no tests");
  expect(await value(db, "select count(*) from authz.models")).toBe(before);
});

test("a store file whose keys are misspelt is refused, and one with no test, by test and by write", async () => {
  const refused = async (text: string, message: string): Promise<void> => {
    const file = write("wrong.fga.yaml", text);
    for (const words of ["authz model test", "authz model write"])
      await expect(run(words, { file, namespace: "wrong", activate: true })).rejects.toMatchObject({
        code: "model_invalid",
        message: expect.stringContaining(message),
      });
  };
  await refused(
    store(true).replace("assertions", "assertion"),
    "test 'owners read': tests[1].check[1].assertion is not",
  );
  await refused(store(true).replace("check:", "checks:"), "test 'owners read': tests[1].checks is not known");
  await refused(store(true).replace("tuples:", "tuple:"), 'Unrecognized key: "tuple"');
  await refused(store(true).replace("tests:", "test:"), 'Unrecognized key: "test"');
  expect(await createAuthz(db, { namespace: "wrong" }).model.list()).toEqual([]);
  const empty = write("empty.fga.yaml", store(true).replace(/tests:.*/s, "tests: []"));
  await expect(run("authz model test", { file: empty })).rejects.toThrow("has no tests");
});

test("the tuples of a store file and of its tests may stand in files of their own", async () => {
  write("owners.yaml", "- { user: user:ann, relation: owner, object: note:1 }");
  write("others.json", '[{ "user": "user:bob", "relation": "owner", "object": "note:1" }]');
  const file = write(
    "files.fga.yaml",
    `name: notes
model_file: ./a.fga
tuple_files: [./owners.yaml]
tests:
  - name: owners read
    tuple_file: ./others.json
    tuples: [{ user: user:cyd, relation: owner, object: note:1 }]
    check:
      - { users: [user:ann, user:bob, user:cyd], object: note:1, assertions: { reader: true } }
  - name: bob is no owner
    check:
      - { user: user:bob, object: note:1, assertions: { reader: false } }
`,
  );
  expect(await run("authz model test", { file })).toHaveLength(4);
  write("lost.fga.yaml", "model_file: ./a.fga\ntests: [{ tuple_file: ./none.yaml }]");
  await expect(run("authz model test", { file: join(folder, "lost.fga.yaml") })).rejects.toThrow("none.yaml cannot be");
});

test("models may be JSON, in a file of their own, or in modules", async () => {
  const diff = (file: string): Promise<unknown> => run("authz model diff", { file, namespace: "nobody" });
  const plain = await diff(write("plain.fga", model));
  const compiled = (await run("authz model compile", { file: join(folder, "plain.fga") })) as string;
  const json = /p_model => (\$model\d*\$)(.*?)\1/s.exec(compiled)?.[2] ?? "";
  expect(await diff(write("m.json", json))).toEqual(plain);
  write("tuples.yaml", "- { user: user:ann, relation: owner, object: note:1 }");
  expect(await diff(write("s.fga.yaml", "model_file: ./plain.fga\ntuple_file: ./tuples.yaml\ntests: []\n"))).toEqual(
    plain,
  );
  write("core.fga", "module core\ntype user\n");
  write("notes.fga", `module notes\n${model.slice(model.indexOf("type note"))}`);
  expect(await diff(write("fga.mod", "schema: '1.2'\ncontents:\n  - core.fga\n  - notes.fga\n"))).toEqual(plain);
  await expect(diff(write("x.yaml", "tests: []\n"))).rejects.toThrow("has neither model nor model_file");
  await expect(diff(write("y.mod", "contents: 3\n"))).rejects.toThrow("is no file of a model: schema");
});
