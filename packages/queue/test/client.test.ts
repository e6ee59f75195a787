import { ConflictError, NotFoundError, transaction, ValidationError } from "@howdah/core";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createQueue, defineQueue, FenceStaleError, PayloadInvalidError, queueModule } from "../src/index.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
afterAll(() => db[Symbol.asyncDispose]());

let tenants = 0;
const tenant = (): string => `tenant${++tenants}`;

/** What a promise was rejected with. */
const failure = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => {
      throw new Error("nothing was thrown");
    },
    (error: unknown) => error,
  );

const codeOf = async (promise: Promise<unknown>): Promise<unknown> =>
  ((await failure(promise)) as { code?: string }).code;

describe("pushing", () => {
  test("push answers the job's id, and null for a unique key that is taken", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    const id = await queue.push("mail", { to: "a" }, { uniqueKey: "a", tags: ["x"], metadata: { m: 1 }, priority: 3 });
    expect(id).toMatch(/^\d+$/);
    expect(await queue.push("mail", { to: "b" }, { uniqueKey: "a" })).toBeNull();
    expect(await queue.getJob(id as string)).toMatchObject({
      id,
      queue: "mail",
      status: "pending",
      payload: { to: "a" },
      priority: 3,
      tags: ["x"],
      metadata: { m: 1 },
      uniqueKey: "a",
    });
  });

  test("onConflict raise throws a conflict, replace changes the job that waits", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    const id = await queue.push("mail", 1, { uniqueKey: "a" });
    const error = await failure(queue.push("mail", 2, { uniqueKey: "a", onConflict: "raise" }));
    expect(error).toBeInstanceOf(ConflictError);
    expect(error).toMatchObject({ code: "duplicate_job" });
    expect(await queue.push("mail", 3, { uniqueKey: "a", onConflict: "replace" })).toBe(id);
    expect(await queue.getJob(id as string)).toMatchObject({ payload: 3 });
  });

  test("a push in a transaction that is rolled back leaves no job", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    const error = await failure(
      transaction(db, async (tx) => {
        await queue.using(tx).push("mail", 1);
        throw new Error("changed my mind");
      }),
    );
    expect(error).toMatchObject({ message: "changed my mind" });
    expect(await queue.stats()).toMatchObject({ totalJobs: "0" });
  });

  test("a batch of 2,500 jobs is pushed whole, or not at all", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    const payloads = Array.from({ length: 2500 }, (_, i) => ({ i }));
    const ids = await queue.pushBatch("mail", payloads);
    expect(new Set(ids).size).toBe(2500);
    const other = createQueue(db, { namespace: tenant() });
    const each = (_payload: unknown, i: number) => ({ priority: i === 2400 ? 5000 : 0 });
    expect(await codeOf(other.pushBatch("mail", payloads, { each }))).toBe("priority_range");
    expect(await other.stats()).toMatchObject({ totalJobs: "0" });
  });

  test("each job of a batch may have its own key, delay and priority", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    const ids = await queue.pushBatch("mail", ["a", "b", "a"], {
      each: (payload, i) => ({ uniqueKey: String(payload), ...(i === 1 ? { delay: "1h", priority: 9 } : {}) }),
    });
    expect(ids).toEqual([expect.any(String), expect.any(String), null]);
    expect(await queue.queueStats("mail")).toMatchObject([{ pending: "2", ready: "1", delayed: "1" }]);
  });

  test("an actor is recorded with the job", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    const id = await queue.as({ actorId: "user:ann", requestId: "r1" }).push("mail", 1);
    expect(await queue.getJob(id as string)).toMatchObject({ actorId: "user:ann", requestId: "r1" });
    const other = await queue.push("mail", 1);
    expect(await queue.getJob(other as string)).toMatchObject({ actorId: null });
  });

  test("another tenant's jobs are out of reach", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    const id = (await queue.push("mail", 1)) as string;
    const other = queue.in(tenant());
    expect(await other.getJob(id)).toBeNull();
    expect(await other.cancel(id)).toBe(false);
    expect(await other.pull("mail")).toBeNull();
    expect(await queue.cancel(id)).toBe(true);
  });
});

