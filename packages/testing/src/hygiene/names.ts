// Rules about the names in SQL: all of them lead to one object, whatever the search path, and stay within the module.
import type { Rule, Subject, Violation } from "./rule.ts";
import { type Mention, mentions, type Node, nodes, parseExpression, type Source, words } from "./source.ts";

export const qualifiedNames: Rule = {
  name: "qualified-names",
  says: "all SQL names relations, functions and types with their schema, unless they are in pg_catalog",
  check: (subject) => {
    const transitions = transitionTables(subject);
    return [
      ...subject.sources.flatMap(({ object, error }) => (error === undefined ? [] : [{ object, problem: error }])),
      ...whereNames(
        subject,
        ({ kind, schema, name }) =>
          schema === undefined &&
          !subject.catalog.builtIn.has(name) &&
          /^\w/.test(name) &&
          !(kind === "relation" && transitions.has(name)),
        ({ kind, name }) => `names ${kind} ${name} without its schema`,
      ),
    ];
  },
};

/** The names that triggers give to the rows that a statement changed; they belong to no schema. */
const transitionTables = ({ sources }: Subject): Set<string> =>
  new Set(
    sources.flatMap(({ trees }) =>
      trees.flatMap((tree) => [...nodes(tree, "TriggerTransition")].map(({ name }) => String(name))),
    ),
  );

export const otherModules: Rule = {
  name: "other-modules",
  says: "no SQL names another module than howdah",
  check: (subject) => {
    const { name: own } = subject.module;
    const known = [own, "howdah", "pg_catalog", "information_schema"];
    return whereNames(
      subject,
      // A module may have further schemas, such as one for code that it generates: `authz_rt`.
      ({ schema }) => schema !== undefined && !known.includes(schema) && !schema.startsWith(`${own}_`),
      ({ kind, schema, name }) => `names ${kind} ${kind === "schema" ? name : `${schema}.${name}`}`,
    );
  },
};

function whereNames(
  { sources }: Subject,
  isWrong: (mention: Mention) => boolean,
  problem: (mention: Mention) => string,
): Violation[] {
  return sources.flatMap(({ object, trees }) => {
    const problems = trees.flatMap((tree) => mentions(tree).filter(isWrong).map(problem));
    return [...new Set(problems)].map((text) => ({ object, problem: text }));
  });
}

export const dynamicSql: Rule = {
  name: "dynamic-sql",
  says: "dynamic SQL is made by format() with %I and %L, and its values come by using",
  check: ({ sources }) =>
    sources.flatMap((source) =>
      dynamicExpressions(source)
        .filter((expression) => !isSafe(parseExpression(expression), selfQuoting(source)))
        .map(({ query }) => ({ object: source.object, problem: `executes ${query}` })),
    ),
};

/** The statements of PL/pgSQL that execute a text, and the field that holds it. */
const executing = {
  PLpgSQL_stmt_dynexecute: "query",
  PLpgSQL_stmt_dynfors: "query",
  PLpgSQL_stmt_open: "dynquery",
  PLpgSQL_stmt_return_query: "dynquery",
};

const dynamicExpressions = ({ plpgsql }: Source): Node[] =>
  Object.entries(executing).flatMap(([kind, field]) =>
    [...nodes(plpgsql, kind)].flatMap((statement) => [...nodes(statement[field], "PLpgSQL_expr")]),
  );

/** The variables whose types, such as regclass, write themselves with all the quotes that they need. */
const selfQuoting = ({ plpgsql }: Source): string[] =>
  [...nodes(plpgsql, "PLpgSQL_var")]
    .filter(({ datatype }) =>
      /^(pg_catalog\.)?reg\w+$/.test(String(nodes(datatype, "PLpgSQL_type").next().value?.typname)),
    )
    .map(({ refname }) => String(refname));

/** Whether an expression is a fixed text, or a format() of one whose arguments can be nothing but names and literals. */
function isSafe(tree: unknown, variables: readonly string[]): boolean {
  const value = nodes(tree, "ResTarget").next().value?.val as Node | undefined;
  if (textOf(value) !== undefined) return true;
  const { funcname, args } = (value?.FuncCall ?? {}) as { funcname?: unknown; args?: unknown[] };
  const template = textOf(args?.[0]);
  if (words(funcname).at(-1) !== "format" || template === undefined) return false;
  const slots = [...template.matchAll(/%%|%(?:(\d+)\$)?-?\d*([sIL])/g)].filter(([slot]) => slot !== "%%");
  return slots.every(([, position, kind], i) => kind !== "s" || isName(args?.[Number(position ?? i + 1)], variables));
}

const textOf = (node: unknown): string | undefined =>
  (node as { A_Const?: { sval?: { sval?: string } } } | undefined)?.A_Const?.sval?.sval;

function isName(node: unknown, variables: readonly string[]): boolean {
  const { ColumnRef, TypeCast, FuncCall } = (node ?? {}) as Record<string, Node | undefined>;
  if (ColumnRef) return variables.includes(words(ColumnRef).join("."));
  const last = words(TypeCast ? TypeCast.typeName : FuncCall?.funcname).at(-1) ?? "";
  return TypeCast ? last.startsWith("reg") : /^quote_(ident|literal|nullable)$/.test(last);
}
