// A cycle whose parts are written by several sessions at once is closed by none of them, in whichever way each writes its part.
import { crash, race, type TestDatabase, testDatabase } from "@howdah/testing";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { refuses, rows, value, wipe } from "./sql.ts";
import { rowOf, store, tuple } from "./store.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

type Kind = "member" | "parent";
const codes = { member: "cycle_group", parent: "cycle_resource" };

/** The tuple that puts one node into another: as a member, or with the other one as its parent. */
const edge = (kind: Kind, outer: string, inner: string): string =>
  kind === "member" ? `team:${outer}#member@team:${inner}` : `folder:${inner}#parent@folder:${outer}`;
/** The arguments that name an edge. */
const named = (kind: Kind, outer: string, inner: string): string =>
  kind === "member"
    ? `'team', '${outer}', 'member', 'team', '${inner}'`
    : `'folder', '${inner}', 'parent', 'folder', '${outer}'`;
const expired = (text: string) => ({ ...rowOf(tuple(text), "acme"), expires_at: "2000-01-01T00:00:00Z" });

/** A way to make an edge live: what must be there before, and the statement. */
interface Way {
  before?(kind: Kind, outer: string, inner: string): Record<string, unknown>;
  sql(kind: Kind, outer: string, inner: string): string;
}
const ways: Record<string, Way> = {
  write: { sql: (...of) => `select authz.write(${named(...of)}, 'acme')` },
  write_tuple: {
    sql: (kind, ...of) =>
      `select authz.write_tuple(${named(kind, ...of)}, ${kind === "member" ? "'member'" : "null"}, 'acme', now() + interval '1 day')`,
  },
  write_tuples: {
    sql: (...of) => `select authz.write_tuples('["${edge(...of)}", "doc:1#read@user:ann"]', '[]', 'acme')`,
  },
  clear_expiration: {
    before: (...of) => expired(edge(...of)),
    sql: (...of) => `select authz.clear_expiration(${named(...of)}, 'acme')`,
  },
  extend_expiration: {
    before: (...of) => expired(edge(...of)),
    sql: (...of) => `select authz.extend_expiration(${named(...of)}, '1 day', 'acme')`,
  },
  transfer_tuple: {
    before: (kind, outer, inner) =>
      rowOf(tuple(kind === "member" ? edge(kind, outer, `not-${inner}`) : edge(kind, `not-${outer}`, inner)), "acme"),
    sql: (kind, outer, inner) =>
      kind === "member"
        ? `select authz.transfer_tuple('team', '${outer}', 'member', 'team', 'not-${inner}', 'team', '${inner}', 'acme')`
        : `select authz.transfer_tuple('folder', '${inner}', 'parent', 'folder', 'not-${outer}', 'folder', '${outer}', 'acme')`,
  },
};
const names = Object.keys(ways);
const pairs = names.flatMap((one) => names.map((two) => [one, two] as const));

/** Waits until a connection waits for another one. */
async function waits(client: pg.Client): Promise<void> {
  const { processID } = client as unknown as { processID: number };
  await expect.poll(() => value<boolean>(db, "select cardinality(pg_blocking_pids($1)) > 0", [processID])).toBe(true);
}
const cycles = (): Promise<unknown[]> =>
  rows(db, "select resource_id, details from authz.verify_integrity('acme') where resource_id ~ 'cycles'");

