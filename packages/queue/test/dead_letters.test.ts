import { race, type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { queueModule } from "../src/module.ts";
import { pull, push, refuses, row, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

/** Makes dead letters and returns their ids. */
async function bury(...payloads: unknown[]): Promise<string[]> {
  for (const payload of payloads) {
    await push(db, payload, "p_priority => 4, p_tags => array['x'], p_max_attempts => 5, p_metadata => '{\"m\": 1}'");
    const job = await pull(db);
    await db.query("select queue.fail('t', $1, $2, 'e')", [job.id, job.fence_token]);
  }
  return (await rows<{ id: string }>(db, "select id from queue.dead_letters order by id")).map(({ id }) => id);
}
const retry = (id: string | null, queue?: string): Promise<string> =>
  value(db, "select queue.retry_dead_letter('t', $1, $2)", [id, queue]);

describe("retry_dead_letter", () => {
  test("pushes the job again with fresh attempts and the caller's actor, once", async () => {
    const [id] = await bury({ a: 1 });
    const jobId = await db.transaction(async (tx) => {
      await tx.query("select queue.set_actor('ann')");
      return value<string>(tx, "select queue.retry_dead_letter('t', $1)", [id]);
    });
    expect(await row(db, jobId)).toMatchObject({
      queue: "q",
      payload: { a: 1 },
      priority: 4,
      tags: ["x"],
      metadata: { m: 1 },
      attempts: 0,
      max_attempts: 5,
      actor_id: "ann",
    });
    expect(await rows(db, "select retried_at is not null as retried, retry_job_id from queue.dead_letters")).toEqual([
      { retried: true, retry_job_id: jobId },
    ]);
    await refuses(retry(id ?? ""), "dead_letter_already_retried 22023");
  });

  test("may use another queue", async () => {
    const [id] = await bury(1);
    expect((await row(db, await retry(id ?? "", "other")))?.queue).toBe("other");
  });

  test("refuses what does not exist", async () => {
    await bury(1);
    await refuses(retry("0"), "dead_letter_not_found P0002");
    await refuses(retry(null), "dead_letter_id_null 22004");
    await refuses(
      value(db, "select queue.retry_dead_letter('t2', (select id from queue.dead_letters))"),
      "dead_letter_not_found P0002",
    );
  });

  test("of two callers at once lets one win", async () => {
    const [id] = await bury(1);
    const results = await race(db, 2, (client) => client.query("select queue.retry_dead_letter('t', $1)", [id]));
    expect(results.map((result) => result.status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(await value(db, "select count(*)::int from queue.jobs where status = 'pending'")).toBe(1);
  });
});

describe("retry_dead_letters", () => {
  const many = (limit: number | null = 100): Promise<{ dead_letter_id: string; job_id: string }[]> =>
    rows(db, "select * from queue.retry_dead_letters('t', 'q', $1)", [limit]);

  test("pushes the oldest first, as many as it may", async () => {
    const ids = await bury(1, 2, 3);
    const done = await many(2);
    expect(done.map((item) => item.dead_letter_id)).toEqual(ids.slice(0, 2));
    expect((await row(db, done[1]?.job_id ?? ""))?.payload).toBe(2);
    expect((await many()).map((item) => item.dead_letter_id)).toEqual(ids.slice(2));
    expect(await many()).toEqual([]);
  });

  test("of two callers at once never pushes one twice", async () => {
    await bury(1, 2, 3, 4);
    await race(db, 4, (client) => client.query("select * from queue.retry_dead_letters('t', 'q', 3)"));
    expect(await rows(db, "select payload from queue.jobs where status = 'pending' order by payload")).toEqual(
      [1, 2, 3, 4].map((payload) => ({ payload })),
    );
  });

  test("takes 1 to 1,000", async () => {
    await refuses(many(0), "not_positive 22023");
    await refuses(many(1001), "limit_too_large 22023");
    await refuses(many(null), "limit_null 22004");
    expect(await many(1000)).toEqual([]);
  });
});

describe("purge_dead_letters", () => {
  test("deletes those that are old enough and were not retried", async () => {
    const ids = await bury(1, 2, 3);
    await retry(ids[0] ?? "");
    await db.query("update queue.dead_letters set failed_at = failed_at - interval '31 days' where id = $1", [ids[1]]);
    expect(await value(db, "select queue.purge_dead_letters('t', 'other')")).toBe(0);
    expect(await value(db, "select queue.purge_dead_letters('t')")).toBe(1);
    expect(await value(db, "select queue.purge_dead_letters('t', 'q', '0 s')")).toBe(1);
    expect(await rows(db, "select id from queue.dead_letters")).toEqual([{ id: ids[0] }]);
    await refuses(value(db, "select queue.purge_dead_letters('t', null, null)"), "older_than_null 22004");
  });
});

describe("looking at dead letters", () => {
  test("one by one and in pages, the newest first", async () => {
    const ids = await bury(1, 2, 3);
    await retry(ids[1] ?? "");
    expect(await rows(db, "select payload from queue.get_dead_letter('t', $1)", [ids[0]])).toEqual([{ payload: 1 }]);
    expect(await rows(db, "select * from queue.get_dead_letter('t', 0)")).toEqual([]);
    const list = async (args: string): Promise<string[]> =>
      (await rows<{ id: string }>(db, `select id from queue.list_dead_letters('t'${args})`)).map(({ id }) => id);
    expect(await list("")).toEqual([ids[2], ids[0]]);
    expect(await list(", 'q', true")).toEqual([ids[1]]);
    expect(await list(", 'other', null")).toEqual([]);
    expect(await list(", null, null, 2")).toEqual([ids[2], ids[1]]);
    expect(await list(`, null, null, 2, ${ids[1]}`)).toEqual([ids[0]]);
  });
});

test("what an operator does is recorded with the actor", async () => {
  const [id] = await bury(1);
  await db.transaction(async (tx) => {
    await tx.query("select queue.set_actor('ann', 'req')");
    await tx.query("select queue.retry_dead_letter('t', $1)", [id]);
    await tx.query("select queue.purge_dead_letters('t')");
  });
  expect(
    await rows(db, "select event_type, actor_id, request_id, resource_id from queue.audit_events order by id"),
  ).toEqual([
    { event_type: "dead_letter.retried", actor_id: "ann", request_id: "req", resource_id: id },
    { event_type: "dead_letters.purged", actor_id: "ann", request_id: "req", resource_id: null },
  ]);
});
