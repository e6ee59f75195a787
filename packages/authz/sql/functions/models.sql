-- Models: what a namespace has decided about its types, and the programs that answer by it.
--
-- A model is compiled, outside of the database, to one program: functions of schema authz_rt that
-- begin with m_ and the first twelve digits of the program's hash. A program is named by its
-- content, shared by all namespaces that activate the same model, and never replaced in place, so
-- no session sees half of one. Which program a namespace answers by is one row of active_models;
-- namespace global has the row for those that have none of their own.

create or replace function authz._refusal(
  p_program text,
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
  v_refusal text;
begin
  if p_program is not null then
    v_refusal := authz_rt.refusal(p_program, p_resource_type, p_relation, p_subject_type,
      p_subject_id, p_subject_relation, p_condition);
  end if;
  if v_refusal is null and p_condition is not null
    and not authz._defines(p_program, p_resource_type)
  then
    return 'condition_unknown';
  end if;
  return v_refusal;
end
$$;

comment on function authz._refusal(text, text, text, text, text, text, text) is
'The code with which a program, or the absence of one, refuses a tuple of that form; null if it may
be written.';

create or replace function authz._defines(p_program text, p_resource_type text) returns boolean
language plpgsql
stable
as $$
begin
  return p_program is not null and authz_rt.refusal(p_program, p_resource_type, '', '', '', null,
    null) is not distinct from 'relation_unknown';
end
$$;

comment on function authz._defines(text, text) is
'Whether a program''s model defines the type: no relation is named by the empty text, so a program
that knows the type refuses it as relation_unknown.';

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
  v_refusal text := authz._refusal(authz._active_program(p_namespace), p_resource_type, p_relation,
    p_subject_type, p_subject_id, p_subject_relation, p_condition);
begin
  if v_refusal in ('type_unknown', 'relation_unknown') then
    perform authz._fail_unknown('resource_type', p_resource_type,
      case v_refusal when 'relation_unknown' then p_relation end);
  elsif v_refusal is not null then
    perform howdah.fail('authz', v_refusal,
      authz._refusal_message(v_refusal, p_resource_type, p_relation, p_subject_type, p_subject_id,
        p_subject_relation, p_condition),
      '22023',
      jsonb_strip_nulls(jsonb_build_object(
        'resource_type', left(p_resource_type, 100), 'relation', left(p_relation, 100),
        'subject_type', left(p_subject_type, 100),
        'subject_relation', left(p_subject_relation, 100),
        'condition', left(p_condition, 100)
      )),
      'The active model of the namespace, or of global, says what may be written.');
  end if;
end
$$;

comment on function authz._refuse_invalid(text, text, text, text, text, text, text) is
'Raise type_unknown, relation_unknown, tuple_invalid or condition_unknown if the active model of
the namespace refuses a tuple of that form. Without a model only a condition is refused.';

create or replace function authz._fail_unknown(
  p_field text,
  p_type text,
  p_relation text default null
) returns void
language plpgsql
stable
as $$
begin
  if p_relation is null then
    perform howdah.fail('authz', 'type_unknown',
      format('%s %L is not defined by the model', p_field, left(p_type, 100)), '22023',
      jsonb_build_object('field', p_field, 'value', left(p_type, 100)),
      'write_model with option strict: false leaves types that the model does not define dynamic.');
  end if;
  perform howdah.fail('authz', 'relation_unknown',
    format('relation %L is not defined on type %s', left(p_relation, 100), left(p_type, 100)),
    '22023',
    jsonb_build_object(
      'field', case p_field when 'subject_type' then 'subject_relation' else 'relation' end,
      'value', left(p_relation, 100), 'type', left(p_type, 100)),
    'The active model of the namespace, or of global, defines the relations of each type.');
end
$$;

comment on function authz._fail_unknown(text, text, text) is
'Raise type_unknown for the type of the subject or of the resource, or, where a relation is given,
relation_unknown for that. Programs call it.';

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
begin
  return authz._defines(authz._active_program(p_namespace), p_resource_type);
end
$$;

comment on function authz._is_modelled(text, text) is
'Whether the active model of the namespace, or of global, defines the type.';

create or replace function authz.model_hash(p_model jsonb, p_options jsonb default '{}')
returns text
language sql
stable
parallel safe
as $$
  select encode(sha256(convert_to(p_model::text || chr(10) || p_options::text, 'UTF8')), 'hex')
$$;

comment on function authz.model_hash(jsonb, jsonb) is
'The name that a model has by its content.

p_model      the model as OpenFGA writes it in JSON, without the metadata of its source
p_options    the options that it is compiled with
Returns      64 hexadecimal digits
Errors       none
Example      select authz.model_hash(''{"schema_version": "1.1", "type_definitions": []}'');';

create or replace function authz._program_hash(p_compiler_version int, p_model_hash text)
returns text
language sql
stable
as $$
  select encode(sha256(convert_to(p_compiler_version || chr(10) || p_model_hash, 'UTF8')), 'hex')
$$;

comment on function authz._program_hash(int, text) is
'The hash of the program that a version of the compiler makes of a model.';

create or replace function authz._entry_points(p_hash text) returns text[]
language sql
immutable
as $$
  select array_agg('m_' || left(p_hash, 12) || '_' || e)
  from unnest(array['check', 'filter', 'objects', 'subjects', 'check_x', 'filter_x', 'objects_x',
    'subjects_x', 'refusal']) e
$$;

comment on function authz._entry_points(text) is
'The names of the functions that the rest of the module calls of a program.';

create or replace function authz._missing_entry_point(p_hash text) returns text
language sql
stable
as $$
  select e
  from unnest(authz._entry_points(p_hash)) e
  where not exists (
    select 1
    from pg_proc p
    where p.proname = e and p.pronamespace = 'authz_rt'::regnamespace
  )
  limit 1
$$;

comment on function authz._missing_entry_point(text) is
'A function that a program ought to have and has not, null if it is complete.';

create or replace function authz.install_program(p_hash text, p_source text, p_ir jsonb)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_hash text collate "C" := p_hash;
  v_name text collate "C" := 'm_' || left(p_hash, 12) || '_';
  v_since record;
  v_function record;
begin
  if v_hash ~ '^[0-9a-f]{64}$' is not true or p_source is null
    or v_hash is distinct from authz._program_hash(
      case when p_ir ->> 'compiler_version' ~ '^[0-9]{1,9}$'
        then (p_ir ->> 'compiler_version')::int end,
      p_ir ->> 'model_hash'
    )
  then
    perform howdah.fail('authz', 'model_invalid',
      format('program %s is not named by its compiler''s version and its model',
        coalesce(quote_literal(left(v_hash, 100)), 'null')),
      '22023', jsonb_build_object('field', 'hash', 'value', left(v_hash, 100)),
      'Install what `howdah authz model compile` has written, as it is.');
  end if;

  perform pg_advisory_xact_lock(hashtextextended('authz.program' || chr(31) || v_hash, 0));
  if authz._missing_entry_point(v_hash) is null
    and exists (select 1 from authz.programs p where p.namespace = 'global' and p.hash = v_hash)
  then
    return false;
  end if;

  perform authz._drop_functions(v_hash);
  insert into authz.programs as p (hash, model_hash, compiler_version, ir, source)
  values (v_hash, p_ir ->> 'model_hash', (p_ir ->> 'compiler_version')::int, p_ir, p_source)
  on conflict (namespace, hash) do update
  set ir = excluded.ir, source = excluded.source, last_used_at = excluded.last_used_at;
  select p.xmin as transaction, p.cmin::text::bigint as command into v_since
  from authz.programs p
  where p.namespace = 'global' and p.hash = v_hash;

  execute p_source;

  for v_function in
    select p.oid::regprocedure as name,
      p.pronamespace = 'authz_rt'::regnamespace and starts_with(p.proname, v_name)
        and not p.prosecdef as is_ours
    from pg_proc p
    where p.xmin = v_since.transaction
      and p.cmin::text::bigint > v_since.command
      and p.oid >= 16384
  loop
    if not v_function.is_ours then
      perform howdah.fail('authz', 'model_invalid',
        format('the source of program %s makes %s, which is no plain function authz_rt.%s...',
          left(v_hash, 12), v_function.name, v_name),
        '22023', jsonb_build_object('field', 'source', 'value', v_function.name::text));
    end if;
    execute format('revoke all on function %s from public', v_function.name::regprocedure);
  end loop;

  if authz._missing_entry_point(v_hash) is not null then
    perform howdah.fail('authz', 'model_invalid',
      format('the source of program %s does not make authz_rt.%s', left(v_hash, 12),
        authz._missing_entry_point(v_hash)),
      '22023',
      jsonb_build_object('field', 'source', 'value', authz._missing_entry_point(v_hash)));
  end if;
  return true;
end
$$;

comment on function authz.install_program(text, text, jsonb) is
'Make the functions of a compiled model, or find that they are there.

The source is code that runs with the rights of the module''s owner: only administrators may call
this. Of several callers with one program, one makes it and the others wait and find it made.
p_hash       hex SHA-256 of the compiler''s version, a line feed, and the model''s hash
p_source     the SQL script that the compiler has written
p_ir         an object with compiler_version, model_hash, and what else the compiler notes
Returns      true if the functions were made; false if they were there
Errors       authz.model_invalid (22023): the hash is not that of p_ir, or the source makes
             something else than the functions of this program, or not all of them
Example      select authz.install_program(''3f2a...'', ''create function ...'', ''{"...": 1}'');';

create or replace function authz._drop_functions(p_hash text) returns void
language plpgsql
as $$
declare
  v_function regprocedure;
begin
  for v_function in
    select p.oid
    from pg_proc p
    where p.pronamespace = 'authz_rt'::regnamespace
      and starts_with(p.proname, 'm_' || left(p_hash, 12) || '_')
  loop
    execute format('drop function %s', v_function);
  end loop;
end
$$;

comment on function authz._drop_functions(text) is
'Drop what is there of the functions of a program.';

create or replace function authz._drop_unused_programs(p_limit int default 10) returns bigint
language plpgsql
as $$
declare
  v_hash text collate "C";
  v_count bigint := 0;
begin
  for v_hash in
    select p.hash
    from authz.programs p
    where p.namespace = 'global'
      and p.last_used_at < howdah.now() - interval '7 days'
      and not exists (select 1 from authz.active_models a where a.hash = p.hash)
    order by p.last_used_at
    limit p_limit
    for update of p skip locked
  loop
    continue when not pg_try_advisory_xact_lock(
      hashtextextended('authz.program' || chr(31) || v_hash, 0));
    delete from authz.programs p where p.namespace = 'global' and p.hash = v_hash;
    perform authz._drop_functions(v_hash);
    v_count := v_count + 1;
  end loop;
  perform authz._refresh_dispatch();
  return v_count;
end
$$;

comment on function authz._drop_unused_programs(int) is
'Drop programs that no namespace has answered by for seven days. An activation locks the row of its
program before it makes it the active one, so neither can miss the other.';

create or replace function authz._model(
  p_namespace text,
  p_model_id uuid,
  p_or_global boolean default true
) returns authz.models
language plpgsql
stable
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_model authz.models;
begin
  select m.* into v_model
  from authz.models m
  where m.namespace in (v_namespace, case when p_or_global then 'global' end)
    and m.id = p_model_id
  order by m.namespace = v_namespace desc
  limit 1;
  if not found then
    perform howdah.fail('authz', 'model_not_found',
      format('model %s does not exist in namespace %s', coalesce(p_model_id::text, 'null'),
        left(v_namespace, 100)),
      'P0002', jsonb_build_object('model_id', p_model_id));
  end if;
  return v_model;
end
$$;

comment on function authz._model(text, uuid, boolean) is
'A model of the namespace, or else of global; model_not_found if there is none.';

create or replace function authz._program_of(p_model_hash text) returns text
language plpgsql
stable
as $$
declare
  v_model_hash text collate "C" := p_model_hash;
  v_hash text collate "C";
begin
  select p.hash into v_hash
  from authz.programs p
  where p.namespace = 'global' and p.model_hash = v_model_hash
  order by p.compiler_version desc
  limit 1;

  if v_hash is null or authz._missing_entry_point(v_hash) is not null then
    perform howdah.fail('authz', 'program_missing',
      format('no program is installed for the model with hash %s', left(v_model_hash, 12)),
      '55000', jsonb_build_object('model_hash', v_model_hash),
      'Run `howdah authz model write` with the model''s file, which compiles and installs it.');
  end if;
  return v_hash;
end
$$;

comment on function authz._program_of(text) is
'The hash of the program that the newest compiler has made of a model; program_missing if none.';

create or replace function authz.write_model(
  p_model jsonb,
  p_namespace text default 'default',
  p_activate boolean default false,
  p_tests jsonb default null,
  p_dsl text default null,
  p_options jsonb default '{}'
) returns uuid
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_hash text collate "C" := authz.model_hash(p_model, p_options);
  v_problem text := authz._model_problem(p_model, p_dsl, p_options);
  v_id uuid;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_global(v_namespace);
  if v_problem is not null then
    perform howdah.fail('authz', 'model_invalid', v_problem, '22023',
      jsonb_build_object('problems', jsonb_build_array(v_problem)));
  end if;
  perform authz._check_tests(p_tests);
  perform authz._program_of(v_hash);
  perform authz._lock_models(v_namespace);

  insert into authz.models as m (namespace, hash, dsl, model, options, tests, created_by)
  values (v_namespace, v_hash, p_dsl, p_model, p_options, p_tests, howdah.actor() ->> 'actor_id')
  on conflict (namespace, hash) do update
  set dsl = coalesce(excluded.dsl, m.dsl), tests = coalesce(excluded.tests, m.tests)
  returning m.id into v_id;

  if p_activate then
    perform authz.activate_model(v_id, v_namespace);
  elsif p_tests is not null then
    perform authz._pass_tests(a.hash, v_id, p_tests)
    from authz.active_models a
    where a.namespace = v_namespace and a.model_id = v_id;
  end if;
  return v_id;
end
$$;

comment on function authz.write_model(jsonb, text, boolean, jsonb, text, jsonb) is
'Store a model that has been compiled. The same model has the same id, however often it is written;
tests and dsl, where given, take the place of those that were stored with it. If the model is the
active one of the namespace, the tests that are given must pass at once. A model of global has tests
of its own, whatever tenants have stored with the same model.

p_model      the model as OpenFGA writes it in JSON, at most 256 kB
p_namespace  the tenant, or global for all tenants that have no model of their own
p_activate   true also activates it
p_tests      tests that must pass at every activation, in the form of OpenFGA''s test files, at most
             1 MB; [] for none
p_dsl        the text that the model was written in, to show it again, at most 256 kB
p_options    max_depth: how many usersets and parents a check may follow, 1 to 200; strict: false
             leaves types that the model does not define to the dynamic rule
Returns      the model''s id
Errors       authz.model_invalid (22023), program_missing, model_tests_failed (55000),
             global_write_denied, tenant_mismatch (42501)
Example      select authz.write_model(''{"schema_version": "1.1", ...}'', ''acme'', true);';

create or replace function authz._model_problem(p_model jsonb, p_dsl text, p_options jsonb)
returns text
language sql
immutable
as $$
  select case
    when jsonb_typeof(p_model) is distinct from 'object'
      or jsonb_typeof(p_model -> 'type_definitions') is distinct from 'array'
      then 'model must be an object with schema_version and type_definitions'
    when (p_model ->> 'schema_version') in ('1.1', '1.2') is not true
      then 'schema_version must be 1.1 or 1.2'
    when octet_length(p_model::text) > 262144
      then format('model takes %s bytes, at most 262144 are allowed', octet_length(p_model::text))
    when octet_length(p_dsl) > 262144
      then format('dsl takes %s bytes, at most 262144 are allowed', octet_length(p_dsl))
    when jsonb_typeof(p_options) is distinct from 'object'
      then 'options must be an object'
    when p_options - '{max_depth,strict}'::text[] <> '{}'
      then format('option %s is not known, only max_depth and strict are', (
        select quote_literal(left(o, 100))
        from jsonb_object_keys(p_options - '{max_depth,strict}'::text[]) o
        limit 1
      ))
    when p_options ? 'strict' and jsonb_typeof(p_options -> 'strict') <> 'boolean'
      then 'option strict must be true or false'
    when p_options ? 'max_depth'
      and (p_options ->> 'max_depth' ~ '^[0-9]{1,3}$'
        and (p_options ->> 'max_depth')::int between 1 and 200) is not true
      then 'option max_depth must be a number from 1 to 200'
  end
$$;

comment on function authz._model_problem(jsonb, text, jsonb) is
'What is wrong with the frame of a model, its text or its options; the compiler checks all the rest,
and what it has not passed has no program.';

create or replace function authz._lock_models(p_namespace text) returns void
language plpgsql
as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('authz.activate' || chr(31) || p_namespace, 0));
end
$$;

