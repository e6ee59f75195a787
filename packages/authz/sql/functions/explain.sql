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
  with path as materialized (
    select r.ord as container_ord, r.node ->> 'object' as object, r.chain as containers, c.ord,
      t.relation, t.subject_type, coalesce(t.subject_id_raw, t.subject_id) as subject_id,
      g.chain as groups, g.member
    from (
      select c.node, c.ord, (
          select array_agg(concat(v.resource_type, ':', coalesce(v.resource_id_raw, v.resource_id))
            order by e.ord)
          from jsonb_array_elements(c.node -> 'via') with ordinality e (node, ord)
          join authz.tuples v on v.namespace = p_namespace
            and v.id = (e.node ->> 'tuple_id')::bigint
        ) || (c.node ->> 'object') as chain
      from jsonb_array_elements(p_tree -> 'children') with ordinality c (node, ord)
      where c.node ? 'children'
        and coalesce(jsonb_array_length(c.node -> 'via'), 0) <= coalesce(p_max_depth, 2147483647)
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
  ),
  rule as materialized (
    select p.relation,
      authz._implication(p_namespace, p_resource_type, p.relation, p_permission) as chain
    from path p
    where p.container_ord = 1 and p.relation <> p_permission
    group by p.relation
  )
  select
    case
      when p.container_ord > 1 then 'resource'
      when p.relation <> p_permission then 'hierarchy'
      when p.member is not null then 'group'
      else 'direct'
    end,
    p.relation,
    case when p.container_ord > 1 then split_part(p.object, ':', 1)
      when p.member is not null then p.subject_type end,
    case when p.container_ord > 1 then substr(p.object, strpos(p.object, ':') + 1)
      when p.member is not null then p.subject_id end,
    p.member,
    case when p.container_ord > 1 then p.containers else coalesce(r.chain, p.groups) end
  from path p
  left join rule r on r.relation = p.relation
  order by p.container_ord, p.ord
$$;

comment on function authz._dynamic_paths(text, text, text, jsonb, int) is
'The paths in the tree of the dynamic rule, nearest resources first.';

create or replace function authz._modelled_paths(
  p_nodes jsonb[],
  p_levels int[],
  p_max_depth int
) returns setof authz.permission_path
language plpgsql
immutable
as $$
declare
  v_node jsonb;
  v_level int;
  v_above int;
  v_left_out int;
  v_operator text[];
  v_is_true boolean[];
  v_is_base_true boolean[];
  v_children int[];
  v_names text[];
  v_named int[];
  v_hop int[];
  v_hop_kind text[];
  v_hops int[];
  v_is_conditional boolean[];
  v_is_excluding boolean[];
  -- What the node has of the one above it, before it stands in the arrays.
  v_child int;
  v_count int;
  v_at int;
  v_kind text;
  v_is_so boolean;
  v_path authz.permission_path;
begin
  for v_place in 1 .. cardinality(p_nodes) loop
    v_level := p_levels[v_place];
    continue when v_level > v_left_out;
    v_left_out := null;

    v_above := v_level - 1;
    v_node := p_nodes[v_place];
    v_operator[v_level] := v_node ->> 'operator';
    v_is_true[v_level] := v_node ->> 'value' = 'true';
    v_children[v_level] := 0;
    v_count := coalesce(v_hops[v_above], 0)
      + case v_operator[v_above] when 'tuple' then 1 else 0 end;
    v_hops[v_level] := v_count;
    if v_above > 0 then
      v_child := v_children[v_above] + 1;
      v_children[v_above] := v_child;
      if v_child = 1 then
        v_is_base_true[v_above] := v_node ->> 'value' = 'true';
      end if;
      v_left_out := case
        when v_count > p_max_depth then v_level
        when v_operator[v_above] = 'exclusion'
          and (v_child = 1) = (not v_is_true[v_above] and v_is_base_true[v_above])
          then v_level
        when v_operator[v_above] <> 'exclusion' and v_is_true[v_level] <> v_is_true[v_above]
          then v_level
      end;
      continue when v_left_out = v_level;
    end if;

    v_at := v_hop[v_above];
    v_kind := v_hop_kind[v_above];
    if v_at is null and v_operator[v_above] = 'tuple' then
      v_at := v_place;
      v_kind := case v_operator[v_level - 2] when 'ttu' then 'ttu' else 'userset' end;
    end if;
    v_hop[v_level] := v_at;
    v_hop_kind[v_level] := v_kind;
    v_is_so := coalesce(v_is_conditional[v_above], false) or v_node ? 'condition';
    v_is_conditional[v_level] := v_is_so;
    v_is_so := coalesce(v_is_excluding[v_above] or v_is_true[v_level] and not v_is_true[v_above],
      false);
    v_is_excluding[v_level] := v_is_so;
    v_count := coalesce(v_named[v_above], 0);
    if v_node ? 'object' then
      v_count := v_count + 1;
      v_names[v_count] := concat(v_node ->> 'object', '#', v_node ->> 'relation');
    end if;
    v_named[v_level] := v_count;

    if v_is_true[v_level] and coalesce(p_levels[v_place + 1], 0) <= v_level then
      v_path.path_type := case
        when v_is_excluding[v_level] then 'excluded'
        when v_is_conditional[v_level] then 'condition'
        else coalesce(v_kind, 'direct')
      end;
      v_path.path_chain := v_names[1 : v_count];
      v_path.via_relation := substring(v_names[v_count] from '[^#]*$');
      v_path.via_subject_type := split_part(p_nodes[v_at] ->> 'object', ':', 1);
      v_path.via_subject_id := substr(p_nodes[v_at] ->> 'object',
        strpos(p_nodes[v_at] ->> 'object', ':') + 1);
      v_path.via_membership := p_nodes[v_at] ->> 'relation';
      return next v_path;
    end if;
  end loop;
end
$$;

comment on function authz._modelled_paths(jsonb[], int[], int) is
'The paths in the tree of a model''s decision that end in a tuple: of those that grant, or for a
denial of those that take away. What is known of the nodes above one stands in arrays by level.';

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
  v_namespace text collate "C" := p_namespace;
  v_subject_type text collate "C" := p_subject_type;
  v_subject_id text collate "C" := authz._nfc(p_subject_id);
  v_permission text collate "C" := p_permission;
  v_resource_type text collate "C" := p_resource_type;
  v_resource_id text collate "C" := authz._nfc(p_resource_id);
  v_result record;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_names(v_resource_type, v_resource_id, v_permission, v_subject_type,
    v_subject_id, p_relation_field => 'permission');
  if p_max_depth is not null then
    perform authz._check_limit(p_max_depth, 2147483647);
  end if;

  if not authz._answers_by_model(v_namespace, v_resource_type, v_permission) then
    v_result := authz._dynamic_tree(v_namespace, v_subject_type, v_subject_id, null, v_permission,
      v_resource_type, v_resource_id, null, 10000);
    return query
    select *
    from authz._dynamic_paths(v_namespace, v_resource_type, v_permission, v_result.tree,
      p_max_depth);
    return;
  end if;

  v_result := authz._evaluate_active(v_namespace, v_subject_type, v_subject_id, null,
    v_permission, v_resource_type, v_resource_id, null, null, 10000);
  if v_result.value = 'T' and v_result.nodes[1] ->> 'value' <> 'true' then
    return next ('truncated', null, null, null, null, null)::authz.permission_path;
    return;
  end if;
  return query
  select * from authz._modelled_paths(v_result.nodes, v_result.levels, p_max_depth);
end
$$;

comment on function authz.explain(text, text, text, text, text, text, int) is
'The ways by which a subject comes to a permission.

path_type is direct (a tuple names the subject), group, hierarchy (a permission that implies it),
resource (a container has it), and for models userset, ttu (over a parent), condition (a tuple with
a condition that holds); excluded says for a denial what takes access away, and truncated that there
is access, but the way to it is not among the 10,000 nodes that a model''s decision is followed for.
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
                 groups, permissions, containers or usersets on the way. No row means no access;
                 the nearest rows, if all would show more than 10,000 tuples and containers
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
      when v_path.path_type = 'truncated'
        then format('TRUNCATED: %s has %s on %s by a way that is too long to show', v_subject,
          p_permission, v_resource)
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
Returns          lines that begin with DIRECT, GROUP, HIERARCHY, RESOURCE, USERSET or TRUNCATED and
                 a colon, or one that begins with NO ACCESS, after which EXCLUDED says what takes
                 access away
Errors           those of check
Example          select * from authz.explain_text(''user'', ''ann'', ''read'', ''repo'', ''api'');';
