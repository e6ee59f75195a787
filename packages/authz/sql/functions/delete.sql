-- Deleting: taking back one grant, or all that a subject has, or all on a resource.

create or replace function authz.delete_tuple(
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text default null,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
begin
  perform howdah.guard('authz', p_namespace);
  return authz._delete(p_resource_type, p_resource_id, p_relation, p_subject_type, p_subject_id,
    p_subject_relation, p_namespace);
end
$$;

comment on function authz.delete_tuple(text, text, text, text, text, text, text) is
'Take back what write_tuple granted.

p_resource_type     the type of the resource
p_resource_id       the resource
p_relation          what was granted
p_subject_type      the type of the subject
p_subject_id        the subject
p_subject_relation  the relation to the subject, if it was granted to all who have that
p_namespace         the tenant; only administrators write to global
Returns             true if the tuple was there, even if it had expired
Errors              authz.identifier_null, id_null (22004), identifier_empty, id_empty (22026),
                    identifier_too_long, id_too_long (22001), identifier_format, id_invalid_chars,
                    id_whitespace (22023), global_write_denied, tenant_mismatch (42501)
Example             select authz.delete_tuple(
                      ''doc'', ''1'', ''read'', ''team'', ''eng'', ''member'', ''acme'');';

create or replace function authz.delete(
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
begin
  perform howdah.guard('authz', p_namespace);
  return authz._delete(p_resource_type, p_resource_id, p_relation, p_subject_type, p_subject_id,
    null, p_namespace);
end
$$;

comment on function authz.delete(text, text, text, text, text, text) is
'Take back what write granted. What was granted through a relation to the subject stays.

p_resource_type  the type of the resource
p_resource_id    the resource
p_relation       what was granted
p_subject_type   the type of the subject
p_subject_id     the subject
p_namespace      the tenant; only administrators write to global
Returns          true if the tuple was there, even if it had expired
Errors           those of delete_tuple
Example          select authz.delete(
                   ''document'', ''1'', ''editor'', ''user'', ''ann'', ''acme'');';

create or replace function authz._delete(
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_namespace text
) returns boolean
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_resource_id text collate "C" := p_resource_id;
  v_relation text collate "C" := p_relation;
  v_subject_type text collate "C" := p_subject_type;
  v_subject_id text collate "C" := p_subject_id;
  v_subject_relation text collate "C" := p_subject_relation;
begin
  perform authz._check_global(v_namespace);
  perform authz._check_names(v_resource_type, v_resource_id, v_relation, v_subject_type,
    v_subject_id, v_subject_relation);

  delete from authz.tuples t
  where t.namespace = v_namespace
    and t.resource_type = v_resource_type
    and t.resource_id = authz._nfc(v_resource_id)
    and t.relation = v_relation
    and t.subject_type = v_subject_type
    and t.subject_id = authz._nfc(v_subject_id)
    and coalesce(t.subject_relation, '') = coalesce(v_subject_relation, '');
  return found;
end
$$;

comment on function authz._delete(text, text, text, text, text, text, text) is
'delete_tuple without its guard.';

create or replace function authz.revoke_subject_grants(
  p_subject_type text,
  p_subject_id text,
  p_namespace text default 'default',
  p_resource_type text default null
) returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_subject_type text collate "C" := p_subject_type;
  v_subject_id text collate "C" := p_subject_id;
  v_resource_type text collate "C" := p_resource_type;
  v_count int;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_global(v_namespace);
  perform authz._check_name('subject_type', v_subject_type);
  perform authz._check_id('subject_id', v_subject_id);
  if v_resource_type is not null then
    perform authz._check_name('resource_type', v_resource_type);
  end if;
  v_subject_id := authz._nfc(v_subject_id);

  with locked as materialized (
    select t.id
    from authz.tuples t
    where t.namespace = v_namespace
      and t.subject_type = v_subject_type
      and t.subject_id = v_subject_id
      and (v_resource_type is null or t.resource_type = v_resource_type)
    order by t.resource_type, t.resource_id, t.relation, t.subject_type, t.subject_id,
      coalesce(t.subject_relation, '')
    for update
  )
  delete from authz.tuples t
  using locked l
  where t.namespace = v_namespace
    and t.id = l.id;
  get diagnostics v_count = row_count;
  return v_count;
end
$$;

comment on function authz.revoke_subject_grants(text, text, text, text) is
'Take back everything that was granted to a subject or through a relation to it, memberships too:
what an account that is closed leaves behind.

What it has through groups goes with its memberships. Tuples in which it is the resource stay.
p_subject_type   the type of the subject
p_subject_id     the subject
p_namespace      the tenant; only administrators write to global
p_resource_type  only what was granted on resources of this type
Returns          how many tuples went, expired ones included
Errors           authz.identifier_null, id_null (22004), identifier_empty, id_empty (22026),
                 identifier_too_long, id_too_long (22001), identifier_format, id_invalid_chars,
                 id_whitespace (22023), global_write_denied, tenant_mismatch (42501)
Example          select authz.revoke_subject_grants(''user'', ''ann'', ''acme'');';

create or replace function authz.revoke_resource_grants(
  p_resource_type text,
  p_resource_id text,
  p_namespace text default 'default',
  p_relation text default null
) returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_resource_id text collate "C" := p_resource_id;
  v_relation text collate "C" := p_relation;
  v_count int;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_global(v_namespace);
  perform authz._check_name('resource_type', v_resource_type);
  perform authz._check_id('resource_id', v_resource_id);
  if v_relation is not null then
    perform authz._check_name('relation', v_relation);
  end if;
  v_resource_id := authz._nfc(v_resource_id);

  with locked as materialized (
    select t.id
    from authz.tuples t
    where t.namespace = v_namespace
      and t.resource_type = v_resource_type
      and t.resource_id = v_resource_id
      and (v_relation is null or t.relation = v_relation)
    order by t.resource_type, t.resource_id, t.relation, t.subject_type, t.subject_id,
      coalesce(t.subject_relation, '')
    for update
  )
  delete from authz.tuples t
  using locked l
  where t.namespace = v_namespace
    and t.id = l.id;
  get diagnostics v_count = row_count;
  return v_count;
end
$$;

comment on function authz.revoke_resource_grants(text, text, text, text) is
'Take back everything that was granted on a resource: what to call when the resource is deleted.

Tuples in which it is the subject, such as what it is the parent of, stay.
p_resource_type  the type of the resource
p_resource_id    the resource
p_namespace      the tenant; only administrators write to global
p_relation       only this relation
Returns          how many tuples went, expired ones included
Errors           authz.identifier_null, id_null (22004), identifier_empty, id_empty (22026),
                 identifier_too_long, id_too_long (22001), identifier_format, id_invalid_chars,
                 id_whitespace (22023), global_write_denied, tenant_mismatch (42501)
Example          select authz.revoke_resource_grants(''document'', ''1'', ''acme'');';
