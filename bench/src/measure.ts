// Measuring: wall time by the monotonic clock, CPU time of this process and of the whole server, medians over rounds.
//
// Wall time on a shared machine is noisy, CPU time much less, so rows about cost use the latter. The server's share is
// read from /proc, which exists on Linux and only helps when the server runs on this machine; elsewhere it is left out.
import { readdirSync, readFileSync } from "node:fs";
import type { Client } from "pg";

/** CPU time in microseconds, from some fixed moment on. */
export interface Cpu {
  node: number;
  server: number;
}

/** What a piece of work took. */
export interface Cost {
  seconds: number;
  cpu: Cpu | undefined;
}

/** Microseconds in one tick of /proc/<pid>/stat: the kernel's USER_HZ is 100 on every architecture that Node runs on. */
const TICK = 10_000;

/** The fields of /proc/<pid>/stat after the command, which may itself contain blanks and brackets. */
function stat(pid: number | string) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const field = (number: number) => Number(fields[number - 3]);
    return { parent: field(4), own: field(14) + field(15), reaped: field(16) + field(17) };
  } catch {
    return undefined;
  }
}

/** The process id of the postmaster behind a connection, or undefined if it is not a process of this machine. */
export async function postmasterOf(client: Client): Promise<number | undefined> {
  const { rows } = await client.query<{ pid: number; local: boolean }>(
    "select pg_backend_pid() as pid, inet_client_addr() is not distinct from inet_server_addr() as local",
  );
  return rows[0]?.local ? stat(rows[0].pid)?.parent : undefined;
}

/** CPU time so far of this process and of the postmaster with all its children, living and gone. */
function cpu(postmaster: number | undefined): Cpu | undefined {
  const root = postmaster === undefined ? undefined : stat(postmaster);
  if (!root) return undefined;
  let ticks = root.own + root.reaped;
  for (const name of readdirSync("/proc")) {
    const child = /^\d+$/.test(name) ? stat(name) : undefined;
    if (child?.parent === postmaster) ticks += child?.own ?? 0;
  }
  const { user, system } = process.cpuUsage();
  return { node: user + system, server: ticks * TICK };
}

/** Runs `work` once and says what it took. */
export async function cost(postmaster: number | undefined, work: () => Promise<void>): Promise<Cost> {
  const before = cpu(postmaster);
  const started = performance.now();
  await work();
  const seconds = (performance.now() - started) / 1000;
  const after = cpu(postmaster);
  return {
    seconds,
    cpu: before && after && { node: after.node - before.node, server: after.server - before.server },
  };
}

/** The value below which `share` of the numbers lie. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The middle one of the numbers, or the mean of the two in the middle. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}

export function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}
