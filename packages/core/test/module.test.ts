import { expect, test } from "vitest";
import { defineModule, MigrationError, type ModuleDefinition } from "../src/index.ts";
import { compareReleases } from "../src/plan.ts";
import { statements } from "../src/statements.ts";

const shop = (files: Record<string, string>, over: Partial<ModuleDefinition> = {}) =>
  defineModule({ name: "shop", release: "1.0.0", api: 1, minApi: 1, manifest: {}, files, ...over });
const codeOf = (fn: () => unknown): string => {
  try {
    fn();
  } catch (error) {
    if (error instanceof MigrationError) return error.code;
    throw error;
  }
  return "none";
};

test("files run versioned by number first, then repeatable by name", () => {
  const module = shop({
    "functions/b.sql": "select 1",
    "migrations/0002_second.sql": "select 1",
    "functions/a.sql": "select 1",
    "migrations/0001_first.sql": "select 1",
  });
  expect(module.files.map((file) => file.path)).toEqual([
    "migrations/0001_first.sql",
    "migrations/0002_second.sql",
    "functions/a.sql",
    "functions/b.sql",
  ]);
});

test("line ends and a byte order mark change neither checksum nor fingerprint", () => {
  const unix = shop({ "migrations/0001_a.sql": "select 1;\nselect 2;\n" });
  const windows = shop({ "migrations/0001_a.sql": "\uFEFFselect 1;\r\nselect 2;\r\n" });
  expect(windows.fingerprint).toBe(unix.fingerprint);
});

test("a changed access changes the fingerprint, so that grants are applied again", () => {
  const files = { "migrations/0001_a.sql": "select 1" };
  expect(shop(files, { access: { admin: ["a"] } }).fingerprint).not.toBe(shop(files).fingerprint);
});

test("directives are read from the first line", () => {
  const [file] = shop({
    "migrations/0001_a.sql": "-- howdah: no-transaction\ncreate index concurrently if not exists a on shop.t (b);",
  }).files;
  expect(file).toMatchObject({ inTransaction: false });
  expect(shop({ "migrations/0001_a.sql": "-- howdah: lock-timeout 500ms\nselect 1" }).files[0]?.lockTimeout).toBe(
    "500ms",
  );
  expect(shop({ "migrations/0001_a.sql": "-- howdah: min-version 15\nselect 1" }).files[0]?.minVersion).toBe(15);
});

test.each([
  ["a name that is no schema name", "module_invalid", () => shop({}, { name: "Shop" })],
  ["an api below minApi", "module_invalid", () => shop({}, { api: 1, minApi: 2 })],
  ["a file elsewhere", "file_unknown", () => shop({ "seed/a.sql": "select 1" })],
  ["a file without a number", "file_unknown", () => shop({ "migrations/first.sql": "select 1" })],
  [
    "a number twice",
    "file_duplicate",
    () => shop({ "migrations/0001_a.sql": "select 1", "migrations/0001_b.sql": "select 1" }),
  ],
  ["a gap", "file_missing", () => shop({ "migrations/0001_a.sql": "select 1", "migrations/0003_b.sql": "select 1" })],
  ["an empty file", "file_empty", () => shop({ "migrations/0001_a.sql": "-- nothing\n/* here */ ;" })],
  ["a commit", "file_transaction", () => shop({ "migrations/0001_a.sql": "select 1; commit; select 2" })],
  [
    "a start of a transaction",
    "file_transaction",
    () => shop({ "migrations/0001_a.sql": "Start Transaction; select 2" }),
  ],
  [
    "two statements outside a transaction",
    "file_transaction",
    () => shop({ "migrations/0001_a.sql": "-- howdah: no-transaction\nselect 1; select 2" }),
  ],
])("a module with %s is refused with %s", (_what, code, make) => {
  expect(codeOf(make)).toBe(code);
});

test("the word commit in a body, a literal or a comment is no commit", () => {
  const sql = `
    -- commit;
    create function shop.f() returns int language plpgsql as $body$ begin perform 1; commit; end $body$;
    create function shop.g() returns int begin atomic select 1; end;
    select 'rollback;' /* commit; */;`;
  expect(codeOf(() => shop({ "functions/a.sql": sql }))).toBe("none");
});

test("a text is split into its statements", () => {
  expect(statements(`select ';' ; -- a;b\n create table "a;b" (x int); do $x$ begin; end $x$`)).toHaveLength(3);
});

test("releases compare by their numbers", () => {
  expect(compareReleases("0.10.0", "0.9.9")).toBeGreaterThan(0);
  expect(compareReleases("1.0.0", "1.0.0-beta.1")).toBe(0);
  expect(compareReleases("1.2", "1.2.1")).toBeLessThan(0);
});
