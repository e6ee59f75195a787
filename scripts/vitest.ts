import type { Plugin } from "vitest/config";
import { sqlModuleText } from "./sql-module.ts";

/** Lets a package's own tests import its sources, whose `#sql` is read from the package's folder. */
export const sqlPlugin = (root: string = process.cwd()): Plugin => ({
  name: "howdah-sql",
  enforce: "pre",
  resolveId: (id) => (id === "#sql" ? "\0howdah-sql" : undefined),
  load: (id) => (id === "\0howdah-sql" ? sqlModuleText(root) : undefined),
});

/**
 * The patience of all tests here: a busy machine may take its time, so that only what hangs ever fails for want of time. Tests
 * wait for conditions by `expect.poll`, which looks again until its own, shorter time is up.
 */
export const patience = {
  testTimeout: 300_000,
  hookTimeout: 300_000,
  teardownTimeout: 60_000,
  expect: { poll: { interval: 20, timeout: 120_000 } },
};
