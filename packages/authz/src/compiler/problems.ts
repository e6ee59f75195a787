import { ValidationError } from "@howdah/core";

/** What kind of mistake a {@link ModelProblem} is. */
export type ModelProblemCode =
  | "condition_invalid"
  | "condition_unknown"
  | "limit_exceeded"
  | "name_invalid"
  | "relation_cyclic"
  | "relation_impossible"
  | "relation_unknown"
  | "restriction_invalid"
  | "rewrite_invalid"
  | "schema_version_unknown"
  | "syntax"
  | "tupleset_invalid"
  | "type_duplicate"
  | "type_reserved"
  | "type_unknown";

/** One mistake in a model, and where it stands. */
export interface ModelProblem {
  code: ModelProblemCode;
  message: string;
  type?: string;
  relation?: string;
  condition?: string;
  /** The module's file, when the model is made of modules. */
  file?: string;
  /** The line of the DSL, from 1. */
  line?: number;
  /** The character in that line, from 1; in a condition without a line, the character in its expression. */
  column?: number;
}

/** A model cannot be compiled; {@link problems} has everything that is wrong with it. */
export class ModelInvalidError extends ValidationError {
  readonly problems: readonly ModelProblem[];

  constructor(problems: readonly ModelProblem[]) {
    const lines = problems.slice(0, 20).map((problem) => `  ${where(problem)}${problem.message}`);
    super(`the model has ${problems.length} problem${problems.length === 1 ? "" : "s"}:\n${lines.join("\n")}`, {
      module: "authz",
      code: "model_invalid",
      sqlstate: "22023",
      detail: { problems },
      hint: "Mend what is listed; nothing was changed",
    });
    this.problems = problems;
  }
}

function where({ type, relation, condition, file, line }: ModelProblem): string {
  const place = [
    file,
    line === undefined ? undefined : `line ${line}`,
    relation === undefined ? (type ?? (condition && `condition ${condition}`)) : `${type}#${relation}`,
  ];
  const known = place.filter((part) => part !== undefined);
  return known.length === 0 ? "" : `${known.join(", ")}: `;
}
