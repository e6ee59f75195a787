// What every function of writing, hierarchy, expiry and listing says to malformed names, and to callers' collations.
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

const resource = { p_resource_type: "doc", p_resource_id: "1" };
const subject = { p_subject_type: "user", p_subject_id: "ann" };
const grant = { ...resource, p_relation: "read", ...subject };
const rule = { p_resource_type: "doc", p_permission: "admin", p_implies: "write" };

/** Arguments that each function takes; those of other types than text are written as SQL. */
const functions: Record<string, Record<string, string>> = {
  write_tuple: { ...grant, p_subject_relation: "member" },
  write: grant,
  write_tuples_bulk: { ...resource, p_relation: "read", p_subject_type: "user" },
  grant_to_resources_bulk: { p_resource_type: "doc", p_relation: "read", ...subject, p_subject_relation: "member" },
  delete_tuple: { ...grant, p_subject_relation: "member" },
  delete: grant,
  transfer_tuple: {
    ...resource,
    p_relation: "read",
    p_from_subject_type: "user",
    p_from_subject_id: "ann",
    p_to_subject_type: "user",
    p_to_subject_id: "bob",
  },
  revoke_subject_grants: { ...subject, p_resource_type: "doc" },
  revoke_resource_grants: { ...resource, p_relation: "read" },
  add_hierarchy: rule,
  remove_hierarchy: rule,
  clear_hierarchy: { p_resource_type: "doc" },
  set_expiration: grant,
  clear_expiration: grant,
  extend_expiration: grant,
  list_expiring: {},
  cleanup_expired: {},
  get_stats: {},
  verify_integrity: {},
  list_audit_events: {},
  list_subject_grants: { ...subject, p_resource_type: "doc" },
};
const rest: Record<string, string> = {
  write_tuples_bulk: "p_subject_ids => '{ann,bob}'",
  grant_to_resources_bulk: "p_resource_ids => '{1,2}'",
  set_expiration: "p_expires_at => howdah.now() + interval '1 day'",
  extend_expiration: "p_extension => '1 day'",
};
/** What may be left out, and so be null. */
const optional = ["p_subject_relation"];
const optionalOf: Record<string, string> = {
  revoke_subject_grants: "p_resource_type",
  revoke_resource_grants: "p_relation",
  list_subject_grants: "p_resource_type",
};

const call = (name: string, args: Record<string, unknown>): Promise<unknown> => {
  const given = { p_namespace: "acme", ...args };
  const list = Object.keys(given).map((key, i) => `${key} => $${i + 1}`);
  if (rest[name]) list.push(rest[name]);
  return db.query(`select * from authz.${name}(${list.join(", ")})`, Object.values(given));
};

describe.each(Object.entries(functions))("%s", (name, args) => {
  test("refuses every malformed type, relation and id by its own code, and names it", async () => {
    for (const parameter of Object.keys(args)) {
      const isId = parameter.endsWith("_id");
      const kind = isId ? "id" : "identifier";
      const bad: [unknown, string][] = [
        ["", `${kind}_empty 22026`],
        ["x".repeat(1025), `${kind}_too_long 22001`],
        ...(isId
          ? ([
              ["a\u0001b", "id_invalid_chars 22023"],
              ["a\nb", "id_invalid_chars 22023"],
              ["a\u007f", "id_invalid_chars 22023"],
              ["a\u2028b", "id_invalid_chars 22023"],
              [" a", "id_whitespace 22023"],
              ["a ", "id_whitespace 22023"],
              ["\u00a0a", "id_whitespace 22023"],
              ["a\u3000", "id_whitespace 22023"],
            ] as [string, string][])
          : ["Doc", "1doc", "_doc", "doc:1", "dóc", "doc#", "doc/", "a/b", "doc ", "a b", "'"].map(
              (text): [string, string] => [text, "identifier_format 22023"],
            )),
      ];
      if (!optional.includes(parameter) && optionalOf[name] !== parameter) bad.push([null, `${kind}_null 22004`]);
      for (const [text, code] of bad) {
        await refuses(call(name, { ...args, [parameter]: text }), code);
        const error = await call(name, { ...args, [parameter]: text }).catch((reason: unknown) => reason);
        expect(error).toMatchObject({ message: expect.stringContaining(parameter.slice(2)) });
      }
    }
    expect(await value(db, "select count(*)::int from authz.tuples")).toBe(0);
  });

  test("refuses every malformed namespace, and any other than that of a pinned transaction", async () => {
    for (const [namespace, code] of [
      [null, "namespace_null 22004"],
      ["", "namespace_empty 22026"],
      ["x".repeat(1025), "namespace_too_long 22001"],
      ["a\u0001", "namespace_invalid_chars 22023"],
      [" a", "namespace_whitespace 22023"],
    ])
      await refuses(call(name, { ...args, p_namespace: namespace }), code as string);
    const pinned = db.transaction(async (tx) => {
      await tx.query("select authz.set_tenant('other')");
      const given = { ...args, p_namespace: "acme" };
      const list = Object.keys(given).map((key, i) => `${key} => $${i + 1}`);
      if (rest[name]) list.push(rest[name]);
      await tx.query(`select * from authz.${name}(${list.join(", ")})`, Object.values(given));
    });
    await refuses(pinned, "tenant_mismatch 42501");
  });

  test("takes texts of any collation", async () => {
    const [icu] = await rows<{ oid: string }>(
      db,
      "select oid from pg_collation where collprovider = 'i' and collname = 'en-x-icu'",
    );
    await db.query(
      `create collation if not exists public.loose (${
        icu ? "provider = icu, locale = 'und-u-ks-level2', deterministic = false" : "locale = 'C'"
      })`,
    );
    const collations = ["public.loose", '"POSIX"', "ucs_basic", ...(icu ? ['"en-x-icu"'] : [])];
    for (let shift = 0; shift < collations.length; shift++) {
      const given = Object.entries({ p_namespace: "acme", ...args });
      const columns = given.map(
        ([key], i) => `$${i + 1}::text collate ${collations[(i + shift) % collations.length]} as ${key}`,
      );
      const list = given.map(([key]) => `${key} => c.${key}`);
      if (rest[name]) list.push(rest[name]);
      await value(db, "select authz.write('doc', '1', 'read', 'user', 'ann', 'acme', 'infinity')");
      await value(db, "select authz.set_expiration('doc', '1', 'read', 'user', 'ann', 'tomorrow', 'acme')");
      await db.query(
        `select f.* from (select ${columns.join(", ")}) c, lateral authz.${name}(${list.join(", ")}) f`,
        given.map(([, text]) => text),
      );
    }
  });
});

