-- The manifest: what a schema is made of, as one JSON value that is equal for equal schemas.
--
-- It is printed from the catalogue, so two installs, or one install and an upgrade, can be compared
-- by comparing two values. Nothing in it depends on the server's version, on the session, on the
-- order of columns, on owners, grants or OIDs: expressions are deparsed under a pinned search path,
-- which writes out every schema but pg_catalog, and with pinned formats; bodies are hashed; the not
-- null constraints that have names since PostgreSQL 18 are a property of their columns. Partitions
-- come and go with time and are left out; verify() looks at them where they are. Optional keys are
-- absent when they would say the usual thing.
--
--   { "schema": "queue",
--     "tables": { "jobs": {
--       "kind"?: "view" | "materialized view" | "foreign table", "partition_by"?: "RANGE (at)",
--       "rls": true, "rls_forced"?: true, "options"?: ["fillfactor=50"],
--       "columns": { "id": { "type": "bigint", "not_null": true, "default"?: "0",
--         "generated"?: "(a + b)", "identity"?: "always" | "by default", "collation"?: "C" } },
--       "constraints": { "jobs_pkey": "PRIMARY KEY (namespace, id)" },
--       "indexes": { "jobs_pull_idx": { "method": "btree", "unique": false,
--         "keys": ["namespace", "priority DESC"], "include"?: ["id"], "where"?: "(phase = 1)",
--         "options"?: ["fillfactor=90"], "invalid"?: true } },
--       "policies": { "jobs_tenant": { "command": "all", "permissive": true,
--         "roles": ["public"], "using"?: "(namespace = howdah.tenant())", "check"?: "..." } },
--       "triggers": { "jobs_touch": { "definition": "CREATE TRIGGER ...", "enabled": true } } } },
--     "functions": { "push(text,text,jsonb)": {
--       "kind"?: "procedure" | "aggregate" | "window",
--       "arguments": [{ "name"?: "p_namespace", "type": "text", "default"?: "'x'::text",
--         "mode"?: "out" | "inout" | "variadic" }],
--       "result"?: "bigint", "language": "plpgsql", "volatility": "volatile", "strict"?: true,
--       "parallel"?: "safe" | "restricted", "security_definer": true,
--       "config"?: ["search_path=pg_catalog, pg_temp"], "body": "<SHA-256 in hexadecimal>" } },
--     "enums": { "status": ["ready", "done"] },
--     "sequences": { "fence_seq": { "type": "bigint", "increment"?: 10, "cycle"?: true } } }
--
-- Indexes of primary keys, unique and exclusion constraints stand under their constraint. The
-- manifest.json of a package has one more key, "access", which no database knows.

create or replace function howdah.manifest(p_schema text) returns jsonb
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select m.manifest from howdah._manifests(array[p_schema]) m);
end
$$;

comment on function howdah.manifest(text) is
'What a schema is made of: tables, functions, enums and sequences as one JSON value.

Equal schemas give equal values, on PostgreSQL 14 to 18.
p_schema     the schema, which is the name of its module
Returns      an object with the keys schema, tables, functions, enums and sequences, or null if
             there is no such schema
Errors       none
Example      select jsonb_pretty(howdah.manifest(''queue''));';

