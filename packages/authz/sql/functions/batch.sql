-- Batches: tuples and questions that come as JSON.
--
-- A tuple is a text or an object. Text reads `document:1#viewer@group:g#member`: the type ends at
-- the first colon, the object's id before the first `#relation@type:`, and the subject's relation
-- is what follows the last # if that is the name of a relation. Ids may hold all these characters;
-- one that ends in `#name`, or holds `#name@name:`, needs an object, which has either the columns
-- (resource_type, resource_id, relation, subject_type, subject_id, subject_relation, condition,
-- context, expires_at) or OpenFGA's keys (user, relation, object, condition: {name, context}).
--
-- Texts are cut to 8,192 characters before they are taken apart: what is longer than all names
-- together may be has a name that is too long either way. A batch is read in one statement, refused
-- as a whole, and the refusal names the first bad element, counted from 1. What a condition's
-- context holds is never repeated.

create or replace function authz._tuple_parts(p_text text) returns text[]
language plpgsql
immutable
as $$
declare
  v_text text collate "C" := left(p_text, 8192);
  v_type text collate "C" := substring(v_text from '^[a-z][a-z0-9_-]*:');
  v_rest text collate "C" := substr(v_text, length(v_type) + 2);
  v_mark text collate "C" := substring(v_rest from '#[a-z][a-z0-9_-]*@[a-z][a-z0-9_-]*:');
  v_at int := length(v_type) + 1 + strpos(v_rest, v_mark);
begin
  if v_mark is null then
    return null;
  end if;
  return array[left(v_text, v_at - 1), split_part(substr(v_mark, 2), '@', 1),
    substr(v_text, v_at + strpos(v_mark, '@'))];
end
$$;

comment on function authz._tuple_parts(text) is
'A tuple that is a text, cut into object, relation and subject around the first #relation@type: that
leaves the object an id; null if there is none. One pattern for the whole text would try every place
again for every other one.';

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

