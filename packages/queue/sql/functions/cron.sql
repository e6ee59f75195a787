-- Cron: when does an expression match next?
--
-- The answer is found from large to small, never minute by minute: the next day by stepping over
-- months, then the first time of that day. Each field becomes a sorted array, so "the next value"
-- is a binary search (width_bucket counts the values up to a given one).
--
-- On most days a zone keeps one offset from UTC, and local time minus offset is the instant. On a
-- day when the clocks turn there are two offsets and the instant between them. A schedule with a
-- fixed hour and minute means "once a day": a local time that is skipped runs at the turn, one that
-- comes twice runs the first time. Any other means "at each such time": what is skipped does not
-- run, what comes twice runs twice. A day that a zone skipped as a whole (Pacific/Apia had no 30
-- December 2011) has no run.
--
-- Instants are timestamps in UTC inside these functions, so that all arithmetic is immutable and
-- free of the session's zone.

create or replace function queue._cron_next_run(
  p_cron text,
  p_timezone text,
  p_base timestamptz
) returns timestamptz
language plpgsql
stable
as $$
declare
  v_fields text[] := queue._cron_fields(p_cron);
  v_minutes int[] := queue._cron_parse_field(v_fields[1], 0, 59);
  v_hours int[] := queue._cron_parse_field(v_fields[2], 0, 23);
  v_days int[] := case when v_fields[3] <> '*' then
    queue._cron_parse_field(v_fields[3], 1, 31)
  end;
  v_months int[] := queue._cron_parse_field(v_fields[4], 1, 12);
  v_weekdays int[] := case when v_fields[5] <> '*' then
    queue._cron_parse_field(v_fields[5], 0, 7)
  end;
  v_is_fixed boolean := v_fields[1] !~ '[*/-]' and v_fields[2] !~ '[*/-]';
  v_base timestamp := p_base at time zone 'UTC';
  v_day date;
  v_last date;
  v_from timestamp;
  v_to timestamp;
  v_before interval;
  v_after interval;
  v_turn timestamp;
  v_done timestamp;
  v_run timestamp;
  v_tick constant interval := '1 microsecond';
begin
  perform queue._check_timezone(p_timezone);
  if p_base is null or p_base not between '0001-01-01 BC' and '200000-01-01' then
    return null;
  end if;

  -- Where the clocks are about to go back over midnight, yesterday comes again.
  v_day := (v_base + least(
    queue._cron_offset(p_timezone, v_base),
    queue._cron_offset(p_timezone, v_base + interval '1 day')
  ))::date - 1;
  v_last := v_day + interval '8 years 1 day';

  loop
    v_day := queue._cron_next_day(v_day + 1, v_last, v_days, v_months, v_weekdays);
    exit when v_day is null;

    v_from := v_day::timestamp at time zone p_timezone at time zone 'UTC' - interval '3 hours';
    v_to := (v_day + 1)::timestamp at time zone p_timezone at time zone 'UTC' + interval '3 hours';
    v_before := queue._cron_offset(p_timezone, v_from);
    v_after := queue._cron_offset(p_timezone, v_to);
    v_run := queue._cron_next_time(v_day, v_hours, v_minutes, v_base + v_before) - v_before;

    if v_before <> v_after then
      v_turn := queue._cron_turn(p_timezone, v_from, v_to);
      if v_run is null and not v_is_fixed and v_turn + v_before > v_day + 1
        and queue._cron_next_day(v_day + 1, v_day + 1, v_days, v_months, v_weekdays) is not null
      then
        -- Tomorrow has begun before the clocks go back to today.
        v_run := queue._cron_next_time(v_day + 1, v_hours, v_minutes, v_base + v_before) - v_before;
      end if;
      if v_run is null or v_run >= v_turn then
        v_done := greatest(v_base, v_turn - v_tick) + v_after;
        if v_is_fixed then
          continue when v_turn + v_before <= v_day and v_turn + v_after >= v_day + 1;
          v_done := case when v_base >= v_turn then v_done end;
          v_done := greatest(v_turn + v_before - v_tick, v_done);
        end if;
        v_run := queue._cron_next_time(v_day, v_hours, v_minutes, v_done) - v_after;
        v_run := case when v_run < v_turn then v_turn else v_run end;
      end if;
    end if;

    if v_run is not null then
      return v_run at time zone 'UTC';
    end if;
  end loop;

  return null;
end
$$;

comment on function queue._cron_next_run(text, text, timestamptz) is
'The first run of a cron expression strictly after p_base, null if there is none within 8 years or
p_base is no time to reckon with.';

