// What breaks while a worker runs: its connections, its answers, its process.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Database, Driver, OwnConnection } from "@howdah/core";
import { hasPgBouncer, pooler, type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createQueue, defineQueue, type Job, queueModule } from "../src/index.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
  await db.query("create table effects (namespace text, value jsonb)");
});
afterAll(() => db[Symbol.asyncDispose]());

let tenants = 0;
const tenant = (): string => `tenant${++tenants}`;
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

const left = async (namespace: string): Promise<number> =>
  (await db.pool.query("select from queue.jobs where namespace = $1", [namespace])).rows.length;

/** Ends the backends of this database whose last statement looks like this. */
async function terminate(pattern: string): Promise<number> {
  const { rows } = await db.pool.query(
    `select pg_terminate_backend(pid, 60000) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and query ~ $1`,
    [pattern],
  );
  return rows.length;
}

/** The same database, whose lanes lose the answers to some exchanges after they were committed. */
function losingAnswers(isLost: (exchange: number) => boolean): Database {
  let exchanges = 0;
  const losing = (connection: OwnConnection): OwnConnection => ({
    ...connection,
    async query<R>(query: Parameters<OwnConnection["query"]>[0], values?: unknown[]) {
      const result = await connection.query<R>(query, values);
      const isExchange = typeof query === "object" && query.text.includes("queue.exchange");
      if (isExchange && isLost(++exchanges)) throw new Error("Connection terminated unexpectedly");
      return result;
    },
  });
  const driver: Driver = { ...db.driver, open: async () => losing(await db.driver.open()) };
  return Object.assign(Object.create(db) as Database, { driver });
}

test("lanes whose backends are terminated go on with new connections and lose nothing", async () => {
  const namespace = tenant();
  const queue = createQueue(db, { namespace });
  await queue.pushBatch("mail", numbers(3000));
  const seen = new Set<unknown>();
  await using worker = queue.worker(
    {
      mail: async (job) => {
        await new Promise((resolve) => setImmediate(resolve));
        seen.add(job.payload);
      },
    },
    { prefetch: 50, concurrency: 5 },
  );
  worker.on("worker:error", () => {}); // an idle lane is replaced in silence
  await worker.start();
  await expect.poll(() => seen.size).toBeGreaterThan(300);
  expect(await terminate("queue.exchange")).toBeGreaterThan(0);
  await expect.poll(() => left(namespace)).toBe(0);
  expect(seen.size).toBe(3000);
});

test("answers that are lost after their commit lose no job, and a repeated acknowledgement is no loss", async () => {
  const namespace = tenant();
  const queue = createQueue(
    losingAnswers((exchange) => exchange % 3 === 0 && exchange < 20),
    { namespace },
  );
  await queue.pushBatch("mail", numbers(500));
  const seen = new Set<unknown>();
  const lost: Job[] = [];
  await using worker = queue.worker({ mail: (job) => void seen.add(job.payload) }, { prefetch: 20 });
  const errors: unknown[] = [];
  worker.on("worker:error", (error) => errors.push(error));
  worker.on("job:lost", (job) => lost.push(job));
  await worker.start();
  await expect.poll(() => left(namespace)).toBe(0);
  expect(seen.size).toBe(500);
  expect(lost).toEqual([]);
  expect(errors).not.toEqual([]);
});

/** The backend that holds a queue's bell, if there is one: the listener of a worker that sleeps. */
async function sleeper(): Promise<number | undefined> {
  const { rows } = await db.pool.query<{ pid: number }>(
    `select pid from pg_locks where locktype = 'advisory' and granted
       and database = (select oid from pg_database where datname = current_database())`,
  );
  return rows.length === 1 ? rows[0]?.pid : undefined;
}

/** Waits until a worker sleeps, on another backend than one before. */
async function asleep(before?: number): Promise<number> {
  let now: number | undefined;
  const isAsleep = async (): Promise<boolean> => {
    now = await sleeper();
    return now !== undefined && now !== before;
  };
  await expect.poll(isAsleep).toBe(true);
  return now as number;
}

test("a listener whose backend is terminated listens again and hears the next push", async () => {
  const namespace = tenant();
  const queue = createQueue(db, { namespace, queues: { mail: defineQueue("mail") } });
  await queue.sync();
  await using worker = queue.worker({ mail: () => {} }, { pollInterval: "1h", tick: false });
  worker.on("worker:error", () => {});
  await worker.start();
  const before = await asleep();
  await db.query("select pg_terminate_backend($1, 60000)", [before]);
  await asleep(before);
  const completed = new Promise<Job>((resolve) => worker.once("job:complete", resolve));
  await queue.push("mail", 1);
  expect(await completed).toMatchObject({ payload: 1 });
});

