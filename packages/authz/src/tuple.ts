import { type Entity, parseEntity, parseObject } from "./entities.ts";

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
    ...(tuple.expiresAt && { expires_at: tuple.expiresAt.toISOString() }),
    ...(tuple.condition && { condition: tuple.condition.name, context: tuple.condition.context ?? {} }),
  };
}
