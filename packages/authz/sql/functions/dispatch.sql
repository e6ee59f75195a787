-- Dispatching: which program answers, and calling it.
--
-- A program's functions bear its name, so whoever calls them must make a statement of the name, and
-- plan it, each time. The functions of authz_rt that are written here name the programs that were
-- activated last in so many words, which are planned once in a session, and make such a statement
-- only for others. So they are a short cut and nothing more: whichever version of them a session
-- has, it finds every program. They are written anew when a program is activated or dropped.

create or replace function authz._refresh_dispatch() returns void
language plpgsql
as $$
declare
  v_checks text;
  v_refusals text;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('authz.dispatch', 0)) then
    return;
  end if;

  select
    coalesce(string_agg(format(
      '
        if p_program = %1$L then
          if p_contextual is null then
            return authz_rt.%2$I(p_namespace, p_subject_type, p_subject_id, p_subject_relation,
              p_permission, p_resource_type, p_resource_id, p_context);
          end if;
          return authz_rt.%3$I(p_namespace, p_subject_type, p_subject_id, p_subject_relation,
            p_permission, p_resource_type, p_resource_id, p_context, p_contextual);
        end if;
      ', c.name, 'm_' || c.name || '_check', 'm_' || c.name || '_check_x'), '' order by c.at), ''),
    coalesce(string_agg(format(
      '
        if p_program = %1$L then
          return authz_rt.%2$I(p_resource_type, p_relation, p_subject_type, p_subject_id,
            p_subject_relation, p_condition);
        end if;
      ', c.name, 'm_' || c.name || '_refusal'), '' order by c.at), '')
  into v_checks, v_refusals
  from (
    select left(p.hash, 12) as name, row_number() over (
      order by p.hash in (select a.hash from authz.active_models a where a.namespace = 'global')
        desc, p.last_used_at desc, p.hash
    ) as at
    from authz.programs p
    where p.namespace = 'global'
  ) c
  where c.at <= 8;

  v_checks := format('begin%s
        return authz._check_by_name(p_program, p_namespace, p_subject_type, p_subject_id,
          p_subject_relation, p_permission, p_resource_type, p_resource_id, p_context,
          p_contextual);
      end', v_checks);
  v_refusals := format('begin%s
        return authz._refusal_by_name(p_program, p_resource_type, p_relation, p_subject_type,
          p_subject_id, p_subject_relation, p_condition);
      end', v_refusals);
  if 2 = (
    select count(*)
    from pg_proc p
    where p.pronamespace = 'authz_rt'::regnamespace
      and p.proname in ('check', 'refusal')
      and p.prosrc in (v_checks, v_refusals)
  ) then
    return;
  end if;

  execute format(
    '
      create or replace function authz_rt.check(
        p_program text,
        p_namespace text,
        p_subject_type text,
        p_subject_id text,
        p_subject_relation text,
        p_permission text,
        p_resource_type text,
        p_resource_id text,
        p_context jsonb,
        p_contextual authz.tuple[] default null
      ) returns boolean
      language plpgsql
      stable
      parallel safe
      as %L
    ', v_checks);
  execute format(
    '
      create or replace function authz_rt.refusal(
        p_program text,
        p_resource_type text,
        p_relation text,
        p_subject_type text,
        p_subject_id text,
        p_subject_relation text,
        p_condition text
      ) returns text
      language plpgsql
      stable
      parallel safe
      as %L
    ', v_refusals);
  revoke all on function
    authz_rt.check(text, text, text, text, text, text, text, text, jsonb, authz.tuple[]),
    authz_rt.refusal(text, text, text, text, text, text, text)
  from public;
end
$$;

comment on function authz._refresh_dispatch() is
'Write the short cuts anew for the programs of today, if they are others. Whoever cannot have the
lock leaves it at that and waits for nobody: what it does not write now, maintain() does.';

create or replace function authz._check_by_name(
  p_program text,
  p_namespace text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_permission text,
  p_resource_type text,
  p_resource_id text,
  p_context jsonb,
  p_contextual authz.tuple[]
) returns boolean
language plpgsql
stable
parallel safe
as $$
declare
  v_allowed boolean;
begin
  if p_contextual is null then
    execute format('select authz_rt.%I($1, $2, $3, $4, $5, $6, $7, $8)',
      'm_' || p_program || '_check')
    into v_allowed
    using p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_permission,
      p_resource_type, p_resource_id, p_context;
  else
    execute format('select authz_rt.%I($1, $2, $3, $4, $5, $6, $7, $8, $9)',
      'm_' || p_program || '_check_x')
    into v_allowed
    using p_namespace, p_subject_type, p_subject_id, p_subject_relation, p_permission,
      p_resource_type, p_resource_id, p_context, p_contextual;
  end if;
  return v_allowed;
end
$$;

comment on function authz._check_by_name(
  text, text, text, text, text, text, text, text, jsonb, authz.tuple[]
) is
'What a program answers, whichever it is.';

create or replace function authz._refusal_by_name(
  p_program text,
  p_resource_type text,
  p_relation text,
  p_subject_type text,
  p_subject_id text,
  p_subject_relation text,
  p_condition text
) returns text
language plpgsql
stable
parallel safe
as $$
declare
  v_refusal text;
begin
  execute format('select authz_rt.%I($1, $2, $3, $4, $5, $6)', 'm_' || p_program || '_refusal')
  into v_refusal
  using p_resource_type, p_relation, p_subject_type, p_subject_id, p_subject_relation, p_condition;
  return v_refusal;
end
$$;

comment on function authz._refusal_by_name(text, text, text, text, text, text, text) is
'The code with which a program refuses a form of tuples, whichever program it is.';

-- A short cut of another release may ask for other parameters, so here it is worth waiting.
select pg_advisory_xact_lock(hashtextextended('authz.dispatch', 0));
select authz._refresh_dispatch();
