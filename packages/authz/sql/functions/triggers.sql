-- Triggers: what must hold however a row was written, by a function or by plain SQL.
--
-- Ids are compared byte by byte, so each is stored in NFC, and beside it the spelling that its
-- writer used, for those who read it. Every change of a tuple or of a rule leaves an event in the
-- same transaction; the events of all rows that a statement made or deleted are written at once.
-- To truncate a table is to delete all its rows. (A transaction with a snapshot of its own,
-- REPEATABLE READ, records the rows that it sees.) What rules imply is kept in permission_closure,
-- so that a check reads one row and walks none.
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
stable
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

create or replace function authz._audit_tuple_update() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if (old.namespace, old.id, old.resource_type, old.resource_id, old.relation, old.subject_type,
      old.subject_id, old.subject_relation)
    is distinct from (new.namespace, new.id, new.resource_type, new.resource_id, new.relation,
      new.subject_type, new.subject_id, new.subject_relation)
  then
    perform authz._audit_tuple('tuple_deleted', old);
    perform authz._audit_tuple('tuple_created', new);
  else
    perform authz._audit_tuple('tuple_updated', new, jsonb_build_object('old',
      jsonb_build_object('expires_at', old.expires_at)
        || coalesce(
          authz._tuple_detail(old.condition_name, old.condition_context, null, null), '{}')
    ));
  end if;
  return null;
end
$$;

comment on function authz._audit_tuple_update() is
'Record a tuple that was changed. One that became another tuple counts as deleted and made.';

create or replace function authz._audit_tuple(
  p_event_type text,
  p_tuple authz.tuples,
  p_more jsonb default null
) returns void
language plpgsql
as $$
declare
  v_actor jsonb := howdah.actor();
begin
  insert into authz.audit_events (
    event_type, actor_id, request_id, reason, on_behalf_of, current_user_name,
    namespace, resource_type, resource_id, relation, subject_type, subject_id, subject_relation,
    tuple_id, expires_at, detail
  )
  values (
    p_event_type, v_actor ->> 'actor_id', v_actor ->> 'request_id', v_actor ->> 'reason',
    v_actor ->> 'on_behalf_of', howdah.outer_role(),
    p_tuple.namespace, p_tuple.resource_type, p_tuple.resource_id, p_tuple.relation,
    p_tuple.subject_type, p_tuple.subject_id, p_tuple.subject_relation,
    p_tuple.id, p_tuple.expires_at,
    case
      when p_more is null then authz._tuple_detail(p_tuple.condition_name,
        p_tuple.condition_context, p_tuple.resource_id_raw, p_tuple.subject_id_raw)
      else p_more || coalesce(authz._tuple_detail(p_tuple.condition_name,
        p_tuple.condition_context, p_tuple.resource_id_raw, p_tuple.subject_id_raw), '{}')
    end
  );
end
$$;

comment on function authz._audit_tuple(text, authz.tuples, jsonb) is 'Record one tuple.';

create or replace trigger tuples_audit_insert
after insert on authz.tuples
referencing new table as changed
for each statement
execute function authz._audit_tuples('tuple_created');

create or replace trigger tuples_audit_update
after update on authz.tuples
for each row
when (old.* is distinct from new.*)
execute function authz._audit_tuple_update();

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

create or replace function authz._follow_truncation() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_actor jsonb := howdah.actor();
begin
  if tg_table_name = 'tuples' then
    insert into authz.audit_events (
      event_type, actor_id, request_id, reason, on_behalf_of, current_user_name,
      namespace, resource_type, resource_id, relation, subject_type, subject_id, subject_relation,
      tuple_id, expires_at, detail
    )
    select
      'tuple_deleted', v_actor ->> 'actor_id', v_actor ->> 'request_id', v_actor ->> 'reason',
      v_actor ->> 'on_behalf_of', howdah.outer_role(),
      t.namespace, t.resource_type, t.resource_id, t.relation, t.subject_type, t.subject_id,
      t.subject_relation, t.id, t.expires_at,
      authz._tuple_detail(t.condition_name, t.condition_context, t.resource_id_raw,
        t.subject_id_raw)
    from authz.tuples t;
  else
    insert into authz.audit_events (
      event_type, actor_id, request_id, reason, on_behalf_of, current_user_name,
      namespace, resource_type, relation, subject_type, subject_id
    )
    select
      'hierarchy_deleted', v_actor ->> 'actor_id', v_actor ->> 'request_id', v_actor ->> 'reason',
      v_actor ->> 'on_behalf_of', howdah.outer_role(),
      h.namespace, h.resource_type, h.permission, 'implies', h.implies
    from authz.permission_hierarchy h;
    delete from authz.permission_closure;
  end if;
  return null;
end
$$;

comment on function authz._follow_truncation() is
'Record all tuples or all rules before they are truncated; without rules there is no closure.';

create or replace trigger tuples_truncate
before truncate on authz.tuples
for each statement
execute function authz._follow_truncation();

create or replace trigger permission_hierarchy_truncate
before truncate on authz.permission_hierarchy
for each statement
execute function authz._follow_truncation();
