-- Partitions: making those of the coming months or days, and dropping whole ones when they are old.
--
-- A partition is made as a table of its own and then attached, which lets readers and writers of
-- the parent go on. Row-level security does not reach a partition that is read directly, so each
-- one, the default partition too, gets the parent's policies, its grants of select and no right
-- of PUBLIC; every call mends partitions whose policies lag behind the parent's. (A policy is
-- copied as text, so it may name the columns of its table, but not the table.) Rows that waited
-- in the default partition for the new one move into it before it is attached, under the lock
-- that attaching takes anyway and past the user's triggers, since moving is not changing.
--
-- One advisory lock a table serialises all of this. It is taken only when there is something to
-- do, so a call that finds everything in place locks nothing, and waited for as long as another
-- call may take on a busy server. No other lock is waited for longer than a short timeout, because
-- a waiting DDL statement blocks the traffic behind it. Bounds are read and written as text,
-- therefore the public functions pin time zone and date style.

create or replace function howdah.ensure_month_partitions(
  p_table regclass,
  p_ahead int default 2,
  p_from timestamptz default howdah.now()
) returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set datestyle = 'ISO, YMD'
set lock_timeout = '2s'
as $$
begin
  return howdah._ensure_partitions(p_table, 'month', p_ahead, p_from);
end
$$;

comment on function howdah.ensure_month_partitions(regclass, int, timestamptz) is
'Make the monthly partitions of a table for a month and some months after it.

They are named like audit_events_y2026m11 and begin at midnight UTC. Each partition has the
parent''s policies and grants of select; rows of its range leave the default partition for it.
Safe to call from everywhere at once; nothing is locked when nothing is missing.
p_table      a table of an installed module, partitioned by range on one timestamptz column
p_ahead      how many months after the first, 0 to 120
p_from       a time in the first month, from 1970 to 9999
Returns      how many partitions were made
Errors       howdah.table_unknown, ahead_invalid, from_invalid (22023); 55P03 when a lock was not
             free within 2 s, or another call has not ended within a minute: try again
Example      select howdah.ensure_month_partitions(''queue.audit_events'');';

create or replace function howdah.ensure_day_partitions(
  p_table regclass,
  p_ahead int default 2,
  p_from timestamptz default howdah.now()
) returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set datestyle = 'ISO, YMD'
set lock_timeout = '2s'
as $$
begin
  return howdah._ensure_partitions(p_table, 'day', p_ahead, p_from);
end
$$;

comment on function howdah.ensure_day_partitions(regclass, int, timestamptz) is
'Make the daily partitions of a table for a day and some days after it.

They are named like metrics_y2026m11d21 and begin at midnight UTC. Each partition has the
parent''s policies and grants of select; rows of its range leave the default partition for it.
Safe to call from everywhere at once; nothing is locked when nothing is missing.
p_table      a table of an installed module, partitioned by range on one timestamptz column
p_ahead      how many days after the first, 0 to 120
p_from       a time in the first day, from 1970 to 9999
Returns      how many partitions were made
Errors       howdah.table_unknown, ahead_invalid, from_invalid (22023); 55P03 when a lock was not
             free within 2 s, or another call has not ended within a minute: try again
Example      select howdah.ensure_day_partitions(''queue.metrics'', 3);';

create or replace function howdah.drop_partitions(
  p_table regclass,
  p_keep interval
) returns setof text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set datestyle = 'ISO, YMD'
set lock_timeout = '1s'
as $$
declare
  v_old record;
begin
  perform howdah._partition_key(p_table);
  if p_keep is null or p_keep < interval '0' then
    perform howdah.fail('howdah', 'keep_invalid',
      format('keep is %s, it must be zero or more', coalesce(p_keep::text, 'null')), '22023',
      jsonb_build_object('field', 'keep'));
  end if;

  if not pg_try_advisory_xact_lock(howdah._partition_lock(p_table)) then
    return;
  end if;

  for v_old in
    select b.partition, c.relname
    from howdah._partitions(p_table) b
    join pg_class c on c.oid = b.partition
    where b.upper_bound <= howdah.now() - p_keep
    order by b.lower_bound
  loop
    begin
      execute format('drop table %s', v_old.partition);
      return next v_old.relname;
    exception when lock_not_available or deadlock_detected then
      null;
    end;
  end loop;
end
$$;

comment on function howdah.drop_partitions(regclass, interval) is
'Drop the partitions of a table whose whole range is older than an age, the oldest first.

A partition whose locks are not free within 1 s is left for the next call; the default partition
is never dropped. The table stays locked until the transaction ends, so call this last in it.
p_table      a table of an installed module, partitioned by range on one timestamptz column
p_keep       the age, zero or more
Returns      the names of the dropped partitions; none while another call works on the same table
Errors       howdah.table_unknown, keep_invalid (22023); 2BP01 when something of yours, such as a
             view, depends on a partition
Example      select howdah.drop_partitions(''queue.audit_events'', ''84 months'');';

