-- Verification: does the database still look the way the modules were released?
--
-- The manifest that was stored when a module was installed, or that a client carries, is compared
-- with the manifest of the schema as it is now. Both are taken apart into objects, objects are
-- paired by kind, table and name, and what does not pair up or differs is a row. What someone added
-- is only mentioned, unless it breaks writes or widens access. What no manifest can know, since it
-- varies from day to day or is nobody's to choose, is read from the catalogue: partitions, and
-- rights of PUBLIC.

create or replace function howdah.verify(p_manifest jsonb default null)
returns table (
  severity text,
  module text,
  kind text,
  object text,
  problem text,
  expected text,
  actual text
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
  v_given jsonb := case jsonb_typeof(p_manifest)
    when 'array' then p_manifest
    else jsonb_build_array(p_manifest)
  end;
  v_schemas text[];
begin
  if p_manifest is null then
    v_given := '[]';
    v_schemas := array(select m.module from howdah.modules m);
  else
    v_schemas := array(select m ->> 'schema' from jsonb_array_elements(v_given) m);
    if array_position(v_schemas, null) is not null then
      perform howdah.fail('howdah', 'manifest_invalid',
        'manifest must be an object with the key schema, as howdah.manifest prints it', '22023');
    end if;
  end if;

  return query
  with modules as materialized (
    select w.module, w.manifest - 'access' as wanted, f.manifest as found
    from (
      select m.module, m.manifest || jsonb_build_object('schema', m.module) as manifest
      from howdah.modules m
      where p_manifest is null
      union all
      select m ->> 'schema', m
      from jsonb_array_elements(v_given) m
    ) w
    left join howdah._manifests(v_schemas) f on f.schema_name = w.module
  ),
  wanted as materialized (
    select m.module, o.*
    from modules m, howdah._manifest_objects(m.wanted) o
    where m.wanted <> m.found
  ),
  found as materialized (
    select m.module, o.*
    from modules m, howdah._manifest_objects(m.found) o
    where m.wanted <> m.found
  ),
  missing as materialized (
    select w.*
    from wanted w
    left join found f using (module, kind, owner, name)
    where f.name is null
      and (w.owner = '' or exists (
        select 1
        from found t
        where t.module = w.module and t.kind = 'table' and t.name = w.owner
      ))
  ),
  extra as materialized (
    select f.*
    from found f
    left join wanted w using (module, kind, owner, name)
    where w.name is null
      and (f.owner = '' or exists (
        select 1
        from wanted t
        where t.module = f.module and t.kind = 'table' and t.name = f.owner
      ))
  ),
  problems(severity, module, kind, object, problem, expected, actual) as (
    select 'error', m.module, 'schema', m.module, 'missing', null, null
    from modules m
    where m.found is null
    union all
    select 'error', m.module, m.kind, m.object, 'missing',
      howdah._manifest_text(m.kind, null, m.body),
      coalesce(
        (
          select 'renamed to ' || e.name
          from extra e
          where (e.module, e.kind, e.owner) = (m.module, m.kind, m.owner)
            and e.body = m.body
            and m.kind in ('constraint', 'index', 'policy')
          limit 1
        ),
        (
          select 'only ' || string_agg(f.name, ', ' order by f.name)
          from found f
          where (f.module, f.kind) = (m.module, m.kind)
            and m.kind = 'function'
            and split_part(f.name, '(', 1) = split_part(m.name, '(', 1)
        )
      )
    from missing m
    union all
    select d.severity, e.module, e.kind, e.object, d.problem, null,
      howdah._manifest_text(e.kind, null, e.body)
    from extra e,
      lateral (
        select case
            when e.kind = 'column'
              and (e.body ->> 'not_null')::boolean
              and not e.body ?| array['default', 'generated', 'identity']
              then 'extra and has no default, so inserts fail'
            when e.kind = 'policy' and (e.body ->> 'permissive')::boolean
              then 'extra and lets more rows through'
          end
      ) b(breaks),
      lateral (
        select case when b.breaks is null then 'info' else 'error' end,
          coalesce(b.breaks, 'extra')
      ) d(severity, problem)
    union all
    select case p.key when 'options' then 'info' else 'error' end, w.module, w.kind, w.object,
      howdah._manifest_problem(w.kind, p.key, f.body -> p.key),
      howdah._manifest_text(w.kind, p.key, w.body -> p.key),
      howdah._manifest_text(w.kind, p.key, f.body -> p.key)
    from wanted w
    join found f using (module, kind, owner, name),
      jsonb_object_keys(w.body || f.body) p(key)
    where w.body <> f.body
      and w.body -> p.key is distinct from f.body -> p.key
    union all
    select 'error', b.*
    from howdah._broken_partitions(v_schemas) b
    union all
    select 'error', g.module, g.kind, g.object, 'public may ' || g.rights, null, null
    from howdah._public_rights(v_schemas) g
  )
  select p.severity, p.module, p.kind, p.object, p.problem, p.expected, p.actual
  from problems p
  order by p.severity = 'info', p.module, p.kind, p.object, p.problem;
end
$$;

comment on function howdah.verify(jsonb) is
'Compare the installed modules with their manifests: what is missing, different, broken or extra.

Severity error means that the module may misbehave or that its rows are open: something is missing
or was changed, an index is invalid, row-level security is off (on partitions too), PUBLIC has a
right. Severity info is for what you added or tuned; it is tolerated.
p_manifest   one manifest or an array of them; null for those stored at installation
Returns      one row per difference, errors first, none when all is well: severity, module, kind,
             object, problem in words, expected and actual value
Errors       howdah.manifest_invalid (22023)
Example      select * from howdah.verify();';

create or replace function howdah._manifest_objects(p_manifest jsonb)
returns table (kind text, owner text, name text, object text, body jsonb)
language plpgsql
immutable
rows 500
as $$
begin
  return query
  select 'table', '', t.key, t.key,
    t.value - array['columns', 'constraints', 'indexes', 'policies', 'triggers']
  from jsonb_each(p_manifest -> 'tables') t
  union all
  select s.kind, t.key, o.key, t.key || '.' || o.key, case s.kind
      when 'constraint' then jsonb_build_object('definition', o.value)
      else o.value
    end
  from jsonb_each(p_manifest -> 'tables') t,
    (values
      ('columns', 'column'),
      ('constraints', 'constraint'),
      ('indexes', 'index'),
      ('policies', 'policy'),
      ('triggers', 'trigger')
    ) s(section, kind),
    jsonb_each(t.value -> s.section) o
  union all
  select s.kind, '', o.key, o.key, case s.kind
      when 'enum' then jsonb_build_object('labels', o.value)
      else o.value
    end
  from (values
      ('functions', 'function'),
      ('enums', 'enum'),
      ('sequences', 'sequence')
    ) s(section, kind),
    jsonb_each(p_manifest -> s.section) o;
end
$$;

comment on function howdah._manifest_objects(jsonb) is
'A manifest as one row per object; owner is the table of a column, index and the like, else empty.';

create or replace function howdah._manifest_problem(
  p_kind text,
  p_property text,
  p_found jsonb
) returns text
language sql
immutable
as $$
  select case p_property
    when 'rls' then 'row-level security is ' || case p_found when 'true' then 'on' else 'off' end
    when 'rls_forced' then case p_found
      when 'true' then 'row-level security is forced'
      else 'row-level security is not forced'
    end
    when 'enabled' then case p_found when 'true' then 'is enabled' else 'is disabled' end
    when 'invalid' then 'is invalid'
    when 'not_null' then 'nullability differs'
    when 'keys' then 'key columns differ'
    when 'include' then 'included columns differ'
    when 'where' then 'predicate differs'
    when 'unique' then 'uniqueness differs'
    when 'options' then 'storage options differ'
    when 'partition_by' then 'partitioning differs'
    when 'using' then 'using expression differs'
    when 'check' then 'check expression differs'
    when 'security_definer' then 'security differs'
    when 'config' then 'settings differ'
    when 'generated' then 'generation expression differs'
    else p_property || case right(p_property, 1) when 's' then ' differ' else ' differs' end
  end
$$;

comment on function howdah._manifest_problem(text, text, jsonb) is
'A difference in one property of an object, in words.';

create or replace function howdah._manifest_list(p_list jsonb) returns text
language sql
immutable
as $$
  select string_agg(case jsonb_typeof(e.value)
    when 'object' then concat_ws(' ', e.value ->> 'mode', e.value ->> 'name', e.value ->> 'type',
      'default ' || (e.value ->> 'default'))
    else e.value #>> '{}'
  end, ', ' order by e.position)
  from jsonb_array_elements(p_list) with ordinality e(value, position)
$$;

comment on function howdah._manifest_list(jsonb) is
'A list of names, settings or arguments of the manifest as a person reads it.';

create or replace function howdah._manifest_text(
  p_kind text,
  p_property text,
  p_value jsonb
) returns text
language sql
immutable
as $$
  select case
    when p_value is null then null
    when p_property = 'not_null' then case p_value when 'true' then 'not null' else 'nullable' end
    when p_property = 'security_definer'
      then case p_value when 'true' then 'security definer' else 'security invoker' end
    when p_property is null then case p_kind
      when 'column' then concat_ws(' ', p_value ->> 'type',
        case p_value -> 'not_null' when 'true' then 'not null' end)
      when 'index' then concat_ws(' ',
        case p_value -> 'invalid' when 'true' then 'invalid' end,
        case p_value -> 'unique' when 'true' then 'unique' end,
        p_value ->> 'method',
        '(' || howdah._manifest_list(p_value -> 'keys') || ')',
        'where ' || (p_value ->> 'where'))
      when 'function' then 'returns ' || (p_value ->> 'result')
      when 'policy' then p_value ->> 'using'
      when 'enum' then howdah._manifest_list(p_value -> 'labels')
      when 'sequence' then p_value ->> 'type'
      else p_value ->> 'definition'
    end
    when jsonb_typeof(p_value) = 'array' then howdah._manifest_list(p_value)
    else p_value #>> '{}'
  end
$$;

comment on function howdah._manifest_text(text, text, jsonb) is
'A property of an object, or the object itself when no property is named, as a person reads it.';

create or replace function howdah._broken_partitions(p_schemas text[])
returns table (module text, kind text, object text, problem text, expected text, actual text)
language sql
stable
as $$
  with partitions as materialized (
    select n.nspname as module, c.oid, c.relname, c.relrowsecurity,
      p.oid as parent, p.relname as parent_name
    from pg_namespace n
    join pg_class c on c.relnamespace = n.oid
    join pg_inherits i on i.inhrelid = c.oid
    join pg_class p on p.oid = i.inhparent and p.relrowsecurity
    where n.nspname = any (p_schemas)
      and c.relispartition
      and c.relkind in ('r', 'p', 'f')
  ),
  policies as materialized (
    select o.*
    from howdah._policies(array(
      select p.oid from partitions p union select p.parent from partitions p
    )) o
  )
  select p.module, 'partition', p.relname, 'row-level security is off', 'true', 'false'
  from partitions p
  where not p.relrowsecurity
  union all
  select p.module, 'partition', p.relname, 'policies differ from those of ' || p.parent_name,
    null, null
  from partitions p
  left join policies has on has.oid = p.oid
  left join policies wants on wants.oid = p.parent
  where has.members is distinct from wants.members
  union all
  select p.module, 'trigger', p.relname || '.' || t.tgname, 'is disabled', 'true', 'false'
  from partitions p
  join pg_trigger t on t.tgrelid = p.oid
  where t.tgparentid <> 0
    and t.tgenabled = 'D'
  union all
  select p.module, 'index', p.relname || '.' || c.relname, 'is invalid', null, 'true'
  from partitions p
  join pg_index i on i.indrelid = p.oid
  join pg_class c on c.oid = i.indexrelid
  where not i.indisvalid
$$;

comment on function howdah._broken_partitions(text[]) is
'What is wrong with the partitions of schemas: open rows, disabled triggers, invalid indexes.';

create or replace function howdah._public_rights(p_schemas text[])
returns table (module text, kind text, object text, rights text)
language sql
stable
as $$
  with schemas as materialized (
    select n.oid, n.nspname, n.nspacl
    from pg_namespace n
    where n.nspname = any (p_schemas)
  ),
  rights(module, kind, object, acl) as (
    select n.nspname, 'schema', n.nspname::text, n.nspacl
    from schemas n
    union all
    select n.nspname, 'function', howdah._signature(p.oid, n.nspname),
      coalesce(p.proacl, acldefault('f', p.proowner))
    from schemas n
    join pg_proc p on p.pronamespace = n.oid
    where not (n.nspname = 'howdah' and p.proname in ('tenant', 'actor', 'now') and p.pronargs = 0)
    union all
    select n.nspname, case c.relkind when 'S' then 'sequence' else 'table' end, c.relname, c.relacl
    from schemas n
    join pg_class c on c.relnamespace = n.oid
    where c.relacl is not null
    union all
    select n.nspname, 'column', c.relname || '.' || a.attname, a.attacl
    from schemas n
    join pg_class c on c.relnamespace = n.oid
    join pg_attribute a on a.attrelid = c.oid
    where a.attacl is not null
  )
  select r.module, r.kind, r.object, string_agg(case x.privilege_type
      when 'USAGE' then 'use'
      else lower(x.privilege_type)
    end, ', ' order by x.privilege_type)
  from rights r, aclexplode(r.acl) x
  where x.grantee = 0
    and not (r.module = 'howdah' and r.kind = 'schema' and x.privilege_type = 'USAGE')
  group by r.module, r.kind, r.object
$$;

comment on function howdah._public_rights(text[]) is
'What every role may do in schemas, without what howdah gives to all on purpose.';
