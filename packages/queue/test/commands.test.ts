import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createQueue, queueModule } from "../src/index.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
afterAll(() => db[Symbol.asyncDispose]());

/** Runs a command as the command line does. */
async function run(path: string, options: Record<string, unknown>): Promise<unknown> {
  const command = queueModule.commands.find((one) => one.path === path);
  if (!command) throw new Error(`there is no command ${path}`);
  return command.run(db, command.options.parse({ namespace: "acme", ...options }));
}

test("an operator counts jobs, and lists, retries and purges dead letters", async () => {
  const queue = createQueue(db, { namespace: "acme" });
  await queue.pushBatch("mail", [1, 2, 3, 4]);
  for (const job of await queue.pullBatch("mail", { limit: 3 })) await queue.fail(job, "smtp down\n  at line 1");
  expect(await run("queue stats", {})).toMatchObject([{ queue: "mail", pending: "1", dead: "3", deadLetters: "3" }]);
  const letters = (await run("queue dead-letters list", { queue: "mail" })) as { id: string }[];
  expect(letters).toHaveLength(3);
  expect(letters[0]).toMatchObject({ queue: "mail", lastError: "smtp down", reasonCode: "failed" });
  expect(await run("queue dead-letters retry", { id: letters[0]?.id })).toMatchObject([
    { deadLetterId: letters[0]?.id },
  ]);
  expect(await run("queue dead-letters retry", { queue: "mail", limit: 1 })).toHaveLength(1);
  expect(await run("queue dead-letters purge", { olderThan: "0s" })).toEqual({ deleted: 1 });
});

test("an operator lists, pauses, resumes and runs schedules", async () => {
  await createQueue(db, { namespace: "acme" }).schedules.create("nightly", "mail", {}, { cron: "@daily" });
  expect(await run("queue schedules list", {})).toMatchObject([{ name: "nightly", isActive: true }]);
  expect(await run("queue schedules pause", { name: "nightly" })).toEqual({ paused: true });
  expect(await run("queue schedules resume", { name: "nightly" })).toEqual({ resumed: true });
  expect(await run("queue schedules run", { name: "nightly" })).toEqual({ jobId: expect.any(String) });
});

test("a command that deletes asks first, naming what", () => {
  const purge = queueModule.commands.find((one) => one.path === "queue dead-letters purge");
  const question = purge?.confirm?.({ namespace: "acme", queue: "mail", olderThan: "30 days" });
  expect(question).toBe("Delete the dead letters of queue mail of acme that failed more than 30 days ago?");
});
