import { type AddressInfo, connect as connectTo, createServer, type Socket } from "node:net";
import { PGlite } from "@electric-sql/pglite";
import { hasPgBouncer, pooler, type TestDatabase, testDatabase } from "@howdah/testing";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { OwnConnection } from "../src/driver.ts";
import {
  ConnectionError,
  connect,
  type Database,
  PoolerError,
  type Queryable,
  type Subscription,
} from "../src/index.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.close());

/** Collects what a subscription hears, and lets a test wait for it. */
function ear() {
  const messages: string[] = [];
  const gaps: string[] = [];
  const errors: unknown[] = [];
  return {
    messages,
    gaps,
    errors,
    onMessage: (payload: string) => void messages.push(payload),
    onGap: (reason: string) => void gaps.push(reason),
    onError: (error: unknown) => void errors.push(error),
  };
}
const notify = (channel: string, payload: string) => db.query("select pg_notify($1, $2)", [channel, payload]);

test("a subscriber hears of the gap first, and then every message of its channel", async () => {
  const own = connect(db.url);
  const heard = ear();
  await own.subscribe("orders", {
    ...heard,
    onMessage: (payload) => {
      expect(heard.gaps).toEqual(["connected"]);
      heard.onMessage(payload);
    },
  });
  await notify("other", "no");
  await notify("orders", "1");
  await notify("orders", "2");
  await expect.poll(() => heard.messages).toEqual(["1", "2"]);
  await own.close();
});

test("10,000 notifications arrive complete and in order", async () => {
  const own = connect(db.url);
  const heard = ear();
  await own.subscribe("many", heard);
  await db.query("select pg_notify('many', i::text) from generate_series(1, 10000) i");
  await expect.poll(() => heard.messages.length).toBe(10_000);
  expect(heard.messages.at(-1)).toBe("10000");
  await own.close();
});

test("subscriptions share one connection and end one by one", async () => {
  const own = connect(db.url);
  const [a, b, twin] = [ear(), ear(), ear()];
  const first = await own.subscribe("a", a);
  await own.subscribe("b", b);
  const second = await own.subscribe("a", twin);
  const pids = await Promise.all([first, second].map(pidOf));
  expect(new Set(pids).size).toBe(1);
  await first.stop();
  await notify("a", "after");
  await expect.poll(() => twin.messages).toEqual(["after"]);
  expect(a.messages).toEqual([]);
  await own.close();
  const backends = () => db.query("select 1 from pg_stat_activity where pid = $1", [pids[0]]);
  await expect.poll(async () => (await backends()).rows).toEqual([]);
});

const pidOf = async (subscription: Subscription): Promise<number | undefined> =>
  (await subscription.query<{ pid: number }>("select pg_backend_pid() as pid")).rows[0]?.pid;

test("a killed listener connects again, tells of the gap, and hears what comes after", async () => {
  const own = connect(db.url);
  const heard = ear();
  const subscription = await own.subscribe("orders", heard);
  const before = await pidOf(subscription);
  await db.query("select pg_terminate_backend($1)", [before]);
  await expect.poll(() => heard.gaps).toEqual(["connected", "reconnected"]);
  await notify("orders", "after");
  await expect.poll(() => heard.messages).toEqual(["after"]);
  expect(heard.errors.length).toBeGreaterThan(0);
  expect(await pidOf(subscription)).not.toBe(before);
  await own.close();
});

test.each([
  ["as soon as it hears that its connection is lost", (stop: () => void) => stop()],
  ["while it reconnects", (stop: () => void) => void setImmediate(stop)],
])("a listener stopped %s stays stopped", async (_when, soon) => {
  const own = connect(db.url);
  const heard = ear();
  const closed = new Promise<void>((resolve) => {
    const onError = () => soon(() => resolve(own.close()));
    void own.subscribe("orders", { ...heard, onError }).then(async (subscription) => {
      await db.query("select pg_terminate_backend($1)", [await pidOf(subscription)]);
    });
  });
  await closed;
  const listeners = () =>
    db.query(
      "select 1 from pg_stat_activity where query ~ 'howdah_echo' and pid <> pg_backend_pid() and datname = $1",
      [db.name],
    );
  await expect.poll(async () => (await listeners()).rows).toEqual([]);
  expect(heard.gaps).toEqual(["connected"]);
});

