-- Explaining in lines: the ways by which a subject comes to a permission.
--
-- explain_json tells the whole decision; these two walk along the parts of it that are true and say
-- where each ends. For dynamic types there is a path for every tuple that grants, with the shortest
-- way to it. Models may also say that access is taken away: such a path is excluded, and grants
-- nothing.

create or replace function authz._implication(
  p_namespace text,
  p_resource_type text,
  p_permission text,
  p_implies text
) returns text[]
language plpgsql
stable
parallel safe
as $$
declare
  v_names text[] collate "C" := array[p_implies];
  v_next int[] := array[0];
  v_from int := 1;
  v_to int := 1;
  v_at int;
  v_names_found text[] collate "C";
  v_next_found int[];
  v_chain text[] := '{}';
begin
  loop
    v_at := array_position(v_names, p_permission);
    exit when v_at is not null or v_from > v_to;

    select array_agg(f.permission), array_agg(f.at)
    into v_names_found, v_next_found
    from (
      select h.permission, min(n.at) as at
      from generate_series(v_from, v_to) n (at)
      join authz.permission_hierarchy h on h.implies = v_names[n.at]
      where h.namespace in (p_namespace, 'global')
        and h.resource_type = p_resource_type
        and h.permission <> all (v_names)
      group by h.permission
    ) f;
    v_names := v_names || v_names_found;
    v_next := v_next || v_next_found;
    v_from := v_to + 1;
    v_to := cardinality(v_names);
  end loop;

  while v_at > 0 loop
    v_chain := v_chain || v_names[v_at];
    v_at := v_next[v_at];
  end loop;
  return v_chain;
end
$$;

comment on function authz._implication(text, text, text, text) is
'The shortest chain of rules by which a permission implies another.';

create or replace function authz._dynamic_paths(
  p_namespace text,
  p_resource_type text,
  p_permission text,
  p_tree jsonb,
  p_max_depth int
) returns setof authz.permission_path
language sql
stable
as $$
  select
    case
      when r.ord > 1 then 'resource'
      when t.relation <> p_permission then 'hierarchy'
      when g.member is not null then 'group'
      else 'direct'
    end,
    t.relation,
    case when r.ord > 1 then split_part(r.node ->> 'object', ':', 1)
      when g.member is not null then t.subject_type end,
    case when r.ord > 1 then substr(r.node ->> 'object', strpos(r.node ->> 'object', ':') + 1)
      when g.member is not null then coalesce(t.subject_id_raw, t.subject_id) end,
    g.member,
    case
      when r.ord > 1 then r.chain
      when t.relation <> p_permission
        then authz._implication(p_namespace, p_resource_type, t.relation, p_permission)
      else g.chain
    end
  from (
    select c.node, c.ord, (
        select array_agg(concat(v.resource_type, ':', coalesce(v.resource_id_raw, v.resource_id))
          order by e.ord)
        from jsonb_array_elements(c.node -> 'via') with ordinality e (node, ord)
        join authz.tuples v on v.namespace = p_namespace
          and v.id = (e.node ->> 'tuple_id')::bigint
      ) || (c.node ->> 'object') as chain
    from jsonb_array_elements(p_tree -> 'children') with ordinality c (node, ord)
    where coalesce(jsonb_array_length(c.node -> 'via'), 0) <= coalesce(p_max_depth, 2147483647)
  ) r
  cross join lateral jsonb_array_elements(r.node -> 'children') with ordinality c (node, ord)
  join authz.tuples t on t.namespace = p_namespace and t.id = (c.node ->> 'tuple_id')::bigint
  cross join lateral (
    select
      array_agg(concat(v.resource_type, ':', coalesce(v.resource_id_raw, v.resource_id))
        order by e.ord) as chain,
      (array_agg(v.relation order by e.ord desc))[1] as member
    from jsonb_array_elements(c.node -> 'via') with ordinality e (node, ord)
    join authz.tuples v on v.namespace = p_namespace and v.id = (e.node ->> 'tuple_id')::bigint
  ) g
  where coalesce(jsonb_array_length(c.node -> 'via'), 0) <= coalesce(p_max_depth, 2147483647)
  order by r.ord, c.ord
$$;

