import { crash, type TestDatabase, testDatabase } from "@howdah/testing";
import fc from "fast-check";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { queueModule } from "../src/module.ts";
import { type Claimed, type Job, push, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

interface Row {
  kind: string;
  id: string;
  fence_token: string;
}

describe("many workers", () => {
  test("settle 10,000 jobs exactly once", async () => {
    for (let i = 0; i < 10; i++) {
      await db.query("select queue.push_batch('t', 'q', array_fill('1'::jsonb, array[1000]))");
    }
    const settled: string[] = [];
    const clients = await db.clients(20);
    await Promise.all(
      clients.map(async (client, worker) => {
        let done: Row[] = [];
        do {
          const { rows: next } = await client.query<Row>(
            "select * from queue.exchange('t', 'q', $1, $2, '1 minute', $3, $4)",
            [1 + ((worker * 7) % 50), `w${worker}`, done.map((job) => job.id), done.map((job) => job.fence_token)],
          );
          expect(next.every((row) => row.kind === "job")).toBe(true);
          settled.push(...done.map((job) => job.id));
          done = next;
        } while (done.length > 0);
        await client.end();
      }),
    );
    expect(settled).toHaveLength(10_000);
    expect(new Set(settled).size).toBe(10_000);
    expect(await value(db, "select count(*)::int from queue.jobs")).toBe(0);
  });

  test("lose nothing and do nothing twice when their backends die at any point", async () => {
    await db.query("create table public.effects (job_id bigint primary key)");
    await db.query("select queue.push_batch('t', 'q', array_fill('1'::jsonb, array[500]))");
    const steps = { "after the claim": 0, "before the ack": 0, "before the commit": 0 };
    const mayDie = async (client: pg.Client, point: keyof typeof steps): Promise<void> => {
      if (++steps[point] % 61 !== 0) return;
      await crash(client);
      throw new Error("died");
    };

    /** Does the work and its ack in one transaction, until the queue is empty. */
    async function work(client: pg.Client): Promise<void> {
      for (;;) {
        const { rows: jobs } = await client.query<Claimed>(
          "select * from queue.pull_batch('t', 'q', 3, 'w', '1 hour')",
        );
        if (jobs.length === 0) return;
        await mayDie(client, "after the claim");
        for (const job of jobs) {
          await client.query("begin");
          await client.query("insert into public.effects values ($1)", [job.id]);
          await mayDie(client, "before the ack");
          await client.query("select queue.ack('t', $1, $2)", [job.id, job.fence_token]);
          await mayDie(client, "before the commit");
          await client.query("commit");
        }
      }
    }
    while ((await value<number>(db, "select count(*)::int from queue.jobs")) > 0) {
      const clients = await db.clients(4);
      const ends = await Promise.allSettled(clients.map(work));
      for (const end of ends) if (end.status === "rejected") expect(end.reason.message).toBe("died");
      await Promise.all(clients.map((client) => client.end()));
      await db.query("update queue.jobs set visibility_timeout_at = clock_timestamp() where status = 'running'");
      await db.query("select queue.tick_timeouts('t', 1000)");
    }
    expect(Math.min(...Object.values(steps))).toBeGreaterThan(61); // so some died at each point
    expect(await value(db, "select count(*)::int from public.effects")).toBe(500);
    expect(await value(db, "select count(*)::int from queue.dead_letters")).toBe(0);
  });
});

/** What the queue must hold, job by job; a fence per claim, so that settling with an old one can be predicted. */
interface Model {
  state: "ready" | "delayed" | "running" | "gone" | "dead";
  priority: number;
  key: string | null;
  attempts: number;
  order: number;
  fence?: string;
}

describe("any sequence of calls", () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("push" as const),
        priority: fc.integer({ min: 0, max: 2 }),
        key: fc.option(fc.constantFrom("a", "b")),
        delayed: fc.boolean(),
      }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("pull" as const), limit: fc.integer({ min: 1, max: 3 }) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant("settle" as const),
        how: fc.constantFrom("ack", "nack", "fail", "release", "snooze"),
        which: fc.nat(20),
        stale: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("cancel" as const), which: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.constant({ do: "travel" as const }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("timeout" as const), which: fc.nat(20) }) },
  );

  test("keeps jobs, their order, unique keys, attempts and fences as a model of the queue has them", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        await wipe(db);
        await db.freeze(new Date("2026-01-01T00:00:00Z"));
        const model = new Map<string, Model>();
        let order = 0;
        let lastFence = 0;
        const live = (): [string, Model][] =>
          [...model].filter(([, job]) => job.state !== "gone" && job.state !== "dead");
        const running = (): [string, Model][] => [...model].filter(([, job]) => job.state === "running");

        for (const action of steps) {
          if (action.do === "push") {
            const taken = action.key !== null && live().some(([, job]) => job.key === action.key);
            const id = await value<string | null>(db, "select queue.push('t', 'q', '1', $1::interval, $2, 2, $3)", [
              action.delayed ? "1 minute" : null,
              action.priority,
              action.key,
            ]);
            expect(id === null).toBe(taken);
            if (id !== null) {
              const due = (action.delayed ? 60_000 : 0) + (await now());
              model.set(id, {
                state: action.delayed ? "delayed" : "ready",
                priority: action.priority,
                key: action.key,
                attempts: 0,
                order: due * 1000 + order++,
              });
            }
          } else if (action.do === "pull") {
            const expected = [...model]
              .filter(([, job]) => job.state === "ready")
              .sort(([, a], [, b]) => b.priority - a.priority || a.order - b.order)
              .slice(0, action.limit);
            const jobs = await rows<Claimed>(db, "select * from queue.pull_batch('t', 'q', $1)", [action.limit]);
            expect(jobs.map((job) => job.id)).toEqual(expected.map(([id]) => id));
            for (const job of jobs) {
              expect(Number(job.fence_token)).toBeGreaterThan(lastFence);
              const known = model.get(job.id) as Model;
              expect(job.attempts).toBe(++known.attempts);
              known.state = "running";
              known.fence = job.fence_token;
            }
            lastFence = Math.max(lastFence, ...jobs.map((job) => Number(job.fence_token)));
          } else if (action.do === "settle") {
            const [id, job] = running()[action.which % (running().length || 1)] ?? [];
            if (!id || !job) continue;
            const fence = action.stale ? String(Number(job.fence) - 1) : job.fence;
            const more = { nack: ", 'e', '1 minute'", snooze: ", '1 minute'" }[action.how as string] ?? "";
            const call = value<boolean>(db, `select queue.${action.how}('t', $1, $2${more})`, [id, fence]);
            if (action.stale) {
              await expect(call).rejects.toMatchObject({ constraint: "fence_stale" });
              continue;
            }
            const retried = await call;
            if (action.how === "ack") job.state = "gone";
            if (action.how === "fail") job.state = "dead";
            if (action.how === "release") job.state = "ready";
            if (action.how === "snooze") job.attempts--;
            if (action.how === "nack") {
              expect(retried).toBe(job.attempts < 2);
              if (!retried) job.state = "dead";
            }
            if (action.how === "snooze" || (action.how === "nack" && retried)) {
              job.state = "delayed";
              job.order = ((await now()) + 60_000) * 1000 + (job.order % 1000);
            }
          } else if (action.do === "cancel") {
            const [id, job] = live()[action.which % (live().length || 1)] ?? [];
            if (!id || !job) continue;
            expect(await value(db, "select queue.cancel('t', $1)", [id])).toBe(job.state !== "running");
            if (job.state !== "running") job.state = "gone";
          } else if (action.do === "travel") {
            await db.travel("2 minutes");
            for (const job of model.values()) if (job.state === "delayed") job.state = "ready";
            await db.query("select queue.tick('t')");
          } else {
            const [id, job] = running()[action.which % (running().length || 1)] ?? [];
            if (!id || !job) continue;
            await db.query(
              "update queue.jobs set visibility_timeout_at = clock_timestamp() - interval '1 s' where id = $1",
              [id],
            );
            await db.query("select queue.tick_timeouts('t')");
            job.state = "ready";
          }
        }

        const kept = await rows<Job & { state: string }>(
          db,
          "select *, queue._state(phase, status) as state from queue.jobs order by id",
        );
        expect(kept.map((job) => [job.id, job.state, job.attempts])).toEqual(
          [...model].filter(([, job]) => job.state !== "gone").map(([id, job]) => [id, job.state, job.attempts]),
        );
        expect(await value(db, "select count(*)::int from queue.dead_letters")).toBe(
          [...model.values()].filter((job) => job.state === "dead").length,
        );
      }),
      { numRuns: 60 },
    );
    await db.realTime();
  });

  const now = async (): Promise<number> =>
    (await value<Date>(db, "select howdah.now()")).getTime() - Date.parse("2026-01-01");
});

