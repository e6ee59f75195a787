import { type TestDatabase, type TestRole, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { queueModule } from "../src/module.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

/** The public functions whose first parameter is a tenant, each as a call with nothing but the tenant. */
const tenantFunctions = (): Promise<{ name: string; call: string }[]> =>
  rows(
    db,
    `select p.oid::regprocedure::text as name, format('select queue.%I(%s)', p.proname, concat_ws(', ', '$1', (
       select string_agg(format('null::%s', format_type(t, null)), ', ' order by place)
       from unnest(p.proargtypes[1:p.pronargs - 1]) with ordinality as a(t, place)
       where place < p.pronargs - p.pronargdefaults
     ))) as call
     from pg_proc p
     where p.pronamespace = 'queue'::regnamespace and p.proname !~ '^_' and p.proargnames[1] = 'p_namespace'
     order by 1`,
  );

test("a transaction that is pinned to one tenant cannot touch another by any function", async () => {
  const functions = await tenantFunctions();
  expect(functions.length).toBeGreaterThan(40);
  for (const { name, call } of functions) {
    const pinned = db.transaction(async (tx) => {
      await tx.query("select queue.set_tenant('a')");
      await tx.query(call, ["b"]);
    });
    await expect(pinned, name).rejects.toMatchObject({ code: "42501", constraint: "tenant_mismatch" });
  }
});

test("an id and a fence of one tenant are worth nothing in another", async () => {
  await db.query("select queue.push('a', 'q', '1')");
  const [job] = await rows<{ id: string; fence_token: string }>(db, "select * from queue.pull('a', 'q', 'w')");
  const values = [job?.id, job?.fence_token];
  for (const call of [
    "queue.ack('b', $1, $2)",
    "queue.ack_batch('b', array[$1::bigint], array[$2::bigint])",
    "queue.nack('b', $1, $2)",
    "queue.fail('b', $1, $2)",
    "queue.release('b', $1, $2)",
    "queue.snooze('b', $1, $2, '1 s')",
    "queue.extend_visibility('b', $1, $2, '1 s')",
    "queue.cancelled('b', $1, $2)",
  ]) {
    await refuses(value(db, `select ${call}`, values), "fence_stale 40001");
  }
  expect(await value(db, "select queue.release_jobs('b', 'w')")).toBe(0);
  expect(
    await rows(
      db,
      "select kind from queue.exchange('b', 'q', 0, 'w', null, array[$1::bigint], array[$2::bigint])",
      values,
    ),
  ).toEqual([{ kind: "lost" }]);
  expect(
    await rows(db, "select alive from queue.heartbeat('b', 'w', array[$1::bigint], array[$2::bigint], '1 s')", values),
  ).toEqual([{ alive: false }]);
  expect(await value(db, "select status from queue.jobs")).toBe("running");
});

describe("a plain role", () => {
  const counts = async (role: TestRole, tenant?: string): Promise<Record<string, number>> =>
    role.transaction(async (tx) => {
      if (tenant) await tx.query("select queue.set_tenant($1)", [tenant]);
      const [row] = await rows<Record<string, number>>(
        tx,
        `select (select count(*)::int from queue.jobs) as jobs, (select count(*)::int from queue.dead_letters) as dead,
           (select count(*)::int from queue.metrics) as metrics, (select count(*)::int from queue.metrics_default) as partition,
           (select count(*)::int from queue.config) as config`,
      );
      return row ?? {};
    });

  test("that may read sees the rows of the pinned tenant only, in partitions too, and the global settings", async () => {
    const role = await db.role("reader");
    await role.grant("queue", "read");
    for (const tenant of ["a", "b"]) {
      await db.query("select queue.push($1, 'q', '1')", [tenant]);
      await db.query("insert into queue.config (namespace) values ($1)", [tenant]);
      await db.query(
        `select queue.heartbeat($1, 'w', null, null, null, '[{"queue": "q", "bucket": "2000-01-01", "completed": 1}]')`,
        [tenant],
      );
    }
    expect(await counts(role)).toEqual({ jobs: 0, dead: 0, metrics: 0, partition: 0, config: 1 });
    expect(await counts(role, "a")).toEqual({ jobs: 1, dead: 0, metrics: 1, partition: 1, config: 2 });
    await role.query("select queue.assert_rls_active()");
    await refuses(db.query("select queue.assert_rls_active()"), "rls_not_active 55000");
  });

  test("that may write its tenant's settings may not change or delete the global ones", async () => {
    const role = await db.role("writer");
    await role.grant("queue", "read");
    await db.query(`grant insert, update, delete on queue.config to ${role.name}`);
    const changed = await role.transaction(async (tx) => {
      await tx.query("select queue.set_tenant('a')");
      await tx.query("insert into queue.config (namespace, default_max_attempts) values ('a', 9)");
      await tx.query("update queue.config set default_max_attempts = 1");
      await tx.query("delete from queue.config");
      return value(tx, "select count(*)::int from queue.config");
    });
    expect(changed).toBe(1);
    expect(await value(db, "select default_max_attempts from queue.config where namespace = 'global'")).toBe(3);
    await expect(
      role.transaction(async (tx) => {
        await tx.query("select queue.set_tenant('a')");
        await tx.query("insert into queue.config (namespace) values ('b')");
      }),
    ).rejects.toMatchObject({ code: "42501" });
  });

  test("that may write its tenant's settings may not write the global ones by that name either", async () => {
    const role = await db.role("global");
    await role.grant("queue", "read");
    await db.query(`grant insert, update, delete on queue.config to ${role.name}`);
    await role.transaction(async (tx) => {
      await tx.query("select queue.set_tenant('global')");
      await tx.query("update queue.config set default_max_attempts = 1");
      await tx.query("delete from queue.config");
    });
    expect(await value(db, "select default_max_attempts from queue.config where namespace = 'global'")).toBe(3);
  });

  test("without access may do nothing", async () => {
    const role = await db.role("nobody");
    for (const sql of ["select queue.push('a', 'q', '1')", "select * from queue.jobs", "select queue.get_stats('a')"]) {
      await expect(role.query(sql), sql).rejects.toMatchObject({ code: "42501" });
    }
  });

  test("may push as a producer and pull and settle as a consumer, and not the other way round", async () => {
    const producer = await db.role("producer");
    const consumer = await db.role("consumer");
    await producer.grant("queue", "producer");
    await consumer.grant("queue", "consumer");
    await producer.query("select queue.push('a', 'q', '1')");
    await producer.query("select queue.push_batch('a', 'q', array['1']::jsonb[])");
    const [job] = await rows<{ id: string; fence_token: string }>(consumer, "select * from queue.pull('a', 'q')");
    await consumer.query("select queue.ack('a', $1, $2)", [job?.id, job?.fence_token]);
    await consumer.query("select queue.tick('a')");
    const denied = { code: "42501" };
    await expect(producer.query("select queue.pull('a', 'q')")).rejects.toMatchObject(denied);
    await expect(consumer.query("select queue.push('a', 'q', '1')")).rejects.toMatchObject(denied);
    for (const role of [producer, consumer]) {
      for (const sql of ["select queue.purge_queue('a', 'q')", "select queue.prune('a')", "select * from queue.jobs"]) {
        await expect(role.query(sql), sql).rejects.toMatchObject(denied);
      }
    }
  });

  test("works on all tenants only with the right to, and never while pinned", async () => {
    const user = await db.role("user");
    const admin = await db.role("admin");
    await user.grant("queue", "use");
    await admin.grant("queue", "admin");
    for (const sql of ["select queue.tick()", "select queue.tick_timeouts()"]) {
      await refuses(user.query(sql), "all_namespaces_requires_bypass 42501");
      await admin.query(sql);
      await refuses(
        admin.transaction(async (tx) => {
          await tx.query("select queue.set_tenant('a')");
          await tx.query(sql);
        }),
        "all_namespaces_requires_bypass 42501",
      );
    }
    await admin.query("select queue.prune()");
    await admin.query("select queue.maintain()");
    await expect(user.query("select queue.prune('a')")).rejects.toMatchObject({ code: "42501" });
  });
});

test("the context functions set, and clear, tenant and actor of a transaction", async () => {
  await db.transaction(async (tx) => {
    await tx.query("select queue.set_tenant('a'), queue.set_actor('ann', p_reason => 'why')");
    expect(await rows(tx, "select howdah.tenant() as tenant, howdah.actor() as actor")).toEqual([
      { tenant: "a", actor: { actor_id: "ann", reason: "why" } },
    ]);
    await tx.query("select queue.clear_tenant(), queue.clear_actor()");
    expect(await rows(tx, "select howdah.tenant() as tenant, howdah.actor() as actor")).toEqual([
      { tenant: null, actor: null },
    ]);
  });
});