comment on function authz._dynamic_paths(text, text, text, jsonb, int) is
'The paths in the tree of the dynamic rule, nearest resources first.';

create or replace function authz._modelled_paths(p_tree jsonb, p_max_depth int)
returns setof authz.permission_path
language sql
stable
as $$
  with recursive walk as (
    select p_tree as node, '' as above, array[]::text[] as chain, null::jsonb as hop,
      null as hop_kind, 0 as hops, false as is_conditional, false as is_excluding, '' as place
    union all
    select c.node, w.node ->> 'operator', n.chain,
      coalesce(w.hop, case when w.node ->> 'operator' = 'tuple' then c.node end),
      coalesce(w.hop_kind, case
        when w.node ->> 'operator' = 'tuple' and w.above = 'ttu' then 'ttu'
        when w.node ->> 'operator' = 'tuple' then 'userset'
      end),
      w.hops + (w.node ->> 'operator' = 'tuple')::int,
      w.is_conditional or c.node ? 'condition',
      w.is_excluding or (w.node ->> 'value' <> 'true' and c.node ->> 'value' = 'true'),
      w.place || to_char(c.ord, 'fm000000')
    from walk w
    cross join lateral jsonb_array_elements(w.node -> 'children') with ordinality c (node, ord)
    cross join lateral (
      select case
        when w.node ? 'object'
          then w.chain || concat(w.node ->> 'object', '#', w.node ->> 'relation')
        else w.chain
      end as chain
    ) n
    where w.hops <= coalesce(p_max_depth, 2147483647)
      and case
        when w.node ->> 'operator' = 'exclusion'
          then c.ord = case
            when w.node ->> 'value' <> 'true' and w.node #>> '{children,0,value}' = 'true' then 2
            else 1
          end
        else (w.node ->> 'value' = 'true') = (c.node ->> 'value' = 'true')
      end
  )
  select
    case
      when w.is_excluding then 'excluded'
      when w.is_conditional then 'condition'
      else coalesce(w.hop_kind, 'direct')
    end,
    coalesce(w.node ->> 'relation', substring(w.chain[cardinality(w.chain)] from '[^#]*$')),
    split_part(w.hop ->> 'object', ':', 1),
    substr(w.hop ->> 'object', strpos(w.hop ->> 'object', ':') + 1),
    w.hop ->> 'relation',
    case
      when w.node ? 'object'
        then w.chain || concat(w.node ->> 'object', '#', w.node ->> 'relation')
      else w.chain
    end
  from walk w
  where w.node ->> 'value' = 'true'
    and coalesce(jsonb_array_length(w.node -> 'children'), 0) = 0
    and w.hops <= coalesce(p_max_depth, 2147483647)
  order by w.place
$$;

comment on function authz._modelled_paths(jsonb, int) is
'The paths in the tree of a model''s decision that end in a tuple: of those that grant, or for a
denial of those that take away.';

create or replace function authz.explain(
  p_subject_type text,
  p_subject_id text,
  p_permission text,
  p_resource_type text,
  p_resource_id text,
  p_namespace text default 'default',
  p_max_depth int default null
) returns setof authz.permission_path
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  v_explanation jsonb := authz.explain_json(p_subject_type, p_subject_id, p_permission,
    p_resource_type, p_resource_id, p_namespace);
begin
  if p_max_depth is not null then
    perform authz._check_limit(p_max_depth, 2147483647);
  end if;
  if v_explanation ->> 'surface' = 'dynamic' then
    return query
    select *
    from authz._dynamic_paths(p_namespace, p_resource_type, p_permission, v_explanation -> 'tree',
      p_max_depth);
  else
    return query
    select * from authz._modelled_paths(v_explanation -> 'tree', p_max_depth);
  end if;
end
$$;

comment on function authz.explain(text, text, text, text, text, text, int) is
'The ways by which a subject comes to a permission.

