-- Expanding: who is granted a permission, as the rules say it, without asking about anyone.
--
-- The tree is OpenFGA's. One level shows usersets by name; further levels are not nested but stand
-- beside the tree by their names, each once, so that circles and diamonds of groups end.
--
-- Names show ids as they were written, so each node comes with the usersets that it names: a user's
-- id may read like one. The name of a userset itself is read back, since no type has a colon and no
-- relation a #. Nodes are gathered in arrays: jsonb_agg and jsonb_object_agg take the square of the
-- time for values that hold long arrays.

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
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_resource_id text collate "C" := authz._nfc(p_resource_id);
  v_permission text collate "C" := p_permission;
  v_types jsonb;
  v_root jsonb;
  v_names text[] collate "C" := '{}';
  v_nodes jsonb[] := '{}';
  v_new text[] collate "C";
  v_depth int := 1;
  v_is_truncated boolean;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_names(v_resource_type, v_resource_id, v_permission, 'any', 'any',
    p_relation_field => 'permission');
  if (p_depth >= 0) is not true then
    perform howdah.fail('authz', 'not_positive',
      format('depth is %s, it must be 0 or more', coalesce(p_depth::text, 'null')), '22023',
      jsonb_build_object('field', 'depth', 'actual', p_depth));
  end if;

  perform authz._answers_by_model(v_namespace, v_resource_type, v_permission);
  v_types := authz._active_types(v_namespace);
  select e.node, array(select distinct u from unnest(e.usersets) u) into v_root, v_new
  from authz._expanded(v_namespace, v_types, v_resource_type, v_resource_id, v_permission) e;
  while cardinality(v_new) > 0 and (p_depth = 0 or v_depth < p_depth) loop
    v_is_truncated := cardinality(v_names) + cardinality(v_new) > 10000;
    exit when v_is_truncated;
    with level as materialized (
      select n.name, e.node, e.usersets
      from unnest(v_new) n (name)
      cross join lateral regexp_match(n.name, '^([^:]*):(.*)#([^#]*)$') part
      cross join lateral authz._expanded(v_namespace, v_types, part[1], part[2], part[3]) e
    )
    select v_names || array(select l.name from level l),
      v_nodes || array(select l.node from level l),
      array(select distinct u from level l, unnest(l.usersets) u)
    into v_names, v_nodes, v_new;
    v_new := array(
      select u
      from unnest(v_new) u
      where u <> v_root ->> 'name' and u not in (select n from unnest(v_names) n)
    );
    v_depth := v_depth + 1;
  end loop;

  return jsonb_build_object('tree', jsonb_build_object('root', v_root))
    || case v_names when '{}' then '{}'::jsonb
      else jsonb_build_object('usersets', (
        select json_object_agg(u.name, u.node)::jsonb from unnest(v_names, v_nodes) u (name, node)
      )) end
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

create or replace function authz._expanded(
  p_namespace text,
  p_types jsonb,
  p_type text,
  p_id text,
  p_relation text,
  out node jsonb,
  out usersets text[]
)
language plpgsql
stable
as $$
declare
  v_rule jsonb := p_types #> array[p_type, 'relations', p_relation];
begin
  if p_types ? p_type and p_type not in ('rbac_role', 'rbac_permission') then
    select e.node, e.usersets into node, usersets
    from authz._expanded_rule(p_namespace, p_types, p_type, p_id, p_relation,
      coalesce(v_rule, '{"this": {}}')) e;
  else
    select e.node, e.usersets into node, usersets
    from authz._expanded_dynamic(p_namespace, p_type, p_id, p_relation) e;
  end if;
end
$$;

comment on function authz._expanded(text, jsonb, text, text, text) is
'One level of the expansion of a userset, and the names of the usersets in it.';

create or replace function authz._expanded_users(
  p_namespace text,
  p_types jsonb,
  p_type text,
  p_id text,
  p_relation text,
  out users jsonb,
  out usersets text[]
)
language plpgsql
stable
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_type text collate "C" := p_type;
  v_id text collate "C" := authz._nfc(p_id);
  v_relation text collate "C" := p_relation;
  v_restrictions jsonb := p_types #> array[p_type, 'metadata', 'relations', p_relation,
    'directly_related_user_types'];
