// What one would write without a compiler, three ways, each as `bench.<name>(user, relation, type, id)`.

/** A bare look-up of one tuple in the same kind of function, the floor under every check. */
export const BARE = `
create function bench.bare(p_user text, p_relation text, p_type text, p_id text) returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan as $$
declare
  v_user text collate "C" := p_user;
  v_relation text collate "C" := p_relation;
  v_type text collate "C" := p_type;
  v_id text collate "C" := p_id;
begin
  perform howdah.guard('authz', 'drive');
  return exists (
    select 1 from authz.tuples t
    where t.namespace = 'drive' and t.resource_type = v_type and t.resource_id = v_id and t.relation = v_relation
      and t.subject_type = 'user' and t.subject_id = v_user and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > howdah.now())
  );
end $$`;

/** The rules of the model written out by hand, as a function that calls itself along every edge. */
export const RECURSIVE = `
create function bench.recursive(p_user text, p_relation text, p_type text, p_id text, p_depth int default 0)
returns boolean
language plpgsql stable as $$
declare
  v_user text collate "C" := p_user;
  v_relation text collate "C" := p_relation;
  v_type text collate "C" := p_type;
  v_id text collate "C" := p_id;
begin
  if p_depth > 25 then return false; end if;
  if v_relation = 'can_view' then
    return bench.recursive(v_user, 'viewer', v_type, v_id, p_depth + 1)
      and not bench.recursive(v_user, 'blocked', v_type, v_id, p_depth + 1);
  end if;
  if exists (
    select 1 from authz.tuples t
    where t.namespace = 'drive' and t.resource_type = v_type and t.resource_id = v_id and t.relation = v_relation
      and t.subject_type = 'user' and t.subject_id in (v_user, '*') and t.subject_relation is null
      and (t.expires_at is null or t.expires_at > now())
  ) then return true; end if;
  if v_relation = 'viewer' and v_type = 'document'
    and bench.recursive(v_user, 'editor', v_type, v_id, p_depth + 1) then return true; end if;
  if (v_relation = 'editor' or v_relation = 'viewer' and v_type = 'folder')
    and bench.recursive(v_user, 'owner', v_type, v_id, p_depth + 1) then return true; end if;
  if v_relation in ('viewer', 'editor', 'member') and exists (
    select 1 from authz.tuples t
    where t.namespace = 'drive' and t.resource_type = v_type and t.resource_id = v_id and t.relation = v_relation
      and t.subject_type = 'group' and t.subject_relation = 'member'
      and (t.expires_at is null or t.expires_at > now())
      and bench.recursive(v_user, 'member', 'group', t.subject_id, p_depth + 1)
  ) then return true; end if;
  return v_relation = 'viewer' and exists (
    select 1 from authz.tuples t
    where t.namespace = 'drive' and t.resource_type = v_type and t.resource_id = v_id and t.relation = 'parent'
      and (t.expires_at is null or t.expires_at > now())
      and bench.recursive(v_user, 'viewer', 'folder', t.subject_id, p_depth + 1)
  );
end $$`;

/** An interpreter: the rules are rows, and one recursive query walks from the resource to the subjects. */
export const INTERPRETER = `
create table bench.rules (type text collate "C", relation text collate "C", kind text, a text collate "C", b text collate "C");
insert into bench.rules values
  ('group', 'member', 'userset', 'group', 'member'),
  ('folder', 'viewer', 'userset', 'group', 'member'),
  ('folder', 'viewer', 'computed', 'owner', null),
  ('folder', 'viewer', 'from', 'parent', 'viewer'),
  ('document', 'editor', 'userset', 'group', 'member'),
  ('document', 'editor', 'computed', 'owner', null),
  ('document', 'viewer', 'userset', 'group', 'member'),
  ('document', 'viewer', 'computed', 'editor', null),
  ('document', 'viewer', 'from', 'parent', 'viewer');
create index on bench.rules (type, relation);
create function bench.interpreter(p_user text, p_relation text, p_type text, p_id text) returns boolean
language plpgsql stable set plan_cache_mode = force_generic_plan as $$
declare
  v_user text collate "C" := p_user;
  v_relation text collate "C" := p_relation;
  v_type text collate "C" := p_type;
  v_id text collate "C" := p_id;
begin
  if v_relation = 'can_view' then
    return bench.interpreter(v_user, 'viewer', v_type, v_id)
      and not bench.interpreter(v_user, 'blocked', v_type, v_id);
  end if;
  return exists (
    with recursive reached (type, id, relation) as (
      select v_type, v_id, v_relation
      union
      select e.type, e.id, e.relation
      from reached r
      join bench.rules g on g.type = r.type and g.relation = r.relation
      cross join lateral (
        select r.type, r.id, g.a as relation where g.kind = 'computed'
        union all
        select t.subject_type, t.subject_id, t.subject_relation from authz.tuples t
        where g.kind = 'userset' and t.namespace = 'drive' and t.resource_type = r.type and t.resource_id = r.id
          and t.relation = r.relation and t.subject_type = g.a and t.subject_relation = g.b
          and (t.expires_at is null or t.expires_at > now())
        union all
        select t.subject_type, t.subject_id, g.b from authz.tuples t
        where g.kind = 'from' and t.namespace = 'drive' and t.resource_type = r.type and t.resource_id = r.id
          and t.relation = g.a and t.subject_relation is null
          and (t.expires_at is null or t.expires_at > now())
      ) e
    )
    select 1 from reached r
    join authz.tuples t on t.namespace = 'drive' and t.resource_type = r.type and t.resource_id = r.id
      and t.relation = r.relation and t.subject_type = 'user' and t.subject_id in (v_user, '*')
      and t.subject_relation is null and (t.expires_at is null or t.expires_at > now())
  );
end $$`;
