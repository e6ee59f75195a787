import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type * as Core from "../packages/core/src/index.ts";

const load = (path: string): Promise<unknown> => import(pathToFileURL(path).href);

/** The built `@howdah/core`. */
export const core = (await load(join(import.meta.dirname, "../packages/core/dist/index.js"))) as typeof Core;

/** The module that the package in the current folder exports, once built. */
export async function builtModule(): Promise<Core.Module> {
  const exported = Object.values((await load(join(process.cwd(), "dist/index.js"))) as Record<string, unknown>);
  const module = exported.find((value) => typeof (value as Core.Module | undefined)?.fingerprint === "string");
  if (!module) throw new Error(`the package in ${process.cwd()} exports no module`);
  return module as Core.Module;
}
