// Programs for the tests of what surrounds them.
import { createHash } from "node:crypto";
import type { Queryable } from "@howdah/core";
import { type CompiledModel, compileModel, type ModelOptions } from "../src/compiler/index.ts";
import { value } from "./sql.ts";

/** What {@link documentsProgram} and those that use it may vary. */
export interface Variation extends ModelOptions {
  /** The name of the only relation of documents. */
  relation?: string;
  /** The version of the compiler. */
  version?: number;
  namespace?: string;
}

/** Compiles a model that is written without its first two lines. */
export const compile = (dsl: string, options: ModelOptions = {}): CompiledModel =>
  compileModel({ dsl: `model\n  schema 1.1\n${dsl}` }, options);

/** Documents have viewers: users, everybody, members of groups, and users for whom a condition holds. */
export function documentsProgram({
  relation = "viewer",
  version = 1,
  strict,
  maxDepth,
}: Variation = {}): CompiledModel {
  const compiled = compile(
    `
type user
type group
  relations
    define member: [user, group#member]
type document
  relations
    define ${relation}: [user, user:*, group#member, user with recent]
condition recent(age: int) {
  age < 10
}`,
    { ...(strict === undefined ? {} : { strict }), ...(maxDepth === undefined ? {} : { maxDepth }) },
  );
  if (version === compiled.compilerVersion) return compiled;
  const hash = createHash("sha256").update(`${version}\n${compiled.modelHash}`).digest("hex");
  return {
    ...compiled,
    hash,
    sql: compiled.sql.replaceAll(compiled.hash.slice(0, 12), hash.slice(0, 12)),
    ir: { ...compiled.ir, compiler_version: version },
  };
}

/** How the names of a program's functions begin. */
export const prefixOf = ({ hash }: { hash: string }): string => `m_${hash.slice(0, 12)}`;

/** Installs a program as a deployment would. */
export const install = (db: Queryable, { hash, sql, ir }: { hash: unknown; sql: unknown; ir: object }) =>
  value<boolean>(db, "select authz.install_program($1, $2, $3)", [hash, sql, ir]);

/** Installs a program and stores its model. */
export async function deploy(
  db: Queryable,
  { model, options, ...program }: CompiledModel,
  { namespace = "acme", activate = true, tests }: { namespace?: string; activate?: boolean; tests?: unknown } = {},
): Promise<string> {
  await install(db, program);
  return value<string>(db, "select authz.write_model($1, $2, $3, $4, p_options => $5)", [
    model,
    namespace,
    activate,
    tests ? JSON.stringify(tests) : null,
    options,
  ]);
}

/** Lets a namespace answer by {@link documentsProgram}. */
export const activate = (db: Queryable, { namespace = "acme", ...variation }: Variation = {}): Promise<string> =>
  deploy(db, documentsProgram(variation), { namespace });

/** Lets a namespace answer by a model that is written without its first two lines. */
export const useModel = (
  db: Queryable,
  dsl: string,
  { namespace = "acme", ...options }: ModelOptions & { namespace?: string } = {},
): Promise<string> => deploy(db, compile(dsl, options), { namespace });
