-- Maintenance: one call that keeps every installed module in shape.
--
-- A module takes part by having maintain(p_budget interval). Each module runs under its own
-- advisory lock, so that two callers never do the same work, and in its own subtransaction, so that
-- a module that fails does not stop the others. Who waited longest goes first, so that a short
-- budget reaches everyone in turn.

create or replace function howdah.maintain(
  p_budget interval default '10 s',
  p_module text default null
) returns table (module text, task text, affected bigint, ms numeric, more boolean)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_until timestamptz := clock_timestamp() + p_budget;
  v_started timestamptz;
  v_module text;
  v_tasks jsonb;
  v_error text;
begin
  if p_budget is null or p_budget <= interval '0' then
    perform howdah.fail('howdah', 'not_positive',
      format('budget is %s, it must be positive', p_budget), '22023',
      jsonb_build_object('field', 'budget'));
  end if;

  for v_module in
    select m.module
    from howdah.modules m
    left join howdah.maintenance t on t.module = m.module
    where (p_module is null or m.module = p_module)
      and to_regprocedure(format('%I.maintain(interval)', m.module)) is not null
    group by m.module
    order by max(t.last_at) nulls first, m.module
  loop
    continue when not pg_try_advisory_xact_lock(
      hashtextextended('howdah.maintain' || chr(31) || v_module, 0)
    );
    v_started := clock_timestamp();
    exit when v_started >= v_until;

    v_tasks := '[]';
    v_error := null;
    begin
      execute format('select coalesce(jsonb_agg(t), ''[]'') from %I.maintain($1) t', v_module)
      into v_tasks
      using v_until - v_started;
    exception when others then
      v_error := sqlerrm;
      v_tasks := jsonb_build_array(
        jsonb_build_object('task', 'maintain', 'affected', 0, 'more', true)
      );
    end;

    return query
    insert into howdah.maintenance as kept (module, task, last_at, last_ms, affected, more, error)
    select v_module, t.task, clock_timestamp(), passed.ms, t.affected, t.more, v_error
    from jsonb_to_recordset(v_tasks) as t(task text, affected bigint, more boolean),
      lateral (
        select round(extract(epoch from clock_timestamp() - v_started)::numeric * 1000, 1) as ms
      ) passed
    on conflict on constraint maintenance_pkey do update
    set last_at = excluded.last_at,
      last_ms = excluded.last_ms,
      affected = excluded.affected,
      more = excluded.more,
      error = excluded.error
    returning kept.module, kept.task, kept.affected, kept.last_ms, kept.more;

    if v_error is null then
      delete from howdah.maintenance kept
      where kept.module = v_module and kept.task = 'maintain' and kept.error is not null;
    end if;
  end loop;
end
$$;

comment on function howdah.maintain(interval, text) is
'Run the maintenance of the installed modules: prune, make and drop partitions, whatever each of
them needs.

Safe to call from everywhere at once: what another caller is doing is left out. A module that fails
is rolled back alone; its error stands in howdah.maintenance.
p_budget     how long the call may take, shared by the modules
p_module     one module, or null for all
Returns      one row per task: module, task, affected (rows or objects changed), ms (of the
             module''s run), more (true if work is left)
Errors       howdah.not_positive (22023)
Example      select * from howdah.maintain(''5 s'');';
