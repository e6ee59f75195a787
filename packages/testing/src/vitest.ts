import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { testServer } from "./server.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The server of this run, which `testDatabase` uses. */
    howdah: { url: string; version: number };
  }
}

/**
 * One PostgreSQL server for the whole run: `defineConfig({ test: { globalSetup: [postgres()] } })`.
 *
 * @returns the path of a vitest global setup file
 */
export const postgres = (): string => fileURLToPath(import.meta.url);

/** Called by vitest before the first test file. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await testServer();
  project.provide("howdah", { url: server.url(), version: server.version });
  return server.stop;
}
