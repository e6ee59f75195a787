-- What compiled conditions call at run time.
--
-- A condition is three-valued: true, false, or null for unknown. Nothing in here raises, because an
-- error would end the caller's transaction, and nothing catches, because a subtransaction cannot be
-- started in a parallel worker. So each function looks first, and answers null to what it cannot
-- read: a missing parameter, a wrong type, a number out of range, a date that does not exist. And
-- nothing depends on settings of the session: neither the zone in which it lives, nor how it reads
-- backslashes, of which there is none in here.
--
-- Time zones are the one thing that cannot be looked at first, because to find a name among those
-- of the server it must read all their files. So a program that names one asks for it when it is
-- installed.

create or replace function authz._require_time_zones(p_names text[]) returns void
language plpgsql
stable
as $$
declare
  v_unknown text;
begin
  select name into v_unknown
  from unnest(p_names) name
  where lower(name) not in (select lower(known.name) from pg_catalog.pg_timezone_names known)
  order by name
  limit 1;

  if found then
    perform howdah.fail('authz', 'model_invalid',
      format('this server does not know the time zone %L, which a condition names',
        left(v_unknown, 100)),
      '22023', jsonb_build_object('field', 'time_zone', 'value', left(v_unknown, 100)),
      'Name another one that is the same, or install the time zones of the operating system '
      || 'completely.');
  end if;
end
$$;

comment on function authz._require_time_zones(text[]) is
'Refuse to install a program whose conditions name a time zone that this server does not know;
model_invalid names it.';

create or replace function authz._cel_bool(p_value jsonb) returns boolean
language sql
immutable
parallel safe
as $$
  select case jsonb_typeof(p_value) when 'boolean' then p_value::boolean end
$$;

comment on function authz._cel_bool(jsonb) is 'A parameter as a boolean, null if it is none.';

create or replace function authz._cel_string(p_value jsonb) returns text
language sql
immutable
parallel safe
as $$
  select case jsonb_typeof(p_value) when 'string' then p_value #>> '{}' end collate "C"
$$;

comment on function authz._cel_string(jsonb) is 'A parameter as a string, null if it is none.';

create or replace function authz._cel_json_number(p_value jsonb) returns numeric
language sql
immutable
parallel safe
as $$
  select case jsonb_typeof(p_value) when 'number' then p_value::numeric end
$$;

comment on function authz._cel_json_number(jsonb) is
'A value of no declared type as a number, null if it is none.';

