// A database may sort as English does: every function answers as in one that sorts by bytes, in the same order.
import { connect, type Database, migrate } from "@howdah/core";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { argumentsOf, outcome, type PublicFunction, publicFunctions, type Spelling, settle } from "./functions.ts";
import { rows, value } from "./sql.ts";

// Whose order is another one in English: 10 B Z _c a, not _c 10 a B Z.
const names: Record<string, string> = {
  ...{ "1": "a", "2": "B", "3": "_c", "4": "Z", "5": "10", "6": "é", "9": "É" },
  ...{ ann: "Zoe", bob: "adam", eve: "_eve", shared: "Shared", guest: "Éric", g: "G", h: "a-h", f: "_f", y: "Y" },
};
const mixed: Spelling = (id) => names[id] ?? id;

const db: TestDatabase = await testDatabase({ modules: [authzModule] });
const version = await value<number>(db, "select current_setting('server_version_num')::int");
const isServed =
  version >= 150_000 && (await value<boolean>(db, "select exists (select from pg_collation where collprovider = 'i')"));
const english = `${db.name}_english`;
let other: Database | undefined;
afterAll(async () => {
  await other?.close();
  await db.query(`drop database if exists ${english}`);
  await db.close();
});
const functions = await publicFunctions(db);
const places = await settle(db, mixed);
const more = (namespace: string): string[] => [
  ...["a", "B", "_b", "Z", "10", "9", "é"].flatMap((id) => [
    `document:more-${id}#viewer@user:${mixed("ann")}`,
    `document:${mixed("1")}#viewer@user:more-${id}`,
    ...(namespace === "plain"
      ? [
          `team:${id}#member@team:in-${id}`,
          `document:${mixed("1")}#relation-${id.toLowerCase().replace(/^[^a-z]/, "x")}@user:${mixed("ann")}`,
        ]
      : []),
  ]),
];
const fill = async (on: Database): Promise<void> => {
  for (const { namespace } of places) {
    await rows(on, "select * from authz.write_tuples($1, '[]', $2)", [
      JSON.stringify([...new Set(more(namespace))]),
      namespace,
    ]);
    for (const slug of ["a-b", "ab", "a_b", "a:b", "aa"]) {
      await on.query("select authz.create_role($1, p_namespace => $2)", [slug, namespace]);
      await on.query("select authz.create_permission($1, p_namespace => $2)", [slug, namespace]);
      await on.query("select authz.assign_role('user', $1, $2, $3)", [mixed("ann"), slug, namespace]);
      await on.query("select authz.grant_role_permission($1, $1, $2)", [slug, namespace]);
    }
  }
};
await fill(db);
if (isServed) {
  await db.query(
    `create database ${english} template template0 encoding 'UTF8' locale_provider icu icu_locale 'en-US' locale 'C'`,
  );
  const url = new URL(db.url);
  url.pathname = `/${english}`;
  other = connect(url.href);
  await migrate(other, [authzModule]);
  await settle(other, mixed);
  await fill(other);
}

/** What a function answers, but for what is new each time. */
const answer = async (on: Database, f: PublicFunction, change: object, at: number): Promise<string> => {
  let said = "";
  const stop = new Error("taken back");
  await on
    .transaction(async (tx) => {
      const place = places[at];
      if (!place) throw stop;
      const [model] = await rows<{ id: string }>(tx, "select model_id as id from authz.list_models($1)", [
        place.namespace,
      ]);
      const args = { ...argumentsOf(f, { ...place, model: model?.id ?? "" }, mixed), ...change };
      said = await outcome(tx, f, args).catch((error: Error) => error.message);
      throw stop;
    })
    .catch((error: unknown) => {
      if (error !== stop) throw error;
    });
  return said
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "uuid")
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*\+00:00/g, "time")
    .replaceAll(/"(id|tuple_id|backend_pid|client_port|application_name)": ?"?[^",}]*"?/g, "");
};

test.runIf(isServed)("the other database does sort otherwise (where the server has databases with ICU)", async () => {
  const sorted = "select array_agg(t order by t) from unnest('{10,B,Z,_c,a}'::text[]) t";
  expect(await value(db, sorted)).toEqual(["10", "B", "Z", "_c", "a"]);
  expect(await value(other as Database, sorted)).toEqual(["_c", "10", "a", "B", "Z"]);
});

test.runIf(isServed).each(functions.filter(({ name }) => name !== "assert_rls_active"))(
  "$name answers alike (where the server has databases with ICU)",
  async (f) => {
    const has = (name: string): boolean => f.parameters.some((one) => one.name === name);
    const changes = [
      {},
      ...(has("p_limit") ? [{ p_limit: 3 }] : []),
      ...(has("p_cursor") && f.name === "list_resources" ? [{ p_limit: 3, p_cursor: "Z" }, { p_cursor: "_c" }] : []),
      ...(has("p_cursor_id") ? [{ p_limit: 3, p_cursor_type: "user", p_cursor_id: "Zoe" }] : []),
      ...(has("p_resource_ids") ? [{ p_resource_ids: Object.values(names) }] : []),
      ...(has("p_filter") ? [{ p_filter: {} }] : []),
    ];
    for (const change of changes) {
      for (const at of [0, 1]) {
        const wanted = await answer(db, f, change, at);
        expect([change, await answer(other as Database, f, change, at)]).toEqual([change, wanted]);
      }
    }
  },
);
