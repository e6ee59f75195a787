import { HowdahError, toHowdahError } from "@howdah/core";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { Cron } from "croner";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { queueModule } from "../src/module.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
afterAll(() => db.close());

const preview = async (cron: string, zone: string, from: Date | string, count = 5): Promise<string[]> => {
  const { rows } = await db.query<{ run_at: Date }>("select run_at from queue.preview_cron($1, $2, $3, $4)", [
    cron,
    zone,
    from,
    count,
  ]);
  return rows.map((row) => row.run_at.toISOString());
};

const next = async (cron: string, zone: string, base: Date | string): Promise<string | undefined> => {
  const { rows } = await db.query<{ next: Date | null }>("select queue._cron_next_run($1, $2, $3) as next", [
    cron,
    zone,
    base,
  ]);
  return rows[0]?.next?.toISOString();
};

const errorOf = async (text: string, values: unknown[] = []): Promise<HowdahError> => {
  const error = await db.query(text, values).then(
    () => new Error("no error"),
    (thrown) => toHowdahError(thrown),
  );
  if (error instanceof HowdahError) return error;
  throw error;
};

const field = async (text: string, min: number, max: number): Promise<number[]> => {
  const { rows } = await db.query<{ values: number[] }>("select queue._cron_parse_field($1, $2, $3) as values", [
    text,
    min,
    max,
  ]);
  return rows[0]?.values ?? [];
};

const upTo = (low: number, high: number, step = 1): number[] =>
  Array.from({ length: Math.floor((high - low) / step) + 1 }, (_, i) => low + i * step);

describe("a field", () => {
  test.each<[string, number, number, number[]]>([
    ["*", 0, 59, upTo(0, 59)],
    ["*", 1, 31, upTo(1, 31)],
    ["*", 0, 7, upTo(0, 6)],
    ["7", 0, 59, [7]],
    ["07", 0, 59, [7]],
    ["*/15", 0, 59, [0, 15, 30, 45]],
    ["*/60", 0, 59, [0]],
    ["*/2", 1, 31, upTo(1, 31, 2)],
    ["10-13", 0, 23, [10, 11, 12, 13]],
    ["8-18/4", 0, 23, [8, 12, 16]],
    ["5/20", 0, 59, [5, 25, 45]],
    ["30,0,30,1-3", 0, 59, [0, 1, 2, 3, 30]],
    ["JAN,dec,Jun-Aug", 1, 12, [1, 6, 7, 8, 12]],
    ["MON-FRI", 0, 7, [1, 2, 3, 4, 5]],
    ["sat-sun", 0, 7, [0, 6]],
    ["SUN-TUE", 0, 7, [0, 1, 2]],
    ["0,7", 0, 7, [0]],
    ["5-7", 0, 7, [0, 5, 6]],
    ["*/3", 0, 7, [0, 3, 6]],
    ["MON/2", 0, 7, [1, 3, 5]],
    ["SAT", 0, 6, [6]],
  ])("%s from %i to %i is %j", async (text, min, max, values) => {
    expect(await field(text, min, max)).toEqual(values);
  });
});

