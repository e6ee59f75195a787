-- Listing: what may the subject see, and who may see the resource?
--
-- Lists begin at the side that is known and walk to the other one, in one statement whose work is
-- about as much as its result. Pages go by the id in NFC, in byte order; where the subject may see
-- a good part of what there is, a page of resources asks about them in that order instead, which
-- costs no more for the last page than for the first. Ids come back as they were written: only
-- those that are not ASCII can have been written differently.
--
-- What a list cannot decide for lack of context raises as check() would, if it lies on the page.

create or replace function authz._resource_as_written(
  p_namespace text,
  p_resource_type text,
  p_resource_id text
) returns text
language plpgsql
stable
parallel safe
as $$
begin
  return coalesce((
    select t.resource_id_raw
    from authz.tuples t
    where t.namespace = p_namespace
      and t.resource_type = p_resource_type
      and t.resource_id = p_resource_id
      and t.resource_id_raw is not null
    order by t.resource_id_raw
    limit 1
  ), p_resource_id);
end
$$;

comment on function authz._resource_as_written(text, text, text) is
'The id of a resource as a caller wrote it.';

create or replace function authz._subject_as_written(
  p_namespace text,
  p_subject_type text,
  p_subject_id text
) returns text
language plpgsql
stable
parallel safe
as $$
begin
  return coalesce((
    select t.subject_id_raw
    from authz.tuples t
    where t.namespace = p_namespace
      and t.subject_type = p_subject_type
      and t.subject_id = p_subject_id
      and t.subject_id_raw is not null
    order by t.subject_id_raw
    limit 1
  ), p_subject_id);
end
$$;

comment on function authz._subject_as_written(text, text, text) is
'The id of a subject as a caller wrote it.';

create or replace function authz._raise_unknown_id(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_permission text,
  p_resource_type text,
  p_resource_id text,
  p_context jsonb,
  p_contextual authz.tuple[]
) returns text
language plpgsql
stable
parallel safe
as $$
begin
  perform authz._raise_unknown(p_namespace, p_subject_type, p_subject_id, p_subject_relation,
    p_permission, p_resource_type, p_resource_id, p_context, p_contextual);
  return null;
end
$$;

comment on function authz._raise_unknown_id(
  text, text, text, text, text, text, text, jsonb, authz.tuple[]
) is
'Raise why a list cannot decide about an id, in the place of that id.';

create or replace function authz._objects(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_permission text,
  p_resource_type text,
  p_context jsonb default null,
  p_contextual authz.tuple[] default null
) returns table (resource_id text, allowed boolean)
language plpgsql
stable
parallel safe
rows 500
as $$
declare
  v_program text := authz._program_for(p_namespace, p_resource_type);
begin
  if v_program is null then
    return query
    select r.id, true
    from authz._reach(p_namespace, p_subject_type,
      case when p_subject_relation is null then p_subject_id else '' end,
      authz._implied_by(p_namespace, p_resource_type, p_permission), p_resource_type, null,
      authz._asked(p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_contextual)) r
    where r.type = p_resource_type;
  elsif p_contextual is null then
    return query execute format('select * from authz_rt.%I($1, $2, $3, $4, $5, $6, $7)',
      'm_' || v_program || '_objects')
    using p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_permission,
      p_resource_type, p_context;
  else
    return query execute format('select * from authz_rt.%I($1, $2, $3, $4, $5, $6, $7, $8)',
      'm_' || v_program || '_objects_x')
    using p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_permission,
      p_resource_type, p_context, p_contextual;
  end if;
end
$$;

comment on function authz._objects(
  text, text, text, text, text, text, jsonb, authz.tuple[]
) is
'The resources on which a subject has a permission, by the rule that decides about their type.';

create or replace function authz._subjects(
  p_namespace text,
  p_resource_type text,
  p_resource_id text,
  p_permission text,
  p_subject_type text,
  p_subject_relation text,
  p_context jsonb default null,
  p_contextual authz.tuple[] default null
) returns table (subject_type text, subject_id text, allowed boolean)
language plpgsql
stable
parallel safe
rows 500
as $$
declare
  v_program text := authz._program_for(p_namespace, p_resource_type);
  v_type text collate "C";
