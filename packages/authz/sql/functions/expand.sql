-- Expanding: who is granted a permission, as the rules say it, without asking about anyone.
--
-- The tree is OpenFGA's. One level shows usersets by name; further levels are not nested but stand
-- beside the tree by their names, each once, so that circles and diamonds of groups end.

create or replace function authz.expand(
  p_resource_type text,
  p_resource_id text,
  p_permission text,
  p_namespace text default 'default',
  p_depth int default 1
) returns jsonb
language plpgsql
stable
parallel restricted
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_resource_id text collate "C" := authz._nfc(p_resource_id);
  v_permission text collate "C" := p_permission;
  v_types jsonb;
  v_root jsonb;
  v_usersets jsonb := '{}';
  v_new text[];
  v_level jsonb;
  v_depth int := 1;
  v_is_truncated boolean;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_names(v_resource_type, v_resource_id, v_permission, 'any', 'any');
  if (p_depth >= 0) is not true then
    perform howdah.fail('authz', 'not_positive',
      format('depth is %s, it must be 0 or more', coalesce(p_depth::text, 'null')), '22023',
      jsonb_build_object('field', 'depth', 'actual', p_depth));
  end if;

  perform authz._answers_by_model(v_namespace, v_resource_type, v_permission);
  v_types := authz._active_types(v_namespace);
  v_root := authz._expanded(v_namespace, v_types, v_resource_type, v_resource_id, v_permission);
  v_new := authz._usersets_of(v_root);
  while cardinality(v_new) > 0 and (p_depth = 0 or v_depth < p_depth) loop
    v_is_truncated := (select count(*) from jsonb_object_keys(v_usersets)) + cardinality(v_new)
      > 10000;
    exit when v_is_truncated;
    select jsonb_object_agg(n.name, authz._expanded(v_namespace, v_types, n.part[1], n.part[2],
      n.part[3])) into v_level
    from (
      select u.name, regexp_match(u.name, '^([^:]*):(.*)#([^#]*)$') as part
      from unnest(v_new) u (name)
    ) n;
    v_usersets := v_usersets || v_level;
    v_new := array(
      select distinct u
      from jsonb_each(v_level) l, unnest(authz._usersets_of(l.value)) u
      where not v_usersets ? u and u <> v_root ->> 'name'
    );
    v_depth := v_depth + 1;
  end loop;

  return jsonb_build_object('tree', jsonb_build_object('root', v_root))
    || case v_usersets when '{}' then '{}'::jsonb
      else jsonb_build_object('usersets', v_usersets) end
    || case when v_is_truncated then '{"truncated": true}'::jsonb else '{}' end;
end
$$;

comment on function authz.expand(text, text, text, text, int) is
'Who is granted a permission on a resource, as a tree of rules. Conditions are not decided.

p_resource_type  what kind of thing the resource is
p_resource_id    which one
p_permission     a relation of the model, or a permission
p_namespace      the tenant
p_depth          how many levels of usersets to follow: 1 shows them by name, 0 follows all
Returns          an object with tree.root, a node as OpenFGA''s Expand answers it: name, and leaf
                 (users, computed or tupleToUserset), union, intersection or difference; and in
                 usersets the nodes of the further levels by name, at most 10,000, else truncated
Errors           authz.identifier_null, id_null (22004), identifier_empty, id_empty (22026),
                 identifier_too_long, id_too_long (22001), identifier_format, id_invalid_chars,
                 id_whitespace, not_positive, type_unknown, relation_unknown (22023),
                 tenant_mismatch (42501)
Example          select authz.expand(''document'', ''1'', ''viewer'', ''acme'', 0);';

create or replace function authz._active_types(p_namespace text) returns jsonb
language plpgsql
stable
as $$
declare
  v_active authz.active_models := authz._active_model(p_namespace);
begin
  return (
    select jsonb_object_agg(t ->> 'type', t)
    from authz.models m
    cross join lateral jsonb_array_elements(m.model -> 'type_definitions') t
    where m.namespace = v_active.namespace and m.id = v_active.model_id
  );
end
$$;

comment on function authz._active_types(text) is
'The types of the active model by name, null if there is none.';

