import { celEnv, isCelError, isCelUint, parse, plan } from "@bufbuild/cel";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ConditionSource, renderCondition } from "../src/compiler/condition.ts";
import { compileModel } from "../src/compiler/index.ts";
import { toPostgres } from "../src/compiler/regular-expression.ts";
import { authzModule } from "../src/module.ts";
import { rows, value } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
afterAll(() => db.close());

/** A condition from `x: int, y: list<string>`. */
function condition(parameters: string, expression: string): ConditionSource {
  const typed = parameters.split(/,\s*/).filter(Boolean);
  return {
    expression,
    parameters: Object.fromEntries(
      typed.map((text) => {
        const [, name = "", type = "", of] = /^(\w+): (\w+)(?:<(\w+)>)?$/.exec(text) ?? [];
        const typeName = (short: string): string => `TYPE_NAME_${short.toUpperCase()}`;
        return [name, { type_name: typeName(type), ...(of && { generic_types: [{ type_name: typeName(of) }] }) }];
      }),
    ),
  };
}

let count = 0;
/** Makes the condition's function and returns its name. */
async function install(source: ConditionSource): Promise<string> {
  const { body, problems } = renderCondition("c", source);
  expect(problems).toEqual([]);
  const name = `authz_rt.c_${++count}`;
  await db.query(
    `create function ${name}(p_stored jsonb, p_context jsonb) returns boolean language plpgsql stable parallel safe
     set search_path = pg_catalog, pg_temp as $body$ ${body} $body$`,
  );
  return name;
}

/** What a condition says for each context: T, F or U. */
async function answers(parameters: string, expression: string, contexts: unknown[]): Promise<string> {
  const name = await install(condition(parameters, expression));
  const found = await rows<{ a: boolean | null }>(
    db,
    `select ${name}(null, c) as a from jsonb_array_elements($1) with ordinality e (c, n) order by n`,
    [JSON.stringify(contexts)],
  );
  return found.map(({ a }) => (a === null ? "U" : a ? "T" : "F")).join("");
}

