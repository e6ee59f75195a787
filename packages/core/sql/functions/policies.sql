-- Rights of the schema howdah itself: its tables are closed by row-level security to everyone but
-- the owner, and PUBLIC may do no more than read the context. What roles get beyond that is given
-- by grant_module().

alter table howdah.migrations enable row level security;
alter table howdah.modules enable row level security;
alter table howdah.grants enable row level security;
alter table howdah.maintenance enable row level security;

drop policy if exists migrations_readers on howdah.migrations;
create policy migrations_readers on howdah.migrations using (true) with check (false);
drop policy if exists modules_readers on howdah.modules;
create policy modules_readers on howdah.modules using (true) with check (false);
drop policy if exists grants_readers on howdah.grants;
create policy grants_readers on howdah.grants using (true) with check (false);
drop policy if exists maintenance_readers on howdah.maintenance;
create policy maintenance_readers on howdah.maintenance using (true) with check (false);

revoke all on all tables in schema howdah from public;
