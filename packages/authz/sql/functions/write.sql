-- Writing: one grant, by one upsert.
--
-- A second write of a tuple changes its expiry and condition to what the call says; if they are
-- that already nothing happens, and nothing is audited. Two sessions that write one tuple at once
-- meet at the unique index, so that there is one row and both get its id.
--
-- Among tuples that no model rules, groups may not contain each other and resources may not be each
-- other's parents. Such an edge is written under a lock that all edges of its kind and namespace
-- share, taken before the row's, and the walk that looks for a cycle is a later statement: under
-- READ COMMITTED its snapshot holds whatever was committed before the lock was free. Locking the
-- edge's two ends would not do, since two edges that close a cycle together need not share an end.
-- The memberships of users, which no cycle can go through, take no lock.

create or replace function authz.write_tuple(
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text default null,
  p_namespace text default 'default',
  p_expires_at timestamptz default null,
  p_condition text default null,
  p_condition_context jsonb default null
) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
begin
  perform howdah.guard('authz', p_namespace);
  return authz._write(p_resource_type, p_resource_id, p_relation, p_subject_type, p_subject_id,
    p_subject_relation, p_namespace, p_expires_at, p_condition, p_condition_context);
end
$$;

comment on function authz.write_tuple(
  text, text, text, text, text, text, text, timestamptz, text, jsonb
) is
'Grant a relation on a resource to a subject, or to everyone who has a relation to it.

A second write of the same tuple sets its expiry and condition to what is given, or to none; a tuple
that has expired lives again.
p_resource_type      what kind of thing the resource is, such as document
p_resource_id        which one, 1 to 1,024 characters
p_relation           what is granted, such as editor; in a group: member; to nest resources: parent
p_subject_type       what kind of thing the subject is, such as user
p_subject_id         which one, 1 to 1,024 characters
p_subject_relation   grant it to all who have this relation to the subject, such as member
p_namespace          the tenant; only administrators write to global
p_expires_at         the time until which it holds; null for ever
p_condition          a condition of the active model under which it holds
p_condition_context  the parameters of the condition that are known now, an object of at most 64 kB
Returns              the id of the tuple, the same for every write of it
Errors               authz.identifier_null, id_null (22004), identifier_empty, id_empty (22026),
                     identifier_too_long, id_too_long (22001), identifier_format, id_invalid_chars,
                     id_whitespace, type_unknown, relation_unknown, tuple_invalid,
                     condition_unknown, condition_invalid (22023), expiration_future (23514),
                     self_membership, cycle_group, self_parent, cycle_resource (PK001),
                     global_write_denied, tenant_mismatch (42501)
Example              select authz.write_tuple(
                       ''doc'', ''1'', ''read'', ''team'', ''eng'', ''member'', ''acme'');';

create or replace function authz.write(
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_namespace text default 'default',
  p_expires_at timestamptz default null
) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
begin
  perform howdah.guard('authz', p_namespace);
  return authz._write(p_resource_type, p_resource_id, p_relation, p_subject_type, p_subject_id,
    null, p_namespace, p_expires_at, null, null);
end
$$;

comment on function authz.write(text, text, text, text, text, text, timestamptz) is
'Grant a relation on a resource to a subject: write_tuple in its most common form.

p_resource_type  what kind of thing the resource is, such as document
p_resource_id    which one, 1 to 1,024 characters
p_relation       what is granted, such as editor; in a group: member; to nest resources: parent
p_subject_type   what kind of thing the subject is, such as user
p_subject_id     which one, 1 to 1,024 characters
p_namespace      the tenant; only administrators write to global
p_expires_at     the time until which it holds; null for ever
Returns          the id of the tuple, the same for every write of it
Errors           those of write_tuple
Example          select authz.write(''document'', ''1'', ''editor'', ''user'', ''ann'', ''acme'');';

create or replace function authz._write(
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_namespace text,
  p_expires_at timestamptz,
  p_condition text,
  p_condition_context jsonb
) returns bigint
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_resource_id text collate "C" := p_resource_id;
  v_relation text collate "C" := p_relation;
  v_subject_type text collate "C" := p_subject_type;
  v_subject_id text collate "C" := p_subject_id;
  v_subject_relation text collate "C" := p_subject_relation;
  v_condition text collate "C" := p_condition;
  v_is_edge boolean;
  v_id bigint;
