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

/** The index that a file builds concurrently, if that is what it does. */
export function concurrentIndex(sql: string): string | undefined {
  const first = statements(sql)[0] ?? "";
  return /concurrently\s+(?:if\s+not\s+exists\s+)?(\w+)\s+on\s+/i.exec(first)?.[1]?.toLowerCase();
}