test("a heartbeat moves confirmedAt on", async () => {
  const own = connect(db.url);
  const subscription = await own.subscribe("orders", ear(), { heartbeat: 20 });
  const before = subscription.confirmedAt;
  await expect.poll(() => subscription.confirmedAt.getTime()).toBeGreaterThan(before.getTime());
  await own.close();
});

test("a shorter heartbeat counts from when it is asked for", async () => {
  const own = connect(db.url);
  await own.subscribe("orders", ear());
  const subscription = await own.subscribe("orders", ear(), { heartbeat: 20 });
  const before = subscription.confirmedAt;
  await expect.poll(() => subscription.confirmedAt.getTime()).toBeGreaterThan(before.getTime());
  await own.close();
});

test.each([
  ["the last subscription", []],
  ["the last subscription of the channel", ["another"]],
])("one that starts while %s stops hears everything", async (_what, others) => {
  const own = connect(db.url);
  for (const channel of others) await own.subscribe(channel, ear());
  const [late, later] = [ear(), ear()];
  const first = await own.subscribe("orders", ear());
  const stopping = first.stop();
  const second = await own.subscribe("orders", late);
  await stopping;
  await notify("orders", "1");
  await expect.poll(() => late.messages).toEqual(["1"]);

  const starting = own.subscribe("orders", later);
  await second.stop();
  await starting;
  await notify("orders", "2");
  await expect.poll(() => later.messages).toEqual(["2"]);
  await own.close();
});

test("no message comes before the gap of a reconnect, and confirmedAt stands still until then", async () => {
  const own = connect(db.url);
  const heard: string[] = [];
  const confirmed = (): number => subscription.confirmedAt.getTime();
  const subscription = await own.subscribe("orders", {
    onMessage: (payload) => heard.push(payload),
    onGap: (reason) => heard.push(reason === "connected" ? reason : `${reason} ${confirmed() === before}`),
  });
  const before = confirmed();
  await db.query("select pg_terminate_backend($1)", [await pidOf(subscription)]);
  const heardAfterOneMore = async () => {
    await notify("orders", "message");
    return heard;
  };
  await expect.poll(heardAfterOneMore).toContain("message");
  expect(heard.slice(0, 3)).toEqual(["connected", "reconnected true", "message"]);
  expect(confirmed()).toBeGreaterThan(before);
  await own.close();
});

test("statements on the listening connection wait for each other", async () => {
  const own = connect(db.url);
  const warnings: Error[] = [];
  const warned = (warning: Error): void => void warnings.push(warning);
  process.on("warning", warned);
  const subscription = await own.subscribe("orders", ear());
  await Promise.all([1, 2, 3].map((n) => subscription.query("select $1::int", [n])));
  await own.close();
  process.off("warning", warned);
  expect(warnings).toEqual([]);
});

test("a stopped subscription runs no statement", async () => {
  const own = connect(db.url);
  const subscription = await own.subscribe("orders", ear());
  await subscription.stop();
  await expect(subscription.query("select 1")).rejects.toMatchObject({ code: "subscription_stopped" });
  await own.close();
});

test("a handler that throws reaches its own onError and no other subscriber", async () => {
  const own = connect(db.url);
  const [broken, fine] = [ear(), ear()];
  const failure = new Error("handler");
  await own.subscribe("orders", {
    ...broken,
    onMessage: () => {
      throw failure;
    },
  });
  await own.subscribe("orders", fine);
  await notify("orders", "x");
  await expect.poll(() => fine.messages).toEqual(["x"]);
  expect(broken.errors).toEqual([failure]);
  await own.close();
});

test("a channel may have quotes in its name", async () => {
  const own = connect(db.url);
  const heard = ear();
  await own.subscribe(`o"dd 'channel'`, heard);
  await notify(`o"dd 'channel'`, "x");
  await expect.poll(() => heard.messages).toEqual(["x"]);
  await own.close();
});

test.each(["", "x".repeat(64), "ä".repeat(32)])(
  "the channel %j is refused before anything is sent",
  async (channel) => {
    await expect(db.subscribe(channel, ear())).rejects.toMatchObject({ code: "channel_invalid" });
  },
);

test("PGlite notifies in process", async () => {
  await using pglite = new PGlite();
  const lite = connect(pglite);
  const heard = ear();
  await lite.subscribe("orders", heard);
  await lite.query("select pg_notify('orders', 'x')");
  await expect.poll(() => heard.messages).toEqual(["x"]);
  await lite.close();
});

