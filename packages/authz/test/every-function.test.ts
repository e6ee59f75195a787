// What holds of every public function, asked of all that the catalog knows: what they say to arguments that are none, to callers'
// collations, to other spellings of an id, and to another tenant.
import { inRollback, type TestDatabase, testDatabase } from "@howdah/testing";
import type pg from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import {
  type Arguments,
  argumentsOf,
  call,
  given,
  outcome,
  type Parameter,
  type Place,
  type PublicFunction,
  publicFunctions,
  type Spelling,
  settle,
} from "./functions.ts";

const db: TestDatabase = await testDatabase({ modules: [authzModule] });
afterAll(() => db.close());
// What fails for whom the tests run as, whatever it is given, has tests of its own.
const functions = (await publicFunctions(db)).filter(({ name }) => name !== "assert_rls_active");
const places = await settle(db);
await db.query("create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");

interface Failure {
  code: string;
  constraint?: string;
  schema?: string;
  message: string;
  detail?: string;
  hint?: string;
}

/** Runs something that leaves nothing behind, and says what came of it. */
async function attempt<T>(client: pg.ClientBase, fn: () => Promise<T>): Promise<{ result?: T; error?: Failure }> {
  await client.query("savepoint attempt");
  try {
    return { result: await fn() };
  } catch (error) {
    return { error: error as Failure };
  } finally {
    await client.query("rollback to attempt");
  }
}

/** The error as `authz id_empty 22026`, or what was returned instead. */
const codeOf = (error: Failure | undefined, result: unknown): string =>
  error ? `${error.schema} ${error.constraint ?? error.message} ${error.code}` : `returned ${JSON.stringify(result)}`;

const slugFunctions = ["has", "grant", "revoke", "create", "update", "delete"].map((verb) => `${verb}_permission`);

/** What a text is, by the name of its parameter: undefined if it is any text. */
function kindOf(f: PublicFunction, { name, type }: Parameter): "id" | "identifier" | "namespace" | "slug" | undefined {
  if (type !== "text") return undefined;
  if (/^p_(exclude_)?namespace$|^p_tenant_id$/.test(name)) return "namespace";
  if (/^p_(role|slug)$/.test(name)) return "slug";
  if (
    name === "p_permission" &&
    [...slugFunctions, "grant_role_permission", "revoke_role_permission"].includes(f.name)
  ) {
    return "slug";
  }
  if (/^p_(\w+_)?(subject|resource)_id$/.test(name)) return "id";
  if (/^p_(\w+_)?(subject|resource)_(type|relation)$|^p_(type|relation|permission|implies)$/.test(name)) {
    return "identifier";
  }
  return undefined;
}

const long = "x".repeat(1025);
const control = ["a\u0001b", "a\nb", "a\u007f", "a\u0085b", "a\u2028b"];
const spaced = [" a", "a ", "\u00a0a", "a\u3000"];
const all = (texts: string[], code: string): [string, string][] => texts.map((text) => [text, code]);
const refusals: Record<"id" | "identifier" | "namespace" | "slug", [string | null, string][]> = {
  id: [
    [null, "id_null 22004"],
    ["", "id_empty 22026"],
    [long, "id_too_long 22001"],
    ["e\u0301".repeat(600), "id_too_long 22001"],
    ...all(control, "id_invalid_chars 22023"),
    ...all(spaced, "id_whitespace 22023"),
  ],
  identifier: [
    [null, "identifier_null 22004"],
    ["", "identifier_empty 22026"],
    [long, "identifier_too_long 22001"],
    ...all(
      [...control, ...spaced, "Doc", "1doc", "_doc", "doc:1", "dóc", "doc#", "a b", "'"],
      "identifier_format 22023",
    ),
  ],
  namespace: [
    [null, "namespace_null 22004"],
    ["", "namespace_empty 22026"],
    [long, "namespace_too_long 22001"],
    ...all(control, "namespace_invalid_chars 22023"),
    ...all(spaced, "namespace_whitespace 22023"),
  ],
  slug: [
    [null, "slug_invalid 22023"],
    ...all(["", "x".repeat(65), ...control, ...spaced, "Editor", "1st", "posts.write", "é"], "slug_invalid 22023"),
  ],
};

/** The SQLSTATE of each code. */
const states: Record<string, string> = Object.fromEntries(
  Object.entries({
    "22001": "id_too_long identifier_too_long namespace_too_long actor_too_long",
    "22004": "id_null identifier_null namespace_null",
    "22023": `array_element_invalid batch_too_large condition_context_missing condition_invalid condition_unknown
      contextual_tuple_invalid grant_no_expiration id_invalid_chars id_whitespace identifier_format
      interval_not_positive limit_too_large model_invalid month_out_of_range namespace_invalid_chars
      namespace_whitespace not_positive predicate_invalid relation_unknown slug_invalid tuple_invalid type_unknown
      year_out_of_range`,
    "22026": "id_empty identifier_empty namespace_empty",
    "23514": "expiration_future",
    "0A000": "bulk_group_membership bulk_parent_relation",
    "42501": "tenant_mismatch viewer_mismatch",
    "54001": "resolution_too_complex",
    "55000": "model_tests_failed program_missing rls_not_active",
    PK001: "cycle_group cycle_hierarchy cycle_resource cycle_self self_membership self_parent tuple_exists",
    P0002: "grant_not_found model_not_found slug_unknown",
  }).flatMap(([state, codes]) => codes.split(/\s+/).map((code) => [code, state])),
);

