-- Guarding: the first line of every public function.
--
-- guard() has no SET clause, because the functions that call it have pinned theirs already and a
-- second pin would cost more than the whole check. The common case is four comparisons and one
-- regular expression.

create or replace function howdah.guard(
  p_module text,
  p_namespace text,
  p_all boolean default false
) returns void
language plpgsql
stable
as $$
declare
  v_namespace text collate "C" := p_namespace;
  v_pinned text collate "C" := nullif(pg_catalog.current_setting('howdah.tenant', true), '');
begin
  if v_namespace is null and p_all then
    if v_pinned is not null or not howdah._sees_all(p_module) then
      perform howdah.fail(p_module, 'all_namespaces_requires_bypass',
        format('role %s may not work on all namespaces at once', howdah.outer_role()),
        '42501', null,
        format('Name one namespace, or unpin the transaction and give the role admin access to %s.',
          p_module));
    end if;
    return;
  end if;

  if v_namespace is null or v_namespace = '' or length(v_namespace) > 1024
    or v_namespace
      ~ e'[\\x01-\\x1f\\x7f\\u0085\\u2028\\u2029]|^[\\s\\u00a0\\u3000]|[\\s\\u00a0\\u3000]$'
  then
    perform howdah._check_namespace(p_module, v_namespace);
  end if;

  if v_pinned <> v_namespace then
    perform howdah.fail(p_module, 'tenant_mismatch',
      format('this transaction is pinned to namespace %L, the call names %L',
        v_pinned, p_namespace),
      '42501', jsonb_build_object('pinned', v_pinned, 'namespace', p_namespace));
  end if;
end
$$;

comment on function howdah.guard(text, text, boolean) is
'Refuse a call whose namespace is malformed or not the one that the transaction is pinned to.

p_module     the module whose code and schema the error carries
p_namespace  the tenant that the call names, 1 to 1,024 characters
p_all        true lets null mean all namespaces: for the unpinned owner, a superuser, a role that
             bypasses row-level security, or one with admin access to the module
Returns      nothing
Errors       namespace_null (22004), namespace_empty (22026), namespace_too_long (22001),
             namespace_invalid_chars, namespace_whitespace (22023), tenant_mismatch,
             all_namespaces_requires_bypass (42501)
Example      select howdah.guard(''queue'', ''acme'');';

create or replace function howdah.outer_role() returns name
language sql
stable
parallel safe
as $$
  select coalesce(nullif(pg_catalog.current_setting('role', true), 'none'), session_user)::name
$$;

comment on function howdah.outer_role() is
'The role that called the outermost function: what SECURITY DEFINER functions judge their caller by.

Returns      the role of SET ROLE, or of the session
Errors       none
Example      select howdah.outer_role();';

create or replace function howdah.assert_rls_active(p_module text) returns void
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_role name := howdah.outer_role();
  v_why text;
begin
  select case
    when r.rolsuper then 'is a superuser'
    when r.rolbypassrls then 'has BYPASSRLS'
    when exists (
      select 1 from pg_class c
      where c.relnamespace = to_regnamespace(quote_ident(p_module)) and c.relkind in ('r', 'p')
        and pg_has_role(r.oid, c.relowner, 'usage')
    ) then format('owns tables of %s', p_module)
  end into v_why
  from pg_roles r
  where r.rolname = v_role;

  if v_why is not null then
    perform howdah.fail(p_module, 'rls_not_active',
      format('row-level security does not bind role %s: it %s', v_role, v_why), '55000',
      jsonb_build_object('role', v_role),
      format('Connect as a plain role; give it access with howdah.grant_module(%L, role).',
        p_module));
  end if;
end
$$;

comment on function howdah.assert_rls_active(text) is
'Fail if row-level security would not bind the caller, so that an application''s tests notice it.

p_module     the module whose tables are meant
Returns      nothing
Errors       rls_not_active (55000): the caller is a superuser, has BYPASSRLS, or owns the tables
Example      select howdah.assert_rls_active(''queue'');';

create or replace function howdah._check_namespace(p_module text, p_namespace text) returns void
language plpgsql
stable
as $$
begin
  perform case
    when p_namespace is null then
      howdah.fail(p_module, 'namespace_null', 'namespace is null', '22004', null,
        'Name the tenant that the call is for.')
    when p_namespace = '' then
      howdah.fail(p_module, 'namespace_empty', 'namespace is empty', '22026', null,
        'Name the tenant that the call is for.')
    when length(p_namespace) > 1024 then
      howdah.fail(p_module, 'namespace_too_long',
        format('namespace has %s characters, at most 1024 are allowed', length(p_namespace)),
        '22001',
        jsonb_build_object('field', 'namespace', 'limit', 1024, 'actual', length(p_namespace)))
    when p_namespace ~ e'[\\x01-\\x1f\\x7f\\u0085\\u2028\\u2029]' then
      howdah.fail(p_module, 'namespace_invalid_chars',
        'namespace contains control characters', '22023',
        jsonb_build_object('field', 'namespace'))
    when p_namespace ~ e'^[\\s\\u00a0\\u3000]|[\\s\\u00a0\\u3000]$' then
      howdah.fail(p_module, 'namespace_whitespace',
        format('namespace %L begins or ends with white space', p_namespace), '22023',
        jsonb_build_object('field', 'namespace'))
  end;
end
$$;

comment on function howdah._check_namespace(text, text) is
'Raise the error that names what is wrong with a namespace, if anything is.';

create or replace function howdah._sees_all(p_module text) returns boolean
language sql
stable
as $$
  select r.rolsuper
    or r.rolbypassrls
    or pg_has_role(r.oid, n.nspowner, 'usage')
    or exists (
      select 1
      from howdah.grants g
      join pg_roles granted on granted.rolname = g.role_name
      where g.module = p_module and g.access = 'admin' and pg_has_role(r.oid, granted.oid, 'usage')
    )
  from pg_roles r, pg_namespace n
  where r.rolname = howdah.outer_role() and n.nspname = p_module
$$;

comment on function howdah._sees_all(text) is
'Whether the outermost role may work on all namespaces of a module.';
