/** One statement of a file. */
export interface Statement {
  /** As it is written, with the comments before it. */
  text: string;
  /** Without comments and literals, in lower case, on one line: for recognising it, never to be run. */
  bare: string;
}

const quoted = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([a-z_]\w*)?\$[\s\S]*?\$\1\$/gi;
const atomicBody = /\bbegin\s+atomic\b[\s\S]*?\bend\s*(?=;|$)/gi;

/** Splits a file into its statements. */
export function splitStatements(sql: string): Statement[] {
  const blank = (found: string): string => " ".repeat(found.length);
  const masked = sql
    .replace(quoted, (found) => (found.startsWith('"') ? found.replaceAll(";", "_") : blank(found)))
    .replace(atomicBody, blank);
  const statements: Statement[] = [];
  let start = 0;
  for (const part of masked.split(";")) {
    const end = start + part.length;
    const bare = part.trim().replace(/\s+/g, " ").toLowerCase();
    if (bare !== "") statements.push({ text: sql.slice(start, end).trim(), bare });
    start = end + 1;
  }
  return statements;
}