describe("a condition", () => {
  test.each<[string, string, unknown[], string]>([
    [
      "x: int",
      "x > 3",
      [{ x: 4 }, { x: 3 }, { x: "5" }, { x: 4.5 }, { x: "a" }, { x: null }, {}, { x: 1e30 }],
      "TFTUUUUU",
    ],
    ["x: uint", "x == 3u", [{ x: 3 }, { x: -3 }, { x: "18446744073709551615" }, { x: "18446744073709551616" }], "TUFU"],
    ["x: double", "x / 0.0 > 1.0", [{ x: 1 }, { x: -1 }, { x: 0 }, { x: "1e3" }], "TFUT"],
    ["x: int", "10 / x == 3", [{ x: 3 }, { x: 0 }, { x: -3 }], "TUF"],
    ["x: int", "-7 / x == -3 && -7 % x == -1", [{ x: 2 }], "T"],
    ["x: int", "x * x > 0", [{ x: 4294967296 }, { x: 2 }], "UT"],
    ["x: int", "x + 1 > x", [{ x: "9223372036854775807" }], "U"],
    ["x: bool, y: bool", "x && y", [{ x: true, y: true }, { x: false }, { y: false }, { x: true }, {}], "TFFUU"],
    ["x: bool, y: bool", "x || y", [{ x: true }, { y: true }, { x: false }, { x: false, y: false }], "TTUF"],
    ["x: bool", "!x ? 1 == 1 : 1 == 2", [{ x: false }, { x: true }, {}], "TFU"],
    [
      "x: string",
      "x == 'a' || x.startsWith('b') || x.endsWith('c')",
      [{ x: "a" }, { x: "bx" }, { x: "xc" }, { x: "d" }],
      "TTTF",
    ],
    ["x: string", "x.contains('%_') && size(x) == 4 && x.size() == 4", [{ x: "a%_é" }, { x: "abcd" }], "TF"],
    ["x: string", "x < 'b'", [{ x: "a" }, { x: "B" }, { x: "é" }, { x: "b" }], "TTFF"],
    ["x: string", "x == 'it\\'s \\\\ \"q\" $condition$'", [{ x: "it" }], "F"],
    [
      "x: list<string>",
      "'a' in x && x[0] == 'a' && size(x) > 0",
      [{ x: ["a"] }, { x: ["b", "a"] }, { x: [] }, { x: "a" }, { x: [1] }],
      "TFFUU",
    ],
    ["x: list<int>", "3 in x", [{ x: [1, 3] }, { x: ["3"] }, { x: [] }, { x: [1.5] }], "TTFU"],
    ["x: list<int>", "x[1] == 2", [{ x: [1, 2] }, { x: [1] }], "TU"],
    [
      "x: list<int>, i: int",
      "x[i] == 2",
      [
        { x: [1, 2], i: 1 },
        { x: [1, 2], i: -1 },
        { x: [2], i: "99999999999" },
      ],
      "TUU",
    ],
    [
      "x: map<int>",
      "x.a > 1 && x['b'] == 2",
      [{ x: { a: 2, b: 2 } }, { x: { a: 0 } }, { x: { a: 2 } }, { x: [] }],
      "TFUU",
    ],
    ["x: map<string>", "has(x.a) && 'b' in x", [{ x: { a: "", b: "" } }, { x: { a: "" } }, { x: {} }, {}], "TFFU"],
    ["x: any", "x == 'a' || x == 3 || x == null", [{ x: "a" }, { x: 3 }, { x: null }, { x: [] }, {}], "TTTFU"],
    [
      "x: any",
      "x.user.name == 'ann' && x.n > 2",
      [{ x: { user: { name: "ann" }, n: 3 } }, { x: { user: "ann" } }, { x: { user: { name: "ann" }, n: "x" } }],
      "TUU",
    ],
    [
      "x: list<string>, y: list<string>",
      "x + y == ['a', 'b']",
      [
        { x: ["a"], y: ["b"] },
        { x: [], y: [] },
      ],
      "TF",
    ],
    [
      "x: ipaddress",
      "x.in_cidr('10.0.0.0/8')",
      [{ x: "10.1.2.3" }, { x: "11.0.0.1" }, { x: "::1" }, { x: "10.0.0.0/8" }, { x: "10.1" }, { x: "01.1.1.1" }],
      "TFFUUU",
    ],
    [
      "x: ipaddress, n: string",
      "x.in_cidr(n)",
      [
        { x: "fe80::1", n: "fe80::/10" },
        { x: "::ffff:1.2.3.4", n: "::/0" },
        { x: "10.0.0.1", n: "10.0.0.0/33" },
        { x: "10.0.0.1", n: "x" },
      ],
      "TTUU",
    ],
    ["x: any", "x > 5", [{ x: 6 }, { x: 5.5 }, { x: "6" }, { x: null }, {}], "TTUUU"],
    [
      "x: any, l: list<int>",
      "x in l",
      [
        { x: 5, l: ["5"] },
        { x: "5", l: [5] },
      ],
      "TU",
    ],
    ["l: list<int>, m: map<double>", "l != [1, 2] || m != {'a': 0.5}", [{ l: ["1", 2], m: { a: "0.5" } }], "F"],
    ["x: int", "x > 9007199254740991.0", [{ x: "9007199254740991" }, { x: "9007199254740992" }], "FT"],
    [
      "x: int",
      `x in [${Array.from({ length: 250 }, (_, i) => i).join(", ")}]`,
      [{ x: 0 }, { x: 249 }, { x: 250 }, {}],
      "TTFU",
    ],
    [
      "x: string",
      `x in {${Array.from({ length: 120 }, (_, i) => `"k${i}": ${i}`).join(", ")}}`,
      [{ x: "k0" }, { x: "k119" }, { x: "k120" }],
      "TTF",
    ],
    [
      "t: timestamp, u: timestamp",
      "t - u + (t - u) > duration('1s')",
      [
        { t: "2026-01-02T00:00:00Z", u: "2026-01-01T00:00:00Z" },
        { t: "9999-01-01T00:00:00Z", u: "0001-01-01T00:00:00Z" },
      ],
      "TU",
    ],
    ["x: string", "x.matches('^\\\\s$')", [{ x: "\t" }, { x: "\v" }, { x: "\u00a0" }], "TFF"],
    ["x: string", "x.matches('^[^\\\\s-]+$')", [{ x: "a\v" }, { x: "a-" }, { x: "a\n" }], "TFF"],
    ["x: ipaddress", "x == ipaddress('10.0.0.1')", [{ x: "10.0.0.1" }, { x: "10.0.0.2" }], "TF"],
    [
      "t: timestamp, g: timestamp, d: duration",
      "t < g + d",
      [
        { t: "2026-01-01T00:10:00Z", g: "2026-01-01T01:00:00+01:00", d: "1h" },
        { t: "2026-01-01T01:10:00Z", g: "2026-01-01T00:00:00Z", d: "1h10m" },
        { t: "2026-02-30T00:00:00Z", g: "2026-01-01T00:00:00Z", d: "1h" },
        { t: "2026-01-01", g: "2026-01-01T00:00:00Z", d: "1h" },
        { t: "2026-01-01T00:00:00Z", g: "9999-12-31T23:59:59Z", d: "1h" },
        { t: "2026-01-01T00:00:00Z", g: "2026-01-01T00:00:00Z", d: "1 h" },
      ],
      "TFUUUU",
    ],
    [
      "t: timestamp",
      "t - timestamp('2026-03-28T00:00:00Z') == duration('48h')",
      [{ t: "2026-03-30T00:00:00Z" }, { t: "2026-03-30T01:00:00Z" }],
      "TF",
    ],
    [
      "t: timestamp",
      "t.getHours() == 23 && t.getHours('Europe/Berlin') == 0 && t.getHours('+02:00') == 1 && t.getHours('-02:00') == 21",
      [{ t: "2026-01-01T23:30:00Z" }],
      "T",
    ],
    [
      "t: timestamp",
      "t.getFullYear() == 2026 && t.getMonth() == 1 && t.getDate() == 3 && t.getDayOfMonth() == 2 && t.getDayOfWeek() == 2 && t.getDayOfYear() == 33 && t.getMinutes() == 4 && t.getSeconds() == 5 && t.getMilliseconds() == 678",
      [{ t: "2026-02-03T00:04:05.678Z" }],
      "T",
    ],
    ["t: timestamp", "timestamp('2026-01-02T00:00:00Z') in [t, t]", [{ t: "2026-01-02T00:00:00Z" }], "refused"],
    [
      "l: list<timestamp>",
      "timestamp('2026-01-02T01:00:00+01:00') in l",
      [{ l: ["2026-01-02T00:00:00Z"] }, { l: [] }],
      "TF",
    ],
    [
      "x: string",
      "x.matches('^a.c$') || matches(x, '(?i)^[[:alpha:]]\\\\d{2,3}\\\\b')",
      [{ x: "abc" }, { x: "a\nc" }, { x: "Q12 x" }, { x: "Q1234" }],
      "TFTF",
    ],
  ])("with %s of %s", async (parameters, expression, contexts, expected) => {
    if (expected === "refused") {
      expect(renderCondition("c", condition(parameters, expression)).problems).toHaveLength(1);
    } else {
      expect(await answers(parameters, expression, contexts)).toBe(expected);
    }
  });

  test("prefers what is stored with the tuple to what the request says", async () => {
    const name = await install(condition("x: int", "x == 1"));
    expect(await value(db, `select ${name}('{"x": 1}', '{"x": 2}')`)).toBe(true);
    expect(await value(db, `select ${name}(null, null)`)).toBeNull();
  });

  test("reads times alike whatever the session's settings are", async () => {
    const name = await install(
      condition(
        "t: timestamp",
        "t + duration('24h') == timestamp('2026-03-29T14:00:00+02:00') && t.getHours() == 12 && t.getHours('UTC') == 12",
      ),
    );
    for (const setting of [
      "timezone to 'UTC+3'",
      "timezone to '<Z>5'",
      "timezone to 'Europe/Berlin'",
      "datestyle to 'SQL, DMY'",
      "intervalstyle to 'iso_8601'",
    ]) {
      const client = await db.client();
      await client.query(`set ${setting}`);
      expect(await value(client, `select ${name}(null, '{"t": "2026-03-28T12:00:00Z"}')`)).toBe(true);
    }
  });

  test.each([
    ["x: int", "x ==", 3, "not a CEL expression"],
    ["x: int", "y == 1", 1, "y is not a parameter"],
    ["x: int", "x == 'a'", 2, "int and string do not go together"],
    ["x: int", "true && x", 9, "this is of type int, where bool is expected"],
    ["x: string", "x.foo() == 1", 2, "there is no function foo(string)"],
    ["x: list<int>", "x.all(i, i > 0)", 2, "macros that loop"],
    ["x: list<int>", "x.exists(i, i > 0)", 2, "macros that loop"],
    ["x: string", "x.matches(x)", 2, "the pattern must be written out"],
    ["x: string", "x.matches('(?=a)')", 2, "only (?: is supported"],
    ["x: string", "x.matches('(a)\\\\1')", 2, "\\1 is not supported"],
    ["x: string", "x.matches('[')", 2, "Invalid regular expression"],
    ["x: string", `x.matches('${"a".repeat(201)}')`, 2, "at most 200"],
    ["x: any", "x > x", 2, "cannot compare two values of type any"],
    ["x: any", "x + x == 1", 2, "cannot be used with any and any"],
    ["x: ipaddress", "x.in_cidr('10.0.0.0')", 2, "is no network"],
    ["t: timestamp", "t > timestamp('yesterday')", 5, "is no time"],
    ["x: string", "x.matches('[[:foo:]]')", 2, "begin one such as [:alpha:]"],
    ["x: string", "x.matches('[[:^alpha:]]')", 2, "begin one such as [:alpha:]"],
    ["x: string", "x.matches('[[:alpha:]')", 2, "[ without ]"],
    ["x: string", "x.matches('[a-c-e]')", 2, "must be written \\-"],
    ["x: string", "x.matches('[\\\\w-a]')", 2, "must be written \\-"],
    ["x: string", "x.matches('(?:a{0,99}){0,99}')", 2, "more than 1000 characters"],
    ["x: string", "x.matches('(?i)é')", 2, "(?i) is for ASCII letters"],
    ["x: any", "x < timestamp('2026-01-01T00:00:00Z')", 2, "write timestamp(...) around it"],
    ["l: list<timestamp>", "l == ['2026-01-01T00:00:00Z']", 2, "has no equal in JSON"],
    ["t: timestamp", "t.getHours('CET') == 1", 2, "the time zone must be written out"],
    ["t: timestamp, z: string", "t.getHours(z) == 1", 2, "the time zone must be written out"],
    ["t: timestamp", "t.getHours('Mars/Base') == 1", 2, "the time zone must be written out"],
    ["d: duration", "d > duration('soon')", 5, "is no duration"],
    ["x: int", "x < 9223372036854775808", 5, "is no 64-bit int"],
    ["x: uint", "x < 18446744073709551616u", 5, "is no 64-bit uint"],
    ["x: string", "x == b'a'", 6, "bytes are not supported"],
    ["x: int", `x == ${"(1 + ".repeat(60)}1${")".repeat(60)}`, 247, "nested more than 50 deep"],
    ["x: int", `x == 1 || ${"x == 1 || ".repeat(500)} true`, 1, "at most 4096"],
    ["x: nothing", "x == 1", 1, "has no known type"],
  ])("with %s refuses %s (character %i: %s)", (parameters, expression, position, message) => {
    const { problems } = renderCondition("c", condition(parameters, expression));
    expect(problems).toEqual([{ message: expect.stringContaining(message), position }]);
  });

  test("reads texts alike however the session reads backslashes", async () => {
    const client = await db.client();
    await client.query("set standard_conforming_strings to off");
    for (const [type, text, use] of [
      ["int", "1x5", "x == 15"],
      ["duration", "1x5s", "x == duration('15s')"],
      ["timestamp", "2026-01-01T00:00:00x5Z", "x.getHours() == 0"],
      ["ipaddress", "1x2x3x4", "x.in_cidr('1.0.0.0/8')"],
    ]) {
      const name = await install(condition(`x: ${type}`, `${use}`));
      expect(await value(client, `select ${name}(null, $1)`, [{ x: text }])).toBeNull();
    }
    const name = await install(condition("x: string", "x == '\\\\\\'' && x.matches('^\\\\W\\\\W$')"));
    expect(await value(client, `select ${name}(null, $1)`, [{ x: "\\'" }])).toBe(true);
  });

  test.each([
    "$$; drop table authz.tuples; $$",
    "$body$",
    "\\ncreate function x from public; drop table authz.tuples; --(",
    "\u2028create function x(",
    "'; drop table authz.tuples; --",
    "\\\\'; drop table authz.tuples; --",
  ])("keeps the text %j to itself in a program", async (text) => {
    const quoted = `"""${text}"""`;
    const { sql, hash } = compileModel({
      model: {
        schema_version: "1.1",
        type_definitions: [
          { type: "user" },
          {
            type: "document",
            relations: { viewer: { this: {} } },
            metadata: {
              relations: { viewer: { directly_related_user_types: [{ type: "user", condition: "c" }] } },
            },
          },
        ],
        conditions: {
          c: {
            name: "c",
            expression: `x == ${quoted} || {${quoted}: x}[x] == x`,
            parameters: { x: { type_name: "TYPE_NAME_STRING" } },
          },
        },
      },
    });
    await db.query(sql);
    const given = JSON.parse(`"${text.replace("\\'", "\\\\'").replace("\\\\\\", "\\\\")}"`) as string;
    const name = `authz_rt.m_${hash.slice(0, 12)}_cond_1`;
    expect(await value(db, `select ${name}(null, $1)`, [{ x: given }])).toBe(true);
    expect(await value(db, "select count(*)::int from authz.tuples")).toBe(0);
  });

  test("runs inside parallel workers", async () => {
    const name = await install(
      condition("x: int, t: timestamp", "10 / x > 1 && t > timestamp('2026-01-01T00:00:00Z')"),
    );
    await db.transaction(async (tx) => {
      await tx.query(
        "set local parallel_setup_cost = 0; set local parallel_tuple_cost = 0; set local min_parallel_table_scan_size = 0",
      );
      await tx.query(
        "create table many as select jsonb_build_object('x', n % 5, 't', 'never') c from generate_series(1, 20000) n",
      );
      await tx.query("alter table many set (parallel_workers = 2)");
      const [row] = await rows(tx, `select count(*) filter (where ${name}(null, c) is null)::int as n from many`);
      expect(row).toEqual({ n: 20000 - 12000 + 12000 });
    });
  });
});