test("pushes ring while the only worker sleeps, and are silent once it is busy", async () => {
  const namespace = tenant();
  const queue = createQueue(db, { namespace, queues: { mail: defineQueue("mail") } });
  await queue.sync();
  const heard: string[] = [];
  const { rows } = await db.query<{ channel: string }>("select queue.channel_name($1, 'mail') as channel", [namespace]);
  await using foreign = await db.subscribe(rows[0]?.channel ?? "", {
    onMessage: (payload) => heard.push(payload),
    onGap: () => {},
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  await using worker = queue.worker({ mail: () => promise }, { pollInterval: "1h", tick: false, concurrency: 2 });
  await worker.start();
  await asleep();
  await queue.push("mail", 1);
  await expect.poll(() => heard.length).toBe(1);
  const sleeperAfterPushes = async () => {
    await db.transaction(async (tx) => {
      for (const i of numbers(5)) await queue.using(tx).push("mail", i); // which ring all at once
    });
    return sleeper();
  };
  await expect.poll(sleeperAfterPushes).toBeUndefined();
  await foreign.query("select 1"); // brings what was notified before
  const rung = heard.length;
  await queue.push("mail", "silent");
  const last = new Promise<void>((done) => {
    worker.on("job:complete", (job) => {
      if (job.payload === "silent") done();
    });
  });
  resolve();
  await last;
  await foreign.query("select 1");
  expect(heard).toHaveLength(rung);
  await foreign.stop();
});

test("a worker that cannot reach the database when it starts says so", async () => {
  const queue = createQueue("postgres://nobody@127.0.0.1:1/nothing", { namespace: "acme" });
  await expect(queue.worker({ mail: () => {} }).start()).rejects.toMatchObject({ code: "connection_failed" });
});

test("a killed process loses nothing, and effects in ctx.tx happen exactly once", async () => {
  const namespace = tenant();
  const queue = createQueue(db, { namespace });
  await queue.pushBatch("mail", numbers(400));
  const script = fileURLToPath(new URL("fixtures/worker-process.ts", import.meta.url));
  const url = new URL(db.url);
  url.searchParams.set("application_name", "killed");
  const child = spawn(process.execPath, [script, url.href, namespace], { stdio: ["ignore", "pipe", "inherit"] });
  let completed = 0;
  await new Promise<void>((resolve) => {
    child.stdout.on("data", (dots: Buffer) => {
      completed += dots.length;
      if (completed > 50) resolve();
    });
  });
  child.kill("SIGKILL");
  await once(child, "exit");
  // The server still ends what the process last asked for.
  const connections = () => db.query("select from pg_stat_activity where application_name = 'killed'");
  await expect.poll(async () => (await connections()).rows).toEqual([]);
  const remaining = await left(namespace);
  expect(remaining).toBeGreaterThan(0);
  // A deadline that is moved by hand stands for the time that would pass.
  await db.query(
    "update queue.jobs set visibility_timeout_at = now() - interval '1 second' where namespace = $1 and status = 'running'",
    [namespace],
  );
  await using worker = queue.worker({
    mail: (job, context) =>
      context.tx(async (tx) => {
        await tx.query("insert into effects values ($1, $2::jsonb)", [namespace, JSON.stringify(job.payload)]);
      }),
  });
  await worker.start();
  await expect.poll(() => left(namespace)).toBe(0);
  const { rows } = await db.pool.query<{ value: number }>(
    "select value from effects where namespace = $1 order by value::int",
    [namespace],
  );
  expect(rows.map((row) => row.value)).toEqual(numbers(400));
});

test.skipIf(!hasPgBouncer)("a worker works behind PgBouncer in transaction mode (needs pgbouncer)", async () => {
  const namespace = tenant();
  await using bouncer = await pooler(db, { mode: "transaction" });
  const queue = createQueue(bouncer?.url ?? "", { namespace, listen: false });
  await queue.pushBatch("mail", numbers(300));
  const seen = new Set<unknown>();
  const worker = queue.worker({ mail: async (job) => void seen.add(job.payload) });
  const errors: unknown[] = [];
  worker.on("worker:error", (error) => errors.push(error));
  await worker.run({ until: "empty" });
  expect(seen.size).toBe(300);
  expect(errors).toEqual([]);
  expect(await left(namespace)).toBe(0);
});
