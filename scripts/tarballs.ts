import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");

/** A project outside of the workspace. */
export interface Project extends Disposable {
  folder: string;
  /** Runs a program and returns what it prints. */
  run(file: string, text: string, env?: Record<string, string>): string;
}

/** An empty project, in which packages are installed as they are published, with what their READMEs name beside them. */
export function projectWith(packages: readonly string[]): Project {
  const folder = mkdtempSync(join(tmpdir(), "howdah-tarballs-"));
  const start = (command: string, args: readonly string[], cwd: string, env: Record<string, string> = {}): string =>
    execFileSync(command, args, {
      cwd,
      encoding: "utf8",
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });

  const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  for (const name of packages) {
    start("npx", ["--yes", packageManager, "pack", "--pack-destination", folder], join(root, "packages", name));
  }
  const tarballs = readdirSync(folder).map((file) => `./${file}`);
  writeFileSync(join(folder, "package.json"), '{ "name": "empty", "version": "1.0.0", "private": true }');
  start("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", ...tarballs, "pg@8", "zod@4"], folder);

  return {
    folder,
    run(file, text, env) {
      writeFileSync(join(folder, file), text);
      return start(process.execPath, [file], folder, env);
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The first example of a package's README, as a module and as the same in CommonJS: what it is called, its file, its text. */
export function readmeExample(name: string): [format: string, file: string, text: string][] {
  const readme = readFileSync(join(root, "packages", name, "README.md"), "utf8");
  const [, example = ""] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  const required = example.replace(/^import (\{.*\}) from (".*");$/gm, "const $1 = require($2);");
  return [
    ["ESM", "main.mts", example],
    ["CommonJS", "main.cts", `(async () => {\n${required}})();\n`],
  ];
}
