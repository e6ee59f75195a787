import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import type { ModelInput } from "./compiler/parse.ts";
import { invalid } from "./errors.ts";
import type { ModelTest, ModelTests } from "./models.ts";

/** What a file has of a model. */
export interface ModelFile {
  input: ModelInput;
  tests: ModelTests | undefined;
}

const text = z.string();
const list = z.array(z.unknown());
const tuples = { tuples: list.optional(), tuple_file: text.optional(), tuple_files: z.array(text).optional() };
const storeFile = z.strictObject({
  name: text.optional(),
  model: text.optional(),
  model_file: text.optional(),
  ...tuples,
  tests: z.array(z.looseObject(tuples)).optional(),
});
type WithTuples = z.output<z.ZodObject<typeof tuples>>;
const moduleFile = z.looseObject({ schema: text, contents: z.array(text) });

/**
 * Reads a model as OpenFGA's tools write it: `.fga` in its language, `.json`, a store file `.fga.yaml` with tests, or
 * `fga.mod`, which names the files of modules.
 *
 * @throws {ValidationError} `model_invalid` if the file is none of these
 */
export function readModelFile(path: string): ModelFile {
  const contents = textOf(path);
  if (path.endsWith(".json")) {
    return { input: { model: reading(path, () => JSON.parse(contents)) }, tests: undefined };
  }
  if (path.endsWith(".mod")) return { input: readModules(path, contents), tests: undefined };
  if (!/\.ya?ml$/.test(path)) return { input: { dsl: contents }, tests: undefined };

  const store = checked(path, storeFile, yaml(path, contents));
  const beside = (name: string): string => join(dirname(path), name);
  const tuplesOf = ({ tuple_file, tuple_files = [], tuples = [] }: WithTuples): unknown[] => {
    const files = [...(tuple_file === undefined ? [] : [tuple_file]), ...tuple_files].map(beside);
    return [...files.flatMap((file) => checked(file, list, yaml(file, textOf(file)))), ...tuples];
  };
  const tests = store.tests && {
    tuples: tuplesOf(store),
    // What else a test must be, SQL says.
    tests: store.tests.map((test): ModelTest => {
      const { tuple_file, tuple_files, ...rest } = test;
      return { ...rest, tuples: tuplesOf(test) };
    }),
  };
  if (store.model !== undefined) return { input: { dsl: store.model }, tests };
  if (store.model_file !== undefined) return { ...readModelFile(beside(store.model_file)), tests };
  throw invalid("model_invalid", `${path} has neither model nor model_file`);
}

function readModules(path: string, contents: string): ModelInput {
  const { schema, contents: files } = checked(path, moduleFile, yaml(path, contents));
  const modules = files.map((name) => ({ name, contents: textOf(join(dirname(path), name)) }));
  return { modules, schemaVersion: schema };
}

const textOf = (path: string): string => reading(path, () => readFileSync(path, "utf8"));
const yaml = (path: string, contents: string): unknown => reading(path, () => parse(contents));

function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw invalid("model_invalid", `${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

function checked<Schema extends z.ZodType>(path: string, schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const problem = [issue?.path.join("."), issue?.message].filter(Boolean).join(" ");
  throw invalid("model_invalid", `${path} is no file of a model: ${problem}`);
}
