-- Transferring: one grant leaves a subject and comes to another in one step.
--
-- Both rows are locked first, in the order of their subjects, so that of two transfers of one grant
-- one wins and the other finds nothing, and two in opposite directions do not wait for each other.
-- The source is locked again as it is read: it may have come while the first lock was waited for.

create or replace function authz.transfer_tuple(
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_from_subject_type text,
  p_from_subject_id text,
  p_to_subject_type text,
  p_to_subject_id text,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_resource_id text collate "C" := p_resource_id;
  v_relation text collate "C" := p_relation;
  v_from_type text collate "C" := p_from_subject_type;
  v_from_id text collate "C" := p_from_subject_id;
  v_to_type text collate "C" := p_to_subject_type;
  v_to_id text collate "C" := p_to_subject_id;
  v_is_edge boolean;
  v_source authz.tuples;
  v_id bigint;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_global(v_namespace);
  perform authz._check_name('resource_type', v_resource_type);
  perform authz._check_id('resource_id', v_resource_id);
  perform authz._check_name('relation', v_relation);
  perform authz._check_name('from_subject_type', v_from_type);
  perform authz._check_id('from_subject_id', v_from_id);
  perform authz._check_name('to_subject_type', v_to_type);
  perform authz._check_id('to_subject_id', v_to_id);
  v_resource_id := authz._nfc(v_resource_id);
  v_from_id := authz._nfc(v_from_id);
  v_to_id := authz._nfc(v_to_id);
  perform authz._check_size(v_namespace, v_resource_type, v_resource_id, v_relation, v_to_type,
    v_to_id, null, null);
  v_is_edge := authz._lock_edges(v_namespace, v_resource_type, v_relation, v_to_type);

  perform
  from authz.tuples t
  where t.namespace = v_namespace
    and t.resource_type = v_resource_type
    and t.resource_id = v_resource_id
    and t.relation = v_relation
    and (t.subject_type, t.subject_id) in ((v_from_type, v_from_id), (v_to_type, v_to_id))
    and t.subject_relation is null
  order by t.subject_type, t.subject_id
  for update;

  select t.* into v_source
  from authz.tuples t
  where t.namespace = v_namespace
    and t.resource_type = v_resource_type
    and t.resource_id = v_resource_id
    and t.relation = v_relation
    and t.subject_type = v_from_type
    and t.subject_id = v_from_id
    and coalesce(t.subject_relation, '') = ''
    and (t.expires_at is null or t.expires_at > howdah.now())
  for update;
  if not found then
    return false;
  end if;
  if (v_from_type, v_from_id) = (v_to_type, v_to_id) then
    return true;
  end if;

  perform authz._check_size(v_namespace, v_resource_type, v_resource_id, v_relation, v_to_type,
    v_to_id, null, v_source.condition_name);
  perform authz._refuse_invalid(v_namespace, v_resource_type, v_relation, v_to_type, v_to_id, null,
    v_source.condition_name);

  delete from authz.tuples t
  where t.namespace = v_namespace
    and t.id = v_source.id;

  insert into authz.tuples as t (namespace, resource_type, resource_id, relation, subject_type,
    subject_id, expires_at, condition_name, condition_context)
  values (v_namespace, v_resource_type, coalesce(v_source.resource_id_raw, v_resource_id),
    v_relation, v_to_type, p_to_subject_id, v_source.expires_at, v_source.condition_name,
    v_source.condition_context)
  on conflict (namespace, resource_type, resource_id, relation, subject_type, subject_id,
    (coalesce(subject_relation, ''))) do update
  set expires_at = excluded.expires_at,
    condition_name = excluded.condition_name,
    condition_context = excluded.condition_context
  where coalesce(t.expires_at, 'infinity') < coalesce(excluded.expires_at, 'infinity')
    or (
      t.condition_name is not null
      and (t.condition_name, t.condition_context)
        is distinct from (excluded.condition_name, excluded.condition_context)
    )
  returning t.id into v_id;

  if v_is_edge and v_id is not null then
    perform authz._check_cycles(v_namespace, array[v_id]);
  end if;
  return true;
end
$$;

comment on function authz.transfer_tuple(text, text, text, text, text, text, text, text) is
'Take a live grant from one subject and give it to another, with its expiry and condition.

If the other one has the grant already, for at least as long and under no other condition, it keeps
that; otherwise it gets what the first one had. To the same subject, nothing changes. Grants through
a relation to a subject are not transferred.
p_resource_type      the type of the resource
p_resource_id        the resource
p_relation           what was granted
p_from_subject_type  the type of the subject that has it
p_from_subject_id    the subject that has it
p_to_subject_type    the type of the subject that gets it
p_to_subject_id      the subject that gets it
p_namespace          the tenant; only administrators write to global
Returns              true if the first subject had the grant; false if it did not, or if the grant
                     has expired, or if another transfer was faster
Errors               those of write_tuple
Example              select authz.transfer_tuple(
                       ''doc'', ''1'', ''owner'', ''user'', ''ann'', ''user'', ''bob'');';
