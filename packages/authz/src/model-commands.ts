import { type Command, type Database, defineCommand, StateError } from "@howdah/core";
import { z } from "zod";
import { type CompiledModel, compileModel } from "./compiler/index.ts";
import { changesText } from "./model-diff.ts";
import { type ModelFile, readModelFile } from "./model-file.ts";
import { Models } from "./models.ts";

const namespace = z.string().default("default").describe("the tenant; global for all without a model of their own");
const file = z.string().describe("a model: .fga, .json, a store file .fga.yaml with tests, or fga.mod");
const activate = z.boolean().default(false).describe("use it from now on");
const inRange = "must be a number from 1 to 200";
const options = {
  dynamic: z.boolean().default(false).describe("leave types that it does not define dynamic"),
  maxDepth: z
    .int(inRange)
    .min(1, inRange)
    .max(200, inRange)
    .optional()
    .describe("the most steps from a resource to a subject, 1 to 200"),
};

const modelOptions = ({ dynamic, maxDepth }: { dynamic: boolean; maxDepth?: number | undefined }) => ({
  strict: !dynamic,
  ...(maxDepth !== undefined && { maxDepth }),
});

/** The commands `howdah authz model ...`. */
export const modelCommands: readonly Command[] = [
  defineCommand({
    path: "authz model compile <file>",
    summary: "print the SQL script that installs and stores a model, for review and for psql",
    options: z.object({ file, namespace, activate, ...options }),
    isOffline: true,
    run: async (_db, { file, namespace, activate, ...rest }) => {
      const read = readModelFile(file);
      return script(read, compileModel(read.input, modelOptions(rest)), namespace, activate);
    },
  }),
  defineCommand({
    path: "authz model write <file>",
    summary: "compile, install and store a model",
    options: z.object({ file, namespace, activate, ...options }),
    run: async (db, { file, namespace, activate, ...rest }) => {
      const { input, tests } = readModelFile(file);
      const write = { ...modelOptions(rest), activate, ...(tests && { tests }) };
      return db.transaction(async (tx) => {
        const models = new Models(tx, { namespace });
        const modelId = await models.write(input, write);
        return { modelId, active: (await models.get(modelId))?.isActive ?? false };
      });
    },
  }),
  defineCommand({
    path: "authz model activate <modelId>",
    summary: "use a stored model from now on, or an older one again",
    options: z.object({
      modelId: z.guid("must be an id, as list shows it").describe("the model, as list shows it"),
      namespace,
    }),
    run: async (db, { modelId, namespace }) => {
      await new Models(db, { namespace }).activate(modelId);
      return { modelId, active: true };
    },
  }),
  defineCommand({
    path: "authz model list",
    summary: "list the models of a tenant",
    options: z.object({ namespace }),
    run: (db, { namespace }) => new Models(db, { namespace }).list(),
    // No wider than a terminal, so that the id can be copied.
    show: (models) =>
      models.map(({ modelId, isActive, isInstalled, createdAt }) => ({
        modelId,
        state: isActive ? "active" : isInstalled ? "stored" : "not installed",
        createdAt,
      })),
  }),
  defineCommand({
    path: "authz model test <file>",
    summary: "run the tests of a store file against its model; nothing is kept",
    options: z.object({ file, namespace: namespace.describe("the tenant; it is not changed"), ...options }),
    run: async (db, { file, namespace, ...rest }) => {
      const { input, tests } = readModelFile(file);
      const run = (models: Models) => models.write(input, modelOptions(rest)).then((id) => models.test(id, tests));
      const results = tests ? await tried(db, namespace, run) : [];
      if (results.length === 0)
        throw failed(`${file} has no tests`, "They stand in a store file, such as store.fga.yaml, below tests");
      const broken = results.filter(({ passed }) => !passed);
      if (broken.length === 0) return results.map(({ name, detail }) => ({ passed: true, name, detail }));
      const lines = broken.map(({ name, detail }) => `  ${name}: ${detail}`);
      throw failed(`${broken.length} of ${results.length} assertions fail:\n${lines.join("\n")}`);
    },
  }),
  defineCommand({
    path: "authz model diff <file>",
    summary: "show what a model would change of the active one",
    options: z.object({ file, namespace }),
    run: async (db, { file, namespace }) => new Models(db, { namespace }).diff(readModelFile(file).input),
    show: changesText,
  }),
];

const failed = (message: string, hint?: string): StateError =>
  new StateError(message, { module: "authz", code: "model_tests_failed", sqlstate: "55000", hint });

/** Does something with models in a transaction that is rolled back. */
async function tried<T>(db: Database, namespace: string, work: (models: Models) => Promise<T>): Promise<T> {
  const done = new Error("done");
  let result: T | undefined;
  try {
    await db.transaction(async (tx) => {
      result = await work(new Models(tx, { namespace }));
      throw done;
    });
  } catch (error) {
    if (error !== done) throw error;
  }
  return result as T;
}

/** A script that does what `write` does. */
function script({ input, tests }: ModelFile, compiled: CompiledModel, namespace: string, activate: boolean): string {
  const json = (value: unknown): string => quoted(JSON.stringify(value));
  const dsl = "dsl" in input ? quoted(input.dsl) : "null";
  return [
    "begin;",
    `select authz.install_program(${quoted(compiled.hash)}, ${quoted(compiled.sql)}, ${json(compiled.ir)});`,
    `select authz.write_model(`,
    `  p_model => ${json(compiled.model)},`,
    `  p_namespace => ${quoted(namespace)},`,
    `  p_activate => ${activate},`,
    `  p_tests => ${tests ? json(tests) : "null"},`,
    `  p_dsl => ${dsl},`,
    `  p_options => ${json(compiled.options)}`,
    ");",
    "commit;",
  ].join("\n");
}

/** A text between dollars, which no quote or backslash in it can end. */
function quoted(text: string): string {
  let tag = "$model$";
  for (let n = 1; text.includes(tag.slice(0, -1)); n++) tag = `$model${n}$`;
  return `${tag}${text}${tag}`;
}
