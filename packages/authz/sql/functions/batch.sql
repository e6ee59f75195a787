-- Batches: tuples and questions that come as JSON.
--
-- A tuple is a text or an object. Text reads `document:1#viewer@group:g#member`: the type ends at
-- the first colon, the object's id before the first `#relation@type:`, and the subject's relation
-- is what follows the last # if that is the name of a relation. Ids may hold all these characters;
-- one that ends in `#name`, or holds `#name@name:`, needs an object, which has either the columns
-- (resource_type, resource_id, relation, subject_type, subject_id, subject_relation, condition,
-- context, expires_at) or OpenFGA's keys (user, relation, object, condition: {name, context}).
--
-- A batch is read in one statement, refused as a whole, and the refusal names the first bad
-- element, counted from 1. What a condition's context holds is never repeated.

create or replace function authz._name_problem(p_field text, p_name text) returns text
language sql
immutable
parallel safe
as $$
  select case
    when (length(p_name) <= 1024 and p_name collate "C" ~ '^[a-z][a-z0-9_-]*$') is not true
      then p_field || ' must match ^[a-z][a-z0-9_-]*$ and have at most 1024 characters'
  end
$$;

comment on function authz._name_problem(text, text) is
'What is wrong with a type, relation or condition within a batch, if anything is.';

create or replace function authz._id_problem(p_field text, p_id text) returns text
language sql
immutable
parallel safe
as $$
  select case
    when (length(p_id) between 1 and 1024 and not p_id collate "C"
        ~ '[\x01-\x1f\x7f\u0085\u2028\u2029]|^[\s\u00a0\u3000]|[\s\u00a0\u3000]$') is not true
      then p_field || ' must have 1 to 1024 characters, no control characters, and no white space'
        || ' at the ends'
  end
$$;

comment on function authz._id_problem(text, text) is
'What is wrong with an id within a batch, if anything is.';

create or replace function authz._object_problem(p_tuple jsonb, p_is_openfga boolean) returns text
language plpgsql
stable
as $$
begin
  return (select case
    when unknown.key is not null
      then format('has the unknown key %s', quote_literal(left(unknown.key, 100)))
    when no_text.key is not null then no_text.key || ' must be a text'
    when p_is_openfga and jsonb_typeof(p_tuple -> 'condition') not in ('object', 'null')
      then 'condition must be an object with name and context'
    when p_is_openfga and jsonb_typeof(p_tuple -> 'condition') = 'object'
      and (p_tuple -> 'condition') - '{name,context}'::text[] <> '{}'
      then 'condition must have no other keys than name and context'
    when jsonb_typeof(context.value) not in ('object', 'null')
      then 'context must be an object'
    when octet_length(context.value::text) > 65536
      then 'context must take at most 65536 bytes'
    when jsonb_typeof(context.value) = 'object'
      and case when p_is_openfga then p_tuple #>> '{condition,name}'
        else p_tuple ->> 'condition' end is null
      then 'context needs a condition'
    when p_tuple ->> 'expires_at' is not null
      and authz._cel_timestamp(p_tuple ->> 'expires_at') is null
      then 'expires_at must be a time as RFC 3339 writes it, such as 2030-01-31T12:00:00Z'
  end
  from (select case when p_is_openfga then p_tuple #> '{condition,context}'
    else p_tuple -> 'context' end as value) context
  left join lateral (
    select k.key
    from jsonb_object_keys(p_tuple) k (key)
    where k.key <> all (case
      when p_is_openfga then '{user,relation,object,condition,expires_at}'::text[]
      else '{resource_type,resource_id,relation,subject_type,subject_id,subject_relation,condition,
        context,expires_at}'::text[]
    end)
    limit 1
  ) unknown on true
  left join lateral (
    select e.key
    from jsonb_each(p_tuple) e
    where jsonb_typeof(e.value) <> 'string'
      and not (jsonb_typeof(e.value) = 'null'
        and e.key in ('subject_relation', 'condition', 'expires_at'))
      and e.key <> 'context'
      and not (e.key = 'condition' and p_is_openfga)
    limit 1
  ) no_text on true);
end
$$;

comment on function authz._object_problem(jsonb, boolean) is
'What is wrong with the keys of a tuple that is an object, if anything is.';

create or replace function authz._fail_element(
  p_code text,
  p_field text,
  p_ord int,
  p_element jsonb,
  p_problem text
) returns void
language plpgsql
as $$
declare
  v_value text := left(case jsonb_typeof(p_element)
    when 'object' then (p_element - '{condition,context}'::text[])::text
    else p_element #>> '{}'
  end, 100);
