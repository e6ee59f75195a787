import { setTimeout as sleep } from "node:timers/promises";
import { call, fn } from "./call.ts";
import { type Database, type Target, withDatabase } from "./database.ts";
import { type Duration, milliseconds } from "./duration.ts";

/** The outcome of one maintenance task. */
export interface MaintenanceTask {
  module: string;
  task: string;
  /** Rows or objects that it changed. */
  affected: string;
  /** How long the module's run took, in milliseconds. */
  ms: string;
  /** True if it stopped at its budget with work left. */
  more: boolean;
}

const maintainFn = fn<{ budget?: Duration; module?: string }, MaintenanceTask[]>("howdah.maintain", {
  args: { budget: "interval", module: "text" },
  isNamespaced: false,
  returns: "rows",
  columns: { module: "text", task: "text", affected: "bigint", ms: "numeric", more: "boolean" },
});

/** Runs the maintenance of all installed modules once; what another process is doing is left out. */
export const maintain = (
  target: Target | Database,
  options: { budget?: Duration; module?: string } = {},
): Promise<MaintenanceTask[]> => withDatabase(target, (db) => call(db, maintainFn, options));

/** A loop of {@link maintain}; see {@link maintenance}. */
export interface Maintenance extends AsyncDisposable {
  start(): void;
  /** Ends the loop after the run that is under way. */
  stop(): Promise<void>;
}

/** How {@link maintenance} runs. */
export interface MaintenanceOptions {
  /** Between two runs, give or take a tenth; default 1 minute. A run that left work is followed by the next one at once. */
  every?: Duration;
  /** How long one run may take; default 10 s. */
  budget?: Duration;
  /** One module; by default all. */
  module?: string;
  onRun?: (tasks: MaintenanceTask[]) => void;
  onError?: (error: unknown) => void;
}

/** Keeps the installed modules in shape for as long as a process runs. Any number of processes may do so. */
export function maintenance(target: Target | Database, options: MaintenanceOptions = {}): Maintenance {
  const every = milliseconds(options.every ?? "1 minute");
  let stopping = new AbortController();
  let loop: Promise<void> | undefined;

  async function run(db: Database, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let hasMore = false;
      try {
        const { budget = "10 seconds", module } = options;
        const tasks = await maintain(db, module === undefined ? { budget } : { budget, module });
        hasMore = tasks.some((task) => task.more && task.affected !== "0");
        options.onRun?.(tasks);
      } catch (error) {
        options.onError?.(error);
      }
      const pause = hasMore ? 0 : every * (0.9 + Math.random() * 0.2);
      await sleep(pause, undefined, { signal }).catch(() => {});
    }
  }

  async function stop(): Promise<void> {
    stopping.abort();
    await loop;
    loop = undefined;
  }

  return {
    start() {
      if (loop) return;
      stopping = new AbortController();
      const { signal } = stopping;
      loop = withDatabase(target, (db) => run(db, signal));
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
