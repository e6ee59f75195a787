-- Context: the tenant, the viewer and the actor of a transaction.
--
-- All are settings that end with the transaction. The viewer is the subject that reads the tables
-- itself, through row-level security: it sees what was granted to it in every namespace, and may
-- leave.

create or replace function authz.set_tenant(p_tenant_id text) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.set_tenant(p_tenant_id);
end
$$;

comment on function authz.set_tenant(text) is
'Pin the rest of this transaction to one tenant, as howdah.set_tenant does.

p_tenant_id  the tenant
Returns      nothing
Errors       howdah.namespace_null (22004), namespace_empty (22026), namespace_too_long (22001),
             namespace_invalid_chars, namespace_whitespace (22023)
Example      select authz.set_tenant(''acme'');';

create or replace function authz.clear_tenant() returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.clear_tenant();
end
$$;

comment on function authz.clear_tenant() is
'End the pin of this transaction to a tenant.

Returns      nothing
Errors       none
Example      select authz.clear_tenant();';

create or replace function authz.set_viewer(p_subject_type text, p_subject_id text) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_subject_type text collate "C" := p_subject_type;
  v_subject_id text collate "C" := p_subject_id;
begin
  perform authz._check_name('subject_type', v_subject_type);
  perform authz._check_id('subject_id', v_subject_id);
  perform set_config('authz.viewer_type', v_subject_type, true),
    set_config('authz.viewer_id', authz._nfc(v_subject_id), true);
end
$$;

comment on function authz.set_viewer(text, text) is
'Say which subject reads in the rest of this transaction: row-level security then shows it those
tuples of every namespace that name it as their subject, and lets it delete them.

A role that reads the table needs rights on it beside that. Like the pin to a tenant this guards
against mistakes, not against hostile SQL. Set for a whole session, the settings authz.viewer_type
and authz.viewer_id hold as well.
p_subject_type  the type of the subject
p_subject_id    the subject
Returns         nothing
Errors          authz.identifier_null, id_null (22004), identifier_empty, id_empty (22026),
                identifier_too_long, id_too_long (22001), identifier_format, id_invalid_chars,
                id_whitespace (22023)
Example         select authz.set_viewer(''user'', ''ann'');';

create or replace function authz.clear_viewer() returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform set_config('authz.viewer_type', '', true), set_config('authz.viewer_id', '', true);
end
$$;

comment on function authz.clear_viewer() is
'Forget the viewer for the rest of this transaction.

Returns      nothing
Errors       none
Example      select authz.clear_viewer();';

create or replace function authz.set_actor(
  p_actor_id text,
  p_request_id text default null,
  p_reason text default null,
  p_on_behalf_of text default null
) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.set_actor(p_actor_id, p_request_id, p_on_behalf_of, p_reason);
  perform set_config('authz.actor_id', coalesce(p_actor_id, ''), true),
    set_config('authz.request_id', coalesce(p_request_id, ''), true),
    set_config('authz.reason', coalesce(p_reason, ''), true),
    set_config('authz.on_behalf_of', coalesce(p_on_behalf_of, ''), true);
end
$$;

comment on function authz.set_actor(text, text, text, text) is
'Say who acts in the rest of this transaction; audit events carry it.

The parts are also set as authz.actor_id, authz.request_id, authz.reason and authz.on_behalf_of, for
triggers and policies of your own. Nothing here reads those.
p_actor_id      who acts
p_request_id    the request that caused it
p_reason        why
p_on_behalf_of  whom the actor acts for
Returns         nothing
Errors          howdah.actor_too_long (22001)
Example         select authz.set_actor(''user:ann'', ''req-7'', ''ticket 12'');';

create or replace function authz.clear_actor() returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.clear_actor();
  perform set_config('authz.actor_id', '', true), set_config('authz.request_id', '', true),
    set_config('authz.reason', '', true), set_config('authz.on_behalf_of', '', true);
end
$$;

comment on function authz.clear_actor() is
'Forget who acts in this transaction.

Returns      nothing
Errors       none
Example      select authz.clear_actor();';

create or replace function authz.assert_rls_active() returns void
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah.assert_rls_active('authz');
end
$$;

comment on function authz.assert_rls_active() is
'Fail if row-level security would not bind the caller, so that an application''s tests notice it.

Returns      nothing
Errors       authz.rls_not_active (55000)
Example      select authz.assert_rls_active();';
