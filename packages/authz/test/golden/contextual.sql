create function authz_rt.m_2088dd14e0c8_r1_check_x(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb, p_contextual authz.tuple[]
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
    from (table authz.tuples union all select * from unnest(p_contextual)) t
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

create function authz_rt.m_2088dd14e0c8_r1_objects_x(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_context jsonb, p_contextual authz.tuple[]
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
    from (table authz.tuples union all select * from unnest(p_contextual)) t
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

create function authz_rt.m_2088dd14e0c8_r2_check_x(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb, p_contextual authz.tuple[]
) returns boolean
language plpgsql stable parallel safe as $$
declare
  v_is_granted boolean;
begin
  if p_subject_relation is not null then
    return exists (
      select
      from authz_rt.m_2088dd14e0c8_r2_subjects_x(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context, p_contextual
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
    from (table authz.tuples union all select * from unnest(p_contextual)) t
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
  with recursive contextual as materialized (select * from unnest(p_contextual)),
  folder_viewer (id) as (
    select t.subject_id as id
    from (table authz.tuples union all table contextual) t
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
    from folder_viewer w
    cross join lateral (
      select t.subject_id as id
      from (table authz.tuples union all table contextual) t
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
    from folder_viewer w
    cross join lateral (
      select
      from (table authz.tuples union all table contextual) t
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

create function authz_rt.m_2088dd14e0c8_r2_filter_x(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_ids text[], p_context jsonb, p_contextual authz.tuple[]
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_most int := 20 * cardinality(p_resource_ids);
  v_folder_viewer text[] collate "C";
  v_found text[] collate "C";
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  if cardinality(p_resource_ids) > 8 then
    v_folder_viewer := array (
      with recursive contextual as materialized (select * from unnest(p_contextual)),
      folder_viewer (id) as (
        select t.resource_id as id
        from (table authz.tuples union all table contextual) t
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
        from folder_viewer w
        cross join lateral (
          select t.resource_id as id
          from (table authz.tuples union all table contextual) t
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
      from folder_viewer w
      limit v_most
    );
    if cardinality(v_folder_viewer) < v_most then
      v_found := v_folder_viewer;
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
    select authz_rt.m_2088dd14e0c8_r2_check_x(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, i.id, p_context, p_contextual
    ) as allowed
    offset 0
  ) c
  where c.allowed is not false;
end
$$;

create function authz_rt.m_2088dd14e0c8_r2_objects_x(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_context jsonb, p_contextual authz.tuple[]
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  return query
  with recursive contextual as materialized (select * from unnest(p_contextual)),
  folder_viewer (id) as (
    select t.resource_id as id
    from (table authz.tuples union all table contextual) t
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
    from folder_viewer w
    cross join lateral (
      select t.resource_id as id
      from (table authz.tuples union all table contextual) t
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
    from folder_viewer w
  ) f;
end
$$;

create function authz_rt.m_2088dd14e0c8_check_x(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_relation text, p_resource_type text, p_resource_id text, p_context jsonb,
  p_contextual authz.tuple[]
) returns boolean
language plpgsql stable parallel safe as $$
begin
  if p_resource_type in ('rbac_permission', 'rbac_role') then
    return authz._dynamic_check(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_relation, p_resource_type,
      p_resource_id, p_contextual
    );
  end if;
  if p_subject_type <> all ('{"user","folder"}') or p_subject_relation is not null then
    perform authz_rt.m_2088dd14e0c8_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'folder' then
    if p_relation = 'parent' then
      return authz_rt.m_2088dd14e0c8_r1_check_x(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context,
        p_contextual
      );
    elsif p_relation = 'viewer' then
      return authz_rt.m_2088dd14e0c8_r2_check_x(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context,
        p_contextual
      );
    end if;
  end if;
  perform authz_rt.m_2088dd14e0c8_refuse_unknown('resource_type', p_resource_type, p_relation);
  return false;
end
$$;

create function authz_rt.m_2088dd14e0c8_objects_x(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_relation text, p_resource_type text, p_context jsonb, p_contextual authz.tuple[]
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_resource_type in ('rbac_permission', 'rbac_role') then
    return query select d.resource_id, true from authz._dynamic_objects(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_relation, p_resource_type,
      p_contextual
    ) d;
    return;
  end if;
  if p_subject_type <> all ('{"user","folder"}') or p_subject_relation is not null then
    perform authz_rt.m_2088dd14e0c8_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'folder' then
    if p_relation = 'parent' then
      return query select * from authz_rt.m_2088dd14e0c8_r1_objects_x(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context, p_contextual
      );
      return;
    elsif p_relation = 'viewer' then
      return query select * from authz_rt.m_2088dd14e0c8_r2_objects_x(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context, p_contextual
      );
      return;
    end if;
  end if;
  perform authz_rt.m_2088dd14e0c8_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;
