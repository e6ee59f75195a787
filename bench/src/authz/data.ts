// What is asked: a drive with users, nested groups, nested folders and documents, and questions about it.
import type { Pool } from "pg";

export const NAMESPACE = "drive";

/** The model, in OpenFGA's language. */
export const MODEL = `model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define owner: [user]
    define parent: [folder]
    define viewer: [user, group#member] or owner or viewer from parent
type document
  relations
    define blocked: [user]
    define can_view: viewer but not blocked
    define editor: [user, group#member] or owner
    define owner: [user]
    define parent: [folder]
    define viewer: [user, user:*, group#member] or editor or viewer from parent
`;

/**
 * About `size` tuples. Groups nest 7 deep, three in each; folders nest 7 deep, four in each; every fourth tuple or so is a
 * document's parent. Everything is drawn from a seed.
 */
export async function generate(pool: Pool, size: number): Promise<void> {
  const documents = Math.round(size / 4);
  const folders = Math.round(size / 30);
  const groups = Math.round(size / 300);
  const users = Math.round(size / 30);
  const some = (count: number): string => `1 + floor(random() * ${count})::int`;
  const tuple = (type: string, id: string, relation: string, subject: string, subjectId: string, of = "null"): string =>
    `'${type}', ${id}, '${relation}', '${subject}', ${subjectId}, ${of}`;
  const series = (count: number, row: string): string =>
    `select distinct on (2, 3, 4, 5) ${row} from generate_series(1, ${count}) n`;
  const shared = (type: string, count: number, of: number, relation: string): string[] => [
    series(count, tuple(type, `'${type[0]}' || ${some(of)}`, relation, "user", `'u' || ${some(users)}`)),
    series(
      count / 2,
      tuple(type, `'${type[0]}' || ${some(of)}`, relation, "group", `'g' || ${some(groups)}`, "'member'"),
    ),
  ];
  const statements = [
    series(groups * 20, tuple("group", `'g' || n % ${groups}`, "member", "user", `'u' || ${some(users)}`)),
    series(groups - 3, tuple("group", "'g' || (n + 3) / 3", "member", "group", "'g' || n + 3", "'member'")),
    series(folders - 4, tuple("folder", "'f' || n + 4", "parent", "folder", "'f' || (n + 4) / 4")),
    series(folders, tuple("folder", "'f' || n", "owner", "user", `'u' || ${some(users)}`)),
    ...shared("folder", folders / 2, folders, "viewer"),
    series(documents, tuple("document", "'d' || n", "parent", "folder", `'f' || ${some(folders)}`)),
    series(documents, tuple("document", "'d' || n", "owner", "user", `'u' || ${some(users)}`)),
    ...shared("document", documents / 3, documents, "editor"),
    ...shared("document", documents / 3, documents, "viewer"),
    series(documents / 75, tuple("document", `'d' || ${some(documents)}`, "viewer", "user", "'*'")),
    series(documents / 30, tuple("document", `'d' || ${some(documents)}`, "blocked", "user", `'u' || ${some(users)}`)),
  ];
  const client = await pool.connect();
  try {
    await client.query("select setseed(0.42)");
    await client.query("alter table authz.tuples disable trigger user");
    for (const statement of statements) {
      await client.query(
        `insert into authz.tuples (resource_type, resource_id, relation, subject_type, subject_id, subject_relation,
           namespace)
         select *, '${NAMESPACE}' from (${statement}) t on conflict do nothing`,
      );
    }
    await client.query("alter table authz.tuples enable trigger user");
    await client.query("vacuum (analyze) authz.tuples");
  } finally {
    client.release();
  }
}

/** Draws questions of each kind: granted directly, through one group, and not at all. */
export async function makeQuestions(pool: Pool): Promise<void> {
  await pool.query(`
    create schema bench;
    create table bench.direct as
    select t.subject_id as u, t.resource_id as d from authz.tuples t
    where t.resource_type = 'document' and t.relation = 'viewer' and t.subject_type = 'user' and t.subject_id <> '*'
    order by random() limit 2000;

    create table bench.grouped as
    select m.subject_id as u, t.resource_id as d
    from (
      select * from authz.tuples t
      where t.resource_type = 'document' and t.relation = 'viewer' and t.subject_type = 'group' order by random() limit 2000
    ) t
    cross join lateral (
      select * from authz.tuples m
      where m.resource_type = 'group' and m.resource_id = t.subject_id and m.subject_type = 'user' limit 1
    ) m;

    create table bench.denied as
    select * from (
      select u.subject_id as u, d.resource_id as d
      from (select distinct subject_id from authz.tuples where subject_type = 'user' and subject_id <> '*') u
      join (select resource_id, row_number() over (order by random()) n from authz.tuples
            where resource_type = 'document' and relation = 'parent' limit 4000) d
        on d.n = abs(hashtext(u.subject_id)) % 4000
      order by random() limit 4000
    ) q
    where not authz.check('user', q.u, 'viewer', 'document', q.d, '${NAMESPACE}')
    limit 2000;
    analyze`);
}
