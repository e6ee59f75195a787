-- Triggers: what must hold however a row was written, by a function or by plain SQL.
--
-- Ids are compared byte by byte, so each is stored in NFC, and beside it the spelling that its
-- writer used, for those who read it. Every change of a tuple or of a rule leaves an event in the
-- same transaction; a statement writes its events at once. What a rule implies is kept in
-- permission_closure, so that a check reads one row and walks no rules.
--
-- The functions run as the owner of the module: whoever may write to a table need not be able to
-- write to those that follow from it.

create or replace function authz._normalize_tuple() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not new.resource_id is nfc normalized then
    new.resource_id_raw := new.resource_id;
    new.resource_id := normalize(new.resource_id, nfc);
  elsif normalize(new.resource_id_raw, nfc) <> new.resource_id
    or new.resource_id_raw = new.resource_id
  then
    new.resource_id_raw := null;
  end if;

  if not new.subject_id is nfc normalized then
    new.subject_id_raw := new.subject_id;
    new.subject_id := normalize(new.subject_id, nfc);
  elsif normalize(new.subject_id_raw, nfc) <> new.subject_id
    or new.subject_id_raw = new.subject_id
  then
    new.subject_id_raw := null;
  end if;
  return new;
end
$$;

comment on function authz._normalize_tuple() is
'Put the ids of a tuple into NFC, and keep the spelling of its writer where that differs.';

create or replace trigger tuples_normalize
before insert or update of resource_id, subject_id, resource_id_raw, subject_id_raw
on authz.tuples
for each row
when (
  octet_length(new.resource_id) <> length(new.resource_id)
  or octet_length(new.subject_id) <> length(new.subject_id)
  or new.resource_id_raw is not null
  or new.subject_id_raw is not null
)
execute function authz._normalize_tuple();

create or replace function authz._tuple_detail(
  p_condition_name text,
  p_condition_context jsonb,
  p_resource_id_raw text,
  p_subject_id_raw text
) returns jsonb
language sql
immutable
as $$
  select case
    when num_nonnulls(p_condition_name, p_resource_id_raw, p_subject_id_raw) > 0 then
      jsonb_strip_nulls(jsonb_build_object(
        'condition', p_condition_name,
        'resource_id_raw', p_resource_id_raw,
        'subject_id_raw', p_subject_id_raw
      ))
      || case
        when p_condition_context is null then '{}'
        else jsonb_build_object('condition_context', p_condition_context)
      end
  end
$$;

comment on function authz._tuple_detail(text, jsonb, text, text) is
'What an event says of a tuple beyond its own columns, null if that is nothing.';

create or replace function authz._audit_tuples() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_actor jsonb := howdah.actor();
begin
  insert into authz.audit_events (
    event_type, actor_id, request_id, reason, on_behalf_of, current_user_name,
    namespace, resource_type, resource_id, relation, subject_type, subject_id, subject_relation,
    tuple_id, expires_at, detail
  )
  select
    tg_argv[0], v_actor ->> 'actor_id', v_actor ->> 'request_id', v_actor ->> 'reason',
    v_actor ->> 'on_behalf_of', howdah.outer_role(),
    c.namespace, c.resource_type, c.resource_id, c.relation, c.subject_type, c.subject_id,
    c.subject_relation, c.id, c.expires_at,
    authz._tuple_detail(c.condition_name, c.condition_context, c.resource_id_raw, c.subject_id_raw)
  from changed c;
  return null;
end
$$;

comment on function authz._audit_tuples() is 'Record tuples that a statement made or deleted.';

