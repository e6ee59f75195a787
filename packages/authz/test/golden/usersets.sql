create function authz_rt.m_7fe2fa75c5c2_r1_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is not null then
    return p_subject_type = 'team' and p_subject_relation = 'lead'
      and p_subject_id = p_resource_id;
  end if;
  if p_subject_type <> 'user' then
    return false;
  end if;
  return exists (
    select
    from authz.tuples t
    where t.namespace = p_namespace
      and t.resource_type = 'team'
      and t.resource_id = p_resource_id
      and t.relation = 'lead'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
  );
end
$$;

create function authz_rt.m_7fe2fa75c5c2_r1_filter(
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
        and t.resource_type = 'team'
        and t.relation = 'lead'
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
    where p_subject_type = 'team' and p_subject_relation = 'lead'
      and p_subject_id = any (p_resource_ids)
  ) f;
end
$$;

create function authz_rt.m_7fe2fa75c5c2_r1_objects(
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
      and t.resource_type = 'team'
      and t.relation = 'lead'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select p_subject_id collate "C" as id
    where p_subject_type = 'team' and p_subject_relation = 'lead'
  ) f;
end
$$;

create function authz_rt.m_7fe2fa75c5c2_r1_subjects(
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
      and t.resource_type = 'team'
      and t.resource_id = p_resource_id
      and t.relation = 'lead'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_type = p_subject_type
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select p_resource_id collate "C" as id
    where p_subject_type = 'team' and p_subject_relation = 'lead'
  ) f;
end
$$;

create function authz_rt.m_7fe2fa75c5c2_r2_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
declare
  v_team_member text[] collate "C";
  v_held_team_member text[] collate "C";
begin
  if p_subject_relation is not null then
    return exists (
      select
      from authz_rt.m_7fe2fa75c5c2_r2_subjects(
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
      and t.resource_type = 'team'
      and t.resource_id = p_resource_id
      and t.relation in ('member', 'lead')
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
        and m.resource_type = 'team'
        and m.resource_id = t.subject_id
        and m.relation in ('member', 'lead')
        and m.subject_type = 'user'
        and m.condition_name is null
        and m.subject_id = p_subject_id
        and m.subject_id <> '*'
        and m.subject_relation is null
        and (m.expires_at is null or m.expires_at > howdah.now())
      offset 0
    ) m
    where t.namespace = p_namespace
      and t.resource_type = 'team'
      and t.resource_id = p_resource_id
      and t.relation = 'member'
      and t.subject_type = 'team'
      and t.condition_name is null
      and t.subject_id <> '*'
      and t.subject_relation = 'member'
      and (t.expires_at is null or t.expires_at > howdah.now())
  ) then
    return true;
  end if;
  -- The usersets that are left.
  v_team_member := array (
    select t.subject_id
    from authz.tuples t
    where t.namespace = p_namespace
      and t.resource_type = 'team'
      and t.resource_id = p_resource_id
      and t.relation = 'member'
      and t.subject_type = 'team'
      and t.condition_name is null
      and t.subject_id <> '*'
      and t.subject_relation = 'member'
      and (t.expires_at is null or t.expires_at > howdah.now())
  );
  -- From the subject upward, to one of these.
  if cardinality(v_team_member) > 0 then
    v_held_team_member := array (
      select t.resource_id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'team'
        and t.relation in ('member', 'lead')
        and t.subject_type = 'user'
        and t.condition_name is null
        and t.subject_id = p_subject_id
        and t.subject_id <> '*'
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
    );
    if v_held_team_member && v_team_member then
      return true;
    end if;
    if v_held_team_member <> '{}' and exists (
      with recursive team_member (id) as (
        select h.id collate "C" as id
        from unnest(v_held_team_member) h (id)
        union
        select e.id
        from team_member w
        cross join lateral (
          select t.resource_id as id
          from authz.tuples t
          where t.namespace = p_namespace
            and t.resource_type = 'team'
            and t.relation = 'member'
            and t.subject_type = 'team'
            and t.condition_name is null
            and t.subject_id = w.id
            and t.subject_id <> '*'
            and t.subject_relation = 'member'
            and (t.expires_at is null or t.expires_at > howdah.now())
          offset 0
        ) e
      )
      select
      from team_member w
      where w.id = any (v_team_member)
    ) then
      return true;
    end if;
  end if;
  return false;
