import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import type { ModelInput } from "./compiler/parse.ts";
import { invalid } from "./errors.ts";
import type { ModelTests } from "./models.ts";

/** What a file has of a model. */
export interface ModelFile {
  input: ModelInput;
  tests: ModelTests | undefined;
}

const text = z.string();
const list = z.array(z.unknown());
const storeFile = z.looseObject({
  model: text.optional(),
  model_file: text.optional(),
  tuples: list.optional(),
  tuple_file: text.optional(),
  tests: list.optional(),
});
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
  const tuples = [
    ...(store.tuple_file ? checked(path, list, yaml(path, textOf(beside(store.tuple_file)))) : []),
    ...(store.tuples ?? []),
  ];
  const tests = store.tests && ({ tuples, tests: store.tests } as ModelTests);
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
  throw invalid("model_invalid", `${path} is no file of a model: ${issue?.path.join(".")} ${issue?.message}`);
}
