create function authz_rt.m_b8eb142e5a7f_r1_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
declare
  v_group_member text[] collate "C";
  v_held_group_member text[] collate "C";
begin
  if p_subject_relation is not null then
    return exists (
      select
      from authz_rt.m_b8eb142e5a7f_r1_subjects(
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
      and t.resource_type = 'group'
      and t.resource_id = p_resource_id
      and t.relation = 'member'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
  ) then
    return true;
  end if;
  -- Granted on what the resource names.
  if exists (
    select
    from authz.tuples t
    cross join lateral (
      select
      from authz.tuples m
      where m.namespace = p_namespace
        and m.resource_type = 'group'
        and m.resource_id = t.subject_id
        and m.relation = 'member'
        and m.subject_type = 'user'
        and m.condition_name is null
        and m.subject_id = p_subject_id
        and m.subject_id <> '*'
        and m.subject_relation is null
        and (m.expires_at is null or m.expires_at > howdah.now())
      offset 0
    ) m
    where t.namespace = p_namespace
      and t.resource_type = 'group'
      and t.resource_id = p_resource_id
      and t.relation = 'member'
      and t.subject_type = 'group'
      and t.condition_name is null
      and t.subject_id <> '*'
      and t.subject_relation = 'member'
      and (t.expires_at is null or t.expires_at > howdah.now())
  ) then
    return true;
  end if;
  -- The usersets that are left.
  v_group_member := array (
    select t.subject_id
    from authz.tuples t
    where t.namespace = p_namespace
      and t.resource_type = 'group'
      and t.resource_id = p_resource_id
      and t.relation = 'member'
      and t.subject_type = 'group'
      and t.condition_name is null
      and t.subject_id <> '*'
      and t.subject_relation = 'member'
      and (t.expires_at is null or t.expires_at > howdah.now())
  );
  -- From the subject upward, to one of these.
  if cardinality(v_group_member) > 0 then
    v_held_group_member := array (
      select t.resource_id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'group'
        and t.relation = 'member'
        and t.subject_type = 'user'
        and t.condition_name is null
        and t.subject_id = p_subject_id
        and t.subject_id <> '*'
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
    );
    if v_held_group_member && v_group_member then
      return true;
    end if;
    if v_held_group_member <> '{}' and exists (
      with recursive group_member (id) as (
        select h.id collate "C" as id
        from unnest(v_held_group_member) h (id)
        union
        select e.id
        from group_member w
        cross join lateral (
          select t.resource_id as id
          from authz.tuples t
          where t.namespace = p_namespace
            and t.resource_type = 'group'
            and t.relation = 'member'
            and t.subject_type = 'group'
            and t.condition_name is null
            and t.subject_id = w.id
            and t.subject_id <> '*'
            and t.subject_relation = 'member'
            and (t.expires_at is null or t.expires_at > howdah.now())
          offset 0
        ) e
      )
      select
      from group_member w
      where w.id = any (v_group_member)
    ) then
      return true;
    end if;
  end if;
  return false;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r1_filter(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_ids text[], p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_most int := 20 * cardinality(p_resource_ids);
  v_group_member text[] collate "C";
  v_found text[] collate "C";
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  if cardinality(p_resource_ids) > 8 then
    v_group_member := array (
      with recursive group_member (id) as (
        select t.resource_id as id
        from authz.tuples t
        where p_subject_relation is null
          and t.namespace = p_namespace
          and t.resource_type = 'group'
          and t.relation = 'member'
          and t.subject_type = 'user'
          and t.condition_name is null
          and t.subject_id = p_subject_id
          and t.subject_id <> '*'
          and t.subject_relation is null
          and (t.expires_at is null or t.expires_at > howdah.now())
        union
        select p_subject_id collate "C" as id
        where p_subject_type = 'group' and p_subject_relation = 'member'
        union
        select e.id
        from group_member w
        cross join lateral (
          select t.resource_id as id
          from authz.tuples t
          where t.namespace = p_namespace
            and t.resource_type = 'group'
            and t.relation = 'member'
            and t.subject_type = 'group'
            and t.condition_name is null
            and t.subject_id = w.id
            and t.subject_id <> '*'
            and t.subject_relation = 'member'
            and (t.expires_at is null or t.expires_at > howdah.now())
          offset 0
        ) e
      )
      select w.id
      from group_member w
      limit v_most
    );
    if cardinality(v_group_member) < v_most then
      v_found := v_group_member;
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
    select authz_rt.m_b8eb142e5a7f_r1_check(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, i.id, p_context
    ) as allowed
    offset 0
  ) c
  where c.allowed is not false;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r1_objects(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text, p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  return query
  with recursive group_member (id) as (
    select t.resource_id as id
    from authz.tuples t
    where p_subject_relation is null
      and t.namespace = p_namespace
      and t.resource_type = 'group'
      and t.relation = 'member'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select p_subject_id collate "C" as id
    where p_subject_type = 'group' and p_subject_relation = 'member'
    union
    select e.id
    from group_member w
    cross join lateral (
      select t.resource_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'group'
        and t.relation = 'member'
        and t.subject_type = 'group'
        and t.condition_name is null
        and t.subject_id = w.id
        and t.subject_id <> '*'
        and t.subject_relation = 'member'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
  )
  select f.id, true
  from (
    select distinct w.id as id
    from group_member w
  ) f;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r1_subjects(
  p_namespace text, p_resource_id text, p_subject_type text, p_subject_relation text,
  p_context jsonb
) returns table (subject_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  return query
  with recursive group_member (id) as (
    select p_resource_id collate "C" as id
    union
    select e.id
    from group_member w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'group'
        and t.resource_id = w.id
        and t.relation = 'member'
        and t.subject_type = 'group'
        and t.condition_name is null
        and t.subject_id <> '*'
        and t.subject_relation = 'member'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
  )
  select f.id, true
  from (
    select e.id as id
    from group_member w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where p_subject_relation is null
        and t.namespace = p_namespace
        and t.resource_type = 'group'
        and t.resource_id = w.id
        and t.relation = 'member'
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
    from group_member w
    where p_subject_type = 'group' and p_subject_relation = 'member'
  ) f;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r2_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
declare
  v_group_member text[] collate "C";
  v_held_group_member text[] collate "C";
begin
  if p_subject_relation is not null then
    return exists (
      select
      from authz_rt.m_b8eb142e5a7f_r2_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      ) s
      where s.subject_id = p_subject_id
    );
  end if;
  if p_subject_type <> 'user' then
    return false;
  end if;
  -- Granted on what the resource names.
  if exists (
    select
    from authz.tuples t
    cross join lateral (
      select
      from authz.tuples m
      where m.namespace = p_namespace
        and m.resource_type = 'group'
        and m.resource_id = t.subject_id
        and m.relation = 'member'
        and m.subject_type = 'user'
        and m.condition_name is null
        and m.subject_id = p_subject_id
        and m.subject_id <> '*'
        and m.subject_relation is null
        and (m.expires_at is null or m.expires_at > howdah.now())
      offset 0
    ) m
    where t.namespace = p_namespace
      and t.resource_type = 'document'
      and t.resource_id = p_resource_id
      and t.relation = 'blocked'
      and t.subject_type = 'group'
      and t.condition_name is null
      and t.subject_id <> '*'
      and t.subject_relation = 'member'
      and (t.expires_at is null or t.expires_at > howdah.now())
  ) then
    return true;
  end if;
  -- The usersets that are left.
  v_group_member := array (
    select t.subject_id
    from authz.tuples t
    where t.namespace = p_namespace
      and t.resource_type = 'document'
      and t.resource_id = p_resource_id
      and t.relation = 'blocked'
      and t.subject_type = 'group'
      and t.condition_name is null
      and t.subject_id <> '*'
      and t.subject_relation = 'member'
      and (t.expires_at is null or t.expires_at > howdah.now())
  );
  -- From the subject upward, to one of these.
  if cardinality(v_group_member) > 0 then
    v_held_group_member := array (
      select t.resource_id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'group'
        and t.relation = 'member'
        and t.subject_type = 'user'
        and t.condition_name is null
        and t.subject_id = p_subject_id
        and t.subject_id <> '*'
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
    );
    if v_held_group_member && v_group_member then
      return true;
    end if;
    if v_held_group_member <> '{}' and exists (
      with recursive group_member (id) as (
        select h.id collate "C" as id
        from unnest(v_held_group_member) h (id)
        union
        select e.id
        from group_member w
        cross join lateral (
          select t.resource_id as id
          from authz.tuples t
          where t.namespace = p_namespace
            and t.resource_type = 'group'
            and t.relation = 'member'
            and t.subject_type = 'group'
            and t.condition_name is null
            and t.subject_id = w.id
            and t.subject_id <> '*'
            and t.subject_relation = 'member'
            and (t.expires_at is null or t.expires_at > howdah.now())
          offset 0
        ) e
      )
      select
      from group_member w
      where w.id = any (v_group_member)
    ) then
      return true;
    end if;
  end if;
  return false;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r2_filter(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_ids text[], p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_most int := 20 * cardinality(p_resource_ids);
  v_group_member text[] collate "C";
  v_found text[] collate "C";
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  if cardinality(p_resource_ids) > 8 then
    v_group_member := array (
      with recursive group_member (id) as (
        select t.resource_id as id
        from authz.tuples t
        where p_subject_relation is null
          and t.namespace = p_namespace
          and t.resource_type = 'group'
          and t.relation = 'member'
          and t.subject_type = 'user'
          and t.condition_name is null
          and t.subject_id = p_subject_id
          and t.subject_id <> '*'
          and t.subject_relation is null
          and (t.expires_at is null or t.expires_at > howdah.now())
        union
        select p_subject_id collate "C" as id
        where p_subject_type = 'group' and p_subject_relation = 'member'
        union
        select e.id
        from group_member w
        cross join lateral (
          select t.resource_id as id
          from authz.tuples t
          where t.namespace = p_namespace
            and t.resource_type = 'group'
            and t.relation = 'member'
            and t.subject_type = 'group'
            and t.condition_name is null
            and t.subject_id = w.id
            and t.subject_id <> '*'
            and t.subject_relation = 'member'
            and (t.expires_at is null or t.expires_at > howdah.now())
          offset 0
        ) e
      )
      select w.id
      from group_member w
      limit v_most
    );
    if cardinality(v_group_member) < v_most then
      v_found := array (
        select f.id
        from (
          select p_subject_id collate "C" as id
          where p_subject_type = 'document' and p_subject_relation = 'blocked'
          union all
          select e.id as id
          from unnest(v_group_member) w (id)
          cross join lateral (
            select t.resource_id as id
            from authz.tuples t
            where t.namespace = p_namespace
              and t.resource_type = 'document'
              and t.relation = 'blocked'
              and t.subject_type = 'group'
              and t.condition_name is null
              and t.subject_id = w.id
              and t.subject_id <> '*'
              and t.subject_relation = 'member'
              and (t.expires_at is null or t.expires_at > howdah.now())
            offset 0
          ) e
        ) f
        limit 5 * cardinality(p_resource_ids)
      );
      if cardinality(v_found) >= 5 * cardinality(p_resource_ids) then
        v_found := array (
          with links as materialized (
            select t.resource_id, t.relation, t.subject_type, t.subject_id, t.subject_relation, t.condition_name
            from authz.tuples t
            where t.namespace = p_namespace
              and t.resource_type = 'document'
              and t.resource_id = any (p_resource_ids)
              and t.relation = 'blocked'
              and t.subject_type = 'group'
              and t.subject_id <> '*'
              and (t.expires_at is null or t.expires_at > howdah.now())
          )
          select f.id
          from (
            select p_subject_id collate "C" as id
            where p_subject_type = 'document' and p_subject_relation = 'blocked'
              and p_subject_id = any (p_resource_ids)
            union all
            select t.resource_id as id
            from links t
            join unnest(v_group_member) w (id) on w.id = t.subject_id
            where t.relation = 'blocked'
              and t.subject_type = 'group'
              and t.condition_name is null
              and t.subject_relation = 'member'
          ) f
        );
      end if;
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
    select authz_rt.m_b8eb142e5a7f_r2_check(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, i.id, p_context
    ) as allowed
    offset 0
  ) c
  where c.allowed is not false;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r2_objects(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text, p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  return query
  with recursive group_member (id) as (
    select t.resource_id as id
    from authz.tuples t
    where p_subject_relation is null
      and t.namespace = p_namespace
      and t.resource_type = 'group'
      and t.relation = 'member'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select p_subject_id collate "C" as id
    where p_subject_type = 'group' and p_subject_relation = 'member'
    union
    select e.id
    from group_member w
    cross join lateral (
      select t.resource_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'group'
        and t.relation = 'member'
        and t.subject_type = 'group'
        and t.condition_name is null
        and t.subject_id = w.id
        and t.subject_id <> '*'
        and t.subject_relation = 'member'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
  )
  select f.id, true
  from (
    select p_subject_id collate "C" as id
    where p_subject_type = 'document' and p_subject_relation = 'blocked'
    union
    select e.id as id
    from group_member w
    cross join lateral (
      select t.resource_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'document'
        and t.relation = 'blocked'
        and t.subject_type = 'group'
        and t.condition_name is null
        and t.subject_id = w.id
        and t.subject_id <> '*'
        and t.subject_relation = 'member'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
  ) f;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r2_subjects(
  p_namespace text, p_resource_id text, p_subject_type text, p_subject_relation text,
  p_context jsonb
) returns table (subject_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  return query
  with recursive document_blocked (id) as (
    select distinct p_resource_id collate "C" as id
  ),
  group_member (id) as (
    select e.id as id
    from document_blocked w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'document'
        and t.resource_id = w.id
        and t.relation = 'blocked'
        and t.subject_type = 'group'
        and t.condition_name is null
        and t.subject_id <> '*'
        and t.subject_relation = 'member'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
    union
    select e.id
    from group_member w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'group'
        and t.resource_id = w.id
        and t.relation = 'member'
        and t.subject_type = 'group'
        and t.condition_name is null
        and t.subject_id <> '*'
        and t.subject_relation = 'member'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
  )
  select f.id, true
  from (
    select w.id as id
    from document_blocked w
    where p_subject_type = 'document' and p_subject_relation = 'blocked'
    union
    select e.id as id
    from group_member w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where p_subject_relation is null
        and t.namespace = p_namespace
        and t.resource_type = 'group'
        and t.resource_id = w.id
        and t.relation = 'member'
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
    from group_member w
    where p_subject_type = 'group' and p_subject_relation = 'member'
  ) f;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r2_value(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns int
language plpgsql stable parallel safe as $$
declare
  v_is_granted boolean := authz_rt.m_b8eb142e5a7f_r2_check(
    p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
  );
begin
  if v_is_granted is not false then
    return coalesce(v_is_granted::int * 3, 2);
  end if;
  return (authz_rt.m_b8eb142e5a7f_r2_loops(p_namespace, array[p_resource_id], p_context))::int;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r2_loops(
  p_namespace text, p_resource_ids text[], p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
declare
  v_sources text[];
  v_targets text[];
  v_count int;
begin
  with recursive document_blocked (id) as (
    select distinct i.id collate "C" as id
    from unnest(p_resource_ids) i (id)
  ),
  group_member (id) as (
    select e.id as id
    from document_blocked w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'document'
        and t.resource_id = w.id
        and t.relation = 'blocked'
        and t.subject_type = 'group'
        and t.condition_name is null
        and t.subject_id <> '*'
        and t.subject_relation = 'member'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
    union
    select e.id
    from group_member w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'group'
        and t.resource_id = w.id
        and t.relation = 'member'
        and t.subject_type = 'group'
        and t.condition_name is null
        and t.subject_id <> '*'
        and t.subject_relation = 'member'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
  )
  select array_agg(f.source), array_agg(f.target)
  into v_sources, v_targets
  from (
    select w.id as source, e.id as target
    from group_member w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'group'
        and t.resource_id = w.id
        and t.relation = 'member'
        and t.subject_type = 'group'
        and t.condition_name is null
        and t.subject_id <> '*'
        and t.subject_relation = 'member'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
  ) f;
  while v_sources is not null loop
    v_count := cardinality(v_sources);
    select array_agg(f.source), array_agg(f.target)
    into v_sources, v_targets
    from unnest(v_sources, v_targets) f (source, target)
    where f.target in (select s.source from unnest(v_sources) s (source));
    if cardinality(v_sources) = v_count then
      return true;
    end if;
  end loop;
  return false;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r3_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is not null then
    return p_subject_type = 'document' and p_subject_relation = 'approved'
      and p_subject_id = p_resource_id;
  end if;
  if p_subject_type <> 'user' then
    return false;
  end if;
  return exists (
    select
    from authz.tuples t
    where t.namespace = p_namespace
      and t.resource_type = 'document'
      and t.resource_id = p_resource_id
      and t.relation = 'approved'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
  );
end
$$;

create function authz_rt.m_b8eb142e5a7f_r3_filter(
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
        and t.resource_type = 'document'
        and t.relation = 'approved'
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
    where p_subject_type = 'document' and p_subject_relation = 'approved'
      and p_subject_id = any (p_resource_ids)
  ) f;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r3_objects(
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
      and t.resource_type = 'document'
      and t.relation = 'approved'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select p_subject_id collate "C" as id
    where p_subject_type = 'document' and p_subject_relation = 'approved'
  ) f;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r3_subjects(
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
      and t.resource_type = 'document'
      and t.resource_id = p_resource_id
      and t.relation = 'approved'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_type = p_subject_type
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select p_resource_id collate "C" as id
    where p_subject_type = 'document' and p_subject_relation = 'approved'
  ) f;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r4_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
begin
  if p_subject_type = 'document' and p_subject_relation = 'viewer'
    and p_subject_id = p_resource_id then
    return true;
  end if;
  return authz_rt.m_b8eb142e5a7f_r3_check(
    p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
  )
    and (case authz_rt.m_b8eb142e5a7f_r2_value(
    p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
  ) when 0 then true when 2 then null else false end);
end
$$;

create function authz_rt.m_b8eb142e5a7f_r4_filter(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_ids text[], p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_own text := case when p_subject_type = 'document' and p_subject_relation = 'viewer' and p_subject_id = any (p_resource_ids)
      then p_subject_id end;
begin
  if v_own is not null then
    return query select v_own, true;
  end if;
  return query
  with candidates as materialized (
    select *
    from authz_rt.m_b8eb142e5a7f_r3_filter(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
    )
  ),
  narrowed as materialized (
    select n.resource_id, n.allowed
    from (
      select c.resource_id, case when l.loops then c.allowed and (case authz_rt.m_b8eb142e5a7f_r2_value(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, c.resource_id, p_context
      ) when 0 then true when 2 then null else false end)
        else case when f.resource_id is null then c.allowed end end as allowed
      from candidates c
      cross join (select authz_rt.m_b8eb142e5a7f_r2_loops(
        p_namespace, array(select c.resource_id from candidates c), p_context
      ) as loops) l
      left join authz_rt.m_b8eb142e5a7f_r2_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation,
        array(select c.resource_id from candidates c), p_context
      ) f on f.resource_id = c.resource_id
      where f.allowed is not true
      offset 0
    ) n
    where n.allowed is not false
  )
  select c.resource_id, c.allowed
  from narrowed c
  where c.resource_id is distinct from v_own;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r4_objects(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text, p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_own text := case when p_subject_type = 'document' and p_subject_relation = 'viewer'
      then p_subject_id end;
begin
  if v_own is not null then
    return query select v_own, true;
  end if;
  return query
  with candidates as materialized (
    select *
    from authz_rt.m_b8eb142e5a7f_r3_objects(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
    )
  ),
  narrowed as materialized (
    select n.resource_id, n.allowed
    from (
      select c.resource_id, case when l.loops then c.allowed and (case authz_rt.m_b8eb142e5a7f_r2_value(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, c.resource_id, p_context
      ) when 0 then true when 2 then null else false end)
        else case when f.resource_id is null then c.allowed end end as allowed
      from candidates c
      cross join (select authz_rt.m_b8eb142e5a7f_r2_loops(
        p_namespace, array(select c.resource_id from candidates c), p_context
      ) as loops) l
      left join authz_rt.m_b8eb142e5a7f_r2_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation,
        array(select c.resource_id from candidates c), p_context
      ) f on f.resource_id = c.resource_id
      where f.allowed is not true
      offset 0
    ) n
    where n.allowed is not false
  )
  select c.resource_id, c.allowed
  from narrowed c
  where c.resource_id is distinct from v_own;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r4_subjects(
  p_namespace text, p_resource_id text, p_subject_type text, p_subject_relation text,
  p_context jsonb
) returns table (subject_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_candidates text[];
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  if not authz_rt.m_b8eb142e5a7f_r2_loops(p_namespace, array[p_resource_id], p_context) then
    return query
    select s.subject_id, bool_or(s.allowed)
    from (
      select c.subject_id, case when f.subject_id is null then c.allowed end as allowed
      from authz_rt.m_b8eb142e5a7f_r3_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      ) c
      left join authz_rt.m_b8eb142e5a7f_r2_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      ) f on f.subject_id = c.subject_id
      where f.allowed is not true
      union all
      select p_resource_id, true
      where p_subject_type = 'document' and p_subject_relation = 'viewer'
    ) s
    group by s.subject_id;
    return;
  end if;
  v_candidates := array (
    select s.subject_id
    from authz_rt.m_b8eb142e5a7f_r7_subjects(
      p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
    ) s
  );
  return query
  select w.id, c.allowed
  from unnest(v_candidates) w (id)
  cross join lateral (
    select authz_rt.m_b8eb142e5a7f_r4_check(
      p_namespace, p_subject_type, w.id, p_subject_relation, p_resource_id, p_context
    ) as allowed
    offset 0
  ) c
  where c.allowed is not false;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r5_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
begin
  if p_subject_type = 'document' and p_subject_relation = 'publisher'
    and p_subject_id = p_resource_id then
    return true;
  end if;
  return authz_rt.m_b8eb142e5a7f_r6_check(
    p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
  )
    and authz_rt.m_b8eb142e5a7f_r3_check(
    p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
  );
end
$$;

create function authz_rt.m_b8eb142e5a7f_r5_filter(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_ids text[], p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_own text := case when p_subject_type = 'document' and p_subject_relation = 'publisher' and p_subject_id = any (p_resource_ids)
      then p_subject_id end;
begin
  if v_own is not null then
    return query select v_own, true;
  end if;
  return query
  with candidates as materialized (
    select *
    from authz_rt.m_b8eb142e5a7f_r6_filter(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
    )
  ),
  narrowed_1 as materialized (
    select c.resource_id, c.allowed and f.allowed as allowed
    from candidates c
    join authz_rt.m_b8eb142e5a7f_r3_filter(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation,
      array(select c.resource_id from candidates c), p_context
    ) f on f.resource_id = c.resource_id
  )
  select c.resource_id, c.allowed
  from narrowed_1 c
  where c.resource_id is distinct from v_own;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r5_objects(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text, p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_own text := case when p_subject_type = 'document' and p_subject_relation = 'publisher'
      then p_subject_id end;
begin
  if v_own is not null then
    return query select v_own, true;
  end if;
  return query
  with candidates as materialized (
    select *
    from authz_rt.m_b8eb142e5a7f_r6_objects(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
    )
  ),
  narrowed_1 as materialized (
    select c.resource_id, c.allowed and f.allowed as allowed
    from candidates c
    join authz_rt.m_b8eb142e5a7f_r3_filter(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation,
      array(select c.resource_id from candidates c), p_context
    ) f on f.resource_id = c.resource_id
  )
  select c.resource_id, c.allowed
  from narrowed_1 c
  where c.resource_id is distinct from v_own;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r5_subjects(
  p_namespace text, p_resource_id text, p_subject_type text, p_subject_relation text,
  p_context jsonb
) returns table (subject_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  return query
  select s.subject_id, bool_or(s.allowed)
  from (
    select s1.subject_id, s1.allowed and s2.allowed as allowed
    from authz_rt.m_b8eb142e5a7f_r6_subjects(
      p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
    ) s1
    join authz_rt.m_b8eb142e5a7f_r3_subjects(
      p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
    ) s2 on s2.subject_id = s1.subject_id
    union all
    select p_resource_id, true
    where p_subject_type = 'document' and p_subject_relation = 'publisher'
  ) s
  group by s.subject_id;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r6_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is not null then
    return false;
  end if;
  if p_subject_type <> 'user' then
    return false;
  end if;
  return exists (
    select
    from authz.tuples t
    where t.namespace = p_namespace
      and t.resource_type = 'document'
      and t.resource_id = p_resource_id
      and t.relation = 'publisher'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
  );
end
$$;

create function authz_rt.m_b8eb142e5a7f_r6_filter(
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
    select distinct g.resource_id as id
    from (
      select t.resource_id
      from authz.tuples t
      where p_subject_relation is null
        and t.namespace = p_namespace
        and t.resource_type = 'document'
        and t.relation = 'publisher'
        and t.subject_type = 'user'
        and t.condition_name is null
        and t.subject_id = p_subject_id
        and t.subject_id <> '*'
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) g
    join unnest(p_resource_ids) i (id) on i.id = g.resource_id
  ) f;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r6_objects(
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
    select distinct t.resource_id as id
    from authz.tuples t
    where p_subject_relation is null
      and t.namespace = p_namespace
      and t.resource_type = 'document'
      and t.relation = 'publisher'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
  ) f;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r6_subjects(
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
    select distinct t.subject_id as id
    from authz.tuples t
    where p_subject_relation is null
      and t.namespace = p_namespace
      and t.resource_type = 'document'
      and t.resource_id = p_resource_id
      and t.relation = 'publisher'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_type = p_subject_type
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
  ) f;
end
$$;

create function authz_rt.m_b8eb142e5a7f_r7_subjects(
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
      and t.resource_type = 'document'
      and t.resource_id = p_resource_id
      and t.relation = 'approved'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_type = p_subject_type
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select p_resource_id collate "C" as id
    where p_subject_type = 'document' and p_subject_relation in ('viewer', 'approved')
  ) f;
end
$$;

create function authz_rt.m_b8eb142e5a7f_check(
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
  if p_subject_type <> all ('{"user","group","document"}') or p_subject_relation is not null then
    perform authz_rt.m_b8eb142e5a7f_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'group' then
    if p_relation = 'member' then
      return authz_rt.m_b8eb142e5a7f_r1_check(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
      );
    end if;
  elsif p_resource_type = 'document' then
    if p_relation = 'blocked' then
      return authz_rt.m_b8eb142e5a7f_r2_check(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
      );
    elsif p_relation = 'approved' then
      return authz_rt.m_b8eb142e5a7f_r3_check(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
      );
    elsif p_relation = 'viewer' then
      return authz_rt.m_b8eb142e5a7f_r4_check(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
      );
    elsif p_relation = 'publisher' then
      return authz_rt.m_b8eb142e5a7f_r5_check(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
      );
    end if;
  end if;
  perform authz_rt.m_b8eb142e5a7f_refuse_unknown('resource_type', p_resource_type, p_relation);
  return false;
end
$$;

create function authz_rt.m_b8eb142e5a7f_filter(
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
  if p_subject_type <> all ('{"user","group","document"}') or p_subject_relation is not null then
    perform authz_rt.m_b8eb142e5a7f_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'group' then
    if p_relation = 'member' then
      return query select * from authz_rt.m_b8eb142e5a7f_r1_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
      );
      return;
    end if;
  elsif p_resource_type = 'document' then
    if p_relation = 'blocked' then
      return query select * from authz_rt.m_b8eb142e5a7f_r2_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
      );
      return;
    elsif p_relation = 'approved' then
      return query select * from authz_rt.m_b8eb142e5a7f_r3_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
      );
      return;
    elsif p_relation = 'viewer' then
      return query select * from authz_rt.m_b8eb142e5a7f_r4_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
      );
      return;
    elsif p_relation = 'publisher' then
      return query select * from authz_rt.m_b8eb142e5a7f_r5_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_b8eb142e5a7f_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;

create function authz_rt.m_b8eb142e5a7f_objects(
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
  if p_subject_type <> all ('{"user","group","document"}') or p_subject_relation is not null then
    perform authz_rt.m_b8eb142e5a7f_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'group' then
    if p_relation = 'member' then
      return query select * from authz_rt.m_b8eb142e5a7f_r1_objects(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
      );
      return;
    end if;
  elsif p_resource_type = 'document' then
    if p_relation = 'blocked' then
      return query select * from authz_rt.m_b8eb142e5a7f_r2_objects(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
      );
      return;
    elsif p_relation = 'approved' then
      return query select * from authz_rt.m_b8eb142e5a7f_r3_objects(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
      );
      return;
    elsif p_relation = 'viewer' then
      return query select * from authz_rt.m_b8eb142e5a7f_r4_objects(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
      );
      return;
    elsif p_relation = 'publisher' then
      return query select * from authz_rt.m_b8eb142e5a7f_r5_objects(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_b8eb142e5a7f_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;

create function authz_rt.m_b8eb142e5a7f_subjects(
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
  if p_subject_type <> all ('{"user","group","document"}') or p_subject_relation is not null then
    perform authz_rt.m_b8eb142e5a7f_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'group' then
    if p_relation = 'member' then
      return query select * from authz_rt.m_b8eb142e5a7f_r1_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      );
      return;
    end if;
  elsif p_resource_type = 'document' then
    if p_relation = 'blocked' then
      return query select * from authz_rt.m_b8eb142e5a7f_r2_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      );
      return;
    elsif p_relation = 'approved' then
      return query select * from authz_rt.m_b8eb142e5a7f_r3_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      );
      return;
    elsif p_relation = 'viewer' then
      return query select * from authz_rt.m_b8eb142e5a7f_r4_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      );
      return;
    elsif p_relation = 'publisher' then
      return query select * from authz_rt.m_b8eb142e5a7f_r5_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_b8eb142e5a7f_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;
