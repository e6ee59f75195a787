// Regular expressions of CEL, which are those of RE2, as PostgreSQL writes them.

/** A pattern for PostgreSQL's `~`, or what is wrong with the one that was given. */
export interface Pattern {
  pattern: string;
  problem?: string;
}

/** Escapes that mean something else, or nothing, in the other dialect. */
const escapes: Record<string, string> = {
  b: "\\y",
  B: "\\Y",
  z: "\\Z",
  s: "[ \\t\\n\\f\\r]",
  S: "[^ \\t\\n\\f\\r]",
};
const known = /[dDwWsSbBAzafnrtv]|[^A-Za-z0-9]/u;
const classes = ["alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct"];
const namedClass = new RegExp(`^\\[:(${[...classes, "space", "upper", "word", "xdigit"].join("|")}):\\]`);

const longest = 200;
/** How many characters a pattern may have with its repetitions written out: more would take PostgreSQL too long. */
const largest = 1000;

/** Translates a pattern; what PostgreSQL could not match alike is refused. */
export function toPostgres(source: string): Pattern {
  try {
    if (source.length > longest)
      throw wrong(`a pattern has ${source.length} characters, at most ${longest} are allowed`);
    if (source.includes("\0")) throw wrong("a pattern must not contain the character NUL");
    const ignoresCase = source.startsWith("(?i)");
    const text = ignoresCase ? source.slice(4) : source;
    new RegExp(text);
    if (ignoresCase && /\P{ASCII}/u.test(text)) throw wrong("(?i) is for ASCII letters, this pattern has others");
    // Names the dialect, so that nothing at the start of the pattern can.
    return { pattern: `***:${ignoresCase ? "(?i)" : ""}${translate(text)}` };
  } catch (error) {
    return { pattern: "", problem: (error as Error).message };
  }
}

const wrong = (problem: string): Error => new Error(problem);

/** Translates a pattern that JavaScript can read, which shares its brackets and parentheses with RE2. */
function translate(source: string): string {
  let pattern = "";
  /** How many characters each open group has so far, and the last character or group. */
  const sizes = [0];
  let last = 0;
  const grow = (by: number): void => {
    sizes.push((sizes.pop() ?? 0) + by);
    if ((sizes.at(-1) ?? 0) > largest) {
      throw wrong(`with its repetitions a pattern has more than ${largest} characters`);
    }
  };
  for (let at = 0; at < source.length; ) {
    const char = source.charAt(at);
    const next = source.charAt(at + 1);
    let read = char;
    let written = char;
    if (char === "\\") {
      if (!known.test(next)) throw wrong(`\\${next} is not supported in patterns`);
      read = char + next;
      written = escapes[next] ?? read;
    } else if (char === "[") {
      [read, written] = brackets(source.slice(at));
    } else if (char === ".") {
      written = "[^\\n]";
    } else if (char === "{") {
      const [repetition, least = "", most = least] = /^\{(\d{1,2})(?:,(\d{0,2}))?\}/.exec(source.slice(at)) ?? [];
      if (repetition === undefined) {
        throw wrong("{ in patterns must be written \\{, or give a number of repetitions up to 99");
      }
      read = written = repetition;
      grow(last * Math.max(Number(most || least) - 1, 0));
    } else if (char === "(" && next === "?") {
      if (source.charAt(at + 2) !== ":")
        throw wrong("of the groups that begin with (? only (?: is supported in patterns");
      read = written = "(?:";
    }
    if (char === "(") {
      sizes.push(0);
    } else if (char === ")") {
      last = sizes.pop() ?? 0;
      grow(last);
    } else if (!/[{*+?|]/.test(char)) {
      last = 1;
      grow(last);
    }
    pattern += written;
    at += read.length;
  }
  return pattern;
}

/** The brackets at the start of a text, as they are and as PostgreSQL writes them. */
function brackets(source: string): [read: string, written: string] {
  let written = source.startsWith("[^") ? "[^" : "[";
  let at = written.length;
  if (source.charAt(at) === "]") throw wrong("[] is not supported in patterns");
  /** Whether the last character may begin a range. */
  let canBegin = false;
  while (source.charAt(at) !== "]") {
    const [read, isSet, sql] = element(source.slice(at));
    const isRange = read === "-" && written !== "[" && written !== "[^" && source.charAt(at + 1) !== "]";
    if (!isRange) {
      canBegin = !isSet;
      written += sql;
      at += read.length;
      continue;
    }
    const [end, isSetAtEnd, endSql] = element(source.slice(at + 1));
    if (!canBegin || isSetAtEnd)
      throw wrong("- in brackets of patterns must be written \\-, or stand in a range such as a-z");
    canBegin = false;
    written += `-${endSql}`;
    at += 1 + end.length;
  }
  return [source.slice(0, at + 1), `${written}]`];
}

/** The first character or set of characters of what stands in brackets, as it is and as PostgreSQL writes it. */
function element(source: string): [read: string, isSet: boolean, written: string] {
  const char = source.charAt(0);
  if (char === "") throw wrong("[ without ] in a pattern");
  if (char === "[") {
    const named = namedClass.exec(source)?.[0];
    if (named === undefined)
      throw wrong("[ within brackets of patterns must be written \\[, or begin one such as [:alpha:]");
    return [named, true, named];
  }
  if (char !== "\\") return [char, false, char];
  const next = source.charAt(1);
  if (!known.test(next) || /[DWSbBAz]/.test(next)) throw wrong(`\\${next} is not supported in brackets of patterns`);
  return [char + next, /[dws]/.test(next), next === "s" ? " \\t\\n\\f\\r" : char + next];
}