create or replace function authz._read_tuples(
  p_namespace text,
  p_tuples jsonb,
  p_relation_key text default 'relation'
) returns table (ord int, tuple authz.tuple, problem text)
language plpgsql
stable
as $$
begin
  return query
  with given as materialized (
    select e.ord, e.value, e.part,
      coalesce(case jsonb_typeof(e.value)
        when 'string' then e.part is not null
        when 'object' then e.value = jsonb_strip_nulls(jsonb_build_object(
          'resource_type', e.part[1], 'resource_id', e.part[2], p_relation_key, e.part[3],
          'subject_type', e.part[4], 'subject_id', e.part[5], 'subject_relation', e.part[6]))
      end
      and authz._are_names(e.part[1], e.part[2], e.part[3], e.part[4], e.part[5], e.part[6])
      and octet_length(concat(p_namespace, e.part[1], e.part[2], e.part[3], e.part[4], e.part[5],
        e.part[6], e.part[6])) <= 2400, false) as is_plain
    from (
      select e.ord::int as ord, e.value,
        case jsonb_typeof(e.value)
          when 'string' then case
            when e.value #>> '{}' ~ '^[^:#@]+:[^:#@]+#[^:#@]+@[^:#@]+:[^:#@]+(#[^:#@]+)?$'
              then string_to_array(replace(replace(e.value #>> '{}', '#', ':'), '@', ':'), ':')
          end
          when 'object' then array[e.value ->> 'resource_type', e.value ->> 'resource_id',
            e.value ->> p_relation_key, e.value ->> 'subject_type', e.value ->> 'subject_id',
            e.value ->> 'subject_relation']
        end as part
      from jsonb_array_elements(p_tuples) with ordinality e (value, ord)
      offset 0
    ) e
  ),
  element as materialized (
    select g.ord, c.value, c.kind,
      coalesce(c.value ?| '{object,user}'::text[], false) as is_openfga,
      case c.kind when 'string' then authz._tuple_parts(c.value #>> '{}') end as part
    from given g
    cross join lateral (
      select jsonb_typeof(g.value) as kind,
        case
          when jsonb_typeof(g.value) = 'object' and g.value ? p_relation_key
            and p_relation_key <> 'relation'
          then g.value - p_relation_key
            || jsonb_build_object('relation', g.value -> p_relation_key)
          else g.value
        end as value
    ) c
    where not g.is_plain
  ),
  entity as materialized (
    select e.*,
      coalesce(e.part[1], left(e.value ->> 'object', 8192)) as object,
      coalesce(e.part[2], e.value ->> 'relation') as relation,
      coalesce(e.part[3], left(e.value ->> 'user', 8192)) as subject,
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
  select g.ord,
    row(null, p_namespace, g.part[1], g.part[2], g.part[3], g.part[4], g.part[5], g.part[6], null,
      null, null, null, null, null)::authz.tuple,
    null::text
  from given g
  where g.is_plain
  union all
  select n.ord,
    row(
      null::bigint, p_namespace, n.resource_type, authz._nfc(n.resource_id), n.relation,
      n.subject_type, authz._nfc(n.subject_id), n.subject_relation, null::timestamptz,
      authz._cel_timestamp(n.expires_at), n.condition, n.context,
      nullif(n.resource_id, authz._nfc(n.resource_id)),
      nullif(n.subject_id, authz._nfc(n.subject_id))
    )::authz.tuple,
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
        case when length(n.condition) > 1024 then
          'condition must have at most 1024 characters' end,
        case when octet_length(concat(p_namespace, n.resource_type, n.resource_id, n.relation,
            n.subject_type, n.subject_id, n.subject_relation, n.subject_relation, n.condition))
          > 2400 then 'has names of more than 2400 bytes together' end
      )
    end
  from name n;
end
$$;

comment on function authz._read_tuples(text, jsonb, text) is
'The tuples of a JSON array, each with what is wrong with its form, if anything is. Most are plain,
and read at a glance; the rest is read with care. Questions call the relation of an object by
another key too.';

create or replace function authz._first_refused(
  p_program text,
  p_tuples authz.tuple[],
  out ord int,
  out refusal text
)
language plpgsql
stable
as $$
begin
  select f.ord, r.refusal into ord, refusal
  from (
    select min(t.ordinality) as ord, t.resource_type, t.relation, t.subject_type,
      t.subject_id = '*' as is_wildcard, t.subject_relation, t.condition_name
    from unnest(p_tuples) with ordinality t
    group by t.resource_type, t.relation, t.subject_type, t.subject_id = '*', t.subject_relation,
      t.condition_name
  ) f
  cross join lateral authz._refusal(p_program, f.resource_type, f.relation, f.subject_type,
    case when f.is_wildcard then '*' else 'x' end, f.subject_relation, f.condition_name)
    r (refusal)
  where r.refusal is not null
  order by f.ord
  limit 1;
end
$$;

comment on function authz._first_refused(text, authz.tuple[]) is
'The first of many tuples that a program, or the absence of one, refuses, counted from 1, and the
code; nulls if none.';

create or replace function authz._tuples_of(
  p_namespace text,
  p_field text,
  p_tuples jsonb,
  p_most int,
  p_code text default 'array_element_invalid',
  p_relation_key text default 'relation'
) returns setof authz.tuple
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
  from authz._read_tuples(p_namespace, p_tuples, p_relation_key) r;
  if v_read.bad is not null then
    perform authz._fail_element(p_code, p_field, v_read.bad, p_tuples -> (v_read.bad - 1),
      v_read.problem);
  end if;
  return query select t.* from unnest(v_read.tuples) t;
end
$$;

comment on function authz._tuples_of(text, text, jsonb, int, text, text) is
'The tuples of a JSON array; raises for the first element that is no tuple.';

create or replace function authz._refuse_any(
  p_program text,
  p_field text,
  p_elements jsonb,
  p_tuples authz.tuple[],
  p_code text default null
) returns void
language plpgsql
stable
as $$
declare
  v_bad record := authz._first_refused(p_program, p_tuples);
  v_tuple authz.tuple;
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

comment on function authz._refuse_any(text, text, jsonb, authz.tuple[], text) is
'Raise for the first of many tuples that a program refuses, with its code or the given one.';

create or replace function authz._contextual(p_namespace text, p_program text, p_tuples jsonb)
returns authz.tuple[]
language plpgsql
stable
as $$
declare
  v_contextual authz.tuple[];
  v_text text collate "C";
  v_part text[] collate "C";
  v_before text[] collate "C";
begin
  if p_tuples is null or p_tuples in ('null', '[]') then
    return null;
  end if;

  if jsonb_typeof(p_tuples) = 'array' and jsonb_array_length(p_tuples) <= 100
    and length(p_namespace) <= 100
  then
    for v_at in 1 .. jsonb_array_length(p_tuples)
    loop
      v_text := p_tuples ->> (v_at - 1);
      exit when (length(v_text) <= 1000 and v_text ~ ('^[a-z][a-z0-9_-]*:[!"$-9;-?A-~]+'
        '#[a-z][a-z0-9_-]*@[a-z][a-z0-9_-]*:[!"$-9;-?A-~]+(#[a-z][a-z0-9_-]*)?$')) is not true;
      v_part := string_to_array(replace(replace(v_text, '#', ':'), '@', ':'), ':');
      if (v_part[1] = v_before[1] and v_part[3] = v_before[3] and v_part[4] = v_before[4]
        and v_part[6] is not distinct from v_before[6] and '*' not in (v_part[5], v_before[5]))
        is not true
      then
        exit when p_program is not null and authz_rt.refusal(p_program, v_part[1], v_part[3],
          v_part[4], v_part[5], v_part[6], null) is not null;
        v_before := v_part;
      end if;
      v_contextual[v_at] := row(null, p_namespace, v_part[1], v_part[2], v_part[3], v_part[4],
        v_part[5], v_part[6], null, null, null, null, null, null)::authz.tuple;
      if v_at = jsonb_array_length(p_tuples) then
        return v_contextual;
      end if;
    end loop;
  end if;

  v_contextual := array(
    select t
    from authz._tuples_of(p_namespace, 'contextual_tuples', p_tuples, 100,
      'contextual_tuple_invalid') t
  );
  perform authz._refuse_any(p_program, 'contextual_tuples', p_tuples, v_contextual,
    'contextual_tuple_invalid');
  return v_contextual;
end
$$;

comment on function authz._contextual(text, text, jsonb) is
'Tuples that count for one call only, at most 100, checked as if they were written; null if there
are none. They have no id. Texts as most are take the loop, everything else what batches take.';

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
set jit = off
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_program text;
  v_asked authz.tuple[];
  v_group record;
  v_allowed text[] collate "C";
  v_unknown text[] collate "C";
  v_open int[] := '{}';
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_context('context', p_context);
  v_asked := array(
    select t
    from authz._tuples_of(v_namespace, 'checks', p_checks, 1000, p_relation_key => 'permission') t
  );
  v_program := authz._active_program(v_namespace);

  for v_group in
    with form as materialized (
      select d.*, authz._question_refusal(v_program, d.subject_type, d.subject_relation, d.relation,
        d.resource_type) as refusal
      from (
        select distinct a.subject_type, a.subject_relation, a.relation, a.resource_type
        from unnest(v_asked) a
      ) d
    )
    select a.subject_type, a.subject_id, a.subject_relation, a.relation, a.resource_type, f.refusal,
      array_agg(a.resource_id) as ids, array_agg(a.ordinality::int) as ords
    from unnest(v_asked) with ordinality a
    join form f on f.subject_type = a.subject_type
      and f.subject_relation is not distinct from a.subject_relation
      and f.relation = a.relation
      and f.resource_type = a.resource_type
    group by a.subject_type, a.subject_id, a.subject_relation, a.relation, a.resource_type,
      f.refusal
  loop
    if v_group.refusal is not null then
      return query select o, null::boolean, v_group.refusal from unnest(v_group.ords) o;
      continue;
    end if;

    select array_agg(f.resource_id) filter (where f.allowed),
      array_agg(f.resource_id) filter (where f.allowed is null)
    into v_allowed, v_unknown
    from authz._filter(v_namespace, v_group.subject_type, v_group.subject_id,
      v_group.subject_relation, v_group.relation, v_group.resource_type, v_group.ids, p_context) f;
    return query
    select o.ord, o.id in (select i from unnest(v_allowed) i), null::text
    from unnest(v_group.ords, v_group.ids) o (ord, id)
    where o.id not in (select i from unnest(v_unknown) i);
    v_open := v_open || array(
      select o.ord
      from unnest(v_group.ords, v_group.ids) o (ord, id)
      where o.id in (select i from unnest(v_unknown) i)
    );
  end loop;

  if v_open <> '{}' then
    return query
    select r.ord, null::boolean, r.code
    from authz._unknown_reasons(v_namespace, v_asked, v_open, p_context) r;
  end if;
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
             condition_context_missing, condition_invalid or resolution_too_complex. The last three
             are found out for 20 questions about each permission and type; if more of them have no
             answer, the others bear the code of the first one
Errors       authz.array_element_invalid, batch_too_large, condition_invalid (22023),
             tenant_mismatch (42501)
Example      select * from authz.check_batch(''["doc:1#read@user:ann"]'', ''acme'') order by ord;';

create or replace function authz._question_refusal(
  p_program text,
  p_subject_type text,
  p_subject_relation text,
  p_relation text,
  p_resource_type text
) returns text
language plpgsql
stable
as $$
declare
  v_resource text := authz._refusal(p_program, p_resource_type, p_relation, '', '', null, null);
  v_subject text;
begin
  if v_resource is null then
    return null;
  end if;

  if authz._refusal(p_program, '', '', '', '', null, null) = 'type_unknown' then
    v_subject := authz._refusal(p_program, p_subject_type, coalesce(p_subject_relation, ''), '', '',
      null, null);
    if v_subject = 'type_unknown'
      or (v_subject = 'relation_unknown' and p_subject_relation is not null)
    then
      return v_subject;
    end if;
  end if;
  return nullif(v_resource, 'tuple_invalid');
end
$$;

comment on function authz._question_refusal(text, text, text, text, text) is
'The code with which a program refuses questions of a form; null if it answers them, or if the
dynamic rule does. No program lets a tuple without a subject be written, so it refuses one of every
type that is its own; and only strict ones, which want to know their subjects too, refuse a type
without a name.';

create or replace function authz._unknown_reasons(
  p_namespace text,
  p_asked authz.tuple[],
  p_open int[],
  p_context jsonb
) returns table (ord int, code text)
language plpgsql
stable
as $$
begin
  return query
  with open as materialized (
    select a.ordinality::int as ord, a.subject_type, a.subject_id, a.subject_relation, a.relation,
      a.resource_type, a.resource_id,
      dense_rank() over (
        partition by a.relation, a.resource_type
        order by a.subject_type, a.subject_id, a.subject_relation, a.resource_id
      ) as place
    from unnest(p_asked) with ordinality a
    where a.ordinality in (select o from unnest(p_open) o)
  ),
  explained as materialized (
    select o.relation, o.resource_type, o.place, r.code
    from (
      select distinct on (o.relation, o.resource_type, o.place) o.*
      from open o
      where o.place <= 20
    ) o
    cross join lateral authz._unknown_reason(p_namespace, o.subject_type, o.subject_id,
      o.subject_relation, o.relation, o.resource_type, o.resource_id, p_context) r
  )
  select o.ord, e.code
  from open o
  join explained e on e.relation = o.relation
    and e.resource_type = o.resource_type
    and e.place = case when o.place <= 20 then o.place else 1 end;
end
$$;

comment on function authz._unknown_reasons(text, authz.tuple[], int[], jsonb) is
'Why those of many questions that have no answer have none. To explain one costs more than to ask
it, so of each permission and type no more than 20 are explained.';
