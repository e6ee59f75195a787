import type { Plugin } from "vitest/config";
import { sqlModuleText } from "./sql-module.ts";

/** Lets a package's own tests import its sources, whose `#sql` is read from the package's folder. */
export const sqlPlugin = (root: string = process.cwd()): Plugin => ({
  name: "howdah-sql",
  enforce: "pre",
  resolveId: (id) => (id === "#sql" ? "\0howdah-sql" : undefined),
  load: (id) => (id === "\0howdah-sql" ? sqlModuleText(root) : undefined),
});