describe("payloads that cannot be stored", () => {
  const queue = () => createQueue(db, { namespace: "payloads" });
  const cycle: { self?: unknown } = {};
  cycle.self = { inner: cycle };
  test.each([
    ["a bigint", { ids: [1n] }, "$.ids[0]"],
    ["a cycle", cycle, "$.self.inner"],
    ["NaN", { a: { "odd key": Number.NaN } }, '$.a["odd key"]'],
    ["an infinite number", [1, Number.POSITIVE_INFINITY], "$[1]"],
    ["undefined", undefined, "$"],
    ["a function", () => {}, "$"],
    ["U+0000 in a value", { text: "a\0b" }, "$.text"],
    ["U+0000 in a key", { "a\0": 1 }, '$["a\\u0000"]'],
    ["a lone surrogate", { text: "\ud800" }, "$.text"],
  ])("%s is refused with its path before anything is sent", async (_name, payload, path) => {
    const error = await failure(queue().push("mail", payload));
    expect(error).toBeInstanceOf(PayloadInvalidError);
    expect(error).toMatchObject({ code: "payload_invalid", path, module: "queue" });
    expect(await queue().stats()).toMatchObject({ totalJobs: "0" });
  });

  test.each([
    ["null in an array", [null]],
    ["a text that looks like an escape", "\\u0000 null"],
    ["an astral character", "\u{1f418}"],
    ["a value that occurs twice", { a: [1], b: [1] }],
    ["a date", new Date(0).toJSON()],
  ])("%s arrives as it is", async (_name, payload) => {
    const other = createQueue(db, { namespace: tenant() });
    await other.push("mail", payload);
    expect((await other.pull("mail"))?.payload).toEqual(payload);
  });

  test("JSON's null is a payload too", async () => {
    const other = createQueue(db, { namespace: tenant() });
    const [id] = await other.pushBatch("mail", [null, 1]);
    expect(await other.push("mail", null)).not.toBeNull();
    expect(await other.getJob(id ?? "")).toMatchObject({ payload: null });
  });

  test("one that is too large is refused with its size and the limit", async () => {
    const error = await failure(queue().push("mail", "x".repeat(1_048_577)));
    expect(error).toBeInstanceOf(ValidationError);
    expect(error).toMatchObject({ code: "payload_too_large", detail: { limit: 1_048_576 } });
  });

  test("one that the schema refuses is refused with all issues", async () => {
    const mail = defineQueue("mail", { schema: z.object({ to: z.array(z.email()) }) });
    const typed = createQueue(db, { namespace: tenant(), queues: { mail } });
    const error = await failure(typed.push("mail", { to: ["a@x.io", "nobody"] }));
    expect(error).toBeInstanceOf(PayloadInvalidError);
    expect(error).toMatchObject({ path: "$.to[1]", detail: { issues: [{ path: "$.to[1]" }] } });
  });
});