describe("the next run", () => {
  test.each<[string, string, string]>([
    ["* * * * *", "2026-03-10T12:00:00Z", "2026-03-10T12:01:00Z"],
    ["* * * * *", "2026-03-10T12:00:59.999Z", "2026-03-10T12:01:00Z"],
    ["*/5 * * * *", "2026-03-10T12:04:59Z", "2026-03-10T12:05:00Z"],
    ["*/5 * * * *", "2026-03-10T12:05:00Z", "2026-03-10T12:10:00Z"],
    ["59 23 * * *", "2026-03-10T23:59:00Z", "2026-03-11T23:59:00Z"],
    ["0 9 * * 1-5", "2026-03-13T09:00:00Z", "2026-03-16T09:00:00Z"],
    ["0 9 * * MON-FRI", "2026-03-14T00:00:00Z", "2026-03-16T09:00:00Z"],
    ["15 8,17 * * *", "2026-03-10T08:15:00Z", "2026-03-10T17:15:00Z"],
    ["0 0 31 * *", "2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"],
    ["0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"],
    ["0 0 29 2 *", "2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"],
    ["0 0 1 1 *", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"],
    ["0 0 * DEC *", "2026-12-31T00:00:00Z", "2027-12-01T00:00:00Z"],
    ["0 0 * * 7", "2026-03-10T00:00:00Z", "2026-03-15T00:00:00Z"],
    ["0 0 13 * FRI", "2026-03-01T00:00:00Z", "2026-03-06T00:00:00Z"],
    ["0 0 10 * FRI", "2026-03-07T00:00:00Z", "2026-03-10T00:00:00Z"],
    ["0 0 */2 * MON", "2026-09-07T00:00:00Z", "2026-09-09T00:00:00Z"],
    ["0 0 30 2 MON", "2026-01-27T00:00:00Z", "2026-02-02T00:00:00Z"],
    [" 0\t9  * * * ", "2026-03-10T08:00:00Z", "2026-03-10T09:00:00Z"],
    ["@hourly", "2026-03-10T08:00:00Z", "2026-03-10T09:00:00Z"],
    ["@daily", "2026-03-10T08:00:00Z", "2026-03-11T00:00:00Z"],
    ["@midnight", "2026-03-10T08:00:00Z", "2026-03-11T00:00:00Z"],
    ["@weekly", "2026-03-10T08:00:00Z", "2026-03-15T00:00:00Z"],
    ["@monthly", "2026-03-10T08:00:00Z", "2026-04-01T00:00:00Z"],
    ["@yearly", "2026-03-10T08:00:00Z", "2027-01-01T00:00:00Z"],
    ["@Annually", "2026-03-10T08:00:00Z", "2027-01-01T00:00:00Z"],
    ["0 9 * * *", "0044-03-14T23:00:00Z", "0044-03-15T09:00:00Z"],
  ])("of %s after %s is %s", async (cron, base, run) => {
    expect(await next(cron, "UTC", base)).toBe(new Date(run).toISOString());
  });

  test.each([
    ["Asia/Kolkata", "0 9 * * *", "2026-03-10T00:00:00Z", "2026-03-10T03:30:00Z"],
    ["Pacific/Kiritimati", "0 0 1 * *", "2026-03-31T09:59:59Z", "2026-03-31T10:00:00Z"],
    ["Pacific/Pago_Pago", "30 23 31 * *", "2026-02-01T10:30:00Z", "2026-04-01T10:30:00Z"],
    ["Asia/Kathmandu", "*/30 * * * *", "2026-03-10T00:00:00Z", "2026-03-10T00:15:00Z"],
  ])("counts in the clocks of %s", async (zone, cron, base, run) => {
    expect(await next(cron, zone, base)).toBe(new Date(run).toISOString());
  });

  test.each(["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "* * 30-31 FEB *"])(
    "of %s, which no date matches, is null, and is found to be in a moment",
    async (cron) => {
      expect(await next(cron, "Europe/Berlin", "2026-03-10T00:00:00Z")).toBeUndefined();
      expect(await preview(cron, "Europe/Berlin", "2026-03-10T00:00:00Z")).toEqual([]);
      const times: number[] = [];
      for (let day = 1; day <= 50; day++) {
        const { rows } = await db.query<{ "QUERY PLAN": [{ "Execution Time": number }] }>(
          `explain (analyze, format json) select queue._cron_next_run($1, 'Europe/Berlin', now() + $2 * interval '1 day')`,
          [cron, day],
        );
        times.push(rows[0]?.["QUERY PLAN"][0]["Execution Time"] ?? Number.NaN);
      }
      expect(Math.min(...times)).toBeLessThan(5); // the others may have been held up by what else runs on the machine
    },
  );

  test("is null for the ends of time", async () => {
    expect(await next("* * * * *", "UTC", "infinity")).toBeUndefined();
    expect(await next("* * * * *", "UTC", "294276-12-31T23:59:59Z")).toBeUndefined();
    expect(await next("* * * * *", "Europe/Berlin", "-infinity")).toBeUndefined();
  });

  test("does not depend on the session's time zone or date style", async () => {
    const client = await db.client();
    await client.query("set timezone = 'Pacific/Chatham'");
    await client.query("set datestyle = 'SQL, DMY'");
    const { rows } = await client.query(
      `select extract(epoch from run_at)::float * 1000 as ms
       from queue.preview_cron('30 2 * * *', 'Europe/Berlin', to_timestamp($1 / 1000.0), 3)`,
      [Date.parse("2026-03-28T00:00:00Z")],
    );
    expect(rows.map((row) => new Date(row.ms).toISOString())).toEqual(
      await preview("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
    );
  });
});

describe("when the clocks turn", () => {
  // Times are local; the zone's offset stands with each, so that the two 02:30s of an autumn night differ.
  test.each<[string, string, string, string, string[]]>([
    [
      "a fixed time that is skipped runs at the first instant after the gap",
      "30 2 * * *",
      "Europe/Berlin",
      "2026-03-27T23:00+01:00",
      ["2026-03-28T02:30+01:00", "2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"],
    ],
    [
      "several fixed times that are skipped run once",
      "0,30 2 * * *",
      "Europe/Berlin",
      "2026-03-28T12:00+01:00",
      ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00", "2026-03-30T02:30+02:00"],
    ],
    [
      "a skipped time and one that is the end of the gap run once",
      "0 2,3 * * *",
      "Europe/Berlin",
      "2026-03-28T12:00+01:00",
      ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00", "2026-03-30T03:00+02:00"],
    ],
    [
      "a fixed time that comes twice runs the first time",
      "30 2 * * *",
      "Europe/Berlin",
      "2026-10-24T12:00+02:00",
      ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"],
    ],
    [
      "a fixed time does not run again from a base between its two occurrences",
      "0,30 2 * * *",
      "Europe/Berlin",
      "2026-10-25T02:45+02:00",
      ["2026-10-26T02:00+01:00", "2026-10-26T02:30+01:00"],
    ],
    [
      "a wildcard in the hour runs at every real instant of the long night",
      "30 * * * *",
      "Europe/Berlin",
      "2026-10-25T01:00+02:00",
      ["2026-10-25T01:30+02:00", "2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00", "2026-10-25T03:30+01:00"],
    ],
    [
      "a wildcard in the hour leaves out the gap",
      "30 * * * *",
      "Europe/Berlin",
      "2026-03-29T01:00+01:00",
      ["2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00", "2026-03-29T04:30+02:00"],
    ],
    [
      "a range in the hour leaves out the gap and runs twice in the fold",
      "0 2-3 * * *",
      "America/New_York",
      "2026-03-07T12:00-05:00",
      ["2026-03-08T03:00-04:00", "2026-03-09T02:00-04:00", "2026-03-09T03:00-04:00"],
    ],
    [
      "a step in the hour is treated as a range",
      "30 1-23/24 * * *",
      "America/New_York",
      "2026-10-31T12:00-04:00",
      ["2026-11-01T01:30-04:00", "2026-11-01T01:30-05:00", "2026-11-02T01:30-05:00"],
    ],
    [
      "a wildcard in the minute too means every real instant",
      "*/30 1 * * *",
      "America/New_York",
      "2026-10-31T12:00-04:00",
      ["2026-11-01T01:00-04:00", "2026-11-01T01:30-04:00", "2026-11-01T01:00-05:00", "2026-11-01T01:30-05:00"],
    ],
    [
      "a fixed time in a gap of New York",
      "30 2 8 3 *",
      "America/New_York",
      "2026-01-01T00:00-05:00",
      ["2026-03-08T03:00-04:00", "2027-03-08T02:30-05:00"],
    ],
    [
      "half an hour is skipped on Lord Howe",
      "15 2 * * *",
      "Australia/Lord_Howe",
      "2026-10-03T12:00+10:30",
      ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"],
    ],
    [
      "half an hour comes twice on Lord Howe, for a wildcard",
      "45 * * * *",
      "Australia/Lord_Howe",
      "2026-04-05T01:00+11:00",
      ["2026-04-05T01:45+11:00", "2026-04-05T01:45+10:30", "2026-04-05T02:45+10:30"],
    ],
    [
      "half an hour comes twice on Lord Howe, for a fixed time",
      "45 1 * * *",
      "Australia/Lord_Howe",
      "2026-04-05T01:00+11:00",
      ["2026-04-05T01:45+11:00", "2026-04-06T01:45+10:30"],
    ],
    [
      "midnight is skipped in Santiago",
      "0 0 * * *",
      "America/Santiago",
      "2026-09-05T00:00-04:00",
      ["2026-09-06T01:00-03:00", "2026-09-07T00:00-03:00"],
    ],
    [
      "the last hour of a day comes twice in Santiago, for a wildcard",
      "0 * * * *",
      "America/Santiago",
      "2026-04-04T22:00-03:00",
      ["2026-04-04T23:00-03:00", "2026-04-04T23:00-04:00", "2026-04-05T00:00-04:00"],
    ],
    [
      "the last hour of a day comes twice in Santiago, for a fixed time",
      "30 23 * * SAT",
      "America/Santiago",
      "2026-04-04T22:00-03:00",
      ["2026-04-04T23:30-03:00", "2026-04-11T23:30-04:00"],
    ],
    [
      "yesterday comes again when the clocks go back at one minute past midnight",
      "*/20 * * * *",
      "America/St_Johns",
      "2009-11-01T00:00:30-02:30",
      ["2009-10-31T23:20-03:30", "2009-10-31T23:40-03:30", "2009-11-01T00:00-03:30"],
    ],
    [
      "the first minute of a day runs before the last hour of the day before comes again",
      "*/30 * * * *",
      "America/St_Johns",
      "2009-10-31T23:50-02:30",
      ["2009-11-01T00:00-02:30", "2009-10-31T23:30-03:30", "2009-11-01T00:00-03:30"],
    ],
    [
      "a fixed time does not, when the clocks go back at one minute past midnight",
      "20 23 * * *",
      "America/St_Johns",
      "2009-11-01T00:00:30-02:30",
      ["2009-11-01T23:20-03:30"],
    ],
    [
      "a day that did not exist has no run",
      "0 9 * * *",
      "Pacific/Apia",
      "2011-12-29T00:00-10:00",
      ["2011-12-29T09:00-10:00", "2011-12-31T09:00+14:00", "2012-01-01T09:00+14:00"],
    ],
    [
      "a yearly run on a day that did not exist waits for the next year",
      "0 9 30 12 *",
      "Pacific/Apia",
      "2011-12-01T00:00-10:00",
      ["2012-12-30T09:00+14:00"],
    ],
    [
      "every hour runs on around a day that did not exist",
      "0 * * * *",
      "Pacific/Apia",
      "2011-12-29T22:00-10:00",
      ["2011-12-29T23:00-10:00", "2011-12-31T00:00+14:00", "2011-12-31T01:00+14:00"],
    ],
  ])("%s (%s, %s)", async (_what, cron, zone, from, runs) => {
    expect(await preview(cron, zone, from, runs.length)).toEqual(runs.map((run) => new Date(run).toISOString()));
  });
});

const item = (low: number, high: number) =>
  fc
    .tuple(fc.integer({ min: low, max: high }), fc.integer({ min: low, max: high }), fc.constantFrom(0, 0, 1, 2))
    .map(([a, b, kind]) => {
      const range = `${Math.min(a, b)}-${Math.max(a, b)}`;
      return kind === 0 ? `${a}` : kind === 1 ? range : `${range}/${1 + (a % 5)}`;
    });
const anyField = (low: number, high: number) =>
  fc.oneof(
    { weight: 4, arbitrary: fc.constant("*") },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: high - low }).map((step) => `*/${step}`) },
    { weight: 6, arbitrary: fc.array(item(low, high), { minLength: 1, maxLength: 3 }).map((items) => items.join(",")) },
  );