create or replace function authz._usersets_of(p_node jsonb) returns text[]
language sql
immutable
as $$
  select coalesce(array_agg(distinct u #>> '{}'), '{}')
  from (
    select jsonb_path_query(p_node, 'strict $.**.users.users[*]') as u
    union all
    select jsonb_path_query(p_node, 'strict $.**.userset')
  ) found
  where u #>> '{}' ~ '#[a-z][a-z0-9_-]*$'
$$;

comment on function authz._usersets_of(jsonb) is 'The usersets that a node of an expansion names.';

create or replace function authz._expanded(
  p_namespace text,
  p_types jsonb,
  p_type text,
  p_id text,
  p_relation text
) returns jsonb
language plpgsql
stable
as $$
declare
  v_rule jsonb := p_types #> array[p_type, 'relations', p_relation];
begin
  if p_types ? p_type and p_type not in ('rbac_role', 'rbac_permission') then
    return authz._expanded_rule(p_namespace, p_types, p_type, p_id, p_relation,
      coalesce(v_rule, '{"this": {}}'));
  end if;
  return authz._expanded_dynamic(p_namespace, p_type, p_id, p_relation);
end
$$;

comment on function authz._expanded(text, jsonb, text, text, text) is
'One level of the expansion of a userset.';

create or replace function authz._expanded_users(
  p_namespace text,
  p_types jsonb,
  p_type text,
  p_id text,
  p_relation text
) returns jsonb
language plpgsql
stable
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_type text collate "C" := p_type;
  v_id text collate "C" := p_id;
  v_relation text collate "C" := p_relation;
  v_restrictions jsonb := p_types #> array[p_type, 'metadata', 'relations', p_relation,
    'directly_related_user_types'];
begin
  return (
    select coalesce(jsonb_agg(u.name order by u.name collate "C"), '[]')
    from (
      select concat(t.subject_type, ':', coalesce(t.subject_id_raw, t.subject_id),
        '#' || t.subject_relation) as name
      from authz.tuples t
      where t.namespace = v_namespace
        and t.resource_type = v_type
        and t.resource_id = v_id
        and t.relation = v_relation
        and (t.expires_at is null or t.expires_at > howdah.now())
        and case
          when v_restrictions is null then t.condition_name is null
          else exists (
            select 1
            from jsonb_array_elements(v_restrictions) r
            where r ->> 'type' = t.subject_type
              and nullif(r ->> 'relation', '') is not distinct from t.subject_relation
              and r ? 'wildcard' = (t.subject_id = '*')
              and nullif(r ->> 'condition', '') is not distinct from t.condition_name
          )
        end
    ) u
  );
end
$$;

comment on function authz._expanded_users(text, jsonb, text, text, text) is
'The subjects that tuples of a relation name, without those that the model ignores.';

create or replace function authz._expanded_rule(
  p_namespace text,
  p_types jsonb,
  p_type text,
  p_id text,
  p_relation text,
  p_rule jsonb
) returns jsonb
language plpgsql
stable
as $$
declare
  v_name text := concat(p_type, ':', p_id, '#', p_relation);
  v_kind text := (select k from jsonb_object_keys(p_rule) k limit 1);
  v_part jsonb := p_rule -> v_kind;
begin
  return jsonb_build_object('name', v_name) || case v_kind
    when 'this' then
      jsonb_build_object('leaf', jsonb_build_object('users', jsonb_build_object('users',
        authz._expanded_users(p_namespace, p_types, p_type, p_id, p_relation))))
    when 'computedUserset' then
      jsonb_build_object('leaf', jsonb_build_object('computed', jsonb_build_object('userset',
        concat(p_type, ':', p_id, '#', v_part ->> 'relation'))))
    when 'tupleToUserset' then
      jsonb_build_object('leaf', jsonb_build_object('tupleToUserset', jsonb_build_object(
        'tupleset', concat(p_type, ':', p_id, '#', v_part #>> '{tupleset,relation}'),
        'computed', (
          select coalesce(jsonb_agg(jsonb_build_object('userset',
            concat(u.name, '#', v_part #>> '{computedUserset,relation}')) order by u.ord), '[]')
          from jsonb_array_elements_text(authz._expanded_users(p_namespace, p_types, p_type, p_id,
            v_part #>> '{tupleset,relation}')) with ordinality u (name, ord)
          where p_types #> array[split_part(u.name, ':', 1), 'relations',
            v_part #>> '{computedUserset,relation}'] is not null
        ))))
    when 'difference' then
      jsonb_build_object('difference', jsonb_build_object(
        'base', authz._expanded_rule(p_namespace, p_types, p_type, p_id, p_relation,
          v_part -> 'base'),
        'subtract', authz._expanded_rule(p_namespace, p_types, p_type, p_id, p_relation,
          v_part -> 'subtract')))
    else
      jsonb_build_object(v_kind, jsonb_build_object('nodes', (
        select jsonb_agg(authz._expanded_rule(p_namespace, p_types, p_type, p_id, p_relation,
          c.rule) order by c.ord)
        from jsonb_array_elements(v_part -> 'child') with ordinality c (rule, ord)
      )))
  end;
end
$$;

comment on function authz._expanded_rule(text, jsonb, text, text, text, jsonb) is
'A rule of a relation with the tuples that it looks at.';

create or replace function authz._expanded_dynamic(
  p_namespace text,
  p_type text,
  p_id text,
  p_permission text
) returns jsonb
language plpgsql
stable
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_type text collate "C" := p_type;
  v_permission text collate "C" := p_permission;
  v_name text := concat(p_type, ':', p_id, '#', p_permission);
begin
  return jsonb_build_object('name', v_name, 'union', jsonb_build_object('nodes', (
    with recursive above(type, id, depth) as (
      select v_type, p_id collate "C", 0
      union
      select t.subject_type, t.subject_id, 1
      from above a
      join authz.tuples t on t.namespace = v_namespace
        and t.resource_type = a.type
        and t.resource_id = a.id
        and t.relation = 'parent'
      where (t.expires_at is null or t.expires_at > howdah.now())
        and t.condition_name is null
    )
    select jsonb_agg(n.node order by n.place, n.node)
    from (
      select min(a.depth) as place, jsonb_build_object(
        'name', concat(a.type, ':', a.id, '#', v_permission),
        'leaf', jsonb_build_object('users', jsonb_build_object('users',
          authz._expanded_users(v_namespace, null, a.type, a.id, v_permission)))) as node
      from above a
      group by a.type, a.id
      union all
      select 2, jsonb_build_object('name', v_name,
        'leaf', jsonb_build_object('computed', jsonb_build_object('userset',
          concat(v_type, ':', p_id, '#', h.permission))))
      from authz.permission_hierarchy h
      where h.namespace in (v_namespace, 'global')
        and h.resource_type = v_type
        and h.implies = v_permission
      group by h.permission
    ) n
  )));
end
$$;

comment on function authz._expanded_dynamic(text, text, text, text) is
'The dynamic rule of a permission as a union: what is granted on the resource and on all that it is
in, and the permissions of the resource that imply it.';