test("ids and names of the greatest length are taken", async () => {
  const [a, b] = ["a".repeat(1024), "b".repeat(1024)];
  await value(db, "select authz.write_tuple('d', $1, 'r', 'u', $2, 'm', 'n')", [a, b]);
  await value(db, "select authz.write_tuple($1, 'x', $2, 'u', 'x', null, 'n')", [a, b]);
  expect(await value(db, "select authz.delete_tuple($1, 'x', $2, 'u', 'x', null, 'n')", [a, b])).toBe(true);
  await value(db, "select authz.write('d', '1', 'r', 'u', '1', $1)", ["x".repeat(1024)]);
});

test("ids are as long as they are written, and too long ones are refused before they are looked at", async () => {
  const id = "e\u0301".repeat(512);
  await value(db, "select authz.write('doc', '1', 'read', 'user', $1, 'acme')", [id]);
  const check = (who: string): Promise<boolean> =>
    value(db, "select authz.check('user', $1, 'read', 'doc', '1', 'acme')", [who]);
  expect([await check(id), await check(id.normalize("NFC"))]).toEqual([true, true]);
  for (const long of [`${id}e`, "e\u0301".repeat(1_000_000)]) {
    await refuses(check(long), "id_too_long 22001");
    await refuses(value(db, "select authz.expand('doc', $1, 'read', 'acme')", [long]), "id_too_long 22001");
    await refuses(value(db, "select authz.delete('doc', '1', 'read', 'user', $1)", [long]), "id_too_long 22001");
    const tuple = { user: `user:${long}`, relation: "read", object: "doc:1" };
    await refuses(value(db, "select authz.write_tuples($1)", [JSON.stringify([tuple])]), "array_element_invalid 22023");
  }
});

test("names are judged alike however the session reads backslashes", async () => {
  const client = await db.client();
  await client.query("set standard_conforming_strings to off");
  const check = (id: string): Promise<unknown> =>
    value(client, "select authz.check('user', $1, 'read', 'doc', '1', 'acme')", [id]);
  const write = (tuple: object): Promise<unknown> =>
    rows(client, "select * from authz.write_tuples($1, p_namespace => 'acme')", [JSON.stringify([tuple])]);
  const batch = (...ids: string[]): Promise<unknown> =>
    value(client, "select authz.filter_authorized('user', 'ann', 'doc', 'read', $1, 'acme')", [ids]);

  for (const [id, code] of [
    ["a\u0001b", "id_invalid_chars 22023"],
    ["a\u2028b", "id_invalid_chars 22023"],
    [" a", "id_whitespace 22023"],
    ["a ", "id_whitespace 22023"],
    ["a\u3000", "id_whitespace 22023"],
  ] as const) {
    await refuses(check(id), code);
    await refuses(batch("1", id), "array_element_invalid 22023");
    await refuses(write({ user: `user:${id}`, relation: "read", object: "doc:1" }), "array_element_invalid 22023");
  }
  for (const id of ["sales", "ä s", "x01 u0085"]) {
    expect(await check(id)).toBe(false);
    expect(await batch(id)).toEqual([]);
    await write({ user: `user:${id}`, relation: "read", object: "doc:1" });
  }
});
