import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { testDatabase } from "@howdah/testing";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { libraryModule } from "./fixture/library.ts";
import { ended, howdah, start } from "./support.ts";

const db = await testDatabase({ modules: [libraryModule] });
afterAll(() => db.close());

const changed = (change: (url: URL) => void): string => {
  const url = new URL(db.url);
  change(url);
  return url.href;
};

test("a database that does not exist ends with 5 and what to do", async () => {
  const { code, stdout, stderr } = await howdah(["status"], { url: changed((url) => (url.pathname = "/nowhere")) });
  expect({ code, stdout }).toEqual({ code: 5, stdout: "" });
  expect(stderr).toBe(
    'error: the database cannot be reached: database "nowhere" does not exist\n' +
      "hint: Create the database first, or check its name in --url, DATABASE_URL or PGDATABASE\n",
  );
});

test("a wrong password ends with 5 and is not echoed, not even for debugging", async () => {
  const url = changed((one) => (one.password = "hunter2"));
  for (const env of [{}, { HOWDAH_DEBUG: "1" }]) {
    const { code, stdout, stderr } = await howdah(["status", "--url", url], { env });
    expect(code).toBe(5);
    expect(stderr).toContain("password authentication failed");
    expect(stdout + stderr).not.toContain("hunter2");
  }
});

test("a password in a mistyped option is not echoed either", async () => {
  const { code, stderr } = await howdah(["status", "--ulr=postgres://ann:hunter2@host/db?password=hunter2"]);
  expect(code).toBe(2);
  expect(stderr).not.toContain("hunter2");
});

test("a url that is none is wrong usage, and is not echoed", async () => {
  const { code, stderr } = await howdah(["status", "--url", "postgres://ann:hunter2@ho st:99999999/db"]);
  expect(code).toBe(2);
  expect(stderr).toContain("the url of the database cannot be read");
  expect(stderr).not.toContain("hunter2");
});

test("a server that is not there ends with 5", async () => {
  const { code, stderr } = await howdah(["status"], { url: "postgres://ann@127.0.0.1:1/db" });
  expect(code).toBe(5);
  expect(stderr).toContain("ECONNREFUSED");
});

/** A server that accepts connections and says nothing. */
async function silentServer(): Promise<{ server: Server; url: string }> {
  const server = createServer(() => {}).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { server, url: `postgres://ann@127.0.0.1:${port}/db` };
}

test("a server that never answers ends with 1 or 5 after --timeout", async () => {
  const { url } = await silentServer();
  const { code } = await howdah(["status", "--timeout", "300ms"], { url });
  expect([1, 5]).toContain(code);
});

test("a server that never answers ends with 130 on ctrl-C", async () => {
  const { server, url } = await silentServer();
  const child = start(["status"], { url });
  const done = ended(child);
  await once(server, "connection");
  child.kill("SIGINT");
  expect((await done).code).toBe(130);
});

test("PGHOST, PGDATABASE and so on serve where there is no url", async () => {
  const url = new URL(db.url);
  const env = {
    PGHOST: url.hostname,
    PGPORT: url.port,
    PGUSER: url.username,
    PGPASSWORD: decodeURIComponent(url.password),
    PGDATABASE: url.pathname.slice(1),
  };
  expect((await howdah(["status"], { env })).code).toBe(0);
});

test("--url wins over DATABASE_URL", async () => {
  expect((await howdah(["status", "--url", db.url], { url: "postgres://ann@127.0.0.1:1/db" })).code).toBe(0);
});

/** How many connections run a statement of that text. */
async function running(text: string): Promise<number> {
  const { rows } = await db.query(
    "select 1 from pg_stat_activity where query like $1 and state = 'active' and pid <> pg_backend_pid()",
    [`%${text}%`],
  );
  return rows.length;
}

test("ctrl-C cancels the statement that runs, and ends with 130", async () => {
  const child = start(["library", "sleep"], db);
  const done = ended(child);
  await expect.poll(() => running("pg_sleep(60)")).toBe(1);
  child.kill("SIGINT");
  expect(await done).toEqual({ code: 130, stdout: "", stderr: "Interrupted\n" });
  expect(await running("pg_sleep(60)")).toBe(0);
});

test("--timeout does the same, and ends with 1", async () => {
  const { code, stderr } = await howdah(["library", "sleep", "--timeout", "1s"], db);
  expect(code).toBe(1);
  expect(stderr).toBe("error: gave up after 1s\n");
});

test("ctrl-C during a migration leaves the module as it was", async () => {
  await using own = await testDatabase();
  await howdah(["migrate", "--module", "howdah"], own);
  const [blocker] = await own.clients(1);
  await blocker?.query("begin; lock table howdah.modules in access exclusive mode");
  const child = start(["migrate", "--lock-timeout", "1h"], own);
  const done = ended(child);
  const waiters = () =>
    own.query("select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()");
  await expect.poll(async () => (await waiters()).rows.length).toBe(1);
  child.kill("SIGINT");
  const { code, stderr } = await done;
  expect({ code, stderr }).toEqual({ code: 130, stderr: "Interrupted\n" });
  await blocker?.query("rollback");
  expect((await own.query("select 1 from pg_namespace where nspname = 'library'")).rows).toEqual([]);
});

test("HOWDAH_DEBUG shows where an error comes from", async () => {
  const { stderr } = await howdah(["sql", "libary"], { env: { HOWDAH_DEBUG: "1" } });
  expect(stderr).toContain("    at ");
});
