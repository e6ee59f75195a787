-- Program cd3d4921c113, compiled from a model. It is named by its content, so it is never edited.
-- An answer that is null is unknown. A value is 3 true, 2 unknown, 1 false for a cycle, 0 false.

-- condition in_office

create function authz_rt.m_cd3d4921c113_cond_1(p_stored jsonb, p_context jsonb) returns boolean
language plpgsql stable parallel safe as $$
declare
  v_context jsonb := coalesce(p_context, '{}') || coalesce(p_stored, '{}');
  v_1 inet := authz._cel_ip(authz._cel_string(authz._cel_get(v_context, 'ip')));
begin
  return (v_1 <<= authz._cel_cidr('10.0.0.0/8'::text));
end
$$;

create function authz_rt.m_cd3d4921c113_refusal(
  p_resource_type text, p_relation text, p_subject_type text, p_subject_id text,
  p_subject_relation text, p_condition text
) returns text
language plpgsql stable parallel safe as $$
declare
  v_relations text[] := case p_resource_type
    when 'user' then '{}'
    when 'document' then '{"viewer"}'
    end;
  v_forms text[] := case p_resource_type
    when 'user' then '{}'
    when 'document' then '{"viewer@user with in_office"}'
    end;
begin
  if p_resource_type in ('rbac_permission', 'rbac_role') then
    return null;
  end if;
  if v_relations is null then
    return 'type_unknown';
  end if;
  if p_relation <> all (v_relations) then
    return 'relation_unknown';
  end if;
  if p_condition is not null and p_condition <> all ('{"in_office"}') then
    return 'condition_unknown';
  end if;
  if concat(p_relation, '@', p_subject_type, case when p_subject_id = '*' then ':*' end,
    '#' || p_subject_relation, ' with ' || p_condition) = any (v_forms) then
    return null;
  end if;
  return 'tuple_invalid';
end
$$;

create function authz_rt.m_cd3d4921c113_refuse_unknown(
  p_field text, p_type text, p_relation text
) returns void
language plpgsql stable parallel safe as $$
declare
  v_relations text[] := case p_type
    when 'user' then '{}'
    when 'document' then '{"viewer"}'
    end;
begin
  if p_type in ('rbac_permission', 'rbac_role') then
    return;
  end if;
  if v_relations is null then
    perform authz._fail_unknown(p_field, p_type);
  end if;
  if p_relation is not null and p_relation <> all (v_relations) then
    perform authz._fail_unknown(p_field, p_type, p_relation);
  end if;
end
$$;

-- document#viewer, class D

create function authz_rt.m_cd3d4921c113_r1_check(
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
        and t.condition_name = 'in_office'
          and coalesce(authz_rt.m_cd3d4921c113_cond_1(t.condition_context, p_context), v_lenient)
        and t.subject_id = p_subject_id
        and t.subject_id <> '*'
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

create function authz_rt.m_cd3d4921c113_r1_filter(
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
            and t.condition_name = 'in_office'
              and coalesce(authz_rt.m_cd3d4921c113_cond_1(t.condition_context, p_context), v_lenient)
            and t.subject_id = p_subject_id
            and t.subject_id <> '*'
            and t.subject_relation is null
            and (t.expires_at is null or t.expires_at > howdah.now())
          offset 0
        ) g
        join unnest(p_resource_ids) i (id) on i.id = g.resource_id
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

create function authz_rt.m_cd3d4921c113_r1_objects(
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
          and t.condition_name = 'in_office'
            and coalesce(authz_rt.m_cd3d4921c113_cond_1(t.condition_context, p_context), v_lenient)
          and t.subject_id = p_subject_id
          and t.subject_id <> '*'
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

create function authz_rt.m_cd3d4921c113_r1_subjects(
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
          and t.condition_name = 'in_office'
            and coalesce(authz_rt.m_cd3d4921c113_cond_1(t.condition_context, p_context), v_lenient)
          and t.subject_type = p_subject_type
          and t.subject_id <> '*'
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

comment on function authz_rt.m_cd3d4921c113_r1_check is 'document#viewer, class D';

create function authz_rt.m_cd3d4921c113_check(
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
    perform authz_rt.m_cd3d4921c113_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'document' then
    if p_relation = 'viewer' then
      return authz_rt.m_cd3d4921c113_r1_check(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_id, p_context
      );
    end if;
  end if;
  perform authz_rt.m_cd3d4921c113_refuse_unknown('resource_type', p_resource_type, p_relation);
  return false;
end
$$;

create function authz_rt.m_cd3d4921c113_filter(
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
    perform authz_rt.m_cd3d4921c113_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'document' then
    if p_relation = 'viewer' then
      return query select * from authz_rt.m_cd3d4921c113_r1_filter(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_resource_ids, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_cd3d4921c113_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;

create function authz_rt.m_cd3d4921c113_objects(
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
    perform authz_rt.m_cd3d4921c113_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'document' then
    if p_relation = 'viewer' then
      return query select * from authz_rt.m_cd3d4921c113_r1_objects(
        p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_cd3d4921c113_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;

create function authz_rt.m_cd3d4921c113_subjects(
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
    perform authz_rt.m_cd3d4921c113_refuse_unknown(
      'subject_type', p_subject_type, p_subject_relation
    );
  end if;
  if p_resource_type = 'document' then
    if p_relation = 'viewer' then
      return query select * from authz_rt.m_cd3d4921c113_r1_subjects(
        p_namespace, p_resource_id, p_subject_type, p_subject_relation, p_context
      );
      return;
    end if;
  end if;
  perform authz_rt.m_cd3d4921c113_refuse_unknown('resource_type', p_resource_type, p_relation);
end
$$;

revoke all on function
  authz_rt.m_cd3d4921c113_cond_1, authz_rt.m_cd3d4921c113_refusal,
  authz_rt.m_cd3d4921c113_refuse_unknown, authz_rt.m_cd3d4921c113_r1_check,
  authz_rt.m_cd3d4921c113_r1_filter, authz_rt.m_cd3d4921c113_r1_objects,
  authz_rt.m_cd3d4921c113_r1_subjects, authz_rt.m_cd3d4921c113_r1_check_x,
  authz_rt.m_cd3d4921c113_r1_filter_x, authz_rt.m_cd3d4921c113_r1_objects_x,
  authz_rt.m_cd3d4921c113_r1_subjects_x, authz_rt.m_cd3d4921c113_check,
  authz_rt.m_cd3d4921c113_filter, authz_rt.m_cd3d4921c113_objects, authz_rt.m_cd3d4921c113_subjects,
  authz_rt.m_cd3d4921c113_check_x, authz_rt.m_cd3d4921c113_filter_x,
  authz_rt.m_cd3d4921c113_objects_x, authz_rt.m_cd3d4921c113_subjects_x
from public;