path_type is direct (a tuple names the subject), group, hierarchy (a permission that implies it),
resource (a container has it), and for models userset, ttu (over a parent), condition (a tuple with
a condition that holds); excluded says for a denial what takes access away.
p_subject_type   type of the subject
p_subject_id     its id
p_permission     the permission
p_resource_type  type of the resource
p_resource_id    its id
p_namespace      the tenant
p_max_depth      only paths over at most so many groups, containers or usersets; null for all
Returns          path_type; via_relation, the relation of the tuple that grants; via_subject_type
                 and via_subject_id, the group, container or userset that has it, if it is not the
                 subject itself; via_membership, the subject''s relation to that; path_chain, the
                 groups, permissions, containers or usersets on the way. No row means no access
Errors           those of check, and not_positive (22023)
Example          select * from authz.explain(''user'', ''ann'', ''read'', ''repo'', ''api'');';

create or replace function authz.explain_text(
  p_subject_type text,
  p_subject_id text,
  p_permission text,
  p_resource_type text,
  p_resource_id text,
  p_namespace text default 'default'
) returns setof text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  v_subject text := concat(p_subject_type, ':', p_subject_id);
  v_resource text := concat(p_resource_type, ':', p_resource_id);
  v_path authz.permission_path;
  v_via text;
  v_chain text;
  v_is_said boolean := false;
begin
  for v_path in
    select *
    from authz.explain(p_subject_type, p_subject_id, p_permission, p_resource_type, p_resource_id,
      p_namespace)
  loop
    v_via := concat(v_path.via_subject_type, ':', v_path.via_subject_id);
    v_chain := array_to_string(v_path.path_chain, ' -> ');
    if v_path.path_type = 'excluded' then
      if not v_is_said then
        v_is_said := true;
        return next format('NO ACCESS: %s does not have %s on %s', v_subject, p_permission,
          v_resource);
      end if;
      return next format('EXCLUDED: %s has %s (%s)', v_subject, v_path.via_relation, v_chain);
      continue;
    end if;

    v_is_said := true;
    return next case
      when v_path.path_type = 'direct'
        then format('DIRECT: %s has %s on %s', v_subject, v_path.via_relation, v_resource)
      when v_path.path_type = 'group' and cardinality(v_path.path_chain) > 1
        then format('GROUP: %s is %s of %s (via %s) which has %s on %s', v_subject,
          v_path.via_membership, v_via, v_chain, v_path.via_relation, v_resource)
      when v_path.path_type = 'group'
        then format('GROUP: %s is %s of %s which has %s on %s', v_subject, v_path.via_membership,
          v_via, v_path.via_relation, v_resource)
      when v_path.path_type = 'hierarchy' and v_path.via_membership is not null
        then format('HIERARCHY: %s is %s of %s which has %s (%s) on %s', v_subject,
          v_path.via_membership, v_via, v_path.via_relation, v_chain, v_resource)
      when v_path.path_type = 'hierarchy'
        then format('HIERARCHY: %s has %s (%s) on %s', v_subject, v_path.via_relation, v_chain,
          v_resource)
      when v_path.path_type = 'resource'
        then format('RESOURCE: %s has %s on %s which contains %s', v_subject, v_path.via_relation,
          v_via, v_chain)
      when v_path.path_type = 'ttu'
        then format('RESOURCE: %s has %s on %s which contains %s', v_subject,
          v_path.via_membership, v_via, v_chain)
      when v_path.via_membership is not null
        then format('USERSET: %s is %s of %s (%s)%s', v_subject, v_path.via_membership, v_via,
          v_chain, case v_path.path_type when 'condition' then ' on a condition' else '' end)
      else format('DIRECT: %s has %s on %s on a condition', v_subject, v_path.via_relation,
        v_resource)
    end;
  end loop;

  if not v_is_said then
    return next format('NO ACCESS: %s does not have %s on %s', v_subject, p_permission, v_resource);
  end if;
end
$$;

comment on function authz.explain_text(text, text, text, text, text, text) is
'The ways by which a subject comes to a permission, one line each.

p_subject_type   type of the subject
p_subject_id     its id
p_permission     the permission
p_resource_type  type of the resource
p_resource_id    its id
p_namespace      the tenant
Returns          lines that begin with DIRECT, GROUP, HIERARCHY, RESOURCE or USERSET and a colon, or
                 one that begins with NO ACCESS, after which EXCLUDED says what takes access away
Errors           those of check
Example          select * from authz.explain_text(''user'', ''ann'', ''read'', ''repo'', ''api'');';
