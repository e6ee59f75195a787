import { type PlanNode, planNodes, type TestDatabase, testDatabase } from "@howdah/testing";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { queueModule } from "../src/module.ts";
import { rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

const fill = (n: number, columns = "", values = ""): Promise<unknown> =>
  db.query(
    `insert into queue.jobs (namespace, queue, payload${columns}) select 't', 'q', '1'${values} from generate_series(1, $1) i`,
    [n],
  );

/** The plans of the statements that run inside a call, by the text of each. */
async function plansOf(client: pg.Client, sql: string): Promise<{ text: string; nodes: PlanNode[] }[]> {
  const logged: { text: string; nodes: PlanNode[] }[] = [];
  const read = ({ message }: { message?: string | undefined }): void => {
    const json = /plan:\n([\s\S]*)$/.exec(message ?? "")?.[1];
    if (!json) return;
    const { "Query Text": text, Plan: plan } = JSON.parse(json) as { "Query Text": string; Plan: PlanNode };
    logged.push({ text, nodes: planNodes(plan) });
  };
  await client.query(
    `load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;
     set auto_explain.log_analyze = on; set auto_explain.log_format = json; set client_min_messages = log`,
  );
  client.on("notice", read);
  await client.query(sql);
  client.off("notice", read);
  return logged;
}
const onJobs = (nodes: PlanNode[]): PlanNode[] =>
  nodes.filter((node) => node["Relation Name"] === "jobs" && node["Node Type"] !== "ModifyTable");

describe.each([
  ["a new table", 0],
  ["100,000 rows", 100_000],
])("with %s", (_, n) => {
  let client: pg.Client;
  beforeEach(async () => {
    if (n > 0) {
      await fill(n / 2);
      await fill(n / 4, ", phase, scheduled_at", ", 0, now() + i * interval '1 minute'");
      await fill(n / 4, ", phase, status, completed_at", ", 9, 'completed', now()");
      await db.query("vacuum analyze queue.jobs");
    }
    client = await db.client();
  });

  test("a claim reads jobs_pull_idx in order, writes by tuple id, and is one update", async () => {
    await fill(20);
    const plans = await plansOf(client, "select * from queue.pull_batch('t', 'q', 10)");
    const select = plans.find((plan) => plan.text.includes("for update skip locked"));
    expect(onJobs(select?.nodes ?? []).map((node) => [node["Node Type"], node["Index Name"]])).toEqual([
      ["Index Scan", "jobs_pull_idx"],
    ]);
    expect(select?.nodes.filter((node) => node["Node Type"].includes("Sort"))).toEqual([]);
    const updates = plans.filter((plan) => /^\s*update queue\.jobs/.test(plan.text));
    expect(updates.map((plan) => onJobs(plan.nodes).map((node) => node["Node Type"]))).toEqual([["Tid Scan"]]);
  });

  test("a claim with floors has the floor as an index condition", async () => {
    await fill(20);
    const plans = await plansOf(
      client,
      `select * from queue.pull_batch('t', 'q', 10, p_floors => '[{"priority": 0, "fair_seq": 0, "scheduled_at": "2000-01-01"}]')`,
    );
    const lane = plans.find((plan) => plan.text.includes("v_lane"))?.nodes ?? [];
    const [scan] = onJobs(lane);
    expect(scan).toMatchObject({ "Node Type": "Index Scan", "Index Name": "jobs_pull_idx" });
    expect(scan?.["Index Cond"]).toContain("ROW(fair_seq, scheduled_at) >=");
    expect(lane.filter((node) => node["Node Type"].includes("Sort"))).toEqual([]);
  });

  test("no call of a worker or its clock scans the whole table", async () => {
    await fill(20);
    await client.query("select queue.pull_batch('t', 'q', 5, 'w', '1 millisecond'), pg_sleep(0.005)");
    const calls = [
      "select queue.push('t', 'q', '1', p_unique_key => 'k')",
      "select queue.push_batch('t', 'q', array['1', '2']::jsonb[], p_unique_keys => array['k', 'l'])",
      "select queue.tick_timeouts('t')",
      "select queue.tick('t')",
      "select queue.tick()",
      "select queue.prune('t')",
      "select queue.exchange('t', 'q', 5, 'w', '1 minute', array[1, 2], array[1, 2], null, array[1])",
      "select queue.ack_batch('t', array_agg(id), array_agg(fence_token)) from (select id, fence_token from queue.pull_batch('t', 'q', 2)) j",
      "select queue.settle_batch('t', jsonb_agg(jsonb_build_object('id', id, 'fence', fence_token, 'outcome', 'nack'))) from queue.pull_batch('t', 'q', 2)",
      "select queue.ack('t', id, fence_token) from queue.pull('t', 'q')",
      "select queue.nack('t', id, fence_token) from queue.pull('t', 'q')",
      "select queue.fail('t', id, fence_token) from queue.pull('t', 'q')",
      "select queue.release('t', id, fence_token) from queue.pull('t', 'q')",
      "select queue.snooze('t', id, fence_token, '1 s') from queue.pull('t', 'q')",
      "select queue.release_jobs('t', 'w')",
      "select queue.heartbeat('t', 'w', array[1], array[1], '1 minute')",
      "select queue.pull_any('t', array['a', 'b', 'q'])",
    ];
    for (const sql of calls) {
      const plans = await plansOf(client, sql);
      const scans = plans.flatMap(({ text, nodes }) =>
        onJobs(nodes)
          .filter((node) => node["Node Type"] === "Seq Scan")
          .map(() => text),
      );
      expect(scans, sql).toEqual([]);
    }
  });

  test("neither the clock nor a list of running jobs reads what it does not need", async () => {
    await fill(20);
    await rows(db, "select * from queue.pull_batch('t', 'q', 10)");
    await db.query(
      `insert into queue.leases (namespace, expires_at, worker_id, job_ids)
       select 't', now() + interval '1 hour', 'w', array[-i] from generate_series(1, 20000) i`,
    );
    await db.query("analyze queue.leases");
    const ticks = await plansOf(client, "select * from queue.tick_timeouts('t')");
    const leases = ticks.flatMap(({ nodes }) => nodes.filter((node) => node["Relation Name"] === "leases"));
    expect(leases.map((node) => node["Index Name"])).toEqual(["leases_expiry_idx", "leases_expiry_idx"]);
    expect(leases.map((node) => node["Rows Removed by Filter"] ?? 0)).toEqual([0, 0]);
    await db.query("delete from queue.leases where lease_id % 100 > 0 and cardinality(job_ids) = 1");
    const list = await plansOf(client, "select * from queue.list_jobs('t', 'q', 'running')");
    expect(list.flatMap(({ nodes }) => onJobs(nodes).map((node) => node["Node Type"]))).toEqual([
      "Index Scan",
      "Index Scan",
    ]);
  });

  test("promoting and timing out read no more rows than they change", async () => {
    await fill(50, ", phase, scheduled_at", ", 0, now() - interval '1 minute'");
    const promotion = (await plansOf(client, "select * from queue.pull_batch('t', 'q', 10)")).find((plan) =>
      plan.text.includes("set phase = 1"),
    );
    const read = onJobs(promotion?.nodes ?? []).find((node) => node["Index Name"] === "jobs_delayed_idx");
    expect(read?.["Actual Rows"]).toBe(10);
    await db.query("update queue.jobs set visibility_timeout_at = clock_timestamp() where status = 'running'");
    const plans = await plansOf(client, "select * from queue.tick_timeouts('t')");
    for (const node of plans.flatMap((plan) => onJobs(plan.nodes))) {
      expect(Number(node["Actual Rows"]) * Number(node["Actual Loops"])).toBeLessThanOrEqual(40);
    }
  });
});

test("more than 95% of the updates of 10,000 claims are heap-only", async () => {
  for (let i = 0; i < 10; i++) await db.query("select queue.push_batch('t', 'q', array_fill('1'::jsonb, array[1000]))");
  const client = await db.client();
  await client.query("begin");
  for (let i = 0; i < 20; i++) {
    await client.query("select count(*) from queue.exchange('t', 'q', 500, $1, '1 minute', null, null)", [
      "app-server-3.example.com:48121:k3j5l2",
    ]);
  }
  const { rows: counted } = await client.query<{ updates: number; hot: number }>(
    `select n_tup_upd::int as updates, n_tup_hot_upd::int as hot
     from pg_stat_xact_user_tables where relid = 'queue.jobs'::regclass`,
  );
  await client.query("commit");
  const [stats] = counted;
  expect(stats?.updates).toBeGreaterThanOrEqual(10_000);
  expect((stats?.hot ?? 0) / (stats?.updates ?? 1)).toBeGreaterThan(0.95);
});

test("no index mentions a column that a claim changes", async () => {
  const volatile =
    "status|attempts|locked_by|locked_at|visibility_timeout_at|fence_token|updated_at|progress|cancel_requested_at";
  expect(
    await rows(
      db,
      "select indexdef from pg_indexes where schemaname = 'queue' and tablename = 'jobs' and indexdef ~ $1",
      [volatile],
    ),
  ).toEqual([]);
});

describe("while a transaction keeps vacuum away", () => {
  interface Plan {
    "Shared Hit Blocks": number;
    "Shared Read Blocks": number;
  }
  const cost = async (floors: string | null): Promise<number> => {
    const [row] = await rows<{ "QUERY PLAN": [{ Plan: Plan }] }>(
      db,
      "explain (analyze, buffers, format json) select * from queue.exchange('t', 'q', 10, 'w', '1 minute', null, null, p_floors => $1)",
      [floors],
    );
    const plan = row?.["QUERY PLAN"][0].Plan;
    return (plan?.["Shared Hit Blocks"] ?? 0) + (plan?.["Shared Read Blocks"] ?? 0);
  };

  test("a claim with floors is not slowed down by 100,000 finished jobs", async () => {
    const reader = await db.client();
    await reader.query("begin isolation level repeatable read; select count(*) from queue.jobs");
    await fill(100_000, ", scheduled_at", ", now() - interval '1 hour' + i * interval '1 millisecond'");
    await db.query("delete from queue.jobs");
    await fill(100);
    const floor = JSON.stringify([
      { priority: 0, fair_seq: 0, scheduled_at: await value(db, "select min(scheduled_at) from queue.jobs") },
    ]);
    await cost(floor);
    expect(await cost(floor)).toBeLessThan(300);
    expect(await cost(null)).toBeGreaterThan(2000);
    expect(
      (
        await rows(db, "select * from queue.exchange('t', 'q', 10, 'w', '1 minute', null, null, p_floors => $1)", [
          floor,
        ])
      ).length,
    ).toBe(10);
    await reader.query("commit");
  });
});
