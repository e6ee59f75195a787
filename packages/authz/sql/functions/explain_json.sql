-- Explaining: the whole decision, rule by rule.
--
-- A second evaluator, which shares nothing with compiled programs but the functions of conditions:
-- it reads the stored model and follows its rules as they are written. It is slow and meant to be
-- read. It walks with a stack of its own, so that depth costs no stack of the server's, and gives
-- up after 2,500 nodes (10,000 to find the paths of explain, or the reason of an error): the value
-- of what it left out is unknown. The program is asked only what would grant after a denial, and
-- for the answer where the tree is too large to give it.
--
-- Until it is shown, a tree is the list of its nodes as one reads it from the top, each with its
-- level: to wrap JSON anew at each level takes the square of its depth.
--
-- A node is { "operator", "value": "true" | "false" | "unknown" | "cycle", "children"?: [node] }.
--
--   relation   a node with "object" and "relation" carries the operator of the relation's rule:
--              direct, computed, ttu (with "tupleset" and "computed"), union, intersection,
--              exclusion (children: base, subtract); or one of these leaves: self (the very
--              userset that is asked about), cycle (it is being decided further up), seen (decided
--              before in this tree), undefined (the type has no such relation), depth (more hops
--              than max_depth), truncated. Rules within rules have neither object nor relation
--   tuple      child of direct and ttu: "tuple" as text, "tuple_id" (none if contextual),
--              "condition"? { "name", "value", "missing"?: [parameter], "invalid"?: [parameter] },
--              and the userset or parent that it leads to as its only child
--   dynamic    the root for dynamic types, with "implied_by"; its children are the resource and all
--              that it is in: { "operator": "resource", "object", "via"?: [tuple], "children"?:
--              [tuple] }, where via is the chain of parents, and of a tuple that of memberships. A
--              resource whose userset is asked about has a leaf self, with "object" and "relation"
--
-- What a context holds is not part of it.

create or replace function authz._tuple_text(
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text
) returns text
language sql
immutable
as $$
  select p_resource_type || ':' || p_resource_id || '#' || p_relation || '@' || p_subject_type
    || ':' || p_subject_id || coalesce('#' || p_subject_relation, '')
$$;

comment on function authz._tuple_text(text, text, text, text, text, text) is
'A tuple as document:1#viewer@group:g#member.';

create or replace function authz._tuple_node(p_tuple authz.tuples) returns jsonb
language sql
stable
as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'operator', 'tuple',
    'tuple', authz._tuple_text(p_tuple.resource_type, p_tuple.resource_id, p_tuple.relation,
      p_tuple.subject_type, p_tuple.subject_id, p_tuple.subject_relation),
    'tuple_id', p_tuple.id::text
  ))
$$;

comment on function authz._tuple_node(authz.tuples) is 'A tuple as a node of a tree.';

create or replace function authz._condition_faults(
  p_condition jsonb,
  p_stored jsonb,
  p_context jsonb,
  out missing text[],
  out invalid text[]
)
language plpgsql
stable
as $$
declare
  v_given jsonb := coalesce(p_context, '{}') || coalesce(p_stored, '{}');
