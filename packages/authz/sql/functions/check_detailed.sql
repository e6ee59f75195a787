-- Checking without raising: what cannot be told is an answer, so that a transaction lives on.

create or replace function authz.check_detailed(
  p_subject_type text,
  p_subject_id text,
  p_permission text,
  p_resource_type text,
  p_resource_id text,
  p_namespace text default 'default',
  p_subject_relation text default null,
  p_context jsonb default null,
  p_contextual_tuples jsonb default null
) returns table (allowed boolean, error_code text, missing text[])
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_detail text;
begin
  allowed := authz.check(p_subject_type, p_subject_id, p_permission, p_resource_type,
    p_resource_id, p_namespace, p_subject_relation, p_context, p_contextual_tuples);
  return next;
exception
  when invalid_parameter_value or statement_too_complex then
    get stacked diagnostics error_code = constraint_name, v_detail = pg_exception_detail;
    if error_code not in ('condition_context_missing', 'condition_invalid',
      'resolution_too_complex')
    then
      raise;
    end if;
    missing := array(
      select jsonb_array_elements_text(
        substr(v_detail, position('] ' in v_detail) + 2)::jsonb -> 'missing')
    );
    return next;
end
$$;

comment on function authz.check_detailed(
  text, text, text, text, text, text, text, jsonb, jsonb
) is
'Whether a subject has a permission on a resource, like check, but what cannot be told is an answer
and no error.

p_subject_type       type of the subject, such as user
p_subject_id         its id
p_permission         the permission or relation, such as read
p_resource_type      type of the resource
p_resource_id        its id
p_namespace          the tenant
p_subject_relation   asks about a userset instead: with member, about all members of the subject
p_context            values for conditions, an object of at most 64 kB
p_contextual_tuples  tuples that count for this call only, at most 100
Returns              one row: allowed, null if that cannot be told; then error_code says why
                     (condition_context_missing, condition_invalid, resolution_too_complex), and
                     missing names the parameters that conditions lack
Errors               those of check but for these three
Example              select * from authz.check_detailed(''user'', ''ann'', ''a'', ''d'', ''1'');';
