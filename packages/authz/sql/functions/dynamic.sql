-- The dynamic rule: what tuples mean for types that no model defines.
--
--   groups of S       (G, r) for every tuple G#r@S; and (H, member) for every tuple H#member@G or
--                     H#member@G#r with (G, r) among them. A group is of any type.
--   containers of R   R, and whatever is reached from it over parent tuples.
--   S holds P on R    if a tuple on a container of R, with relation P or one that implies P, names
--                     S, or a group of S: G, or G#r with that very r.
--
-- Walks are unions of nodes without depth, so cycles end them and nothing is too deep. Every step
-- of a walk is a lateral subquery with offset 0, which the planner must run once per node, by
-- index: it cannot know how few nodes there are, and would rather join whole tables.
-- tuples_edges_idx serves the steps upwards through groups and downwards through containers. It
-- also says which types have members or contents at all, so that nobody's ten thousand documents
-- are looked at as if they were groups.
--
-- A check is staged, because most answers are near and a short statement is quick to start: is S
-- named on R; is S in a group that is; what do the containers of R name; is S in any of that.
--
-- A userset as the subject, G#r, is asked about as somebody of whom one thing is known: to be named
-- in a tuple G#r. That tuple is contextual, and its subject has an empty id, which nobody has.
--
-- Contextual tuples are a second source beside the table. A source that could be both would double
-- the cost of every check, so what reads tuples exists twice: the twin whose name ends in _x is the
-- same text, made by the last statement of this file, reading _live_x in place of _live.

create or replace function authz._live(p_namespace text) returns setof authz.tuples
language sql
stable
parallel safe
as $$
  select t.*
  from authz.tuples t
  where t.namespace = p_namespace
    and t.condition_name is null
    and (t.expires_at is null or t.expires_at > howdah.now())
$$;

comment on function authz._live(text) is
'The tuples of a namespace that count for dynamic types. Inlined.';

create or replace function authz._live_x(p_namespace text, p_contextual authz.tuple[])
returns setof authz.tuples
language sql
stable
parallel safe
as $$
  select t.*
  from authz.tuples t
  where t.namespace = p_namespace
    and t.condition_name is null
    and (t.expires_at is null or t.expires_at > howdah.now())
  union all
  select c.*
  from unnest(p_contextual) c
  where c.condition_name is null
    and (c.expires_at is null or c.expires_at > howdah.now())
$$;

comment on function authz._live_x(text, authz.tuple[]) is
'The tuples of a namespace, and the contextual ones, that count for dynamic types. Inlined.';

create or replace function authz._asked(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_contextual authz.tuple[]
) returns authz.tuple[]
language sql
immutable
parallel safe
as $$
  select case
    when p_subject_relation is null then p_contextual
    else p_contextual || row(null, p_namespace, p_subject_type, p_subject_id, p_subject_relation,
      p_subject_type, '', null, null, null, null, null, null, null)::authz.tuple
  end
$$;

comment on function authz._asked(text, text, text, text, authz.tuple[]) is
'The contextual tuples of a question, with the one that makes its subject a member of a userset.';

create or replace function authz._types(
  p_namespace text,
  p_of text,
  p_contextual authz.tuple[] default null
) returns text[]
language plpgsql
stable
parallel safe
as $$
declare
  v_type text collate "C" := '';
  v_types text[] collate "C" := array(
    select case p_of when 'resource' then c.resource_type else c.subject_type end
    from unnest(p_contextual) c
    where p_of in ('resource', 'subject') or c.relation = p_of
  );
begin
  loop
    if p_of = 'resource' then
      v_type := (
        select min(t.resource_type)
        from authz.tuples t
        where t.namespace = p_namespace and t.resource_type > v_type
      );
    elsif p_of = 'subject' then
      v_type := (
        select min(t.subject_type)
        from authz.tuples t
        where t.namespace = p_namespace and t.subject_type > v_type
      );
    else
      v_type := (
        select min(t.subject_type)
        from authz.tuples t
        where t.namespace = p_namespace and t.subject_type > v_type
          and t.relation = p_of and t.relation in ('member', 'parent')
      );
    end if;
    if v_type is null then
      return v_types;
    end if;
    v_types := v_types || v_type;
  end loop;
end
$$;

comment on function authz._types(text, text, authz.tuple[]) is
'The types of all resources, of all subjects, of whatever is a member, or of whatever is a parent:
one index probe for each type.';