create or replace function howdah._manifests(p_schemas text[])
returns table (schema_name text, manifest jsonb)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set datestyle = 'ISO, YMD'
set intervalstyle = 'postgres'
set bytea_output = 'hex'
set extra_float_digits = 1
set quote_all_identifiers = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
begin
  return query
  with schemas as materialized (
    select n.oid, n.nspname
    from pg_namespace n
    where n.nspname = any (p_schemas)
  ),
  relations as materialized (
    select c.oid, c.relnamespace, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity,
      c.reloptions
    from pg_class c
    where c.relnamespace in (select s.oid from schemas s)
      and c.relkind in ('r', 'p', 'v', 'm', 'f')
      and not c.relispartition
  ),
  columns as (
    select a.attrelid as oid,
      jsonb_object_agg(a.attname, jsonb_strip_nulls(jsonb_build_object(
        'type', format_type(a.atttypid, a.atttypmod),
        'not_null', a.attnotnull,
        'default', case a.attgenerated when '' then pg_get_expr(d.adbin, d.adrelid) end,
        'generated', case when a.attgenerated <> '' then pg_get_expr(d.adbin, d.adrelid) end,
        'identity', case a.attidentity when 'a' then 'always' when 'd' then 'by default' end,
        'collation', case when a.attcollation <> t.typcollation then co.collname end
      ))) as members
    from relations r
    join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
    join pg_type t on t.oid = a.atttypid
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    left join pg_collation co on co.oid = a.attcollation
    group by a.attrelid
  ),
  constraints as (
    select c.conrelid as oid, jsonb_object_agg(c.conname, pg_get_constraintdef(c.oid)) as members
    from relations r
    join pg_constraint c on c.conrelid = r.oid
    where c.contype in ('p', 'u', 'f', 'c', 'x')
      and c.conparentid = 0
    group by c.conrelid
  ),
  index_columns as (
    select i.indexrelid,
      jsonb_agg(k.text || k.collation || k.opclass || k.direction order by k.position)
        filter (where k.position <= i.indnkeyatts) as keys,
      jsonb_agg(k.text order by k.position)
        filter (where k.position > i.indnkeyatts) as include
    from relations r
    join pg_index i on i.indrelid = r.oid
    join pg_class ic on ic.oid = i.indexrelid
    join pg_attribute ia on ia.attrelid = i.indexrelid
    left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[ia.attnum - 1]
    left join pg_type t on t.oid = ia.atttypid
    left join pg_collation co on co.oid = ia.attcollation
    left join pg_opclass o on o.oid = i.indclass[ia.attnum - 1],
      lateral (
        select ia.attnum as position,
          coalesce(
            quote_ident(a.attname),
            pg_get_indexdef(i.indexrelid, ia.attnum, false)
          ) as text,
          case
            when co.oid <> coalesce(nullif(a.attcollation, 0), t.typcollation)
              then format(' COLLATE %I', co.collname)
            else ''
          end as collation,
          case when o.opcdefault then '' else ' ' || o.opcname end as opclass,
          case i.indoption[ia.attnum - 1] & 3
            when 1 then ' DESC NULLS LAST'
            when 2 then ' NULLS FIRST'
            when 3 then ' DESC'
            else ''
          end as direction
      ) k
    group by i.indexrelid
  ),
  indexes as (
    select i.indrelid as oid,
      jsonb_object_agg(c.relname, jsonb_strip_nulls(jsonb_build_object(
        'method', m.amname,
        'unique', i.indisunique,
        'keys', ic.keys,
        'include', ic.include,
        'where', pg_get_expr(i.indpred, i.indrelid),
        'options', (select jsonb_agg(o order by o) from unnest(c.reloptions) o),
        'invalid', case when not i.indisvalid then true end
      ))) as members
    from index_columns ic
    join pg_index i on i.indexrelid = ic.indexrelid
    join pg_class c on c.oid = i.indexrelid
    join pg_am m on m.oid = c.relam
    where not exists (
      select 1
      from pg_constraint pc
      where pc.conrelid = i.indrelid
        and pc.conindid = i.indexrelid
        and pc.contype in ('p', 'u', 'x')
    )
    group by i.indrelid
  ),
  triggers as (
    select t.tgrelid as oid,
      jsonb_object_agg(t.tgname, jsonb_build_object(
        'definition', pg_get_triggerdef(t.oid),
        'enabled', t.tgenabled in ('O', 'A')
      )) as members
    from relations r
    join pg_trigger t on t.tgrelid = r.oid
    where not t.tgisinternal
    group by t.tgrelid
  ),
  tables as (
    select r.relnamespace as oid, jsonb_object_agg(r.relname, jsonb_strip_nulls(jsonb_build_object(
      'kind', case r.relkind
        when 'v' then 'view'
        when 'm' then 'materialized view'
        when 'f' then 'foreign table'
      end,
      'partition_by', case r.relkind when 'p' then pg_get_partkeydef(r.oid) end,
      'rls', r.relrowsecurity,
      'rls_forced', case when r.relforcerowsecurity then true end,
      'options', (select jsonb_agg(o order by o) from unnest(r.reloptions) o),
      'columns', coalesce(columns.members, '{}'),
      'constraints', coalesce(constraints.members, '{}'),
      'indexes', coalesce(indexes.members, '{}'),
      'policies', coalesce(policies.members, '{}'),
      'triggers', coalesce(triggers.members, '{}')
    ))) as members
    from relations r
    left join columns on columns.oid = r.oid
    left join constraints on constraints.oid = r.oid
    left join indexes on indexes.oid = r.oid
    left join howdah._policies(array(select oid from relations)) policies on policies.oid = r.oid
    left join triggers on triggers.oid = r.oid
    group by r.relnamespace
  ),
  functions as (
    select n.oid,
      jsonb_object_agg(howdah._signature(p.oid, n.nspname), jsonb_strip_nulls(jsonb_build_object(
        'kind', case p.prokind
          when 'p' then 'procedure'
          when 'a' then 'aggregate'
          when 'w' then 'window'
        end,
        'arguments', coalesce(a.members, '[]'),
        'result', pg_get_function_result(p.oid),
        'language', l.lanname,
        'volatility', case p.provolatile
          when 'i' then 'immutable'
          when 's' then 'stable'
          else 'volatile'
        end,
        'strict', case when p.proisstrict then true end,
        'parallel', case p.proparallel when 's' then 'safe' when 'r' then 'restricted' end,
        'security_definer', p.prosecdef,
        'config', (select jsonb_agg(c order by c) from unnest(p.proconfig) c),
        'body', encode(sha256(convert_to(
          replace(coalesce(pg_get_function_sqlbody(p.oid), p.prosrc), e'\r\n', e'\n'), 'UTF8'
        )), 'hex')
      ))) as members
    from schemas n
    join pg_proc p on p.pronamespace = n.oid
    join pg_language l on l.oid = p.prolang,
      lateral (
        select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
          'name', nullif(u.name, ''),
          'type', format_type(u.type, null),
          'default', case
            when p.pronargdefaults > 0 then pg_get_function_arg_default(p.oid, u.position::int)
          end,
          'mode', case u.mode when 'o' then 'out' when 'b' then 'inout' when 'v' then 'variadic' end
        )) order by u.position) as members
        from unnest(
          coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargnames, p.proargmodes
        ) with ordinality u(type, name, mode, position)
        where u.mode is distinct from 't'
      ) a
    group by n.oid
  ),
  enums as (
    select t.typnamespace as oid, jsonb_object_agg(t.typname, (
      select jsonb_agg(e.enumlabel order by e.enumsortorder)
      from pg_enum e
      where e.enumtypid = t.oid
    )) as members
    from pg_type t
    where t.typnamespace in (select s.oid from schemas s)
      and t.typtype = 'e'
    group by t.typnamespace
  ),
  sequences as (
    select c.relnamespace as oid, jsonb_object_agg(c.relname, jsonb_strip_nulls(jsonb_build_object(
      'type', format_type(s.seqtypid, null),
      'increment', nullif(s.seqincrement, 1),
      'cycle', case when s.seqcycle then true end
    ))) as members
    from pg_class c
    join pg_sequence s on s.seqrelid = c.oid
    where c.relnamespace in (select s.oid from schemas s)
      and not exists (
        select 1
        from pg_depend d
        where d.classid = 'pg_class'::regclass
          and d.objid = c.oid
          and d.deptype = 'i'
      )
    group by c.relnamespace
  )
  select n.nspname::text, jsonb_build_object(
    'schema', n.nspname,
    'tables', coalesce(tables.members, '{}'),
    'functions', coalesce(functions.members, '{}'),
    'enums', coalesce(enums.members, '{}'),
    'sequences', coalesce(sequences.members, '{}')
  )
  from schemas n
  left join tables on tables.oid = n.oid
  left join functions on functions.oid = n.oid
  left join enums on enums.oid = n.oid
  left join sequences on sequences.oid = n.oid;
