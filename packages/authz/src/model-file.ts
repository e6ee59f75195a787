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
  const contents = readFileSync(path, "utf8");
  if (path.endsWith(".json"))
    return { input: { model: checked(path, z.any(), JSON.parse(contents)) }, tests: undefined };
  if (path.endsWith(".mod")) return { input: readModules(path, contents), tests: undefined };
  if (!/\.ya?ml$/.test(path)) return { input: { dsl: contents }, tests: undefined };

  const store = checked(path, storeFile, parse(contents));
  const beside = (name: string): string => join(dirname(path), name);
  const tuples = [
    ...(store.tuple_file ? checked(path, list, parse(readFileSync(beside(store.tuple_file), "utf8"))) : []),
    ...(store.tuples ?? []),
  ];
  const tests = store.tests && ({ tuples, tests: store.tests } as ModelTests);
  if (store.model !== undefined) return { input: { dsl: store.model }, tests };
  if (store.model_file !== undefined) return { ...readModelFile(beside(store.model_file)), tests };
  throw invalid("model_invalid", `${path} has neither model nor model_file`);
}

function readModules(path: string, contents: string): ModelInput {
  const { schema, contents: files } = checked(path, moduleFile, parse(contents));
  const modules = files.map((name) => ({ name, contents: readFileSync(join(dirname(path), name), "utf8") }));
  return { modules, schemaVersion: schema };
}

function checked<Schema extends z.ZodType>(path: string, schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw invalid("model_invalid", `${path} is no file of a model: ${issue?.path.join(".")} ${issue?.message}`);
}
