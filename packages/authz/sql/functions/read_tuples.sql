-- Reading tuples: what is stored, page by page, in the order in which it was first written.
--
-- A filter names some of the columns, so each call is planned for those that it names.

create or replace function authz.read_tuples(
  p_filter jsonb default '{}',
  p_namespace text default 'default',
  p_limit int default 100,
  p_cursor text default null,
  p_include_expired boolean default false
) returns setof authz.tuples
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_filter ->> 'resource_type';
  v_resource_id text collate "C" := authz._nfc(p_filter ->> 'resource_id');
  v_relation text collate "C" := p_filter ->> 'relation';
  v_subject_type text collate "C" := p_filter ->> 'subject_type';
  v_subject_id text collate "C" := authz._nfc(p_filter ->> 'subject_id');
  v_subject_relation text collate "C" := p_filter ->> 'subject_relation';
  v_condition text collate "C" := p_filter ->> 'condition';
  v_is_plain boolean := p_filter -> 'subject_relation' = 'null';
  v_is_unconditional boolean := p_filter -> 'condition' = 'null';
  v_after bigint := 0;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_filter(coalesce(nullif(p_filter, 'null'), '{}'),
    '{resource_type,resource_id,relation,subject_type,subject_id,subject_relation,condition}',
    p_nullable => '{subject_relation,condition}');
  perform authz._check_limit(p_limit);
  if p_cursor !~ '^[0-9]{1,18}$' then
    perform howdah.fail('authz', 'identifier_format',
      format('cursor %L is not the id of a tuple', left(p_cursor, 100)), '22023',
      jsonb_build_object('field', 'cursor', 'value', left(p_cursor, 100)),
      'Pass the id of the last tuple that was read.');
  elsif p_cursor is not null then
    v_after := p_cursor::bigint;
  end if;

  return query
  select t.id, t.namespace, t.resource_type, t.resource_id, t.relation, t.subject_type,
    t.subject_id, t.subject_relation, t.created_at, t.expires_at, t.condition_name,
    t.condition_context, t.resource_id_raw, t.subject_id_raw
  from authz.tuples t
  where t.namespace = v_namespace
    and t.id > v_after
    and (v_resource_type is null or t.resource_type = v_resource_type)
    and (v_resource_id is null or t.resource_id = v_resource_id)
    and (v_relation is null or t.relation = v_relation)
    and (v_subject_type is null or t.subject_type = v_subject_type)
    and (v_subject_id is null or t.subject_id = v_subject_id)
    and (v_subject_relation is null or t.subject_relation = v_subject_relation)
    and (v_is_plain is not true or t.subject_relation is null)
    and (v_condition is null or t.condition_name = v_condition)
    and (v_is_unconditional is not true or t.condition_name is null)
    and (p_include_expired or t.expires_at is null or t.expires_at > howdah.now())
  order by t.id
  limit p_limit;
end
$$;

comment on function authz.read_tuples(jsonb, text, int, text, boolean) is
'The stored tuples of a namespace, as they were written: to export them, or to show who was granted
what.

p_filter           an object with any of resource_type, resource_id, relation, subject_type,
                   subject_id, subject_relation and condition; null as the value of the last two
                   means tuples without one
p_namespace        the tenant
p_limit            how many at most, 1 to 1,000
p_cursor           the id of the last tuple of the page before; null for the first page
p_include_expired  true also returns tuples that have expired
Returns            rows of authz.tuples, in the order of their ids
Errors             authz.predicate_invalid, identifier_format, limit_too_large, not_positive
                   (22023), tenant_mismatch (42501)
Example            select * from authz.read_tuples(''{"subject_id": "ann"}'', ''acme'');';
