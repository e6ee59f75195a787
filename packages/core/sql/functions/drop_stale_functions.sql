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
  v_schema text := p_manifest ->> 'schema';
  v_stale text[];
begin
  if v_schema is null then
    perform howdah.fail('howdah', 'manifest_invalid',
      'manifest must be an object with the key schema, as howdah.manifest prints it', '22023');
  end if;

  select array_agg(format('%I.%s', v_schema, f.key) order by f.key) into v_stale
  from jsonb_each(howdah.manifest(v_schema) -> 'functions') f
  where split_part(f.key, '(', 1) in (
      select split_part(w, '(', 1) from jsonb_object_keys(p_manifest -> 'functions') w
    )
    and not howdah._is_replaceable(f.value, p_manifest -> 'functions' -> f.key);

  if v_stale is not null then
    execute format('drop routine %s', array_to_string(v_stale, ', '));
  end if;
  return query select unnest(v_stale);
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

create or replace function howdah._is_replaceable(p_found jsonb, p_wanted jsonb) returns boolean
language sql
immutable
as $$
  select p_wanted is not null
    and p_found -> 'result' is not distinct from p_wanted -> 'result'
    and p_found -> 'kind' is not distinct from p_wanted -> 'kind'
    and not exists (
      select 1
      from jsonb_array_elements(p_found -> 'arguments') with ordinality f(argument, position)
      full join jsonb_array_elements(p_wanted -> 'arguments') with ordinality w(argument, position)
        using (position)
      where f.argument is null
        or w.argument is null
        or f.argument ->> 'name' is distinct from w.argument ->> 'name'
        or f.argument ->> 'mode' is distinct from w.argument ->> 'mode'
        or f.argument ->> 'type' <> w.argument ->> 'type'
        or (f.argument ? 'default' and not w.argument ? 'default')
    )
$$;

comment on function howdah._is_replaceable(jsonb, jsonb) is
'Whether create or replace can turn a function into the one that a manifest describes.';
