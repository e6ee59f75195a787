import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { coreModule, type Module } from "@howdah/core";
import { CommandError, UsageError } from "./errors.ts";
import { unknownName } from "./nearest.ts";

/** The modules of a project, and what could not be loaded. */
export interface Discovery {
  modules: readonly Module[];
  /** Packages or files by name, each with the reason why it could not be loaded. */
  failures: ReadonlyMap<string, unknown>;
}

const configNames = ["ts", "mts", "js", "mjs", "cjs"].map((extension) => `howdah.config.${extension}`);

/**
 * Finds the modules of the project that a folder is in: those that the nearest `howdah.config.ts` (or `.js`) exports as
 * `modules`, else the installed `@howdah/*` packages that have migrations.
 */
export async function discover(from: string): Promise<Discovery> {
  const folders = upwards(from);
  const config = folders.flatMap((folder) => configNames.map((name) => join(folder, name))).find(existsSync);
  if (config !== undefined) return readConfig(config);

  const failures = new Map<string, unknown>();
  const modules = new Map<string, Module>();
  for (const [name, folder] of [...installedPackages(folders)].sort(([a], [b]) => (a < b ? -1 : 1))) {
    try {
      const loaded = (await import(pathToFileURL(join(folder, entryOf(folder))).href)) as Record<string, unknown>;
      for (const module of Object.values(loaded).filter(isModule)) modules.set(module.name, module);
    } catch (error) {
      failures.set(name, error);
    }
  }
  modules.delete(coreModule.name);
  return { modules: [...modules.values()], failures };
}

/**
 * Picks modules by name, in the order in which they were found.
 *
 * @param names undefined for all of them
 * @throws {UsageError} with the nearest name, if one is unknown
 * @throws {CommandError} `module_unloadable`
 */
export function pick({ modules, failures }: Discovery, names: readonly string[] | undefined): Module[] {
  const isMeant = (name: string): boolean =>
    names === undefined || !name.startsWith("@") || names.some((one) => name.endsWith(`/${one}`));
  const broken = [...failures].find(([name]) => isMeant(name));
  if (broken) {
    const [name, cause] = broken;
    throw new CommandError("module_unloadable", `${name} cannot be loaded: ${(cause as Error).message}`, {
      hint: names === undefined ? "Mend or remove it, or name the modules that you mean with --module" : undefined,
      cause,
    });
  }
  if (names === undefined) {
    if (modules.length > 0) return [...modules];
    throw new UsageError(
      "no module is installed here",
      "Install one, such as `npm install @howdah/queue`, or export `modules` from howdah.config.ts",
    );
  }
  for (const name of names) moduleNamed(modules, name);
  return modules.filter((module) => names.includes(module.name));
}

/** One module, or `howdah` itself, by its name. */
export function moduleNamed(modules: readonly Module[], name: string): Module {
  const all = [coreModule, ...modules];
  const module = all.find((one) => one.name === name);
  if (module) return module;
  throw unknownName(
    "module",
    name,
    all.map((one) => one.name),
  );
}

async function readConfig(path: string): Promise<Discovery> {
  try {
    const { modules } = (await import(pathToFileURL(path).href)) as { modules?: unknown };
    if (Array.isArray(modules) && modules.every(isModule)) return { modules, failures: new Map() };
    throw new CommandError("config_invalid", "it must export `modules`, a list of what defineModule returned");
  } catch (error) {
    return { modules: [], failures: new Map([[path, error]]) };
  }
}

/** A folder and those above it. */
function upwards(folder: string): string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...upwards(parent)];
}

/** The folders of installed `@howdah/*` packages with migrations, by name; the nearest of each name. */
function installedPackages(folders: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const folder of folders) {
    const scope = join(folder, "node_modules", "@howdah");
    const names = existsSync(scope) ? readdirSync(scope).map((name) => `@howdah/${name}`) : [];
    for (const name of names) keep(name, join(folder, "node_modules", name));
    for (const name of dependencies(folder)) {
      if (!found.has(name)) keep(name, resolved(folder, name));
    }
  }
  return found;

  function keep(name: string, folder: string | undefined): void {
    if (folder === undefined || found.has(name) || !existsSync(join(folder, "sql", "migrations"))) return;
    found.set(name, folder);
  }
}

interface PackageJson {
  main?: string;
  exports?: unknown;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

const readPackageJson = (folder: string): PackageJson =>
  JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as PackageJson;

function dependencies(folder: string): string[] {
  if (!existsSync(join(folder, "package.json"))) return [];
  const { dependencies = {}, devDependencies = {} } = readPackageJson(folder);
  return Object.keys({ ...dependencies, ...devDependencies }).filter((name) => name.startsWith("@howdah/"));
}

/** Where a dependency is that is not in a `node_modules` folder, as with Yarn's Plug'n'Play. */
function resolved(folder: string, name: string): string | undefined {
  try {
    return dirname(createRequire(join(folder, "package.json")).resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}

/** The file that `import` of a package loads, so that a module shares its copy of core with this program. */
function entryOf(folder: string): string {
  const { main = "index.js", exports } = readPackageJson(folder);
  let entry: unknown = (exports as Record<string, unknown> | undefined)?.["."] ?? exports;
  while (typeof entry === "object" && entry !== null) {
    const conditions = entry as Record<string, unknown>;
    entry = conditions.import ?? conditions.node ?? conditions.default;
  }
  return typeof entry === "string" ? entry : main;
}

const isModule = (value: unknown): value is Module => {
  const { name, fingerprint, files } = (value ?? {}) as Partial<Module>;
  return typeof name === "string" && typeof fingerprint === "string" && Array.isArray(files);
};
