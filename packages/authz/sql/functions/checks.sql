-- Checking what a call names: types, relations and ids, refused with one error each before anything
-- is read or written.
--
-- Public functions copy their text parameters into locals declared text collate "C", because a
-- parameter inherits the collation of the column that its caller passed, and put ids into NFC.

create or replace function authz._nfc(p_text text) returns text
language sql
immutable
parallel safe
as $$
  select case
    when octet_length(p_text) = length(p_text) or length(p_text) > 1024 then p_text
    else normalize(p_text, nfc)
  end
$$;

comment on function authz._nfc(text) is
'A text in NFC. Plain ASCII is returned as it is, and so is what is too long for an id: it is going
to be refused, and to normalize megabytes takes a second.';

create or replace function authz._id_fault(p_id text) returns text
language sql
immutable
parallel safe
as $$
  select case
    when length(p_id) <= 1024 and p_id collate "C" ~ '^[!-~]+$' then null
    when p_id is null then 'id_null'
    when length(p_id) = 0 then 'id_empty'
    when length(p_id) > 1024 then 'id_too_long'
    when p_id collate "C" ~ e'[\\x01-\\x1f\\x7f\\u0085\\u2028\\u2029]' then 'id_invalid_chars'
    when p_id collate "C" ~ e'^[\\s\\u00a0\\u3000]|[\\s\\u00a0\\u3000]$' then 'id_whitespace'
  end
$$;

comment on function authz._id_fault(text) is
'The code for what is wrong with an id, null if nothing is: all that an id must be stands here. It
is inlined wherever it stands.';

create or replace function authz._are_names(
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text
) returns boolean
language sql
stable
parallel safe
as $$
  select concat(p_resource_type, '/', p_relation, '/', p_subject_type, '/',
      coalesce(p_subject_relation, 'x')) collate "C"
      ~ '^[a-z][a-z0-9_-]*(/[a-z][a-z0-9_-]*){3}$'
    and concat(p_resource_id, ' ', p_subject_id) collate "C" ~ '^[!-~]+ [!-~]+$'
    and greatest(length(p_resource_type), length(p_resource_id), length(p_relation),
      length(p_subject_type), length(p_subject_id), length(p_subject_relation)) <= 1024
$$;

comment on function authz._are_names(text, text, text, text, text, text) is
'Whether the six names of a tuple or a question are as most are; if not, _check_names looks closer.
It is inlined wherever it stands.';

create or replace function authz._check_names(
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text default null,
  p_relation_field text default 'relation'
) returns void
language plpgsql
immutable
parallel safe
as $$
begin
  if authz._are_names(p_resource_type, p_resource_id, p_relation, p_subject_type, p_subject_id,
    p_subject_relation)
  then
    return;
  end if;

  perform authz._check_name('resource_type', p_resource_type);
  perform authz._check_id('resource_id', p_resource_id);
  perform authz._check_name(p_relation_field, p_relation);
  perform authz._check_name('subject_type', p_subject_type);
  perform authz._check_id('subject_id', p_subject_id);
  if p_subject_relation is not null then
    perform authz._check_name('subject_relation', p_subject_relation);
  end if;
end
$$;

comment on function authz._check_names(text, text, text, text, text, text, text) is
'Raise the error that names what is wrong with the six names of a tuple or a question, if anything
is; all but the subject''s relation must be given. Questions call the relation a permission.';

create or replace function authz._check_name(p_field text, p_name text) returns void
language plpgsql
immutable
parallel safe
as $$
declare
  v_name text collate "C" := p_name;
begin
  if length(v_name) <= 1024 and v_name ~ '^[a-z][a-z0-9_-]*$' then
    return;
  end if;

  perform case
    when v_name is null then
      howdah.fail('authz', 'identifier_null', format('%s is null', p_field), '22004',
        jsonb_build_object('field', p_field))
    when v_name = '' then
      howdah.fail('authz', 'identifier_empty', format('%s is empty', p_field), '22026',
        jsonb_build_object('field', p_field))
    when length(v_name) > 1024 then
      howdah.fail('authz', 'identifier_too_long',
        format('%s has %s characters, at most 1024 are allowed', p_field, length(v_name)), '22001',
        jsonb_build_object('field', p_field, 'limit', 1024, 'actual', length(v_name)))
    else
      howdah.fail('authz', 'identifier_format',
        format('%s %L does not match ^[a-z][a-z0-9_-]*$', p_field, left(v_name, 100)), '22023',
        jsonb_build_object('field', p_field, 'value', left(v_name, 100)),
        'Use lower-case letters, digits, _ and -, beginning with a letter.')
  end;
end
$$;

comment on function authz._check_name(text, text) is
'Raise the error that names what is wrong with a type or relation, if anything is.';

create or replace function authz._check_id(p_field text, p_id text) returns void
language plpgsql
immutable
parallel safe
as $$
declare
  v_fault text := authz._id_fault(p_id);
begin
  if v_fault is null then
    return;
  end if;

  perform case v_fault
    when 'id_null' then
      howdah.fail('authz', v_fault, format('%s is null', p_field), '22004',
        jsonb_build_object('field', p_field))
    when 'id_empty' then
      howdah.fail('authz', v_fault, format('%s is empty', p_field), '22026',
        jsonb_build_object('field', p_field))
    when 'id_too_long' then
      howdah.fail('authz', v_fault,
        format('%s has %s characters, at most 1024 are allowed', p_field, length(p_id)), '22001',
        jsonb_build_object('field', p_field, 'limit', 1024, 'actual', length(p_id)))
    when 'id_invalid_chars' then
      howdah.fail('authz', v_fault,
        format('%s contains control characters', p_field), '22023',
        jsonb_build_object('field', p_field))
    when 'id_whitespace' then
      howdah.fail('authz', v_fault,
        format('%s %L begins or ends with white space', p_field, left(p_id, 100)), '22023',
        jsonb_build_object('field', p_field, 'value', left(p_id, 100)))
  end;
