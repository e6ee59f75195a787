import { type ErrorFields, HowdahError, LimitError, toHowdahError, ValidationError } from "@howdah/core";

/** Every code of an error that authz raises, in the database or in the client. */
export type AuthzErrorCode =
  | "all_namespaces_requires_bypass"
  | "array_element_invalid"
  | "batch_too_large"
  | "bulk_group_membership"
  | "bulk_parent_relation"
  | "condition_context_missing"
  | "condition_invalid"
  | "condition_unknown"
  | "contextual_tuple_invalid"
  | "cycle_group"
  | "cycle_hierarchy"
  | "cycle_resource"
  | "cycle_self"
  | "entity_invalid"
  | "expiration_future"
  | "global_write_denied"
  | "grant_no_expiration"
  | "grant_not_found"
  | "id_empty"
  | "id_invalid_chars"
  | "id_null"
  | "id_too_long"
  | "id_whitespace"
  | "identifier_empty"
  | "identifier_format"
  | "identifier_null"
  | "identifier_too_long"
  | "interval_not_positive"
  | "limit_too_large"
  | "model_invalid"
  | "model_not_found"
  | "model_tests_failed"
  | "month_out_of_range"
  | "namespace_empty"
  | "namespace_invalid_chars"
  | "namespace_null"
  | "namespace_too_long"
  | "namespace_whitespace"
  | "not_positive"
  | "predicate_invalid"
  | "program_missing"
  | "relation_unknown"
  | "resolution_too_complex"
  | "rls_not_active"
  | "self_membership"
  | "self_parent"
  | "slug_invalid"
  | "slug_unknown"
  | "tenant_mismatch"
  | "time_invalid"
  | "tuple_exists"
  | "tuple_invalid"
  | "type_unknown"
  | "viewer_mismatch"
  | "year_out_of_range";

/** Whether something is allowed could not be told, because a condition lacks parameters or cannot use those given. */
export class ConditionError extends ValidationError {
  /** The parameters that are missing. */
  readonly missing: readonly string[];

  constructor(message: string, fields: ErrorFields) {
    super(message, fields);
    const { missing } = this.detail as { missing?: unknown };
    this.missing = Array.isArray(missing) ? missing.map(String) : [];
  }
}

export const invalid = (code: AuthzErrorCode, message: string, fields: Partial<ErrorFields> = {}): ValidationError =>
  new ValidationError(message, { sqlstate: "22023", ...fields, module: "authz", code });

/** The error that a check would have thrown for a code that came as an answer. */
export function undecided(code: string, message: string, missing: readonly string[] = []): HowdahError {
  const fields = { module: "authz", code, sqlstate: "22023", detail: { missing } };
  if (code === "resolution_too_complex") return new LimitError(message, { ...fields, sqlstate: "54001" });
  return code.startsWith("condition_") ? new ConditionError(message, fields) : new ValidationError(message, fields);
}

/** Throws an error of a call as the class that authz has for it. */
export function rethrow(thrown: unknown): never {
  const error = toHowdahError(thrown);
  const isOfCondition =
    error instanceof HowdahError &&
    error.module === "authz" &&
    (error.code === "condition_context_missing" || error.code === "condition_invalid");
  if (!isOfCondition || error instanceof ConditionError) throw error;
  const { message, module, code, sqlstate, detail, hint } = error;
  throw new ConditionError(message, { module, code, sqlstate, detail, hint, cause: error });
}
