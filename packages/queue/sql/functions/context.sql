-- Context: the tenant and the actor of a transaction, under this module's name.

create or replace function queue.set_tenant(p_tenant_id text default null) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.set_tenant(p_tenant_id);
end
$$;

comment on function queue.set_tenant(text) is
'Pin the rest of this transaction to one tenant, as howdah.set_tenant does.

p_tenant_id  the tenant
Returns      nothing
Errors       howdah.namespace_null (22004), namespace_empty (22026), namespace_too_long (22001),
             namespace_invalid_chars, namespace_whitespace (22023)
Example      select queue.set_tenant(''acme'');';

create or replace function queue.clear_tenant() returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.clear_tenant();
end
$$;

comment on function queue.clear_tenant() is
'End the pin of this transaction to a tenant.

Returns      nothing
Errors       none
Example      select queue.clear_tenant();';

create or replace function queue.set_actor(
  p_actor_id text default null,
  p_request_id text default null,
  p_on_behalf_of text default null,
  p_reason text default null
) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.set_actor(p_actor_id, p_request_id, p_on_behalf_of, p_reason);
end
$$;

comment on function queue.set_actor(text, text, text, text) is
'Say who acts in the rest of this transaction; jobs and audit events carry it.

p_actor_id      who acts
p_request_id    the request that caused it
p_on_behalf_of  whom the actor acts for
p_reason        why
Returns         nothing
Errors          howdah.actor_too_long (22001)
Example         select queue.set_actor(''user:ann'', ''req-7'');';

create or replace function queue.clear_actor() returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.clear_actor();
end
$$;

comment on function queue.clear_actor() is
'Forget who acts in this transaction.

Returns      nothing
Errors       none
Example      select queue.clear_actor();';

create or replace function queue.assert_rls_active() returns void
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.assert_rls_active('queue');
end
$$;

comment on function queue.assert_rls_active() is
'Fail if row-level security would not bind the caller, so that an application''s tests notice it.

Returns      nothing
Errors       queue.rls_not_active (55000)
Example      select queue.assert_rls_active();';

create or replace function queue._audit(
  p_namespace text,
  p_event_type text,
  p_resource_type text,
  p_resource_id text,
  p_old jsonb default null,
  p_new jsonb default null
) returns void
language plpgsql
as $$
declare
  v_actor jsonb := howdah.actor();
begin
  insert into queue.audit_events (
    namespace, event_type, actor_id, request_id, on_behalf_of, reason, ip_address, user_agent,
    resource_type, resource_id,
    old_values, new_values
  )
  values (
    p_namespace, p_event_type, v_actor ->> 'actor_id', v_actor ->> 'request_id',
    v_actor ->> 'on_behalf_of',
    v_actor ->> 'reason', (v_actor ->> 'ip_address')::inet, v_actor ->> 'user_agent',
    p_resource_type, p_resource_id,
    p_old, p_new
  );
end
$$;

comment on function queue._audit(text, text, text, text, jsonb, jsonb) is
'Record what an operator did.';