const anyCron = fc
  .tuple(anyField(0, 59), anyField(0, 23), anyField(1, 31), anyField(1, 12), anyField(0, 7))
  .map((fields) => fields.join(" "));

describe("any expression", () => {
  const anyTime = fc.date({ min: new Date("1990-01-01"), max: new Date("2060-01-01"), noInvalidDate: true });

  test("runs when croner would, in zones whose clocks do not turn", async () => {
    await fc.assert(
      fc.asyncProperty(
        anyCron,
        anyTime,
        fc.constantFrom("UTC", "Asia/Tokyo", "Asia/Kolkata", "America/Phoenix"),
        async (cron, from, zone) => {
          const oracle = new Cron(cron, { timezone: zone, mode: "5-part", paused: true });
          const limit = new Date(from.getTime() + 7.9 * 365.25 * 86_400_000);
          const expected = oracle.nextRuns(4, from).filter((run) => run < limit);
          const runs = (await preview(cron, zone, from, 4)).filter((run) => new Date(run) < limit);
          expect(runs).toEqual(expected.map((run) => run.toISOString()));
        },
      ),
      { numRuns: 500 },
    );
  });

  test("runs strictly later than its base, and at the same instant from every base before it", async () => {
    await fc.assert(
      fc.asyncProperty(anyCron, anyTime, fc.double({ min: 0, max: 1, noNaN: true }), async (cron, from, share) => {
        const runs = await preview(cron, "Europe/Berlin", from, 4);
        let base = from.getTime();
        for (const run of runs) {
          const at = Date.parse(run);
          expect(at).toBeGreaterThan(base);
          const between = new Date(base + Math.floor((at - base - 1) * share));
          expect(await next(cron, "Europe/Berlin", between)).toBe(run);
          base = at;
        }
      }),
      { numRuns: 100 },
    );
  });

  test("runs around a turn of the clocks when a model that looks at every minute says so", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...turns),
        fc.tuple(anyField(0, 59), anyField(0, 23), anyField(0, 7)),
        fc.integer({ min: -36 * 60, max: 26 * 60 }),
        async ([zone, turn], [minutes, hours, weekdays], shift) => {
          const from = Date.parse(turn) + shift * minute;
          const until = Date.parse(turn) + 2 * 86_400_000;
          const values = [await field(minutes, 0, 59), await field(hours, 0, 23), await field(weekdays, 0, 7)];
          const expected = model(
            clocks.get(zone + turn) ?? [],
            !/[*/-]/.test(minutes + hours),
            (local) =>
              values[0]?.includes(local.getUTCMinutes()) === true &&
              values[1]?.includes(local.getUTCHours()) === true &&
              values[2]?.includes(local.getUTCDay()) === true,
          ).filter((run) => run > from);
          const runs = await preview(`${minutes} ${hours} * * ${weekdays}`, zone, new Date(from), 60);
          expect(runs.filter((run) => Date.parse(run) < until)).toEqual(
            expected.slice(0, 60).map((run) => new Date(run).toISOString()),
          );
        },
      ),
      { numRuns: 400 },
    );
  });
});

