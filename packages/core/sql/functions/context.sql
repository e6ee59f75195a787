-- Context: which tenant a transaction is pinned to, and who acts in it.
--
-- Both live in transaction-local settings, so a pooled connection never carries them to the next
-- user, and reading them costs no table. tenant(), actor() and now() have no SET clause and are
-- plain SQL, so that the planner inlines them: a policy "using (namespace = howdah.tenant())"
-- becomes an index condition. The pin guards against mistakes, not against hostile SQL: whoever can
-- send raw statements can set a GUC too.

create or replace function howdah.now() returns timestamptz
language sql
stable
parallel safe
as $$
  select pg_catalog.now()
$$;

comment on function howdah.now() is
'The time by which every module lives: the start of the transaction.

Test databases replace its body to travel in time; verify() reports that as drift.
Returns      the time
Errors       none
Example      select howdah.now();';

create or replace function howdah.tenant() returns text
language sql
stable
parallel safe
as $$
  select nullif(pg_catalog.current_setting('howdah.tenant', true), '')
$$;

comment on function howdah.tenant() is
'The tenant that this transaction is pinned to.

Returns      the namespace, or null if the transaction is not pinned
Errors       none
Example      select howdah.tenant();';

create or replace function howdah.set_tenant(p_namespace text) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah._check_namespace('howdah', p_namespace collate "C");
  perform set_config('howdah.tenant', p_namespace, true);
end
$$;

comment on function howdah.set_tenant(text) is
'Pin the rest of this transaction to one tenant: calls that name another one fail, and row-level
security shows its rows only.

Outside a transaction block the pin ends with the statement and has no effect.
p_namespace  the tenant, 1 to 1,024 characters
Returns      nothing
Errors       howdah.namespace_null (22004), namespace_empty (22026), namespace_too_long (22001),
             namespace_invalid_chars, namespace_whitespace (22023)
Example      select howdah.set_tenant(''acme'');';

create or replace function howdah.clear_tenant() returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
  select set_config('howdah.tenant', '', true)
$$;

comment on function howdah.clear_tenant() is
'End the pin of this transaction to a tenant.

Returns      nothing
Errors       none
Example      select howdah.clear_tenant();';

create or replace function howdah.actor() returns jsonb
language sql
stable
parallel safe
as $$
  select nullif(pg_catalog.current_setting('howdah.actor', true), '')::jsonb
$$;

comment on function howdah.actor() is
'Who acts in this transaction, as set by set_actor or by a client.

Returns      an object with those of actor_id, request_id, on_behalf_of, reason, ip_address and
             user_agent that are known, or null
Errors       none
Example      select howdah.actor() ->> ''actor_id'';';

create or replace function howdah.set_actor(
  p_actor_id text,
  p_request_id text default null,
  p_on_behalf_of text default null,
  p_reason text default null,
  p_ip_address text default null,
  p_user_agent text default null
) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform howdah._put_actor(jsonb_strip_nulls(jsonb_build_object(
    'actor_id', p_actor_id,
    'request_id', p_request_id,
    'on_behalf_of', p_on_behalf_of,
    'reason', p_reason,
    'ip_address', p_ip_address,
    'user_agent', p_user_agent
  )));
end
$$;

comment on function howdah.set_actor(text, text, text, text, text, text) is
'Say who acts in the rest of this transaction; what modules write carries it.

All values together take at most 4 kB.
p_actor_id      who acts, such as user:ann
p_request_id    the request that caused it
p_on_behalf_of  whom the actor acts for
p_reason        why, such as a ticket
p_ip_address    where from, an IPv4 or IPv6 address
p_user_agent    with what
Returns         nothing
Errors          howdah.actor_too_long (22001), ip_address_invalid (22023)
Example         select howdah.set_actor(''user:ann'', ''req-7'', ''user:bob'', ''ticket 12'');';

create or replace function howdah.clear_actor() returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
  select set_config('howdah.actor', '', true)
$$;

comment on function howdah.clear_actor() is
'Forget who acts in this transaction.

Returns      nothing
Errors       none
Example      select howdah.clear_actor();';

create or replace function howdah.enter(
  p_namespace text,
  p_actor jsonb default null,
  p_pin boolean default false
) returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_actor is not null then
    perform howdah._put_actor(p_actor);
  end if;
  if p_pin then
    perform howdah.set_tenant(p_namespace);
  end if;
  return p_namespace;
end
$$;

comment on function howdah.enter(text, jsonb, boolean) is
'Set the actor, and the pin if asked, on the way into a call: used as the call''s first argument it
costs no round trip.

Arguments are evaluated before the function is entered, so the order is certain.
p_namespace  the tenant of the call
p_actor      an object with any of actor_id, request_id, on_behalf_of, reason, ip_address,
             user_agent; null changes nothing
p_pin        true also pins the rest of the transaction to the tenant
Returns      p_namespace
Errors       howdah.actor_invalid, field_unknown, ip_address_invalid (22023), actor_too_long
             (22001); with p_pin those of set_tenant
Example      select queue.push(howdah.enter(''acme'', ''{"actor_id": "ann"}''), ''mail'', ''{}'');';

create or replace function howdah._put_actor(p_actor jsonb) returns void
language plpgsql
as $$
declare
  v_unknown text;
  v_ip inet;
begin
  if jsonb_typeof(p_actor) is distinct from 'object' then
    perform howdah.fail('howdah', 'actor_invalid',
      format('actor must be a JSON object, got %s', jsonb_typeof(p_actor)), '22023');
  end if;

  if octet_length(p_actor::text) > 4096 then
    perform howdah.fail('howdah', 'actor_too_long',
      format('actor takes %s bytes, at most 4096 are allowed', octet_length(p_actor::text)),
      '22001',
      jsonb_build_object('field', 'actor', 'limit', 4096, 'actual', octet_length(p_actor::text)));
  end if;

  select key into v_unknown
  from jsonb_each(p_actor)
  where key not in ('actor_id', 'request_id', 'on_behalf_of', 'reason', 'ip_address', 'user_agent')
    or jsonb_typeof(value) not in ('string', 'null')
  limit 1;
  if found then
    perform howdah.fail('howdah', 'field_unknown',
      format('actor.%s is not a known text field', v_unknown), '22023',
      jsonb_build_object('field', v_unknown),
      'Use actor_id, request_id, on_behalf_of, reason, ip_address and user_agent, each a string.');
  end if;

  if p_actor ? 'ip_address' then
    begin
      v_ip := (p_actor ->> 'ip_address')::inet;
    exception when invalid_text_representation then
      perform howdah.fail('howdah', 'ip_address_invalid',
        format('ip_address %L is not an IPv4 or IPv6 address', p_actor ->> 'ip_address'), '22023',
        jsonb_build_object('field', 'ip_address'));
    end;
  end if;

  perform set_config('howdah.actor', p_actor::text, true);
end
$$;

comment on function howdah._put_actor(jsonb) is
'Check an actor object and keep it for the rest of the transaction.';