end
$$;

create function authz_rt.m_7fe2fa75c5c2_r2_filter(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_ids text[], p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_most int := 20 * cardinality(p_resource_ids);
  v_team_member text[] collate "C";
  v_found text[] collate "C";
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  if cardinality(p_resource_ids) > 8 then
    v_team_member := array (
      with recursive team_member (id) as (
        select t.resource_id as id
        from authz.tuples t
        where p_subject_relation is null
          and t.namespace = p_namespace
          and t.resource_type = 'team'
          and t.relation in ('member', 'lead')
          and t.subject_type = 'user'
          and t.condition_name is null
          and t.subject_id = p_subject_id
          and t.subject_id <> '*'
          and t.subject_relation is null
          and (t.expires_at is null or t.expires_at > howdah.now())
        union
        select p_subject_id collate "C" as id
        where p_subject_type = 'team' and p_subject_relation in ('member', 'lead')
        union
        select e.id
        from team_member w
        cross join lateral (
          select t.resource_id as id
          from authz.tuples t
          where t.namespace = p_namespace
            and t.resource_type = 'team'
            and t.relation = 'member'
            and t.subject_type = 'team'
            and t.condition_name is null
            and t.subject_id = w.id
            and t.subject_id <> '*'
            and t.subject_relation = 'member'
            and (t.expires_at is null or t.expires_at > howdah.now())
          offset 0
        ) e
      )
      select w.id
      from team_member w
      limit v_most
    );
    if cardinality(v_team_member) < v_most then
      v_found := v_team_member;
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
    select authz_rt.m_7fe2fa75c5c2_r2_check(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, i.id, p_context
    ) as allowed
    offset 0
  ) c
  where c.allowed is not false;
end
$$;

