-- Writing a batch: many tuples of any form, written and deleted as one step.
--
-- All of it happens or nothing. Deletes come first, so a batch may turn an edge around; the walk
-- for cycles comes last, over everything that was written, under the locks that all edges of these
-- kinds share (see write.sql). Rows are locked first, those to write and those to delete together
-- in the order of their keys, so that two batches at once wait for each other in one direction
-- only.

create or replace function authz.write_tuples(
  p_writes jsonb,
  p_deletes jsonb default '[]',
  p_namespace text default 'default',
  p_on_duplicate text default 'update',
  p_on_missing text default 'ignore'
) returns table (written int, deleted int)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_given jsonb := coalesce(nullif(p_writes, 'null'), '[]');
  v_given_deletes jsonb := coalesce(nullif(p_deletes, 'null'), '[]');
  v_writes authz.tuple[];
  v_deletes authz.tuple[];
  v_has_edges boolean;
  v_ids bigint[];
  v_gone int[];
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_global(v_namespace);
  perform authz._check_choice('on_duplicate', p_on_duplicate, '{update,ignore,error}');
  perform authz._check_choice('on_missing', p_on_missing, '{ignore,error}');
  v_writes := array(select t from authz._tuples_of(v_namespace, 'writes', v_given, 5000) t);
  v_deletes := array(select t from authz._tuples_of(v_namespace, 'deletes', v_given_deletes,
    5000 - cardinality(v_writes)) t);
  perform authz._refuse_twice(v_given || v_given_deletes,
    v_writes || v_deletes, cardinality(v_writes));
  perform authz._refuse_expired(v_writes);
  perform authz._refuse_any(authz._active_program(v_namespace), 'writes', v_given, v_writes);

  select bool_or(authz._lock_edges(v_namespace, e.resource_type, e.relation, e.subject_type))
  into v_has_edges
  from (
    select distinct w.relation, w.resource_type, w.subject_type
    from unnest(v_writes) w
    where w.relation in ('member', 'parent')
    order by w.relation, w.resource_type, w.subject_type
  ) e;

  select coalesce(array_agg(l.ord) filter (where l.ord > 0), '{}'),
    array_agg(l.id) filter (where l.ord > 0)
  into v_gone, v_ids
  from (
    select g.ord, t.id
    from (
      select (u.ordinality - cardinality(v_writes))::int as ord, u.resource_type, u.resource_id,
        u.relation, u.subject_type, u.subject_id, u.subject_relation
      from unnest(v_writes || v_deletes) with ordinality u
      order by u.resource_type, u.resource_id, u.relation, u.subject_type, u.subject_id,
        coalesce(u.subject_relation, '')
    ) g
    cross join lateral (
      select t.id
      from authz.tuples t
      where t.namespace = v_namespace
        and t.resource_type = g.resource_type
        and t.resource_id = g.resource_id
        and t.relation = g.relation
        and t.subject_type = g.subject_type
        and t.subject_id = g.subject_id
        and coalesce(t.subject_relation, '') = coalesce(g.subject_relation, '')
      for update
    ) t
  ) l;
  delete from authz.tuples t
  where t.namespace = v_namespace and t.id = any (v_ids);
  deleted := cardinality(v_gone);
  if p_on_missing = 'error' and deleted < cardinality(v_deletes) then
    perform authz._fail_missing(v_gone, cardinality(v_deletes));
  end if;

  with written as (
    insert into authz.tuples as t (namespace, resource_type, resource_id, relation, subject_type,
      subject_id, subject_relation, expires_at, condition_name, condition_context)
    select v_namespace, w.resource_type, coalesce(w.resource_id_raw, w.resource_id), w.relation,
      w.subject_type, coalesce(w.subject_id_raw, w.subject_id), w.subject_relation, w.expires_at,
      w.condition_name, w.condition_context
    from unnest(v_writes) w
    order by w.resource_type, w.resource_id, w.relation, w.subject_type, w.subject_id,
      coalesce(w.subject_relation, '')
    on conflict (namespace, resource_type, resource_id, relation, subject_type, subject_id,
      (coalesce(subject_relation, ''))) do update
    set expires_at = excluded.expires_at,
      condition_name = excluded.condition_name,
      condition_context = excluded.condition_context
    where case p_on_duplicate
      when 'update' then (t.expires_at, t.condition_name, t.condition_context)
        is distinct from (excluded.expires_at, excluded.condition_name, excluded.condition_context)
      else t.expires_at <= howdah.now()
    end
    returning t.id
  )
  select coalesce(array_agg(w.id), '{}') into v_ids
  from written w;
  written := cardinality(v_ids);
  if p_on_duplicate = 'error' and written < cardinality(v_writes) then
    perform authz._fail_duplicate(v_namespace, v_writes, v_ids);
  end if;

  if v_has_edges then
    perform authz._check_cycles(v_namespace, v_ids);
  end if;
  return next;
end
$$;

comment on function authz.write_tuples(jsonb, jsonb, text, text, text) is
'Write and delete many tuples as one step: all of it happens or nothing. Deletes come first.