create or replace function queue._cron_fields(p_cron text) returns text[]
language plpgsql
immutable
as $$
declare
  v_cron text collate "C" := btrim(p_cron, e' \t\r\n');
  v_fields text[];
begin
  if v_cron is null or v_cron = '' then
    perform howdah.fail('queue', 'cron_empty', 'cron expression is empty', '22026',
      '{"field": "cron_expression"}', queue._cron_form());
  end if;
  if length(v_cron) > 256 then
    perform howdah.fail('queue', 'cron_too_long',
      format('cron expression has %s characters, at most 256 are allowed', length(v_cron)), '22001',
      jsonb_build_object('field', 'cron_expression', 'limit', 256, 'actual', length(v_cron)));
  end if;

  if left(v_cron, 1) = '@' then
    v_cron := case lower(v_cron)
      when '@hourly' then '0 * * * *'
      when '@daily' then '0 0 * * *'
      when '@midnight' then '0 0 * * *'
      when '@weekly' then '0 0 * * 0'
      when '@monthly' then '0 0 1 * *'
      when '@yearly' then '0 0 1 1 *'
      when '@annually' then '0 0 1 1 *'
    end;
    if v_cron is null then
      perform howdah.fail('queue', 'cron_invalid',
        format('cron expression %L is not a known word', p_cron), '22023',
        jsonb_build_object('field', 'cron_expression', 'value', p_cron),
        'Known are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually.');
    end if;
  end if;

  v_fields := regexp_split_to_array(v_cron, '[[:space:]]+');
  if cardinality(v_fields) <> 5 then
    perform howdah.fail('queue', 'cron_fields',
      format('cron expression %L has %s fields, 5 are needed', p_cron, cardinality(v_fields)),
      '22023', jsonb_build_object('field', 'cron_expression', 'value', p_cron, 'limit', 5,
        'actual', cardinality(v_fields)),
      queue._cron_form());
  end if;
  return v_fields;
end
$$;

comment on function queue._cron_fields(text) is
'Split a cron expression into its five fields, words such as @daily included.';

create or replace function queue._cron_parse_field(p_field text, p_min int, p_max int) returns int[]
language plpgsql
immutable
as $$
declare
  v_field text collate "C" := upper(p_field);
  v_is_week boolean := p_min = 0 and p_max in (6, 7);
  v_top int := case when v_is_week then 6 else p_max end;
  v_names text[] := case
    when v_is_week then '{SUN,MON,TUE,WED,THU,FRI,SAT}'::text[]
    when p_min = 1 and p_max = 12 then '{JAN,FEB,MAR,APR,MAY,JUN,JUL,AUG,SEP,OCT,NOV,DEC}'::text[]
  end;
  v_item text;
  v_parts text[];
  v_low int;
  v_high int;
  v_step int;
  v_values int[] := '{}';
begin
  if v_field = '*' then
    return array(select generate_series(p_min, v_top));
  end if;
  if v_field = '' then
    perform queue._cron_refuse(p_field, p_min, p_max, 'is empty');
  end if;

  foreach v_item in array string_to_array(v_field, ',') loop
    v_parts := regexp_match(v_item,
      '^([*]|(?:([0-9]{1,4})|([A-Z]{3}))(?:-(?:([0-9]{1,4})|([A-Z]{3})))?)(?:/([0-9]{1,4}))?$');
    if v_parts is null then
      perform queue._cron_refuse(p_field, p_min, p_max, format('contains %L', v_item));
    end if;

    v_low := case when v_parts[1] = '*' then p_min
      else coalesce(v_parts[2]::int, p_min - 1 + array_position(v_names, v_parts[3])) end;
    v_high := coalesce(v_parts[4]::int, p_min - 1 + array_position(v_names, v_parts[5]));
    if v_parts[5] = 'SUN' and v_low > 0 then
      v_high := 7;
    end if;
    if v_low is null or (v_parts[5] is not null and v_high is null) then
      perform queue._cron_refuse(p_field, p_min, p_max, format('contains %L', v_item));
    end if;
    v_high := coalesce(v_high, case
      when v_parts[1] = '*' or v_parts[6] is not null then v_top
      else v_low
    end);
    v_step := coalesce(v_parts[6]::int, 1);

    if v_step = 0 then
      perform howdah.fail('queue', 'cron_step_zero',
        format('%s %L of the cron expression has a step of 0',
          queue._cron_name(p_min, p_max), p_field), '22023',
        jsonb_build_object('field', queue._cron_name(p_min, p_max), 'value', p_field),
        'A step such as */15 is at least 1.');
    elsif least(v_low, v_high) < p_min or greatest(v_low, v_high) > p_max then
      perform queue._cron_refuse(p_field, p_min, p_max,
        format('contains %L, outside %s to %s', v_item, p_min, p_max));
    elsif v_low > v_high then
      perform queue._cron_refuse(p_field, p_min, p_max,
        format('contains %L, which runs backwards', v_item));
    elsif v_step > v_top - p_min + 1 then
      perform queue._cron_refuse(p_field, p_min, p_max,
        format('contains %L, a step above %s', v_item, v_top - p_min + 1));
    end if;

    v_values := v_values || array(select generate_series(v_low, v_high, v_step));
  end loop;

  if cardinality(v_values) = 1 and not v_is_week then
    return v_values;
  end if;
  return array(
    select distinct case when v_is_week then v % 7 else v end as v
    from unnest(v_values) as v
    order by v
  );