create or replace function authz._has_tuples(
  p_namespace text,
  p_resource_type text,
  p_contextual authz.tuple[]
) returns boolean
language plpgsql
stable
parallel safe
as $$
begin
  return exists (
    select
    from authz.tuples t
    where t.namespace = p_namespace and t.resource_type = p_resource_type
  ) or exists (
    select
    from unnest(p_contextual) c
    where c.resource_type = p_resource_type
  );
end
$$;

comment on function authz._has_tuples(text, text, authz.tuple[]) is
'Whether anything can be in a resource of the type: of users usually not, which spares walks a look
at every user that a tuple names.';

create or replace function authz._groups(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_types text[],
  p_contextual authz.tuple[] default null
) returns table (type text, id text, relation text)
language plpgsql
stable
parallel safe
rows 20
as $$
declare
  v_types text[] collate "C" :=
    p_types || authz._types(p_namespace, 'member', p_contextual);
begin
  if p_contextual is not null then
    return query
    select g.type, g.id, g.relation
    from authz._groups_x(p_namespace, p_subject_type, p_subject_id, p_types, p_contextual) g;
    return;
  end if;

  return query
  with recursive walk as (
    select own.*
    from (select distinct v from unnest(v_types) v) kind (type)
    cross join lateral (
      select t.resource_type, t.resource_id, t.relation
      from authz._live(p_namespace) t
      where t.subject_type = p_subject_type
        and t.subject_id = p_subject_id
        and t.subject_relation is null
        and t.resource_type = kind.type
      offset 0
    ) own
    union
    select next.*
    from walk w
    cross join lateral (
      select t.resource_type, t.resource_id, t.relation
      from authz._live(p_namespace) t
      where t.relation = 'member'
        and t.subject_type = w.resource_type
        and t.subject_id = w.resource_id
        and (t.subject_relation is null or t.subject_relation = w.relation)
      offset 0
    ) next
  )
  select w.resource_type, w.resource_id, w.relation
  from walk w;
end
$$;

comment on function authz._groups(text, text, text, text[], authz.tuple[]) is
'The groups of a subject, and the relation by which it is in each: those of the given types, and
those through which it is in others.';

create or replace function authz._dynamic_holds(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_relations text[],
  p_resource_type text,
  p_resource_id text,
  p_contextual authz.tuple[] default null
) returns boolean
language plpgsql
stable
parallel safe
as $$
declare
  v_is_named boolean;
  v_types text[] collate "C";
  v_ids text[] collate "C";
  v_relations text[] collate "C";
begin
  if p_contextual is not null or p_subject_relation is not null then
    return authz._dynamic_holds_x(p_namespace, p_subject_type,
      case when p_subject_relation is null then p_subject_id else '' end, null,
      p_relations, p_resource_type, p_resource_id,
      authz._asked(p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_contextual));
  end if;

  if exists (
    select
    from authz._live(p_namespace) t
    where t.resource_type = p_resource_type
      and t.resource_id = p_resource_id
      and t.relation = any (p_relations)
      and t.subject_type = p_subject_type
      and t.subject_id = p_subject_id
      and t.subject_relation is null
  ) then
    return true;
  end if;

  if exists (
    select
    from (
      select t.subject_type, t.subject_id, coalesce(t.subject_relation, 'member') as relation
      from authz._live(p_namespace) t
      where t.resource_type = p_resource_type
        and t.resource_id = p_resource_id
        and t.relation = any (p_relations)
      limit 32
    ) named
    cross join lateral (
      select
      from authz._live(p_namespace) t
      where t.resource_type = named.subject_type
        and t.resource_id = named.subject_id
        and t.relation = named.relation
        and t.subject_type = p_subject_type
        and t.subject_id = p_subject_id
        and t.subject_relation is null
      offset 0
    ) member
    where named.subject_type <> p_subject_type
  ) then
    return true;
  end if;

  with recursive walk as (
    select '' collate "C" as relation, p_resource_type collate "C" as type,
      p_resource_id collate "C" as id, null collate "C" as subject_relation
    union
    select named.*
    from walk w
    cross join lateral (
      select t.relation, t.subject_type, t.subject_id, t.subject_relation
      from authz._live(p_namespace) t
      where t.resource_type = w.type
        and t.resource_id = w.id
        and t.relation = any (p_relations || 'parent'::text)
        and (t.relation = 'parent' or t.subject_type <> p_subject_type
          or t.subject_id = p_subject_id
          or (select authz._has_tuples(p_namespace, p_subject_type, p_contextual)))
      offset 0
    ) named
    where w.relation in ('', 'parent')
  )
  select
    bool_or(w.type = p_subject_type and w.id = p_subject_id and w.subject_relation is null),
    array_agg(w.type), array_agg(w.id), array_agg(w.subject_relation)
  into v_is_named, v_types, v_ids, v_relations
  from walk w
  where w.relation = any (p_relations);

  if v_is_named or v_types is null then
    return coalesce(v_is_named, false);
  end if;

  return exists (
    select
    from authz._groups(p_namespace, p_subject_type, p_subject_id, v_types, p_contextual) g
    join unnest(v_types, v_ids, v_relations) named (type, id, relation)
      on (named.type, named.id) = (g.type, g.id)
      and (named.relation is null or named.relation = g.relation)
  );