begin
  if v_program is null then
    return query
    select s.subject_type, s.subject_id, true
    from authz._dynamic_subjects(p_namespace, p_resource_type, p_resource_id, p_permission,
      p_subject_type, p_subject_relation, p_contextual) s;
    return;
  end if;

  if p_subject_type is null then
    perform authz._answers_by_model(p_namespace, p_resource_type, p_permission);
  end if;
  for v_type in
    select distinct t
    from unnest(case
      when p_subject_type is null then authz._types(p_namespace, 'subject', p_contextual)
      else array[p_subject_type]
    end) t
  loop
    if p_contextual is null then
      return query execute format(
        'select $5, s.subject_id, s.allowed from authz_rt.%I($1, $2, $3, $4, $5, $6, $7) s',
        'm_' || v_program || '_subjects')
      using p_namespace, p_resource_type, p_resource_id, p_permission, v_type, p_subject_relation,
        p_context;
    else
      return query execute format(
        'select $5, s.subject_id, s.allowed from authz_rt.%I($1, $2, $3, $4, $5, $6, $7, $8) s',
        'm_' || v_program || '_subjects_x')
      using p_namespace, p_resource_type, p_resource_id, p_permission, v_type, p_subject_relation,
        p_context, p_contextual;
    end if;
  end loop;
end
$$;

comment on function authz._subjects(
  text, text, text, text, text, text, jsonb, authz.tuple[]
) is
'The subjects that have a permission on a resource, by the rule that decides about its type.';

create or replace function authz._resources_after(
  p_namespace text,
  p_resource_type text,
  p_after text,
  p_limit int
) returns text[]
language plpgsql
stable
parallel safe
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_after text collate "C" := coalesce(p_after, '');
begin
  return array(
    with recursive next (id) as (
      select (
        select t.resource_id
        from authz.tuples t
        where t.namespace = v_namespace
          and t.resource_type = v_resource_type
          and t.resource_id > v_after
        order by t.resource_id
        limit 1
      )
      union all
      select (
        select t.resource_id
        from authz.tuples t
        where t.namespace = v_namespace
          and t.resource_type = v_resource_type
          and t.resource_id > n.id
        order by t.resource_id
        limit 1
      )
      from next n
      where n.id is not null
    )
    select n.id
    from next n
    where n.id is not null
    limit p_limit
  );
end
$$;

comment on function authz._resources_after(text, text, text, int) is
'The next resources of a type that any tuple names, in byte order, by one probe for each.';

create or replace function authz._resources_page(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_permission text,
  p_resource_type text,
  p_limit int,
  p_cursor text
) returns table (resource_id text, allowed boolean)
language plpgsql
stable
parallel safe
as $$
declare
  v_asked text[] collate "C";
  v_after text collate "C" := coalesce(p_cursor, '');
  v_size int := 3;
  v_left int := p_limit;
  v_found int;
begin
  loop
    v_asked := authz._resources_after(p_namespace, p_resource_type, v_after, v_size);
    return query
    select f.resource_id, f.allowed
    from authz._filter(p_namespace, p_subject_type, p_subject_id, null, p_permission,
      p_resource_type, v_asked) f
    order by f.resource_id collate "C";
    get diagnostics v_found = row_count;
    v_left := v_left - v_found;
    exit when v_left <= 0 or cardinality(v_asked) < v_size;

    v_after := v_asked[v_size];
    if v_found * 5 < v_size then
      return query
      select o.resource_id, o.allowed
      from authz._objects(p_namespace, p_subject_type, p_subject_id, null, p_permission,
        p_resource_type) o
      where o.resource_id collate "C" > v_after
      order by o.resource_id collate "C"
      limit v_left;
      exit;
    end if;
    v_size := least(2 * v_left, 1000);
  end loop;
end
$$;

comment on function authz._resources_page(text, text, text, text, text, int, text) is
'At least one page of the resources on which a subject has a permission, in byte order: asks about
some in a row, goes on so while a fifth of them is found, and else lists what is left.';

