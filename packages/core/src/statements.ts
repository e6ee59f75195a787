const quoted = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([a-z_]\w*)?\$[\s\S]*?\$\1\$/gi;
const body = /\bbegin\s+atomic\b[\s\S]*?\bend\s*(?=;|$)/gi;

/**
 * Splits SQL into its statements, without comments and with every literal and body blanked: enough to see what kind of
 * statement each one is, never to be run.
 */
export function statements(sql: string): string[] {
  return sql
    .replace(quoted, (found) => (found.startsWith("--") || found.startsWith("/*") ? " " : "''"))
    .replace(body, "''")
    .split(";")
    .map((statement) => statement.trim())
    .filter((statement) => statement !== "");
}
