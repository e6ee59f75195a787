// Rules about how the files look.
import type { Rule } from "./rule.ts";

export const fileStyle: Rule = {
  name: "file-style",
  says: "every file opens with a comment, is lower case, indented by twos, and has no line over 100 columns",
  check: ({ module }) =>
    module.files.flatMap(({ path, text }) => styleProblems(text).map((problem) => ({ object: path, problem }))),
};

/** The columns that a line may have, comments too: so that two files stand side by side, and psql shows a body unbroken. */
const width = 100;

function styleProblems(text: string): string[] {
  const problems: string[] = [];
  if (!/^(-- howdah: .*\n)*-- \S/.test(text)) problems.push("does not open with a comment that says what it is about");
  if (!text.endsWith("\n") || text.endsWith("\n\n")) problems.push("does not end with one line break");
  const code = blanked(text).split("\n");
  text.split("\n").forEach((line, i) => {
    const note = (problem: string): void => void problems.push(`line ${i + 1} ${problem}`);
    if (line.length > width) note(`has ${line.length} columns`);
    if (line.includes("\t")) note("has a tab");
    if (/\s$/.test(line)) note("ends with white space");
    const upper = /\w*[A-Z]\w*/.exec(code[i] ?? "");
    if (upper) note(`has ${upper[0]} in upper case`);
    const indent = line.search(/[^ ]/);
    if (indent % 2 === 1 && code[i]?.[indent] !== " ") note(`is indented by ${indent}`);
  });
  return problems;
}

/** SQL with blanks within comments, strings, quoted names and slots of format(); bodies between dollars are code like any other. */
const blanked = (text: string): string =>
  text.replace(
    /--[^\n]*|'(?:[^']|'')*'|"[^"]*"|%(?:\d\$)?[IL]/g,
    ([first = "", ...rest]) => first + rest.join("").replace(/./g, " "),
  );
