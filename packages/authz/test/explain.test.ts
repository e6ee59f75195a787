import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { useModel } from "./program.ts";
import { refuses, rows, value, wipe } from "./sql.ts";
import { grant, insert } from "./tuples.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

const why = async (who: string, permission: string, what: string): Promise<string[]> => {
  const found = await rows<{ line: string }>(
    db,
    "select line from authz.explain_text($1, $2, $3, $4, $5, 'acme') line",
    [...who.split(":"), permission, ...what.split(":")],
  );
  return found.map(({ line }) => line);
};
const paths = (who: string, permission: string, what: string, maxDepth: number | null = null) =>
  rows(db, "select * from authz.explain($1, $2, $3, $4, $5, 'acme', $6)", [
    ...who.split(":"),
    permission,
    ...what.split(":"),
    maxDepth,
  ]);
const implies = (permission: string, implied: string) =>
  value(db, "select authz.add_hierarchy('repo', $1, $2, 'acme')", [permission, implied]);

describe("explain and explain_text of a dynamic type", () => {
  test("say when a tuple names the subject", async () => {
    await grant(db, "repo:api#read@user:ann");
    expect(await why("user:ann", "read", "repo:api")).toEqual(["DIRECT: user:ann has read on repo:api"]);
    expect(await paths("user:ann", "read", "repo:api")).toEqual([
      {
        path_type: "direct",
        via_relation: "read",
        via_subject_type: null,
        via_subject_id: null,
        via_membership: null,
        path_chain: null,
      },
    ]);
  });

  test("say through which groups", async () => {
    await grant(db, "repo:api#read@team:eng", "team:eng#member@user:ann", "repo:api#read@team:all#member");
    await grant(db, "team:all#member@team:eng", "repo:api#read@team:ops#lead", "team:ops#lead@user:ann");
    expect((await why("user:ann", "read", "repo:api")).sort()).toEqual([
      "GROUP: user:ann is lead of team:ops which has read on repo:api",
      "GROUP: user:ann is member of team:all (via team:eng -> team:all) which has read on repo:api",
      "GROUP: user:ann is member of team:eng which has read on repo:api",
    ]);
  });

  test("say by which permissions, in the shortest chain", async () => {
    await implies("admin", "write");
    await implies("write", "read");
    await implies("owner", "admin");
    await implies("owner", "write");
    await grant(db, "repo:api#owner@user:ann", "repo:api#admin@team:eng", "team:eng#member@user:ann");
    expect((await why("user:ann", "read", "repo:api")).sort()).toEqual([
      "HIERARCHY: user:ann has owner (owner -> write -> read) on repo:api",
      "HIERARCHY: user:ann is member of team:eng which has admin (admin -> write -> read) on repo:api",
    ]);
  });

  test("say over which containers, nearest first", async () => {
    await grant(
      db,
      "repo:api#parent@org:eng",
      "org:eng#parent@org:acme",
      "org:acme#read@user:ann",
      "org:eng#read@team:all",
      "team:all#member@user:ann",
    );
    expect(await why("user:ann", "read", "repo:api")).toEqual([
      "RESOURCE: user:ann has read on org:eng which contains repo:api -> org:eng",
      "RESOURCE: user:ann has read on org:acme which contains repo:api -> org:eng -> org:acme",
    ]);
    const [first, second] = await paths("user:ann", "read", "repo:api");
    expect(first).toMatchObject({ path_type: "resource", via_membership: "member", via_subject_id: "eng" });
    expect(second).toMatchObject({ via_membership: null, path_chain: ["repo:api", "org:eng", "org:acme"] });
    expect(await paths("user:ann", "read", "repo:api", 1)).toEqual([first]);
  });

  test("say the way through thousands of groups and containers", async () => {
    await db.query(`insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
      select 'acme', 'repo', g::text, 'parent', 'repo', (g + 1)::text from generate_series(1, 2000) g
      union all
      select 'acme', 'team', g::text, 'member', 'team', (g + 1)::text from generate_series(1, 2000) g`);
    await insert(db, "team:2001#member@user:ann", "repo:1#read@team:1", "repo:2001#write@user:ann");
    const [group, none] = (await paths("user:ann", "read", "repo:1")) as { path_chain: string[] }[];
    expect(none).toBeUndefined();
    expect(group).toMatchObject({ path_type: "group", via_subject_id: "1" });
    expect(group?.path_chain).toEqual(Array.from({ length: 2001 }, (_, i) => `team:${2001 - i}`));
    expect(await paths("user:ann", "read", "repo:1", 2000)).toEqual([]);
    expect(await paths("user:ann", "read", "repo:1", 2001)).toHaveLength(1);

    const [resource] = (await paths("user:ann", "write", "repo:1")) as { path_chain: string[] }[];
    expect(resource).toMatchObject({ path_type: "resource", via_subject_id: "2001" });
    expect(resource?.path_chain).toHaveLength(2001);
    expect(await why("user:ann", "write", "repo:1")).toEqual([
      expect.stringContaining("repo:1 -> repo:2 -> repo:3 ->"),
    ]);
  });

  test("say that there is no way", async () => {
    expect(await why("user:ann", "read", "repo:api")).toEqual(["NO ACCESS: user:ann does not have read on repo:api"]);
    expect(await paths("user:ann", "read", "repo:api")).toEqual([]);
  });

  test("end on cycles, of rules too", async () => {
    await insert(db, "team:a#member@team:b", "team:b#member@team:a", "team:a#member@user:ann", "repo:api#x@team:b");
    await db.query(
      `insert into authz.permission_hierarchy (namespace, resource_type, permission, implies)
       values ('acme', 'repo', 'x', 'y'), ('acme', 'repo', 'y', 'x'), ('acme', 'repo', 'y', 'read')`,
    );
    expect(await why("user:ann", "read", "repo:api")).toEqual([
      "HIERARCHY: user:ann is member of team:b which has x (x -> y -> read) on repo:api",
    ]);
  });

  test("refuse a depth that is not positive", async () => {
    await refuses(paths("user:ann", "read", "repo:api", 0), "not_positive 22023");
  });
});