// Turns of each kind: forward and back, by an hour, by half of one and by a day, near midnight and not.
const turns: [string, string][] = [
  ["Europe/Berlin", "2026-03-29T01:00:00Z"],
  ["Europe/Berlin", "2026-10-25T01:00:00Z"],
  ["America/New_York", "2026-03-08T07:00:00Z"],
  ["America/New_York", "2026-11-01T06:00:00Z"],
  ["Australia/Lord_Howe", "2026-04-04T15:00:00Z"],
  ["Australia/Lord_Howe", "2026-10-03T15:30:00Z"],
  ["America/Santiago", "2026-04-05T03:00:00Z"],
  ["America/Santiago", "2026-09-06T04:00:00Z"],
  ["America/St_Johns", "2009-11-01T02:31:00Z"],
  ["America/St_Johns", "2009-03-08T03:31:00Z"],
  ["Pacific/Apia", "2011-12-30T10:00:00Z"],
];

const minute = 60_000;
const dayOf = (local: number): number => Math.floor(local / 86_400_000);

/** Each minute of a few days around a turn, with what the zone's clocks show then (as if it were UTC). */
const clocks = new Map(
  turns.map(([zone, turn]) => {
    const format = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "short" });
    const minutes = Array.from({ length: 5 * 1440 }, (_, i) => Date.parse(turn) + (i - 3 * 1440) * minute);
    return [zone + turn, minutes.map((at) => ({ at, local: Date.parse(`${format.format(at).replace(" ", "T")}Z`) }))];
  }),
);

