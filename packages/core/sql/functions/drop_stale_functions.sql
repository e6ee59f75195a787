-- Stale functions: making room for a new version of a function.
--
-- "create or replace" cannot change a function's input types (it makes a second overload, and calls
-- become ambiguous), nor its result, nor rename a parameter, nor take a default away. A function of
-- the old shape is therefore dropped before the new one is made. All of them go in one statement,
-- so that they may depend on each other; nothing is cascaded to what depends on them from outside.
--
-- It runs with the rights of its caller, who must own the functions: the manifest is an argument,
-- and lending the owner's rights to it would let others drop whatever they name.

create or replace function howdah.drop_stale_functions(p_manifest jsonb) returns setof text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_stale regprocedure[];
  v_names text[];
begin
  if jsonb_typeof(p_manifest -> 'schema') is distinct from 'string' then
    perform howdah.fail('howdah', 'manifest_invalid',
      'manifest must be an object with the key schema, as howdah.manifest prints it', '22023');
  end if;

  select array_agg(p.oid order by p.oid), array_agg(p.oid::regprocedure::text order by p.oid)
  into v_stale, v_names
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  where n.nspname = p_manifest ->> 'schema'
    and p.proname in (
      select split_part(f, '(', 1) from jsonb_object_keys(p_manifest -> 'functions') f
    )
    and not howdah._is_replaceable(p.oid, p_manifest -> 'functions' -> howdah._signature(p.oid));

  if v_stale is not null then
    execute format('drop routine %s', array_to_string(v_stale, ', '));
  end if;
  return query select unnest(v_names);
end
$$;

comment on function howdah.drop_stale_functions(jsonb) is
'Drop the functions that the next release defines in another shape: other parameters or result.

Functions whose name the manifest does not hold are never touched. The caller must own the schema.
p_manifest   the manifest of the release that is about to be installed
Returns      the dropped functions, with schema and parameter types
Errors       howdah.manifest_invalid (22023); 2BP01 when something of yours, such as a view, depends
             on such a function: the error names both
Example      select * from howdah.drop_stale_functions(howdah.manifest(''queue''));';

create or replace function howdah._is_replaceable(p_function oid, p_wanted jsonb) returns boolean
language plpgsql
stable
as $$
begin
  return (
    select p_wanted is not null
      and p_wanted ->> 'result' is not distinct from pg_get_function_result(p_function)
      and coalesce(p_wanted ->> 'kind', 'function') = case p.prokind
        when 'f' then 'function'
        when 'p' then 'procedure'
        when 'a' then 'aggregate'
        when 'w' then 'window'
      end
      and not exists (
        select 1
        from jsonb_array_elements(howdah._arguments(p_function)) with ordinality f(found, position)
        full join jsonb_array_elements(p_wanted -> 'arguments') with ordinality w(wanted, position)
          using (position)
        where f.found is null
          or w.wanted is null
          or f.found ->> 'name' <> coalesce(w.wanted ->> 'name', '')
          or f.found ->> 'mode' is distinct from w.wanted ->> 'mode'
          or f.found ->> 'type' <> w.wanted ->> 'type'
          or (f.found ? 'default' and not w.wanted ? 'default')
      )
    from pg_proc p
    where p.oid = p_function
  );
end
$$;

comment on function howdah._is_replaceable(oid, jsonb) is
'Whether create or replace can turn a function into the one that a manifest describes.';