describe("pulling without a worker", () => {
  test("a pulled job is settled once, and never by an old token", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    await queue.push("mail", { to: "a" });
    const job = await queue.pull("mail", { workerId: "w1", visibilityTimeout: "1 minute" });
    expect(job).toMatchObject({ queue: "mail", payload: { to: "a" }, attempts: 1 });
    if (!job) throw new Error("no job");
    await queue.extendVisibility(job, "5 minutes");
    await queue.release(job);
    const again = await queue.pull("mail");
    expect(again).toMatchObject({ id: job.id, attempts: 2 });
    expect(await failure(queue.ack(job))).toBeInstanceOf(FenceStaleError);
    if (again) await queue.ack(again);
    expect(await queue.getJob(job.id)).toBeNull();
  });

  test("a batch is acknowledged whole or not at all", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    await queue.pushBatch("mail", [1, 2, 3]);
    const jobs = await queue.pullBatch("mail", { limit: 3 });
    const [first] = jobs;
    if (!first) throw new Error("no job");
    await queue.ack(first);
    expect(await codeOf(queue.ackBatch(jobs))).toBe("fence_stale");
    await queue.ackBatch(jobs.slice(1));
    expect(await queue.stats()).toMatchObject({ totalJobs: "0" });
  });

  test("a pulled job that was asked to stop ends as cancelled", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    await queue.push("mail", 1);
    const job = await queue.pull("mail");
    if (!job) throw new Error("no job");
    expect(await queue.requestCancel(job.id, "not needed")).toBe("requested");
    await queue.cancelled(job);
    expect(await queue.getJob(job.id)).toMatchObject({ status: "cancelled" });
    expect(await queue.requestCancel(job.id)).toBe("not_found");
  });

  test("nack says whether the job will be tried again, fail makes a dead letter, snooze gives the attempt back", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    await queue.pushBatch("mail", [1, 2, 3], { maxAttempts: 2 });
    const [a, b, c] = await queue.pullBatch("mail");
    if (!a || !b || !c) throw new Error("no jobs");
    expect(await queue.nack(a, { error: "smtp down", backoff: 0 })).toBe(true);
    await queue.fail(b, "no such address");
    await queue.snooze(c, "1h", { payload: 4 });
    expect(await queue.getJob(c.id)).toMatchObject({ attempts: 0, payload: 4 });
    const again = await queue.pullAny(["none", "mail"]);
    expect(again).toMatchObject({ id: a.id, attempts: 2 });
    if (again) expect(await queue.nack(again, { error: "smtp down" })).toBe(false);
    expect(await queue.deadLetters.list()).toHaveLength(2);
  });
});