/** What runs by the rule, read off the clocks minute by minute. */
function model(shown: { at: number; local: number }[], isFixed: boolean, matches: (local: Date) => boolean): number[] {
  const days = new Set(shown.map(({ local }) => dayOf(local)));
  const seen = new Set<number>();
  const runs = new Set<number>();
  let last = shown[0]?.local ?? 0;
  for (const { at, local } of shown) {
    if (matches(new Date(local)) && !(isFixed && seen.has(local))) runs.add(at);
    for (let skipped = last + minute; isFixed && skipped < local; skipped += minute) {
      if (days.has(dayOf(skipped)) && matches(new Date(skipped))) runs.add(at);
    }
    seen.add(local);
    last = local;
  }
  return [...runs].sort((a, b) => a - b);
}

describe("a time zone", () => {
  const accepts = async (query: string): Promise<string[]> => {
    const refused: string[] = [];
    const { rows } = await db.query<{ name: string }>(query);
    for (const { name } of rows) {
      const ok = await db.query("select queue._check_timezone($1)", [name]).then(
        () => true,
        () => false,
      );
      if (!ok) refused.push(name);
    }
    expect(rows.length).toBeGreaterThan(30);
    return refused.sort();
  };

  test("has a name that PostgreSQL knows, unless that would be read as an abbreviation", async () => {
    const refused = await accepts("select name from pg_timezone_names where name !~ '^(posix|right)'");
    const abbreviations = ["CET", "EET", "EST", "HST", "MET", "MST", "WET"];
    expect(refused.filter((name) => !["Factory", "localtime", "posixrules"].includes(name))).toEqual(abbreviations);
  });

  test("is no abbreviation, but UTC and its other names", async () => {
    const all = (await db.query<{ name: string }>("select distinct abbrev as name from pg_timezone_abbrevs")).rows;
    const refused = await accepts("select distinct abbrev as name from pg_timezone_abbrevs");
    const taken = all.map((row) => row.name).filter((name) => !refused.includes(name));
    expect(taken.sort()).toEqual(["GMT", "UCT", "UTC", "ZULU"]);
  });

  test.each([
    "",
    " ",
    "Mars/Olympus",
    "Europe",
    "Europe/",
    "Europe/Berlin ",
    "../Europe/Berlin",
    "+3",
    "-08:00",
    "UTC+3",
    "<+03>-3",
    "EST5EDT,M3.2.0,M11.1.0",
    "Mars/Olympus3",
    "Etc/GMT+13",
    "2 hours",
    "x".repeat(5000),
    null,
  ])("is not %j", async (zone) => {
    const error = await errorOf("select queue._cron_next_run('* * * * *', $1, now())", [zone]);
    expect(error).toMatchObject({ module: "queue", code: "timezone_unknown", sqlstate: "22023" });
    expect(error.hint).toContain("Europe/Berlin");
  });

  test("is found in any case, as in JavaScript", async () => {
    expect(await next("0 9 * * *", "europe/BERLIN", "2026-03-10T00:00:00Z")).toBe("2026-03-10T08:00:00.000Z");
  });
});