create or replace function authz._audit_tuple_updates() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_actor jsonb := howdah.actor();
begin
  if not exists (select 1 from after) then
    return null;
  end if;

  insert into authz.audit_events (
    event_type, actor_id, request_id, reason, on_behalf_of, current_user_name,
    namespace, resource_type, resource_id, relation, subject_type, subject_id, subject_relation,
    tuple_id, expires_at, detail
  )
  select
    case
      when b.id is null then 'tuple_created'
      when a.id is null then 'tuple_deleted'
      else 'tuple_updated'
    end,
    v_actor ->> 'actor_id', v_actor ->> 'request_id', v_actor ->> 'reason',
    v_actor ->> 'on_behalf_of', howdah.outer_role(),
    coalesce(a.namespace, b.namespace), coalesce(a.resource_type, b.resource_type),
    coalesce(a.resource_id, b.resource_id), coalesce(a.relation, b.relation),
    coalesce(a.subject_type, b.subject_type), coalesce(a.subject_id, b.subject_id),
    coalesce(a.subject_relation, b.subject_relation), coalesce(a.id, b.id),
    case when a.id is null then b.expires_at else a.expires_at end,
    case
      when b.id is null then d.detail
      when a.id is null then d.old_detail
      else coalesce(d.detail, '{}') || jsonb_build_object('old',
        jsonb_build_object('expires_at', b.expires_at) || coalesce(d.old_detail, '{}'))
    end
  from before b
  full join after a
    on (a.namespace, a.id) = (b.namespace, b.id)
    and (a.resource_type, a.resource_id, a.relation, a.subject_type, a.subject_id)
      = (b.resource_type, b.resource_id, b.relation, b.subject_type, b.subject_id)
    and coalesce(a.subject_relation, '') = coalesce(b.subject_relation, ''),
    lateral (
      select
        authz._tuple_detail(a.condition_name, a.condition_context, a.resource_id_raw,
          a.subject_id_raw),
        authz._tuple_detail(b.condition_name, b.condition_context, b.resource_id_raw,
          b.subject_id_raw)
    ) d(detail, old_detail)
  where a.id is null
    or b.id is null
    or a.expires_at is distinct from b.expires_at
    or d.detail is distinct from d.old_detail;
  return null;
end
$$;

comment on function authz._audit_tuple_updates() is
'Record tuples that a statement changed. One that became another tuple counts as deleted and made.';

create or replace trigger tuples_audit_insert
after insert on authz.tuples
referencing new table as changed
for each statement
execute function authz._audit_tuples('tuple_created');

create or replace trigger tuples_audit_update
after update on authz.tuples
referencing old table as before new table as after
for each statement
execute function authz._audit_tuple_updates();

create or replace trigger tuples_audit_delete
after delete on authz.tuples
referencing old table as changed
for each statement
execute function authz._audit_tuples('tuple_deleted');

create or replace function authz._follow_hierarchy() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_actor jsonb := howdah.actor();
  v_changed record;
begin
  insert into authz.audit_events (
    event_type, actor_id, request_id, reason, on_behalf_of, current_user_name,
    namespace, resource_type, relation, subject_type, subject_id
  )
  select
    tg_argv[0], v_actor ->> 'actor_id', v_actor ->> 'request_id', v_actor ->> 'reason',
    v_actor ->> 'on_behalf_of', howdah.outer_role(),
    c.namespace, c.resource_type, c.permission, 'implies', c.implies
  from changed c;

  for v_changed in
    select distinct c.namespace, c.resource_type
    from changed c
    order by c.resource_type, c.namespace
  loop
    perform authz._lock_hierarchy(v_changed.namespace, v_changed.resource_type);
    perform authz._refresh_closure(v_changed.namespace, v_changed.resource_type);
  end loop;
  return null;
end
$$;

comment on function authz._follow_hierarchy() is
'Record rules that a statement made or deleted, and bring the closure up to date.';

create or replace trigger permission_hierarchy_insert
after insert on authz.permission_hierarchy
referencing new table as changed
for each statement
execute function authz._follow_hierarchy('hierarchy_created');

create or replace trigger permission_hierarchy_update_from
after update on authz.permission_hierarchy
referencing old table as changed
for each statement
execute function authz._follow_hierarchy('hierarchy_deleted');

create or replace trigger permission_hierarchy_update_to
after update on authz.permission_hierarchy
referencing new table as changed
for each statement
execute function authz._follow_hierarchy('hierarchy_created');

create or replace trigger permission_hierarchy_delete
after delete on authz.permission_hierarchy
referencing old table as changed
for each statement
execute function authz._follow_hierarchy('hierarchy_deleted');
