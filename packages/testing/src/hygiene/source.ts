import type { Module } from "@howdah/core";
import { loadModule, parsePlPgSQLSync, parseSync } from "libpg-query";
import type { Catalog, SqlFunction } from "./catalog.ts";

/** SQL of a module: the statements of one file, or the body of one function. */
export interface Source {
  /** The file, or the function with its schema. */
  readonly object: string;
  /** The parse trees of its statements and expressions. */
  readonly trees: readonly unknown[];
  /** For a body in PL/pgSQL: the tree of its blocks, whose expressions are texts. */
  readonly plpgsql?: unknown;
  /** Why it could not be parsed. */
  readonly error?: string;
}

/** A relation, function or type that SQL mentions. */
export interface Mention {
  readonly kind: "relation" | "function" | "type" | "schema";
  readonly schema: string | undefined;
  readonly name: string;
}

/** Parses all SQL of a module with PostgreSQL's own parser. */
export async function readSources(module: Module, catalog: Catalog): Promise<Source[]> {
  await loadModule();
  return [
    ...module.files.map((file) => attempt(file.path, () => ({ trees: [parseSync(file.text)] }))),
    ...catalog.functions.map((f) => attempt(f.object, () => parseFunction(f))),
  ];
}

/** Parses SQL that stands in a comment; undefined if it is none. */
export function parseText(sql: string): unknown {
  try {
    return parseSync(sql);
  } catch {
    return undefined;
  }
}

function attempt(object: string, parse: () => Omit<Source, "object">): Source {
  try {
    return { object, ...parse() };
  } catch (error) {
    return { object, trees: [], error: String(error) };
  }
}

function parseFunction(f: SqlFunction): Omit<Source, "object"> {
  if (f.language === "sql") return { trees: [parseSync(f.body)] };
  if (f.language !== "plpgsql") return { trees: [] };
  // The parser has no catalog: it takes a row type for a scalar if it is marked as one, and for a record if it is not, and it
  // cannot return an array of records.
  const definition = f.definition.replace(/%rowtype/gi, "").replace(/^( RETURNS )\S+\[\]/m, "$1text[]");
  const plpgsql: unknown = parsePlPgSQLSync(definition);
  const expressions = [...nodes(plpgsql, "PLpgSQL_expr")].map((node) => parseExpression(node));
  const types = [...nodes(plpgsql, "PLpgSQL_type")].map((node) => parseType(String(node.typname)));
  return { trees: [...expressions, ...types], plpgsql };
}

/** Parses an expression of PL/pgSQL, which is a statement, an expression alone, or an assignment. */
export function parseExpression({ query, parseMode }: Node): unknown {
  const text = String(query);
  if (parseMode === 0) return parseSync(text);
  if (parseMode === 2) return parseSync(`select ${text}`);
  return parseSync(`select ${text.slice(text.indexOf("=") + 1)}`);
}

// "queue.jobs.id%type" is a word of PL/pgSQL alone, and stands for a column of a relation.
function parseType(name: string): unknown {
  const column = /^(.*)\.[^.]+%type$/i.exec(name);
  return parseText(column ? `select from ${column[1]}` : `select null::${name}`);
}

/** A node of a parse tree. */
export type Node = Readonly<Record<string, unknown>>;

/** Every node of a parse tree, each before those within it. */
export function* everyNode(tree: unknown): Generator<Node> {
  if (tree === null || typeof tree !== "object") return;
  if (!Array.isArray(tree)) yield tree as Node;
  for (const [key, value] of Object.entries(tree)) {
    // "for update of j" names aliases, which look like relations.
    if (key !== "lockedRels") yield* everyNode(value);
  }
}

/** All nodes that are marked as of one kind. */
export function* nodes(tree: unknown, kind: string): Generator<Node> {
  for (const node of everyNode(tree)) if (kind in node) yield node[kind] as Node;
}

/** What a parse tree mentions by name, without the names that its own `with` clauses give. */
export function mentions(tree: unknown): Mention[] {
  const all = [...everyNode(tree)];
  const named = new Set(all.map((node) => node.ctename));
  return all.flatMap((node): Mention | Mention[] => {
    if (typeof node.relname === "string") {
      if (node.schemaname === undefined && named.has(node.relname)) return [];
      return { kind: "relation", schema: node.schemaname as string | undefined, name: node.relname };
    }
    if (node.CreateSchemaStmt) {
      const { schemaname } = node.CreateSchemaStmt as { schemaname: string };
      return { kind: "schema", schema: schemaname, name: schemaname };
    }
    if (node.funcname ?? node.objname) return mention("function", node.funcname ?? node.objname);
    if (node.names && "typemod" in node && !node.pct_type) return mention("type", node.names);
    return [];
  });
}

const mention = (kind: Mention["kind"], parts: unknown): Mention => {
  const names = words(parts);
  return { kind, schema: names.at(-2), name: names.at(-1) ?? "" };
};

/** The words of a name in its parts, such as `[{ String: { sval: "queue" } }, { String: { sval: "push" } }]`. */
export const words = (parts: unknown): string[] => [...nodes(parts, "String")].map((node) => String(node.sval));
