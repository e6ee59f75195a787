// Regular expressions of CEL, which are those of RE2, as PostgreSQL writes them.

/** A pattern for PostgreSQL's `~`, or what is wrong with the one that was given. */
export interface Pattern {
  pattern: string;
  problem?: string;
}

/** Escapes that mean something else, or nothing, in the other dialect. */
const escapes: Record<string, string> = { b: "\\y", B: "\\Y", z: "\\Z", A: "\\A", a: "\\a" };

/** Translates a pattern; what PostgreSQL could not match alike is refused. */
export function toPostgres(source: string): Pattern {
  const refused = (problem: string): Pattern => ({ pattern: "", problem });
  if (source.length > 200) return refused(`a pattern has ${source.length} characters, at most 200 are allowed`);
  if (source.includes("\0")) return refused("a pattern must not contain the character NUL");
  try {
    new RegExp(source.replace(/^\(\?i\)/, ""));
  } catch (error) {
    return refused((error as Error).message);
  }

  // Names the dialect, so that nothing at the start of the pattern can.
  let pattern = "***:";
  let isInBrackets = false;
  let at = 0;
  if (source.startsWith("(?i)")) {
    pattern += "(?i)";
    at = 4;
  }
  while (at < source.length) {
    const char = source.charAt(at);
    const next = source.charAt(at + 1);
    if (char === "\\") {
      if (!/[dDwWsSbBAzafnrtv]|[^A-Za-z0-9]/u.test(next)) return refused(`\\${next} is not supported in patterns`);
      if (isInBrackets && /[DWSbBAz]/.test(next)) return refused(`\\${next} is not supported in brackets of patterns`);
      pattern += escapes[next] ?? `\\${next}`;
      at += 2;
      continue;
    }
    if (isInBrackets) {
      const named = /^\[:\^?[a-z]+:\]/.exec(source.slice(at))?.[0];
      if (char === "[" && !named) return refused("[ within brackets of patterns must be written \\[");
      if (named) {
        pattern += named;
        at += named.length;
        continue;
      }
      if (char === "]") isInBrackets = false;
    } else if (char === "[") {
      isInBrackets = true;
      if (next === "]" || source.startsWith("[^]", at)) return refused("[] is not supported in patterns");
    } else if (char === "{" && !/^\{\d{1,2}(,\d{0,2})?\}/.test(source.slice(at))) {
      return refused("{ in patterns must be written \\{, or give a number of repetitions up to 99");
    } else if (char === "(" && next === "?" && source.charAt(at + 2) !== ":") {
      return refused("of the groups that begin with (? only (?: is supported in patterns");
    } else if (char === ".") {
      pattern += "[^\\n]";
      at++;
      continue;
    }
    pattern += char;
    at++;
  }
  return { pattern };
}
