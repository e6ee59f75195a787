-- Granting in bulk: one relation to up to 1,000 subjects, or on up to 1,000 resources, in one
-- statement.
--
-- Rows are written in the order of their ids, so that two calls at once cannot wait for each other
-- in a circle. Edges between groups and between resources are refused, because each would need a
-- walk of its own.

create or replace function authz.write_tuples_bulk(
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_subject_type text,
  p_subject_ids text[],
  p_namespace text default 'default'
) returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  v_resource_id text collate "C" := p_resource_id;
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_id('resource_id', v_resource_id);
  perform authz._check_ids('subject_ids', p_subject_ids);
  return authz._write_bulk(p_namespace, p_resource_type, array[v_resource_id], p_relation,
    p_subject_type, p_subject_ids, null);
end
$$;

comment on function authz.write_tuples_bulk(text, text, text, text, text[], text) is
'Grant a relation on a resource to many subjects, for ever and without a condition. All are granted
or none.

p_resource_type  what kind of thing the resource is, such as document
p_resource_id    which one, 1 to 1,024 characters
p_relation       what is granted, such as editor
p_subject_type   what kind of thing the subjects are, such as user
p_subject_ids    which ones, at most 1,000; one that is named twice counts once
p_namespace      the tenant; only administrators write to global
Returns          how many tuples were created; those that were there lose their expiry and condition
Errors           those of write_tuple, and authz.array_element_invalid, batch_too_large (22023),
                 bulk_group_membership, bulk_parent_relation (0A000)
Example          select authz.write_tuples_bulk(
                   ''doc'', ''1'', ''read'', ''user'', ''{ann,bob}'', ''acme'');';

create or replace function authz.grant_to_resources_bulk(
  p_resource_type text,
  p_resource_ids text[],
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text default null,
  p_namespace text default 'default'
) returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  v_subject_id text collate "C" := p_subject_id;
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_ids('resource_ids', p_resource_ids);
  perform authz._check_id('subject_id', v_subject_id);
  return authz._write_bulk(p_namespace, p_resource_type, p_resource_ids, p_relation,
    p_subject_type, array[v_subject_id], p_subject_relation);
end
$$;

comment on function authz.grant_to_resources_bulk(text, text[], text, text, text, text, text) is
'Grant a subject a relation on many resources, for ever and without a condition. All are granted or
none.

p_resource_type     what kind of things the resources are, such as document
p_resource_ids      which ones, at most 1,000; one that is named twice counts once
p_relation          what is granted, such as editor
p_subject_type      what kind of thing the subject is, such as user
p_subject_id        which one, 1 to 1,024 characters
p_subject_relation  grant it to all who have this relation to the subject, such as member
p_namespace         the tenant; only administrators write to global
Returns             how many tuples were created; those that were there lose their expiry and
                    condition
Errors              those of write_tuple, and authz.array_element_invalid, batch_too_large (22023),
                    bulk_group_membership, bulk_parent_relation (0A000)
Example             select authz.grant_to_resources_bulk(
                      ''doc'', ''{1,2}'', ''read'', ''user'', ''ann'');';

create or replace function authz._write_bulk(
  p_namespace text,
  p_resource_type text,
  p_resource_ids text[],
  p_relation text,
  p_subject_type text,
  p_subject_ids text[],
  p_subject_relation text
) returns int
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_relation text collate "C" := p_relation;
  v_subject_type text collate "C" := p_subject_type;
  v_subject_relation text collate "C" := p_subject_relation;
  v_pair record;
  v_count int;
begin
  perform authz._check_global(v_namespace);
  perform authz._check_names(v_resource_type, 'x', v_relation, v_subject_type, 'x',
    v_subject_relation);
  if v_relation = 'member' and v_subject_type <> 'user'
    and not authz._is_modelled(v_namespace, v_resource_type)
  then
    perform howdah.fail('authz', 'bulk_group_membership',
      format('%s may be a group, and members in bulk must be users', v_subject_type), '0A000',
      jsonb_build_object('subject_type', v_subject_type), 'Write each with write_tuple.');
  end if;
  if v_relation = 'parent' and not authz._is_modelled(v_namespace, v_resource_type) then
    perform howdah.fail('authz', 'bulk_parent_relation',
      'the relation parent cannot be written in bulk', '0A000', null,
      'Write each with write_tuple.');
  end if;

  for v_pair in
    select distinct on (s.id = '*') r.id as resource_id, s.id as subject_id
    from unnest(p_resource_ids) r(id), unnest(p_subject_ids) s(id)
    order by s.id = '*', octet_length(authz._nfc(r.id)) + octet_length(authz._nfc(s.id)) desc
  loop
    perform authz._check_size(v_namespace, v_resource_type, authz._nfc(v_pair.resource_id),
      v_relation, v_subject_type, authz._nfc(v_pair.subject_id), v_subject_relation, null);
    perform authz._refuse_invalid(v_namespace, v_resource_type, v_relation, v_subject_type,
      v_pair.subject_id, v_subject_relation, null);
  end loop;

  with written as (
    insert into authz.tuples as t (namespace, resource_type, resource_id, relation, subject_type,
      subject_id, subject_relation)
    select v_namespace, v_resource_type, p.resource_id, v_relation, v_subject_type, p.subject_id,
      v_subject_relation
    from (
      select distinct on (authz._nfc(r.id) collate "C", authz._nfc(s.id) collate "C")
        r.id as resource_id, s.id as subject_id
      from unnest(p_resource_ids) with ordinality r(id, at),
        unnest(p_subject_ids) with ordinality s(id, at)
      order by authz._nfc(r.id) collate "C", authz._nfc(s.id) collate "C", r.at, s.at
    ) p
    on conflict (namespace, resource_type, resource_id, relation, subject_type, subject_id,
      (coalesce(subject_relation, ''))) do update
    set expires_at = null, condition_name = null, condition_context = null
    where t.expires_at is not null or t.condition_name is not null
    returning t.xmax = 0 as is_new
  )
  select count(*) filter (where w.is_new) into v_count
  from written w;
  return v_count;
end
$$;

comment on function authz._write_bulk(text, text, text[], text, text, text[], text) is
'Write every pair of a resource and a subject; one of the two arrays has one element.';