describe("reading addresses", () => {
  test("accepts what PostgreSQL accepts as a plain address, and nothing that it refuses", async () => {
    const group = fc.constantFrom("", "0", "1", "ffff", "12345", "g", "00a");
    const part = fc.constantFrom("0", "1", "255", "256", "01", "");
    const v6 = fc.array(group, { minLength: 1, maxLength: 10 }).map((groups) => groups.join(":"));
    const v4 = fc.array(part, { minLength: 3, maxLength: 5 }).map((parts) => parts.join("."));
    const mixed = fc.tuple(v6, v4).map(([a, b]) => `${a}:${b}`);
    const texts = fc.sample(fc.oneof(v6, v4, mixed), { numRuns: 3000, seed: 7 });
    const client = await db.client();
    await client.query(
      `create function pg_temp.accepts(p text) returns boolean language plpgsql as $$
       begin return masklen(p::inet) in (32, 128) and p !~ '/'; exception when others then return false; end $$`,
    );
    const wrong = await rows(
      client,
      `select t from unnest($1::text[]) t where authz._cel_is_ip(t) and not pg_temp.accepts(t)`,
      [texts],
    );
    expect(wrong).toEqual([]);
    expect(
      await value(client, "select count(*)::int from unnest($1::text[]) t where authz._cel_is_ip(t)", [texts]),
    ).toBeGreaterThan(20);
  });
});

