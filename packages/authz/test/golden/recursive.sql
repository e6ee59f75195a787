create function authz_rt.m_3691f12a12ae_r1_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is not null then
    return p_subject_type = 'folder' and p_subject_relation = 'parent'
      and p_subject_id = p_resource_id;
  end if;
  if p_subject_type <> 'folder' then
    return false;
  end if;
  return exists (
    select
    from authz.tuples t
    where t.namespace = p_namespace
      and t.resource_type = 'folder'
      and t.resource_id = p_resource_id
      and t.relation = 'parent'
      and t.subject_type = 'folder'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
  );
end
$$;

create function authz_rt.m_3691f12a12ae_r1_filter(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_ids text[], p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'folder' then
    return;
  end if;
  return query
  select f.id, true
  from (
    select g.resource_id as id
    from (
      select t.resource_id
      from authz.tuples t
      where p_subject_relation is null
        and t.namespace = p_namespace
        and t.resource_type = 'folder'
        and t.relation = 'parent'
        and t.subject_type = 'folder'
        and t.condition_name is null
        and t.subject_id = p_subject_id
        and t.subject_id <> '*'
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) g
    join unnest(p_resource_ids) i (id) on i.id = g.resource_id
    union
    select p_subject_id collate "C" as id
    where p_subject_type = 'folder' and p_subject_relation = 'parent'
      and p_subject_id = any (p_resource_ids)
  ) f;
end
$$;

create function authz_rt.m_3691f12a12ae_r1_objects(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text, p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'folder' then
    return;
  end if;
  return query
  select f.id, true
  from (
    select t.resource_id as id
    from authz.tuples t
    where p_subject_relation is null
      and t.namespace = p_namespace
      and t.resource_type = 'folder'
      and t.relation = 'parent'
      and t.subject_type = 'folder'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select p_subject_id collate "C" as id
    where p_subject_type = 'folder' and p_subject_relation = 'parent'
  ) f;
end
$$;

create function authz_rt.m_3691f12a12ae_r1_subjects(
  p_namespace text, p_resource_id text, p_subject_type text, p_subject_relation text,
  p_context jsonb
) returns table (subject_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'folder' then
    return;
  end if;
  return query
  select f.id, true
  from (
    select t.subject_id as id
    from authz.tuples t
    where p_subject_relation is null
      and t.namespace = p_namespace
      and t.resource_type = 'folder'
      and t.resource_id = p_resource_id
      and t.relation = 'parent'
      and t.subject_type = 'folder'
      and t.condition_name is null
      and t.subject_type = p_subject_type
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select p_resource_id collate "C" as id
    where p_subject_type = 'folder' and p_subject_relation = 'parent'
  ) f;
end
$$;

create function authz_rt.m_3691f12a12ae_r2_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is not null then
    return p_subject_type = 'folder' and p_subject_relation = 'cleared'
      and p_subject_id = p_resource_id;
  end if;
  if p_subject_type <> 'user' then
    return false;
  end if;
  return exists (
    select
    from authz.tuples t
    where t.namespace = p_namespace
      and t.resource_type = 'folder'
      and t.resource_id = p_resource_id
      and t.relation = 'cleared'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
  );
end
$$;

create function authz_rt.m_3691f12a12ae_r2_filter(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_ids text[], p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  return query
  select f.id, true
  from (
    select g.resource_id as id
    from (
      select t.resource_id
      from authz.tuples t
      where p_subject_relation is null
        and t.namespace = p_namespace
        and t.resource_type = 'folder'
        and t.relation = 'cleared'
        and t.subject_type = 'user'
        and t.condition_name is null
        and t.subject_id = p_subject_id
        and t.subject_id <> '*'
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) g
    join unnest(p_resource_ids) i (id) on i.id = g.resource_id
    union
    select p_subject_id collate "C" as id
    where p_subject_type = 'folder' and p_subject_relation = 'cleared'
      and p_subject_id = any (p_resource_ids)
  ) f;
end
$$;

create function authz_rt.m_3691f12a12ae_r2_objects(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text, p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  return query
  select f.id, true
  from (
    select t.resource_id as id
    from authz.tuples t
    where p_subject_relation is null
      and t.namespace = p_namespace
      and t.resource_type = 'folder'
      and t.relation = 'cleared'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select p_subject_id collate "C" as id
    where p_subject_type = 'folder' and p_subject_relation = 'cleared'
  ) f;
end
$$;

create function authz_rt.m_3691f12a12ae_r2_subjects(
  p_namespace text, p_resource_id text, p_subject_type text, p_subject_relation text,
  p_context jsonb
) returns table (subject_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  return query
  select f.id, true
  from (
    select t.subject_id as id
    from authz.tuples t
    where p_subject_relation is null
      and t.namespace = p_namespace
      and t.resource_type = 'folder'
      and t.resource_id = p_resource_id
      and t.relation = 'cleared'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_type = p_subject_type
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select p_resource_id collate "C" as id
    where p_subject_type = 'folder' and p_subject_relation = 'cleared'
  ) f;
end
$$;

create function authz_rt.m_3691f12a12ae_r3_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return false;
  end if;
  if not authz_rt.m_3691f12a12ae_r6_check(
    p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
  ) then
    return false;
  end if;
  return nullif(authz_rt.m_3691f12a12ae_r3_value(
    p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
  ), 2) = 3;
end
$$;

create function authz_rt.m_3691f12a12ae_r3_filter(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_ids text[], p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  return query
  select w.resource_id, c.allowed
  from authz_rt.m_3691f12a12ae_r6_filter(
    p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
  ) w
  cross join lateral (
    select nullif(authz_rt.m_3691f12a12ae_r3_value(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, w.resource_id, p_context
    ), 2) = 3 as allowed
    offset 0
  ) c
  where c.allowed is not false;
end
$$;

create function authz_rt.m_3691f12a12ae_r3_objects(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text, p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  return query
  select w.resource_id, c.allowed
  from authz_rt.m_3691f12a12ae_r6_objects(
    p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
  ) w
  cross join lateral (
    select nullif(authz_rt.m_3691f12a12ae_r3_value(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, w.resource_id, p_context
    ), 2) = 3 as allowed
    offset 0
  ) c
  where c.allowed is not false;
end
$$;

create function authz_rt.m_3691f12a12ae_r3_subjects(
  p_namespace text, p_resource_id text, p_subject_type text, p_subject_relation text,
  p_context jsonb
) returns table (subject_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_candidates text[];
begin
  v_candidates := array (
    select s.subject_id
    from authz_rt.m_3691f12a12ae_r6_subjects(
      p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
    ) s
  );
  return query
  select w.id, c.allowed
  from unnest(v_candidates) w (id)
  cross join lateral (
    select nullif(authz_rt.m_3691f12a12ae_r3_value(
      p_namespace, p_subject_type, w.id, p_subject_relation, p_resource_id, p_context
    ), 2) = 3 as allowed
    offset 0
  ) c
  where c.allowed is not false;
end
$$;

create function authz_rt.m_3691f12a12ae_r3_value(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns int
language plpgsql stable parallel safe as $$
begin
  return (select v.value from authz_rt.m_3691f12a12ae_r3_visit(
    p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context, '{}', 0,
    '{}', 10000
  ) v);
end
$$;

create function authz_rt.m_3691f12a12ae_r3_visit(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb, p_path text[], p_depth int, inout p_seen jsonb,
  inout p_left int, out value int
)
language plpgsql stable parallel safe as $$
declare
  v_node text := 'folder#viewer:' || p_resource_id;
  v_path text[] := p_path || v_node;
  v_known jsonb := p_seen -> v_node;
  v_child int;
begin
  if p_subject_type = 'folder' and p_subject_relation = 'viewer'
    and p_subject_id = p_resource_id then
    value := 3;
    return;
  end if;
  if v_node = any (p_path) then
    value := 1;
    return;
  end if;
  if p_depth <= (v_known ->> 1)::int then
    value := v_known ->> 0;
    return;
  end if;
  if p_depth > 50 or p_left <= 0 then
    value := 2;
    return;
  end if;
  p_left := p_left - 1;
  <<visit>>
  begin
    value := 3;
    select v.p_seen, v.p_left, v.value into p_seen, p_left, v_child
    from authz_rt.m_3691f12a12ae_r4_visit(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context, v_path,
      p_depth, p_seen, p_left
    ) v;
    value := least(value, v_child);
    exit visit when value = 0;
    select v.p_seen, v.p_left, v.value into p_seen, p_left, v_child
    from authz_rt.m_3691f12a12ae_r5_visit(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context, v_path,
      p_depth, p_seen, p_left
    ) v;
    value := least(value, v_child);
    exit visit when value = 0;
  end visit;
  if value in (0, 3) then
    p_seen := p_seen || jsonb_build_object(v_node, jsonb_build_array(value, p_depth));
  end if;
end
$$;

create function authz_rt.m_3691f12a12ae_r4_visit(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb, p_path text[], p_depth int, inout p_seen jsonb,
  inout p_left int, out value int
)
language plpgsql stable parallel safe as $$
declare
  v_path text[] := p_path;
  v_child int;
  v_id text;
  v_certainty int;
begin
  <<visit>>
  begin
    value := 0;
    if exists (
      select
      from authz.tuples t
      where p_subject_relation is null
        and t.namespace = p_namespace
        and t.resource_type = 'folder'
        and t.resource_id = p_resource_id
        and t.relation = 'viewer'
        and t.subject_type = 'user'
        and t.condition_name is null
        and t.subject_type = p_subject_type
        and t.subject_id = p_subject_id
        and t.subject_id <> '*'
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
    ) then
      value := 3;
      exit visit;
    end if;
    for v_id, v_certainty in
      select t.subject_id, 3
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'folder'
        and t.resource_id = p_resource_id
        and t.relation = 'parent'
        and t.subject_type = 'folder'
        and t.condition_name is null
        and t.subject_id <> '*'
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
    loop
      select v.p_seen, v.p_left, v.value into p_seen, p_left, v_child
      from authz_rt.m_3691f12a12ae_r3_visit(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, v_id, p_context, v_path,
        p_depth + 1, p_seen, p_left
      ) v;
      value := greatest(value, least(v_certainty, v_child));
      exit visit when value = 3;
    end loop;
  end visit;
end
$$;

create function authz_rt.m_3691f12a12ae_r5_visit(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb, p_path text[], p_depth int, inout p_seen jsonb,
  inout p_left int, out value int
)
language plpgsql stable parallel safe as $$
declare
  v_path text[] := p_path;
  v_child int;
  v_id text;
  v_certainty int;
begin
  <<visit>>
  begin
    value := 0;
    v_child := authz_rt.m_3691f12a12ae_r2_check(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
    )::int * 3;
    value := greatest(value, v_child);
    exit visit when value = 3;
    for v_id, v_certainty in
      select t.subject_id, 3
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'folder'
        and t.resource_id = p_resource_id
        and t.relation = 'parent'
        and t.subject_type = 'folder'
        and t.condition_name is null
        and t.subject_id <> '*'
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
    loop
      select v.p_seen, v.p_left, v.value into p_seen, p_left, v_child
      from authz_rt.m_3691f12a12ae_r3_visit(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, v_id, p_context, v_path,
        p_depth + 1, p_seen, p_left
      ) v;
      value := greatest(value, least(v_certainty, v_child));
      exit visit when value = 3;
    end loop;
  end visit;
end
$$;

create function authz_rt.m_3691f12a12ae_r6_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
declare
  v_is_granted boolean;
begin
  if p_subject_relation is not null then
    return exists (
      select
      from authz_rt.m_3691f12a12ae_r6_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      ) s
      where s.subject_id = p_subject_id
    );
  end if;
  if p_subject_type <> 'user' then
    return false;
  end if;
  -- Granted on the resource itself.
  if exists (
    select
    from authz.tuples t
    where t.namespace = p_namespace
      and t.resource_type = 'folder'
      and t.resource_id = p_resource_id
      and t.relation = 'viewer'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
  ) then
    return true;
  end if;
  -- The objects above: grants, and the usersets that are left.
  with recursive folder_viewer_relaxed (id) as (
    select t.subject_id as id
    from authz.tuples t
    where t.namespace = p_namespace
      and t.resource_type = 'folder'
      and t.resource_id = p_resource_id
      and t.relation = 'parent'
      and t.subject_type = 'folder'
      and t.condition_name is null
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select e.id
    from folder_viewer_relaxed w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'folder'
        and t.resource_id = w.id
        and t.relation = 'parent'
        and t.subject_type = 'folder'
        and t.condition_name is null
        and t.subject_id <> '*'
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
  )
  select coalesce(bool_or(f.is_granted), false)
  into v_is_granted
  from (
    select true as is_granted
    from folder_viewer_relaxed w
    cross join lateral (
      select
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'folder'
        and t.resource_id = w.id
        and t.relation = 'viewer'
        and t.subject_type = 'user'
        and t.condition_name is null
        and t.subject_id = p_subject_id
        and t.subject_id <> '*'
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
  ) f;
  if v_is_granted then
    return true;
  end if;
  return false;
end
$$;

create function authz_rt.m_3691f12a12ae_r6_filter(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_ids text[], p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_most int := 20 * cardinality(p_resource_ids);
  v_folder_viewer_relaxed text[] collate "C";
  v_found text[] collate "C";
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  if cardinality(p_resource_ids) > 8 then
    v_folder_viewer_relaxed := array (
      with recursive folder_viewer_relaxed (id) as (
        select t.resource_id as id
        from authz.tuples t
        where p_subject_relation is null
          and t.namespace = p_namespace
          and t.resource_type = 'folder'
          and t.relation = 'viewer'
          and t.subject_type = 'user'
          and t.condition_name is null
          and t.subject_id = p_subject_id
          and t.subject_id <> '*'
          and t.subject_relation is null
          and (t.expires_at is null or t.expires_at > howdah.now())
        union
        select p_subject_id collate "C" as id
        where p_subject_type = 'folder' and p_subject_relation = 'viewer'
        union
        select e.id
        from folder_viewer_relaxed w
        cross join lateral (
          select t.resource_id as id
          from authz.tuples t
          where t.namespace = p_namespace
            and t.resource_type = 'folder'
            and t.relation = 'parent'
            and t.subject_type = 'folder'
            and t.condition_name is null
            and t.subject_id = w.id
            and t.subject_id <> '*'
            and t.subject_relation is null
            and (t.expires_at is null or t.expires_at > howdah.now())
          offset 0
        ) e
      )
      select w.id
      from folder_viewer_relaxed w
      limit v_most
    );
    if cardinality(v_folder_viewer_relaxed) < v_most then
      v_found := v_folder_viewer_relaxed;
      return query
      select distinct w.id, true
      from unnest(v_found) w (id)
      where w.id in (select i.id from unnest(p_resource_ids) i (id));
      return;
    end if;
  end if;
  return query
  select i.id, c.allowed
  from (select distinct u.id from unnest(p_resource_ids) u (id)) i
  cross join lateral (
    select authz_rt.m_3691f12a12ae_r6_check(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, i.id, p_context
    ) as allowed
    offset 0
  ) c
  where c.allowed is not false;
end
$$;

create function authz_rt.m_3691f12a12ae_r6_objects(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text, p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  return query
  with recursive folder_viewer_relaxed (id) as (
    select t.resource_id as id
    from authz.tuples t
    where p_subject_relation is null
      and t.namespace = p_namespace
      and t.resource_type = 'folder'
      and t.relation = 'viewer'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select p_subject_id collate "C" as id
    where p_subject_type = 'folder' and p_subject_relation = 'viewer'
    union
    select e.id
    from folder_viewer_relaxed w
    cross join lateral (
      select t.resource_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'folder'
        and t.relation = 'parent'
        and t.subject_type = 'folder'
        and t.condition_name is null
        and t.subject_id = w.id
        and t.subject_id <> '*'
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
  )
  select f.id, true
  from (
    select distinct w.id as id
    from folder_viewer_relaxed w
  ) f;
end
$$;

create function authz_rt.m_3691f12a12ae_r6_subjects(
  p_namespace text, p_resource_id text, p_subject_type text, p_subject_relation text,
  p_context jsonb
) returns table (subject_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  return query
  with recursive folder_viewer_relaxed (id) as (
    select p_resource_id collate "C" as id
    union
    select e.id
    from folder_viewer_relaxed w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'folder'
        and t.resource_id = w.id
        and t.relation = 'parent'
        and t.subject_type = 'folder'
        and t.condition_name is null
        and t.subject_id <> '*'
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
  )
  select f.id, true
  from (
    select e.id as id
    from folder_viewer_relaxed w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where p_subject_relation is null
        and t.namespace = p_namespace
        and t.resource_type = 'folder'
        and t.resource_id = w.id
        and t.relation = 'viewer'
        and t.subject_type = 'user'
        and t.condition_name is null
        and t.subject_type = p_subject_type
        and t.subject_id <> '*'
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
    union
    select w.id as id
    from folder_viewer_relaxed w
    where p_subject_type = 'folder' and p_subject_relation = 'viewer'
  ) f;
end
$$;

create function authz_rt.m_3691f12a12ae_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_relation text, p_resource_type text, p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
begin
  if p_resource_type in ('rbac_permission', 'rbac_role') then
    return authz._dynamic_check(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_relation, p_resource_type,
      p_resource_id
    );
  end if;
  if p_subject_type <> all ('{"user","folder"}') or p_subject_relation is not null then
    perform authz_rt.m_3691f12a12ae_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'folder' then
    if p_relation = 'parent' then
      return authz_rt.m_3691f12a12ae_r1_check(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
      );
    elsif p_relation = 'cleared' then
      return authz_rt.m_3691f12a12ae_r2_check(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
      );
    elsif p_relation = 'viewer' then
      return authz_rt.m_3691f12a12ae_r3_check(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
      );
    end if;
  end if;
  perform authz_rt.m_3691f12a12ae_refuse_unknown('resource_type', p_resource_type, p_relation);
  return false;
end
$$;

create function authz_rt.m_3691f12a12ae_filter(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_relation text, p_resource_type text, p_resource_ids text[], p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_resource_type in ('rbac_permission', 'rbac_role') then
    return query select d.resource_id, true from authz._dynamic_filter(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_relation, p_resource_type,
      p_resource_ids
    ) d;
    return;
  end if;
  if p_subject_type <> all ('{"user","folder"}') or p_subject_relation is not null then
    perform authz_rt.m_3691f12a12ae_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'folder' then
    if p_relation = 'parent' then
      return query select * from authz_rt.m_3691f12a12ae_r1_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
      );
      return;
    elsif p_relation = 'cleared' then
      return query select * from authz_rt.m_3691f12a12ae_r2_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
      );
      return;
    elsif p_relation = 'viewer' then
      return query select * from authz_rt.m_3691f12a12ae_r3_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_3691f12a12ae_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;

create function authz_rt.m_3691f12a12ae_objects(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_relation text, p_resource_type text, p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_resource_type in ('rbac_permission', 'rbac_role') then
    return query select d.resource_id, true from authz._dynamic_objects(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_relation, p_resource_type
    ) d;
    return;
  end if;
  if p_subject_type <> all ('{"user","folder"}') or p_subject_relation is not null then
    perform authz_rt.m_3691f12a12ae_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'folder' then
    if p_relation = 'parent' then
      return query select * from authz_rt.m_3691f12a12ae_r1_objects(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
      );
      return;
    elsif p_relation = 'cleared' then
      return query select * from authz_rt.m_3691f12a12ae_r2_objects(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
      );
      return;
    elsif p_relation = 'viewer' then
      return query select * from authz_rt.m_3691f12a12ae_r3_objects(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_3691f12a12ae_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;

create function authz_rt.m_3691f12a12ae_subjects(
  p_namespace text, p_resource_type text, p_resource_id text, p_relation text, p_subject_type text,
  p_subject_relation text, p_context jsonb
) returns table (subject_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_resource_type in ('rbac_permission', 'rbac_role') then
    return query select d.subject_id, true from authz._dynamic_subjects(
      p_namespace, p_resource_type, p_resource_id, p_relation, p_subject_type, p_subject_relation
    ) d;
    return;
  end if;
  if p_subject_type <> all ('{"user","folder"}') or p_subject_relation is not null then
    perform authz_rt.m_3691f12a12ae_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'folder' then
    if p_relation = 'parent' then
      return query select * from authz_rt.m_3691f12a12ae_r1_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      );
      return;
    elsif p_relation = 'cleared' then
      return query select * from authz_rt.m_3691f12a12ae_r2_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      );
      return;
    elsif p_relation = 'viewer' then
      return query select * from authz_rt.m_3691f12a12ae_r3_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_3691f12a12ae_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;
