import { type Entity, parseEntity, parseObject } from "./entities.ts";
import { ConditionError, invalid } from "./errors.ts";

/**
 * A tuple: as text, such as `document:1#viewer@group:g#member`, or in parts.
 */
export type TupleInput =
  | string
  | {
      resource: Entity;
      relation: string;
      subject: Entity;
      expiresAt?: Date;
      condition?: { name: string; context?: Record<string, unknown> };
    };

/** A tuple as the SQL functions take it. */
export function tupleJson(tuple: TupleInput): unknown {
  if (typeof tuple === "string") return tuple;
  const resource = parseObject(tuple.resource);
  const subject = parseEntity(tuple.subject);
  return {
    resource_type: resource.type,
    resource_id: resource.id,
    relation: tuple.relation,
    subject_type: subject.type,
    subject_id: subject.id,
    ...(subject.relation !== undefined && { subject_relation: subject.relation }),
    ...(tuple.expiresAt && { expires_at: timeOf("expiresAt", tuple.expiresAt).toISOString() }),
    ...(tuple.condition && { condition: tuple.condition.name, context: contextOf(tuple.condition.context ?? {}) }),
  };
}

/**
 * A time that is one.
 *
 * @throws {ValidationError} `time_invalid`
 */
export function timeOf(field: string, time: Date): Date {
  const copy = new Date(time);
  if (Number.isNaN(copy.getTime())) throw invalid("time_invalid", `${field} is no valid date`, { detail: { field } });
  return copy;
}

/**
 * Parameters of conditions that JSON can say.
 *
 * @throws {ConditionError} `condition_invalid`
 */
export function contextOf(context: Record<string, unknown>): Record<string, unknown> {
  try {
    JSON.stringify(context);
    return context;
  } catch (cause) {
    throw new ConditionError("context holds something that JSON cannot say, such as a bigint or a circle", {
      module: "authz",
      code: "condition_invalid",
      sqlstate: "22023",
      detail: { field: "context" },
      hint: "Pass whole numbers of more than 53 bits as strings",
      cause,
    });
  }
}
