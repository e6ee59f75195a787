create function authz_rt.m_ba079bb0ceaf_r1_check(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_id text, p_context jsonb
) returns boolean
language plpgsql stable parallel safe as $$
declare
  v_lenient boolean := false;
begin
  if p_subject_relation is not null then
    return p_subject_type = 'document' and p_subject_relation = 'viewer'
      and p_subject_id = p_resource_id;
  end if;
  if p_subject_type <> 'user' then
    return false;
  end if;
  loop
    -- Granted on the resource itself.
    if exists (
      select
      from authz.tuples t
      where t.namespace = p_namespace
        and t.resource_type = 'document'
        and t.resource_id = p_resource_id
        and t.relation = 'viewer'
        and t.subject_type = 'user'
        and (t.condition_name is null or t.condition_name = 'in_office'
          and coalesce(authz_rt.m_ba079bb0ceaf_cond_1(t.condition_context, p_context), v_lenient))
        and t.subject_id in (p_subject_id, '*')
        and (t.subject_id <> '*' or t.condition_name = 'in_office'
            and coalesce(authz_rt.m_ba079bb0ceaf_cond_1(t.condition_context, p_context), v_lenient))
        and t.subject_relation is null
        and (t.expires_at is null or t.expires_at > howdah.now())
    ) then
      return case when not v_lenient then true end;
    end if;
    exit when v_lenient;
    v_lenient := true;
  end loop;
  return false;
end
$$;

create function authz_rt.m_ba079bb0ceaf_r1_filter(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text,
  p_resource_ids text[], p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_lenient boolean := false;
  v_found text[];
  v_sure text[] := '{}';
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  loop
    v_found := array (
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
            and (t.condition_name is null or t.condition_name = 'in_office'
              and coalesce(authz_rt.m_ba079bb0ceaf_cond_1(t.condition_context, p_context), v_lenient))
            and t.subject_id = p_subject_id
            and t.subject_id <> '*'
            and t.subject_relation is null
            and (t.expires_at is null or t.expires_at > howdah.now())
          offset 0
        ) g
        join unnest(p_resource_ids) i (id) on i.id = g.resource_id
        union
        select t.resource_id as id
        from authz.tuples t
        where p_subject_relation is null
          and t.namespace = p_namespace
          and t.resource_type = 'document'
          and t.resource_id = any (p_resource_ids)
          and t.relation = 'viewer'
          and t.subject_type = 'user'
          and t.condition_name = 'in_office'
            and coalesce(authz_rt.m_ba079bb0ceaf_cond_1(t.condition_context, p_context), v_lenient)
          and t.subject_id = '*'
          and t.subject_relation is null
          and (t.expires_at is null or t.expires_at > howdah.now())
        union
        select p_subject_id collate "C" as id
        where p_subject_type = 'document' and p_subject_relation = 'viewer'
          and p_subject_id = any (p_resource_ids)
      ) f
    );
    return query
    select w.id, case when not v_lenient then true end
    from unnest(v_found) w (id)
    where w.id not in (select s.id from unnest(v_sure) s (id));
    exit when v_lenient;
    v_lenient := true;
    v_sure := v_found;
  end loop;
end
$$;

create function authz_rt.m_ba079bb0ceaf_r1_objects(
  p_namespace text, p_subject_type text, p_subject_id text, p_subject_relation text, p_context jsonb
) returns table (resource_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_lenient boolean := false;
  v_found text[];
  v_sure text[] := '{}';
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  loop
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
          and (t.condition_name is null or t.condition_name = 'in_office'
            and coalesce(authz_rt.m_ba079bb0ceaf_cond_1(t.condition_context, p_context), v_lenient))
          and t.subject_id = p_subject_id
          and t.subject_id <> '*'
          and t.subject_relation is null
          and (t.expires_at is null or t.expires_at > howdah.now())
        union
        select t.resource_id as id
        from authz.tuples t
        where p_subject_relation is null
          and t.namespace = p_namespace
          and t.resource_type = 'document'
          and t.relation = 'viewer'
          and t.subject_type = 'user'
          and t.condition_name = 'in_office'
            and coalesce(authz_rt.m_ba079bb0ceaf_cond_1(t.condition_context, p_context), v_lenient)
          and t.subject_id = '*'
          and t.subject_relation is null
          and (t.expires_at is null or t.expires_at > howdah.now())
        union
        select p_subject_id collate "C" as id
        where p_subject_type = 'document' and p_subject_relation = 'viewer'
      ) f
    );
    return query
    select w.id, case when not v_lenient then true end
    from unnest(v_found) w (id)
    where w.id not in (select s.id from unnest(v_sure) s (id));
    exit when v_lenient;
    v_lenient := true;
    v_sure := v_found;
  end loop;