begin
  perform authz._check_global(v_namespace);
  perform authz._check_names(v_resource_type, v_resource_id, v_relation, v_subject_type,
    v_subject_id, v_subject_relation);
  v_resource_id := authz._nfc(v_resource_id);
  v_subject_id := authz._nfc(v_subject_id);
  perform authz._check_size(v_namespace, v_resource_type, v_resource_id, v_relation,
    v_subject_type, v_subject_id, v_subject_relation, v_condition);
  if p_expires_at <= howdah.now() then
    perform authz._fail_expiration(p_expires_at);
  end if;
  if p_condition_context is not null then
    perform authz._check_condition(v_condition, p_condition_context);
  end if;
  perform authz._refuse_invalid(v_namespace, v_resource_type, v_relation, v_subject_type,
    v_subject_id, v_subject_relation, v_condition);
  v_is_edge := v_relation in ('member', 'parent')
    and authz._lock_edges(v_namespace, v_resource_type, v_relation, v_subject_type);

  insert into authz.tuples as t (namespace, resource_type, resource_id, relation, subject_type,
    subject_id, subject_relation, expires_at, condition_name, condition_context)
  values (v_namespace, v_resource_type, p_resource_id, v_relation, v_subject_type, p_subject_id,
    v_subject_relation, p_expires_at, v_condition, p_condition_context)
  on conflict (namespace, resource_type, resource_id, relation, subject_type, subject_id,
    (coalesce(subject_relation, ''))) do update
  set expires_at = excluded.expires_at,
    condition_name = excluded.condition_name,
    condition_context = excluded.condition_context
  where (t.expires_at, t.condition_name, t.condition_context)
    is distinct from (excluded.expires_at, excluded.condition_name, excluded.condition_context)
  returning t.id into v_id;

  if v_id is null then
    select t.id into v_id
    from authz.tuples t
    where t.namespace = v_namespace
      and t.resource_type = v_resource_type
      and t.resource_id = v_resource_id
      and t.relation = v_relation
      and t.subject_type = v_subject_type
      and t.subject_id = v_subject_id
      and coalesce(t.subject_relation, '') = coalesce(v_subject_relation, '');
  elsif v_is_edge then
    perform authz._check_cycles(v_namespace, array[v_id]);
  end if;
  return v_id;
end
$$;

comment on function authz._write(
  text, text, text, text, text, text, text, timestamptz, text, jsonb
) is
'write_tuple without its guard.';

create or replace function authz._check_global(p_namespace text) returns void
language plpgsql
stable
as $$
begin
  if p_namespace <> 'global' then
    return;
  end if;

  if not exists (
    select 1
    from pg_roles r
    join pg_namespace n on n.nspname = 'authz'
    where r.rolname = howdah.outer_role()
      and (
        pg_has_role(r.oid, n.nspowner, 'usage')
        or exists (
          select 1
          from howdah.grants g
          join pg_roles granted on granted.rolname = g.role_name
          where g.module = 'authz'
            and g.access = 'admin'
            and pg_has_role(r.oid, granted.oid, 'usage')
        )
      )
  ) then
    perform howdah.fail('authz', 'global_write_denied',
      format('role %s may not write to namespace global (hierarchy_global_write_protection)',
        howdah.outer_role()),
      '42501', jsonb_build_object('role', howdah.outer_role()),
      'Give the role admin access to authz, or write to a namespace of your own.');
  end if;
end
$$;

comment on function authz._check_global(text) is
'Refuse to write to namespace global, which all tenants read, for those who are no administrators.';

create or replace function authz._fail_expiration(p_expires_at timestamptz) returns void
language plpgsql
stable
as $$
begin
  perform howdah.fail('authz', 'expiration_future',
    format('expires_at is %s, it must be in the future', p_expires_at), '23514',
    jsonb_build_object('field', 'expires_at', 'value', p_expires_at),
    'To end a grant now, delete it.');
end
$$;

comment on function authz._fail_expiration(timestamptz) is 'Refuse an expiry that has passed.';

create or replace function authz._check_condition(p_condition text, p_context jsonb)
returns void
language plpgsql
immutable
as $$
declare
  v_size int := octet_length(p_context::text);
begin
  perform case
    when p_condition is null then
      howdah.fail('authz', 'condition_invalid',
        'condition_context is given without a condition', '22023',
        jsonb_build_object('field', 'condition_context'))
    when jsonb_typeof(p_context) <> 'object' then
      howdah.fail('authz', 'condition_invalid',
        format('condition_context must be an object, got %s', jsonb_typeof(p_context)), '22023',
        jsonb_build_object('field', 'condition_context'))
    when v_size > 65536 then
      howdah.fail('authz', 'condition_invalid',
        format('condition_context takes %s bytes, at most 65536 are allowed', v_size), '22023',
        jsonb_build_object('field', 'condition_context', 'limit', 65536, 'actual', v_size))
  end;
end
$$;

comment on function authz._check_condition(text, jsonb) is
'Raise the error that names what is wrong with the stored context of a condition, if anything is.';

create or replace function authz._lock_edges(
  p_namespace text,
  p_resource_type text,
  p_relation text,
  p_subject_type text
) returns boolean
language plpgsql
as $$
begin
  if (p_relation = 'parent' or (p_relation = 'member' and p_subject_type <> 'user'))
    and not authz._is_modelled(p_namespace, p_resource_type)
  then
    perform pg_advisory_xact_lock(
      hashtextextended('authz.' || p_relation || chr(31) || p_namespace, 0)
    );
    return true;
  end if;
  return false;
