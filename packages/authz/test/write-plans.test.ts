// How writes, deletes and lists find their rows: by an index, however many rows there are.
import { type TestDatabase, testDatabase } from "@howdah/testing";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { pagesOf, plansOf } from "./plans.ts";

let db: TestDatabase;
let client: pg.Client;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
afterAll(() => db.close());

/** A table of 100,000 tuples, in 20 tenants, 1 in 50 expired, with groups of 500 and folders in folders. */
const fill = `
  insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, expires_at)
  select 't' || i % 20, 'doc', 'd' || i / 10, 'read', 'user', 'u' || i % 1000,
    case when i % 50 = 0 then now() - interval '1 day' when i % 50 = 1 then now() + interval '1 day' end
  from generate_series(1, 80000) i;
  insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
  select 't1', 'team', 'g' || i / 500, 'member', 'user', 'u' || i from generate_series(1, 10000) i;
  insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
  select 't1', 'team', 'g' || i, 'member', 'team', 'g' || i / 2 from generate_series(1, 5000) i where i > i / 2;
  insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id)
  select 't1', 'folder', 'f' || i, 'parent', 'folder', 'f' || i / 2 from generate_series(1, 5000) i where i > i / 2;
  analyze`;

const calls: [string, number][] = [
  ["write('doc', 'new', 'read', 'user', 'u1', 't1')", 60],
  ["write('doc', 'd1', 'read', 'user', 'u11', 't11')", 60],
  ["write_tuple('team', 'g4000', 'member', 'team', 'new', 'member', 't1')", 400],
  ["write_tuple('team', 'g1', 'member', 'team', 'new', null, 't1')", 40_000],
  ["write('folder', 'new', 'parent', 'folder', 'f4999', 't1')", 150],
  ["write('folder', 'f0', 'parent', 'folder', 'top', 't1')", 60],
  ["write_tuples_bulk('doc', 'bulk', 'read', 'user', '{a,b,c}', 't1')", 150],
  ["grant_to_resources_bulk('doc', '{a,b,c}', 'read', 'user', 'u1', null, 't1')", 150],
  ["set_expiration('doc', 'd1', 'read', 'user', 'u12', 'infinity', 't12')", 80],
  ["set_expiration('doc', 'd5', 'read', 'user', 'u51', '2999-01-01', 't11')", 80],
  ["transfer_tuple('doc', 'd1', 'read', 'user', 'u13', 'user', 'x', 't13')", 120],
  ["delete('doc', 'd1', 'read', 'user', 'u14', 't14')", 60],
  ["revoke_resource_grants('doc', 'd2', 't5')", 60],
  ["revoke_subject_grants('user', 'u15', 't15')", 2000],
  ["cleanup_expired('t10', 10)", 300],
  ["list_expiring('1 hour', 't1')", 40],
  ["list_subject_grants('user', 'u16', 't16')", 300],
  ["list_external_resources('user', 'u17', 'doc', 'read', 't1')", 500],
  ['list_audit_events(\'t1\', \'{"subject_type": "user", "subject_id": "u5"}\', 10)', 200],
  ['list_audit_events(\'t1\', \'{"resource_type": "doc", "resource_id": "d5"}\', 10)', 200],
  ["list_audit_events('t1', '{}', 10)", 200],
];

describe.each(["with 100,000 tuples", "with as many in a table that was empty when its statistics were taken"])(
  "%s",
  (state) => {
    beforeAll(async () => {
      if (state.includes("empty")) {
        await db.query("truncate authz.tuples, authz.audit_events");
        await db.query("vacuum analyze authz.tuples, authz.audit_events");
      }
      await db.query(state.includes("empty") ? fill.replace(/analyze$/, "") : fill);
      client = await db.client();
    });

    test.each(calls)("%s reads no table from end to end, and few pages", async (call, pages) => {
      const plans = await plansOf(client, `select authz.${call}`);
      const scans = plans.flatMap(({ nodes }) =>
        nodes.filter(
          (node) => node["Relation Name"] === (call.startsWith("list_audit") ? "audit_events_default" : "tuples"),
        ),
      );
      expect(scans.length).toBeGreaterThan(0);
      expect(scans.filter((node) => node["Node Type"] === "Seq Scan")).toEqual([]);
      const read = scans.filter((node) => node["Node Type"] !== "ModifyTable").map(pagesOf);
      expect(Math.max(0, ...read)).toBeLessThan(pages);
    });
  },
);