describe("explain and explain_text of a model's type", () => {
  beforeEach(async () => {
    await useModel(
      db,
      `type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define viewer: [user, group#member]
type document
  relations
    define parent: [folder]
    define blocked: [user]
    define owner: [user]
    define editor: [user with recent] or owner
    define viewer: ([user, group#member] or editor or viewer from parent) but not blocked
condition recent(age: int) {
  age < 10
}`,
    );
  });

  test("say directly, through usersets, over parents and on conditions", async () => {
    await grant(
      db,
      "document:1#viewer@user:ann",
      "document:1#owner@user:ann",
      "document:1#viewer@group:all#member",
      "group:all#member@group:eng#member",
      "group:eng#member@user:ann",
      "document:1#parent@folder:f",
      "folder:f#viewer@user:ann",
    );
    await value(
      db,
      `select authz.write_tuple('document', '1', 'editor', 'user', 'ann', null, 'acme', null, 'recent', '{"age": 1}')`,
    );
    expect((await why("user:ann", "viewer", "document:1")).sort()).toEqual([
      "DIRECT: user:ann has editor on document:1 on a condition",
      "DIRECT: user:ann has owner on document:1",
      "DIRECT: user:ann has viewer on document:1",
      "RESOURCE: user:ann has viewer on folder:f which contains document:1#viewer -> folder:f#viewer",
      "USERSET: user:ann is member of group:all (document:1#viewer -> group:all#member -> group:eng#member)",
    ]);
    const found = await rows<{ path_type: string }>(
      db,
      "select distinct path_type from authz.explain('user', 'ann', 'viewer', 'document', '1', 'acme') order by 1",
    );
    expect(found.map(({ path_type }) => path_type)).toEqual(["condition", "direct", "ttu", "userset"]);
    expect(
      (await paths("user:ann", "viewer", "document:1", 1)).filter(
        (path) => (path as { path_type: string }).path_type === "userset",
      ),
    ).toEqual([]);
  });

  test("say the way through two thousand groups, and that there is a longer one", async () => {
    await db.query(`insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id,
        subject_relation)
      select 'acme', 'group', g::text, 'member', 'group', (g + 1)::text, 'member' from generate_series(1, 6000) g`);
    await insert(db, "document:1#viewer@group:4001#member", "group:6001#member@user:ann");
    const [path] = (await paths("user:ann", "viewer", "document:1")) as { path_chain: string[] }[];
    expect(path).toMatchObject({ path_type: "userset", via_subject_id: "4001" });
    expect(path?.path_chain).toHaveLength(2002);

    await insert(db, "document:2#viewer@group:1#member", "document:2#blocked@user:bob", "group:6001#member@user:bob");
    expect(await paths("user:ann", "viewer", "document:2")).toMatchObject([{ path_type: "truncated" }]);
    expect(await why("user:ann", "viewer", "document:2")).toEqual([
      "TRUNCATED: user:ann has viewer on document:2 by a way that is too long to show",
    ]);
    expect((await why("user:bob", "viewer", "document:2"))[0]).toBe(
      "NO ACCESS: user:bob does not have viewer on document:2",
    );
  });

  test("say what takes access away, and that there is none", async () => {
    await grant(db, "document:1#owner@user:ann", "document:1#blocked@user:ann", "document:1#blocked@user:bob");
    expect(await why("user:ann", "viewer", "document:1")).toEqual([
      "NO ACCESS: user:ann does not have viewer on document:1",
      "EXCLUDED: user:ann has blocked (document:1#viewer -> document:1#blocked)",
    ]);
    expect(await why("user:bob", "viewer", "document:1")).toEqual([
      "NO ACCESS: user:bob does not have viewer on document:1",
    ]);
    expect(await why("user:ann", "owner", "document:1")).toEqual(["DIRECT: user:ann has owner on document:1"]);
  });
});