test("expressions and time zones are read alike however the session reads backslashes", async () => {
  const client = await db.client();
  await client.query("set standard_conforming_strings to off");
  const { rows } = await client.query<{ next: Date }>(
    "select queue._cron_next_run('*/15 9-17/4\t* JAN-03 mon,2', 'Etc/GMT+5', '2026-02-03T12:00Z') as next",
  );
  expect(rows[0]?.next.toISOString()).toBe("2026-02-03T14:00:00.000Z");
});

describe("a bad expression", () => {
  test.each<[string | null, string, string, string]>([
    [null, "cron_empty", "22026", "is empty"],
    ["", "cron_empty", "22026", "is empty"],
    [" \t\n ", "cron_empty", "22026", "is empty"],
    [`${"0,".repeat(128)}0 * * * *`, "cron_too_long", "22001", "256"],
    ["* * * *", "cron_fields", "22023", "4 fields"],
    ["0 * * * * *", "cron_fields", "22023", "6 fields"],
    ["hello", "cron_fields", "22023", "1 fields"],
    ["@reboot", "cron_invalid", "22023", "@reboot"],
    ["@every 5m", "cron_invalid", "22023", "@every 5m"],
    ["60 * * * *", "cron_invalid", "22023", "minute '60'"],
    ["* 24 * * *", "cron_invalid", "22023", "hour '24'"],
    ["* * 0 * *", "cron_invalid", "22023", "day of month '0'"],
    ["* * 32 * *", "cron_invalid", "22023", "day of month '32'"],
    ["* * * 13 *", "cron_invalid", "22023", "month '13'"],
    ["* * * * 8", "cron_invalid", "22023", "day of week '8'"],
    ["5-1 * * * *", "cron_invalid", "22023", "backwards"],
    ["* * * * FRI-MON", "cron_invalid", "22023", "backwards"],
    ["* * * * JAN", "cron_invalid", "22023", "day of week 'JAN'"],
    ["MON * * * *", "cron_invalid", "22023", "minute 'MON'"],
    ["* * * FOO *", "cron_invalid", "22023", "month 'FOO'"],
    ["* * * JAN-FOO *", "cron_invalid", "22023", "month 'JAN-FOO'"],
    ["1,,2 * * * *", "cron_invalid", "22023", "minute '1,,2'"],
    ["1, * * * *", "cron_invalid", "22023", "minute '1,'"],
    ["-1 * * * *", "cron_invalid", "22023", "minute '-1'"],
    ["1.5 * * * *", "cron_invalid", "22023", "minute '1.5'"],
    ["*-5 * * * *", "cron_invalid", "22023", "minute '*-5'"],
    ["**/5 * * * *", "cron_invalid", "22023", "minute '**/5'"],
    ["*/ * * * *", "cron_invalid", "22023", "minute '*/'"],
    ["*/90 * * * *", "cron_invalid", "22023", "a step above 60"],
    ["99999999999 * * * *", "cron_invalid", "22023", "minute '99999999999'"],
    ["? * * * *", "cron_invalid", "22023", "minute '?'"],
    ["* * L * *", "cron_invalid", "22023", "day of month 'L'"],
    ["*/0 * * * *", "cron_step_zero", "22023", "minute '*/0'"],
    ["* 1-5/0 * * *", "cron_step_zero", "22023", "hour '1-5/0'"],
  ])("%j is refused as %s", async (cron, code, sqlstate, message) => {
    const error = await errorOf("select queue._cron_next_run($1, 'UTC', now())", [cron]);
    expect(error).toMatchObject({ module: "queue", code, sqlstate });
    expect(error.message).toContain(message);
    expect(error.detail).toHaveProperty("field");
  });

  test("names its field and shows the accepted form", async () => {
    const error = await errorOf("select queue._cron_next_run('0 9 * * 9', 'UTC', now())");
    expect(error.message).toBe("day of week '9' of the cron expression contains '9', outside 0 to 7");
    expect(error.detail).toEqual({ field: "day of week", value: "9" });
    expect(error.hint).toContain("a number from 0 to 7 or SUN to SAT");
    expect((await errorOf("select queue._cron_next_run('9', 'UTC', now())")).hint).toContain("0 9 * * MON-FRI");
  });
});

describe("preview_cron", () => {
  test("starts now in UTC and shows five runs unless told otherwise", async () => {
    await db.freeze(new Date("2026-03-10T12:34:56Z"));
    const { rows } = await db.query<{ run_at: Date }>("select * from queue.preview_cron('@hourly')");
    await db.realTime();
    expect(rows.map((row) => row.run_at.toISOString())).toEqual(
      [13, 14, 15, 16, 17].map((hour) => `2026-03-10T${hour}:00:00.000Z`),
    );
  });

  test("shows as many runs as asked for, at most 1,000", async () => {
    expect(await preview("* * * * *", "UTC", "2026-03-10T00:00:00Z", 1)).toHaveLength(1);
    expect(await preview("* * * * *", "UTC", "2026-03-10T00:00:00Z", 1000)).toHaveLength(1000);
    const of = (count: number | null) => errorOf("select queue.preview_cron('@daily', 'UTC', null, $1)", [count]);
    expect(await of(0)).toMatchObject({ code: "not_positive", sqlstate: "22023" });
    expect(await of(1001)).toMatchObject({ code: "limit_too_large", sqlstate: "22023" });
    expect(await of(null)).toMatchObject({ code: "limit_null", sqlstate: "22004" });
  });
});