create function authz_rt.m_7fe2fa75c5c2_r2_objects(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text, p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  return query
  with recursive team_member (id) as (
    select t.resource_id as id
    from authz.tuples t
    where p_subject_relation is null
      and t.namespace = p_namespace
      and t.resource_type = 'team'
      and t.relation in ('member', 'lead')
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select p_subject_id collate "C" as id
    where p_subject_type = 'team' and p_subject_relation in ('member', 'lead')
    union
    select e.id
    from team_member w
    cross join lateral (
      select t.resource_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'team'
        and t.relation = 'member'
        and t.subject_type = 'team'
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
    from team_member w
  ) f;
end
$$;

create function authz_rt.m_7fe2fa75c5c2_r2_subjects(
  p_namespace text, p_resource_id text, p_subject_type text, p_subject_relation text,
  p_context jsonb
) returns table (subject_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  return query
  with recursive team_member (id) as (
    select p_resource_id collate "C" as id
    union
    select e.id
    from team_member w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'team'
        and t.resource_id = w.id
        and t.relation = 'member'
        and t.subject_type = 'team'
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
    from team_member w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where p_subject_relation is null
        and t.namespace = p_namespace
        and t.resource_type = 'team'
        and t.resource_id = w.id
        and t.relation in ('member', 'lead')
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
    from team_member w
    where p_subject_type = 'team' and p_subject_relation in ('member', 'lead')
  ) f;
end
$$;

create function authz_rt.m_7fe2fa75c5c2_r3_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
declare
  v_team_member text[] collate "C";
  v_held_team_member text[] collate "C";
begin
  if p_subject_relation is not null then
    return exists (
      select
      from authz_rt.m_7fe2fa75c5c2_r3_subjects(
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
      and t.resource_type = 'document'
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
  -- Granted on what the resource names.
  if exists (
    select
    from authz.tuples t
    cross join lateral (
      select
      from authz.tuples m
      where m.namespace = p_namespace
        and m.resource_type = 'team'
        and m.resource_id = t.subject_id
        and m.relation in ('member', 'lead')
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
      and t.relation = 'viewer'
      and t.subject_type = 'team'
      and t.condition_name is null
      and t.subject_id <> '*'
      and t.subject_relation = 'member'
      and (t.expires_at is null or t.expires_at > howdah.now())
    union all
    select
    from authz.tuples t
    cross join lateral (
      select
      from authz.tuples m
      where m.namespace = p_namespace
        and m.resource_type = 'team'
        and m.resource_id = t.subject_id
        and m.relation = 'lead'
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
      and t.relation = 'viewer'
      and t.subject_type = 'team'
      and t.condition_name is null
      and t.subject_id <> '*'
      and t.subject_relation = 'lead'
      and (t.expires_at is null or t.expires_at > howdah.now())
  ) then
    return true;
  end if;
  -- The usersets that are left.
  v_team_member := array (
    select t.subject_id
    from authz.tuples t
    where t.namespace = p_namespace
      and t.resource_type = 'document'
      and t.resource_id = p_resource_id
      and t.relation = 'viewer'
      and t.subject_type = 'team'
      and t.condition_name is null
      and t.subject_id <> '*'
      and t.subject_relation = 'member'
      and (t.expires_at is null or t.expires_at > howdah.now())
  );
  -- From the subject upward, to one of these.
  if cardinality(v_team_member) > 0 then
    v_held_team_member := array (
      select t.resource_id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'team'
        and t.relation in ('member', 'lead')
        and t.subject_type = 'user'
        and t.condition_name is null
        and t.subject_id = p_subject_id
        and t.subject_id <> '*'
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
    );
    if v_held_team_member && v_team_member then
      return true;
    end if;
    if v_held_team_member <> '{}' and exists (
      with recursive team_member (id) as (
        select h.id collate "C" as id
        from unnest(v_held_team_member) h (id)
        union
        select e.id
        from team_member w
        cross join lateral (
          select t.resource_id as id
          from authz.tuples t
          where t.namespace = p_namespace
            and t.resource_type = 'team'
            and t.relation = 'member'
            and t.subject_type = 'team'
            and t.condition_name is null
            and t.subject_id = w.id
            and t.subject_id <> '*'
            and t.subject_relation = 'member'
            and (t.expires_at is null or t.expires_at > howdah.now())
          offset 0
        ) e
      )
      select
      from team_member w
      where w.id = any (v_team_member)
    ) then
      return true;
    end if;
  end if;
  return false;
end
$$;

create function authz_rt.m_7fe2fa75c5c2_r3_filter(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_ids text[], p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_most int := 20 * cardinality(p_resource_ids);
  v_team_member text[] collate "C";
  v_team_lead text[] collate "C";
  v_found text[] collate "C";
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  if cardinality(p_resource_ids) > 8 then
    v_team_member := array (
      with recursive team_member (id) as (
        select t.resource_id as id
        from authz.tuples t
        where p_subject_relation is null
          and t.namespace = p_namespace
          and t.resource_type = 'team'
          and t.relation in ('member', 'lead')
          and t.subject_type = 'user'
          and t.condition_name is null
          and t.subject_id = p_subject_id
          and t.subject_id <> '*'
          and t.subject_relation is null
          and (t.expires_at is null or t.expires_at > howdah.now())
        union
        select p_subject_id collate "C" as id
        where p_subject_type = 'team' and p_subject_relation in ('member', 'lead')
        union
        select e.id
        from team_member w
        cross join lateral (
          select t.resource_id as id
          from authz.tuples t
          where t.namespace = p_namespace
            and t.resource_type = 'team'
            and t.relation = 'member'
            and t.subject_type = 'team'
            and t.condition_name is null
            and t.subject_id = w.id
            and t.subject_id <> '*'
            and t.subject_relation = 'member'
            and (t.expires_at is null or t.expires_at > howdah.now())
          offset 0
        ) e
      )
      select w.id
      from team_member w
      limit v_most
    );
    v_team_lead := array (
      with team_lead (id) as (
        select t.resource_id as id
        from authz.tuples t
        where p_subject_relation is null
          and t.namespace = p_namespace
          and t.resource_type = 'team'
          and t.relation = 'lead'
          and t.subject_type = 'user'
          and t.condition_name is null
          and t.subject_id = p_subject_id
          and t.subject_id <> '*'
          and t.subject_relation is null
          and (t.expires_at is null or t.expires_at > howdah.now())
        union
        select p_subject_id collate "C" as id
        where p_subject_type = 'team' and p_subject_relation = 'lead'
      )
      select w.id
      from team_lead w
      limit v_most
    );
    if greatest (
      cardinality(v_team_member),
      cardinality(v_team_lead)
    ) < v_most then
      v_found := array (
        select f.id
        from (
          select t.resource_id as id
          from authz.tuples t
          where p_subject_relation is null
            and t.namespace = p_namespace
            and t.resource_type = 'document'
            and t.relation = 'viewer'
            and t.subject_type = 'user'
            and t.condition_name is null
            and t.subject_id = p_subject_id
            and t.subject_id <> '*'
            and t.subject_relation is null
            and (t.expires_at is null or t.expires_at > howdah.now())
          union all
          select p_subject_id collate "C" as id
          where p_subject_type = 'document' and p_subject_relation = 'viewer'
          union all
          select e.id as id
          from unnest(v_team_member) w (id)
          cross join lateral (
            select t.resource_id as id
            from authz.tuples t
            where t.namespace = p_namespace
              and t.resource_type = 'document'
              and t.relation = 'viewer'
              and t.subject_type = 'team'
              and t.condition_name is null
              and t.subject_id = w.id
              and t.subject_id <> '*'
              and t.subject_relation = 'member'
              and (t.expires_at is null or t.expires_at > howdah.now())
            offset 0
          ) e
          union all
          select e.id as id
          from unnest(v_team_lead) w (id)
          cross join lateral (
            select t.resource_id as id
            from authz.tuples t
            where t.namespace = p_namespace
              and t.resource_type = 'document'
              and t.relation = 'viewer'
              and t.subject_type = 'team'
              and t.condition_name is null
              and t.subject_id = w.id
              and t.subject_id <> '*'
              and t.subject_relation = 'lead'
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
              and t.relation = 'viewer'
              and t.subject_type = 'team'
              and t.subject_id <> '*'
              and (t.expires_at is null or t.expires_at > howdah.now())
          )
          select f.id
          from (
            select g.resource_id as id
            from (
              select t.resource_id
              from authz.tuples t
              where p_subject_relation is null
                and t.namespace = p_namespace
                and t.resource_type = 'document'
                and t.relation = 'viewer'
                and t.subject_type = 'user'
                and t.condition_name is null
                and t.subject_id = p_subject_id
                and t.subject_id <> '*'
                and t.subject_relation is null
                and (t.expires_at is null or t.expires_at > howdah.now())
              offset 0
            ) g
            join unnest(p_resource_ids) i (id) on i.id = g.resource_id
            union all
            select p_subject_id collate "C" as id
            where p_subject_type = 'document' and p_subject_relation = 'viewer'
              and p_subject_id = any (p_resource_ids)
            union all
            select t.resource_id as id
            from links t
            join unnest(v_team_member) w (id) on w.id = t.subject_id
            where t.relation = 'viewer'
              and t.subject_type = 'team'
              and t.condition_name is null
              and t.subject_relation = 'member'
            union all
            select t.resource_id as id
            from links t
            join unnest(v_team_lead) w (id) on w.id = t.subject_id
            where t.relation = 'viewer'
              and t.subject_type = 'team'
              and t.condition_name is null
              and t.subject_relation = 'lead'
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
    select authz_rt.m_7fe2fa75c5c2_r3_check(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, i.id, p_context
    ) as allowed
    offset 0
  ) c
  where c.allowed is not false;
end
$$;

create function authz_rt.m_7fe2fa75c5c2_r3_objects(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text, p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  return query
  with recursive team_member (id) as (
    select t.resource_id as id
    from authz.tuples t
    where p_subject_relation is null
      and t.namespace = p_namespace
      and t.resource_type = 'team'
      and t.relation in ('member', 'lead')
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select p_subject_id collate "C" as id
    where p_subject_type = 'team' and p_subject_relation in ('member', 'lead')
    union
    select e.id
    from team_member w
    cross join lateral (
      select t.resource_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'team'
        and t.relation = 'member'
        and t.subject_type = 'team'
        and t.condition_name is null
        and t.subject_id = w.id
        and t.subject_id <> '*'
        and t.subject_relation = 'member'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
  ),
  team_lead (id) as (
    select t.resource_id as id
    from authz.tuples t
    where p_subject_relation is null
      and t.namespace = p_namespace
      and t.resource_type = 'team'
      and t.relation = 'lead'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select p_subject_id collate "C" as id
    where p_subject_type = 'team' and p_subject_relation = 'lead'
  )
  select f.id, true
  from (
    select t.resource_id as id
    from authz.tuples t
    where p_subject_relation is null
      and t.namespace = p_namespace
      and t.resource_type = 'document'
      and t.relation = 'viewer'
      and t.subject_type = 'user'
      and t.condition_name is null
      and t.subject_id = p_subject_id
      and t.subject_id <> '*'
      and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
    union
    select p_subject_id collate "C" as id
    where p_subject_type = 'document' and p_subject_relation = 'viewer'
    union
    select e.id as id
    from team_member w
    cross join lateral (
      select t.resource_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'document'
        and t.relation = 'viewer'
        and t.subject_type = 'team'
        and t.condition_name is null
        and t.subject_id = w.id
        and t.subject_id <> '*'
        and t.subject_relation = 'member'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
    union
    select e.id as id
    from team_lead w
    cross join lateral (
      select t.resource_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'document'
        and t.relation = 'viewer'
        and t.subject_type = 'team'
        and t.condition_name is null
        and t.subject_id = w.id
        and t.subject_id <> '*'
        and t.subject_relation = 'lead'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
  ) f;
end
$$;

create function authz_rt.m_7fe2fa75c5c2_r3_subjects(
  p_namespace text, p_resource_id text, p_subject_type text, p_subject_relation text,
  p_context jsonb
) returns table (subject_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  return query
  with recursive document_viewer (id) as (
    select distinct p_resource_id collate "C" as id
  ),
  team_member (id) as (
    select e.id as id
    from document_viewer w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'document'
        and t.resource_id = w.id
        and t.relation = 'viewer'
        and t.subject_type = 'team'
        and t.condition_name is null
        and t.subject_id <> '*'
        and t.subject_relation = 'member'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
    union
    select e.id
    from team_member w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'team'
        and t.resource_id = w.id
        and t.relation = 'member'
        and t.subject_type = 'team'
        and t.condition_name is null
        and t.subject_id <> '*'
        and t.subject_relation = 'member'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
  ),
  team_lead (id) as (
    select distinct e.id as id
    from document_viewer w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'document'
        and t.resource_id = w.id
        and t.relation = 'viewer'
        and t.subject_type = 'team'
        and t.condition_name is null
        and t.subject_id <> '*'
        and t.subject_relation = 'lead'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
  )
  select f.id, true
  from (
    select e.id as id
    from document_viewer w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where p_subject_relation is null
        and t.namespace = p_namespace
        and t.resource_type = 'document'
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
    from document_viewer w
    where p_subject_type = 'document' and p_subject_relation = 'viewer'
    union
    select e.id as id
    from team_member w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where p_subject_relation is null
        and t.namespace = p_namespace
        and t.resource_type = 'team'
        and t.resource_id = w.id
        and t.relation in ('member', 'lead')
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
    from team_member w
    where p_subject_type = 'team' and p_subject_relation in ('member', 'lead')
    union
    select e.id as id
    from team_lead w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where p_subject_relation is null
        and t.namespace = p_namespace
        and t.resource_type = 'team'
        and t.resource_id = w.id
        and t.relation = 'lead'
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
    from team_lead w
    where p_subject_type = 'team' and p_subject_relation = 'lead'
  ) f;
end
$$;

create function authz_rt.m_7fe2fa75c5c2_check(
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
  if p_subject_type <> all ('{"user","team","document"}') or p_subject_relation is not null then
    perform authz_rt.m_7fe2fa75c5c2_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'team' then
    if p_relation = 'lead' then
      return authz_rt.m_7fe2fa75c5c2_r1_check(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
      );
    elsif p_relation = 'member' then
      return authz_rt.m_7fe2fa75c5c2_r2_check(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
      );
    end if;
  elsif p_resource_type = 'document' then
    if p_relation = 'viewer' then
      return authz_rt.m_7fe2fa75c5c2_r3_check(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
      );
    end if;
  end if;
  perform authz_rt.m_7fe2fa75c5c2_refuse_unknown('resource_type', p_resource_type, p_relation);
  return false;
end
$$;

create function authz_rt.m_7fe2fa75c5c2_filter(
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
  if p_subject_type <> all ('{"user","team","document"}') or p_subject_relation is not null then
    perform authz_rt.m_7fe2fa75c5c2_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'team' then
    if p_relation = 'lead' then
      return query select * from authz_rt.m_7fe2fa75c5c2_r1_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
      );
      return;
    elsif p_relation = 'member' then
      return query select * from authz_rt.m_7fe2fa75c5c2_r2_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
      );
      return;
    end if;
  elsif p_resource_type = 'document' then
    if p_relation = 'viewer' then
      return query select * from authz_rt.m_7fe2fa75c5c2_r3_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_7fe2fa75c5c2_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;

create function authz_rt.m_7fe2fa75c5c2_objects(
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
  if p_subject_type <> all ('{"user","team","document"}') or p_subject_relation is not null then
    perform authz_rt.m_7fe2fa75c5c2_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'team' then
    if p_relation = 'lead' then
      return query select * from authz_rt.m_7fe2fa75c5c2_r1_objects(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
      );
      return;
    elsif p_relation = 'member' then
      return query select * from authz_rt.m_7fe2fa75c5c2_r2_objects(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
      );
      return;
    end if;
  elsif p_resource_type = 'document' then
    if p_relation = 'viewer' then
      return query select * from authz_rt.m_7fe2fa75c5c2_r3_objects(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_7fe2fa75c5c2_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;

create function authz_rt.m_7fe2fa75c5c2_subjects(
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
  if p_subject_type <> all ('{"user","team","document"}') or p_subject_relation is not null then
    perform authz_rt.m_7fe2fa75c5c2_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'team' then
    if p_relation = 'lead' then
      return query select * from authz_rt.m_7fe2fa75c5c2_r1_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      );
      return;
    elsif p_relation = 'member' then
      return query select * from authz_rt.m_7fe2fa75c5c2_r2_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      );
      return;
    end if;
  elsif p_resource_type = 'document' then
    if p_relation = 'viewer' then
      return query select * from authz_rt.m_7fe2fa75c5c2_r3_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_7fe2fa75c5c2_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;