create or replace function authz.list_resources(
  p_subject_type text,
  p_subject_id text,
  p_resource_type text,
  p_permission text,
  p_namespace text default 'default',
  p_limit int default 100,
  p_cursor text default null
) returns table (resource_id text)
language plpgsql
stable
parallel safe
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_subject_type text collate "C" := p_subject_type;
  v_subject_id text collate "C" := authz._nfc(p_subject_id);
  v_permission text collate "C" := p_permission;
  v_resource_type text collate "C" := p_resource_type;
  v_cursor text collate "C" := authz._nfc(p_cursor);
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_names(v_resource_type, 'any', v_permission, v_subject_type, v_subject_id,
    p_relation_field => 'permission');
  perform authz._check_limit(p_limit);

  return query
  select case
    when o.allowed is null
      then authz._raise_unknown_id(v_namespace, v_subject_type, v_subject_id, null, v_permission,
        v_resource_type, o.id, null, null)
    when octet_length(o.id) = length(o.id) then o.id
    else authz._resource_as_written(v_namespace, v_resource_type, o.id)
  end
  from (
    select p.resource_id collate "C" as id, p.allowed
    from authz._resources_page(v_namespace, v_subject_type, v_subject_id, v_permission,
      v_resource_type, p_limit, v_cursor) p
    order by 1
    limit p_limit
  ) o;
end
$$;

comment on function authz.list_resources(text, text, text, text, text, int, text) is
'One page of the resources on which a subject has a permission.

p_subject_type   type of the subject
p_subject_id     its id
p_resource_type  type of the resources
p_permission     the permission
p_namespace      the tenant
p_limit          length of the page, 1 to 1,000
p_cursor         the last resource_id of the page before; null for the first
Returns          resource_id, in byte order
Errors           those of check, and limit_too_large, not_positive (22023)
Example          select * from authz.list_resources(''user'', ''ann'', ''doc'', ''read'');';

create or replace function authz.list_objects(
  p_subject_type text,
  p_subject_id text,
  p_resource_type text,
  p_permission text,
  p_namespace text default 'default',
  p_subject_relation text default null,
  p_context jsonb default null,
  p_contextual_tuples jsonb default null
) returns table (resource_id text)
language plpgsql
stable
parallel safe
security definer
rows 500
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_subject_type text collate "C" := p_subject_type;
  v_subject_id text collate "C" := authz._nfc(p_subject_id);
  v_subject_relation text collate "C" := p_subject_relation;
  v_permission text collate "C" := p_permission;
  v_resource_type text collate "C" := p_resource_type;
  v_contextual authz.tuple[];
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_names(v_resource_type, 'any', v_permission, v_subject_type, v_subject_id,
    v_subject_relation, p_relation_field => 'permission');
  perform authz._check_context('context', p_context);
  v_contextual := authz._contextual(v_namespace,
    authz._active_program(v_namespace), p_contextual_tuples);

  return query
  select case
    when o.allowed is null
      then authz._raise_unknown_id(v_namespace, v_subject_type, v_subject_id,
        v_subject_relation, v_permission, v_resource_type, o.resource_id, p_context, v_contextual)
    when octet_length(o.resource_id) = length(o.resource_id) then o.resource_id
    else authz._resource_as_written(v_namespace, v_resource_type, o.resource_id)
  end
  from authz._objects(v_namespace, v_subject_type, v_subject_id, v_subject_relation, v_permission,
    v_resource_type, p_context, v_contextual) o;
end
$$;

comment on function authz.list_objects(text, text, text, text, text, text, jsonb, jsonb) is
'All resources on which a subject has a permission, in no order, for joins and policies.

p_subject_type       type of the subject
p_subject_id         its id
p_resource_type      type of the resources
p_permission         the permission
p_namespace          the tenant
p_subject_relation   asks about a userset instead, as check does
p_context            values for conditions, as in check
p_contextual_tuples  tuples that count for this call only, as in check
Returns              resource_id of each, once
Errors               those of check
Example              select * from authz.list_objects(''user'', ''ann'', ''doc'', ''read'');';