end
$$;

comment on function authz._dynamic_holds(text, text, text, text, text[], text, text, authz.tuple[])
is 'Whether a subject has one of the relations, which include all that imply them, on a resource.';

create or replace function authz._dynamic_check(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_permission text,
  p_resource_type text,
  p_resource_id text,
  p_contextual authz.tuple[] default null
) returns boolean
language plpgsql
stable
parallel safe
as $$
begin
  return authz._dynamic_holds(p_namespace, p_subject_type, p_subject_id, p_subject_relation,
    authz._implied_by(p_namespace, p_resource_type, p_permission), p_resource_type, p_resource_id,
    p_contextual);
end
$$;

comment on function authz._dynamic_check(text, text, text, text, text, text, text, authz.tuple[])
is 'Whether a subject has a permission on a resource of a dynamic type.';

create or replace function authz._dynamic_relations(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_resource_type text,
  p_resource_id text,
  p_contextual authz.tuple[] default null
) returns text[]
language plpgsql
stable
parallel safe
as $$
declare
  -- A constant would let the planner take the index of edges, which begins elsewhere.
  v_parent text collate "C" := 'parent';
begin
  if p_contextual is not null or p_subject_relation is not null then
    return authz._dynamic_relations_x(p_namespace, p_subject_type,
      case when p_subject_relation is null then p_subject_id else '' end, null,
      p_resource_type, p_resource_id,
      authz._asked(p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_contextual));
  end if;

  return array(
    with recursive walk as (
      select p_resource_type collate "C" as type, p_resource_id collate "C" as id
      union
      select parent.*
      from walk w
      cross join lateral (
        select t.subject_type, t.subject_id
        from authz._live(p_namespace) t
        where t.resource_type = w.type
          and t.resource_id = w.id
          and t.relation = v_parent
        offset 0
      ) parent
    ),
    named as materialized (
      select t.*
      from walk w
      cross join lateral (
        select t.relation, t.subject_type, t.subject_id, t.subject_relation
        from authz._live(p_namespace) t
        where t.resource_type = w.type
          and t.resource_id = w.id
        offset 0
      ) t
    )
    select n.relation
    from named n
    where n.subject_type = p_subject_type
      and n.subject_id = p_subject_id
      and n.subject_relation is null
    union
    select n.relation
    from authz._groups(p_namespace, p_subject_type, p_subject_id,
      array(select distinct n.subject_type from named n), p_contextual) g
    join named n on (n.subject_type, n.subject_id) = (g.type, g.id)
      and (n.subject_relation is null or n.subject_relation = g.relation)
  );
end
$$;

comment on function authz._dynamic_relations(text, text, text, text, text, text, authz.tuple[])
is 'All relations that a subject has, itself or through groups, on a resource or its containers.';

create or replace function authz._reach(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_relations text[],
  p_resource_type text,
  p_most bigint,
  p_contextual authz.tuple[] default null
) returns table (type text, id text)
language plpgsql
stable
parallel safe
rows 500
as $$
declare
  v_containers text[] collate "C" := authz._types(p_namespace, 'parent', p_contextual);