begin
  perform howdah.fail('authz', p_code,
    format('%s[%s] %s: %s', p_field, p_ord, p_problem, coalesce(v_value, 'null')),
    '22023',
    jsonb_build_object('field', p_field, 'index', p_ord, 'value', v_value, 'problem', p_problem));
end
$$;

comment on function authz._fail_element(text, text, int, jsonb, text) is
'Refuse a batch for one of its elements, counted from 1; what a context holds is not shown.';

create or replace function authz._read_tuples(p_namespace text, p_tuples jsonb)
returns table (ord int, tuple authz.tuples, problem text)
language plpgsql
stable
as $$
begin
  return query
  with element as materialized (
    select e.ord::int as ord, e.value, jsonb_typeof(e.value) as kind,
      coalesce(e.value ?| '{object,user}'::text[], false) as is_openfga,
      regexp_match(case jsonb_typeof(e.value) when 'string' then e.value #>> '{}' end,
        '^([a-z][a-z0-9_-]*:.+?)#([a-z][a-z0-9_-]*)@([a-z][a-z0-9_-]*:.*)$') as part
    from jsonb_array_elements(p_tuples) with ordinality e (value, ord)
  ),
  entity as materialized (
    select e.*,
      coalesce(e.part[1], e.value ->> 'object') as object,
      coalesce(e.part[2], e.value ->> 'relation') as relation,
      coalesce(e.part[3], e.value ->> 'user') as subject,
      case
        when e.is_openfga then e.value #>> '{condition,name}'
        else e.value ->> 'condition'
      end as condition,
      case
        when e.is_openfga then nullif(e.value #> '{condition,context}', 'null')
        else nullif(e.value -> 'context', 'null')
      end as context,
      e.value ->> 'expires_at' as expires_at
    from element e
  ),
  name as materialized (
    select e.*,
      coalesce(e.value ->> 'resource_type', split_part(e.object, ':', 1)) as resource_type,
      coalesce(e.value ->> 'resource_id',
        substr(e.object, nullif(strpos(e.object, ':'), 0) + 1)) as resource_id,
      coalesce(e.value ->> 'subject_type', split_part(e.subject, ':', 1)) as subject_type,
      coalesce(e.value ->> 'subject_id', regexp_replace(
        substr(e.subject, nullif(strpos(e.subject, ':'), 0) + 1), '#[a-z][a-z0-9_-]*$', ''
      )) as subject_id,
      coalesce(e.value ->> 'subject_relation',
        substring(e.subject from ':.*#([a-z][a-z0-9_-]*)$')) as subject_relation
    from entity e
  )
  select n.ord,
    row(
      null::bigint, p_namespace, n.resource_type, authz._nfc(n.resource_id), n.relation,
      n.subject_type, authz._nfc(n.subject_id), n.subject_relation, null::timestamptz,
      authz._cel_timestamp(n.expires_at), n.condition, n.context,
      nullif(n.resource_id, authz._nfc(n.resource_id)),
      nullif(n.subject_id, authz._nfc(n.subject_id))
    )::authz.tuples,
    case
      when n.kind not in ('string', 'object') then 'is neither a text nor an object'
      when n.kind = 'string' and n.part is null then
        'does not read type:id#relation@type:id or type:id#relation@type:id#relation'
      else coalesce(
        case n.kind when 'object' then authz._object_problem(n.value, n.is_openfga) end,
        authz._name_problem('resource_type', n.resource_type),
        authz._id_problem('resource_id', n.resource_id),
        authz._name_problem('relation', n.relation),
        authz._name_problem('subject_type', n.subject_type),
        authz._id_problem('subject_id', n.subject_id),
        case when n.subject_relation is not null then
          authz._name_problem('subject_relation', n.subject_relation) end,
        case when n.condition is not null then
          authz._name_problem('condition', n.condition) end,
        case when octet_length(concat(p_namespace, n.resource_type, n.resource_id, n.relation,
            n.subject_type, n.subject_id, n.subject_relation, n.subject_relation, n.condition))
          > 2400 then 'has names of more than 2400 bytes together' end
      )
    end
  from name n;
end
$$;

comment on function authz._read_tuples(text, jsonb) is
'The tuples of a JSON array, each with what is wrong with its form, if anything is.';

create or replace function authz._first_refused(
  p_program text,
  p_tuples authz.tuples[],
  out ord int,
  out refusal text
)
language plpgsql
stable
as $$
begin
  if p_program is null then
    select t.ordinality, 'condition_unknown' into ord, refusal
    from unnest(p_tuples) with ordinality t
    where t.condition_name is not null
    order by t.ordinality
    limit 1;
    return;
  end if;

  execute format(
    '
      select t.ordinality, r.refusal
      from unnest($1) with ordinality t
      cross join lateral (
        select case
          when t.resource_type in (''rbac_role'', ''rbac_permission'')
            then case when t.condition_name is not null then ''condition_unknown'' end
          else coalesce(
            authz_rt.%1$I(t.resource_type, t.relation, t.subject_type, t.subject_id,
              t.subject_relation, t.condition_name),
            case
              when t.condition_name is not null
                and authz_rt.%1$I(t.resource_type, '''', '''', '''', null, null)
                  is distinct from ''relation_unknown''
                then ''condition_unknown''
            end
          )
        end as refusal
      ) r
      where r.refusal is not null
      order by t.ordinality
      limit 1
    ', 'm_' || p_program || '_refusal')
  into ord, refusal
  using p_tuples;
end
$$;

comment on function authz._first_refused(text, authz.tuples[]) is
'The first of many tuples that a program refuses, counted from 1, and the code; nulls if none.';

create or replace function authz._tuples_of(
  p_namespace text,
  p_field text,
  p_tuples jsonb,
  p_most int,
  p_code text default 'array_element_invalid'
) returns setof authz.tuples
language plpgsql
stable
as $$
declare
  v_read record;
begin
  if jsonb_typeof(p_tuples) is distinct from 'array' then
    perform howdah.fail('authz', p_code, format('%s must be an array', p_field), '22023',
      jsonb_build_object('field', p_field));
  end if;
  if jsonb_array_length(p_tuples) > p_most then
    perform howdah.fail('authz', 'batch_too_large',
      format('%s has %s elements, at most %s are allowed', p_field, jsonb_array_length(p_tuples),
        p_most),
      '22023',
      jsonb_build_object('field', p_field, 'limit', p_most, 'actual',
        jsonb_array_length(p_tuples)));
  end if;

  select array_agg(r.tuple order by r.ord) as tuples,
    min(r.ord) filter (where r.problem is not null) as bad,
    (array_agg(r.problem order by r.ord) filter (where r.problem is not null))[1] as problem
  into v_read
  from authz._read_tuples(p_namespace, p_tuples) r;
  if v_read.bad is not null then
    perform authz._fail_element(p_code, p_field, v_read.bad, p_tuples -> (v_read.bad - 1),
      v_read.problem);
  end if;
  return query select t.* from unnest(v_read.tuples) t;
end
$$;

comment on function authz._tuples_of(text, text, jsonb, int, text) is
'The tuples of a JSON array; raises for the first element that is no tuple.';

create or replace function authz._refuse_any(
  p_program text,
  p_field text,
  p_elements jsonb,
  p_tuples authz.tuples[],
  p_code text default null
) returns void
language plpgsql
stable
as $$
declare
  v_bad record := authz._first_refused(p_program, p_tuples);
  v_tuple authz.tuples;
begin
  if v_bad.ord is not null then
    v_tuple := p_tuples[v_bad.ord];
    perform authz._fail_element(coalesce(p_code, v_bad.refusal), p_field, v_bad.ord,
      p_elements -> (v_bad.ord - 1),
      'is refused by the model, ' || authz._refusal_message(v_bad.refusal, v_tuple.resource_type,
        v_tuple.relation, v_tuple.subject_type, v_tuple.subject_id, v_tuple.subject_relation,
        v_tuple.condition_name));
  end if;
end
$$;

comment on function authz._refuse_any(text, text, jsonb, authz.tuples[], text) is
'Raise for the first of many tuples that a program refuses, with its code or the given one.';

create or replace function authz._read_contextual(
  p_namespace text,
  p_tuples jsonb,
  out contextual authz.tuples[],
  out size int
)
language plpgsql
stable
as $$
begin
  if p_tuples is null or p_tuples in ('null', '[]') then
    return;
  end if;
  contextual := array(
    select t
    from authz._tuples_of(p_namespace, 'contextual_tuples', p_tuples, 100,
      'contextual_tuple_invalid') t
  );
  size := cardinality(contextual);
  perform authz._refuse_any(authz._active_program(p_namespace), 'contextual_tuples', p_tuples,
    contextual, 'contextual_tuple_invalid');
end
$$;

comment on function authz._read_contextual(text, jsonb) is
'Tuples that count for one call only, at most 100, checked as if they were written; nulls if there
are none. They have no id.';

create or replace function authz._contextual(p_namespace text, p_tuples jsonb)
returns authz.tuples[]
language sql
stable
as $$
  select (authz._read_contextual(p_namespace, p_tuples)).contextual
$$;

comment on function authz._contextual(text, jsonb) is
'Contextual tuples as an array, null if there are none.';

create or replace function authz._check_context(p_field text, p_context jsonb) returns void
language plpgsql
immutable
parallel safe
as $$
begin
  if p_context is null
    or (jsonb_typeof(p_context) = 'object' and octet_length(p_context::text) <= 65536)
  then
    return;
  end if;
  perform howdah.fail('authz', 'condition_invalid',
    format('%s must be a JSON object of at most 65536 bytes, it is %s of %s', p_field,
      jsonb_typeof(p_context), octet_length(p_context::text)),
    '22023', jsonb_build_object('field', p_field));
end
$$;

comment on function authz._check_context(text, jsonb) is
'Refuse a context that is no object or takes more than 64 kB.';

create or replace function authz.check_batch(
  p_checks jsonb,
  p_namespace text default 'default',
  p_context jsonb default null
) returns table (ord int, allowed boolean, error_code text)
language plpgsql
stable
parallel restricted
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_program text;
  v_asked authz.tuples[];
  v_group record;
  v_refusal text;
  v_ids text[];
  v_unknown text[];
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_context('context', p_context);
  v_asked := array(
    select t from authz._tuples_of(v_namespace, 'checks', authz._as_tuples(p_checks), 1000) t
  );
  v_program := authz._active_program(v_namespace);

  for v_group in
    select a.subject_type, a.subject_id, a.subject_relation, a.relation, a.resource_type,
      array_agg(a.resource_id order by a.ordinality) as ids,
      array_agg(a.ordinality::int order by a.ordinality) as ords
    from unnest(v_asked) with ordinality a
    group by a.subject_type, a.subject_id, a.subject_relation, a.relation, a.resource_type
  loop
    v_refusal := case when v_program is not null then authz._refusal(v_namespace,
      v_group.resource_type, v_group.relation, '', '', null, null) end;
    v_unknown := '{}';

    if v_refusal in ('type_unknown', 'relation_unknown') then
      return query select o, null::boolean, v_refusal from unnest(v_group.ords) o;
      continue;
    elsif v_refusal is null then
      v_ids := array(
        select f.resource_id
        from authz._dynamic_filter(v_namespace, v_group.subject_type, v_group.subject_id,
          v_group.subject_relation, v_group.relation, v_group.resource_type, v_group.ids, null) f
      );
    else
      execute format(
        '
          select coalesce(array_agg(f.resource_id) filter (where f.allowed), ''{}''),
            coalesce(array_agg(f.resource_id) filter (where f.allowed is null), ''{}'')
          from authz_rt.%I($1, $2, $3, $4, $5, $6, $7, $8) f
        ', 'm_' || v_program || '_filter')
      into v_ids, v_unknown
      using v_namespace, v_group.subject_type, v_group.subject_id, v_group.subject_relation,
        v_group.relation, v_group.resource_type, v_group.ids, p_context;
    end if;

    return query
    select a.ord,
      case when a.id <> all (v_unknown) then a.id = any (v_ids) end,
      case when a.id = any (v_unknown) then (authz._unknown_reason(v_namespace,
        v_group.subject_type, v_group.subject_id, v_group.subject_relation, v_group.relation,
        v_group.resource_type, a.id, p_context)).code end
    from unnest(v_group.ids, v_group.ords) a (id, ord);
  end loop;
end
$$;

comment on function authz.check_batch(jsonb, text, jsonb) is
'Answer many questions at once. Those about one subject, permission and type are answered together.

p_checks     an array of at most 1,000 questions: a text such as document:1#viewer@user:ann, or an
             object with subject_type, subject_id, permission, resource_type, resource_id, perhaps
             subject_relation, or with user, relation and object, as OpenFGA has it
p_namespace  the tenant
p_context    parameters of conditions, for all questions
Returns      one row for each question, in any order: ord, its place counted from 1, and allowed; if
             that is null, error_code says why there is no answer: type_unknown, relation_unknown,
             condition_context_missing, condition_invalid or resolution_too_complex
Errors       authz.array_element_invalid, batch_too_large, condition_invalid (22023),
             tenant_mismatch (42501)
Example      select * from authz.check_batch(''["doc:1#read@user:ann"]'', ''acme'') order by ord;';

create or replace function authz._as_tuples(p_checks jsonb) returns jsonb
language sql
immutable
as $$
  select case jsonb_typeof(p_checks)
    when 'array' then coalesce((
      select jsonb_agg(
        case
          when jsonb_typeof(c.value) = 'object' and c.value ? 'permission'
            then c.value - 'permission' || jsonb_build_object('relation', c.value -> 'permission')
          else c.value
        end
        order by c.ord)
      from jsonb_array_elements(p_checks) with ordinality c (value, ord)
    ), '[]')
    else p_checks
  end
$$;

comment on function authz._as_tuples(jsonb) is
'Questions in the form of the tuples that would answer them: a permission is a relation.';
