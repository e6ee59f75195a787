import { ModuleClient } from "@howdah/core";
import type { ModelOptions } from "./compiler/hash.ts";
import { type CompiledModel, compileModel } from "./compiler/index.ts";
import type { OpenFgaModel } from "./compiler/model.ts";
import type { ModelInput } from "./compiler/parse.ts";
import { rethrow } from "./errors.ts";
import * as sql from "./functions.ts";
import { diffModels, type ModelChange } from "./model-diff.ts";

/**
 * A test of a model, as OpenFGA's store files have them. Its tuples are given to the questions, none is stored.
 *
 * It must assert something; SQL refuses keys that are not these.
 */
export interface ModelTest {
  name?: string;
  description?: string;
  tuples?: readonly unknown[];
  check?: readonly (({ user: string } | { users: readonly string[] }) &
    ({ object: string } | { objects: readonly string[] }) & {
      context?: Record<string, unknown>;
      /** What is expected of each relation. */
      assertions: Record<string, boolean>;
    })[];
  list_objects?: readonly {
    user: string;
    type: string;
    context?: Record<string, unknown>;
    assertions: Record<string, readonly string[]>;
  }[];
  list_users?: readonly {
    object: string;
    user_filter: readonly { type: string; relation?: string }[];
    context?: Record<string, unknown>;
    assertions: Record<string, { users: readonly string[] }>;
  }[];
}

/** How a model is written. */
export interface WriteModelOptions extends ModelOptions {
  /** Whether the namespace uses it from now on; default false. */
  activate?: boolean;
  /** Tests that must pass before it is ever activated. */
  tests?: ModelTests;
}

/** Tests of a model, perhaps with tuples that all of them have. */
export type ModelTests = readonly ModelTest[] | { tuples?: readonly unknown[]; tests: readonly ModelTest[] };

/** The models of a namespace. */
export class Models extends ModuleClient {
  /**
   * Compiles a model, installs its functions and stores it, all or nothing. The same model is stored once.
   *
   * Needs `admin` access, because it installs functions.
   *
   * @param model OpenFGA's language, or its JSON
   * @returns the model's id
   * @throws {ModelInvalidError} with everything that is wrong with the model
   * @throws {ValidationError} `model_invalid` if the server does not know a time zone that a condition names
   * @throws {ValidationError} `model_invalid` if the tests have a key that is not known, or ask nothing
   * @throws {StateError} `model_tests_failed`: the active model and its tests stay as they are
   */
  async write(model: string | OpenFgaModel | ModelInput, options: WriteModelOptions = {}): Promise<string> {
    const { activate, tests, ...rest } = options;
    const input = modelInput(model);
    const compiled = compileModel(input, rest);
    return this.call(installing(compiled), {
      model: compiled.model,
      options: compiled.options,
      dsl: "dsl" in input ? input.dsl : undefined,
      activate,
      tests,
    }).catch(rethrow);
  }

  /** Installs the functions of a compiled model, if they are not there. */
  async install({ hash, sql: source, ir }: CompiledModel): Promise<void> {
    await this.call(sql.installProgram, { hash, source, ir }).catch(rethrow);
  }

  /**
   * Lets the namespace use a model from now on; activating an older one is how a change is taken back.
   *
   * @returns whether something changed: false if it was the active one, with the same program
   * @throws {NotFoundError} `model_not_found`
   * @throws {StateError} `model_tests_failed`, `program_missing`
   */
  activate(modelId: string): Promise<boolean> {
    return this.call(sql.activateModel, { modelId }).catch(rethrow);
  }

  /** A model of the namespace or of `global`, or the one that the namespace answers by; null if there is none. */
  get(modelId?: string): Promise<sql.StoredModel | null> {
    return this.call(sql.getModel, { modelId }).catch(rethrow);
  }

  /** The models of the namespace itself, newest first; those of `global` are listed `in("global")`. */
  list(): Promise<(sql.ModelEntry & { isInstalled: boolean })[]> {
    return this.call(sql.listModels, {}).catch(rethrow);
  }

  /** Runs tests against a stored model, those that were stored with it unless told; an empty list if it has none. */
  test(modelId: string, tests?: ModelTests): Promise<sql.ModelTestResult[]> {
    return this.call(sql.testModel, { modelId, tests }).catch(rethrow);
  }

  /** The stored tuples that the active model does not allow, and so ignores. */
  validate(): Promise<sql.InvalidTuple[]> {
    return this.call(sql.validateTuples, {}).catch(rethrow);
  }

  /**
   * What differs between a model and a stored one, the active one unless told.
   *
   * @throws {ModelInvalidError} with everything that is wrong with the model
   */
  async diff(model: string | OpenFgaModel | ModelInput, modelId?: string): Promise<ModelChange[]> {
    const stored = await this.get(modelId);
    return diffModels(stored?.model, compileModel(modelInput(model)).model);
  }

  /** The SQL functions that decide a relation; null if the model has no such relation. */
  compiledSource(modelId: string, type: string, relation: string): Promise<string | null> {
    return this.call(sql.compiledSource, { modelId, type, relation }).catch(rethrow);
  }
}

/**
 * Writing a model after its functions are installed: one statement, so that it is one transaction without beginning one, which
 * would end that of a client that is in one already.
 */
function installing({ hash, sql: source, ir }: CompiledModel): typeof sql.writeModel {
  const { writeModel, installProgram } = sql;
  return {
    ...writeModel,
    query(args, context) {
      const install = installProgram.query({ hash, source, ir }, {});
      const write = writeModel.query(args, context);
      const given = install.values ?? [];
      const text = write.text.replace(/\$(\d+)/g, (_, n) => `$${Number(n) + given.length}`);
      return {
        text: `with installed as materialized (${install.text}) ${text} from installed`,
        values: [...given, ...(write.values ?? [])],
        call: { ...write.call, statement: `${write.call.statement}_installing` },
      };
    },
  };
}

function modelInput(model: string | OpenFgaModel | ModelInput): ModelInput {
  if (typeof model === "string") return { dsl: model };
  return "type_definitions" in model ? { model } : model;
}