end
$$;

comment on function authz._check_id(text, text) is
'Raise the error that names what is wrong with an id, if anything is.';

create or replace function authz._check_ids(p_field text, p_ids text[], p_most int default 1000)
returns void
language plpgsql
immutable
parallel safe
as $$
declare
  v_at int;
begin
  if p_ids is null then
    perform howdah.fail('authz', 'id_null', format('%s is null', p_field), '22004',
      jsonb_build_object('field', p_field));
  end if;
  if cardinality(p_ids) > p_most then
    perform howdah.fail('authz', 'batch_too_large',
      format('%s has %s elements, at most %s are allowed', p_field, cardinality(p_ids), p_most),
      '22023',
      jsonb_build_object('field', p_field, 'limit', p_most, 'actual', cardinality(p_ids)),
      'Send them in several calls.');
  end if;

  select i.at into v_at
  from unnest(p_ids) with ordinality i (id, at)
  where authz._id_fault(i.id) is not null
  order by i.at
  limit 1;

  if found then
    perform howdah.fail('authz', 'array_element_invalid',
      format('%s[%s] is %s, which is no id', p_field, v_at,
        coalesce(quote_literal(left((p_ids)[v_at], 100)), 'null')),
      '22023',
      jsonb_build_object('field', p_field, 'index', v_at, 'value', left((p_ids)[v_at], 100)),
      'Ids have 1 to 1024 characters, no control characters, and no white space at the ends.');
  end if;
end
$$;

comment on function authz._check_ids(text, text[], int) is
'Refuse an array of ids that is too long or has an element that is no id; names the first one.';

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
'What is wrong with a type or relation within a batch, if anything is.';

create or replace function authz._id_problem(p_field text, p_id text) returns text
language sql
immutable
parallel safe
as $$
  select case
    when authz._id_fault(p_id) is not null
      then p_field || ' must have 1 to 1024 characters, no control characters, and no white space'
        || ' at the ends'
  end
$$;

comment on function authz._id_problem(text, text) is
'What is wrong with an id within a batch, if anything is.';

create or replace function authz._check_limit(p_limit int, p_most int default 1000) returns void
language plpgsql
immutable
parallel safe
as $$
begin
  if p_limit between 1 and p_most then
    return;
  end if;

  if p_limit > p_most then
    perform howdah.fail('authz', 'limit_too_large',
      format('limit is %s, at most %s is allowed', p_limit, p_most), '22023',
      jsonb_build_object('field', 'limit', 'limit', p_most, 'actual', p_limit));
  end if;
  perform howdah.fail('authz', 'not_positive',
    format('limit is %s, it must be positive', coalesce(p_limit::text, 'null')), '22023',
    jsonb_build_object('field', 'limit', 'actual', p_limit));
end
$$;

comment on function authz._check_limit(int, int) is
'Raise the error that names what is wrong with a limit, if anything is.';

create or replace function authz._check_filter(
  p_filter jsonb,
  p_texts text[],
  p_nullable text[] default '{}',
  p_ids text[] default '{}'
) returns void
language plpgsql
immutable
as $$
declare
  v_key text;
begin
  if jsonb_typeof(p_filter) is distinct from 'object' then
    perform howdah.fail('authz', 'predicate_invalid',
      format('filter must be an object, it is %s', coalesce(jsonb_typeof(p_filter), 'null')),
      '22023', jsonb_build_object('field', 'filter'));
  end if;

  select f.key into v_key
  from jsonb_each(p_filter) f
  where case
      when f.key = any (p_ids) then f.value::text ~ '^"?[0-9]{1,18}"?$'
      when f.key = any (p_texts) then jsonb_typeof(f.value) = 'string'
        or (f.value = 'null' and f.key = any (p_nullable))
    end is not true
  order by f.key
  limit 1;
  if found then
    perform howdah.fail('authz', 'predicate_invalid',
      format('filter.%s %s', left(v_key, 100), case
        when v_key = any (p_ids) then 'must be the number of a row'
        when v_key = any (p_nullable) then 'must be a text or null'
        when v_key = any (p_texts) then 'must be a text'
        else 'is not known, it may be ' || array_to_string(p_texts || p_ids, ', ')
      end),
      '22023', jsonb_build_object('field', 'filter.' || left(v_key, 100)));
  end if;
end
$$;

comment on function authz._check_filter(jsonb, text[], text[], text[]) is
'Refuse a filter with a key that is none of texts and ids, or a value that is not of its type; null
is one only where nullable names the key too.';

create or replace function authz._check_size(
  p_namespace text,
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_condition text
) returns void
language plpgsql
immutable
as $$
declare
  v_size int := octet_length(p_namespace) + octet_length(p_resource_type)
    + octet_length(p_resource_id) + octet_length(p_relation) + octet_length(p_subject_type)
    + octet_length(p_subject_id) + 2 * octet_length(coalesce(p_subject_relation, ''))
    + octet_length(coalesce(p_condition, ''));
begin
  if v_size > 2400 then
    perform howdah.fail('authz', 'id_too_long',
      format('the names of the tuple take %s bytes together, at most 2400 are allowed', v_size),
      '22001', jsonb_build_object('field', 'tuple', 'limit', 2400, 'actual', v_size));
  end if;
end
$$;

comment on function authz._check_size(text, text, text, text, text, text, text, text) is
'Refuse a tuple that would not fit into an index; the subject relation counts twice, because it
stands in the index twice.';
