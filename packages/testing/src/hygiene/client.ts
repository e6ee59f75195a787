// Rules about what stands around the SQL: the client that calls it, the tests that prove it, and reading as a promise.
import { isPublic, type SqlFunction } from "./catalog.ts";
import type { ClientFunction, Rule, Subject, Violation } from "./rule.ts";
import { everyNode, mentions, type Source } from "./source.ts";

const noClient = ({ clients }: Subject): string | undefined => (clients ? undefined : "the module has no client");

/** What a client does by `as()`, `in()` and transaction options, and what howdah.maintain() calls. */
const context = ["set_tenant", "clear_tenant", "set_actor", "clear_actor", "assert_rls_active", "maintain"];

const camelCase = (name: string): string => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

export const clientMethods: Rule = {
  name: "client-methods",
  says: "every public function is called by the client",
  skip: noClient,
  check: ({ catalog, clients = [] }) =>
    catalog.functions
      .filter((f) => isPublic(f) && !context.includes(f.name) && !clients.some((client) => client.name === f.object))
      .map((f) => ({ object: f.object, problem: "is not called by the client" })),
};

export const clientCalls: Rule = {
  name: "client-calls",
  says: "the client calls each function with the parameters, types and columns that it has",
  skip: noClient,
  check: ({ catalog, clients = [] }) =>
    clients.flatMap((client) => {
      const f = catalog.functions.find((candidate) => candidate.object === client.name);
      const problems = f ? callProblems(client, f) : ["is called by the client and does not exist"];
      return problems.map((problem) => ({ object: client.name, problem }));
    }),
};

function callProblems({ spec }: ClientFunction, f: SqlFunction): string[] {
  const args = Object.entries(spec.args).map(([name, type]) => ({ name: `p_${snakeCase(name)}`, type }));
  if (spec.isNamespaced ?? true) args.push({ name: "p_namespace", type: "text" });
  const problems: string[] = [];
  for (const { name, type } of args) {
    const parameter = f.parameters.find((candidate) => candidate.name === name);
    if (!parameter) problems.push(`is called with ${name}, which it does not have`);
    else if (parameter.type !== fullType(type))
      problems.push(`is called with ${name} as ${type}, not ${parameter.type}`);
  }
  for (const { name, isOptional } of f.parameters) {
    if (!isOptional && !args.some((arg) => arg.name === name)) problems.push(`is called without ${name}`);
  }
  for (const column of Object.keys(spec.columns ?? {}).map(snakeCase)) {
    // A set of single values has one column, which bears the function's name.
    const isKnown = f.columns.length > 0 ? f.columns.includes(column) : column === f.name;
    if (!isKnown) problems.push(`is read for a column ${column}, which it does not have`);
  }
  if (spec.isReadOnly && f.volatility === "volatile") problems.push("is marked as read-only and is volatile");
  return problems;
}

/** A type as the catalog writes it. */
const fullType = (type: string): string =>
  type.replace(/^int\b/, "integer").replace(/^timestamptz\b/, "timestamp with time zone");

export const readOnly: Rule = {
  name: "read-only",
  says: "every public function that is stable or immutable writes nothing, and runs on a read-only server",
  check: async (subject) => {
    const readers = subject.catalog.functions.filter((f) => isPublic(f) && f.volatility !== "volatile");
    const violations: Violation[] = [];
    for (const f of readers) {
      const problem = writes(subject.sources, f.object) ?? (await failsReadOnly(subject, f));
      if (problem) violations.push({ object: f.object, problem });
    }
    return violations;
  },
};

const writingStatements = ["InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "LockingClause", "NotifyStmt"];
const writingFunctions = ["nextval", "setval", "pg_notify"];

/** What a function, or any of the same module that it calls, writes. */
function writes(sources: readonly Source[], object: string, seen = new Set<string>()): string | undefined {
  if (seen.has(object)) return undefined;
  seen.add(object);
  for (const tree of sources.filter((source) => source.object === object).flatMap((source) => source.trees)) {
    for (const node of everyNode(tree)) {
      const statement = writingStatements.find((kind) => kind in node);
      if (statement) return `writes: ${object} has a ${statement}`;
    }
    for (const { kind, schema, name } of mentions(tree)) {
      if (kind !== "function") continue;
      if (writingFunctions.includes(name)) return `writes: ${object} calls ${name}`;
      const found = writes(sources, `${schema}.${name}`, seen);
      if (found) return found;
    }
  }
  return undefined;
}

const samples: Readonly<Record<string, string>> = {
  bigint: "1",
  boolean: "true",
  bytea: "x",
  inet: "192.0.2.1",
  integer: "1",
  interval: "1 hour",
  jsonb: "{}",
  name: "x",
  numeric: "1",
  real: "1",
  regclass: "pg_class",
  smallint: "1",
  text: "x",
  "timestamp with time zone": "2026-01-01",
  uuid: "00000000-0000-0000-0000-000000000000",
};

/** Calls a function with a sample of each parameter: it may refuse them, but it may not try to write or to use what is not there. */
async function failsReadOnly({ db }: Subject, f: SqlFunction): Promise<string | undefined> {
  const required = f.parameters.filter((parameter) => !parameter.isOptional);
  const values = required.map(({ type }) => (type.endsWith("[]") ? "{}" : (samples[type] ?? null)));
  const args = required.map(({ name, type }, i) => `${name} => $${i + 1}::${type}`);
  try {
    await db.transaction((tx) => tx.query(`select ${f.object}(${args.join(", ")})`, values), {
      readOnly: true,
      retry: false,
    });
  } catch (error) {
    const { sqlstate, code, message } = error as { sqlstate?: string; code?: string; message: string };
    // 25006: writes in a read-only transaction; 0A000: writes in a stable function; 42xxx: calls what does not exist.
    if (/^(25006|0A000|42(?!501).*)$/.test(sqlstate ?? code ?? ""))
      return `fails in a read-only transaction: ${message}`;
  }
  return undefined;
}

export const tested: Rule = {
  name: "tests",
  says: "every public function is called in a test",
  check: ({ catalog, tests }) => {
    const text = Object.values(tests).join("\n");
    return catalog.functions
      .filter(isPublic)
      .filter(({ name }) => !new RegExp(`\\b(${name}|${camelCase(name)})\\b`).test(text))
      .map((f) => ({ object: f.object, problem: "is named in no test" }));
  },
};
