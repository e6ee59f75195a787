-- Audit: reading what changed, and the monthly partitions that it is kept in.

create or replace function authz.list_audit_events(
  p_namespace text default 'default',
  p_filter jsonb default '{}',
  p_limit int default 100,
  p_before_time timestamptz default null,
  p_before_id bigint default null
) returns setof authz.audit_events
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_resource_type text collate "C" := p_filter ->> 'resource_type';
  v_resource_id text collate "C" := authz._nfc(p_filter ->> 'resource_id');
  v_relation text collate "C" := p_filter ->> 'relation';
  v_subject_type text collate "C" := p_filter ->> 'subject_type';
  v_subject_id text collate "C" := authz._nfc(p_filter ->> 'subject_id');
  v_subject_relation text collate "C" := p_filter ->> 'subject_relation';
  v_event_type text := p_filter ->> 'event_type';
  v_actor_id text := p_filter ->> 'actor_id';
  v_request_id text := p_filter ->> 'request_id';
  v_on_behalf_of text := p_filter ->> 'on_behalf_of';
  v_tuple_id bigint;
  v_before timestamptz;
begin
  perform howdah.guard('authz', v_namespace);
  perform authz._check_limit(p_limit);
  perform authz._check_filter(p_filter,
    '{event_type,actor_id,request_id,on_behalf_of,resource_type,resource_id,relation,subject_type,
      subject_id,subject_relation}',
    p_ids => '{tuple_id}');
  v_tuple_id := p_filter ->> 'tuple_id';

  select e.event_time into v_before
  from authz.audit_events e
  where e.namespace = v_namespace
    and e.event_time >= p_before_time
    and e.event_time < p_before_time + interval '1 ms'
    and e.id = p_before_id;
  v_before := coalesce(v_before, p_before_time);

  return query
  select e.*
  from authz.audit_events e
  where e.namespace = v_namespace
    and (v_event_type is null or e.event_type = v_event_type)
    and (v_actor_id is null or e.actor_id = v_actor_id)
    and (v_request_id is null or e.request_id = v_request_id)
    and (v_on_behalf_of is null or e.on_behalf_of = v_on_behalf_of)
    and (v_resource_type is null or e.resource_type = v_resource_type)
    and (v_resource_id is null or e.resource_id = v_resource_id)
    and (v_relation is null or e.relation = v_relation)
    and (v_subject_type is null or e.subject_type = v_subject_type)
    and (v_subject_id is null or e.subject_id = v_subject_id)
    and (v_subject_relation is null or e.subject_relation = v_subject_relation)
    and (v_tuple_id is null or e.tuple_id = v_tuple_id)
    and (v_before is null or e.event_time <= v_before)
    and (v_before is null or e.event_time < v_before or e.id < p_before_id)
  order by e.event_time desc, e.id desc
  limit p_limit;
end
$$;

comment on function authz.list_audit_events(text, jsonb, int, timestamptz, bigint) is
'What changed in a tenant, the newest first.

p_namespace    the tenant
p_filter       an object with any of event_type, actor_id, request_id, on_behalf_of, resource_type,
               resource_id, relation, subject_type, subject_id, subject_relation and tuple_id; all
               must fit
p_limit        how many at most, 1 to 1,000
p_before_time  go on after a page: event_time of its last row, with microseconds or without
p_before_id    go on after a page: id of its last row
Returns        rows of authz.audit_events
Errors         authz.predicate_invalid, limit_too_large, not_positive (22023), tenant_mismatch
               (42501)
Example        select * from authz.list_audit_events(''acme'', ''{"actor_id": "user:ann"}'');';

create or replace function authz.create_audit_partition(p_year int, p_month int) returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if (p_year between 1970 and 9999) is not true then
    perform howdah.fail('authz', 'year_out_of_range',
      format('year is %s, it must be 1970 to 9999', coalesce(p_year::text, 'null')), '22023',
      jsonb_build_object('field', 'year', 'actual', p_year));
  end if;
  if (p_month between 1 and 12) is not true then
    perform howdah.fail('authz', 'month_out_of_range',
      format('month is %s, it must be 1 to 12', coalesce(p_month::text, 'null')), '22023',
      jsonb_build_object('field', 'month', 'actual', p_month));
  end if;

  if howdah.ensure_month_partitions('authz.audit_events', 0,
    make_timestamptz(p_year, p_month, 1, 0, 0, 0, 'UTC')) > 0
  then
    return authz._audit_partition(make_timestamptz(p_year, p_month, 1, 0, 0, 0, 'UTC'));
  end if;
  return null;
end
$$;

comment on function authz.create_audit_partition(int, int) is
'Make the partition for the audit events of a month.

p_year       1970 to 9999
p_month      1 to 12
Returns      its name, or null if it was there
Errors       authz.year_out_of_range, month_out_of_range (22023); 55P03 when a lock was not free
             within 2 s: try again
Example      select authz.create_audit_partition(2026, 11);';

create or replace function authz._audit_partition(p_month timestamptz) returns text
language sql
stable
as $$
  select to_char(p_month at time zone 'UTC', '"audit_events_y"YYYY"m"MM')
$$;

comment on function authz._audit_partition(timestamptz) is
'The name of the partition that holds the audit events of a time.';

create or replace function authz.ensure_audit_partitions(p_months_ahead int default 3)
returns setof text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
begin
  if (p_months_ahead between 0 and 120) is not true then
    perform howdah.fail('authz', 'month_out_of_range',
      format('months_ahead is %s, it must be 0 to 120', coalesce(p_months_ahead::text, 'null')),
      '22023', jsonb_build_object('field', 'months_ahead', 'actual', p_months_ahead));
  end if;

  return query
  select made.name
  from generate_series(0, p_months_ahead) i,
    lateral (select howdah.now() + make_interval(months => i)) at(month),
    lateral (
      select authz.create_audit_partition(extract(year from at.month)::int,
        extract(month from at.month)::int)
    ) made(name)
  where made.name is not null;
end
$$;

comment on function authz.ensure_audit_partitions(int) is
'Make the partitions for the audit events of this month and of some months after it. howdah.maintain
does so; events of a month without a partition wait in the default one.

p_months_ahead  how many months after this one, 0 to 120
Returns         the names of those that were made
Errors          authz.month_out_of_range (22023); 55P03 when a lock was not free within 2 s: try
                again
Example         select authz.ensure_audit_partitions();';

create or replace function authz.drop_audit_partitions(p_older_than_months int default 84)
returns setof text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if (p_older_than_months > 0) is not true then
    perform howdah.fail('authz', 'not_positive',
      format('older_than_months is %s, it must be positive',
        coalesce(p_older_than_months::text, 'null')),
      '22023', jsonb_build_object('field', 'older_than_months', 'actual', p_older_than_months));
  end if;
  return query
  select d
  from howdah.drop_partitions('authz.audit_events',
    make_interval(months => least(p_older_than_months, 12000))) d;
end
$$;

comment on function authz.drop_audit_partitions(int) is
'Drop the audit events of whole months that are older than some months, of all tenants.

Nothing else here ever deletes an audit event.
p_older_than_months  how old a month''s end must be, positive; by default seven years
Returns              the names of the partitions that were dropped
Errors               authz.not_positive (22023)
Example              select authz.drop_audit_partitions(24);';
