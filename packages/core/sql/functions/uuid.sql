-- UUID version 7 (RFC 9562): identifiers that sort by the time they were made.
--
-- PostgreSQL 18 makes them natively. Before that, a random version 4 one gets the milliseconds in
-- its first 48 bits and the two version bits that tell 7 from 4.

create or replace function howdah.uuid_v7() returns uuid
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if current_setting('server_version_num')::int >= 180000 then
    return pg_catalog.uuidv7();
  end if;

  return encode(
    set_bit(
      set_bit(
        overlay(
          uuid_send(gen_random_uuid())
          placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
          from 1 for 6
        ),
        52, 1
      ),
      53, 1
    ),
    'hex'
  )::uuid;
end
$$;

comment on function howdah.uuid_v7() is
'Make a UUID version 7, which sorts by the millisecond it was made in (RFC 9562, section 5.7).

Returns      the identifier
Errors       none
Example      select howdah.uuid_v7();';

create or replace function howdah.uuid_v7_time(p_uuid uuid) returns timestamptz
language sql
immutable
security definer
set search_path = pg_catalog, pg_temp
as $$
  select to_timestamp(
    ('x' || lpad(left(replace(p_uuid::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000.0
  )
$$;

comment on function howdah.uuid_v7_time(uuid) is
'Read the time out of a UUID version 7.

p_uuid       an identifier made by uuid_v7
Returns      when it was made, to the millisecond; meaningless for other versions
Errors       none
Example      select howdah.uuid_v7_time(howdah.uuid_v7());';