begin
  select coalesce(to_jsonb(array_agg(u.name order by u.name collate "C")), '[]'),
    coalesce(array_agg(u.name) filter (where u.is_userset), '{}')
  into users, usersets
  from (
    select t.subject_relation is not null as is_userset,
      concat(t.subject_type, ':', coalesce(t.subject_id_raw, t.subject_id),
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
  ) u;
end
$$;

comment on function authz._expanded_users(text, jsonb, text, text, text) is
'The subjects that tuples of a relation name, without those that the model ignores, and which of
them are usersets.';

create or replace function authz._expanded_rule(
  p_namespace text,
  p_types jsonb,
  p_type text,
  p_id text,
  p_relation text,
  p_rule jsonb,
  out node jsonb,
  out usersets text[]
)
language plpgsql
stable
as $$
declare
  v_kind text := (select k from jsonb_object_keys(p_rule) k limit 1);
  v_part jsonb := p_rule -> v_kind;
  v_object text collate "C" := concat(p_type, ':', p_id);
begin
  if v_kind = 'this' then
    select jsonb_build_object('leaf', jsonb_build_object('users', jsonb_build_object(
      'users', e.users))), e.usersets
    into node, usersets
    from authz._expanded_users(p_namespace, p_types, p_type, p_id, p_relation) e;
  elsif v_kind = 'computedUserset' then
    usersets := array[concat(v_object, '#', v_part ->> 'relation')];
    node := jsonb_build_object('leaf', jsonb_build_object('computed', jsonb_build_object(
      'userset', usersets[1])));
  elsif v_kind = 'tupleToUserset' then
    usersets := array(
      select concat(u.name, '#', v_part #>> '{computedUserset,relation}')
      from authz._expanded_users(p_namespace, p_types, p_type, p_id,
        v_part #>> '{tupleset,relation}') e
      cross join jsonb_array_elements_text(e.users) with ordinality u (name, ord)
      where p_types #> array[split_part(u.name, ':', 1), 'relations',
        v_part #>> '{computedUserset,relation}'] is not null
      order by u.ord
    );
    node := jsonb_build_object('leaf', jsonb_build_object('tupleToUserset', jsonb_build_object(
      'tupleset', concat(v_object, '#', v_part #>> '{tupleset,relation}'),
      'computed', to_jsonb(array(select jsonb_build_object('userset', u) from unnest(usersets) u))
    )));
  elsif v_kind = 'difference' then
    select jsonb_build_object('difference', jsonb_build_object(
      'base', b.node, 'subtract', s.node)), b.usersets || s.usersets
    into node, usersets
    from authz._expanded_rule(p_namespace, p_types, p_type, p_id, p_relation, v_part -> 'base') b
    cross join authz._expanded_rule(p_namespace, p_types, p_type, p_id, p_relation,
      v_part -> 'subtract') s;
  else
    with child as materialized (
      select c.ord, e.node, e.usersets
      from jsonb_array_elements(v_part -> 'child') with ordinality c (rule, ord)
      cross join lateral authz._expanded_rule(p_namespace, p_types, p_type, p_id, p_relation,
        c.rule) e
    )
    select jsonb_build_object(v_kind, jsonb_build_object(
      'nodes', to_jsonb(array(select c.node from child c order by c.ord)))),
      array(select u from child c, unnest(c.usersets) u)
    into node, usersets;
  end if;
  node := jsonb_build_object('name', concat(v_object, '#', p_relation)) || node;
end
$$;

comment on function authz._expanded_rule(text, jsonb, text, text, text, jsonb) is
'A rule of a relation with the tuples that it looks at, and the names of the usersets in it.';

create or replace function authz._expanded_dynamic(
  p_namespace text,
  p_type text,
  p_id text,
  p_permission text,
  out node jsonb,
  out usersets text[]
)
language plpgsql
stable
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_type text collate "C" := p_type;
  v_id text collate "C" := authz._nfc(p_id);
  v_permission text collate "C" := p_permission;
  v_object text collate "C" := concat(p_type, ':', p_id);
  v_parent text collate "C" := 'parent';
begin
  with recursive above(type, id, object, depth) as (
    select v_type, v_id, v_object, 0
    union
    select t.subject_type, t.subject_id,
      concat(t.subject_type, ':', coalesce(t.subject_id_raw, t.subject_id)), 1
    from above a
    join authz.tuples t on t.namespace = v_namespace
      and t.resource_type = a.type
      and t.resource_id = a.id
      and t.relation = v_parent
    where (t.expires_at is null or t.expires_at > howdah.now())
      and t.condition_name is null
  ),
  place as (
    select distinct on (a.type, a.id) a.*
    from above a
    order by a.type, a.id, a.depth, a.object collate "C"
  ),
  part as materialized (
    select p.depth, p.object as name, e.usersets, jsonb_build_object(
      'name', concat(p.object, '#', v_permission),
      'leaf', jsonb_build_object('users', jsonb_build_object('users', e.users))) as node
    from place p
    cross join lateral authz._expanded_users(v_namespace, null, p.type, p.id, v_permission) e
    union all
    select 2, i.userset, array[i.userset], jsonb_build_object(
      'name', concat(v_object, '#', v_permission),
      'leaf', jsonb_build_object('computed', jsonb_build_object('userset', i.userset)))
    from (
      select distinct concat(v_object, '#', h.permission) as userset
      from authz.permission_hierarchy h
      where h.namespace in (v_namespace, 'global')
        and h.resource_type = v_type
        and h.implies = v_permission
    ) i
  )
  select jsonb_build_object('name', concat(v_object, '#', v_permission),
    'union', jsonb_build_object('nodes', to_jsonb(array(
      select p.node from part p order by p.depth, p.name collate "C")))),
    array(select u from part p, unnest(p.usersets) u)
  into node, usersets;
end
$$;

comment on function authz._expanded_dynamic(text, text, text, text) is
'The dynamic rule of a permission as a union: what is granted on the resource and on all that it is
in, and the permissions of the resource that imply it; and the names of the usersets in it.';
