// The workspace's own files: those under version control with who changed them last, and what its packages bring to read.
import { execFileSync } from "node:child_process";
import { globSync } from "node:fs";
import { userInfo } from "node:os";
import { dirname } from "node:path";

export interface File {
  path: string;
  /** Who changed it last; undefined for what is not under version control. */
  author: string | undefined;
}

/** All files by their paths from `root`. */
export function filesOf(root: string): File[] {
  const files = new Map<string, string | undefined>();
  const installed = "node_modules/.pnpm/*/node_modules/*/{package.json,*.md,LICENSE*}";
  for (const path of globSync(installed, { cwd: root })) files.set(path, undefined);
  for (const [path, author] of tracked(root)) files.set(path, author);
  return [...files].map(([path, author]) => ({ path: path.replaceAll("\\", "/"), author }));
}

/** A folder and all that it lies in, from the inside out; `.` is the outermost. */
export function foldersOf(path: string): string[] {
  const folder = dirname(path);
  return folder === "." ? ["."] : [folder, ...foldersOf(folder)];
}

function tracked(root: string): [string, string][] {
  const git = (...args: string[]): string[] =>
    execFileSync("git", ["-c", "core.quotePath=off", "-C", root, ...args], {
      encoding: "utf8",
      maxBuffer: 2 ** 28,
    }).split("\n");
  const authors = new Map<string, string>();
  let author = userInfo().username;
  for (const line of git("log", "--format=@%aN", "--name-only")) {
    if (line.startsWith("@")) author = line.slice(1);
    else if (line !== "" && !authors.has(line)) authors.set(line, author);
  }
  return git("ls-files")
    .filter(Boolean)
    .map((path) => [path, authors.get(path) ?? author]);
}
