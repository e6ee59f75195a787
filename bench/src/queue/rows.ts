// The rows of the comparison: what is measured, and the ratio that we aim at. Each runs in a process and a database of its own.
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { type Cpu, cost, mean, quantile } from "../measure.ts";
import type { Figure } from "../report.ts";
import type { Row } from "../suite.ts";
import type { Favour, OpenQueue, Payload } from "./system.ts";

/** What a row works with. */
interface Turn {
  queue: OpenQueue;
  /** A connection of our own to the same database, for what is no part of the system. */
  client: Client;
  /** Another one, which may hold a transaction open. */
  bystander: Client;
  postmaster: number | undefined;
  /** How many jobs the rows run; the slower ones take a fixed share of it. */
  jobs: number;
}

export interface QueueRow extends Row {
  favour: Favour;
  run(turn: Turn): Promise<Record<string, number>>;
}

const payload = (id: number): Payload => ({ id, to: `user${id}@example.com`, subject: "hello there" });

/** Pushes `count` jobs, 1000 a call, one call after the other. */
async function fill(queue: OpenQueue, count: number) {
  for (let first = 0; first < count; first += 1000) {
    await queue.pushMany(Array.from({ length: Math.min(1000, count - first) }, (_, i) => payload(first + i)));
  }
}

/**
 * Runs `count` waiting jobs with a handler that does nothing. It ends when the last job is settled in the database, so that
 * no system gains by acknowledging late, or after `limit` seconds. Returns jobs per second and what they cost.
 */
async function drain({ queue, client, postmaster }: Turn, count: number, batch: number, limit = 120) {
  const { promise, resolve } = Promise.withResolvers<void>();
  let done = 0;
  let stop = async () => {};
  const { seconds, cpu } = await cost(postmaster, async () => {
    const timer = setTimeout(resolve, limit * 1000);
    stop = await queue.work(batch, async () => {
      if (++done === count) resolve();
    });
    await promise;
    clearTimeout(timer);
    while (done >= count && !(await isEmpty(queue, client))) await sleep(1);
  });
  await stop();
  if (done > count) throw new Error(`${done - count} of ${count} jobs ran twice`);
  return { rate: done / seconds, done, cpu };
}

async function isEmpty(queue: OpenQueue, client: Client) {
  const { rows } = await client.query<{ is_empty: boolean }>(queue.isEmpty);
  return rows[0]?.is_empty === true;
}

/** The figures about the CPU time of a job, and what they are once measured. */
function cpuFigures(key: string, goal: Pick<Figure, "limit"> = {}): Record<string, Figure> {
  return {
    [`${key}-cpu`]: { title: "  CPU per job, Node and server", unit: "us", better: "lower", ...goal },
    [`${key}-cpu-server`]: { title: "  of which server", unit: "us", better: "lower" },
  };
}

function cpuPerJob(key: string, cpu: Cpu | undefined, jobs: number): Record<string, number> {
  return cpu ? { [`${key}-cpu`]: (cpu.node + cpu.server) / jobs, [`${key}-cpu-server`]: cpu.server / jobs } : {};
}

/** Lets the machine compile, connect and cache before anything counts, and leaves the tables as a vacuum leaves them. */
async function warmUp(turn: Turn, batch = 500) {
  await fill(turn.queue, 10_000);
  await drain(turn, 10_000, batch);
  await turn.client.query("vacuum analyze");
}

const rate = (title: string, target: number): Figure => ({ title, unit: "jobs/s", better: "higher", target });

/** Jobs that wait already, run by one worker. */
function runRow(batch: number, share: number, target: number, cpuGoal: Pick<Figure, "limit"> = {}): QueueRow {
  const name = `run-${batch}`;
  return {
    name,
    favour: "throughput",
    figures: { [name]: rate(`run jobs, batch ${batch}`, target), ...cpuFigures(name, cpuGoal) },
    async run(turn) {
      const count = Math.ceil(turn.jobs / share);
      await warmUp(turn, batch);
      await fill(turn.queue, count);
      await turn.client.query("vacuum analyze");
      const { rate, done, cpu } = await drain(turn, count, batch);
      return { [name]: rate, ...cpuPerJob(name, cpu, done) };
    },
  };
}

