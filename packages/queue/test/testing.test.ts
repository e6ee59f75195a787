import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { defineQueue, queueModule } from "../src/index.ts";
import { createTestQueue } from "../src/testing.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
afterAll(() => db[Symbol.asyncDispose]());

const mail = defineQueue("mail");

test("drain runs all jobs and those that they push", async () => {
  const sent: unknown[] = [];
  const t = createTestQueue(db, {
    namespace: "drain",
    queues: { mail },
    handlers: {
      mail: async (job, { push }) => {
        sent.push(job.payload);
        if (job.payload === 1) await push("mail", 2);
      },
    },
  });
  await t.queue.push("mail", 1);
  await t.drain();
  expect(sent).toEqual([1, 2]);
});

test("expectPushed finds a job by a part of its payload, and shows what there is instead", async () => {
  const t = createTestQueue(db, { namespace: "pushed", queues: { mail } });
  await t.queue.push("mail", { to: "a@x.io", lines: [1, 2] });
  expect(await t.expectPushed("mail", { to: "a@x.io" })).toMatchObject({ status: "pending" });
  await expect(t.expectPushed("mail", { to: "b@x.io" })).rejects.toThrow(/"to":"a@x.io"|"to": "a@x.io"/);
});

test("advance lets delayed jobs fall due", async () => {
  const sent: unknown[] = [];
  const t = createTestQueue(db, {
    namespace: "advance",
    queues: { mail },
    handlers: { mail: (job) => void sent.push(job.payload) },
  });
  await t.queue.push("mail", 1, { delay: "1h" });
  await t.drain();
  expect(sent).toEqual([]);
  await t.advance("1h");
  await t.drain();
  expect(sent).toEqual([1]);
});

test("advance ends the leases that would have ended", async () => {
  const t = createTestQueue(db, { namespace: "leases", queues: { mail } });
  await t.queue.push("mail", 1);
  await t.queue.pull("mail", { visibilityTimeout: "10 minutes" });
  await t.advance("9 minutes");
  expect(await t.queue.queueStats()).toMatchObject([{ running: "1" }]);
  await t.advance("2 minutes");
  expect(await t.queue.queueStats()).toMatchObject([{ running: "0", ready: "1" }]);
});

test("waitForJob tells how a job ended, and fails where none did", async () => {
  const t = createTestQueue(db, {
    namespace: "ends",
    queues: { mail },
    handlers: {
      mail: (job) => {
        if (job.payload === "bad") throw new Error("bad");
      },
    },
  });
  await t.queue.push("mail", "good");
  await t.queue.push("mail", "bad", { maxAttempts: 1 });
  expect(await t.waitForJob((job) => job.payload === "good", "completed")).toMatchObject({ queue: "mail" });
  expect(await t.waitForJob((job) => job.payload === "bad", "dead")).toMatchObject({ attempt: 1 });
});
