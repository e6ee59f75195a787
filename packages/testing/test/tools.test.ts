import pg from "pg";
import { beforeAll, describe, expect, test } from "vitest";
import { explain, hasPgBouncer, nodeTypes, planNodes, pooler, type TestDatabase, testDatabase } from "../src/index.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await db.query(`create table public.numbers as select n, n % 7 as rest from generate_series(1, 10000) n`);
  await db.query("create unique index numbers_n_idx on public.numbers (n)");
  await db.query("analyze public.numbers");
  return () => db.close();
});

describe("explain", () => {
  test("tells which nodes and which index a statement would use", async () => {
    const plan = await explain(db, "select * from public.numbers where n = $1", [42]);
    expect(nodeTypes(plan)).toEqual(["Index Scan"]);
    expect(plan["Index Name"]).toBe("numbers_n_idx");
  });

  test("lists the nodes from the top down, on any connection", async () => {
    const client = await db.client();
    await client.query("set enable_hashagg = off; set max_parallel_workers_per_gather = 0");
    const plan = await explain(client, "select rest, count(*) from public.numbers group by rest");
    expect(nodeTypes(plan)).toEqual(["Aggregate", "Sort", "Seq Scan"]);
    expect(planNodes(plan).at(-1)?.["Relation Name"]).toBe("numbers");
  });

  test("with analyze tells what really happened", async () => {
    const plan = await explain(db, "select * from public.numbers where rest = $1", [3], { analyze: true });
    expect(plan["Actual Rows"]).toBe(1429);
  });
});

describe.skipIf(!hasPgBouncer)("pooler (needs PgBouncer on the path)", () => {
  test("lends a server connection for one transaction, so that session state does not stay with its client", async () => {
    await using pooled = await pooler(db, { mode: "transaction" });
    const clients = Array.from({ length: 12 }, () => new pg.Client(pooled?.url));
    await Promise.all(clients.map((client) => client.connect()));
    const pids = await Promise.all(
      clients.map(async (client) => (await client.query("select pg_backend_pid() as pid")).rows[0].pid),
    );
    expect(new Set(pids).size).toBeLessThanOrEqual(4);
    await Promise.all(clients.map((client) => client.end()));
  });

  test("works for a role, and refuses a wrong password", async () => {
    const app = await db.role("app");
    await using pooled = await pooler(app, { mode: "session" });
    const client = new pg.Client(pooled?.url);
    await client.connect();
    expect((await client.query("select current_user::text as name")).rows).toEqual([{ name: app.name }]);
    await client.end();
    const wrong = new URL(pooled?.url ?? "");
    wrong.password = "wrong";
    await expect(new pg.Client(wrong.href).connect()).rejects.toThrow();
  });
});
