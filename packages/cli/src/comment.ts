/** A function's catalogue comment, taken apart at its headings. */
export interface FunctionComment {
  /** What the function does: a sentence or more. */
  prose: string;
  parameters: ReadonlyMap<string, string>;
  returns: string;
  errors: string;
  /** SQL that can be run. */
  example: string;
}

/**
 * Reads a comment: prose, then one heading a line (`p_...`, `Returns`, `Errors`, `Example`) with its text beside it, which
 * may go on in indented lines.
 */
export function readComment(comment: string): FunctionComment {
  const prose: string[] = [];
  const sections = new Map<string, string[]>();
  let current: string[] | undefined;
  for (const line of comment.split("\n")) {
    const heading = /^(p_\w+|Returns|Errors|Example)(?:\s+(.*))?$/.exec(line);
    if (heading) {
      current = [heading[2] ?? ""];
      sections.set(heading[1] as string, current);
    } else if (current && (/^\s/.test(line) || line === "")) {
      current.push(line);
    } else {
      current = undefined;
      prose.push(line);
    }
  }
  const text = (name: string): string =>
    (sections.get(name) ?? [])
      .map((line) => line.trim())
      .join(" ")
      .trim();
  return {
    prose: prose.join("\n").trim(),
    parameters: new Map([...sections.keys()].filter((key) => key.startsWith("p_")).map((key) => [key, text(key)])),
    returns: text("Returns"),
    errors: text("Errors"),
    example: dedent(sections.get("Example") ?? []),
  };
}

function dedent([first = "", ...rest]: readonly string[]): string {
  const indents = rest.filter((line) => line.trim() !== "").map((line) => line.length - line.trimStart().length);
  const indent = Math.min(...indents, Number.MAX_SAFE_INTEGER);
  return [first, ...rest.map((line) => line.slice(indent))].join("\n").trim();
}
