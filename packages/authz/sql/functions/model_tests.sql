-- Tests of models: what a model must answer before a namespace may answer by it.
--
-- They are written as OpenFGA's test files write them, and bring all the tuples that they need, so
-- they are evaluated in the empty namespace, which has none of its own and no caller can name.

create or replace function authz.test_model(
  p_model_id uuid,
  p_tests jsonb default null,
  p_namespace text default 'default'
) returns table (name text, passed boolean, detail text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_model authz.models;
begin
  perform howdah.guard('authz', v_namespace);
  v_model := authz._model(v_namespace, p_model_id);
  perform authz._check_tests(coalesce(p_tests, v_model.tests));
  return query
  select r.name, r.passed, r.detail
  from authz._run_tests(left(authz._program_of(v_model.hash), 12),
    coalesce(p_tests, v_model.tests)) r;
end
$$;

comment on function authz.test_model(uuid, jsonb, text) is
'Run tests against a model, active or not. They touch no stored tuple.

p_model_id   a model of the namespace or of global
p_tests      an array of tests, or an object with tuples for all of them and tests: each has name,
             description, tuples, check (user or users, object or objects, context, assertions),
             list_objects (user, type, context, assertions) and list_users (object, user_filter,
             context, assertions), as OpenFGA''s test files have it, and asserts something; at most
             1 MB; null for the stored ones
p_namespace  the tenant
Returns      one row for each assertion: the name of its test, whether it passed, and in detail what
             was asked, and what was answered instead of what was expected
Errors       authz.model_not_found (P0002), model_invalid (22023): the tests have another form or a
             key that is not known, program_missing (55000), tenant_mismatch (42501)
Example      select * from authz.test_model(''01931f6e-8f00-7000-8000-000000000000'');';

create or replace function authz._check_tests(p_tests jsonb) returns void
language plpgsql
immutable
as $$
declare
  v_bytes int := octet_length(p_tests::text);
  v_path text;
  v_problem text;
  v_name text;
begin
  if p_tests is null then
    return;
  end if;
  if v_bytes > 1048576 then
    perform howdah.fail('authz', 'model_invalid',
      format('tests take %s bytes, at most 1048576 are allowed', v_bytes), '22023',
      jsonb_build_object('field', 'tests', 'limit', 1048576, 'actual', v_bytes));
  end if;

  select p.path, p.problem into v_path, v_problem from authz._tests_problem(p_tests) p;
  if v_problem is not null then
    v_name := left(case jsonb_typeof(p_tests) when 'array' then p_tests else p_tests -> 'tests' end
      -> (substring(v_path from '^tests\[([0-9]+)\]')::int - 1) ->> 'name', 100);
    perform howdah.fail('authz', 'model_invalid',
      concat('test ' || quote_literal(v_name) || ': ', v_path, ' ', v_problem), '22023',
      jsonb_strip_nulls(jsonb_build_object('field', v_path, 'test', v_name)),
      'Tests are written as in OpenFGA''s store files.');
  end if;
end
$$;

comment on function authz._check_tests(jsonb) is
'Refuse more than 1 MB of tests, and tests of another form than the documented: a key that is
misspelt would leave a test without its question, and what asks nothing always passes.';

create or replace function authz._tests_problem(p_tests jsonb, out path text, out problem text)
language sql
immutable
as $$
  with recursive node (level, path, value, shape, parent) as (
    select 0, null::text,
      case jsonb_typeof(p_tests) when 'object' then p_tests
        else jsonb_build_object('tests', p_tests) end,
      '{
        "?": ["tuples"],
        "tuples": "array",
        "tests": [{
          "?": ["name", "description", "tuples", "check", "list_objects", "list_users"],
          "name": "string",
          "description": "string",
          "tuples": "array",
          "check": [{
            "?": ["user", "users", "object", "objects", "context"],
            "user": "string",
            "users": ["string", "at least one"],
            "object": "string",
            "objects": ["string", "at least one"],
            "context": "object",
            "assertions": {"*": "boolean"}
          }],
          "list_objects": [{
            "?": ["context"],
            "user": "string",
            "type": "string",
            "context": "object",
            "assertions": {"*": ["string"]}
          }],
          "list_users": [{
            "?": ["context"],
            "object": "string",
            "user_filter": [
              {"?": ["relation"], "type": "string", "relation": "string"},
              "at least one"
            ],
            "context": "object",
            "assertions": {"*": {"users": ["string"]}}
          }]
        }]
      }'::jsonb, null::jsonb
    where p_tests is not null
    union all
    select n.level + 1, c.path, c.value, c.shape, n.shape
    from node n
    cross join lateral (
      select case when jsonb_typeof(n.value) = jsonb_typeof(n.shape) then n.value end as value
    ) fit
    cross join lateral (
      select format('%s[%s]', n.path, e.ordinality) as path, e.value, n.shape -> 0 as shape
      from jsonb_array_elements(case jsonb_typeof(n.shape) when 'array' then fit.value end)
        with ordinality e
      union all
      select concat_ws('.', n.path, left(k.key, 100)), fit.value -> k.key,
        coalesce((n.shape - '?') -> k.key, n.shape -> '*')
      from (
        select key from jsonb_each(case jsonb_typeof(n.shape) when 'object' then fit.value end)
        union
        select key from jsonb_each(case when jsonb_typeof(fit.value) = 'object' then n.shape end)
        where key not in ('?', '*') and not coalesce(n.shape -> '?', '[]') ? key
      ) k
    ) c
  )
  select n.path, coalesce(n.form, n.content)
  from (
    select n.level, n.path,
      case
        when n.shape is null then 'is not known, it may be ' || (
          select string_agg(k, ', ') from jsonb_object_keys(n.parent - '?') k
        )
        when n.value is null then 'is missing'
        when jsonb_typeof(n.value) <> w.wanted then 'must be ' || case w.wanted
          when 'string' then 'a text' when 'boolean' then 'true or false' else 'an ' || w.wanted end
        when n.value in ('{}', '[]') and (n.shape ? '*' or n.shape ->> 1 is not null)
          then 'must not be empty'
      end as form,
      case
        when n.shape ? 'objects' and (n.value ? 'user') = (n.value ? 'users')
          then 'must have either user or users'
        when n.shape ? 'objects' and (n.value ? 'object') = (n.value ? 'objects')
          then 'must have either object or objects'
        when n.shape ? 'check' and '[]' = all (array[coalesce(n.value -> 'check', '[]'),
          coalesce(n.value -> 'list_objects', '[]'), coalesce(n.value -> 'list_users', '[]')])
          then 'asserts nothing, it must have check, list_objects or list_users'
      end as content
    from node n
    cross join lateral (
      select case jsonb_typeof(n.shape) when 'string' then n.shape #>> '{}'
        else jsonb_typeof(n.shape) end as wanted
    ) w
  ) n
  where coalesce(n.form, n.content) is not null
  order by n.form is null, n.level, n.path collate "C"
  limit 1