end
$$;

comment on function howdah._manifests(text[]) is
'The manifests of several schemas, read in one pass over the catalogue with pinned formats.';

create or replace function howdah._policies(p_tables oid[])
returns table (oid oid, members jsonb)
language sql
stable
as $$
  select p.polrelid, jsonb_object_agg(p.polname, jsonb_strip_nulls(jsonb_build_object(
    'command', case p.polcmd
      when 'r' then 'select'
      when 'a' then 'insert'
      when 'w' then 'update'
      when 'd' then 'delete'
      else 'all'
    end,
    'permissive', p.polpermissive,
    'roles', (
      select jsonb_agg(r.name order by r.name)
      from (
        select case o when 0 then 'public' else pg_get_userbyid(o) end::text as name
        from unnest(p.polroles) o
      ) r
    ),
    'using', pg_get_expr(p.polqual, p.polrelid),
    'check', pg_get_expr(p.polwithcheck, p.polrelid)
  )))
  from pg_policy p
  where p.polrelid = any (p_tables)
  group by p.polrelid
$$;

comment on function howdah._policies(oid[]) is
'The policies of tables by name, as the manifest prints them; no row for a table without any.';

create or replace function howdah._signature(p_function oid, p_schema text) returns text
language sql
stable
as $$
  select substr(p_function::regprocedure::text, length(quote_ident(p_schema)) + 2)
$$;

comment on function howdah._signature(oid, text) is
'A function''s name and input types without its schema: its key in the manifest.';