create or replace function authz._cel_number(p_value jsonb) returns numeric
language sql
immutable
parallel safe
as $$
  select case
    when jsonb_typeof(p_value) = 'number' then p_value::numeric
    when jsonb_typeof(p_value) = 'string'
      and p_value #>> '{}' ~ '^[+-]?[0-9]{1,40}([.][0-9]{1,40})?([eE][+-]?[0-9]{1,3})?$'
      then (p_value #>> '{}')::numeric
  end
$$;

comment on function authz._cel_number(jsonb) is
'A parameter as a number, also from a string of digits; null if it is none.';

create or replace function authz._cel_to_int(p_value numeric) returns bigint
language sql
immutable
parallel safe
as $$
  select case
    when p_value between -9223372036854775808 and 9223372036854775807 and p_value = trunc(p_value)
      then p_value::bigint
  end
$$;

comment on function authz._cel_to_int(numeric) is
'A whole number as a 64-bit integer, null if it does not fit.';

create or replace function authz._cel_to_uint(p_value numeric) returns numeric
language sql
immutable
parallel safe
as $$
  select case
    when p_value between 0 and 18446744073709551615 and p_value = trunc(p_value)
      then trunc(p_value)
  end
$$;

comment on function authz._cel_to_uint(numeric) is
'A whole number as an unsigned 64-bit integer, null if it does not fit.';

create or replace function authz._cel_to_double(p_value numeric) returns double precision
language sql
immutable
parallel safe
as $$
  select case
    when p_value is null or p_value = 'nan' then null
    when abs(p_value) > 1.797e308 then
      case when p_value > 0 then 'infinity' else '-infinity' end::double precision
    when abs(p_value) < 2.3e-308 then 0
    else p_value::double precision
  end
$$;

comment on function authz._cel_to_double(numeric) is
'A number as a double: infinite above its range, zero below it, null for none.';

create or replace function authz._cel_int(p_value jsonb) returns bigint
language sql
immutable
parallel safe
as $$
  select authz._cel_to_int(authz._cel_number(p_value))
$$;

comment on function authz._cel_int(jsonb) is
'A parameter as a 64-bit integer, null if it is none.';

create or replace function authz._cel_uint(p_value jsonb) returns numeric
language sql
immutable
parallel safe
as $$
  select authz._cel_to_uint(authz._cel_number(p_value))
$$;

comment on function authz._cel_uint(jsonb) is
'A parameter as an unsigned 64-bit integer, null if it is none.';

create or replace function authz._cel_double(p_value jsonb) returns double precision
language sql
immutable
parallel safe
as $$
  select authz._cel_to_double(authz._cel_number(p_value))
$$;

comment on function authz._cel_double(jsonb) is 'A parameter as a double, null if it is none.';

create or replace function authz._cel_timestamp(p_value text) returns timestamptz
language sql
stable
parallel safe
as $$
  select case
    when p_value collate "C" ~ ('^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])'
      || '[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?'
      || '([Zz]|[+-](0[0-9]|1[0-4]):[0-5][0-9])$')
    then case
      when substr(p_value, 9, 2)::int <= extract(day from
        make_date(substr(p_value, 1, 4)::int, substr(p_value, 6, 2)::int, 1)
        + interval '1 month' - interval '1 day')
      then regexp_replace(p_value, '[Zz]$', '+00:00')::timestamptz
    end
  end
$$;

comment on function authz._cel_timestamp(text) is
'A time as RFC 3339 writes it, null if the text is none.';

create or replace function authz._cel_seconds(p_seconds numeric) returns interval
language sql
immutable
parallel safe
as $$
  select case
    when abs(p_seconds) <= 9223372036 then make_interval(secs => p_seconds::double precision)
  end
$$;

comment on function authz._cel_seconds(numeric) is
'So many seconds as a duration, null beyond 292 years.';

create or replace function authz._cel_duration(p_value text) returns interval
language sql
immutable
parallel safe
as $$
  select case
    when p_value = '0' then interval '0'
    when p_value collate "C" ~ '^[+-]?([0-9]{1,12}([.][0-9]{0,9})?(ns|us|µs|ms|s|m|h)){1,7}$'
    then (
      select authz._cel_seconds(
        case when left(p_value, 1) = '-' then -1 else 1 end * sum(part.seconds)
      )
      from (
        select m[1]::numeric * case m[2]
          when 'ns' then 0.000000001
          when 'us' then 0.000001
          when 'µs' then 0.000001
          when 'ms' then 0.001
          when 's' then 1
          when 'm' then 60
          else 3600
        end as seconds
        from regexp_matches(p_value, '([0-9]+[.]?[0-9]*)(ns|us|µs|ms|s|m|h)', 'g') m
      ) part
    )
  end
$$;

comment on function authz._cel_duration(text) is
'A duration such as 1h30m or 250ms, of at most 292 years; null if the text is none.';

create or replace function authz._cel_is_ipv4(p_value text) returns boolean
language sql
immutable
parallel safe
as $$
  select p_value collate "C"
    ~ '^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])([.](?!$)|$)){4}$'
$$;

comment on function authz._cel_is_ipv4(text) is
'Whether a text is an IPv4 address: four numbers up to 255 without leading zeros.';

create or replace function authz._cel_is_ipv6(p_value text) returns boolean
language sql
immutable
parallel safe
as $$
  select p_value collate "C" ~ '^([0-9a-fA-F]{0,4}:){2,8}[0-9a-fA-F]{0,4}$'
    and p_value !~ ':::'
    and p_value !~ '^:[^:]'
    and p_value !~ '[^:]:$'
    and p_value !~ '::.*::'
    and case
      when position('::' in p_value) > 0 then
        cardinality(array_remove(string_to_array(p_value, ':'), '')) <= 7
      else cardinality(string_to_array(p_value, ':')) = 8
    end
$$;

comment on function authz._cel_is_ipv6(text) is
'Whether a text is an IPv6 address: eight groups, or fewer around one double colon.';

create or replace function authz._cel_is_ip(p_value text) returns boolean
language sql
immutable
parallel safe
as $$
  select case
    when length(p_value) > 45 then false
    when position(':' in p_value) = 0 then authz._cel_is_ipv4(p_value)
    when position('.' in p_value) > 0 then
      authz._cel_is_ipv4(substring(p_value from '[^:]*$'))
      and authz._cel_is_ipv6(regexp_replace(p_value, '[^:]*$', '0:0'))
    else authz._cel_is_ipv6(p_value)
  end
$$;

comment on function authz._cel_is_ip(text) is
'Whether a text is an IPv4 or IPv6 address, the latter perhaps ending in an IPv4 one.';

create or replace function authz._cel_ip(p_value text) returns inet
language sql
immutable
parallel safe
as $$
  select case when authz._cel_is_ip(p_value) then p_value::inet end
$$;

comment on function authz._cel_ip(text) is
'An IPv4 or IPv6 address without a mask, null if the text is none.';

create or replace function authz._cel_cidr(p_value text) returns inet
language sql
immutable
parallel safe
as $$
  select case
    when p_value collate "C" ~ '^[^/]+/(0|[1-9][0-9]{0,2})$'
      and authz._cel_is_ip(split_part(p_value, '/', 1))
      and split_part(p_value, '/', 2)::int
        <= case when position(':' in p_value) > 0 then 128 else 32 end
    then p_value::inet
  end
$$;

comment on function authz._cel_cidr(text) is
'A network in CIDR notation, null if the text is none.';

create or replace function authz._cel_is(p_value jsonb, p_type text) returns boolean
language sql
stable
parallel safe
as $$
  select case p_type
    when 'any' then true
    when 'bool' then authz._cel_bool(p_value) is not null
    when 'string' then authz._cel_string(p_value) is not null
    when 'int' then authz._cel_int(p_value) is not null
    when 'uint' then authz._cel_uint(p_value) is not null
    when 'double' then authz._cel_double(p_value) is not null
    when 'duration' then authz._cel_duration(authz._cel_string(p_value)) is not null
    when 'timestamp' then authz._cel_timestamp(authz._cel_string(p_value)) is not null
    when 'ipaddress' then authz._cel_ip(authz._cel_string(p_value)) is not null
    when 'list' then jsonb_typeof(p_value) = 'array'
    when 'map' then jsonb_typeof(p_value) = 'object'
    else false
  end
$$;

comment on function authz._cel_is(jsonb, text) is
'Whether a parameter can be read as a type: any, bool, string, int, uint, double, duration,
timestamp, ipaddress, list or map.';

create or replace function authz._cel_list(p_value jsonb, p_type text default 'any')
returns jsonb
language sql
immutable
parallel safe
as $$
  select case
    when jsonb_typeof(p_value) is distinct from 'array' then null
    when p_type = 'any' then p_value
    when not exists (
      select 1 from jsonb_array_elements(p_value) e where not authz._cel_is(e, p_type)
    ) then case
      when p_type in ('int', 'uint', 'double') then (
        select coalesce(jsonb_agg(authz._cel_number(e.value) order by e.at), '[]')
        from jsonb_array_elements(p_value) with ordinality e (value, at)
      )
      else p_value
    end
  end
$$;

comment on function authz._cel_list(jsonb, text) is
'A parameter as a list whose elements have a type, null if it is none; numbers written as strings
are numbers in it.';

create or replace function authz._cel_map(p_value jsonb, p_type text default 'any')
returns jsonb
language sql
immutable
parallel safe
as $$
  select case
    when jsonb_typeof(p_value) is distinct from 'object' then null
    when p_type = 'any' then p_value
    when not exists (
      select 1 from jsonb_each(p_value) e where not authz._cel_is(e.value, p_type)
    ) then case
      when p_type in ('int', 'uint', 'double') then (
        select coalesce(jsonb_object_agg(e.key, authz._cel_number(e.value)), '{}')
        from jsonb_each(p_value) e
      )
      else p_value
    end
  end
$$;

comment on function authz._cel_map(jsonb, text) is
'A parameter as a map whose values have a type, null if it is none; numbers written as strings are
numbers in it.';

create or replace function authz._cel_at(p_list jsonb, p_index bigint) returns jsonb
language sql
immutable
parallel safe
as $$
  select case
    when jsonb_typeof(p_list) = 'array' and p_index between 0 and 2147483647
      then p_list -> p_index::int
  end
$$;

comment on function authz._cel_at(jsonb, bigint) is
'The element of a list at an index from 0, null beyond its ends.';

create or replace function authz._cel_get(p_map jsonb, p_key text) returns jsonb
language sql
immutable
parallel safe
as $$
  select case jsonb_typeof(p_map) when 'object' then p_map -> p_key end
$$;

comment on function authz._cel_get(jsonb, text) is 'The value of a key, null if there is none.';

create or replace function authz._cel_has(p_map jsonb, p_key text) returns boolean
language sql
immutable
parallel safe
as $$
  select case jsonb_typeof(p_map) when 'object' then p_map ? p_key end
$$;

comment on function authz._cel_has(jsonb, text) is
'Whether a map has a key; null if it is no map.';

create or replace function authz._cel_in(p_element jsonb, p_collection jsonb) returns boolean
language sql
immutable
parallel safe
as $$
  select case
    when p_element is null then null
    when jsonb_typeof(p_collection) = 'array' then exists (
      select 1 from jsonb_array_elements(p_collection) e where e = p_element
    )
    when jsonb_typeof(p_collection) = 'object' and jsonb_typeof(p_element) = 'string' then
      p_collection ? (p_element #>> '{}')
    when jsonb_typeof(p_collection) = 'object' then false
  end
$$;

comment on function authz._cel_in(jsonb, jsonb) is
'Whether a list has an element, or a map a key; null if it is neither.';

create or replace function authz._cel_size(p_value jsonb) returns bigint
language sql
immutable
parallel safe
as $$
  select case jsonb_typeof(p_value)
    when 'array' then jsonb_array_length(p_value)
    when 'object' then (select count(*) from jsonb_object_keys(p_value))
    when 'string' then length(p_value #>> '{}')
  end
$$;

comment on function authz._cel_size(jsonb) is
'The number of elements, keys or characters; null for what has no size.';

create or replace function authz._cel_add(p_a double precision, p_b double precision)
returns double precision
language sql
immutable
parallel safe
as $$
  select case
    when abs(p_a) < 8e307 and abs(p_b) < 8e307 then p_a + p_b
    else authz._cel_to_double(p_a::numeric + p_b::numeric)
  end
$$;

comment on function authz._cel_add(double precision, double precision) is
'The sum of two doubles, infinite where it would not fit.';

create or replace function authz._cel_multiply(p_a double precision, p_b double precision)
returns double precision
language sql
immutable
parallel safe
as $$
  select case
    when p_a = 0 or p_b = 0 then
      case when abs(p_a) < 'infinity' and abs(p_b) < 'infinity' then 0 end
    when abs(p_a) between 1e-150 and 1e150 and abs(p_b) between 1e-150 and 1e150 then p_a * p_b
    else authz._cel_to_double(p_a::numeric * p_b::numeric)
  end
$$;

comment on function authz._cel_multiply(double precision, double precision) is
'The product of two doubles, infinite where it would not fit.';

create or replace function authz._cel_divide(p_a double precision, p_b double precision)
returns double precision
language sql
immutable
parallel safe
as $$
  select case
    when p_b = 0 then
      case when p_a > 0 then 'infinity' when p_a < 0 then '-infinity' end::double precision
    when p_a = 0 or abs(p_b) = 'infinity' then
      case when abs(p_a) < 'infinity' then 0 end
    when abs(p_a) between 1e-150 and 1e150 and abs(p_b) between 1e-150 and 1e150 then p_a / p_b
    else authz._cel_to_double(p_a::numeric / p_b::numeric)
  end
$$;

comment on function authz._cel_divide(double precision, double precision) is
'The quotient of two doubles: infinite over zero, null for zero over zero.';

create or replace function authz._cel_after(p_a timestamptz, p_b interval) returns timestamptz
language sql
immutable
parallel safe
as $$
  select case
    when extract(epoch from p_a) + extract(epoch from p_b) between -62135596800 and 253402300799
      then p_a + p_b
  end
$$;

comment on function authz._cel_after(timestamptz, interval) is
'The time that lies a duration after another, null outside the years 1 to 9999.';

create or replace function authz._cel_before(p_a timestamptz, p_b interval) returns timestamptz
language sql
immutable
parallel safe
as $$
  select authz._cel_after(p_a, -p_b)
$$;

comment on function authz._cel_before(timestamptz, interval) is
'The time that lies a duration before another, null outside the years 1 to 9999.';