describe.each(["member", "parent"] as const)("%s:", (kind) => {
  /** Prepares an edge and returns the statement that makes it live. */
  async function prepare(way: string, outer: string, inner: string): Promise<string> {
    const { before, sql } = ways[way] as Way;
    if (before) await store(db, [before(kind, outer, inner)]);
    return sql(kind, outer, inner);
  }

  test.each(pairs)("of two halves, one by %s and one by %s, the second one waits and is refused", async (one, two) => {
    const [first, second] = [await prepare(one, "a", "b"), await prepare(two, "b", "a")];
    const [early, late] = (await db.clients(2)) as [pg.Client, pg.Client];
    await early.query("begin");
    await early.query(first);
    const refused = refuses(late.query(second), `${codes[kind]} PK001`);
    await waits(late);
    await early.query("commit");
    await refused;
    expect(await cycles()).toEqual([]);
    await Promise.all([early.end(), late.end()]);
  });

  test.each(names)("of three thirds by %s, the last one is refused", async (way) => {
    const thirds = [
      await prepare(way, "a", "b"),
      await prepare("write_tuples", "b", "c"),
      await prepare(way, "c", "a"),
    ];
    const clients = await db.clients(3);
    const [first, second, third] = clients as [pg.Client, pg.Client, pg.Client];
    await first.query("begin");
    await first.query(thirds[0] as string);
    const others = Promise.allSettled([second.query(thirds[1] as string), third.query(thirds[2] as string)]);
    await waits(second);
    await waits(third);
    await first.query("commit");
    const results = await others;
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(results.find(({ status }) => status === "rejected")).toMatchObject({ reason: { constraint: codes[kind] } });
    expect(await cycles()).toEqual([]);
    await Promise.all(clients.map((client) => client.end()));
  });

  test.each(names)("of two halves that touch no node of each other, by %s, the second one is refused", async (way) => {
    await store(
      db,
      [edge(kind, "b", "c"), edge(kind, "d", "a")].map((text) => rowOf(tuple(text), "acme")),
    );
    const [first, second] = [await prepare(way, "a", "b"), await prepare("write_tuples", "c", "d")];
    const [early, late] = (await db.clients(2)) as [pg.Client, pg.Client];
    await early.query("begin");
    await early.query(second);
    const refused = refuses(late.query(first), `${codes[kind]} PK001`);
    await waits(late);
    await early.query("commit");
    await refused;
    expect(await cycles()).toEqual([]);
    await Promise.all([early.end(), late.end()]);
  });

  test.each(names)("a half by %s that is taken back, or whose session dies, is no half", async (way) => {
    for (const end of ["rollback", "crash"]) {
      await wipe(db);
      const [first, second] = [await prepare(way, "a", "b"), await prepare("write_tuples", "b", "a")];
      const [early, late] = (await db.clients(2)) as [pg.Client, pg.Client];
      await early.query("begin");
      await early.query(first);
      const written = late.query(second);
      await waits(late);
      await (end === "crash" ? crash(early) : early.query("rollback"));
      await written;
      expect(await cycles()).toEqual([]);
      await Promise.all([early.end(), late.end()]);
    }
  });

  test("batches of many sessions that close circles in all directions leave none closed", async () => {
    const nodes = ["a", "b", "c", "d"];
    for (let round = 0; round < 3; round++) {
      await wipe(db);
      const all = nodes.flatMap((outer) =>
        nodes.filter((inner) => inner !== outer).map((inner) => edge(kind, outer, inner)),
      );
      const results = await race(db, 6, async (client, k) => {
        for (const [i, text] of [...all.slice(2 * k), ...all.slice(0, 2 * k)].entries()) {
          const batch = JSON.stringify(i % 2 ? [text] : [text, `doc:${k}#read@user:ann`]);
          await client
            .query("select authz.write_tuples($1, '[]', 'acme')", [batch])
            .catch((error: { constraint?: string }) => {
              if (error.constraint !== codes[kind]) throw error;
            });
        }
      });
      expect(results.filter(({ status }) => status === "rejected")).toEqual([]);
      expect(await cycles()).toEqual([]);
      // Every pair is ordered: as many edges as an order of four has.
      expect(await value(db, "select count(*)::int from authz.tuples where relation = $1", [kind])).toBe(6);
    }
  });
});

test("batches of both kinds of edges, with other tuples and deletes, wait for each other in no circle", async () => {
  const tuples = ["a", "b", "c", "d", "e", "f"].flatMap((node, i) => [
    `team:${node}#member@team:x${i}`,
    `folder:${node}#parent@folder:x${i}`,
    `doc:${node}#read@user:ann`,
    `team:${node}#member@user:ann`,
  ]);
  const results = await race(db, 6, async (client, k) => {
    for (let round = 0; round < 10; round++) {
      const turned = [...tuples.slice((k * 5 + round) % 24), ...tuples.slice(0, (k * 5 + round) % 24)];
      const [writes, deletes] =
        round % 2 ? [turned.slice(0, 16), turned.slice(16)] : [turned.slice(8).reverse(), turned.slice(0, 8)];
      await client.query("select authz.write_tuples($1, $2, 'acme')", [
        JSON.stringify(writes),
        JSON.stringify(deletes),
      ]);
    }
  });
  expect(results.filter(({ status }) => status === "rejected")).toEqual([]);
});

test("a role that a group holds while it becomes a member of the group is refused to one of both", async () => {
  await db.query("select authz.create_role('editor', p_namespace => 'acme')");
  const halves = [
    "select authz.assign_role('team', 'eng', 'editor', 'acme')",
    `select authz.write_tuples('["team:eng#member@rbac_role:editor"]', '[]', 'acme')`,
  ];
  for (const [first, second] of [halves, halves.toReversed()]) {
    await db.query("delete from authz.tuples");
    const [early, late] = (await db.clients(2)) as [pg.Client, pg.Client];
    await early.query("begin");
    await early.query(first as string);
    const refused = refuses(late.query(second as string), "cycle_group PK001");
    await waits(late);
    await early.query("commit");
    await refused;
    await Promise.all([early.end(), late.end()]);
  }
});