/** The same database, on whose own connections statements are run by `query`. */
function through(query: (connection: OwnConnection, text: string, values?: unknown[]) => Promise<unknown>): Database {
  const own = connect(db.pool);
  const open = async (): Promise<OwnConnection> => {
    const connection = await db.driver.open();
    return { ...connection, query: ((text: string, values) => query(connection, text, values)) as Queryable["query"] };
  };
  Object.assign(own.driver, { open });
  return own;
}

test("an echo that is late does not make the server pass for a pooler", async () => {
  let echo = (): Promise<unknown> => Promise.resolve();
  const own = through(async (connection, text, values) => {
    if (text === "select 1") await echo();
    if (!text.includes("pg_notify")) return connection.query(text, values);
    echo = () => connection.query(text, values);
    return { rows: [] };
  });
  const heard = ear();
  await own.subscribe("orders", heard);
  expect(heard).toMatchObject({ gaps: ["connected"], errors: [] });
  await own.close();
});

test("a process that is held up for longer than an echo may take hears it nonetheless", async () => {
  const own = through(async (connection, text, values) => {
    const answer = connection.query(text, values);
    if (text.includes("pg_notify")) {
      await new Promise<void>((isOnItsWay) => process.nextTick(isOnItsWay));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 6000);
    }
    return answer;
  });
  const heard = ear();
  await own.subscribe("orders", heard);
  expect(heard).toMatchObject({ gaps: ["connected"], errors: [] });
  await own.close();
});

const bouncerTest = `${hasPgBouncer ? "" : " (skipped: no pgbouncer on the path)"}`;
test.skipIf(!hasPgBouncer)(`a transaction pooler is found out, and direct goes round it${bouncerTest}`, async () => {
  const bouncer = await pooler(db, { mode: "transaction" });
  if (!bouncer) throw new Error("PgBouncer is on the path and did not start");
  const pooled = connect(bouncer.url);
  const error = await pooled.subscribe("orders", ear()).catch((e) => e);
  expect(error).toBeInstanceOf(PoolerError);
  expect(error.hint).toContain("direct");
  await pooled.close();

  const direct = connect(bouncer.url, { direct: db.url });
  const heard = ear();
  await direct.subscribe("orders", heard);
  await direct.query("select pg_notify('orders', 'x')");
  await expect.poll(() => heard.messages).toEqual(["x"]);
  await direct.close();
  await bouncer.stop();
});

test("a half-open connection is found by its heartbeat, and holds nobody up", async () => {
  const server = new URL(db.url);
  const port = Number(server.port);
  const sockets: Socket[] = [];
  const accepted: Socket[] = [];
  let isDead = false;
  const proxy = createServer({ allowHalfOpen: true }, (near) => {
    accepted.push(near);
    const far = connectTo({ port, host: server.hostname, allowHalfOpen: true });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.push(from);
      from.on("data", (chunk) => isDead || to.write(chunk)).on("end", () => isDead || to.end());
      from.on("error", () => {});
    }
  });
  await new Promise<void>((listening) => proxy.listen(0, "127.0.0.1", listening));
  server.port = String((proxy.address() as AddressInfo).port);
  const pool = new pg.Pool({ connectionString: server.href });
  const own = connect(pool);
  const heard = ear();
  await own.subscribe("orders", heard, { heartbeat: 50 });
  const before = accepted.length;
  pool.options.connectionTimeoutMillis = 1000; // of a reconnect that falls into the dead time; it is tried again
  isDead = true;
  await expect.poll(() => heard.errors[0]).toBeInstanceOf(ConnectionError);
  isDead = false;
  await expect.poll(() => heard.gaps).toEqual(["connected", "reconnected"]);
  expect(accepted.length).toBeGreaterThan(before);

  isDead = true;
  await own.close();
  await expect.poll(() => accepted.filter((socket) => !socket.readableEnded && !socket.destroyed)).toEqual([]);
  for (const socket of sockets) socket.destroy();
  proxy.close();
});

test("a server that cannot be reached is an error at once", async () => {
  const own = connect("postgres://127.0.0.1:1/nothing");
  await expect(own.subscribe("orders", ear())).rejects.toMatchObject({ code: "connection_failed" });
  await own.close();
});
