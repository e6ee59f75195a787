-- Models: what a namespace has decided about its types, and the programs that answer by it.
--
-- A model is compiled, outside of the database, to one program: functions of schema authz_rt that
-- begin with m_ and the first twelve digits of the program's hash. A program is named by its
-- content, shared by all namespaces that activate the same model, and never replaced in place, so no
-- session sees half of one. Which program a namespace answers by is one row of active_models;
-- namespace global has the row for those that have none of their own.

create or replace function authz._refusal(
  p_namespace text,
  p_resource_type text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_condition text
) returns text
language plpgsql
stable
as $$
declare
  v_program text;
  v_refusal text;
begin
  if p_resource_type <> all ('{rbac_role,rbac_permission}') then
    v_program := authz._active_program(p_namespace);
  end if;
  if v_program is not null then
    execute format('select authz_rt.%I($1, $2, $3, $4, $5, $6)', 'm_' || v_program || '_refusal')
    into v_refusal
    using p_resource_type, p_relation, p_subject_type, p_subject_id, p_subject_relation,
      p_condition;
  end if;

  if v_refusal is null and p_condition is not null
    and (v_program is null or not authz._is_modelled(p_namespace, p_resource_type))
  then
    return 'condition_unknown';
  end if;
  return v_refusal;
end
$$;

comment on function authz._refusal(text, text, text, text, text, text, text) is
'The code with which the active model refuses a tuple of that form, or null if it may be written.';

create or replace function authz._refuse_invalid(
  p_namespace text,
  p_resource_type text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_condition text
) returns void
language plpgsql
stable
as $$
declare
  v_refusal text := authz._refusal(p_namespace, p_resource_type, p_relation, p_subject_type,
    p_subject_id, p_subject_relation, p_condition);
begin
  if v_refusal is not null then
    perform howdah.fail('authz', v_refusal,
      authz._refusal_message(v_refusal, p_resource_type, p_relation, p_subject_type, p_subject_id,
        p_subject_relation, p_condition),
      '22023',
      jsonb_strip_nulls(jsonb_build_object(
        'resource_type', left(p_resource_type, 100), 'relation', left(p_relation, 100),
        'subject_type', left(p_subject_type, 100), 'subject_relation', left(p_subject_relation, 100),
        'condition', left(p_condition, 100)
      )),
      'The active model of the namespace, or of global, says what may be written.');
  end if;
end
$$;

comment on function authz._refuse_invalid(text, text, text, text, text, text, text) is
'Raise type_unknown, relation_unknown, tuple_invalid or condition_unknown if the active model of the
namespace refuses a tuple of that form; nothing where no model is active and no condition is given.';

create or replace function authz._refusal_message(
  p_refusal text,
  p_resource_type text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_condition text
) returns text
language sql
immutable
as $$
  select case p_refusal
    when 'type_unknown' then
      format('resource_type %L is not defined by the model', left(p_resource_type, 100))
    when 'relation_unknown' then
      format('relation %L is not defined on type %s', left(p_relation, 100),
        left(p_resource_type, 100))
    when 'condition_unknown' then
      format('condition %L is not defined for type %s', left(p_condition, 100),
        left(p_resource_type, 100))
    else
      format('%s may not be %s of %s%s',
        concat(left(p_subject_type, 100), case when p_subject_id = '*' then ':*' end,
          '#' || left(p_subject_relation, 100)),
        left(p_relation, 100), left(p_resource_type, 100),
        coalesce(' with condition ' || left(p_condition, 100), ''))
  end
$$;

comment on function authz._refusal_message(text, text, text, text, text, text, text) is
'What a refusal of the model means, in words.';

create or replace function authz._is_modelled(p_namespace text, p_resource_type text)
returns boolean
language plpgsql
stable
as $$
declare
  v_program text;
  v_refusal text;
begin
  if p_resource_type <> all ('{rbac_role,rbac_permission}') then
    v_program := authz._active_program(p_namespace);
  end if;
  if v_program is not null then
    execute format('select authz_rt.%I($1, $2, $3, $4, $5, $6)', 'm_' || v_program || '_refusal')
    into v_refusal
    using p_resource_type, '', '', '', null::text, null::text;
  end if;
  return v_refusal is not distinct from 'relation_unknown';
end
$$;

comment on function authz._is_modelled(text, text) is
'Whether the active model of the namespace, or of global, defines the type: no relation is named by
the empty text, so a program that knows the type refuses it as relation_unknown.';