describe("a quiet queue", () => {
  interface Bell {
    channel: string;
    key: string;
  }
  const bellOf = async (): Promise<Bell> => {
    await db.query(`select queue.configure_queue('t', 'q', '{"notify": "idle"}')`);
    const [bell] = await rows<Bell>(db, "select queue.channel_name('t', 'q') as channel, queue.bell('t', 'q') as key");
    return bell as Bell;
  };
  /** Whether a worker may sleep now: it has the bell, and its last claim finds nothing. */
  const sleeps = async (client: pg.Client, key: string, got: (job: Claimed) => void): Promise<boolean> => {
    if (!(await value<boolean>(client as unknown as TestDatabase, "select pg_try_advisory_lock($1)", [key])))
      return false;
    const { rows: jobs } = await client.query<Claimed>("select * from queue.pull_batch('t', 'q', 100, 'w')");
    for (const job of jobs) got(job);
    if (jobs.length === 0) return true;
    await client.query("select pg_advisory_unlock($1)", [key]);
    return false;
  };

  test("rings only while somebody sleeps", async () => {
    const { channel, key } = await bellOf();
    const [listener, sleeper] = await db.clients(2);
    if (!listener || !sleeper) throw new Error("no clients");
    const heard: unknown[] = [];
    listener.on("notification", ({ payload }) => heard.push(JSON.parse(payload ?? "")));
    await listener.query(`listen ${channel}`);
    await push(db, "busy");
    await sleeper.query("select pg_try_advisory_lock($1)", [key]);
    const id = await push(db, "asleep");
    await sleeper.query("select pg_advisory_unlock($1)", [key]);
    await push(db, "busy again");
    await listener.query("select 1");
    expect(heard).toEqual([{ id: Number(id), queue: "q" }]);
  });

  test("keeps the bell from a worker while a push is uncommitted, and rings for a push that began before it slept", async () => {
    const { key } = await bellOf();
    const [pusher, sleeper] = await db.clients(2);
    if (!pusher || !sleeper) throw new Error("no clients");
    await pusher.query("begin");
    await push(pusher as unknown as TestDatabase);
    expect(await sleeps(sleeper, key, () => {})).toBe(false);
    await pusher.query("commit");
    const got: Claimed[] = [];
    expect(await sleeps(sleeper, key, (job) => got.push(job))).toBe(false);
    expect(got).toHaveLength(1);
    expect(await sleeps(sleeper, key, () => {})).toBe(true);
    await sleeper.end();
  });

  test("loses no wake-up, however pushes and falling asleep interleave", async () => {
    const { channel, key } = await bellOf();
    const listener = await db.client();
    await listener.query(`listen ${channel}`);
    let woken = 0;
    listener.on("notification", () => woken++);
    const got = new Set<string>();
    const pushed = new Set<string>();
    const take = (job: Claimed): void => void got.add(job.id);
    const pushers = await db.clients(3);

    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ pusher: fc.nat(2), hold: fc.boolean(), settle: fc.nat(3) }), {
          minLength: 1,
          maxLength: 8,
        }),
        async (plan) => {
          await listener.query("select pg_advisory_unlock_all()");
          const before = woken;
          const pushing = Promise.all(
            pushers.map(async (client, index) => {
              for (const { hold, settle } of plan.filter((item) => item.pusher === index)) {
                if (hold) await client.query("begin");
                pushed.add(await push(client as unknown as TestDatabase));
                for (let i = 0; hold && i < settle; i++) await client.query("select 1");
                if (hold) await client.query("commit");
              }
            }),
          );
          let isAsleep = false;
          for (let i = 0; i < 4 && !isAsleep; i++) isAsleep = await sleeps(listener, key, take);
          await pushing;
          await listener.query("select 1");
          const left = await rows<{ id: string }>(db, "select id from queue.jobs where status = 'pending'");
          // Asleep and silent means that there is nothing to do; a worker that is not asleep will look again by itself.
          if (isAsleep && woken === before) expect(left).toEqual([]);
        },
      ),
      { numRuns: 300 },
    );
    await listener.query("select pg_advisory_unlock_all()");
    while (!(await sleeps(listener, key, take)));
    expect([...got].sort()).toEqual([...pushed].sort());
  });

  test("that is set to always rings for each push and batch, and set to off for none", async () => {
    const { channel } = await bellOf();
    const listener = await db.client();
    const heard: unknown[] = [];
    listener.on("notification", ({ payload }) => heard.push(JSON.parse(payload ?? "")));
    await listener.query(`listen ${channel}`);
    await db.query(`select queue.configure_queue('t', 'q', '{"notify": "always"}')`);
    const id = await push(db);
    await db.query(
      "select queue.push_batch('t', 'q', array['1', '2', '3']::jsonb[], p_unique_keys => array['a', null, 'a'])",
    );
    await db.query("select queue.push('t', 'q', '1', p_unique_key => 'a')");
    await db.query(`select queue.configure_queue('t', 'q', '{"notify": "off"}')`);
    await push(db);
    await listener.query("select 1");
    expect(heard).toEqual([
      { id: Number(id), queue: "q" },
      { count: 2, queue: "q" },
    ]);
  });

  test("rings when jobs come back: released, reclaimed, resumed, promoted, replayed", async () => {
    await db.query(`select queue.configure_queue('t', 'q', '{"notify": "off"}')`);
    const channel = await value<string>(db, "select queue.channel_name('t', 'q')");
    await push(db);
    await push(db);
    await push(db);
    const [a, b, c] = await rows<Claimed>(db, "select * from queue.pull_batch('t', 'q', 3, 'w')");
    await push(db, 1, "p_delay => '1 minute'");
    await db.query("select queue.pause_queue('t', 'q')");
    await db.query("select queue.fail('t', $1, $2)", [c?.id, c?.fence_token]);
    await db.query(`select queue.configure_queue('t', 'q', '{"notify": "always"}')`);
    const listener = await db.client();
    await listener.query(`listen ${channel}`);
    const heard = async (sql: string, values: unknown[] = []): Promise<unknown> => {
      const ring = new Promise((done) =>
        listener.once("notification", ({ payload }) => done(JSON.parse(payload ?? ""))),
      );
      await db.query(sql, values);
      return ring;
    };
    const back = { count: 1, queue: "q" };
    expect(await heard("select queue.release('t', $1, $2)", [a?.id, a?.fence_token])).toEqual(back);
    await db.query("update queue.jobs set visibility_timeout_at = clock_timestamp() - interval '1 s' where id = $1", [
      b?.id,
    ]);
    expect(await heard("select queue.tick_timeouts('t')")).toEqual(back);
    expect(await heard("select queue.resume_queue('t', 'q')")).toEqual(back);
    await db.travel("2 minutes");
    expect(await heard("select queue.tick('t')")).toEqual(back);
    await db.realTime();
    expect(await heard("select queue.retry_dead_letters('t', 'q')")).toMatchObject({
      queue: "q",
      id: expect.any(Number),
      retry_of_dead_letter: expect.any(Number),
    });
  });
});