/** Values of each type that somebody may well send one day. Those of jsonb are texts of JSON. */
const odd: Record<string, unknown[]> = {
  text: [
    null,
    "",
    " ",
    long,
    "x".repeat(100_000),
    "a\u0001",
    "\n",
    "*",
    "'; drop table authz.tuples; --",
    "%s",
    "{",
    "\u{10ffff}",
  ],
  "text[]": [
    null,
    [],
    [null],
    [""],
    [" "],
    [long],
    ["a\u0001"],
    Array(1001).fill("a"),
    [
      ["a", "b"],
      ["c", "d"],
    ],
  ],
  jsonb: [
    ...["null", "1", '"x"', "[]", "{}", "[null]", "[1]", '["x"]', "[[]]", "[{}]", "true", "1e400", '{"a": null}'],
    ...[
      '[{"user": 1}]',
      '[{"tuple": {}}]',
      '{"tests": 1}',
      '[{"check": [1]}]',
      '[{"check": [{"user": 1}]}]',
      '{"any": 1}',
    ],
    ...[
      '{"any": [{}]}',
      '{"resource_id": {}}',
      '{"subject_id": [1]}',
      '{"type_definitions": [1], "schema_version": "1.1"}',
    ],
    ...['{"max_depth": 1e400}', '{"max_depth": 1.5}', '{"strict": null}', '{"compiler_version": 1}', '{"check": null}'],
    `${"[".repeat(1000)}${"]".repeat(1000)}`,
    `${'{"not":'.repeat(200)}{}${"}".repeat(200)}`,
    JSON.stringify({ a: "x".repeat(300_000) }),
    JSON.stringify(["x".repeat(300_000)]),
    JSON.stringify(Array(5001).fill("a:1#b@c:1")),
    null as unknown as string,
  ],
  integer: [null, 0, -1, 1, 2_147_483_647, -2_147_483_648],
  bigint: [null, "0", "-1", "9223372036854775807"],
  boolean: [null, true, false],
  interval: [null, "0", "-1 day", "1 us", "178000000 years", "-178000000 years"],
  "timestamp with time zone": [
    null,
    "infinity",
    "-infinity",
    "1970-01-01",
    "294276-12-31 23:59:59.999999+00",
    "4714-11-24 00:00:00+00 BC",
  ],
  uuid: [null, "00000000-0000-0000-0000-000000000000"],
};

const conditional = { user: "user:ann", relation: "viewer", object: "document:1", condition: { name: "recent" } };
const hidden = { ...conditional, condition: { name: "recent", context: { age: "hush" } } };
const big = { age: 1, other: `hush${"x".repeat(70_000)}` };
const broken = [
  [hidden, { ...hidden, relation: "No" }],
  [{ ...hidden, relation: "blocked" }],
  [{ ...hidden, condition: { name: "recent", context: ["hush"] } }],
  [{ ...hidden, condition: { name: "recent", context: big } }],
  [{ resource_type: "document", resource_id: 1, context: { age: "hush" }, condition: "recent" }],
];
/** What has a context that must not be repeated, by parameters. */
const secrets: Record<string, unknown[]> = {
  p_context: [["hush"], "hush", big, { age: "hush" }],
  p_condition_context: [["hush"], "hush", big, { age: "hush" }],
  p_contextual_tuples: [[hidden], ...broken],
  p_checks: broken,
  p_writes: broken,
  p_deletes: broken,
};

