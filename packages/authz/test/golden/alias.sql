create function authz_rt.m_f8edfd78fa5d_r1_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
declare
  v_document_can_view text[] collate "C";
  v_held_document_can_view text[] collate "C";
begin
  if p_subject_relation is not null then
    return exists (
      select
      from authz_rt.m_f8edfd78fa5d_r1_subjects(
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
        and m.resource_type = 'document'
        and m.resource_id = t.subject_id
        and m.relation = 'viewer'
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
      and t.subject_type = 'document'
      and t.condition_name is null
      and t.subject_id <> '*'
      and t.subject_relation = 'can_view'
      and (t.expires_at is null or t.expires_at > howdah.now())
  ) then
    return true;
  end if;
  -- The usersets that are left.
  v_document_can_view := array (
    select t.subject_id
    from authz.tuples t
    where t.namespace = p_namespace
      and t.resource_type = 'document'
      and t.resource_id = p_resource_id
      and t.relation = 'viewer'
      and t.subject_type = 'document'
      and t.condition_name is null
      and t.subject_id <> '*'
      and t.subject_relation = 'can_view'
      and (t.expires_at is null or t.expires_at > howdah.now())
  );
  -- From the subject upward, to one of these.
  if cardinality(v_document_can_view) > 0 then
    v_held_document_can_view := array (
      select t.resource_id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'document'
        and t.relation = 'viewer'
        and t.subject_type = 'user'
        and t.condition_name is null
        and t.subject_id = p_subject_id
        and t.subject_id <> '*'
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
    );
    if v_held_document_can_view && v_document_can_view then
      return true;
    end if;
    if v_held_document_can_view <> '{}' and exists (
      with recursive document_can_view (id) as (
        select h.id collate "C" as id
        from unnest(v_held_document_can_view) h (id)
        union
        select e.id
        from document_can_view w
        cross join lateral (
          select t.resource_id as id
          from authz.tuples t
          where t.namespace = p_namespace
            and t.resource_type = 'document'
            and t.relation = 'viewer'
            and t.subject_type = 'document'
            and t.condition_name is null
            and t.subject_id = w.id
            and t.subject_id <> '*'
            and t.subject_relation = 'can_view'
            and (t.expires_at is null or t.expires_at > howdah.now())
          offset 0
        ) e
      )
      select
      from document_can_view w
      where w.id = any (v_document_can_view)
    ) then
      return true;
    end if;
  end if;
  return false;
end
$$;

create function authz_rt.m_f8edfd78fa5d_r1_filter(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_ids text[], p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_most int := 20 * cardinality(p_resource_ids);
  v_document_can_view text[] collate "C";
  v_found text[] collate "C";
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  if cardinality(p_resource_ids) > 8 then
    v_document_can_view := array (
      with recursive document_can_view (id) as (
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
        where p_subject_type = 'document' and p_subject_relation in ('can_view', 'viewer')
        union
        select e.id
        from document_can_view w
        cross join lateral (
          select t.resource_id as id
          from authz.tuples t
          where t.namespace = p_namespace
            and t.resource_type = 'document'
            and t.relation = 'viewer'
            and t.subject_type = 'document'
            and t.condition_name is null
            and t.subject_id = w.id
            and t.subject_id <> '*'
            and t.subject_relation = 'can_view'
            and (t.expires_at is null or t.expires_at > howdah.now())
          offset 0
        ) e
      )
      select w.id
      from document_can_view w
      limit v_most
    );
    if cardinality(v_document_can_view) < v_most then
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
          from unnest(v_document_can_view) w (id)
          cross join lateral (
            select t.resource_id as id
            from authz.tuples t
            where t.namespace = p_namespace
              and t.resource_type = 'document'
              and t.relation = 'viewer'
              and t.subject_type = 'document'
              and t.condition_name is null
              and t.subject_id = w.id
              and t.subject_id <> '*'
              and t.subject_relation = 'can_view'
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
              and t.subject_type = 'document'
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
            join unnest(v_document_can_view) w (id) on w.id = t.subject_id
            where t.relation = 'viewer'
              and t.subject_type = 'document'
              and t.condition_name is null
              and t.subject_relation = 'can_view'
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
    select authz_rt.m_f8edfd78fa5d_r1_check(
      p_namespace, p_subject_type, p_subject_id, p_subject_relation, i.id, p_context
    ) as allowed
    offset 0
  ) c
  where c.allowed is not false;
end
$$;

create function authz_rt.m_f8edfd78fa5d_r1_objects(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text, p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  return query
  with recursive document_can_view (id) as (
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
    where p_subject_type = 'document' and p_subject_relation in ('can_view', 'viewer')
    union
    select e.id
    from document_can_view w
    cross join lateral (
      select t.resource_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'document'
        and t.relation = 'viewer'
        and t.subject_type = 'document'
        and t.condition_name is null
        and t.subject_id = w.id
        and t.subject_id <> '*'
        and t.subject_relation = 'can_view'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
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
    from document_can_view w
    cross join lateral (
      select t.resource_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'document'
        and t.relation = 'viewer'
        and t.subject_type = 'document'
        and t.condition_name is null
        and t.subject_id = w.id
        and t.subject_id <> '*'
        and t.subject_relation = 'can_view'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
  ) f;
end
$$;

create function authz_rt.m_f8edfd78fa5d_r1_subjects(
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
  document_can_view (id) as (
    select e.id as id
    from document_viewer w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'document'
        and t.resource_id = w.id
        and t.relation = 'viewer'
        and t.subject_type = 'document'
        and t.condition_name is null
        and t.subject_id <> '*'
        and t.subject_relation = 'can_view'
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) e
    union
    select e.id
    from document_can_view w
    cross join lateral (
      select t.subject_id as id
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'document'
        and t.resource_id = w.id
        and t.relation = 'viewer'
        and t.subject_type = 'document'
        and t.condition_name is null
        and t.subject_id <> '*'
        and t.subject_relation = 'can_view'
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
    from document_can_view w
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
    from document_can_view w
    where p_subject_type = 'document' and p_subject_relation in ('can_view', 'viewer')
  ) f;
end
$$;

create function authz_rt.m_f8edfd78fa5d_r2_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
begin
  if p_subject_type = 'document' and p_subject_relation = 'can_view'
    and p_subject_id = p_resource_id then
    return true;
  end if;
  return authz_rt.m_f8edfd78fa5d_r1_check(
    p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
  );
end
$$;

create function authz_rt.m_f8edfd78fa5d_r2_filter(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_ids text[], p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_own text := case when p_subject_type = 'document' and p_subject_relation = 'can_view'
      and p_subject_id = any (p_resource_ids) then p_subject_id end;
begin
  if v_own is not null then
    return query select v_own, true;
  end if;
  return query
  select a.resource_id, a.allowed
  from authz_rt.m_f8edfd78fa5d_r1_filter(
    p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
  ) a
  where a.resource_id is distinct from v_own;
end
$$;

create function authz_rt.m_f8edfd78fa5d_r2_objects(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text, p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_own text := case when p_subject_type = 'document' and p_subject_relation = 'can_view' then p_subject_id end;
begin
  if v_own is not null then
    return query select v_own, true;
  end if;
  return query
  select a.resource_id, a.allowed
  from authz_rt.m_f8edfd78fa5d_r1_objects(
    p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
  ) a
  where a.resource_id is distinct from v_own;
end
$$;

create function authz_rt.m_f8edfd78fa5d_r2_subjects(
  p_namespace text, p_resource_id text, p_subject_type text, p_subject_relation text,
  p_context jsonb
) returns table (subject_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_own text := case when p_subject_type = 'document' and p_subject_relation = 'can_view' then p_resource_id end;
begin
  if v_own is not null then
    return query select v_own, true;
  end if;
  return query
  select a.subject_id, a.allowed
  from authz_rt.m_f8edfd78fa5d_r1_subjects(
    p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
  ) a
  where a.subject_id is distinct from v_own;
end
$$;

create function authz_rt.m_f8edfd78fa5d_r3_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
begin
  if p_subject_type = 'document' and p_subject_relation in ('can_open', 'can_view')
    and p_subject_id = p_resource_id then
    return true;
  end if;
  return authz_rt.m_f8edfd78fa5d_r1_check(
    p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
  );
end
$$;

create function authz_rt.m_f8edfd78fa5d_r3_filter(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_ids text[], p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_own text := case when p_subject_type = 'document' and p_subject_relation in ('can_open', 'can_view')
      and p_subject_id = any (p_resource_ids) then p_subject_id end;
begin
  if v_own is not null then
    return query select v_own, true;
  end if;
  return query
  select a.resource_id, a.allowed
  from authz_rt.m_f8edfd78fa5d_r1_filter(
    p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
  ) a
  where a.resource_id is distinct from v_own;
end
$$;

create function authz_rt.m_f8edfd78fa5d_r3_objects(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text, p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_own text := case when p_subject_type = 'document' and p_subject_relation in ('can_open', 'can_view') then p_subject_id end;
begin
  if v_own is not null then
    return query select v_own, true;
  end if;
  return query
  select a.resource_id, a.allowed
  from authz_rt.m_f8edfd78fa5d_r1_objects(
    p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
  ) a
  where a.resource_id is distinct from v_own;
end
$$;

create function authz_rt.m_f8edfd78fa5d_r3_subjects(
  p_namespace text, p_resource_id text, p_subject_type text, p_subject_relation text,
  p_context jsonb
) returns table (subject_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_own text := case when p_subject_type = 'document' and p_subject_relation in ('can_open', 'can_view') then p_resource_id end;
begin
  if v_own is not null then
    return query select v_own, true;
  end if;
  return query
  select a.subject_id, a.allowed
  from authz_rt.m_f8edfd78fa5d_r1_subjects(
    p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
  ) a
  where a.subject_id is distinct from v_own;
end
$$;

create function authz_rt.m_f8edfd78fa5d_check(
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
  if p_subject_type <> all ('{"user","document"}') or p_subject_relation is not null then
    perform authz_rt.m_f8edfd78fa5d_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'document' then
    if p_relation = 'viewer' then
      return authz_rt.m_f8edfd78fa5d_r1_check(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
      );
    elsif p_relation = 'can_view' then
      return authz_rt.m_f8edfd78fa5d_r2_check(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
      );
    elsif p_relation = 'can_open' then
      return authz_rt.m_f8edfd78fa5d_r3_check(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
      );
    end if;
  end if;
  perform authz_rt.m_f8edfd78fa5d_refuse_unknown('resource_type', p_resource_type, p_relation);
  return false;
end
$$;

create function authz_rt.m_f8edfd78fa5d_filter(
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
  if p_subject_type <> all ('{"user","document"}') or p_subject_relation is not null then
    perform authz_rt.m_f8edfd78fa5d_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'document' then
    if p_relation = 'viewer' then
      return query select * from authz_rt.m_f8edfd78fa5d_r1_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
      );
      return;
    elsif p_relation = 'can_view' then
      return query select * from authz_rt.m_f8edfd78fa5d_r2_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
      );
      return;
    elsif p_relation = 'can_open' then
      return query select * from authz_rt.m_f8edfd78fa5d_r3_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_f8edfd78fa5d_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;

create function authz_rt.m_f8edfd78fa5d_objects(
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
  if p_subject_type <> all ('{"user","document"}') or p_subject_relation is not null then
    perform authz_rt.m_f8edfd78fa5d_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'document' then
    if p_relation = 'viewer' then
      return query select * from authz_rt.m_f8edfd78fa5d_r1_objects(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
      );
      return;
    elsif p_relation = 'can_view' then
      return query select * from authz_rt.m_f8edfd78fa5d_r2_objects(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
      );
      return;
    elsif p_relation = 'can_open' then
      return query select * from authz_rt.m_f8edfd78fa5d_r3_objects(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_f8edfd78fa5d_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;

create function authz_rt.m_f8edfd78fa5d_subjects(
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
  if p_subject_type <> all ('{"user","document"}') or p_subject_relation is not null then
    perform authz_rt.m_f8edfd78fa5d_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'document' then
    if p_relation = 'viewer' then
      return query select * from authz_rt.m_f8edfd78fa5d_r1_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      );
      return;
    elsif p_relation = 'can_view' then
      return query select * from authz_rt.m_f8edfd78fa5d_r2_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      );
      return;
    elsif p_relation = 'can_open' then
      return query select * from authz_rt.m_f8edfd78fa5d_r3_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_f8edfd78fa5d_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;