begin
  if p_contextual is not null then
    return query
    select r.type, r.id
    from authz._reach_x(p_namespace, p_subject_type, p_subject_id, p_relations, p_resource_type,
      p_most, p_contextual) r;
    return;
  end if;

  return query
  with recursive walk as (
    select granted.*
    from (
      select p_subject_type collate "C" as type, p_subject_id collate "C" as id, null as relation
      union all
      select g.type, g.id, g.relation
      from authz._groups(p_namespace, p_subject_type, p_subject_id,
        authz._types(p_namespace, 'subject', p_contextual), p_contextual) g
    ) s
    cross join (select distinct v from unnest(v_containers || p_resource_type) v) kind (type)
    cross join lateral (
      select t.resource_type, t.resource_id
      from authz._live(p_namespace) t
      where t.subject_type = s.type
        and t.subject_id = s.id
        and t.subject_relation is null
        and t.resource_type = kind.type
        and t.relation = any (p_relations)
      union all
      select t.resource_type, t.resource_id
      from authz._live(p_namespace) t
      where t.subject_type = s.type
        and t.subject_id = s.id
        and t.subject_relation = s.relation
        and t.resource_type = kind.type
        and t.relation = any (p_relations)
      offset 0
    ) granted
    union
    select content.*
    from walk w
    cross join lateral (
      select t.resource_type, t.resource_id
      from authz._live(p_namespace) t
      where t.relation = 'parent'
        and t.subject_type = w.resource_type
        and t.subject_id = w.resource_id
      offset 0
    ) content
    where w.resource_type = any (v_containers)
  )
  select w.resource_type, w.resource_id
  from walk w
  limit p_most;
end
$$;

comment on function authz._reach(text, text, text, text[], text, bigint, authz.tuple[]) is
'What a subject has one of the relations on: resources of a type, and containers of any type, with
all that is in them; no more than p_most.';

create or replace function authz._dynamic_objects(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_permission text,
  p_resource_type text,
  p_contextual authz.tuple[] default null
) returns table (resource_id text)
language plpgsql
stable
parallel safe
rows 500
as $$
begin
  return query
  select r.id
  from authz._reach(p_namespace, p_subject_type,
    case when p_subject_relation is null then p_subject_id else '' end,
    authz._implied_by(p_namespace, p_resource_type, p_permission), p_resource_type, null,
    authz._asked(p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_contextual)) r
  where r.type = p_resource_type;
end
$$;

comment on function authz._dynamic_objects(text, text, text, text, text, text, authz.tuple[]) is
'All resources of a dynamic type on which a subject has a permission.';

create or replace function authz._dynamic_filter(
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_permission text,
  p_resource_type text,
  p_resource_ids text[],
  p_contextual authz.tuple[] default null
) returns table (resource_id text)
language plpgsql
stable
parallel safe
as $$
declare
  v_relations text[] collate "C" :=
    authz._implied_by(p_namespace, p_resource_type, p_permission);
  v_reach text[] collate "C";
begin
  if p_contextual is not null or p_subject_relation is not null then
    return query
    select f.resource_id
    from authz._dynamic_filter_x(p_namespace, p_subject_type,
      case when p_subject_relation is null then p_subject_id else '' end, null,
      p_permission, p_resource_type, p_resource_ids,
      authz._asked(p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_contextual)) f;
    return;
  end if;

  if cardinality(p_resource_ids) > 100 then
    v_reach := array(
      select case when r.type = p_resource_type then r.id end
      from authz._reach(p_namespace, p_subject_type, p_subject_id, v_relations, p_resource_type,
        20000, p_contextual) r
    );
    if cardinality(v_reach) < 20000 then
      return query
      select r.id from unnest(p_resource_ids) r (id)
      intersect
      select r.id from unnest(v_reach) r (id);
      return;
    end if;
  end if;

  return query
  with recursive walk as (
    select null collate "C" as resource_type, null collate "C" as resource_id,
      '' collate "C" as relation, p_resource_type collate "C" as subject_type,
      r.id collate "C" as subject_id, null collate "C" as subject_relation
    from unnest(p_resource_ids) r (id)
    union
    select named.*
    from walk w
    cross join lateral (
      select t.resource_type, t.resource_id, t.relation,
        t.subject_type, t.subject_id, t.subject_relation
      from authz._live(p_namespace) t
      where t.resource_type = w.subject_type
        and t.resource_id = w.subject_id
        and t.relation = any (v_relations || 'parent'::text)
        and (t.relation = 'parent' or t.subject_type <> p_subject_type
          or t.subject_id = p_subject_id
          or (select authz._has_tuples(p_namespace, p_subject_type, p_contextual)))
      offset 0
    ) named
    where w.relation in ('', 'parent')
  ),
  named as materialized (
    select w.*
    from walk w
    where w.relation = any (v_relations)
  ),
  allowed as (
    (
      select n.resource_type, n.resource_id
      from named n
      where n.subject_type = p_subject_type
        and n.subject_id = p_subject_id
        and n.subject_relation is null
      union all
      select n.resource_type, n.resource_id
      from authz._groups(p_namespace, p_subject_type, p_subject_id,
        array(select distinct n.subject_type from named n), p_contextual) g
      join named n on (n.subject_type, n.subject_id) = (g.type, g.id)
        and (n.subject_relation is null or n.subject_relation = g.relation)
    )
    union
    select w.resource_type, w.resource_id
    from allowed a
    join walk w on (w.subject_type, w.subject_id) = (a.resource_type, a.resource_id)
    where w.relation = 'parent'
  )
  select a.resource_id
  from allowed a
  where a.resource_type = p_resource_type
    and a.resource_id = any (p_resource_ids);
