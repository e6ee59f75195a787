import { ModuleClient } from "@howdah/core";
import { z } from "zod";
import { rethrow } from "./errors.ts";
import * as sql from "./functions.ts";
import type { JobId } from "./job.ts";
import { duration, parseOptions } from "./options.ts";
import { payloadText } from "./payload.ts";

const common = {
  priority: z.int().optional(),
  maxAttempts: z.int().optional(),
  tags: z.array(z.string()).optional(),
  /** Whether it runs at all; default true. */
  isActive: z.boolean().optional(),
  /** What to do about runs that were missed: none, one (the default) or all, at most 100. */
  misfire: z.enum(["skip", "once", "all"]).optional(),
  /** Whether a run is left out while the last one waits or runs; default `allow`. */
  overlap: z.enum(["allow", "skip"]).optional(),
  /** The most by which a run is moved, always the same for a schedule. */
  jitter: duration.optional(),
  startsAt: z.date().optional(),
  endsAt: z.date().optional(),
};

const scheduleOptions = z.union([
  z.strictObject({
    ...common,
    /** Five fields: minute, hour, day of month, month, day of week; or a macro such as `@daily`. */
    cron: z.string(),
    /** The IANA name of the zone whose clocks count; default UTC. */
    timezone: z.string().optional(),
  }),
  z.strictObject({
    ...common,
    /** From one run to the next. */
    every: duration,
  }),
]);

/** When a schedule runs, and how. */
export type ScheduleOptions = z.input<typeof scheduleOptions>;

/** A schedule in a list. */
export interface ScheduleEntry {
  name: string;
  queue: string;
  cronExpression: string | null;
  /** Milliseconds. */
  everyInterval: number | null;
  isActive: boolean;
  nextRunAt: Date | null;
  lastRunAt: Date | null;
  runCount: string;
  createdAt: Date;
}

/** A schedule with all its particulars. */
export interface Schedule extends ScheduleEntry {
  id: string;
  payload: unknown;
  priority: number;
  maxAttempts: number;
  tags: string[];
  cronTimezone: string;
  lastJobId: JobId | null;
  updatedAt: Date;
}

/** Jobs that are pushed by the clock. Any worker of the namespace runs the clock. */
export class Schedules extends ModuleClient {
  /**
   * Makes a schedule.
   *
   * @returns its id
   * @throws {ConflictError} `schedule_duplicate` when the name is taken
   * @throws {ValidationError} `cron_invalid`, `cron_fields`, `cron_never`, `timezone_unknown`
   */
  create(name: string, queue: string, payload: unknown, options: ScheduleOptions): Promise<string> {
    return this.write(name, queue, payload, options, false);
  }

  /** Makes a schedule, or makes the one of that name like this: for what an application declares at its start. */
  upsert(name: string, queue: string, payload: unknown, options: ScheduleOptions): Promise<string> {
    return this.write(name, queue, payload, options, true);
  }

  /** Deletes a schedule; false if there is none. */
  delete(name: string): Promise<boolean> {
    return this.call(sql.deleteSchedule, { name }).catch(rethrow);
  }

  /** Stops a schedule until {@link resume}; false if there is none. */
  pause(name: string): Promise<boolean> {
    return this.call(sql.pauseSchedule, { name }).catch(rethrow);
  }

  /** Lets a schedule run again, from now on; false if there is none. */
  resume(name: string): Promise<boolean> {
    return this.call(sql.resumeSchedule, { name }).catch(rethrow);
  }

  /** One schedule, or null. */
  async get(name: string): Promise<Schedule | null> {
    const schedule = await this.call(sql.getSchedule, { name }).catch(rethrow);
    return schedule && withMilliseconds(schedule);
  }

  /** Lists schedules by name; `cursor` is the last name of the page before. */
  async list(
    options: { queue?: string; isActive?: boolean; limit?: number; cursor?: string } = {},
  ): Promise<ScheduleEntry[]> {
    const entries = await this.call(sql.listSchedules, options).catch(rethrow);
    return entries.map(withMilliseconds);
  }

  /** Pushes a schedule's job now, beside its regular runs. */
  runNow(name: string): Promise<JobId> {
    return this.call(sql.runScheduleNow, { name }).catch(rethrow);
  }

  /** When a cron expression runs next. */
  async preview(cron: string, options: { timezone?: string; from?: Date; count?: number } = {}): Promise<Date[]> {
    const rows = await this.call(sql.previewCron, { expression: cron, ...options }).catch(rethrow);
    return rows.map((row) => row.runAt);
  }

  private async write(
    name: string,
    queue: string,
    payload: unknown,
    options: ScheduleOptions,
    upsert: boolean,
  ): Promise<string> {
    const parsed = parseOptions(scheduleOptions, options, `schedule ${name}`);
    const rhythm =
      "cron" in parsed
        ? { cronExpression: parsed.cron, cronTimezone: parsed.timezone }
        : { everyInterval: parsed.every };
    const { priority, maxAttempts, tags, isActive, misfire, overlap, jitter, startsAt, endsAt } = parsed;
    const rest = { priority, maxAttempts, tags, isActive, misfire, overlap, jitter, startsAt, endsAt };
    return this.call(sql.createSchedule, {
      name,
      queue,
      payload: payloadText(payload),
      ...rhythm,
      ...rest,
      upsert,
    }).catch(rethrow);
  }
}

/** An interval as drivers read it: an object of its parts. */
type Parts = Partial<Record<"years" | "months" | "days" | "hours" | "minutes" | "seconds" | "milliseconds", number>>;

function withMilliseconds<Entry extends ScheduleEntry>(entry: Entry): Entry {
  const parts = entry.everyInterval as Parts | null;
  if (parts === null) return entry;
  const { years = 0, months = 0, days = 0, hours = 0, minutes = 0, seconds = 0, milliseconds = 0 } = parts;
  const allDays = years * 365.25 + months * 30 + days;
  return { ...entry, everyInterval: (((allDays * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 + milliseconds };
}