const pushBulk: QueueRow = {
  name: "push-bulk",
  favour: "throughput",
  figures: { "push-bulk": rate("push, 1000 a call", 1.7), ...cpuFigures("push-bulk") },
  async run(turn) {
    await warmUp(turn);
    const { seconds, cpu } = await cost(turn.postmaster, () => fill(turn.queue, turn.jobs));
    return { "push-bulk": turn.jobs / seconds, ...cpuPerJob("push-bulk", cpu, turn.jobs) };
  },
};

/** One job a call, ten calls in flight, while a worker in the same process runs what arrives. */
function pushRow(name: string, favour: Favour, title: string, target?: number): QueueRow {
  return {
    name,
    favour,
    figures: {
      [name]: { title, unit: "jobs/s", better: "higher", ...(target !== undefined && { target }) },
      ...cpuFigures(name),
    },
    async run(turn) {
      const { queue, jobs, client } = turn;
      await warmUp(turn);
      const count = Math.ceil(jobs / 6);
      const stop = await queue.work(500, async () => {});
      await sleep(500);
      let next = 0;
      const { seconds, cpu } = await cost(turn.postmaster, async () => {
        const pusher = async () => {
          while (next < count) await queue.push(payload(next++));
        };
        await Promise.all(Array.from({ length: 10 }, pusher));
      });
      while (!(await isEmpty(queue, client))) await sleep(10);
      await stop();
      return { [name]: count / seconds, ...cpuPerJob(name, cpu, count) };
    },
  };
}

/** From the call of push to the first line of the handler, one job at a time, with a worker that has nothing else to do. */
const start: QueueRow = {
  name: "start",
  favour: "latency",
  figures: {
    "start-average": { title: "push to start, average", unit: "ms", better: "lower", limit: 3 },
    "start-p99": { title: "push to start, 99 of 100 below", unit: "ms", better: "lower", limit: 8 },
  },
  async run(turn) {
    await warmUp(turn);
    let started = () => {};
    const stop = await turn.queue.work(10, async () => started());
    await sleep(500);
    const latencies: number[] = [];
    for (let id = 0; id < 520; id++) {
      const before = performance.now();
      const { promise, resolve } = Promise.withResolvers<void>();
      started = () => {
        latencies.push(performance.now() - before);
        resolve();
      };
      await Promise.all([turn.queue.push(payload(id)), promise]);
      await sleep(5);
    }
    await stop();
    const warm = latencies.slice(20);
    return { "start-average": mean(warm), "start-p99": quantile(warm, 0.99) };
  },
};

/**
 * A transaction somewhere in the server keeps its snapshot, so that nothing that was finished since can be vacuumed away:
 * a slow report, a forgotten session, a dump. Every queue table then fills with dead rows that each claim must step over.
 */
const longTransaction: QueueRow = {
  name: "long-transaction",
  favour: "throughput",
  figures: {
    "long-500": rate("long transaction open: run 100,000 jobs, batch 500", 2),
    "long-10": rate("  then, batch 10", 8),
    "long-10-slower": { title: "  times slower than without", unit: "x", better: "lower", limit: 1.33 },
  },
  async run(turn) {
    const { queue, client, bystander } = turn;
    const count = Math.ceil(turn.jobs / 3);
    await warmUp(turn, 10);
    await fill(queue, count);
    await client.query("vacuum analyze");
    const before = await drain(turn, count, 10);
    await client.query("vacuum analyze");

    await bystander.query("begin isolation level repeatable read");
    await bystander.query("select count(*) from pg_catalog.pg_class");
    await fill(queue, 100_000);
    await client.query("analyze");
    const behind = await drain(turn, 100_000, 500);
    await fill(queue, count);
    const now = await drain(turn, count, 10, 10);
    await bystander.query("commit");
    return { "long-500": behind.rate, "long-10": now.rate, "long-10-slower": before.rate / now.rate };
  },
};

/** In the order of the table. */
export const rows: readonly QueueRow[] = [
  runRow(500, 1, 2, { limit: 22 }),
  runRow(10, 3, 1.3),
  pushBulk,
  pushRow("push-single", "latency", "push, 1 a call, 10 in flight, worker listening", 2.5),
  pushRow("push-polled", "throughput", "push, 1 a call, 10 in flight, peers' workers polling"),
  start,
  longTransaction,
];
