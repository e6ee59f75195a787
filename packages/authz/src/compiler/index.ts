// The compiler: a model in, SQL out. Pure steps: parse, validate, make the graph, analyse it, render.
import { analyse, type NodeClass } from "./analyse.ts";
import { buildGraph } from "./graph.ts";
import {
  compilerVersion,
  type ModelOptions,
  modelHash,
  programHash,
  type StoredOptions,
  storedOptions,
} from "./hash.ts";
import type { OpenFgaModel } from "./model.ts";
import { type ModelInput, parseModel } from "./parse.ts";
import { ModelInvalidError, type ModelProblem } from "./problems.ts";
import { renderProgram } from "./program.ts";
import { validateModel } from "./validate.ts";

export type { ModelOptions } from "./hash.ts";
export type { OpenFgaModel } from "./model.ts";
export type { ModelInput } from "./parse.ts";
export { ModelInvalidError, type ModelProblem, type ModelProblemCode } from "./problems.ts";

/** What a program has of each relation: the number in the names of its functions, and its class. */
interface ProgramIndex {
  compiler_version: number;
  model_hash: string;
  types: Record<string, Record<string, { number: number; class: NodeClass }>>;
  /** The numbers of the conditions. */
  conditions: Record<string, number>;
}

/** A model, ready to be installed. */
export interface CompiledModel {
  /** The model in its normal form, as it is stored. */
  model: OpenFgaModel;
  /** The options as they are stored. */
  options: StoredOptions;
  /** The name of the model by its content. */
  modelHash: string;
  /** The name of the program, of which the first twelve digits name its functions. */
  hash: string;
  compilerVersion: number;
  ir: ProgramIndex;
  /** The script that creates the program's functions in schema `authz_rt`. */
  sql: string;
}

const deepest = 200;

/**
 * Compiles a model.
 *
 * @throws {ModelInvalidError} with all problems of the model
 */
export function compileModel(input: ModelInput, options: ModelOptions = {}): CompiledModel {
  const parsed = parseModel(input);
  const problems: ModelProblem[] = [...validateModel(parsed), ...optionProblems(options)];
  if (problems.length > 0) throw new ModelInvalidError(problems);

  const { model } = parsed;
  const stored = storedOptions(options);
  const named = modelHash(model, stored);
  const hash = programHash(named);
  const analysis = analyse(buildGraph(model), options.maxDepth);
  const sql = renderProgram(model, analysis, { name: hash.slice(0, 12), isStrict: options.strict ?? true });
  const ir: ProgramIndex = {
    compiler_version: compilerVersion,
    model_hash: named,
    types: Object.fromEntries(
      [...analysis.graph.relations].map(([type, relations]) => [
        type,
        Object.fromEntries(
          [...relations].map(([relation, node]) => [relation, { number: node.number, class: analysis.classOf(node) }]),
        ),
      ]),
    ),
    conditions: Object.fromEntries(Object.keys(model.conditions ?? {}).map((name, index) => [name, index + 1])),
  };
  return { model, options: stored, modelHash: named, hash, compilerVersion, ir, sql };
}

function optionProblems({ maxDepth }: ModelOptions): ModelProblem[] {
  if (maxDepth === undefined || (Number.isInteger(maxDepth) && maxDepth >= 1 && maxDepth <= deepest)) return [];
  return [{ code: "limit_exceeded", message: `the greatest depth is ${maxDepth}, it must be 1 to ${deepest}` }];
}