end
$$;

create function authz_rt.m_ba079bb0ceaf_r1_subjects(
  p_namespace text, p_resource_id text, p_subject_type text, p_subject_relation text,
  p_context jsonb
) returns table (subject_id text, allowed boolean)
language plpgsql stable parallel safe as $$
declare
  v_lenient boolean := false;
  v_found text[];
  v_sure text[] := '{}';
begin
  if p_subject_relation is null and p_subject_type <> 'user' then
    return;
  end if;
  loop
    v_found := array (
      select f.id
      from (
        select t.subject_id as id
        from authz.tuples t
        where p_subject_relation is null
          and t.namespace = p_namespace
          and t.resource_type = 'document'
          and t.resource_id = p_resource_id
          and t.relation = 'viewer'
          and t.subject_type = 'user'
          and (t.condition_name is null or t.condition_name = 'in_office'
            and coalesce(authz_rt.m_ba079bb0ceaf_cond_1(t.condition_context, p_context), v_lenient))
          and t.subject_type = p_subject_type
          and t.subject_id <> '*'
          and t.subject_relation is null
          and (t.expires_at is null or t.expires_at > howdah.now())
        union
        select t.subject_id as id
        from authz.tuples t
        where p_subject_relation is null
          and t.namespace = p_namespace
          and t.resource_type = 'document'
          and t.resource_id = p_resource_id
          and t.relation = 'viewer'
          and t.subject_type = 'user'
          and t.condition_name = 'in_office'
            and coalesce(authz_rt.m_ba079bb0ceaf_cond_1(t.condition_context, p_context), v_lenient)
          and t.subject_type = p_subject_type
          and t.subject_id = '*'
          and t.subject_relation is null
          and (t.expires_at is null or t.expires_at > howdah.now())
        union
        select p_resource_id collate "C" as id
        where p_subject_type = 'document' and p_subject_relation = 'viewer'
      ) f
    );
    return query
    select w.id, case
        when not v_lenient then true
        when '*' = any (v_sure) then true
      end
    from unnest(v_found) w (id)
    where w.id not in (select s.id from unnest(v_sure) s (id));
    exit when v_lenient;
    v_lenient := true;
    v_sure := v_found;
  end loop;
end
$$;

create function authz_rt.m_ba079bb0ceaf_check(
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
    perform authz_rt.m_ba079bb0ceaf_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'document' then
    if p_relation = 'viewer' then
      return authz_rt.m_ba079bb0ceaf_r1_check(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
      );
    end if;
  end if;
  perform authz_rt.m_ba079bb0ceaf_refuse_unknown('resource_type', p_resource_type, p_relation);
  return false;
end
$$;

create function authz_rt.m_ba079bb0ceaf_filter(
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
    perform authz_rt.m_ba079bb0ceaf_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'document' then
    if p_relation = 'viewer' then
      return query select * from authz_rt.m_ba079bb0ceaf_r1_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_ba079bb0ceaf_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;

create function authz_rt.m_ba079bb0ceaf_objects(
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
    perform authz_rt.m_ba079bb0ceaf_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'document' then
    if p_relation = 'viewer' then
      return query select * from authz_rt.m_ba079bb0ceaf_r1_objects(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_ba079bb0ceaf_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;

create function authz_rt.m_ba079bb0ceaf_subjects(
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
    perform authz_rt.m_ba079bb0ceaf_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'document' then
    if p_relation = 'viewer' then
      return query select * from authz_rt.m_ba079bb0ceaf_r1_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_ba079bb0ceaf_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;
