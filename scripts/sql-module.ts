import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Options } from "tsup";

/** Reads a package's `sql` folder into the text of a module that exports `files` and `manifest`. */
export function sqlModuleText(root: string): string {
  const files: Record<string, string> = {};
  for (const folder of ["migrations", "functions"]) {
    for (const name of readdirSync(join(root, "sql", folder)).sort()) {
      files[`${folder}/${name}`] = readFileSync(join(root, "sql", folder, name), "utf8");
    }
  }
  const manifest = readFileSync(join(root, "sql", "manifest.json"), "utf8");
  return `export const files = ${JSON.stringify(files)};\nexport const manifest = ${manifest};`;
}

type Plugin = NonNullable<Options["esbuildPlugins"]>[number];

/** Puts a package's SQL into its bundle as the virtual module `#sql`, so that published code never reads a file. */
export const sqlModule = (root: string): Plugin => ({
  name: "howdah-sql",
  setup(build) {
    build.onResolve({ filter: /^#sql$/ }, () => ({ path: "sql", namespace: "howdah-sql" }));
    build.onLoad({ filter: /.*/, namespace: "howdah-sql" }, () => ({ contents: sqlModuleText(root), loader: "js" }));
  },
});