A tuple is a text such as document:1#viewer@group:g#member, or an object with resource_type,
resource_id, relation, subject_type, subject_id, and perhaps subject_relation, condition, context
and expires_at; or with user, relation, object and condition {name, context}, as OpenFGA has it.
In a text, the object''s id ends before the first #relation@type: and the subject''s relation is
what follows the last #; where an id would be misread, send an object.
p_writes        the tuples to write, an array; with p_deletes at most 5,000
p_deletes       the tuples to delete, an array
p_namespace     the tenant; only administrators write to global
p_on_duplicate  what to do about a tuple that is there and live: update sets its expiry and
                condition, ignore leaves it, error refuses the batch
p_on_missing    what to do about a tuple to delete that is not there: ignore or error
Returns         written, how many were created, revived or changed, and deleted, how many went
Errors          authz.array_element_invalid, batch_too_large, type_unknown, relation_unknown,
                tuple_invalid, condition_unknown, identifier_format (22023), expiration_future
                (23514), tuple_exists, self_membership, cycle_group, self_parent, cycle_resource
                (PK001), grant_not_found (P0002), global_write_denied, tenant_mismatch (42501)
Example         select * from authz.write_tuples(''["doc:1#read@user:ann"]'', ''[]'', ''acme'');';

create or replace function authz._check_choice(p_field text, p_value text, p_choices text[])
returns void
language plpgsql
immutable
as $$
begin
  if (p_value = any (p_choices)) is not true then
    perform howdah.fail('authz', 'identifier_format',
      format('%s is %s, it must be one of %s', p_field,
        coalesce(quote_literal(left(p_value, 100)), 'null'), array_to_string(p_choices, ', ')),
      '22023', jsonb_build_object('field', p_field, 'value', left(p_value, 100)));
  end if;
end
$$;

comment on function authz._check_choice(text, text, text[]) is
'Refuse a word that is none of those to choose from.';

create or replace function authz._refuse_twice(
  p_elements jsonb,
  p_tuples authz.tuple[],
  p_writes int
) returns void
language plpgsql
stable
as $$
declare
  v_twice int;
begin
  select t.ord into v_twice
  from (
    select u.ordinality::int as ord, row_number() over (
      partition by u.resource_type, u.resource_id, u.relation, u.subject_type, u.subject_id,
        coalesce(u.subject_relation, '')
      order by u.ordinality
    ) as time
    from unnest(p_tuples) with ordinality u
  ) t
  where t.time > 1
  order by t.ord
  limit 1;

  if v_twice is not null then
    perform authz._fail_element('array_element_invalid',
      case when v_twice > p_writes then 'deletes' else 'writes' end,
      case when v_twice > p_writes then v_twice - p_writes else v_twice end,
      p_elements -> (v_twice - 1), 'names a tuple for the second time');
  end if;
end
$$;

comment on function authz._refuse_twice(jsonb, authz.tuple[], int) is
'Refuse a batch that names one tuple twice: what should become of it would be a matter of luck.';

create or replace function authz._refuse_expired(p_tuples authz.tuple[])
returns void
language plpgsql
stable
as $$
declare
  v_bad record;
begin
  select t.ordinality as ord, t.expires_at into v_bad
  from unnest(p_tuples) with ordinality t
  where t.expires_at <= howdah.now()
  order by t.ordinality
  limit 1;

  if found then
    perform howdah.fail('authz', 'expiration_future',
      format('writes[%s] expires_at is %s, it must be in the future', v_bad.ord, v_bad.expires_at),
      '23514',
      jsonb_build_object('field', 'writes', 'index', v_bad.ord, 'value', v_bad.expires_at),
      'To end a grant now, delete it.');
  end if;
end
$$;

comment on function authz._refuse_expired(authz.tuple[]) is
'Refuse a batch with a tuple whose expiry has passed.';

create or replace function authz._fail_missing(p_gone int[], p_count int)
returns void
language plpgsql
stable
as $$
declare
  v_ord int := (
    select min(o) from generate_series(1, p_count) o where o <> all (p_gone)
  );
begin
  perform howdah.fail('authz', 'grant_not_found',
    format('deletes[%s] names a tuple that does not exist', v_ord), 'P0002',
    jsonb_build_object('field', 'deletes', 'index', v_ord));
end
$$;

comment on function authz._fail_missing(int[], int) is
'Refuse a batch for the first tuple to delete that was not there.';

create or replace function authz._fail_duplicate(
  p_namespace text,
  p_tuples authz.tuple[],
  p_written bigint[]
) returns void
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_ord int;
begin
  select w.ordinality into v_ord
  from unnest(p_tuples) with ordinality w
  join authz.tuples t on t.namespace = v_namespace
    and t.resource_type = w.resource_type
    and t.resource_id = w.resource_id
    and t.relation = w.relation
    and t.subject_type = w.subject_type
    and t.subject_id = w.subject_id
    and coalesce(t.subject_relation, '') = coalesce(w.subject_relation, '')
  where t.id <> all (p_written)
  order by w.ordinality
  limit 1;
  perform howdah.fail('authz', 'tuple_exists',
    format('writes[%s] names a tuple that exists', v_ord), 'PK001',
    jsonb_build_object('field', 'writes', 'index', v_ord, 'value',
      authz._tuple_text(p_tuples[v_ord].resource_type, left(p_tuples[v_ord].resource_id, 100),
        p_tuples[v_ord].relation, p_tuples[v_ord].subject_type,
        left(p_tuples[v_ord].subject_id, 100), p_tuples[v_ord].subject_relation)));
end
$$;

comment on function authz._fail_duplicate(text, authz.tuple[], bigint[]) is
'Refuse a batch for the first tuple to write that was there.';
