-- Errors: one way to raise them, so that every client reads them alike.
--
-- The module stands in SCHEMA and the code in CONSTRAINT. Both stand in DETAIL again, in brackets,
-- because proxies between servers keep DETAIL and drop the other two.

create or replace function howdah.fail(
  p_module text,
  p_code text,
  p_message text,
  p_sqlstate text default 'P0001',
  p_detail jsonb default null,
  p_hint text default null
) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_code collate "C" !~ '^[a-z][a-z0-9_]*$' then
    raise exception 'error code % is not lower-case words joined by underscores', p_code;
  end if;

  if p_hint is null then
    raise exception using
      errcode = p_sqlstate,
      message = p_message,
      detail = format('[%s.%s] %s', p_module, p_code, coalesce(p_detail, '{}')),
      schema = p_module,
      constraint = p_code;
  end if;

  raise exception using
    errcode = p_sqlstate,
    message = p_message,
    detail = format('[%s.%s] %s', p_module, p_code, coalesce(p_detail, '{}')),
    hint = p_hint,
    schema = p_module,
    constraint = p_code;
end
$$;

comment on function howdah.fail(text, text, text, text, jsonb, text) is
'Raise an error with a code that clients can rely on.

p_module     the module that fails
p_code       what went wrong, a bare noun phrase such as job_not_found
p_message    what happened, with the value and the limit, without secrets
p_sqlstate   the category, five characters
p_detail     values for programs, an object
p_hint       what to do about it
Returns      never
Errors       the one asked for: SCHEMA = module, CONSTRAINT = code, DETAIL = [module.code] {detail}
Example      select howdah.fail(''shop'', ''order_not_found'', ''no order 7'', ''P0002'');';
