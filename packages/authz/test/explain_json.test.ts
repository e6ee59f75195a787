import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { activate } from "./program.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

interface Node {
  operator: string;
  value: string;
  object?: string;
  relation?: string;
  tuple?: string;
  condition?: object;
  via?: Node[];
  children?: Node[];
}
interface Explanation {
  allowed: boolean | null;
  surface: string;
  tree: Node;
  missing: string[][];
  truncated?: boolean;
}

const grant = (...tuples: string[]): Promise<unknown> =>
  db.query(
    `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, subject_relation)
     select 'acme', (r.tuple).resource_type, (r.tuple).resource_id, (r.tuple).relation, (r.tuple).subject_type,
       (r.tuple).subject_id, (r.tuple).subject_relation
     from authz._read_tuples('acme', $1) r`,
    [JSON.stringify(tuples)],
  );

function explain(
  who: string,
  permission: string,
  what: string,
  { context, tuples }: { context?: object; tuples?: unknown[] } = {},
): Promise<Explanation> {
  const [type, id, relation] = who.split(/[:#]/);
  const [resourceType, resourceId] = what.split(":");
  return value(db, "select authz.explain_json($1, $2, $3, $4, $5, 'acme', $6, $7, $8)", [
    type,
    id,
    permission,
    resourceType,
    resourceId,
    relation ?? null,
    context ? JSON.stringify(context) : null,
    tuples ? JSON.stringify(tuples) : null,
  ]);
}

/** A tree as lines, two spaces deeper for each level. */
const lines = ({ operator, value, object, relation, tuple, via, children }: Node, indent = ""): string[] => [
  [indent + operator, object && (relation ? `${object}#${relation}` : object), tuple, value].filter(Boolean).join(" "),
  ...(via ?? []).map((step) => `${indent}  via ${step.tuple}`),
  ...(children ?? []).flatMap((child) => lines(child, `${indent}  `)),
];

describe("a modelled type", () => {
  test("shows each rule with the tuples that it looked at", async () => {
    await activate(db);
    await grant("document:1#viewer@group:g#member", "group:g#member@group:h#member", "group:h#member@user:ann");
    const { allowed, surface, tree, missing } = await explain("user:ann", "viewer", "document:1");
    expect({ allowed, surface, missing }).toEqual({ allowed: true, surface: "modelled", missing: [] });
    expect(lines(tree)).toEqual([
      "direct document:1#viewer true",
      "  tuple document:1#viewer@group:g#member true",
      "    direct group:g#member true",
      "      tuple group:g#member@group:h#member true",
      "        direct group:h#member true",
      "          tuple group:h#member@user:ann true",
    ]);
    const id = await value<string>(db, "select id from authz.tuples where subject_type = 'user'");
    expect(tree.children?.[0]?.children?.[0]?.children?.[0]?.children?.[0]?.children?.[0]).toMatchObject({
      tuple_id: id,
    });
  });

  test("says for a denial which few tuples would grant", async () => {
    await activate(db);
    await grant("document:1#viewer@group:g#member", "group:g#member@group:h#member", "group:h#member@group:g#member");
    const { allowed, tree, missing } = await explain("user:ann", "viewer", "document:1");
    expect(allowed).toBe(false);
    expect(lines(tree)).toEqual([
      "direct document:1#viewer cycle",
      "  tuple document:1#viewer@group:g#member cycle",
      "    direct group:g#member cycle",
      "      tuple group:g#member@group:h#member cycle",
      "        direct group:h#member cycle",
      "          tuple group:h#member@group:g#member cycle",
      "            cycle group:g#member cycle",
    ]);
    expect(missing).toEqual([["document:1#viewer@user:ann"], ["group:g#member@user:ann"], ["group:h#member@user:ann"]]);
  });

  test("counts contextual tuples, which have no id", async () => {
    await activate(db);
    const { allowed, tree } = await explain("user:ann", "viewer", "document:1", {
      tuples: ["document:1#viewer@user:*"],
    });
    expect(allowed).toBe(true);
    expect(tree.children).toEqual([{ operator: "tuple", tuple: "document:1#viewer@user:*", value: "true" }]);
  });

  test("names the parameters that a condition lacks, and shows no value of any", async () => {
    await activate(db);
    const tuples = [{ user: "user:ann", relation: "viewer", object: "document:1", condition: { name: "recent" } }];
    const ask = async (context: object) => {
      const { allowed, tree } = await explain("user:ann", "viewer", "document:1", { tuples, context });
      expect(JSON.stringify(tree)).not.toContain("secret");
      return [allowed, tree.children?.[0]?.condition];
    };
    expect(await ask({ age: 9 })).toEqual([true, { name: "recent", value: "true" }]);
    expect(await ask({ age: 10 })).toEqual([false, { name: "recent", value: "false" }]);
    expect(await ask({ other: "secret" })).toEqual([null, { name: "recent", value: "unknown", missing: ["age"] }]);
    expect(await ask({ age: "secret" })).toEqual([null, { name: "recent", value: "unknown", invalid: ["age"] }]);
  });

  test("shows 2,500 nodes and says so; the answer is that of a check", async () => {
    await activate(db);
    await db.query(`insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id,
        subject_relation)
      select 'acme', 'document', '1', 'viewer', 'group', g, 'member' from generate_series(1, 2600) g`);
    const answer = (): Promise<Explanation> => explain("user:ann", "viewer", "document:1");
    expect(await answer()).toMatchObject({ allowed: false, truncated: true, tree: { value: "unknown" } });
    await grant("group:2600#member@user:ann");
    expect(await answer()).toMatchObject({ allowed: true, truncated: true });
    await grant("document:1#viewer@user:ann");
    expect(await answer()).toMatchObject({ allowed: true, truncated: true });
  });

  test("follows a thousand groups in groups", async () => {
    await activate(db);
    await db.query(`insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id,
        subject_relation)
      select 'acme', 'group', g, 'member', 'group', g + 1, 'member' from generate_series(1, 1000) g`);
    await grant("group:1001#member@user:ann");
    expect((await explain("user:ann", "member", "group:1")).allowed).toBe(true);
  });

  test("decides a node once, however many ways lead to it", async () => {
    await activate(db);
    await db.query(`insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id,
        subject_relation)
      select 'acme', 'group', concat(g, a), 'member', 'group', concat(g + 1, b), 'member'
      from generate_series(1, 30) g, unnest('{a,b}'::text[]) a, unnest('{a,b}'::text[]) b`);
    const { allowed, tree, truncated } = await explain("user:ann", "member", "group:1a");
    expect([allowed, truncated]).toEqual([false, undefined]);
    expect(JSON.stringify(tree)).toContain('"seen"');
  });

  test("refuses types and relations that the model does not define", async () => {
    await activate(db);
    await refuses(explain("user:ann", "viewer", "folder:1"), "type_unknown 22023");
    await refuses(explain("user:ann", "owner", "document:1"), "relation_unknown 22023");
    await refuses(explain("user:ann", "viewer", "document:1", { context: [] }), "condition_invalid 22023");
    await refuses(explain("user:", "viewer", "document:1"), "id_empty 22026");
  });
});

describe("_raise_unknown", () => {
  const raise = (context: object | null, tuple: object = { name: "recent" }) =>
    db.query(
      `select authz._raise_unknown('acme', 'user', 'ann', null, 'viewer', 'document', '1', $1,
         authz._contextual('acme', authz._active_program('acme'), $2))`,
      [context, JSON.stringify([{ user: "user:ann", relation: "viewer", object: "document:1", condition: tuple }])],
    );

  test("names the parameters that are missing, or not of their type, and shows no value", async () => {
    await activate(db);
    const missing = raise({ other: "secret" });
    await refuses(missing, "condition_context_missing 22023");
    await expect(missing).rejects.toMatchObject({
      message: "condition recent needs age",
      detail: expect.not.stringContaining("secret"),
    });
    const invalid = raise({ age: "secret" });
    await refuses(invalid, "condition_invalid 22023");
    await expect(invalid).rejects.toMatchObject({
      message: "condition recent cannot be decided: age must be of the type that the model declares",
      detail: expect.not.stringContaining("secret"),
    });
    await refuses(raise({ age: 1 }, { name: "recent", context: { age: "secret" } }), "condition_invalid 22023");
  });

  test("is for depth where no condition is to blame", async () => {
    await activate(db, { maxDepth: 1 });
    await grant("document:1#viewer@group:g#member", "group:g#member@group:h#member", "group:h#member@user:ann");
    expect(await explain("user:ann", "viewer", "document:1")).toMatchObject({ allowed: null });
    const call = db.query("select authz._raise_unknown('acme', 'user', 'ann', null, 'viewer', 'document', '1', null)");
    await refuses(call, "resolution_too_complex 54001");
  });
});

describe("a dynamic type", () => {
  test("shows the resource and all that it is in, with the tuples that grant", async () => {
    await db.query(`insert into authz.permission_hierarchy (namespace, resource_type, permission, implies)
      values ('acme', 'repo', 'admin', 'write'), ('global', 'repo', 'write', 'read')`);
    await grant(
      "repo:api#parent@folder:a",
      "folder:a#parent@folder:b",
      "folder:b#admin@team:eng",
      "team:eng#member@team:core#member",
      "team:core#member@user:ann",
      "repo:api#write@user:ann",
      "repo:api#read@user:bob",
    );
    const { allowed, surface, tree } = await explain("user:ann", "read", "repo:api");
    expect([allowed, surface]).toEqual([true, "dynamic"]);
    expect(lines(tree)).toEqual([
      "dynamic repo:api#read true",
      "  resource repo:api true",
      "    tuple repo:api#write@user:ann true",
      "  resource folder:a false",
      "    via repo:api#parent@folder:a",
      "  resource folder:b true",
      "    via repo:api#parent@folder:a",
      "    via folder:a#parent@folder:b",
      "    tuple folder:b#admin@team:eng true",
      "      via team:core#member@user:ann",
      "      via team:eng#member@team:core#member",
    ]);
  });

  test("gives a userset what its own relation gives, on itself and on all that is in it", async () => {
    await grant("repo:api#parent@group:g", "group:h#member@group:g");
    const { allowed, tree } = await explain("group:g#member", "member", "repo:api");
    expect(allowed).toBe(true);
    expect(lines(tree)).toEqual([
      "dynamic repo:api#member true",
      "  resource repo:api false",
      "  resource group:g true",
      "    via repo:api#parent@group:g",
      "    self group:g#member true",
    ]);
    expect(await explain("group:g#member", "member", "group:g")).toMatchObject({ allowed: true, missing: [] });
    expect(await explain("group:g#member", "lead", "group:g")).toMatchObject({ allowed: false });
    expect(await explain("group:g#lead", "member", "group:g")).toMatchObject({ allowed: false });
    expect(await explain("group:g#member", "member", "group:h")).toMatchObject({ allowed: true });
    await db.query(`insert into authz.permission_hierarchy (namespace, resource_type, permission, implies)
      values ('acme', 'group', 'member', 'see')`);
    expect(await explain("group:g#member", "see", "group:g")).toMatchObject({ allowed: true });
  });

  test("tells a subject from a userset that is written like it", async () => {
    await db.query(`insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
      values ('acme', 'repo', 'api', 'read', 'team', 'x'), ('acme', 'team', 'x', 'member', 'team', 'x#member')`);
    const asked = "select authz.explain_json('team', 'x#member', 'read', 'repo', 'api', 'acme')";
    expect(await value(db, asked)).toMatchObject({ allowed: true });
  });

  test("says for a denial which tuples would grant", async () => {
    await grant("repo:api#read@team:eng#lead", "repo:api#read@team:ops", "repo:api#read@user:bob");
    expect(await explain("user:ann", "read", "repo:api")).toMatchObject({
      allowed: false,
      missing: [["repo:api#read@user:ann"], ["team:eng#lead@user:ann"], ["team:ops#member@user:ann"]],
    });
  });

  test("tells the way through hundreds of groups in groups", async () => {
    await db.query(`insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
      select 'acme', 'team', g, 'member', 'team', g + 1 from generate_series(1, 300) g`);
    await grant("repo:api#read@team:1", "team:301#member@user:ann");
    const [granting] = (await explain("user:ann", "read", "repo:api")).tree.children?.[0]?.children ?? [];
    expect(granting?.via).toHaveLength(301);
    expect([granting?.via?.[0]?.tuple, granting?.via?.[300]?.tuple]).toEqual([
      "team:301#member@user:ann",
      "team:1#member@team:2",
    ]);
  });

  test("shows 2,500 nodes and says so: what grants before what does not, and the first way whole", async () => {
    await db.query(`insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
      select 'acme', 'repo', g::text, 'parent', 'repo', (g + 1)::text from generate_series(1, 3000) g
      union all
      select 'acme', 'team', g::text, 'member', 'team', (g + 1)::text from generate_series(1, 3000) g
      union all
      select 'acme', 'repo', g::text, 'read', 'user', 'ann' from generate_series(1, 100) g`);
    await grant("team:3001#member@user:bob", "repo:3001#read@team:1", "repo:3001#read@team:2");
    const count = ({ via = [], children = [] }: Node): number =>
      [...via, ...children].reduce((sum, node) => sum + count(node), 1);

    const ann = await explain("user:ann", "read", "repo:1");
    expect(ann).toMatchObject({ allowed: true, truncated: true });
    expect(count(ann.tree)).toBeGreaterThan(2400);
    expect(count(ann.tree)).toBeLessThan(2600);
    expect(ann.tree.children?.every((resource) => resource.value === "true")).toBe(true);

    const bob = await explain("user:bob", "read", "repo:1");
    expect(bob).toMatchObject({ allowed: true, truncated: true, tree: { value: "true" } });
    expect(bob.tree.children).toHaveLength(1);
    const [resource] = bob.tree.children ?? [];
    expect(resource).toMatchObject({ object: "repo:3001", value: "true" });
    expect([resource?.via?.length, resource?.children?.length]).toEqual([3000, 1]);
    expect(resource?.children?.[0]?.via).toHaveLength(3001);

    const eve = await explain("user:eve", "read", "repo:1");
    expect(eve).toMatchObject({ allowed: false, truncated: true, tree: { value: "false" } });
    expect(count(eve.tree)).toBeGreaterThan(2400);
    expect(count(eve.tree)).toBeLessThan(2600);
    expect(eve.missing[0]).toEqual(["repo:1#read@user:eve"]);
  });

  test("survives circles of groups and of resources, and ignores conditions and what has expired", async () => {
    await grant("team:a#member@team:b", "team:b#member@team:a", "team:a#member@user:ann");
    await grant("repo:api#parent@repo:lib", "repo:lib#parent@repo:api");
    await db.query(`insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id,
        expires_at, condition_name)
      values ('acme', 'repo', 'api', 'read', 'user', 'ann', now() - interval '1 day', null),
        ('acme', 'repo', 'lib', 'read', 'user', 'ann', null, 'recent')`);
    expect((await explain("user:ann", "read", "repo:api")).allowed).toBe(false);
    await grant("repo:lib#read@team:b");
    expect((await explain("user:ann", "read", "repo:api")).allowed).toBe(true);
    expect((await explain("team:b#member", "read", "repo:api")).allowed).toBe(true);
  });

  test("is what roles are, whatever the model", async () => {
    await activate(db);
    await grant("rbac_role:editor#member@user:ann");
    expect(await explain("user:ann", "member", "rbac_role:editor")).toMatchObject({
      allowed: true,
      surface: "dynamic",
    });
  });
});

test("no row of the store is written by explaining", async () => {
  await activate(db);
  await explain("user:ann", "viewer", "document:1", { tuples: ["document:1#viewer@user:ann"] });
  expect(await rows(db, "select * from authz.tuples")).toEqual([]);
});
