-- Looking: what is installed here. The one question that every process asks when it starts, so that
-- a role that may only call a module can ask it too.

create or replace function howdah.installed() returns table (
  module text,
  release text,
  fingerprint text,
  api int,
  min_api int,
  has_schema boolean
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  select m.module, m.release, m.fingerprint, m.api, m.min_api,
    to_regnamespace(quote_ident(m.module)) is not null
  from howdah.modules m
$$;

comment on function howdah.installed() is
'List the installed modules.

Returns      one row per module: module, release (of the package that migrated it), fingerprint
             (equal to the code''s if there is nothing to do), api, min_api (the lowest api of a
             client that is still served), has_schema (false if the schema was dropped)
Errors       none
Example      select module, release from howdah.installed();';
