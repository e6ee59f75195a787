-- Permissions on one resource: what a subject may do there, for a page that shows or hides buttons.

create or replace function authz.permissions_on(
  p_subject_type text,
  p_subject_id text,
  p_resource_type text,
  p_resource_id text,
  p_namespace text default 'default',
  p_context jsonb default null
) returns setof text
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
  v_subject_type text collate "C" := p_subject_type;
  v_subject_id text collate "C" := authz._nfc(p_subject_id);
  v_resource_type text collate "C" := p_resource_type;
  v_resource_id text collate "C" := authz._nfc(p_resource_id);
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_names(v_resource_type, v_resource_id, 'any', v_subject_type, v_subject_id);
  perform authz._check_context('context', p_context);

  if authz._is_modelled(v_namespace, v_resource_type) then
    return query
    select r.name
    from authz._relations(v_namespace, v_resource_type) r (name)
    where authz_rt.check(authz._active_program(v_namespace), v_namespace, v_subject_type,
      v_subject_id, null, r.name, v_resource_type, v_resource_id, p_context)
    order by r.name collate "C";
    return;
  end if;
  if v_resource_type not in ('rbac_role', 'rbac_permission') then
    perform authz._answers_by_model(v_namespace, v_resource_type, 'any');
  end if;

  return query
  with recursive held(permission) as (
    select r
    from unnest(authz._dynamic_relations(v_namespace, v_subject_type, v_subject_id, null,
      v_resource_type, v_resource_id)) r
    union
    select h.implies
    from held
    join authz.permission_hierarchy h on h.namespace in (v_namespace, 'global')
      and h.resource_type = v_resource_type
      and h.permission = held.permission
  )
  select held.permission
  from held
  order by held.permission collate "C";
end
$$;

comment on function authz.permissions_on(text, text, text, text, text, jsonb) is
'All that a subject may do on a resource: every relation of the model that check allows, or every
permission that is granted or implied.

p_subject_type   what kind of thing the subject is
p_subject_id     which one
p_resource_type  what kind of thing the resource is
p_resource_id    which one
p_namespace      the tenant
p_context        parameters of conditions; what a condition cannot decide is left out
Returns          the relations or permissions, in order
Errors           authz.identifier_null, id_null (22004), identifier_empty, id_empty (22026),
                 identifier_too_long, id_too_long (22001), identifier_format, id_invalid_chars,
                 id_whitespace, type_unknown, condition_invalid (22023), tenant_mismatch (42501)
Example          select authz.permissions_on(''user'', ''ann'', ''repo'', ''api'', ''acme'');';

create or replace function authz._relations(p_namespace text, p_resource_type text)
returns setof text
language plpgsql
stable
as $$
declare
  v_active authz.active_models := authz._active_model(p_namespace);
begin
  return query
  select r.name
  from authz.models m
  cross join lateral jsonb_array_elements(m.model -> 'type_definitions') t
  cross join lateral jsonb_object_keys(t -> 'relations') r (name)
  where m.namespace = v_active.namespace
    and m.id = v_active.model_id
    and t ->> 'type' = p_resource_type;
end
$$;

comment on function authz._relations(text, text) is
'The relations that the active model defines on a type.';
