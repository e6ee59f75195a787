import { readFileSync } from "node:fs";

/** The fenced blocks of a language in a Markdown file, in order. */
export function snippets(file: URL, language: string): string[] {
  const blocks = readFileSync(file, "utf8").matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm);
  return [...blocks].filter(([, tag]) => tag === language).map(([, , text = ""]) => text);
}
