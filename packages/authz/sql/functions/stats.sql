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
  v_nodes text;
begin
  with recursive types as materialized (
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
    select t.subject_type || ':' || t.subject_id as inner_node,
      t.resource_type || ':' || t.resource_id as outer_node
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
  walk as (
    select e.inner_node as start, e.outer_node as node
    from edges e
    where exists (select 1 from edges o where o.outer_node = e.inner_node)
    union
    select w.start, e.outer_node
    from walk w
    join edges e on e.inner_node = w.node
  )
  select string_agg(left(c.start, 100), ', ' order by c.start) into v_nodes
  from (
    select w.start
    from walk w
    where w.node = w.start
    order by w.start
    limit 20
  ) c;
  return v_nodes;
end
$$;

comment on function authz._in_cycles(text, text) is
'Up to 20 groups or resources that contain themselves, null if there are none.';