end
$$;

comment on function authz._dynamic_filter(
  text, text, text, text, text, text, text[], authz.tuple[]
) is
'Those of the resources of a dynamic type on which a subject has a permission.';

create or replace function authz._dynamic_subjects(
  p_namespace text,
  p_resource_type text,
  p_resource_id text,
  p_permission text,
  p_subject_type text,
  p_subject_relation text,
  p_contextual authz.tuple[] default null
) returns table (subject_type text, subject_id text)
language plpgsql
stable
parallel safe
rows 500
as $$
declare
  v_relations text[] collate "C" :=
    authz._implied_by(p_namespace, p_resource_type, p_permission);
  v_parent text collate "C" := 'parent';
  v_member text collate "C" := 'member';
  v_groups text[] collate "C" := authz._types(p_namespace, 'resource', p_contextual);
begin
  if p_contextual is not null then
    return query
    select s.subject_type, s.subject_id
    from authz._dynamic_subjects_x(p_namespace, p_resource_type, p_resource_id, p_permission,
      p_subject_type, p_subject_relation, p_contextual) s;
    return;
  end if;

  return query
  with recursive container as (
    select p_resource_type collate "C" as type, p_resource_id collate "C" as id
    union
    select parent.*
    from container c
    cross join lateral (
      select t.subject_type, t.subject_id
      from authz._live(p_namespace) t
      where t.resource_type = c.type
        and t.resource_id = c.id
        and t.relation = v_parent
      offset 0
    ) parent
  ),
  walk as (
    select named.*, true as expands
    from container c
    cross join lateral (
      select t.subject_type as type, t.subject_id as id, t.subject_relation as relation
      from authz._live(p_namespace) t
      where t.resource_type = c.type
        and t.resource_id = c.id
        and t.relation = any (v_relations)
      offset 0
    ) named
    union
    select named.*
    from walk w
    cross join lateral (
      select t.subject_type, t.subject_id, t.subject_relation, t.relation = 'member'
      from authz._live(p_namespace) t
      where t.resource_type = w.type
        and t.resource_id = w.id
        and (w.relation is null or t.relation = w.relation)
        and (t.relation = 'member' or t.subject_relation is null)
      offset 0
    ) named
    where w.expands
      and w.type = any (v_groups)
  )
  select w.type, w.id
  from walk w
  where p_subject_relation is null
    and w.relation is null
    and w.type = coalesce(p_subject_type, w.type)
    and not (w.type = any (v_groups) and exists (
      select
      from authz._live(p_namespace) t
      where t.resource_type = w.type
        and t.resource_id = w.id
        and t.relation = v_member
    ))
  union
  select w.type, w.id
  from walk w
  where w.expands
    and p_subject_relation = coalesce(w.relation, p_subject_relation)
    and w.type = coalesce(p_subject_type, w.type)
  union
  select c.type, c.id
  from container c
  where p_subject_relation = any (v_relations)
    and c.type = coalesce(p_subject_type, c.type);
end
$$;

comment on function authz._dynamic_subjects(text, text, text, text, text, text, authz.tuple[]) is
'All subjects that have a permission on a resource of a dynamic type and have no members themselves;
with p_subject_relation all objects whose usersets of that relation have it.';

do $$
declare
  v_name text;
  v_text text;
begin
  foreach v_name in array array['_groups', '_dynamic_holds', '_dynamic_relations', '_reach',
    '_dynamic_filter', '_dynamic_subjects']
  loop
    v_text := pg_get_functiondef(format('authz.%I', v_name)::regproc);
    v_text := regexp_replace(v_text, '\n  if p_contextual is not null.*?\n  end if;\n', '');
    v_text := replace(v_text, format('authz.%I(', v_name), format('authz.%I(', v_name || '_x'));
    v_text := replace(v_text, 'authz._live(p_namespace)',
      'authz._live_x(p_namespace, p_contextual)');
    execute v_text;
    execute format('comment on function authz.%I is %L', v_name || '_x',
      format('%s() with contextual tuples beside the table.', v_name));
  end loop;
end
$$;
