-- Rights: every table, and every partition, shows a tenant its own rows only, and PUBLIC has none.
--
-- The functions of this module run as its owner, whom row-level security does not bind, and filter
-- by namespace themselves; the policies are for roles that read the tables. Partitions do not
-- inherit policies, so they get their own here, and later ones where they are made.

do $$
declare
  v_table regclass;
begin
  for v_table in
    select c.oid
    from pg_class c
    where c.relnamespace = 'queue'::regnamespace
      and c.relkind in ('r', 'p')
  loop
    execute format('alter table %s enable row level security', v_table);
    execute format('drop policy if exists tenant on %s', v_table);
    execute format('create policy tenant on %s using (namespace = howdah.tenant())', v_table);
  end loop;
end
$$;

drop policy tenant on queue.config;
create policy tenant on queue.config
using (namespace = howdah.tenant() and namespace <> 'global');
drop policy if exists defaults on queue.config;
create policy defaults on queue.config for select
using (namespace = howdah.tenant() or namespace = 'global');

revoke all on schema queue from public;
revoke all on all tables in schema queue from public;
revoke all on all sequences in schema queue from public;
revoke all on all functions in schema queue from public;
