import { randomBytes } from "node:crypto";
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, statfsSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Binaries, program, serverUser } from "./binaries.ts";
import { supervise } from "./supervise.ts";

/** A server of this machine that has come up. */
export interface LocalServer {
  port: number;
  folder: string;
  url: string;
  stop(): Promise<void>;
}

/** Where a server may lie. */
export interface Place {
  port?: number | undefined;
  /** A folder to keep; else a temporary one. */
  folder?: string | undefined;
  /** A temporary folder on disk, even where memory would do. */
  onDisk?: boolean;
}

/**
 * Starts a server in a new folder, or in one that is kept. Only this machine reaches it, and only with the password in its
 * url: other users of the machine must not become superuser of a server that runs as you.
 */
export async function startLocal(
  binaries: Binaries,
  settings: Readonly<Record<string, string>>,
  place: Place,
  tries = 3,
): Promise<LocalServer> {
  const port = place.port ?? (await freePort());
  const folder = place.folder ? resolve(place.folder) : temporaryFolder(place.onDisk ?? false);
  const data = join(folder, "data");
  const secret = join(folder, "password");
  const isNew = !existsSync(join(data, "PG_VERSION"));
  if (isNew) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(secret, randomBytes(12).toString("hex"), { mode: 0o600 });
    giveToServer(folder, secret);
  }
  const url = `postgres://postgres:${readFileSync(secret, "utf8")}@127.0.0.1:${port}/postgres`;
  const initdb = [
    program(binaries, "initdb"),
    ...["-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", secret],
    ...["-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"],
  ];
  const server = [
    program(binaries, "postgres"),
    ...["-D", data, "-p", String(port), "-k", process.platform === "win32" ? "" : folder],
    ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ];
  try {
    const { stop } = await supervise({
      setup: isNew ? [initdb] : [],
      server,
      ready: "ready to accept connections",
      signal: place.folder ? "SIGINT" : "SIGQUIT", // after a last checkpoint, or at once if nothing is kept
      folder,
      keep: place.folder !== undefined,
      user: serverUser,
    });
    return { port, folder, url, stop };
  } catch (error) {
    const isTaken = String(error).includes("could not create any TCP/IP sockets"); // since freePort looked
    if (!isTaken || place.port || tries === 1) throw error;
    return startLocal(binaries, settings, place, tries - 1);
  }
}

/**
 * A new folder. Copying a database makes some hundred files, which takes 15 ms in memory and may take 600 ms on a busy disk:
 * so it lies in memory where there is enough of that, unless `TMPDIR` asks for another place.
 */
export function temporaryFolder(onDisk: boolean): string {
  const hasMemory = !onDisk && !process.env.TMPDIR && freeBytes("/dev/shm") >= 2 ** 31;
  return mkdtempSync(join(hasMemory ? "/dev/shm" : tmpdir(), "howdah-pg-"));
}

function freeBytes(folder: string): number {
  if (process.platform !== "linux" || !existsSync(folder)) return 0;
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** Lets the user that runs the server own these paths. */
export function giveToServer(...paths: string[]): void {
  const { uid, gid } = serverUser;
  if (uid === undefined || gid === undefined) return;
  for (const path of paths) chownSync(path, uid, gid);
}

/** A port that nobody listened on a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const probe = createServer();
    probe.once("error", failed);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => found(typeof address === "object" && address ? address.port : 0));
    });
  });
}