comment on function authz._lock_models(text) is
'Let one session at a time write and activate models of a namespace, so that tests are not changed
under an activation that has run those before.';

create or replace function authz._pass_tests(p_hash text, p_model_id uuid, p_tests jsonb)
returns void
language plpgsql
as $$
declare
  v_failed jsonb;
begin
  select jsonb_agg(jsonb_build_object('name', t.name, 'detail', t.detail)) into v_failed
  from (
    select r.name, r.detail
    from authz._run_tests(left(p_hash, 12), p_tests) r
    where r.passed is not true
    limit 20
  ) t;
  if v_failed is not null then
    perform howdah.fail('authz', 'model_tests_failed',
      format('test %L of the model fails: %s', left(v_failed #>> '{0,name}', 100),
        v_failed #>> '{0,detail}'),
      '55000', jsonb_build_object('model_id', p_model_id, 'failed', v_failed),
      'What was active and stored before still is.');
  end if;
end
$$;

comment on function authz._pass_tests(text, uuid, jsonb) is
'Raise model_tests_failed, with the first 20 that fail, unless a program passes tests.';

create or replace function authz.activate_model(
  p_model_id uuid,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_model authz.models;
  v_program text collate "C";
  v_before authz.active_models;
  v_is_active boolean;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_global(v_namespace);
  perform authz._lock_models(v_namespace);
  v_model := authz._model(v_namespace, p_model_id, false);
  select a.* into v_before from authz.active_models a where a.namespace = v_namespace;
  v_program := authz._program_of(v_model.hash);
  v_is_active := (v_before.model_id = v_model.id and v_before.hash = v_program) is true;
  if not v_is_active then
    perform
    from authz.programs p
    where p.namespace = 'global' and p.hash in (v_program, v_before.hash)
    order by p.hash
    for no key update;
    v_program := authz._program_of(v_model.hash);
  end if;

  perform authz._check_tests(v_model.tests);
  perform authz._pass_tests(v_program, v_model.id, v_model.tests);
  if v_is_active then
    return false;
  end if;

  update authz.programs p
  set last_used_at = howdah.now()
  where p.namespace = 'global' and p.hash in (v_program, v_before.hash);
  insert into authz.active_models as a (namespace, model_id, hash)
  values (v_namespace, v_model.id, v_program)
  on conflict (namespace) do update
  set model_id = excluded.model_id, hash = excluded.hash, activated_at = excluded.activated_at;
  perform authz._refresh_dispatch();
  insert into authz.audit_events (event_type, actor_id, request_id, reason, on_behalf_of,
    current_user_name, namespace, detail)
  select 'model_activated', a.actor ->> 'actor_id', a.actor ->> 'request_id', a.actor ->> 'reason',
    a.actor ->> 'on_behalf_of', howdah.outer_role(), v_namespace,
    jsonb_build_object('model_id', v_model.id, 'model_hash', v_model.hash,
      'previous_model_id', v_before.model_id)
  from (select howdah.actor() as actor) a;
  return true;
end
$$;

comment on function authz.activate_model(uuid, text) is
'Let a namespace answer by a model from the end of this transaction on, if the tests stored with the
model pass; they run also if it is active already. To roll back, activate the older one.

It is one row: sessions see the model before or this one, whole. A program made by a newer compiler
takes the place of the one that the model was active with.
p_model_id   a model of this namespace
p_namespace  the tenant, or global
Returns      true if the active model or its program changed; false if they were active already
Errors       authz.model_not_found (P0002), model_tests_failed, program_missing (55000),
             model_invalid (22023), global_write_denied, tenant_mismatch (42501)
Example      select authz.activate_model(''01931f6e-8f00-7000-8000-000000000000'', ''acme'');';

create or replace function authz.get_model(
  p_model_id uuid default null,
  p_namespace text default 'default'
) returns table (
  model_id uuid,
  namespace text,
  digest text,
  is_active boolean,
  model jsonb,
  dsl text,
  options jsonb,
  tests jsonb,
  created_at timestamptz,
  created_by text
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_active authz.active_models;
  v_model authz.models;
begin
  perform howdah.guard('authz', v_namespace);
  v_active := authz._active_model(v_namespace);
  if p_model_id is null and v_active.model_id is null then
    return;
  end if;

  v_model := authz._model(v_namespace, coalesce(p_model_id, v_active.model_id));
  return query select v_model.id, v_model.namespace, v_model.hash,
    v_model.id is not distinct from v_active.model_id, v_model.model, v_model.dsl, v_model.options,
    v_model.tests, v_model.created_at, v_model.created_by;
end
$$;

comment on function authz.get_model(uuid, text) is
'A model, by default the one that the namespace answers by.

p_model_id   a model of the namespace or of global; null for the active one
p_namespace  the tenant
Returns      one row with model_id, namespace, digest, is_active, model, dsl, options, tests,
             created_at and created_by, as given to write_model; none if no model is active
Errors       authz.model_not_found (P0002), tenant_mismatch (42501)
Example      select dsl from authz.get_model(null, ''acme'');';

create or replace function authz._active_model(p_namespace text) returns authz.active_models
language sql
stable
as $$
  select a.*
  from authz.active_models a
  where a.namespace in (p_namespace collate "C", 'global')
  order by a.namespace = p_namespace collate "C" desc
  limit 1
$$;

comment on function authz._active_model(text) is
'Which model and program the namespace answers by: its own, else that of global.';

create or replace function authz.list_models(p_namespace text default 'default')
returns table (
  model_id uuid,
  digest text,
  is_active boolean,
  is_installed boolean,
  created_at timestamptz,
  created_by text
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_active authz.active_models;
begin
  perform howdah.guard('authz', v_namespace);
  v_active := authz._active_model(v_namespace);
  return query
  select m.id, m.hash, m.id is not distinct from v_active.model_id,
    exists (select 1 from authz.programs p where p.namespace = 'global' and p.model_hash = m.hash),
    m.created_at, m.created_by
  from authz.models m
  where m.namespace = v_namespace
  order by m.created_at desc, m.id desc;
end
$$;

comment on function authz.list_models(text) is
'The models of a namespace, the newest first.

p_namespace  the tenant
Returns      model_id, digest, is_active, is_installed (whether its program is there, so that it
             can be activated at once), created_at and created_by
Errors       authz.tenant_mismatch (42501)
Example      select model_id, is_active from authz.list_models(''acme'');';

create or replace function authz.validate_tuples(p_namespace text default 'default')
returns table (
  tuple_id bigint,
  resource_type text,
  resource_id text,
  relation text,
  subject_type text,
  subject_id text,
  subject_relation text,
  condition_name text,
  error_code text
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_program text := authz._active_program(v_namespace);
begin
  perform howdah.guard('authz', v_namespace);
  return query
  with forms as materialized (
    select f.*, authz._refusal(v_program, f.resource_type, f.relation, f.subject_type,
      case when f.is_wildcard then '*' else 'x' end, f.subject_relation, f.condition_name) as code
    from (
      select distinct t.resource_type, t.relation, t.subject_type,
        t.subject_id = '*' as is_wildcard, t.subject_relation, t.condition_name
      from authz.tuples t
      where t.namespace = v_namespace and (t.expires_at is null or t.expires_at > howdah.now())
    ) f
  )
  select t.id, t.resource_type, coalesce(t.resource_id_raw, t.resource_id), t.relation,
    t.subject_type, coalesce(t.subject_id_raw, t.subject_id), t.subject_relation, t.condition_name,
    f.code
  from forms f
  join authz.tuples t on t.resource_type = f.resource_type
    and t.relation = f.relation
    and t.subject_type = f.subject_type
    and (t.subject_id = '*') = f.is_wildcard
    and t.subject_relation is not distinct from f.subject_relation
    and t.condition_name is not distinct from f.condition_name
  where f.code is not null
    and t.namespace = v_namespace
    and (t.expires_at is null or t.expires_at > howdah.now())
  order by t.id;
end
$$;

comment on function authz.validate_tuples(text) is
'The stored tuples that the active model would refuse today: they were written before it, and grant
nothing.

p_namespace  the tenant
Returns      tuple_id, resource_type, resource_id, relation, subject_type, subject_id,
             subject_relation and condition_name of each, and error_code, the code of the refusal
Errors       authz.tenant_mismatch (42501)
Example      select error_code, count(*) from authz.validate_tuples(''acme'') group by 1;';

create or replace function authz.compiled_source(
  p_model_id uuid,
  p_type text,
  p_relation text,
  p_namespace text default 'default'
) returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_type text collate "C" := p_type;
  v_relation text collate "C" := p_relation;
  v_name text collate "C";
  v_source text;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_name('type', v_type);
  perform authz._check_name('relation', v_relation);
  v_name := 'm_' || left(authz._program_of((authz._model(v_namespace, p_model_id)).hash), 12)
    || '_';

  select string_agg(pg_get_functiondef(p.oid), chr(10) order by p.proname) into v_source
  from pg_proc p
  where p.pronamespace = 'authz_rt'::regnamespace
    and starts_with(p.proname, v_name)
    and obj_description(p.oid, 'pg_proc')
      ~ ('(^|[[:space:]])' || v_type || '#' || v_relation || '($|[^a-z0-9_-])');
  return v_source;
end
$$;

comment on function authz.compiled_source(uuid, text, text, text) is
'The SQL that a relation of a model was compiled to.

p_model_id   a model of the namespace or of global
p_type       a type of the model
p_relation   a relation of the type
p_namespace  the tenant
Returns      the definitions of its functions, or null if the model has no such relation
Errors       authz.model_not_found (P0002), program_missing (55000), identifier_format (22023),
             tenant_mismatch (42501)
Example      select authz.compiled_source(''01931f6e-8f00-7000-8000-000000000000'', ''document'',
               ''viewer'', ''acme'');';