describe("operating", () => {
  test("dead letters are listed, retried and purged", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    await queue.pushBatch("mail", [1, 2, 3]);
    for (const job of await queue.pullBatch("mail")) await queue.fail(job, "broken");
    const [letter] = await queue.deadLetters.list({ queue: "mail", limit: 1 });
    expect(letter).toMatchObject({ lastError: "broken", reasonCode: "failed", attempts: 1 });
    const id = await queue.deadLetters.retry(letter?.id ?? "");
    expect(await queue.getJob(id)).toMatchObject({ status: "pending", attempts: 0 });
    expect(await codeOf(queue.deadLetters.retry(letter?.id ?? ""))).toBe("dead_letter_already_retried");
    expect(await failure(queue.deadLetters.retry("999999"))).toBeInstanceOf(NotFoundError);
    expect(await queue.deadLetters.get(letter?.id ?? "")).toMatchObject({ retryJobId: id });
    expect(await queue.deadLetters.retryMany("mail", { limit: 1 })).toHaveLength(1);
    expect(await queue.deadLetters.purge({ queue: "mail" })).toBe(0);
    expect(await queue.deadLetters.purge({ queue: "mail", olderThan: 0 })).toBe(1);
  });

  test("schedules are made, changed, paused and deleted", async () => {
    const { schedules } = createQueue(db, { namespace: tenant() });
    const id = await schedules.create("nightly", "mail", { a: 1 }, { cron: "0 3 * * *", timezone: "Europe/Berlin" });
    expect(await schedules.get("nightly")).toMatchObject({ id, cronExpression: "0 3 * * *", payload: { a: 1 } });
    expect(await codeOf(schedules.create("nightly", "mail", {}, { every: "1h" }))).toBe("schedule_duplicate");
    expect(await schedules.upsert("nightly", "mail", {}, { every: "90 minutes" })).toBe(id);
    expect(await schedules.list()).toMatchObject([{ name: "nightly", everyInterval: 5_400_000, isActive: true }]);
    expect(await schedules.pause("nightly")).toBe(true);
    expect(await schedules.list({ isActive: true })).toEqual([]);
    expect(await schedules.resume("nightly")).toBe(true);
    expect(await schedules.runNow("nightly")).toMatch(/^\d+$/);
    expect(await schedules.delete("nightly")).toBe(true);
    expect(await schedules.get("nightly")).toBeNull();
    const from = new Date("2024-02-28T12:00:00Z");
    expect(await schedules.preview("0 0 29 2 *", { from, count: 2 })).toEqual([
      new Date("2024-02-29T00:00:00Z"),
      new Date("2028-02-29T00:00:00Z"),
    ]);
    expect(await codeOf(schedules.create("never", "mail", {}, { cron: "0 0 30 2 *" }))).toBe("cron_never");
  });

  test("jobs are listed in pages, by state, tag and text", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    await queue.pushBatch("mail", ["one", "two", "three"], { tags: ["x"] });
    await queue.push("mail", "later", { delay: "1h" });
    const first = await queue.listJobs({ queue: "mail", state: "ready", limit: 2 });
    expect(first).toMatchObject([
      { payload: "one", state: "ready" },
      { payload: "two", state: "ready" },
    ]);
    const cursor = first[1]?.cursor ?? "";
    expect(await queue.listJobs({ queue: "mail", state: "ready", cursor })).toMatchObject([{ payload: "three" }]);
    expect(await queue.listJobs({ search: "lat" })).toMatchObject([{ payload: "later", state: "delayed" }]);
    expect(await queue.listJobs({ tags: ["x"] })).toHaveLength(3);
  });

  test("a paused queue hands out nothing; a purge deletes what waits", async () => {
    const queue = createQueue(db, { namespace: tenant() });
    await queue.pushBatch("mail", [1, 2]);
    await queue.pause("mail");
    expect(await queue.pull("mail")).toBeNull();
    await queue.resume("mail");
    expect(await queue.pull("mail")).not.toBeNull();
    expect(await queue.purge("mail")).toBe(1);
  });

  test("sync writes what the definitions say", async () => {
    const mail = defineQueue("mail", {
      retry: { maxAttempts: 7, backoff: { type: "linear", base: "10s", max: "5 minutes", jitter: 0.5 } },
      visibilityTimeout: "90s",
    });
    const namespace = tenant();
    await createQueue(db, { namespace, queues: { mail } }).sync();
    const { rows } = await db.query(
      `select max_attempts, backoff_type, backoff_base::text, backoff_max::text, backoff_jitter,
         visibility_timeout::text, notify
       from queue.queues where namespace = $1`,
      [namespace],
    );
    expect(rows).toEqual([
      {
        max_attempts: 7,
        backoff_type: "linear",
        backoff_base: "00:00:10",
        backoff_max: "00:05:00",
        backoff_jitter: 0.5,
        visibility_timeout: "00:01:30",
        notify: "idle",
      },
    ]);
  });
});

describe("bad options", () => {
  const queue = () => createQueue(db, { namespace: "options", queues: { mail: defineQueue("mail") } });

  test("a queue that is not defined is refused by name", async () => {
    // @ts-expect-error only defined queues may be named
    expect(await codeOf(queue().push("post", 1))).toBe("queue_unknown");
    // @ts-expect-error only defined queues may have handlers
    expect(() => queue().worker({ post: () => {} })).toThrow(expect.objectContaining({ code: "queue_unknown" }));
  });

  test("an unknown or malformed option is named", async () => {
    // @ts-expect-error there is no such option
    const unknown = (await failure(queue().push("mail", 1, { dealy: "5m" }))) as Error;
    expect(unknown).toMatchObject({ code: "options_invalid" });
    expect(unknown.message).toContain("dealy");
    const malformed = (await failure(queue().push("mail", 1, { delay: "soon" }))) as Error;
    expect(malformed.message).toContain('delay: must be milliseconds or a text such as "5 minutes"');
    expect(() => queue().worker({ mail: () => {} }, { concurrency: 0 })).toThrow("concurrency");
  });

  test("a definition under another name is refused", () => {
    const mail = defineQueue("mail");
    // @ts-expect-error the key must be the queue's name
    expect(() => createQueue(db, { namespace: "a", queues: { post: mail } })).toThrow(
      expect.objectContaining({ code: "queue_name_mismatch" }),
    );
  });
});