begin
  select array_agg(p.name order by p.name) filter (where not v_given ? p.name),
    array_agg(p.name order by p.name) filter (where v_given ? p.name and case p.type
      when 'list' then authz._cel_list(v_given -> p.name, p.element) is null
      when 'map' then authz._cel_map(v_given -> p.name, p.element) is null
      else not authz._cel_is(v_given -> p.name, p.type)
    end)
  into missing, invalid
  from (
    select e.key collate "C" as name, lower(substr(e.value ->> 'type_name', 11)) as type,
      coalesce(lower(substr(e.value #>> '{generic_types,0,type_name}', 11)), 'any') as element
    from jsonb_each(p_condition -> 'parameters') e
  ) p;
end
$$;

comment on function authz._condition_faults(jsonb, jsonb, jsonb) is
'The parameters of a condition that are not given, and those that are not of their type.';

create or replace function authz._condition_value(
  p_program text,
  p_name text,
  p_conditions jsonb,
  p_numbers jsonb,
  p_stored jsonb,
  p_context jsonb
) returns jsonb
language plpgsql
stable
as $$
declare
  v_value boolean;
  v_faults record;
begin
  execute format('select authz_rt.%I($1, $2)',
    format('m_%s_cond_%s', p_program, p_numbers ->> p_name))
  into v_value
  using p_stored, p_context;
  if v_value is not null then
    return jsonb_build_object('name', p_name, 'value', v_value::text);
  end if;

  v_faults := authz._condition_faults(p_conditions -> p_name, p_stored, p_context);
  return jsonb_strip_nulls(jsonb_build_object('name', p_name, 'value', 'unknown',
    'missing', to_jsonb(v_faults.missing), 'invalid', to_jsonb(v_faults.invalid)));
end
$$;

comment on function authz._condition_value(text, text, jsonb, jsonb, jsonb, jsonb) is
'The value of a condition, and if it is unknown the parameters that are missing or ill-typed.';

create or replace function authz._smallest(p_sets jsonb) returns jsonb
language plpgsql
immutable
as $$
begin
  if jsonb_array_length(p_sets) < 2 then
    return p_sets;
  end if;
  return (
    select jsonb_agg(s.tuples order by s.size, s.tuples)
    from (
      select distinct e as tuples, jsonb_array_length(e) as size
      from jsonb_array_elements(p_sets) e
      order by size, tuples
      limit 5
    ) s
  );
end
$$;

comment on function authz._smallest(jsonb) is 'The five smallest of several sets of tuples.';

create or replace function authz._combined(p_a jsonb, p_b jsonb) returns jsonb
language plpgsql
immutable
as $$
begin
  return authz._smallest((
    select coalesce(jsonb_agg((
      select coalesce(jsonb_agg(distinct t order by t), '[]')
      from jsonb_array_elements(a || b) t
    )), '[]')
    from jsonb_array_elements(p_a) a, jsonb_array_elements(p_b) b
  ));
end
$$;

comment on function authz._combined(jsonb, jsonb) is
'The five smallest sets that hold a set of the one and a set of the other.';

create or replace function authz._all_of(p_sets jsonb) returns jsonb
language plpgsql
immutable
as $$
declare
  v_all jsonb := '[[]]';
  v_some jsonb;
begin
  for v_some in
    select s from jsonb_array_elements(p_sets) s
  loop
    v_all := authz._combined(v_all, v_some);
  end loop;
  return v_all;
end
$$;

comment on function authz._all_of(jsonb) is
'The five smallest sets that hold one set of each of several lists of sets.';

create or replace function authz._evaluated_tuples(
  p_namespace text,
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_restrictions jsonb,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_to_relation text,
  p_hops int,
  p_contextual authz.tuple[],
  p_most int,
  p_program text,
  p_conditions jsonb,
  p_numbers jsonb,
  p_context jsonb
) returns jsonb
language plpgsql
stable
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_resource_id text collate "C" := p_resource_id;
  v_relation text collate "C" := p_relation;
  v_nodes jsonb;
begin
  select jsonb_agg(
    jsonb_build_object('operator', 'tuple',
      'condition', case c.result ->> 'value' when 'false' then 'F' when 'unknown' then 'U'
        else 'T' end,
      'shown', jsonb_strip_nulls(jsonb_build_object(
        'tuple', authz._tuple_text(t.resource_type, t.resource_id, t.relation, t.subject_type,
          t.subject_id, t.subject_relation),
        'tuple_id', t.id::text,
        'condition', c.result
      )))
    || case
      when coalesce(p_to_relation, t.subject_relation) is null then '{}'
      else jsonb_build_object('to', jsonb_build_object('operator', 'relation',
        'type', t.subject_type, 'id', t.subject_id,
        'relation', coalesce(p_to_relation, t.subject_relation), 'hops', p_hops + 1))
    end
    order by t.ord)
  into v_nodes
  from (
    select s.*, row_number() over (order by coalesce(s.subject_relation, ''), s.subject_type,
      s.subject_id) as ord
    from (
      select s.*
      from authz.tuples s
      where s.namespace = v_namespace
        and s.resource_type = v_resource_type
        and s.resource_id = v_resource_id
        and s.relation = v_relation
        and (s.expires_at is null or s.expires_at > howdah.now())
      union all
      select c.*
      from unnest(p_contextual) c
      where c.resource_type = v_resource_type
        and c.resource_id = v_resource_id
        and c.relation = v_relation
    ) s
    where (
        p_to_relation is not null
        or s.subject_relation is not null
        or (p_subject_relation is null and s.subject_type = p_subject_type
          and s.subject_id in (p_subject_id, '*'))
      )
      and exists (
        select 1
        from jsonb_array_elements(p_restrictions) r
        where r ->> 'type' = s.subject_type
          and nullif(r ->> 'relation', '') is not distinct from s.subject_relation
          and r ? 'wildcard' = (s.subject_id = '*')
          and nullif(r ->> 'condition', '') is not distinct from s.condition_name
      )
    order by ord
    limit p_most + 1
  ) t
  cross join lateral (
    select case when t.condition_name is not null then authz._condition_value(p_program,
      t.condition_name, p_conditions, p_numbers, t.condition_context, p_context) end as result
  ) c;

  if jsonb_array_length(v_nodes) > p_most then
    v_nodes := jsonb_set(v_nodes, array[p_most::text],
      '{"operator": "truncated", "value": "U"}');
  end if;
  return v_nodes;
end
$$;

comment on function authz._evaluated_tuples(
  text, text, text, text, jsonb, text, text, text, text, int, authz.tuple[], int, text, jsonb,
  jsonb, jsonb
) is
'The nodes of the tuples that a rule looks at: those of the subject itself, and those that lead to a
userset or a parent. The model ignores what its restrictions do not allow.';

create or replace function authz._evaluate(
  p_model jsonb,
  p_program text,
  p_numbers jsonb,
  p_max_depth int,
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_relation text,
  p_resource_type text,
  p_resource_id text,
  p_context jsonb,
  p_contextual authz.tuple[],
  p_most int,
  out value text,
  out nodes jsonb[],
  out levels int[],
  out missing jsonb,
  out faults jsonb,
  out is_truncated boolean
)
language plpgsql
stable
as $$
declare
  v_subject text := concat(p_subject_type, ':', p_subject_id, '#' || p_subject_relation);
  v_types jsonb;
  v_node jsonb[];
  v_operator text[];
  v_value text[];
  v_shown jsonb[];
  v_missing jsonb[];
  v_is_clean boolean[];
  v_first int[];
  v_last int[];
  v_level int[];
  v_order int[] := '{}';
  v_stack int[] := '{}';
  v_top int := 0;
  v_count int := 0;
  v_names text[];
  v_slots int[] := array_fill(0, array[1024]);
  v_slot int;
  v_before int[];
  v_at int;
  v_same int;
  v_name text collate "C";
  v_here jsonb;
  v_rule jsonb;
  v_kind text;
  v_relation text;
  v_add jsonb;
  v_values text;
  v_sets jsonb;
  v_are_clean boolean;
  -- An array that its own assignment reads is copied whole, so what becomes of an element is put
  -- together here.
  v_depth int;
  v_outcome text;
  v_lacks jsonb;
  v_view jsonb;
begin
  is_truncated := false;
  faults := '[]';
  select jsonb_object_agg(t ->> 'type', t) into v_types
  from jsonb_array_elements(p_model -> 'type_definitions') t;
  v_add := jsonb_build_array(jsonb_build_object('operator', 'relation', 'type', p_resource_type,
    'id', p_resource_id, 'relation', p_relation, 'hops', 0));

  loop
    -- What the node above needs is put on the stack, its first part on top.
    if v_add is not null then
      if v_at is not null then
        v_last[v_at] := v_count + jsonb_array_length(v_add);
      end if;
      v_depth := coalesce(v_level[v_at], 0) + 1;
      for v_i in 1 .. jsonb_array_length(v_add) loop
        v_count := v_count + 1;
        v_here := v_add -> (v_i - 1);
        v_node[v_count] := v_here;
        v_operator[v_count] := v_here ->> 'operator';
        v_value[v_count] := v_here ->> 'value';
        v_shown[v_count] := coalesce(v_here -> 'shown', '{}');
        v_is_clean[v_count] := v_operator[v_count] <> 'truncated';
        v_level[v_count] := v_depth;
        v_first[v_count] := 1;
        v_last[v_count] := 0;
        v_stack[v_top + jsonb_array_length(v_add) - v_i + 1] := v_count;
      end loop;
      v_top := v_top + jsonb_array_length(v_add);
      v_add := null;
    end if;
    exit when v_top = 0;

    v_at := v_stack[v_top];
    if v_at > 0 then
      v_stack[v_top] := -v_at;
      v_order := v_order || v_at;
      v_first[v_at] := v_count + 1;
      v_last[v_at] := v_count;
      v_here := v_node[v_at];
      v_rule := v_here -> 'rule';

      if v_operator[v_at] = 'relation' then
        v_name := concat(v_here ->> 'type', ':', v_here ->> 'id', '#', v_here ->> 'relation');
        v_shown[v_at] := jsonb_build_object('relation', v_here ->> 'relation',
          'object', concat(v_here ->> 'type', ':', v_here ->> 'id'));
        v_slot := (hashtextextended(v_name, 0) & 1023)::int + 1;
        v_same := v_slots[v_slot];
        while v_names[v_same] <> v_name loop
          v_same := v_before[v_same];
        end loop;
        v_rule := v_types #> array[v_here ->> 'type', 'relations', v_here ->> 'relation'];
        if p_subject_relation is not null and v_name = v_subject then
          v_operator[v_at] := 'self';
          v_value[v_at] := 'T';
        elsif v_same > 0 and v_value[v_same] is null then
          v_operator[v_at] := 'cycle';
          v_value[v_at] := 'C';
          v_is_clean[v_at] := false;
        elsif v_rule is null then
          v_operator[v_at] := 'undefined';
          v_value[v_at] := 'F';
        elsif (v_here ->> 'hops')::int > p_max_depth then
          v_operator[v_at] := 'depth';
          v_value[v_at] := 'U';
          v_is_clean[v_at] := false;
        elsif v_is_clean[v_same]
          and (p_max_depth is null or v_here -> 'hops' <= v_node[v_same] -> 'hops')
        then
          v_operator[v_at] := 'seen';
          v_outcome := v_value[v_same];
          v_value[v_at] := v_outcome;
          v_lacks := v_missing[v_same];
          v_missing[v_at] := v_lacks;
        elsif v_count >= p_most then
          v_operator[v_at] := 'truncated';
          v_value[v_at] := 'U';
          v_is_clean[v_at] := false;
          is_truncated := true;
        else
          v_names[v_at] := v_name;
          v_before[v_at] := v_slots[v_slot];
          v_slots[v_slot] := v_at;
        end if;
      end if;

      v_kind := (select k from jsonb_object_keys(v_rule) k limit 1);
      continue when v_value[v_at] is not null;
      case
        when v_operator[v_at] = 'tuple' then
          if v_here ? 'to' and v_here ->> 'condition' <> 'F' then
            v_add := jsonb_build_array(v_here -> 'to');
          end if;

        when v_kind in ('this', 'tupleToUserset') then
          v_operator[v_at] := 'direct';
          v_relation := v_here ->> 'relation';
          if v_kind = 'tupleToUserset' then
            v_operator[v_at] := 'ttu';
            v_relation := v_rule #>> '{tupleToUserset,tupleset,relation}';
            v_view := v_shown[v_at] || jsonb_build_object('tupleset', v_relation,
              'computed', v_rule #>> '{tupleToUserset,computedUserset,relation}');
            v_shown[v_at] := v_view;
          end if;
          v_add := authz._evaluated_tuples(
            p_namespace, v_here ->> 'type', v_here ->> 'id', v_relation,
            v_types #> array[v_here ->> 'type', 'metadata', 'relations', v_relation,
              'directly_related_user_types'],
            p_subject_type, p_subject_id, p_subject_relation,
            v_rule #>> '{tupleToUserset,computedUserset,relation}', (v_here ->> 'hops')::int,
            p_contextual, greatest(p_most - v_count, 1), p_program, p_model -> 'conditions',
            p_numbers, p_context);
          if v_add @> '[{"operator": "truncated"}]' then
            is_truncated := true;
          end if;
          if v_add @> '[{"condition": "U"}]' then
            select jsonb_agg(distinct f) into faults
            from (
              select t #> '{shown,condition}' as f
              from jsonb_array_elements(v_add) t
              where t ->> 'condition' = 'U'
              union all
              select f from jsonb_array_elements(faults) f
            ) found;
          end if;

        when v_kind = 'computedUserset' then
          v_operator[v_at] := 'computed';
          v_add := jsonb_build_array((v_here - '{rule,shown}'::text[]) || jsonb_build_object(
            'operator', 'relation', 'relation', v_rule #>> '{computedUserset,relation}'));

        when v_kind = 'difference' then
          v_operator[v_at] := 'exclusion';
          v_add := jsonb_build_array(
            v_here || jsonb_build_object('operator', 'rule', 'rule', v_rule #> '{difference,base}'),
            v_here || jsonb_build_object('operator', 'rule', 'rule',
              v_rule #> '{difference,subtract}'));

        else
          v_operator[v_at] := v_kind;
          select jsonb_agg(v_here || jsonb_build_object('operator', 'rule', 'rule', c.rule)
            order by c.ord) into v_add
          from jsonb_array_elements(v_rule #> array[v_kind, 'child']) with ordinality c (rule, ord);
      end case;

    else
      v_at := -v_at;
      v_top := v_top - 1;
      v_here := v_node[v_at];
      select coalesce(string_agg(v_value[c], '' order by c), ''),
        coalesce(bool_and(v_is_clean[c]), true), coalesce(jsonb_agg(v_missing[c] order by c), '[]')
      into v_values, v_are_clean, v_sets
      from generate_series(v_first[v_at], v_last[v_at]) c;

      v_are_clean := v_are_clean and v_is_clean[v_at];
      v_is_clean[v_at] := v_are_clean;
      v_outcome := coalesce(v_value[v_at], case
        when v_operator[v_at] = 'exclusion' then case
          when left(v_values, 1) in ('F', 'C') or right(v_values, 1) = 'F' then left(v_values, 1)
          when right(v_values, 1) = 'T' then 'F'
          else right(v_values, 1)
        end
        when v_operator[v_at] in ('intersection', 'tuple') then
          substring('FCUT' from concat('[', v_values, v_here ->> 'condition', ']'))
        else substring('TUCF' from '[F' || v_values || ']')
      end);
      v_value[v_at] := v_outcome;

      v_lacks := coalesce(v_missing[v_at], case
        when v_outcome = 'T' then '[[]]'
        when v_operator[v_at] in ('union', 'computed', 'ttu', 'direct') then authz._smallest((
          select coalesce(jsonb_agg(s), '[]')
          from jsonb_array_elements(v_sets) c, jsonb_array_elements(c) s
        ) || case
          when v_operator[v_at] = 'direct' and exists (
            select 1
            from jsonb_array_elements(v_types #> array[v_here ->> 'type', 'metadata', 'relations',
              v_here ->> 'relation', 'directly_related_user_types']) r
            where r ->> 'type' = p_subject_type
              and nullif(r ->> 'relation', '') is not distinct from p_subject_relation
              and r ? 'wildcard' = (p_subject_id = '*')
              and nullif(r ->> 'condition', '') is null
          ) then jsonb_build_array(jsonb_build_array(authz._tuple_text(v_here ->> 'type',
            v_here ->> 'id', v_here ->> 'relation', p_subject_type, p_subject_id,
            p_subject_relation)))
          else '[]'
        end)
        when v_operator[v_at] = 'intersection' then authz._all_of(v_sets)
        when v_operator[v_at] = 'exclusion' and right(v_values, 1) = 'F' then v_sets -> 0
        when v_operator[v_at] = 'tuple' and v_here ->> 'condition' = 'T' then v_sets -> 0
      end, '[]');
      v_missing[v_at] := v_lacks;

      v_view := v_shown[v_at] || jsonb_build_object('operator', v_operator[v_at],
        'value', authz._value_name(v_outcome));
      v_shown[v_at] := v_view;
    end if;
  end loop;

  value := v_value[1];
  missing := v_missing[1];
  select array_agg(v_shown[o.node] order by o.place), array_agg(v_level[o.node] order by o.place)
  into nodes, levels
  from unnest(v_order) with ordinality o (node, place);
end
$$;

comment on function authz._evaluate(
  jsonb, text, jsonb, int, text, text, text, text, text, text, text, jsonb, authz.tuple[], int
) is
'Evaluate a model''s rules as they are written: T, F, U (unknown) or C (false because of a cycle),
the tree, up to five sets of tuples that might grant, and the conditions that are unknown. A node is
taken from an earlier place in the tree if no cycle and no limit was met below it: then nothing of
it depends on the way to it. Nodes are found again by the hashes of their names.';

create or replace function authz._nested(p_nodes jsonb[], p_levels int[]) returns jsonb
language sql
immutable
as $$
  select string_agg(concat(
      left(n.node::text, -1),
      case
        when n.next > n.level then ', "children": ['
        else '}' || repeat(']}', n.level - coalesce(n.next, 1))
      end,
      case when n.next <= n.level then ', ' end
    ), '' order by n.place)::jsonb
  from (
    select u.node, u.level, u.place, lead(u.level) over (order by u.place) as next
    from unnest(p_nodes, p_levels) with ordinality u (node, level, place)
  ) n
$$;

comment on function authz._nested(jsonb[], int[]) is
'A tree of its nodes from the top, the first one of level 1, and their levels.';

create or replace function authz._value_name(p_value text) returns text
language sql
immutable
as $$
  select case p_value
    when 'T' then 'true'
    when 'F' then 'false'
    when 'U' then 'unknown'
    else 'cycle'
  end
$$;

comment on function authz._value_name(text) is 'A value of the evaluator as its readers see it.';

create or replace function authz._breadth_first(p_count int, p_from int[], p_to int[])
returns table (at int, of int, depth int, node int, edge int)
language plpgsql
immutable
as $$
declare
  v_first int[] := array_fill(0, array[p_count]);
  v_depth int[] := array_fill(null::int, array[p_count]);
  v_queue int[] := '{1}';
  v_from int;
begin
  for v_edge in reverse coalesce(cardinality(p_from), 0) .. 1 loop
    v_first[p_from[v_edge]] := v_edge;
  end loop;

  at := 1;
  depth := 0;
  node := 1;
  v_depth[1] := 0;
  return next;

  for v_at in 1 .. p_count loop
    of := v_at;
    v_from := v_queue[v_at];
    edge := v_first[v_from];
    while p_from[edge] = v_from loop
      node := p_to[edge];
      if v_depth[node] is null then
        at := at + 1;
        depth := v_depth[v_from] + 1;
        v_depth[node] := depth;
        v_queue[at] := node;
        return next;
      end if;
      edge := edge + 1;
    end loop;
  end loop;
end
$$;

comment on function authz._breadth_first(int, int[], int[]) is
'The nodes of a graph, those nearest to node 1 first, each with its depth, the edge by which it was
reached, and the place in this list of the node that it was reached from. Edges are given by their
ends, in the order of where they begin.';

create or replace function authz._via(p_of int[], p_steps jsonb[], p_at bigint) returns jsonb
language plpgsql
immutable
as $$
declare
  v_at int := p_at;
  v_via jsonb[];
begin
  while v_at > 1 loop
    v_via := array_prepend(p_steps[v_at], v_via);
    v_at := p_of[v_at];
  end loop;
  return case when v_via is null then '{}' else jsonb_build_object('via', v_via) end;
end
$$;

comment on function authz._via(int[], jsonb[], bigint) is
'The steps by which a place is reached from the first one: each place has the last of them, and the
place that this comes from.';

create or replace function authz._containers(
  p_namespace text,
  p_resource_type text,
  p_resource_id text,
  p_contextual authz.tuple[]
) returns table (at int, of int, depth int, type text, id text, step jsonb)
language plpgsql
stable
as $$
declare
  -- The index of edges, which does not begin with the resource, could serve a literal.
  v_parent text collate "C" := 'parent';
begin
  return query
  with recursive walk as (
    select p_resource_type collate "C" as type, p_resource_id collate "C" as id
    union
    select parent.*
    from walk w
    cross join lateral (
      select t.subject_type, t.subject_id
      from authz._live_x(p_namespace, p_contextual) t
      where t.resource_type = w.type
        and t.resource_id = w.id
        and t.relation = v_parent
      offset 0
    ) parent
  ),
  container as materialized (
    select w.type, w.id, row_number() over (
      order by (w.type, w.id) <> (p_resource_type, p_resource_id), w.type, w.id)::int as node
    from walk w
  ),
  parent as materialized (
    select c.node, p.*
    from container c
    cross join lateral (
      select t.subject_type, t.subject_id, authz._tuple_node(t) as step
      from authz._live_x(p_namespace, p_contextual) t
      where t.resource_type = c.type
        and t.resource_id = c.id
        and t.relation = v_parent
      offset 0
    ) p
  ),
  edge as materialized (
    select p.node as from_node, c.node as to_node, p.step,
      row_number() over (order by p.node, c.node, p.step) as edge
    from parent p
    join container c on (c.type, c.id) = (p.subject_type, p.subject_id)
  )
  select b.at, b.of, b.depth, c.type, c.id, e.step
  from authz._breadth_first(
    (select count(*)::int from container),
    (select array_agg(e.from_node order by e.edge) from edge e),
    (select array_agg(e.to_node order by e.edge) from edge e)
  ) b
  join container c on c.node = b.node
  left join edge e on e.edge = b.edge;
end
$$;

comment on function authz._containers(text, text, text, authz.tuple[]) is
'A resource and all that it is in, nearest first, each with the parent tuple by which it was reached
and the place of the one that it was reached from.';

create or replace function authz._memberships(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_contextual authz.tuple[]
) returns table (at int, of int, depth int, type text, id text, relation text, step jsonb)
language plpgsql
stable
as $$
declare
  v_asked authz.tuple[] := authz._asked(p_namespace, p_subject_type, p_subject_id,
    p_subject_relation, p_contextual);
  v_types text[] collate "C" := authz._types(p_namespace, 'subject', v_asked);
begin
  return query
  with member as materialized (
    select p_subject_type collate "C" as type, p_subject_id collate "C" as id,
      p_subject_relation collate "C" as relation, 1 as node
    union all
    select g.type, g.id, g.relation,
      1 + row_number() over (order by g.type, g.id, g.relation)::int
    from authz._groups(p_namespace, p_subject_type,
      case when p_subject_relation is null then p_subject_id else '' end, v_types, v_asked) g
    where (g.type, g.id, g.relation)
      is distinct from (p_subject_type, p_subject_id, p_subject_relation)
  ),
  named as materialized (
    select m.node, n.*
    from member m
    cross join lateral (
      select t.resource_type, t.resource_id, t.relation, authz._tuple_node(t) as step
      from authz._live_x(p_namespace, p_contextual) t
      where m.relation is null
        and t.subject_type = m.type
        and t.subject_id = m.id
        and t.subject_relation is null
        and t.resource_type = any (v_types)
      union all
      select t.resource_type, t.resource_id, t.relation, authz._tuple_node(t)
      from authz._live_x(p_namespace, p_contextual) t
      where m.relation is not null
        and t.relation = 'member'
        and t.subject_type = m.type
        and t.subject_id = m.id
        and (t.subject_relation is null or t.subject_relation = m.relation)
      offset 0
    ) n
  ),
  edge as materialized (
    select n.node as from_node, m.node as to_node, n.step,
      row_number() over (order by n.node, m.node, n.step) as edge
    from named n
    join member m on (m.type, m.id, m.relation) = (n.resource_type, n.resource_id, n.relation)
  )
  select b.at, b.of, b.depth, m.type, m.id, m.relation, e.step
  from authz._breadth_first(
    (select count(*)::int from member),
    (select array_agg(e.from_node order by e.edge) from edge e),
    (select array_agg(e.to_node order by e.edge) from edge e)
  ) b
  join member m on m.node = b.node
  left join edge e on e.edge = b.edge;
end
$$;

comment on function authz._memberships(text, text, text, text, authz.tuple[]) is
'A subject, or a userset, and all groups that it is in, nearest first, each with the tuple by which
it was reached and the place of the one that it was reached from.';

create or replace function authz._dynamic_tree(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_permission text,
  p_resource_type text,
  p_resource_id text,
  p_contextual authz.tuple[],
  p_most int,
  out tree jsonb,
  out missing jsonb,
  out is_truncated boolean
)
language plpgsql
stable
as $$
declare
  v_implied text[] collate "C" :=
    authz._implied_by(p_namespace, p_resource_type, p_permission);
  v_types text[] collate "C";
  v_ids text[] collate "C";
  v_container_of int[];
  v_container_depth int[];
  v_container_step jsonb[];
  v_member_types text[] collate "C";
  v_member_ids text[] collate "C";
  v_member_relations text[] collate "C";
  v_member_of int[];
  v_member_depth int[];
  v_member_step jsonb[];
begin
  select array_agg(c.type order by c.at), array_agg(c.id order by c.at),
    array_agg(c.of order by c.at), array_agg(c.depth order by c.at),
    array_agg(c.step order by c.at)
  into v_types, v_ids, v_container_of, v_container_depth, v_container_step
  from authz._containers(p_namespace, p_resource_type, p_resource_id, p_contextual) c;
  select array_agg(m.type order by m.at), array_agg(m.id order by m.at),
    array_agg(m.relation order by m.at), array_agg(m.of order by m.at),
    array_agg(m.depth order by m.at), array_agg(m.step order by m.at)
  into v_member_types, v_member_ids, v_member_relations, v_member_of, v_member_depth,
    v_member_step
  from authz._memberships(p_namespace, p_subject_type, p_subject_id, p_subject_relation,
    p_contextual) m;

  with container as materialized (
    select *
    from unnest(v_types, v_ids, v_container_depth) with ordinality c (type, id, depth, at)
  ),
  named as materialized (
    select c.*, n.*
    from container c
    cross join unnest(v_implied) i (relation)
    cross join lateral (
      select t.relation, t.subject_type, t.subject_id, t.subject_relation
      from authz._live_x(p_namespace, p_contextual) t
      where t.resource_type = c.type
        and t.resource_id = c.id
        and t.relation = i.relation
      offset 0
    ) n
  ),
  reached as materialized (
    select distinct on (n.at, n.relation, n.subject_type, n.subject_id, n.subject_relation)
      n.*, m.at as member_at, m.depth as member_depth
    from named n
    join unnest(v_member_types, v_member_ids, v_member_relations, v_member_depth)
      with ordinality m (type, id, relation, depth, at)
      on (m.type, m.id) = (n.subject_type, n.subject_id)
      and (n.subject_relation is null or n.subject_relation = m.relation)
    order by n.at, n.relation, n.subject_type, n.subject_id, n.subject_relation, m.at
  ),
  granting as materialized (
    select c.at, c.depth, 1 as member_at, 0 as member_depth, '' as text,
      jsonb_build_object('operator', 'self', 'object', concat(c.type, ':', c.id),
        'relation', p_subject_relation) as node
    from container c
    where (c.type, c.id) = (p_subject_type, p_subject_id)
      and p_subject_relation = any (v_implied)
    union all
    select r.at, r.depth, r.member_at, r.member_depth, granted.node ->> 'tuple', granted.node
    from reached r
    cross join lateral (
      select authz._tuple_node(t) as node
      from authz._live_x(p_namespace, p_contextual) t
      where t.resource_type = r.type
        and t.resource_id = r.id
        and t.relation = r.relation
        and t.subject_type = r.subject_type
        and t.subject_id = r.subject_id
        and t.subject_relation is not distinct from r.subject_relation
      offset 0
    ) granted
  ),
  priced as (
    select g.*, 1 + g.member_depth + case
        when row_number() over (partition by g.at order by g.text, g.node) = 1 then 1 + g.depth
        else 0
      end as size
    from granting g
  ),
  shown as materialized (
    select *
    from (
      select p.*, sum(p.size) over (order by p.at, p.text, p.node) - p.size as before
      from priced p
    ) p
    where p.before < p_most
  ),
  resource as (
    select c.at, concat(c.type, ':', c.id) as object, s.grants,
      (select coalesce(sum(s.size), 0) from shown s) - (1 + c.depth)
        + sum(case when s.grants is null then 1 + c.depth else 0 end) over (order by c.at) as before
    from container c
    left join (
      select s.at, jsonb_agg(s.node || '{"value": "true"}'
        || authz._via(v_member_of, v_member_step, s.member_at) order by s.text, s.node) as grants
      from shown s
      group by s.at
    ) s on s.at = c.at
    where s.at is not null or c.at not in (select g.at from granting g)
  )
  select
    jsonb_build_object('operator', 'dynamic', 'object', concat(p_resource_type, ':', p_resource_id),
      'relation', p_permission, 'implied_by', v_implied,
      'value', (exists (select from granting))::text,
      'children', jsonb_agg(
        jsonb_build_object('operator', 'resource', 'object', r.object,
          'value', (r.grants is not null)::text)
        || authz._via(v_container_of, v_container_step, r.at)
        || case when r.grants is null then '{}' else jsonb_build_object('children', r.grants) end
        order by r.at)),
    count(*) < cardinality(v_types)
      or (select count(*) from shown) < (select count(*) from granting)
  into tree, is_truncated
  from resource r
  where r.grants is not null or r.before < p_most;

  missing := '[]';
  if tree ->> 'value' = 'false' then
    select jsonb_agg(jsonb_build_array(m.tuple) order by m.at, m.tuple) into missing
    from (
      select 0 as at, authz._tuple_text(p_resource_type, p_resource_id, p_permission,
        p_subject_type, p_subject_id, p_subject_relation) as tuple
      union all
      (
        select min(c.at), authz._tuple_text(named.subject_type, named.subject_id,
          coalesce(named.subject_relation, 'member'), p_subject_type, p_subject_id,
          p_subject_relation)
        from unnest(v_types, v_ids) with ordinality c (type, id, at)
        cross join unnest(v_implied) i (relation)
        cross join lateral (
          select t.subject_type, t.subject_id, t.subject_relation
          from authz._live_x(p_namespace, p_contextual) t
          where t.resource_type = c.type
            and t.resource_id = c.id
            and t.relation = i.relation
            and (t.subject_relation is not null or t.subject_type <> p_subject_type)
          limit 4
        ) named
        group by 2
        order by 1, 2
        limit 4
      )
    ) m;
  end if;
end
$$;

comment on function authz._dynamic_tree(
  text, text, text, text, text, text, text, authz.tuple[], int
) is
'The tree of the dynamic rule: the resource and all that it is in, nearest first, with the tuples
that grant, and for a denial the tuples that would. Where it has more nodes than p_most, what grants
goes before what does not, and the first way is always whole.';

create or replace function authz._explain(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_permission text,
  p_resource_type text,
  p_resource_id text,
  p_context jsonb default null,
  p_contextual authz.tuple[] default null
) returns jsonb
language plpgsql
stable
as $$
declare
  v_answer jsonb := jsonb_build_object(
    'subject', concat(p_subject_type, ':', p_subject_id, '#' || p_subject_relation),
    'permission', p_permission, 'resource', concat(p_resource_type, ':', p_resource_id));
  v_result record;
  v_missing jsonb := '[]';
  v_set jsonb;
  v_allowed boolean;
begin
  if not authz._answers_by_model(p_namespace, p_resource_type, p_permission) then
    v_result := authz._dynamic_tree(p_namespace, p_subject_type, p_subject_id, p_subject_relation,
      p_permission, p_resource_type, p_resource_id, p_contextual, 2500);
    return v_answer || jsonb_build_object('surface', 'dynamic',
      'allowed', v_result.tree ->> 'value' = 'true',
      'tree', v_result.tree, 'missing', v_result.missing)
      || case when v_result.is_truncated then '{"truncated": true}'::jsonb else '{}' end;
  end if;

  v_result := authz._evaluate_active(p_namespace, p_subject_type, p_subject_id,
    p_subject_relation, p_permission, p_resource_type, p_resource_id, p_context, p_contextual,
    2500);
  v_allowed := case v_result.value when 'T' then true when 'U' then null else false end;
  if not v_allowed then
    for v_set in
      select s from jsonb_array_elements(v_result.missing) s
    loop
      if authz._check_by_name(authz._active_program(p_namespace), p_namespace, p_subject_type,
        p_subject_id, p_subject_relation, p_permission, p_resource_type, p_resource_id, p_context,
        p_contextual || array(
          select t from authz._tuples_of(p_namespace, 'missing', v_set, 1000) t
        ))
      then
        v_missing := v_missing || jsonb_build_array(v_set);
      end if;
    end loop;
  end if;

  return v_answer || jsonb_build_object('surface', 'modelled',
    'allowed', v_allowed,
    'tree', authz._nested(v_result.nodes, v_result.levels), 'missing', v_missing)
    || case when v_result.is_truncated then '{"truncated": true}' else '{}'::jsonb end;
end
$$;

comment on function authz._explain(
  text, text, text, text, text, text, text, jsonb, authz.tuple[]
) is
'explain_json for names that have been checked. The program has been
asked about every set of missing tuples.';

create or replace function authz._answers_by_model(
  p_namespace text,
  p_resource_type text,
  p_relation text
) returns boolean
language plpgsql
stable
as $$
declare
  v_program text := authz._program_for(p_namespace, p_resource_type);
  v_refusal text;
begin
  if v_program is null then
    return false;
  end if;

  v_refusal := authz._refusal(v_program, p_resource_type, p_relation, '', '', null, null);
  if v_refusal in ('type_unknown', 'relation_unknown') then
    perform authz._fail_unknown('resource_type', p_resource_type,
      case v_refusal when 'relation_unknown' then p_relation end);
  end if;
  return v_refusal is not null;
end
$$;

comment on function authz._answers_by_model(text, text, text) is
'Whether the model decides about a type, or else the dynamic rule; raises for a type or relation
that a strict model does not define. No model lets a tuple without a subject be written, so a type
that it knows refuses one.';

create or replace function authz._evaluate_active(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_permission text,
  p_resource_type text,
  p_resource_id text,
  p_context jsonb,
  p_contextual authz.tuple[],
  p_most int default 10000,
  out value text,
  out nodes jsonb[],
  out levels int[],
  out missing jsonb,
  out faults jsonb,
  out is_truncated boolean
)
language plpgsql
stable
as $$
declare
  v_active authz.active_models := authz._active_model(p_namespace);
begin
  select e.value, e.nodes, e.levels, e.missing, e.faults, e.is_truncated
  into value, nodes, levels, missing, faults, is_truncated
  from authz.models m
  join authz.programs p on p.namespace = 'global' and p.hash = v_active.hash
  cross join lateral authz._evaluate(m.model, left(p.hash, 12), p.ir -> 'conditions',
    (m.options ->> 'max_depth')::int, p_namespace, p_subject_type, p_subject_id,
    p_subject_relation, p_permission, p_resource_type, p_resource_id, p_context, p_contextual,
    p_most) e
  where m.namespace = v_active.namespace and m.id = v_active.model_id;

  if is_truncated and value = 'U' then
    value := case authz._check_by_name(left(v_active.hash, 12), p_namespace, p_subject_type,
        p_subject_id, p_subject_relation, p_permission, p_resource_type, p_resource_id, p_context,
        p_contextual)
      when true then 'T'
      when false then 'F'
      else 'U'
    end;
  end if;
end
$$;

comment on function authz._evaluate_active(
  text, text, text, text, text, text, text, jsonb, authz.tuple[], int
) is
'_evaluate with the model that the namespace answers by. Where the tree is too large to tell the
value, it is the program''s.';

create or replace function authz._unknown_reason(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_relation text,
  p_resource_type text,
  p_resource_id text,
  p_context jsonb,
  p_contextual authz.tuple[] default null,
  out code text,
  out conditions text,
  out missing text[],
  out invalid text[]
)
language plpgsql
stable
as $$
declare
  v_result record := authz._evaluate_active(p_namespace, p_subject_type, p_subject_id,
    p_subject_relation, p_relation, p_resource_type, p_resource_id, p_context, p_contextual);
begin
  code := 'resolution_too_complex';
  if v_result.value = 'U' then
    select string_agg(distinct f ->> 'name', ', '),
      array_agg(distinct m.name) filter (where m.kind = 'missing'),
      array_agg(distinct m.name) filter (where m.kind = 'invalid')
    into conditions, missing, invalid
    from jsonb_array_elements(v_result.faults) f
    left join lateral (
      select 'missing' as kind, n as name
      from jsonb_array_elements_text(f -> 'missing') n
      union all
      select 'invalid', n
      from jsonb_array_elements_text(f -> 'invalid') n
    ) m on true;
    code := case
      when missing is not null then 'condition_context_missing'
      when conditions is not null then 'condition_invalid'
      else code
    end;
  end if;
end
$$;

comment on function authz._unknown_reason(
  text, text, text, text, text, text, text, jsonb, authz.tuple[]
) is
'Why a check has no answer: the error''s code, and what conditions lack. Takes what check takes.';

create or replace function authz._raise_unknown(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_relation text,
  p_resource_type text,
  p_resource_id text,
  p_context jsonb,
  p_contextual authz.tuple[] default null
) returns void
language plpgsql
stable
as $$
declare
  v_reason record := authz._unknown_reason(p_namespace, p_subject_type, p_subject_id,
    p_subject_relation, p_relation, p_resource_type, p_resource_id, p_context, p_contextual);
begin
  perform howdah.fail('authz', v_reason.code,
    case v_reason.code
      when 'condition_context_missing' then
        format('condition %s needs %s', v_reason.conditions,
          array_to_string(v_reason.missing, ', '))
      when 'condition_invalid' then
        format('condition %s cannot be decided%s', v_reason.conditions,
          coalesce(': ' || array_to_string(v_reason.invalid, ', ')
            || ' must be of the type that the model declares', ''))
      else
        format('%s of %s:%s takes more hops over usersets and parents than may be followed',
          left(p_relation, 100), left(p_resource_type, 100), left(p_resource_id, 100))
    end,
    case v_reason.code when 'resolution_too_complex' then '54001' else '22023' end,
    jsonb_strip_nulls(jsonb_build_object('resource_type', left(p_resource_type, 100),
      'resource_id', left(p_resource_id, 100), 'relation', left(p_relation, 100),
      'missing', v_reason.missing, 'invalid', v_reason.invalid)),
    case v_reason.code
      when 'condition_context_missing' then 'Pass the missing parameters in context.'
      when 'condition_invalid' then 'Pass every parameter as the model declares it.'
      else 'Nest less deeply, or raise max_depth of the model.'
    end);
end
$$;

comment on function authz._raise_unknown(
  text, text, text, text, text, text, text, jsonb, authz.tuple[]
) is
'Raise why a check has no answer: condition_context_missing, condition_invalid or
resolution_too_complex. Takes what check takes.';

create or replace function authz.explain_json(
  p_subject_type text,
  p_subject_id text,
  p_permission text,
  p_resource_type text,
  p_resource_id text,
  p_namespace text default 'default',
  p_subject_relation text default null,
  p_context jsonb default null,
  p_contextual_tuples jsonb default null
) returns jsonb
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
  v_subject_relation text collate "C" := p_subject_relation;
  v_permission text collate "C" := p_permission;
  v_resource_type text collate "C" := p_resource_type;
  v_resource_id text collate "C" := authz._nfc(p_resource_id);
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_names(v_resource_type, v_resource_id, v_permission, v_subject_type,
    v_subject_id, v_subject_relation, p_relation_field => 'permission');
  perform authz._check_context('context', p_context);
  return authz._explain(v_namespace, v_subject_type, v_subject_id, v_subject_relation,
    v_permission, v_resource_type, v_resource_id, p_context,
    authz._contextual(v_namespace, authz._active_program(v_namespace), p_contextual_tuples));
end
$$;

comment on function authz.explain_json(
  text, text, text, text, text, text, text, jsonb, jsonb
) is
'Why a check answers what it answers: the whole decision as a tree. Conditions that lack a parameter
do not fail, they show as unknown.

The keys are subject, permission, resource, surface (modelled or dynamic), allowed (null if
unknown), tree, missing (for a denial: up to five smallest sets of tuples that would grant) and
truncated. Every node of the tree has operator, value and children.
p_subject_type       what kind of thing the subject is
p_subject_id         which one
p_permission         what it wants: a relation of the model, or a permission
p_resource_type      what kind of thing the resource is
p_resource_id        which one
p_namespace          the tenant
p_subject_relation   ask about all who have this relation to the subject
p_context            parameters of conditions, an object of at most 64 kB; it is not shown
p_contextual_tuples  tuples that count for this call only, at most 100
Returns              the answer and its tree; nodes beyond 2,500 are left out of it, which makes
                     those of a model unknown
Errors               authz.identifier_null, id_null (22004), identifier_empty, id_empty (22026),
                     identifier_too_long, id_too_long (22001), identifier_format,
                     id_invalid_chars, id_whitespace, type_unknown, relation_unknown,
                     contextual_tuple_invalid, batch_too_large, condition_invalid (22023),
                     tenant_mismatch (42501)
Example              select authz.explain_json(''user'', ''ann'', ''read'', ''repo'', ''api'');';
