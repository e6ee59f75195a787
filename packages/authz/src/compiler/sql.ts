// SQL as text: the few shapes that the renderers write.

/** A text literal. Names of models never contain a backslash, and must not begin to. */
export function literal(text: string): string {
  if (text.includes("\\")) throw new Error(`a backslash in ${text}`);
  return `'${text.replaceAll("'", "''")}'`;
}

/** `= 'a'` or `in ('a', 'b')`. */
export const oneOf = (values: readonly string[]): string =>
  values.length === 1 ? `= ${literal(values[0] as string)}` : `in (${values.map(literal).join(", ")})`;

/** `<> 'a'` or `not in ('a', 'b')`. */
export const noneOf = (values: readonly string[]): string =>
  values.length === 1 ? `<> ${literal(values[0] as string)}` : `not in (${values.map(literal).join(", ")})`;

/** Moves every line but empty ones to the right. */
export const indent = (text: string, by = 2): string => text.replace(/^(?=.)/gm, " ".repeat(by));

/** A clause in parentheses on lines of its own, such as `exists (...)`. */
export const block = (opening: string, inner: string, closing = ""): string =>
  `${opening} (\n${indent(inner)}\n)${closing}`;

/** `where a and b`, one condition a line. */
export const where = (conditions: readonly string[]): string =>
  conditions.length === 0
    ? ""
    : `where ${conditions.map((condition) => indent(condition).trimStart()).join("\n  and ")}`;

/** Selects as one, each after a line that says how it is joined to the one before. */
export const combine = (selects: readonly string[], operator: "union" | "union all"): string =>
  selects.join(`\n${operator}\n`);

/** Items separated by commas, broken at 100 columns. */
export function list(items: readonly string[], margin = 2): string {
  const lines: string[] = [];
  let line = "";
  for (const [index, item] of items.entries()) {
    const text = index === items.length - 1 ? item : `${item},`;
    if (line !== "" && margin + line.length + 1 + text.length > 100) {
      lines.push(line);
      line = text;
    } else {
      line = line === "" ? text : `${line} ${text}`;
    }
  }
  return indent([...lines, line].join("\n"), margin);
}

/** A query that yields one column of ids: what it selects, and the rest of it. */
export interface Select {
  id: string;
  rest: string;
}

/** A {@link Select} as text. Without an id it selects rows of nothing. */
export function select({ id, rest }: Select, alias = "", before = ""): string {
  const columns = id === "" ? "" : ` ${before}${id}${alias === "" ? "" : ` as ${alias}`}`;
  return [`select${columns}`, rest].filter((line) => line !== "").join("\n");
}
