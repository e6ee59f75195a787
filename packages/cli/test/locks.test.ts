import { expect, test } from "vitest";
import { lockNotes } from "../src/locks.ts";
import { splitStatements } from "../src/statements.ts";

const judge = (sql: string): string[] => {
  const note = lockNotes();
  return splitStatements(sql).map((statement) => {
    const { lock, on = "-", rewrites } = note(statement.bare);
    return `${lock} | ${on} | ${rewrites}`;
  });
};

test.each([
  ["create table a.t (id int)", "none | a.t | no"],
  ["create table a.p partition of a.t for values in (1)", "access exclusive | a.t | no"],
  ["create table a.t (id int references a.u)", "share row exclusive | a.t | no"],
  ["create index i on a.t (id)", "share | a.t | no"],
  ["create unique index if not exists i on only a.t (id)", "share | a.t | no"],
  ["create index concurrently if not exists i on a.t (id)", "share update exclusive | a.t | no"],
  ["alter table a.t add column x int", "access exclusive | a.t | no"],
  ["alter table a.t add column x int default 7", "access exclusive | a.t | no"],
  ["alter table a.t add column x uuid default gen_random_uuid()", "access exclusive | a.t | maybe"],
  ["alter table a.t add column x bigint generated always as identity", "access exclusive | a.t | yes"],
  ["alter table a.t add column x int generated always as (id * 2) stored", "access exclusive | a.t | yes"],
  ["alter table only a.t alter column x type bigint", "access exclusive | a.t | maybe"],
  ["alter table a.t alter x set not null", "access exclusive | a.t | no"],
  ["alter table a.t add constraint f foreign key (x) references a.u (id)", "share row exclusive | a.t | no"],
  ["alter table a.t add constraint c check (x > 0) not valid", "access exclusive | a.t | no"],
  ["alter table a.t validate constraint c", "share update exclusive | a.t | no"],
  ["alter table a.t set (fillfactor = 70)", "share update exclusive | a.t | no"],
  ["alter table a.t set (fillfactor = 70), drop column x", "access exclusive | a.t | no"],
  ["alter table if exists a.t attach partition a.p for values in (1)", "share update exclusive | a.t | no"],
  ["alter table a.t enable row level security", "access exclusive | a.t | no"],
  ["create policy p on a.t using (true)", "access exclusive | a.t | no"],
  ["create trigger g before insert on a.t for each row execute function a.f()", "share row exclusive | a.t | no"],
  ["drop index concurrently a.i", "share update exclusive | - | no"],
  ["truncate a.t", "access exclusive | a.t | no"],
  ["update a.t set x = 1", "row exclusive | a.t | no"],
  ["comment on column a.t.x is 'x'", "share update exclusive | a.t | no"],
  ["comment on function a.f() is 'f'", "none | - | no"],
  ["create or replace function a.f() returns int language sql as $$ select 1; select 2 $$", "none | - | no"],
  ["do $$ begin perform 1; end $$", "unknown | - | no"],
  ["grant select on a.t to b", "none | - | no"],
  ["listen x", "unknown | - | maybe"],
])("%s: %s", (sql, expected) => {
  expect(judge(sql)).toEqual([expected]);
});

test("a table that an earlier statement creates is nobody's trouble", () => {
  expect(judge("create table a.t (id int); alter table a.t add primary key (id); create index i on a.u (id)")).toEqual([
    "none | a.t | no",
    "none | a.t | no",
    "share | a.u | no",
  ]);
});

test("statements are split where PostgreSQL would, and keep their comments", () => {
  const sql = `-- one; not two
select ';', "a;b", $x$ ; $x$;
/* ; */ create function f() returns int begin atomic select 1; select 2; end;
`;
  expect(splitStatements(sql).map(({ text }) => text)).toEqual([
    `-- one; not two\nselect ';', "a;b", $x$ ; $x$`,
    "/* ; */ create function f() returns int begin atomic select 1; select 2; end",
  ]);
});