$$;

comment on function authz._tests_problem(jsonb) is
'The first thing that is wrong with the form of tests, and where; no row if nothing is. The form is
a value of the same form: what "?" lists may be left out, "*" is any key, of which there is one at
least, and the only element of an array is the form of each.';

create or replace function authz._run_tests(p_program text, p_tests jsonb)
returns table (name text, passed boolean, detail text)
language plpgsql
stable
as $$
declare
  v_common jsonb := '[]';
  v_tests jsonb := p_tests;
  v_given jsonb;
  v_tuples authz.tuple[];
  v_test jsonb;
  v_ord bigint;
  v_asked record;
  v_expected jsonb;
  v_got jsonb;
begin
  if jsonb_typeof(p_tests) = 'object' then
    v_common := coalesce(p_tests -> 'tuples', '[]');
    v_tests := p_tests -> 'tests';
  end if;

  for v_test, v_ord in
    select t.test, t.ord
    from jsonb_array_elements(v_tests) with ordinality t (test, ord)
  loop
    name := coalesce(v_test ->> 'name', 'test ' || v_ord);
    begin
      v_given := v_common || coalesce(v_test -> 'tuples', '[]');
      v_tuples := array(select t from authz._tuples_of('', 'tuples', v_given, 5000) t);
      perform authz._refuse_any(p_program, 'tuples', v_given, v_tuples);

      for v_asked in
        select a.* from authz._assertions(v_test) a
      loop
        case v_asked.kind
          when 'check' then
            v_got := coalesce(to_jsonb(authz._test_check(p_program, v_asked.subject,
              v_asked.relation, v_asked.object, v_asked.context, v_tuples)), '"unknown"');
          when 'list_objects' then
            v_got := authz._test_objects(p_program, v_asked.subject, v_asked.relation,
              v_asked.object, v_asked.context, v_tuples);
          else
            v_got := authz._test_subjects(p_program, v_asked.filter, v_asked.relation,
              v_asked.object, v_asked.context, v_tuples);
        end case;

        v_expected := v_asked.expected;
        if jsonb_typeof(v_expected) = 'array' then
          v_expected := (
            select coalesce(jsonb_agg(e order by e collate "C"), '[]')
            from jsonb_array_elements_text(v_expected) e
          );
        end if;
        passed := v_got is not distinct from v_expected;
        detail := concat(v_asked.question, ': ', v_got,
          case when not passed then ', expected ' || coalesce(v_expected::text, 'nothing') end);
        return next;
      end loop;
    exception
      when invalid_parameter_value or null_value_not_allowed or zero_length_character_string
        or string_data_right_truncation or statement_too_complex
      then
        passed := false;
        detail := sqlerrm;
        return next;
    end;
  end loop;
end
$$;

comment on function authz._run_tests(text, jsonb) is
'Run tests on a program, one row for each assertion; a test whose tuples or names the model does not
know fails with the error''s message.';