describe.each(functions)("$name", (f) => {
  const names = f.parameters.flatMap((parameter) => {
    const kind = kindOf(f, parameter);
    return kind ? [{ ...parameter, kind }] : [];
  });
  const hasTexts = f.parameters.some(({ type }) => type.startsWith("text"));
  const hasNamespace = f.parameters.some(({ name }) => name === "p_namespace");
  const somewhere = hasNamespace ? places : places.slice(0, 1);

  test("works with what it is for, whether a model decides or the dynamic rule", () =>
    inRollback(db, async (client) => {
      for (const place of somewhere) {
        expect((await attempt(client, () => call(client, f, argumentsOf(f, place)))).error).toBeUndefined();
      }
    }));

  if (names.length > 0)
    test("refuses every malformed name by its own code, and says which it is", () =>
      inRollback(db, async (client) => {
        const module = f.name === "set_tenant" ? "howdah" : "authz";
        for (const { name, kind, isOptional } of names) {
          for (const [text, code] of refusals[kind]) {
            if (text === null && isOptional && name !== "p_namespace") continue;
            const args = { ...argumentsOf(f, somewhere[0] as Place), [name]: text };
            const { error, result } = await attempt(client, () => call(client, f, args));
            expect([name, text, codeOf(error, result)]).toEqual([name, text, `${module} ${code}`]);
            expect(error?.message).toContain(kind === "namespace" ? "namespace" : name.slice(2));
            expect(`${error?.message} ${error?.detail} ${error?.hint}`).not.toMatch(/x{101}/);
          }
        }
      }));

  if (f.parameters.length > 0)
    test("answers odd values, or refuses them with a code of its own", () =>
      inRollback(db, async (client) => {
        const found: string[] = [];
        for (const place of somewhere) {
          for (const parameter of f.parameters) {
            const values = odd[parameter.type];
            if (!values) throw new Error(`say which values of ${parameter.type} are odd`);
            const args = argumentsOf(f, place);
            for (const each of values) {
              const sent = f.parameters.map((other) => (other === parameter ? each : given(args[other.name], other)));
              const list = f.parameters.map((one, i) => `${one.name} => $${i + 1}::${one.type}`);
              const { error } = await attempt(client, () =>
                client.query(`select * from authz.${f.name}(${list})`, sent),
              );
              if (!error || states[error.constraint ?? ""] === error.code) continue;
              const shown = JSON.stringify(each).slice(0, 60);
              found.push(
                `${parameter.name} = ${shown} in ${place.namespace}: ${error.code} ${error.message.slice(0, 150)}`,
              );
            }
          }
        }
        expect(found).toEqual([]);
      }));

  if (hasTexts)
    test("takes and refuses columns of any collation, and compares bytes all the same", () =>
      inRollback(db, async (client) => {
        const variations: [what: string, change: (args: Arguments) => Arguments, spell?: Spelling][] = [
          ["what it is for", (args) => args],
          ["other letters", (args) => args, (id) => id.toUpperCase()],
          ...names.flatMap(({ name }) =>
            ["", long, "a\nb"].map((text): (typeof variations)[0] => [
              `${name} ${JSON.stringify(text.slice(0, 9))}`,
              (args) => ({ ...args, [name]: text }),
            ]),
          ),
        ];
        const found: string[] = [];
        for (const place of somewhere) {
          for (const [what, change, spell] of variations) {
            const args = change(argumentsOf(f, place, spell));
            const plain = await attempt(client, () => outcome(client, f, args));
            for (const collations of [["loose"], ['"en-x-icu"', "loose", '"POSIX"']]) {
              const columns = f.parameters.map(({ type, name }, i) =>
                type.startsWith("text")
                  ? `$${i + 1}::${type} collate ${collations[i % collations.length]} as ${name}`
                  : `$${i + 1}::${type} as ${name}`,
              );
              const sql = `select to_jsonb(r) as result from (select ${columns.join(", ")}) c,
              lateral authz.${f.name}(${f.parameters.map(({ name }) => `${name} => c.${name}`).join(", ")}) r`;
              const collated = await attempt(client, () => outcome(client, f, args, sql));
              const [wanted, got] = [plain, collated].map(({ error, result }) => codeOf(error, result));
              if (got !== wanted) {
                found.push(
                  `${what} as ${collations} in ${place.namespace}: ${got?.slice(0, 150)}, not ${wanted?.slice(0, 150)}`,
                );
              }
            }
          }
        }
        expect(found).toEqual([]);
      }));

  if (hasNamespace)
    test("refuses a namespace that the transaction is not pinned to, and works in the one that it is", () =>
      inRollback(db, async (client) => {
        for (const place of somewhere) {
          const args = argumentsOf(f, place);
          await client.query("select howdah.set_tenant('other')");
          const { error, result } = await attempt(client, () => call(client, f, args));
          expect(codeOf(error, result)).toBe("authz tenant_mismatch 42501");
          await client.query("select howdah.set_tenant($1)", [place.namespace]);
          expect((await attempt(client, () => call(client, f, args))).error).toBeUndefined();
        }
      }));

  const withContexts = f.parameters.filter(({ name, type }) => type === "jsonb" && name in secrets);
  if (withContexts.length > 0)
    test("says nothing of what contexts hold when it refuses them", () =>
      inRollback(db, async (client) => {
        for (const place of somewhere) {
          for (const { name } of withContexts) {
            for (const secret of secrets[name] ?? []) {
              const args = { ...argumentsOf(f, place), [name]: secret };
              const { error, result } = await attempt(client, () => call(client, f, args));
              const told = error
                ? Object.values({ ...error, message: error.message }).join(" ")
                : JSON.stringify(result);
              expect([name, JSON.stringify(secret).slice(0, 80), told]).toEqual([
                name,
                JSON.stringify(secret).slice(0, 80),
                expect.not.stringContaining("hush"),
              ]);
            }
          }
        }
      }));
});
