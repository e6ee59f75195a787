-- Grants: what was granted to a subject itself, in its tenant and in others.

create or replace function authz.list_subject_grants(
  p_subject_type text,
  p_subject_id text,
  p_namespace text default 'default',
  p_resource_type text default null
) returns table (
  resource_type text,
  resource_id text,
  relation text,
  subject_relation text,
  expires_at timestamptz
)
language plpgsql
stable
parallel safe
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_subject_type text collate "C" := p_subject_type;
  v_subject_id text collate "C" := p_subject_id;
  v_resource_type text collate "C" := p_resource_type;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_name('subject_type', v_subject_type);
  perform authz._check_id('subject_id', v_subject_id);
  if v_resource_type is not null then
    perform authz._check_name('resource_type', v_resource_type);
  end if;
  v_subject_id := authz._nfc(v_subject_id);

  return query
  select t.resource_type, coalesce(t.resource_id_raw, t.resource_id), t.relation,
    t.subject_relation, t.expires_at
  from authz.tuples t
  where t.namespace = v_namespace
    and t.subject_type = v_subject_type
    and t.subject_id = v_subject_id
    and (v_resource_type is null or t.resource_type = v_resource_type)
    and (t.expires_at is null or t.expires_at > howdah.now())
  order by t.resource_type, t.resource_id, t.relation, t.subject_relation nulls first;
end
$$;

comment on function authz.list_subject_grants(text, text, text, text) is
'The live tuples that name a subject: what was granted to it, without what follows from groups,
parents and hierarchy.

p_subject_type   the type of the subject
p_subject_id     the subject
p_namespace      the tenant
p_resource_type  only on resources of this type
Returns          resource_type, resource_id, relation, subject_relation (set where it was granted to
                 all who have that relation to the subject) and expires_at, in that order
Errors           authz.identifier_null, id_null (22004), identifier_empty, id_empty (22026),
                 identifier_too_long, id_too_long (22001), identifier_format, id_invalid_chars,
                 id_whitespace (22023), tenant_mismatch (42501)
Example          select * from authz.list_subject_grants(''user'', ''ann'', ''acme'');';

create or replace function authz.list_external_resources(
  p_subject_type text,
  p_subject_id text,
  p_resource_type text,
  p_permission text,
  p_exclude_namespace text,
  p_limit int default 100,
  p_cursor text default null
) returns table (
  namespace text,
  resource_id text,
  relation text,
  created_at timestamptz,
  expires_at timestamptz
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_exclude_namespace;
  v_subject_type text collate "C" := p_subject_type;
  v_subject_id text collate "C" := p_subject_id;
  v_resource_type text collate "C" := p_resource_type;
  v_permission text collate "C" := p_permission;
  v_relations text[] collate "C";
  v_after text[] collate "C";
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_names(v_resource_type, 'x', v_permission, v_subject_type, v_subject_id,
    p_relation_field => 'permission');
  perform authz._check_limit(p_limit);
  v_subject_id := authz._nfc(v_subject_id);
  perform authz._check_viewer(v_subject_type, v_subject_id);
  v_after := authz._external_cursor(p_cursor);
  v_relations := authz._implied_by('global', v_resource_type, v_permission);

  return query
  with recursive spaces(namespace) as (
    select min(t.namespace) from authz.tuples t
    union all
    select (select min(t.namespace) from authz.tuples t where t.namespace > s.namespace)
    from spaces s
    where s.namespace is not null
  )
  select g.namespace, coalesce(g.resource_id_raw, g.resource_id), g.relation, g.created_at,
    g.expires_at
  from spaces s,
    lateral (
      select t.*
      from authz.tuples t
      where t.namespace = s.namespace
        and t.subject_type = v_subject_type
        and t.subject_id = v_subject_id
        and t.subject_relation is null
        and t.resource_type = v_resource_type
        and t.relation = any (v_relations)
        and t.condition_name is null
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) g
  where s.namespace <> v_namespace
    and (
      v_after is null
      or (
        date_trunc('milliseconds', v_after[1]::timestamptz)
          - date_trunc('milliseconds', g.created_at),
        g.namespace, g.resource_id, g.relation
      ) > (interval '0', v_after[2], v_after[3], v_after[4])
    )
  order by date_trunc('milliseconds', g.created_at) desc, g.namespace, g.resource_id, g.relation
  limit p_limit;
end
$$;

comment on function authz.list_external_resources(text, text, text, text, text, int, text) is
'What other tenants have granted to a subject itself, the newest first: shared with me.

Permissions imply each other by the rules of global. Only the viewer itself, and the owner of the
module, may ask.
p_subject_type       the type of the subject, as in set_viewer
p_subject_id         the subject
p_resource_type      the type of the resources
p_permission         the permission that the subject has on them
p_exclude_namespace  the subject''s own tenant, which is left out
p_limit              how many at most, 1 to 1,000
p_cursor             go on after a page: a JSON array of created_at, namespace, resource_id and
                     relation of its last row
Returns              namespace, resource_id, relation, created_at and expires_at of each
Errors               authz.viewer_mismatch, tenant_mismatch (42501), limit_too_large, not_positive,
                     predicate_invalid (22023), and those of check for malformed names
Example              select * from authz.list_external_resources(
                       ''user'', ''ann'', ''doc'', ''read'', ''acme'');';

create or replace function authz._check_viewer(p_subject_type text, p_subject_id text)
returns void
language plpgsql
stable
as $$
begin
  if p_subject_type = current_setting('authz.viewer_type', true) collate "C"
    and p_subject_id = current_setting('authz.viewer_id', true) collate "C"
  then
    return;
  end if;
  if not exists (
    select 1
    from pg_namespace n
    where n.nspname = 'authz' and pg_has_role(howdah.outer_role(), n.nspowner, 'usage')
  ) then
    perform howdah.fail('authz', 'viewer_mismatch',
      format('the viewer of this transaction is not %s:%s', p_subject_type,
        left(p_subject_id, 100)),
      '42501',
      jsonb_build_object('subject_type', p_subject_type, 'subject_id', left(p_subject_id, 100)),
      'Name the subject with authz.set_viewer first.');
  end if;
end
$$;

comment on function authz._check_viewer(text, text) is
'Refuse what only the viewer, or the owner of the module, may see.';

create or replace function authz._external_cursor(p_cursor text) returns text[]
language plpgsql
stable
as $$
declare
  v_parts text[];
begin
  if p_cursor is null then
    return null;
  end if;
  begin
    v_parts := array(select jsonb_array_elements_text(p_cursor::jsonb));
    perform v_parts[1]::timestamptz;
  exception when data_exception then
    v_parts := null;
  end;
  if cardinality(v_parts) = 4 and array_position(v_parts, null) is null then
    v_parts[3] := authz._nfc(v_parts[3]);
    return v_parts;
  end if;
  perform howdah.fail('authz', 'predicate_invalid',
    format('cursor %L is not of this function', left(p_cursor, 100)), '22023',
    jsonb_build_object('field', 'cursor'),
    'Give a JSON array of created_at, namespace, resource_id and relation of the last row.');
end
$$;

comment on function authz._external_cursor(text) is
'The parts of a cursor of list_external_resources, the id in NFC.';