create or replace function authz._assertions(p_test jsonb)
returns table (
  kind text, question text, subject text, relation text, object text, filter jsonb, context jsonb,
  expected jsonb
)
language sql
immutable
as $$
  select 'check', format('check %s %s %s', u.name, a.key, o.name), u.name, a.key, o.name,
    null::jsonb, c -> 'context', a.value
  from jsonb_array_elements(p_test -> 'check') c,
    jsonb_array_elements_text(coalesce(c -> 'users', jsonb_build_array(c -> 'user'))) u (name),
    jsonb_array_elements_text(coalesce(c -> 'objects', jsonb_build_array(c -> 'object'))) o (name),
    jsonb_each(c -> 'assertions') a
  union all
  select 'list_objects', format('list_objects %s %s %s', c ->> 'user', a.key, c ->> 'type'),
    c ->> 'user', a.key, c ->> 'type', null, c -> 'context', a.value
  from jsonb_array_elements(p_test -> 'list_objects') c, jsonb_each(c -> 'assertions') a
  union all
  select 'list_users', format('list_users %s %s', a.key, c ->> 'object'),
    null, a.key, c ->> 'object', c -> 'user_filter', c -> 'context', a.value -> 'users'
  from jsonb_array_elements(p_test -> 'list_users') c, jsonb_each(c -> 'assertions') a
$$;

comment on function authz._assertions(jsonb) is 'The questions that a test asks, one row for each.';

create or replace function authz._entity(
  p_field text,
  p_entity text,
  out type text,
  out id text,
  out relation text
)
language plpgsql
immutable
as $$
begin
  relation := substring(p_entity from ':.*#([a-z][a-z0-9_-]*)$');
  type := split_part(p_entity, ':', 1);
  id := authz._nfc(substr(left(p_entity, length(p_entity) - coalesce(length(relation) + 1, 0)),
    nullif(strpos(p_entity, ':'), 0) + 1));
  perform authz._check_name(p_field, type);
  perform authz._check_id(p_field, id);
end
$$;

comment on function authz._entity(text, text) is
'The parts of a text type:id or type:id#relation; the relation is what follows the last #.';

create or replace function authz._test_check(
  p_program text,
  p_subject text,
  p_relation text,
  p_object text,
  p_context jsonb,
  p_tuples authz.tuple[]
) returns boolean
language plpgsql
stable
as $$
declare
  v_subject record := authz._entity('user', p_subject);
  v_object record := authz._entity('object', p_object);
  v_allowed boolean;
begin
  execute format('select authz_rt.%I($1, $2, $3, $4, $5, $6, $7, $8, $9)',
    'm_' || p_program || '_check_x')
  into v_allowed
  using '', v_subject.type, v_subject.id, v_subject.relation, p_relation, v_object.type,
    v_object.id, p_context, p_tuples;
  return v_allowed;
end
$$;

comment on function authz._test_check(text, text, text, text, jsonb, authz.tuple[]) is
'Whether a test''s tuples allow what is asked, null if that is unknown.';

create or replace function authz._test_objects(
  p_program text,
  p_subject text,
  p_relation text,
  p_type text,
  p_context jsonb,
  p_tuples authz.tuple[]
) returns jsonb
language plpgsql
stable
as $$
declare
  v_subject record := authz._entity('user', p_subject);
  v_objects jsonb;
begin
  execute format(
    '
      select jsonb_agg(concat($6, '':'', o.resource_id,
        case when o.allowed is null then '' unknown'' end) order by o.resource_id collate "C")
      from authz_rt.%I($1, $2, $3, $4, $5, $6, $7, $8) o
    ', 'm_' || p_program || '_objects_x')
  into v_objects
  using '', v_subject.type, v_subject.id, v_subject.relation, p_relation, p_type, p_context,
    p_tuples;
  return coalesce(v_objects, '[]');
end
$$;

comment on function authz._test_objects(text, text, text, text, jsonb, authz.tuple[]) is
'The objects of a type that a test''s tuples allow.';

create or replace function authz._test_subjects(
  p_program text,
  p_filter jsonb,
  p_relation text,
  p_object text,
  p_context jsonb,
  p_tuples authz.tuple[]
) returns jsonb
language plpgsql
stable
as $$
declare
  v_object record := authz._entity('object', p_object);
  v_filter jsonb;
  v_some jsonb;
  v_all jsonb := '[]';
begin
  for v_filter in
    select f from jsonb_array_elements(p_filter) f
  loop
    execute format(
      '
        select jsonb_agg(concat($5, '':'', s.subject_id, ''#'' || $6,
          case when s.allowed is null then '' unknown'' end))
        from authz_rt.%I($1, $2, $3, $4, $5, $6, $7, $8) s
      ', 'm_' || p_program || '_subjects_x')
    into v_some
    using '', v_object.type, v_object.id, p_relation, v_filter ->> 'type',
      v_filter ->> 'relation', p_context, p_tuples;
    v_all := v_all || coalesce(v_some, '[]');
  end loop;
  return (
    select coalesce(jsonb_agg(e order by e collate "C"), '[]')
    from jsonb_array_elements_text(v_all) e
  );
end
$$;

comment on function authz._test_subjects(text, jsonb, text, text, jsonb, authz.tuple[]) is
'The subjects of the types of a filter whom a test''s tuples allow.';