end
$$;

comment on function queue._cron_parse_field(text, int, int) is
'The values that one field of a cron expression stands for, sorted; days of the week from 0 (Sunday,
also written 7) to 6.';

create or replace function queue._cron_name(p_min int, p_max int) returns text
language sql
immutable
as $$
  select case
    when p_min = 1 then case p_max when 12 then 'month' else 'day of month' end
    else case p_max when 59 then 'minute' when 23 then 'hour' else 'day of week' end
  end
$$;

comment on function queue._cron_name(int, int) is
'The field of a cron expression that has these bounds.';

create or replace function queue._cron_form() returns text
language sql
immutable
as $$
  select 'The form is "minute hour day-of-month month day-of-week", such as "0 9 * * MON-FRI", '
    || 'or a word such as @daily.'
$$;

comment on function queue._cron_form() is
'The hint that shows the accepted form of a cron expression.';

create or replace function queue._cron_refuse(p_field text, p_min int, p_max int, p_problem text)
returns void
language plpgsql
immutable
as $$
declare
  v_name text := queue._cron_name(p_min, p_max);
begin
  perform howdah.fail('queue', 'cron_invalid',
    format('%s %L of the cron expression %s', v_name, p_field, p_problem), '22023',
    jsonb_build_object('field', v_name, 'value', p_field),
    format('A %s is *, a number from %s to %s%s, a range, either of these with a step (*/2), '
      || 'or several joined by commas.', v_name, p_min, p_max, case v_name
        when 'month' then ' or JAN to DEC'
        when 'day of week' then ' or SUN to SAT'
        else ''
      end));
end
$$;

comment on function queue._cron_refuse(text, int, int, text) is 'Raise cron_invalid for one field.';

create or replace function queue._cron_next_day(
  p_from date,
  p_last date,
  p_days int[],
  p_months int[],
  p_weekdays int[]
) returns date
language plpgsql
immutable
as $$
declare
  v_from date := p_from;
  v_year int;
  v_month int;
  v_day int;
  v_weekday int;
  v_next int;
  v_found date;
begin
  while v_from <= p_last loop
    v_year := extract(year from v_from);
    v_month := extract(month from v_from);
    v_next := p_months[width_bucket(v_month - 1, p_months) + 1];

    if v_next = v_month then
      v_day := extract(day from v_from);
      v_weekday := extract(dow from v_from);
      v_found := case
        when p_days is null and p_weekdays is null then v_from
        else least(
          v_from - v_day + p_days[width_bucket(v_day - 1, p_days) + 1],
          v_from - v_weekday
            + coalesce(p_weekdays[width_bucket(v_weekday - 1, p_weekdays) + 1], p_weekdays[1] + 7)
        )
      end;
      v_from := make_date(v_year + v_month / 12, v_month % 12 + 1, 1);
      if v_found < v_from then
        return case when v_found <= p_last then v_found end;
      end if;
    else
      v_year := v_year + case when v_next is null then 1 else 0 end;
      v_from := make_date(v_year, coalesce(v_next, p_months[1]), 1);
    end if;
  end loop;

  return null;
end
$$;

comment on function queue._cron_next_day(date, date, int[], int[], int[]) is
'The first matching day from p_from to p_last. Days of month and of week are null where the field is
*; if both are given,
either matches.';

create or replace function queue._cron_next_time(
  p_day date,
  p_hours int[],
  p_minutes int[],
  p_after timestamp
) returns timestamp
language plpgsql
immutable
as $$
declare
  v_hour int := extract(hour from p_after);
  v_minute int := extract(minute from p_after);
begin
  if p_after < p_day then
    return p_day + make_time(p_hours[1], p_minutes[1], 0);
  elsif p_after >= p_day + 1 then
    return null;
  elsif v_hour = p_hours[width_bucket(v_hour - 1, p_hours) + 1]
    and v_minute < p_minutes[cardinality(p_minutes)]
  then
    return p_day + make_time(v_hour, p_minutes[width_bucket(v_minute, p_minutes) + 1], 0);
  end if;
  return p_day + make_time(p_hours[width_bucket(v_hour, p_hours) + 1], p_minutes[1], 0);
