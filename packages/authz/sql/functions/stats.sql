-- Statistics and integrity: exact counts, and a search for what should not be. Both read all tuples
-- of a tenant and cost as much; they are for operators, not for requests.

create or replace function authz.get_stats(p_namespace text default 'default')
returns table (
  tuple_count bigint,
  hierarchy_rule_count bigint,
  unique_users bigint,
  unique_resources bigint
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
begin
  perform howdah.guard('authz', v_namespace);
  return query
  select count(*),
    (
      select count(*)
      from authz.permission_hierarchy h
      where h.namespace in (v_namespace, 'global')
    ),
    count(distinct t.subject_id) filter (where t.subject_type = 'user'),
    count(distinct (t.resource_type, t.resource_id))
  from authz.tuples t
  where t.namespace = v_namespace
    and (t.expires_at is null or t.expires_at > howdah.now());
end
$$;

comment on function authz.get_stats(text) is
'How much a tenant has, counted exactly.

p_namespace  the tenant
Returns      one row: tuple_count, live tuples; hierarchy_rule_count, its own rules and those of
             global; unique_users, subjects of type user, and unique_resources that live tuples name
Errors       authz.tenant_mismatch (42501)
Example      select * from authz.get_stats(''acme'');';

create or replace function authz.verify_integrity(p_namespace text default 'default')
returns table (resource_type text, resource_id text, status text, details text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_namespace text collate "C" := p_namespace;
begin
  perform howdah.guard('authz', v_namespace);
  return query
  select 'system', p.resource_id, p.status, p.details
  from (
    select 1, 'group_cycles', 'warning',
      'groups are members of themselves: ' || authz._in_cycles(v_namespace, 'member')
    union all
    select 2, 'resource_cycles', 'warning',
      'resources are their own parents: ' || authz._in_cycles(v_namespace, 'parent')
    union all
    select 3, 'audit_partitions', 'error',
      format('audit_events has no partition for %s: run authz.ensure_audit_partitions()',
        to_char(howdah.now() at time zone 'UTC', 'YYYY-MM'))
    where to_regclass('authz.' || authz._audit_partition(howdah.now())) is null
    union all
    select 4, 'model_violation', 'warning',
      format('the active model forbids %s tuples, which grant nothing, such as %s:%s#%s@%s:%s',
        count(*), min(v.first[1]), min(v.first[2]), min(v.first[3]), min(v.first[4]),
        min(v.first[5]))
    from (
      select first_value(array[t.resource_type, left(t.resource_id, 100), t.relation,
        t.subject_type, left(t.subject_id, 100)]) over () as first
      from authz.validate_tuples(v_namespace) t
    ) v
    having count(*) > 0
  ) p(place, resource_id, status, details)
  where p.details is not null
  order by p.place;
end
$$;

comment on function authz.verify_integrity(text) is
'What is not as it should be in a tenant: cycles that two sessions made at once under REPEATABLE
READ or that plain SQL wrote, tuples that the active model does not allow, a month without a
partition.

A cycle breaks nothing: checks end on it, and those in it contain each other.
p_namespace  the tenant
Returns      one row per problem, none when all is well: resource_type is system; resource_id is
             group_cycles, resource_cycles, audit_partitions or model_violation; status is warning
             or error; details says what and where
Errors       authz.tenant_mismatch (42501)
Example      select * from authz.verify_integrity(''acme'');';

create or replace function authz._in_cycles(p_namespace text, p_relation text) returns text
language plpgsql
stable
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_relation text collate "C" := p_relation;
  v_nodes text[] collate "C";
  v_inner int[];
  v_outer int[];
  v_first int[];
  v_waiting int[];
  v_ready int[];
  v_at int;
  v_edge int;
  v_found int[];
begin
  with types as materialized (
    select d.resource_type
    from (
      select distinct t.resource_type
      from authz.tuples t
      where t.namespace = v_namespace
        and t.relation = v_relation
    ) d
    where not authz._is_modelled(v_namespace, d.resource_type)
  ),
  edges as materialized (
    select row_number() over () as place,
      array[t.subject_type || ':' || t.subject_id, t.resource_type || ':' || t.resource_id] as ends
    from authz.tuples t
    join types y on y.resource_type = t.resource_type
    where t.namespace = v_namespace
      and t.relation = v_relation
      and (
        v_relation = 'parent'
        or (t.subject_type <> 'user' and coalesce(t.subject_relation, 'member') = 'member')
      )
      and t.condition_name is null
      and (t.expires_at is null or t.expires_at > howdah.now())
  ),
  ends as materialized (
    select e.place, n.at, n.name, dense_rank() over (order by n.name)::int as id
    from edges e, unnest(e.ends) with ordinality n (name, at)
  ),
  numbered as (
    select min(n.id) filter (where n.at = 1) as inner_id,
      min(n.id) filter (where n.at = 2) as outer_id
    from ends n
    group by n.place
  )
  select (select array_agg(distinct n.name order by n.name) from ends n),
    array_agg(e.inner_id order by e.inner_id), array_agg(e.outer_id order by e.inner_id)
  into v_nodes, v_inner, v_outer
  from numbered e;

  -- What contains nothing is taken away, then what contains nothing any more, and so on; then, all
  -- edges turned round, what is in nothing.
  for v_time in 1 .. 2 loop
    exit when v_inner is null;
    v_first := array_fill(null::int, array[cardinality(v_nodes)]);
    v_waiting := array_fill(0, array[cardinality(v_nodes)]);
    for v_i in reverse cardinality(v_inner) .. 1 loop
      v_first[v_inner[v_i]] := v_i;
      v_waiting[v_outer[v_i]] := v_waiting[v_outer[v_i]] + 1;
    end loop;

    v_ready := array(
      select w.ordinality::int from unnest(v_waiting) with ordinality w where w.w = 0
    );
    v_at := 0;
    while v_at < coalesce(array_upper(v_ready, 1), 0) loop
      v_at := v_at + 1;
      v_edge := v_first[v_ready[v_at]];
      while v_inner[v_edge] = v_ready[v_at] loop
        v_waiting[v_outer[v_edge]] := v_waiting[v_outer[v_edge]] - 1;
        if v_waiting[v_outer[v_edge]] = 0 then
          v_ready[array_upper(v_ready, 1) + 1] := v_outer[v_edge];
        end if;
        v_edge := v_edge + 1;
      end loop;
    end loop;

    select array_agg(e.outer_id order by e.outer_id), array_agg(e.inner_id order by e.outer_id)
    into v_inner, v_outer
    from unnest(v_inner, v_outer) e (inner_id, outer_id)
    where v_waiting[e.inner_id] > 0;
  end loop;

  if v_inner is null then
    return null;
  end if;
  -- All that is left lies in a cycle or between two, and leads on: whoever follows one edge from
  -- each comes into a cycle.
  v_first := array_fill(null::int, array[cardinality(v_nodes)]);
  for v_i in 1 .. cardinality(v_inner) loop
    v_first[v_inner[v_i]] := v_outer[v_i];
  end loop;
  v_waiting := array_fill(0, array[cardinality(v_nodes)]);
  for v_i in 1 .. cardinality(v_inner) loop
    v_at := v_inner[v_i];
    while v_waiting[v_at] = 0 loop
      v_waiting[v_at] := v_i;
      v_at := v_first[v_at];
    end loop;
    while v_waiting[v_at] = v_i and coalesce(cardinality(v_found), 0) < 20 loop
      v_waiting[v_at] := -1;
      v_found[coalesce(cardinality(v_found), 0) + 1] := v_at;
      v_at := v_first[v_at];
    end loop;
  end loop;

  return (
    select string_agg(left(v_nodes[f], 100), ', ' order by f)
    from unnest(v_found) f
  );
end
$$;

comment on function authz._in_cycles(text, text) is
'Up to 20 groups or resources that contain themselves, null if there are none. Only those that are
left when all is taken away that lies before or behind every cycle are walked, each once.';
