// The names of models and programs: hashes of their content.
import { createHash } from "node:crypto";
import type { OpenFgaModel } from "./model.ts";

/** Raised by every change that makes the compiler write other SQL for the same model. */
export const compilerVersion = 1;

/** How a model is read, beside the model. */
export interface ModelOptions {
  /** Whether types that the model does not define are errors (the default) or stay dynamic. */
  strict?: boolean;
  /** The most userset and tuple-to-userset hops from a resource to a subject, 1 to 200; no limit by default. */
  maxDepth?: number;
}

/** The options as they are stored and hashed: only what differs from the defaults. */
export interface StoredOptions {
  max_depth?: number;
  strict?: false;
}

/** Options in their stored form. */
export const storedOptions = ({ strict = true, maxDepth }: ModelOptions): StoredOptions => ({
  ...(maxDepth === undefined ? {} : { max_depth: maxDepth }),
  ...(strict ? {} : { strict: false }),
});

/** The name of a model by its content; the same as `authz.model_hash(model, options)` in the database. */
export const modelHash = (model: OpenFgaModel, options: StoredOptions): string =>
  sha256(`${jsonbText(model)}\n${jsonbText(options)}`);

/** The name of the program that this compiler makes of a model. */
export const programHash = (hash: string): string => sha256(`${compilerVersion}\n${hash}`);

const sha256 = (text: string): string => createHash("sha256").update(text, "utf8").digest("hex");

/** A JSON value as PostgreSQL prints it as `jsonb`: shorter keys first, then in the order of their bytes. */
export function jsonbText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(jsonbText).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .map(([key, item]) => [Buffer.from(key), `${JSON.stringify(key)}: ${jsonbText(item)}`] as const)
    .sort(([a], [b]) => a.length - b.length || a.compare(b));
  return `{${entries.map(([, text]) => text).join(", ")}}`;
}
