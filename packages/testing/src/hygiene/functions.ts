// Rules about functions: what they are called with, how they are protected, what their comments say.
import { isPublic, type SqlFunction, type Table } from "./catalog.ts";
import type { Rule } from "./rule.ts";
import { mentions, parseText } from "./source.ts";

const headings = ["Returns", "Errors", "Example"];

export const functionComment: Rule = {
  name: "function-comment",
  says: "every function has a comment, of public ones with all parameters, Returns, Errors and Example",
  check: ({ catalog }) =>
    catalog.functions.flatMap((f) =>
      commentProblems(f, catalog.tables).map((problem) => ({ object: f.object, problem })),
    ),
};

function commentProblems(f: SqlFunction, tables: readonly Table[]): string[] {
  if (!f.comment?.trim()) return ["has no comment"];
  if (!isPublic(f)) return [];
  const lines = f.comment.split("\n");
  const start = lines.findIndex((line) => entryOf(line));
  if (start < 0) return ["has a comment without headings"];

  const problems: string[] = [];
  if (!lines[0] || start === 0) problems.push("has a comment that does not begin with what the function means");
  const entries: { name: string; column: number; text: string }[] = [];
  for (const line of lines.slice(start)) {
    const entry = entryOf(line);
    const last = entries.at(-1);
    if (entry) entries.push(entry);
    else if (last && line.startsWith(" ".repeat(last.column))) last.text += ` ${line.trim()}`;
    else problems.push(`has a comment line that belongs to no heading: ${line}`);
  }
  const found = entries.map((entry) => entry.name);
  const wanted = [...f.parameters.map((parameter) => parameter.name), ...headings];
  const missing = wanted.filter((name) => !found.includes(name));
  const unknown = found.filter((name) => !wanted.includes(name));
  if (missing.length > 0) problems.push(`has a comment without ${missing.join(", ")}`);
  if (unknown.length > 0) problems.push(`has a comment on ${unknown.join(", ")}, which is no parameter`);
  if (missing.length + unknown.length === 0 && found.join() !== wanted.join()) {
    problems.push(`has comments in another order than ${wanted.join(", ")}`);
  }
  if (new Set(entries.map((entry) => entry.column)).size > 1) problems.push("has a comment that is not aligned");

  const textOf = (name: string): string => entries.find((entry) => entry.name === name)?.text ?? "";
  // A result that is rows of a table, by its type or in words, is explained by the comments on the table's columns.
  const returns = textOf("Returns");
  const known = tables
    .filter(({ object }) => `${returns} ${f.result}`.includes(object))
    .flatMap((table) => table.columns);
  const silent = f.columns.filter(
    (column) => !new RegExp(`\\b${column}\\b`).test(returns) && !known.some(({ name }) => name === column),
  );
  if (returns && silent.length > 0) {
    problems.push(`has a comment whose Returns does not explain ${silent.join(", ")}`);
  }
  if (found.includes("Example")) {
    const called = mentions(parseText(textOf("Example"))).map((name) => `${name.schema}.${name.name}`);
    if (!called.includes(f.object)) problems.push("has an Example that is not a SQL statement that calls it");
  }
  return problems;
}

function entryOf(line: string): { name: string; column: number; text: string } | undefined {
  const match = /^(p_\w+|Returns|Errors|Example)( {2,})(\S.*)$/.exec(line);
  if (!match) return undefined;
  const [, name = "", gap = "", text = ""] = match;
  return { name, column: name.length + gap.length, text };
}

/** SQL that the planner may put in the place of its call; a SET clause would prevent that. */
const isInlinable = (f: SqlFunction): boolean => f.language === "sql" && !f.isDefiner && f.volatility !== "volatile";

const searchPath = (f: SqlFunction): string | undefined =>
  f.config.find((setting) => setting.startsWith("search_path="))?.slice("search_path=".length);

export const pinnedPath: Rule = {
  name: "search-path",
  says: "every public function pins its search_path, unless it is inlined",
  check: ({ catalog }) =>
    catalog.functions
      .filter((f) => isPublic(f) && !isInlinable(f) && searchPath(f) === undefined)
      .map((f) => ({ object: f.object, problem: "has no set search_path = pg_catalog, pg_temp" })),
};

export const definerPath: Rule = {
  name: "definer-path",
  says: "every security definer function pins its search_path with pg_temp last",
  check: ({ catalog }) =>
    catalog.functions
      .filter((f) => f.isDefiner && !/(^|, )pg_temp$/.test(searchPath(f) ?? ""))
      .map((f) => ({
        object: f.object,
        problem: `runs as its owner with search_path ${searchPath(f) ?? "of its caller"}, so a temporary object may pose as another`,
      })),
};

export const parameterNames: Rule = {
  name: "parameter-names",
  says: "every parameter begins with p_",
  check: ({ catalog }) =>
    catalog.functions.flatMap((f) =>
      f.parameters
        .filter((parameter) => !/^p_[a-z]/.test(parameter.name))
        .map((parameter) => ({ object: f.object, problem: `has a parameter ${parameter.name || "without a name"}` })),
    ),
};

export const maintainSignature: Rule = {
  name: "maintain",
  says: "maintain() has the signature that howdah.maintain() calls",
  check: ({ catalog }) =>
    catalog.functions
      .filter((f) => f.name === "maintain" && catalog.schema !== "howdah")
      .filter(
        ({ parameters: [budget, ...others], result }) =>
          budget?.name !== "p_budget" ||
          budget.type !== "interval" ||
          ![budget, ...others].every((parameter) => parameter.isOptional) ||
          result !== "TABLE(task text, affected bigint, more boolean)",
      )
      .map((f) => ({
        object: f.object,
        problem:
          "is not maintain(p_budget interval default ...) returns table (task text, affected bigint, more boolean)",
      })),
};
