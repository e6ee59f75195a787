-- Expiry: grants that end by themselves.
--
-- A tuple lives as long as its expiry is not reached by the time at which a transaction began; who
-- decides twice in one transaction decides alike. What has expired grants nothing from then on,
-- whether or not it has been cleaned up, and lives again if its expiry is moved.
--
-- These functions mean a grant by its resource, relation and subject, and act on all of its tuples:
-- the subject's own and those through a relation to the subject.

create or replace function authz.set_expiration(
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_expires_at timestamptz,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
begin
  perform howdah.guard('authz', p_namespace);
  if p_expires_at <= howdah.now() then
    perform authz._fail_expiration(p_expires_at);
  end if;
  return authz._set_expiration(p_resource_type, p_resource_id, p_relation, p_subject_type,
    p_subject_id, p_namespace, p_expires_at, null) is not null;
end
$$;

comment on function authz.set_expiration(text, text, text, text, text, timestamptz, text) is
'Say when a grant ends.

p_resource_type  the type of the resource
p_resource_id    the resource
p_relation       what was granted
p_subject_type   the type of the subject
p_subject_id     the subject
p_expires_at     the time until which it holds; null for ever
p_namespace      the tenant; only administrators write to global
Returns          true if there is such a grant, also one that had expired
Errors           authz.identifier_null, id_null (22004), identifier_empty, id_empty (22026),
                 identifier_too_long, id_too_long (22001), identifier_format, id_invalid_chars,
                 id_whitespace (22023), expiration_future (23514), cycle_group, cycle_resource
                 (PK001), global_write_denied, tenant_mismatch (42501)
Example          select authz.set_expiration(
                   ''doc'', ''1'', ''read'', ''user'', ''ann'', now() + ''1 day'');';

create or replace function authz.clear_expiration(
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_namespace text default 'default'
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
begin
  perform howdah.guard('authz', p_namespace);
  return authz._set_expiration(p_resource_type, p_resource_id, p_relation, p_subject_type,
    p_subject_id, p_namespace, null, null) is not null;
end
$$;

comment on function authz.clear_expiration(text, text, text, text, text, text) is
'Let a grant hold for ever.

p_resource_type  the type of the resource
p_resource_id    the resource
p_relation       what was granted
p_subject_type   the type of the subject
p_subject_id     the subject
p_namespace      the tenant; only administrators write to global
Returns          true if there is such a grant, also one that had expired
Errors           those of set_expiration, but for expiration_future
Example          select authz.clear_expiration(
                   ''doc'', ''1'', ''read'', ''user'', ''ann'', ''acme'');';

create or replace function authz.extend_expiration(
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_extension interval,
  p_namespace text default 'default'
) returns timestamptz
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  v_expires_at timestamptz;
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_interval('extension', p_extension);
  v_expires_at := authz._set_expiration(p_resource_type, p_resource_id, p_relation, p_subject_type,
    p_subject_id, p_namespace, null, p_extension);

  if v_expires_at is null then
    perform howdah.fail('authz', 'grant_not_found',
      format('%s:%s has no grant of %s on %s:%s', p_subject_type, left(p_subject_id, 100),
        p_relation, p_resource_type, left(p_resource_id, 100)),
      'P0002',
      jsonb_build_object('resource_type', p_resource_type, 'resource_id', left(p_resource_id, 100),
        'relation', p_relation, 'subject_type', p_subject_type,
        'subject_id', left(p_subject_id, 100)));
  elsif v_expires_at = 'infinity' then
    perform howdah.fail('authz', 'grant_no_expiration',
      format('the grant of %s on %s:%s to %s:%s does not expire', p_relation, p_resource_type,
        left(p_resource_id, 100), p_subject_type, left(p_subject_id, 100)),
      '22023',
      jsonb_build_object('resource_type', p_resource_type, 'resource_id', left(p_resource_id, 100),
        'relation', p_relation, 'subject_type', p_subject_type,
        'subject_id', left(p_subject_id, 100)),
      'Give it an expiry with set_expiration.');
  end if;
  return v_expires_at;
end
$$;

comment on function authz.extend_expiration(text, text, text, text, text, interval, text) is
'Let a grant hold for longer: from its expiry, or from now if that has passed.

p_resource_type  the type of the resource
p_resource_id    the resource
p_relation       what was granted
p_subject_type   the type of the subject
p_subject_id     the subject
p_extension      for how much longer, positive, at most 1,000 years
p_namespace      the tenant; only administrators write to global
Returns          the new expiry, the latest one if the grant has several tuples
Errors           those of set_expiration, and authz.interval_not_positive, grant_no_expiration
                 (22023), grant_not_found (P0002)
Example          select authz.extend_expiration(
                   ''doc'', ''1'', ''read'', ''user'', ''ann'', ''7 days'');';

create or replace function authz._set_expiration(
  p_resource_type text,
  p_resource_id text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_namespace text,
  p_expires_at timestamptz,
  p_extension interval
) returns timestamptz
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_resource_type;
  v_resource_id text collate "C" := p_resource_id;
  v_relation text collate "C" := p_relation;
  v_subject_type text collate "C" := p_subject_type;
  v_subject_id text collate "C" := p_subject_id;
  v_is_edge boolean;
  v_count int;
  v_latest timestamptz;
  v_revived bigint[];
begin
  perform authz._check_global(v_namespace);
  perform authz._check_names(v_resource_type, v_resource_id, v_relation, v_subject_type,
    v_subject_id);
  v_resource_id := authz._nfc(v_resource_id);
  v_subject_id := authz._nfc(v_subject_id);
  v_is_edge := v_relation in ('member', 'parent')
    and authz._lock_edges(v_namespace, v_resource_type, v_relation, v_subject_type);

  with granted as materialized (
    select t.id, t.expires_at,
      case
        when p_extension is null then p_expires_at
        else greatest(t.expires_at, howdah.now()) + p_extension
      end as wanted_at
    from authz.tuples t
    where t.namespace = v_namespace
      and t.resource_type = v_resource_type
      and t.resource_id = v_resource_id
      and t.relation = v_relation
      and t.subject_type = v_subject_type
      and t.subject_id = v_subject_id
    order by t.id
    for update
  ),
  changed as (
    update authz.tuples t
    set expires_at = g.wanted_at
    from granted g
    where t.namespace = v_namespace
      and t.id = g.id
      and t.expires_at is distinct from g.wanted_at
      and (p_extension is null or t.expires_at is not null)
  )
  select count(*),
    max(g.wanted_at) filter (where p_extension is null or g.expires_at is not null),
    array_agg(g.id) filter (where g.expires_at <= howdah.now())
  into v_count, v_latest, v_revived
  from granted g;

  if v_is_edge and v_revived is not null then
    perform authz._check_cycles(v_namespace, v_revived);
  end if;
  return case when v_count > 0 then coalesce(v_latest, 'infinity') end;
end
$$;

comment on function authz._set_expiration(
  text, text, text, text, text, text, timestamptz, interval
) is
'Set the expiry of all tuples of a grant, or extend those that have one; returns the latest expiry,
infinity for none, or null if there is no such grant.';

create or replace function authz._check_interval(p_field text, p_interval interval) returns void
language plpgsql
immutable
as $$
begin
  if p_interval > interval '0' and p_interval <= interval '1000 years' then
    return;
  end if;
  if p_interval > interval '0' then
    perform howdah.fail('authz', 'limit_too_large',
      format('%s is %s, at most 1000 years are allowed', p_field, p_interval), '22023',
      jsonb_build_object('field', p_field, 'value', p_interval));
  end if;
  perform howdah.fail('authz', 'interval_not_positive',
    format('%s is %s, it must be positive', p_field, coalesce(p_interval::text, 'null')), '22023',
    jsonb_build_object('field', p_field, 'value', p_interval));
end
$$;

comment on function authz._check_interval(text, interval) is
'Refuse an interval that is null, zero or negative, or that no calendar needs.';

create or replace function authz.list_expiring(
  p_within interval default '7 days',
  p_namespace text default 'default'
) returns table (
  resource_type text,
  resource_id text,
  relation text,
  subject_type text,
  subject_id text,
  subject_relation text,
  expires_at timestamptz
)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_interval('within', p_within);

  return query
  select t.resource_type, coalesce(t.resource_id_raw, t.resource_id), t.relation, t.subject_type,
    coalesce(t.subject_id_raw, t.subject_id), t.subject_relation, t.expires_at
  from authz.tuples t
  where t.namespace = v_namespace
    and t.expires_at > howdah.now()
    and t.expires_at <= howdah.now() + p_within
  order by t.expires_at, t.id;
end
$$;

comment on function authz.list_expiring(interval, text) is
'The live grants that end soon, the next one first.

p_within     how soon, positive, at most 1,000 years
p_namespace  the tenant
Returns      per tuple: resource_type, resource_id, relation, subject_type, subject_id,
             subject_relation and expires_at
Errors       authz.interval_not_positive (22023), tenant_mismatch (42501)
Example      select * from authz.list_expiring(''1 day'', ''acme'');';

create or replace function authz.cleanup_expired(
  p_namespace text default 'default',
  p_limit int default null
) returns table (tuples_deleted bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  v_left bigint := coalesce(p_limit, 9223372036854775807);
  v_count bigint;
begin
  perform howdah.guard('authz', p_namespace);
  perform authz._check_global(p_namespace collate "C");
  perform authz._check_limit(coalesce(p_limit, 1), 2147483647);

  tuples_deleted := 0;
  loop
    v_count := authz._delete_expired(p_namespace, least(v_left, 1000));
    tuples_deleted := tuples_deleted + v_count;
    v_left := v_left - v_count;
    exit when v_count < 1000 or v_left = 0;
  end loop;
  return next;
end
$$;

comment on function authz.cleanup_expired(text, int) is
'Delete tuples that have expired, the oldest first. They grant nothing any more in any case.

Tuples that another transaction is changing are left to a later call. howdah.maintain does this for
all tenants.
p_namespace  the tenant; only administrators write to global
p_limit      how many at most; null for all
Returns      one row: tuples_deleted, how many went
Errors       authz.not_positive (22023), global_write_denied, tenant_mismatch (42501)
Example      select tuples_deleted from authz.cleanup_expired(''acme'');';

create or replace function authz._delete_expired(p_namespace text, p_limit bigint)
returns bigint
language plpgsql
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_count bigint;
begin
  delete from authz.tuples t
  where t.ctid = any (array(
    select e.ctid
    from authz.tuples e
    where e.namespace = v_namespace
      and e.expires_at <= howdah.now()
    order by e.expires_at
    limit p_limit
    for update skip locked
  ));
  get diagnostics v_count = row_count;
  return v_count;
end
$$;

comment on function authz._delete_expired(text, bigint) is
'Delete expired tuples of one namespace, those that nobody else has locked.';