describe("patterns", () => {
  test("match what those of another implementation match", async () => {
    const piece = fc.constantFrom(
      ...["a", "b", "A", "z", "5", "_", "-", "^", "$", ".", "*", "+", "?", "(", ")", "(?:", "|", "[", "[^", "]", "a-z"],
      ...[
        "{2}",
        "{1,3}",
        "{0}",
        "\\d",
        "\\w",
        "\\W",
        "\\D",
        "\\b",
        "\\.",
        "\\-",
        "\\n",
        "\\]",
        "\\\\",
        " ",
        "\n",
        "é",
        "'",
      ],
    );
    const pattern = fc.tuple(fc.constantFrom("", "", "", "(?i)"), fc.array(piece, { minLength: 1, maxLength: 8 }));
    const texts = [
      "",
      "a",
      "ab",
      "aA",
      "a5_",
      "-",
      "a\nb",
      "\n",
      "zz",
      "é",
      "a b",
      "]",
      "\\",
      ".",
      "b-",
      "^",
      "AB",
      "a'",
    ];
    const tried = fc.sample(pattern, { numRuns: 3000, seed: 7 }).flatMap(([flag, pieces]) => {
      const source = pieces.join("");
      const { pattern, problem } = toPostgres(flag + source);
      return problem === undefined ? [{ source, pattern, flag: flag && "i" }] : [];
    });
    expect(tried.length).toBeGreaterThan(500);
    const found = await rows<{ matched: boolean[] }>(
      db,
      `select (select array_agg(t collate "C" ~ p order by m) from unnest($2::text[]) with ordinality u (t, m)) as matched
       from unnest($1::text[]) with ordinality v (p, n) order by n`,
      [tried.map(({ pattern }) => pattern), texts],
    );
    tried.forEach(({ source, flag }, i) => {
      const expected = texts.map((text) => new RegExp(source, flag).test(text));
      expect(found[i]?.matched, source).toEqual(expected);
    });
  });
});

