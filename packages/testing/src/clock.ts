import { type Duration, interval, milliseconds, type Queryable } from "@howdah/core";

/** The clock of one database: what `howdah.now()` says in it, and so what time it is for every module. */
export interface Clock {
  /** Moves the clock by a duration, such as `"2 days"` or `-1000`; several moves add up. */
  travel(duration: Duration): Promise<void>;
  /** Stops the clock at its present time, or at the given one; {@link travel} then moves the stopped clock. */
  freeze(at?: Date): Promise<void>;
  /** Sets the clock back to the server's own time. */
  realTime(): Promise<void>;
}

/**
 * Replaces the body of `howdah.now()` by one expression that holds the shift as a literal: still a stable SQL function that
 * the planner inlines, so that a test sees the plans that production sees.
 */
export function clock(db: Queryable): Clock {
  let base = "pg_catalog.now()";
  let shift = 0;
  let original: { definition: string; body: string } | undefined;

  async function set(expression: string): Promise<void> {
    original ??= await readDefinition(db);
    await db.query(original.definition.replace(original.body, () => expression));
  }
  const show = (): Promise<void> => set(`\n  select ${base} + interval '${interval(shift)}'\n`);

  return {
    async travel(duration) {
      shift += milliseconds(duration);
      await show();
    },
    async freeze(at) {
      const { rows } = await db.query<{ time: string }>(
        `select to_char(coalesce($1, howdah.now()) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time`,
        [at],
      );
      base = `timestamptz '${rows[0]?.time}'`;
      shift = 0;
      await show();
    },
    async realTime() {
      base = "pg_catalog.now()";
      shift = 0;
      await set(original?.body ?? (await readDefinition(db)).body);
    },
  };
}

async function readDefinition(db: Queryable): Promise<{ definition: string; body: string }> {
  const { rows } = await db.query<{ definition: string; body: string }>(
    "select pg_get_functiondef(oid) as definition, prosrc as body from pg_proc where oid = to_regprocedure('howdah.now()')",
  );
  if (rows[0]) return rows[0];
  throw new Error("This database has no howdah.now(): make it with testDatabase({ modules: [] })");
}