create or replace function howdah._ensure_partitions(
  p_table regclass,
  p_unit text,
  p_ahead int,
  p_from timestamptz
) returns int
language plpgsql
as $$
declare
  v_key name := howdah._partition_key(p_table);
  v_patience text := current_setting('lock_timeout');
  v_schema name;
  v_table name;
  v_step interval := '1 ' || p_unit;
  v_made int := 0;
  v_lower timestamptz;
  v_name name;
  v_partition regclass;
begin
  if p_ahead is null or p_ahead not between 0 and 120 then
    perform howdah.fail('howdah', 'ahead_invalid',
      format('ahead is %s, it must be 0 to 120', coalesce(p_ahead::text, 'null')), '22023',
      jsonb_build_object('field', 'ahead', 'limit', 120));
  end if;
  if p_from is null or p_from < '1970-01-01' or p_from >= '10000-01-01' then
    perform howdah.fail('howdah', 'from_invalid',
      format('from is %s, it must be in the years 1970 to 9999', coalesce(p_from::text, 'null')),
      '22023', jsonb_build_object('field', 'from'));
  end if;

  select n.nspname, c.relname into v_schema, v_table
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where c.oid = p_table;

  if not exists (select 1 from howdah._missing_partitions(p_table, p_unit, p_ahead, p_from))
    and not exists (select 1 from howdah._unprotected_partitions(p_table))
  then
    return 0;
  end if;

  perform set_config('lock_timeout', '1min', true);
  perform pg_advisory_xact_lock(howdah._partition_lock(p_table));
  perform set_config('lock_timeout', v_patience, true);

  for v_lower in
    select m.lower_bound
    from howdah._missing_partitions(p_table, p_unit, p_ahead, p_from) m
    order by m.lower_bound
  loop
    v_name := v_table || to_char(v_lower, case p_unit
      when 'month' then '"_y"YYYY"m"MM'
      else '"_y"YYYY"m"MM"d"DD'
    end);
    execute format('create table %I.%I (like %s including all excluding identity)',
      v_schema, v_name, p_table);
    v_partition := format('%I.%I', v_schema, v_name)::regclass;
    perform howdah._protect_partition(p_table, v_partition);
    perform howdah._take_from_default(p_table, v_partition, v_key, v_lower, v_lower + v_step);
    execute format('alter table %s attach partition %s for values from (%L) to (%L)',
      p_table, v_partition, v_lower, v_lower + v_step);
    v_made := v_made + 1;
  end loop;

  perform howdah._protect_partition(p_table, u.partition)
  from howdah._unprotected_partitions(p_table) u;

  return v_made;
end
$$;

comment on function howdah._ensure_partitions(regclass, text, int, timestamptz) is
'Make the missing partitions of a range of months or days, and mend the policies of the others.';

create or replace function howdah._take_from_default(
  p_table regclass,
  p_partition regclass,
  p_key name,
  p_lower timestamptz,
  p_upper timestamptz
) returns void
language plpgsql
as $$
declare
  v_default regclass := (
    select nullif(t.partdefid, 0) from pg_partitioned_table t where t.partrelid = p_table
  );
  v_columns text;
  v_disable text;
  v_enable text;
  v_waiting boolean;
begin
  if v_default is null then
    return;
  end if;

  execute format('lock table only %s in share update exclusive mode', p_table);
  execute format('lock table only %s in access exclusive mode', v_default);
  execute format('select exists (select 1 from only %s where %I >= $1 and %I < $2)',
    v_default, p_key, p_key)
  into v_waiting
  using p_lower, p_upper;
  if not v_waiting then
    return;
  end if;

  select string_agg(quote_ident(a.attname), ', ' order by a.attnum) into v_columns
  from pg_attribute a
  where a.attrelid = p_partition
    and a.attnum > 0
    and not a.attisdropped
    and a.attgenerated = '';

  select string_agg(format('disable trigger %I', t.tgname), ', '),
    string_agg(format('enable %s trigger %I', case t.tgenabled
      when 'A' then 'always'
      when 'R' then 'replica'
      else ''
    end, t.tgname), ', ')
  into v_disable, v_enable
  from pg_trigger t
  where t.tgrelid = v_default
    and t.tgconstraint = 0
    and t.tgenabled <> 'D';

  if v_disable is not null then
    execute format('alter table %s %s', v_default, v_disable);
  end if;
  execute format(
    'with moved as (
      delete from only %s where %I >= $1 and %I < $2 returning %s
    )
    insert into %s (%s) select %s from moved',
    v_default, p_key, p_key, v_columns, p_partition, v_columns, v_columns)
  using p_lower, p_upper;
  if v_enable is not null then
    execute format('alter table %s %s', v_default, v_enable);
  end if;
end
$$;

comment on function howdah._take_from_default(regclass, regclass, name, timestamptz, timestamptz) is
'Move the rows of a range from the default partition to the table that is about to be attached.';

