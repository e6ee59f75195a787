import type pg from "pg";

/**
 * Drops what dead processes have left on a server that outlives them: databases and roles whose name no connection bears, and
 * templates that are older than yesterday's. Nothing else is touched.
 */
export async function dropLeftovers(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ kind: string; name: string }>(`
    with things(kind, name) as (
      select 'database', datname from pg_database
      union all
      select 'role', rolname from pg_roles
    )
    select kind, name
    from things
    where name ~ '^howdah_test_[0-9a-f]{6}_[0-9]+_[0-9a-f]{6}_'
      and substring(name from '^howdah_test_[^_]+_[^_]+_[^_]+') not in (
        select application_name from pg_stat_activity where application_name is not null
      )
      or kind = 'database'
      and name ~ '^howdah_template_[0-9]{8}_'
      and split_part(name, '_', 3) < to_char(current_date - 1, 'YYYYMMDD')
    order by kind`);
  for (const { kind, name } of rows) {
    // Another process may be cleaning as well, and what belongs to another user stays.
    await client.query(`drop ${kind} if exists ${client.escapeIdentifier(name)}`).catch(() => {});
  }
}
