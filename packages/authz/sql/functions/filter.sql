-- Filtering: which of these may the subject see?
--
-- One evaluation for all ids, not one check for each.

create or replace function authz._filter(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_permission text,
  p_resource_type text,
  p_resource_ids text[],
  p_context jsonb default null
) returns table (resource_id text, allowed boolean)
language plpgsql
stable
parallel safe
as $$
declare
  v_program text := authz._program_for(p_namespace, p_resource_type);
begin
  if v_program is null then
    return query
    select f.resource_id, true
    from authz._dynamic_filter(p_namespace, p_subject_type, p_subject_id, p_subject_relation,
      p_permission, p_resource_type, p_resource_ids) f;
  elsif cardinality(p_resource_ids) > 8 then
    return query execute format('select * from authz_rt.%I($1, $2, $3, $4, $5, $6, $7, $8)',
      'm_' || v_program || '_filter')
    using p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_permission,
      p_resource_type, p_resource_ids, p_context;
  else
    return query
    select c.id, c.allowed
    from (
      select i.id, authz_rt.check(v_program, p_namespace, p_subject_type, p_subject_id,
        p_subject_relation, p_permission, p_resource_type, i.id, p_context) as allowed
      from (select distinct u.id from unnest(p_resource_ids) u (id)) i
      offset 0
    ) c
    where c.allowed is not false;
  end if;
end
$$;

comment on function authz._filter(
  text, text, text, text, text, text, text[], jsonb
) is
'Those of the given resources on which a subject has a permission (allowed), or may have (null).';

create or replace function authz.filter_authorized(
  p_subject_type text,
  p_subject_id text,
  p_resource_type text,
  p_permission text,
  p_resource_ids text[],
  p_namespace text default 'default'
) returns text[]
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
  v_resource_ids text[] collate "C";
  v_allowed text[] collate "C";
  v_unknown text collate "C";
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_names(v_resource_type, 'any', v_permission, v_subject_type, v_subject_id,
    p_relation_field => 'permission');
  perform authz._check_ids('resource_ids', p_resource_ids);
  v_resource_ids := array(select distinct authz._nfc(i) collate "C" from unnest(p_resource_ids) i);

  select array_agg(f.resource_id) filter (where f.allowed),
    min(f.resource_id collate "C") filter (where f.allowed is null)
  into v_allowed, v_unknown
  from authz._filter(v_namespace, v_subject_type, v_subject_id, null, v_permission,
    v_resource_type, v_resource_ids) f;
  if v_unknown is not null then
    perform authz._raise_unknown(v_namespace, v_subject_type, v_subject_id, null, v_permission,
      v_resource_type, v_unknown, null);
  end if;

  return array(
    select min(i collate "C")
    from unnest(p_resource_ids) i
    where authz._nfc(i) collate "C" in (select a from unnest(v_allowed) a)
    group by authz._nfc(i) collate "C"
    order by authz._nfc(i) collate "C"
  );
end
$$;

comment on function authz.filter_authorized(text, text, text, text, text[], text) is
'Those of several resources on which a subject has a permission.

p_subject_type   type of the subject
p_subject_id     its id
p_resource_type  type of the resources
p_permission     the permission
p_resource_ids   ids of the resources, at most 1,000
p_namespace      the tenant
Returns          the ids that check() would allow, as they were given, each once, in byte order
Errors           those of check, and array_element_invalid, batch_too_large (22023)
Example          select authz.filter_authorized(''user'', ''ann'', ''doc'', ''read'', ''{a,b}'');';