end
$$;

comment on function queue._cron_next_time(date, int[], int[], timestamp) is
'The first matching local time of one day strictly after p_after, null if there is none.';

create or replace function queue._cron_offset(p_timezone text, p_at timestamp) returns interval
language sql
immutable
as $$
  select (p_at at time zone 'UTC' at time zone p_timezone) - p_at
$$;

comment on function queue._cron_offset(text, timestamp) is
'What a zone''s clocks are ahead of UTC at an instant, given in UTC.';

create or replace function queue._cron_turn(p_timezone text, p_from timestamp, p_to timestamp)
returns timestamp
language plpgsql
immutable
as $$
declare
  v_before interval := queue._cron_offset(p_timezone, p_from);
  v_low int := 0;
  v_high int := extract(epoch from p_to - p_from);
  v_middle int;
begin
  while v_high - v_low > 1 loop
    v_middle := (v_low + v_high) / 2;
    if queue._cron_offset(p_timezone, p_from + make_interval(secs => v_middle)) = v_before then
      v_low := v_middle;
    else
      v_high := v_middle;
    end if;
  end loop;
  return p_from + make_interval(secs => v_high);
end
$$;

comment on function queue._cron_turn(text, timestamp, timestamp) is
'The second between two instants at which a zone''s clocks turn.';

create or replace function queue._check_timezone(p_timezone text) returns void
language plpgsql
immutable
as $$
declare
  v_timezone text collate "C" := p_timezone;
begin
  if v_timezone in ('UTC', 'GMT') then
    return;
  end if;

  -- "at time zone" also takes offsets, POSIX rules and abbreviations. None of them has a slash and
  -- no digit; the names of one word that are no abbreviations are a closed list.
  if v_timezone ~* '^[a-z]+(/[a-z]+([_-][a-z]+)*)+$'
    or v_timezone ~* '^(Etc/)?(UTC|GMT[+-]?0?)$|^Etc/GMT([+]([0-9]|1[0-2])|-([0-9]|1[0-4]))$'
    or v_timezone ~* ('^((EST5E|CST6C|MST7M|PST8P)DT|Cuba|Egypt|Eire|GB|GB-Eire|Greenwich|Hongkong|'
      || 'Iceland|Iran|Israel|Jamaica|Japan|Kwajalein|Libya|Navajo|NZ|NZ-CHAT|Poland|Portugal|PRC|'
      || 'ROC|ROK|Singapore|Turkey|UCT|Universal|W-SU|Zulu)$')
  then
    begin
      perform timestamp 'epoch' at time zone v_timezone;
      return;
    exception when invalid_parameter_value then
      null;
    end;
  end if;

  perform howdah.fail('queue', 'timezone_unknown',
    format('time zone %L is not known', left(p_timezone, 256)), '22023',
    jsonb_build_object('field', 'timezone', 'value', left(p_timezone, 256)),
    'Give UTC or a name of the IANA database such as Europe/Berlin, no offset or abbreviation.');
end
$$;

comment on function queue._check_timezone(text) is
'Refuse what is not the IANA name of a time zone.';

create or replace function queue.preview_cron(
  p_expression text,
  p_timezone text default 'UTC',
  p_from timestamptz default null,
  p_count int default 5
) returns table (run_at timestamptz)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform queue._check_limit(p_count);

  run_at := coalesce(p_from, howdah.now());
  for i in 1..p_count loop
    run_at := queue._cron_next_run(p_expression, p_timezone, run_at);
    exit when run_at is null;
    return next;
  end loop;
end
$$;

comment on function queue.preview_cron(text, text, timestamptz, int) is
'Show when a cron expression would run, without making a schedule.

p_expression  five fields (minute, hour, day of month, month, day of week), or @hourly, @daily,
              @midnight, @weekly, @monthly, @yearly, @annually
p_timezone    IANA name of the zone whose clocks count
p_from        the runs strictly after this time; null for now
p_count       how many runs, 1 to 1,000
Returns       run_at, in order; fewer rows if the expression matches less often within 8 years, none
              if never
Errors        queue.cron_empty (22026), cron_too_long (22001), cron_fields, cron_invalid,
              cron_step_zero, timezone_unknown, not_positive, limit_too_large (22023), limit_null
              (22004)
Example       select * from queue.preview_cron(''0 9 * * MON-FRI'', ''Europe/Berlin'');';