end
$$;

comment on function authz._lock_edges(text, text, text, text) is
'Whether a tuple of that form may not close a cycle; if so, until the transaction ends no other one
writes such a tuple. To be called before the tuple is written, and _check_cycles after it.';

create or replace function authz._check_cycles(p_namespace text, p_ids bigint[]) returns void
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_member text collate "C" := 'member';
  v_parent text collate "C" := 'parent';
  v_edge authz.tuples;
begin
  with recursive edges as materialized (
    select t.*
    from authz.tuples t
    where t.namespace = v_namespace
      and t.id = any (p_ids)
      and t.relation = v_member
      and t.subject_type <> 'user'
      and coalesce(t.subject_relation, 'member') = 'member'
      and t.condition_name is null
      and not authz._is_modelled(v_namespace, t.resource_type)
  ),
  containers(start_type, start_id, type, id) as (
    select distinct e.resource_type, e.resource_id, e.resource_type, e.resource_id
    from edges e
    union
    select c.start_type, c.start_id, o.resource_type, o.resource_id
    from containers c
    cross join lateral (
      select t.resource_type, t.resource_id
      from authz.tuples t
      where t.namespace = v_namespace
        and t.subject_type = c.type
        and t.subject_id = c.id
        and t.relation = 'member'
        and coalesce(t.subject_relation, 'member') = 'member'
        and t.condition_name is null
        and (t.expires_at is null or t.expires_at > howdah.now())
      offset 0
    ) o
  )
  select e.* into v_edge
  from edges e
  join containers c on (c.start_type, c.start_id) = (e.resource_type, e.resource_id)
    and (c.type, c.id) = (e.subject_type, e.subject_id)
  limit 1;

  if v_edge.id is null then
    with recursive edges as materialized (
      select t.*
      from authz.tuples t
      where t.namespace = v_namespace
        and t.id = any (p_ids)
        and t.relation = v_parent
        and t.condition_name is null
        and not authz._is_modelled(v_namespace, t.resource_type)
    ),
    containers(start_type, start_id, type, id) as (
      select distinct e.subject_type, e.subject_id, e.subject_type, e.subject_id
      from edges e
      union
      select c.start_type, c.start_id, o.subject_type, o.subject_id
      from containers c
      cross join lateral (
        select t.subject_type, t.subject_id
        from authz.tuples t
        where t.namespace = v_namespace
          and t.resource_type = c.type
          and t.resource_id = c.id
          and t.relation = v_parent
          and t.condition_name is null
          and (t.expires_at is null or t.expires_at > howdah.now())
        offset 0
      ) o
    )
    select e.* into v_edge
    from edges e
    join containers c on (c.start_type, c.start_id) = (e.subject_type, e.subject_id)
      and (c.type, c.id) = (e.resource_type, e.resource_id)
    limit 1;
  end if;

  if v_edge.id is not null then
    perform authz._fail_cycle(v_edge);
  end if;
end
$$;

comment on function authz._check_cycles(text, bigint[]) is
'Refuse tuples that were just written if one makes a group a member of itself, or a resource its own
parent, over any number of live tuples. Walks towards containers, which are few. (The offset keeps
the planner from reading all edges at each step, a variable in place of a literal from using
tuples_edges_idx where it would have to read much of it.)';

create or replace function authz._fail_cycle(p_edge authz.tuples) returns void
language plpgsql
as $$
declare
  v_is_self boolean := (p_edge.resource_type, p_edge.resource_id)
    = (p_edge.subject_type, p_edge.subject_id);
  v_code text;
  v_subject text := p_edge.subject_type || ':' || left(p_edge.subject_id, 100);
  v_message text;
begin
  if p_edge.relation = 'member' then
    v_code := case when v_is_self then 'self_membership' else 'cycle_group' end;
    v_message := '%1$s cannot be a member of %2$s';
  else
    v_code := case when v_is_self then 'self_parent' else 'cycle_resource' end;
    v_message := '%1$s cannot be a parent of %2$s';
  end if;
  if not v_is_self then
    v_message := v_message || ': by way of other tuples it is the other way round';
  end if;

  perform howdah.fail('authz', v_code,
    format(v_message, v_subject,
      case
        when v_is_self then 'itself'
        else p_edge.resource_type || ':' || left(p_edge.resource_id, 100)
      end),
    'PK001',
    jsonb_build_object(
      'resource_type', p_edge.resource_type, 'resource_id', left(p_edge.resource_id, 100),
      'relation', p_edge.relation,
      'subject_type', p_edge.subject_type, 'subject_id', left(p_edge.subject_id, 100)
    ),
    'Where cycles are meant, define the type in a model: modelled types may have them.');
end
$$;

comment on function authz._fail_cycle(authz.tuples) is 'Refuse a tuple that closes a cycle.';
