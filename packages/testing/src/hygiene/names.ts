// Rules about the names in SQL: all of them lead to one object, whatever the search path, and stay within the module.
import type { Rule, Subject, Violation } from "./rule.ts";
import { type Mention, mentions, type Node, nodes, parseExpression, type Source } from "./source.ts";

export const qualifiedNames: Rule = {
  name: "qualified-names",
  says: "all SQL names relations, functions and types with their schema, unless they are in pg_catalog",
  check: (subject) => [
    ...subject.sources.flatMap(({ object, error }) => (error === undefined ? [] : [{ object, problem: error }])),
    ...whereNames(
      subject,
      ({ schema, name }) => schema === undefined && !subject.catalog.builtIn.has(name) && /^\w/.test(name),
      ({ kind, name }) => `names ${kind} ${name} without its schema`,
    ),
  ],
};

export const otherModules: Rule = {
  name: "other-modules",
  says: "no SQL names another module than howdah",
  check: (subject) => {
    const known = [subject.module.name, "howdah", "pg_catalog", "information_schema"];
    return whereNames(
      subject,
      ({ schema }) => schema !== undefined && !known.includes(schema),
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
        .filter((expression) => !isSafe(parseExpression(expression), registered(source)))
        .map(({ query }) => ({ object: source.object, problem: `executes ${query}` })),
    ),
};

function dynamicExpressions({ plpgsql }: Source): Node[] {
  const statements = [...nodes(plpgsql, "PLpgSQL_stmt_dynexecute"), ...nodes(plpgsql, "PLpgSQL_stmt_dynfors")].map(
    ({ query }) => query,
  );
  const others = [...nodes(plpgsql, "PLpgSQL_stmt_return_query"), ...nodes(plpgsql, "PLpgSQL_stmt_open")].map(
    ({ dynquery }) => dynquery,
  );
  return [...statements, ...others].flatMap((query) => [...nodes(query, "PLpgSQL_expr")]);
}

/** The variables whose types write themselves as SQL with all quotes that it needs. */
const registered = ({ plpgsql }: Source): string[] =>
  [...nodes(plpgsql, "PLpgSQL_var")]
    .filter((variable) => /"typname":"(pg_catalog\.)?reg\w+"/.test(JSON.stringify(variable.datatype)))
    .map((variable) => String(variable.refname));

/** A text without anything in it, or a format() of such a text whose arguments can be nothing but names and literals. */
function isSafe(tree: unknown, names: readonly string[]): boolean {
  const { targetList } = (nodes(tree, "SelectStmt").next().value ?? {}) as { targetList?: unknown[] };
  const { val } = (targetList?.[0] as { ResTarget?: { val?: Node } })?.ResTarget ?? {};
  if (textOf(val) !== undefined) return true;
  const call = val?.FuncCall as { funcname: unknown; args?: unknown[] } | undefined;
  const isFormat = JSON.stringify(call?.funcname).includes('{"sval":"format"}');
  const [template, ...values] = call?.args ?? [];
  const text = textOf(template);
  if (!isFormat || text === undefined) return false;
  const slots = [...text.matchAll(/%(?:(\d+)\$)?([sIL])/g)];
  return slots.every(
    ([, position, kind], i) => kind !== "s" || isName(values[position ? Number(position) - 1 : i], names),
  );
}

const textOf = (node: unknown): string | undefined =>
  (node as { A_Const?: { sval?: { sval?: string } } })?.A_Const?.sval?.sval;

function isName(node: unknown, names: readonly string[]): boolean {
  const { ColumnRef, TypeCast, FuncCall } = (node ?? {}) as Record<string, Node | undefined>;
  if (ColumnRef) return names.includes([...nodes(ColumnRef, "String")].map((part) => part.sval).join("."));
  if (TypeCast) return /"sval":"reg\w+"/.test(JSON.stringify(TypeCast.typeName));
  return /"sval":"quote_(ident|literal|nullable)"/.test(JSON.stringify(FuncCall?.funcname) ?? "");
}