create or replace function authz.list_subjects(
  p_resource_type text,
  p_resource_id text,
  p_permission text,
  p_namespace text default 'default',
  p_limit int default 100,
  p_subject_type text default null,
  p_cursor_type text default null,
  p_cursor_id text default null,
  p_subject_relation text default null,
  p_context jsonb default null,
  p_contextual_tuples jsonb default null
) returns table (subject_type text, subject_id text)
language plpgsql
stable
parallel safe
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_resource_id text collate "C" := authz._nfc(p_resource_id);
  v_permission text collate "C" := p_permission;
  v_subject_type text collate "C" := p_subject_type;
  v_subject_relation text collate "C" := p_subject_relation;
  v_cursor_type text collate "C" := coalesce(p_cursor_type, p_subject_type, '');
  v_cursor_id text collate "C" := coalesce(authz._nfc(p_cursor_id), '');
  v_contextual authz.tuple[];
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_names(v_resource_type, v_resource_id, v_permission,
    coalesce(v_subject_type, 'any'), 'any', v_subject_relation, p_relation_field => 'permission');
  perform authz._check_limit(p_limit);
  if p_cursor_id is not null and v_cursor_type = '' then
    perform howdah.fail('authz', 'identifier_null', 'cursor_type is null, but cursor_id is given',
      '22004', jsonb_build_object('field', 'cursor_type'),
      'Give the type and the id of the last subject of the page before.');
  end if;
  perform authz._check_context('context', p_context);
  v_contextual := authz._contextual(v_namespace,
    authz._active_program(v_namespace), p_contextual_tuples);

  return query
  select s.type, case
    when s.allowed is null
      then authz._raise_unknown_id(v_namespace, s.type, s.id, v_subject_relation, v_permission,
        v_resource_type, v_resource_id, p_context, v_contextual)
    when octet_length(s.id) = length(s.id) then s.id
    else authz._subject_as_written(v_namespace, s.type, s.id)
  end
  from (
    select s.subject_type collate "C" as type, s.subject_id collate "C" as id, s.allowed
    from authz._subjects(v_namespace, v_resource_type, v_resource_id, v_permission, v_subject_type,
      v_subject_relation, p_context, v_contextual) s
    where (s.subject_type collate "C", s.subject_id collate "C") > (v_cursor_type, v_cursor_id)
    order by 1, 2
    limit p_limit
  ) s;
end
$$;

comment on function authz.list_subjects(
  text, text, text, text, int, text, text, text, text, jsonb, jsonb
) is
'One page of the subjects that have a permission on a resource.

For dynamic types these are the subjects without members: users, not their teams.
p_resource_type      type of the resource
p_resource_id        its id
p_permission         the permission
p_namespace          the tenant
p_limit              length of the page, 1 to 1,000
p_subject_type       only subjects of this type; null for all
p_cursor_type        the last subject_type of the page before; by default p_subject_type
p_cursor_id          its subject_id; null for the first page
p_subject_relation   lists the usersets of this relation that have the permission, not the subjects
p_context            values for conditions, as in check
p_contextual_tuples  tuples that count for this call only, as in check
Returns              subject_type and subject_id, in the byte order of both; of models also *, which
                     stands for all subjects of its type
Errors               those of check, and limit_too_large, not_positive (22023)
Example              select * from authz.list_subjects(''doc'', ''plan'', ''read'', ''acme'');';

create or replace function authz.count_subjects(
  p_resource_type text,
  p_resource_id text,
  p_permission text,
  p_namespace text default 'default',
  p_subject_type text default null
) returns bigint
language plpgsql
stable
parallel safe
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_resource_id text collate "C" := authz._nfc(p_resource_id);
  v_permission text collate "C" := p_permission;
  v_subject_type text collate "C" := p_subject_type;
  v_count bigint;
  v_unknown text[] collate "C";
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_names(v_resource_type, v_resource_id, v_permission,
    coalesce(v_subject_type, 'any'), 'any', p_relation_field => 'permission');

  select count(*), min(array[s.subject_type, s.subject_id]) filter (where s.allowed is null)
  into v_count, v_unknown
  from authz._subjects(v_namespace, v_resource_type, v_resource_id, v_permission, v_subject_type,
    null) s;
  if v_unknown is not null then
    perform authz._raise_unknown(v_namespace, v_unknown[1], v_unknown[2], null, v_permission,
      v_resource_type, v_resource_id, null);
  end if;
  return v_count;
end
$$;

comment on function authz.count_subjects(text, text, text, text, text) is
'How many subjects list_subjects would list on all its pages.

p_resource_type  type of the resource
p_resource_id    its id
p_permission     the permission
p_namespace      the tenant
p_subject_type   only subjects of this type; null for all
Returns          their number; a * counts as one
Errors           those of check
Example          select authz.count_subjects(''document'', ''plan'', ''read'', ''acme'');';