describe("random conditions", () => {
  const parameters = "a: int, b: int, s: string, l: list<string>, m: map<string>, p: bool, d: double";
  /** Expressions by type, small and often wrong at run time. */
  const { boolean } = fc.letrec<Record<"boolean" | "integer" | "text" | "double", string>>((tie) => {
    const call = (...parts: (string | fc.Arbitrary<string>)[]): fc.Arbitrary<string> =>
      fc
        .tuple(...parts.map((part) => (typeof part === "string" ? fc.constant(part) : part)))
        .map((all) => all.join(""));
    const of = (...names: string[]): fc.Arbitrary<string> => fc.constantFrom(...names);
    const [b, i, t, d] = [tie("boolean"), tie("integer"), tie("text"), tie("double")];
    return {
      boolean: fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        of("true", "false", "p", "has(m.k)", "s in l", "s in m"),
        call("(", i, of(" == ", " != ", " < ", " <= ", " > ", " >= "), i, ")"),
        call("(", t, of(" == ", " != ", " < ", " >= "), t, ")"),
        call("(", d, of(" == ", " < ", " >= "), d, ")"),
        call("(", b, of(" && ", " || "), b, ")"),
        call("!", b),
        call("(", b, " ? ", b, " : ", b, ")"),
        call("s.", of("startsWith", "endsWith", "contains"), "(", t, ")"),
      ),
      integer: fc.oneof(
        { depthSize: "small" },
        of("a", "b", "0", "1", "-3", "9223372036854775807", "size(s)", "size(l)", "size(m)"),
        call("(", i, of(" + ", " - ", " * ", " / ", " % "), i, ")"),
        call("(-", of("a", "b"), ")"),
        call("(", b, " ? ", i, " : ", i, ")"),
      ),
      text: fc.oneof(
        { depthSize: "small" },
        of("s", "''", "'k'", "'é'", "l[0]", "l[a]", "m.k", "m['k']"),
        call("(", t, " + ", t, ")"),
      ),
      double: fc.oneof(
        { depthSize: "small" },
        of("d", "0.5", "-2.0", "0.0"),
        call("(", d, of(" + ", " - ", " * "), d, ")"),
        call("(", d, " / -0.3)"),
      ),
    };
  });
  const context = fc.record(
    {
      a: fc.constantFrom(0, 1, 2, -5, 1000000007),
      b: fc.constantFrom(0, 1, 3, -1),
      s: fc.constantFrom("", "k", "ké", "Z"),
      l: fc.constantFrom([], ["k"], ["", "Z", "k"]),
      m: fc.constantFrom({}, { k: "k" }, { k: "", Z: "z" }),
      p: fc.boolean(),
      d: fc.constantFrom(0.1, -1.5, 3),
    },
    // has(m.k) without m is an error in CEL, but false in the other implementation.
    { requiredKeys: ["m"] },
  );

  function expected(expression: string, given: Record<string, unknown>): string {
    const ints = (name: string): unknown => (given[name] === undefined ? undefined : BigInt(given[name] as number));
    const bindings = Object.fromEntries(
      Object.entries({ ...given, a: ints("a"), b: ints("b") }).filter(([, bound]) => bound !== undefined),
    );
    try {
      const result = plan(celEnv(), parse(expression))(bindings as never);
      if (isCelError(result) || isCelUint(result)) return "U";
      return result === true ? "T" : result === false ? "F" : "U";
    } catch {
      return "U";
    }
  }

  test("mean the same as in another implementation of CEL", { timeout: 120_000 }, async () => {
    const numRuns = Number(process.env.HOWDAH_PROPERTY_RUNS ?? 300);
    await fc.assert(
      fc.asyncProperty(boolean, fc.array(context, { minLength: 4, maxLength: 4 }), async (expression, contexts) => {
        fc.pre(
          expression.length < 1500 && renderCondition("c", condition(parameters, expression)).problems.length === 0,
        );
        const got = await answers(parameters, expression, contexts);
        expect(got).toBe(contexts.map((given) => expected(expression, given)).join(""));
      }),
      { numRuns },
    );
  });
});