create or replace function howdah._protect_partition(
  p_table regclass,
  p_partition regclass
) returns void
language plpgsql
as $$
begin
  execute (
    select string_agg(s.statement, '; ' order by s.step)
    from (
      select 1, format('alter table %s enable row level security', p_partition)
      union all
      select 2, format('drop policy %I on %s', p.name, p_partition)
      from howdah._policies(array[p_partition::oid]) t, jsonb_object_keys(t.members) p(name)
      union all
      select 3, format('create policy %I on %s as %s for %s to %s', p.key, p_partition,
          case when (p.value ->> 'permissive')::boolean then 'permissive' else 'restrictive' end,
          p.value ->> 'command', roles.list)
        || coalesce(' using (' || (p.value ->> 'using') || ')', '')
        || coalesce(' with check (' || (p.value ->> 'check') || ')', '')
      from howdah._policies(array[p_table::oid]) t, jsonb_each(t.members) p,
        lateral (
          select string_agg(case r when 'public' then r else quote_ident(r) end, ', ')
          from jsonb_array_elements_text(p.value -> 'roles') r
        ) roles(list)
      union all
      select 4, format('revoke all on %s from %s', p_partition, g.name)
      from howdah._grantees(p_partition) g
      union all
      select 5, format('grant select on %s to %s', p_partition, g.name)
      from howdah._grantees(p_table) g
      where g.may_select
    ) s(step, statement)
  );
end
$$;

comment on function howdah._protect_partition(regclass, regclass) is
'Give a partition the policies and the grants of select of its parent, and nothing else.';

create or replace function howdah._grantees(p_table regclass)
returns table (name text, may_select boolean)
language sql
stable
as $$
  select case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end,
    bool_or(a.privilege_type = 'SELECT')
  from pg_class c, aclexplode(c.relacl) a
  where c.oid = p_table
    and a.grantee <> c.relowner
  group by a.grantee
$$;

comment on function howdah._grantees(regclass) is
'Who but its owner has rights on a table, and whether select is one of them.';

create or replace function howdah._partitions(p_table regclass)
returns table (partition regclass, lower_bound timestamptz, upper_bound timestamptz)
language sql
stable
as $$
  select c.oid,
    case b.parts[1] when 'MINVALUE' then '-infinity' else trim(b.parts[1], '''') end::timestamptz,
    case b.parts[2] when 'MAXVALUE' then 'infinity' else trim(b.parts[2], '''') end::timestamptz
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid,
    regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM [(](.*)[)] TO [(](.*)[)]') b(parts)
  where i.inhparent = p_table
    and b.parts is not null
$$;

comment on function howdah._partitions(regclass) is
'The partitions of a table with their bounds, without the default partition.';

create or replace function howdah._missing_partitions(
  p_table regclass,
  p_unit text,
  p_ahead int,
  p_from timestamptz
) returns table (lower_bound timestamptz)
language sql
stable
as $$
  select s.lower_bound
  from (select date_trunc(p_unit, p_from), ('1 ' || p_unit)::interval) f(first_bound, step),
    generate_series(f.first_bound, f.first_bound + p_ahead * f.step, f.step) s(lower_bound)
  where not exists (
    select 1
    from howdah._partitions(p_table) b
    where b.lower_bound <= s.lower_bound
      and b.upper_bound >= s.lower_bound + f.step
  )
$$;

comment on function howdah._missing_partitions(regclass, text, int, timestamptz) is
'The lower bounds of the months or days that no partition covers yet.';

create or replace function howdah._unprotected_partitions(p_table regclass)
returns table (partition regclass)
language sql
stable
as $$
  select c.oid
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid
  left join howdah._policies(array(
      select inhrelid from pg_inherits where inhparent = p_table
    )) has on has.oid = c.oid
  left join howdah._policies(array[p_table::oid]) wants on true
  where i.inhparent = p_table
    and (not c.relrowsecurity or has.members is distinct from wants.members)
$$;

comment on function howdah._unprotected_partitions(regclass) is
'The partitions without row-level security or with other policies than their parent.';

create or replace function howdah._partition_key(p_table regclass) returns name
language plpgsql
stable
as $$
declare
  v_key name;
begin
  select a.attname into v_key
  from pg_partitioned_table t
  join pg_class c on c.oid = t.partrelid
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = t.partrelid and a.attnum = t.partattrs[0]
  where t.partrelid = p_table
    and t.partstrat = 'r'
    and t.partnatts = 1
    and a.atttypid = 'timestamptz'::regtype
    and (
      exists (select 1 from howdah.migrations m where m.module = n.nspname)
      or exists (select 1 from howdah.modules m where m.module = n.nspname)
    );

  if v_key is null then
    perform howdah.fail('howdah', 'table_unknown',
      format('%s is not a table of a module, partitioned by range on one timestamptz column',
        coalesce(p_table::text, 'null')),
      '22023', jsonb_build_object('table', p_table::text));
  end if;
  return v_key;
end
$$;

comment on function howdah._partition_key(regclass) is
'The column by which a table of a module is partitioned; any other table is refused.';

create or replace function howdah._partition_lock(p_table regclass) returns bigint
language sql
stable
as $$
  select hashtextextended('howdah.partitions' || chr(31) || p_table::text, 0)
$$;

comment on function howdah._partition_lock(regclass) is
'The key of the advisory lock under which the partitions of a table are made and dropped.';
