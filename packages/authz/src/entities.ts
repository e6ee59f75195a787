import { invalid } from "./errors.ts";

/**
 * A subject or resource: `["user", "ann"]`, `{ type: "user", id: "ann" }`, or `"user:ann"`.
 *
 * With a relation it means everyone who has that relation to it: `{ type: "group", id: "eng", relation: "member" }`, or
 * `"group:eng#member"`. In a text everything after the first colon is the id, but for a relation at its end.
 */
export type Entity =
  | readonly [type: string, id: string]
  | { readonly type: string; readonly id: string; readonly relation?: string | undefined }
  | `${string}:${string}`;

/** An {@link Entity} taken apart. */
export interface EntityParts {
  type: string;
  id: string;
  relation?: string;
}

/**
 * Takes an entity apart.
 *
 * @throws {ValidationError} `entity_invalid`, `id_invalid_chars` if PostgreSQL cannot hold the id
 */
export function parseEntity(entity: Entity): EntityParts {
  const parts = typeof entity === "string" ? parseText(entity) : parseParts(entity);
  if (parts.id.includes("\0") || !parts.id.isWellFormed()) {
    const value = parts.id.slice(0, 100);
    throw invalid("id_invalid_chars", `id ${JSON.stringify(value)} contains U+0000 or half of a surrogate pair`, {
      detail: { field: "id", value },
    });
  }
  return parts;
}

function parseParts(entity: unknown): EntityParts {
  const { type, id, relation } = isPair(entity) ? { type: entity[0], id: entity[1] } : fromObject(entity);
  if (typeof type !== "string" || typeof id !== "string") throw noEntity(entity);
  if (relation === undefined) return { type, id };
  if (typeof relation !== "string") throw noEntity(entity);
  return { type, id, relation };
}

/**
 * Takes an entity apart that must be a single one, not everyone who has a relation to it.
 *
 * @throws {ValidationError} `entity_invalid`
 */
export function parseObject(entity: Entity): Omit<EntityParts, "relation"> {
  const { type, id, relation } = parseEntity(entity);
  if (relation === undefined) return { type, id };
  const text = entityText({ type, id, relation });
  throw invalid("entity_invalid", `${text} means all who have a relation, but a single subject or resource is meant`, {
    detail: { value: text },
    hint: 'An id that ends with "#word" is written as a pair: ["user", "a#b"]',
  });
}

/** An entity as text: `group:eng#member`. */
export const entityText = ({ type, id, relation }: EntityParts): string =>
  relation === undefined ? `${type}:${id}` : `${type}:${id}#${relation}`;

function parseText(text: string): EntityParts {
  const match = /^([^:]+):(.+?)(?:#([a-z][a-z0-9_-]*))?$/s.exec(text);
  if (!match) throw noEntity(text);
  const [, type = "", id = "", relation] = match;
  return relation === undefined ? { type, id } : { type, id, relation };
}

const isPair = (entity: unknown): entity is readonly [unknown, unknown] => Array.isArray(entity) && entity.length === 2;

const fromObject = (entity: unknown): { type?: unknown; id?: unknown; relation?: unknown } =>
  typeof entity === "object" && entity !== null && !Array.isArray(entity) ? entity : {};

function noEntity(entity: unknown): Error {
  const value = (typeof entity === "string" ? entity : shown(entity)).slice(0, 100);
  return invalid("entity_invalid", `${JSON.stringify(value)} is no subject or resource`, {
    detail: { value },
    hint: 'Write ["user", "ann"], { type: "user", id: "ann" } or "user:ann"',
  });
}

/** Anything as text, also what JSON cannot say, such as `["user", 1n]`. */
function shown(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
