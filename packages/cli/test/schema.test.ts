import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, migrate } from "@howdah/core";
import { testDatabase } from "@howdah/testing";
import { afterAll, describe, expect, test } from "vitest";
import { libraryModule } from "./fixture/library.ts";
import manifest from "./fixture/manifest.json" with { type: "json" };
import { howdah } from "./support.ts";

const empty = await testDatabase();
const db = await testDatabase({ modules: [libraryModule] });
afterAll(() => Promise.all([empty.close(), db.close()]));

const json = (text: string): unknown => JSON.parse(text);

test("the fixture's manifest is what its migrations make", async () => {
  const { rows } = await db.query<{ manifest: object }>("select howdah.manifest('library') as manifest");
  expect(rows[0]?.manifest).toEqual(manifest);
});

describe("an empty database", () => {
  test("status says that every module is absent, and ends with 3", async () => {
    const { code, stdout, stderr } = await howdah(["status"], empty);
    expect(code).toBe(3);
    expect(stdout).toMatch(/^library +absent +1\.2\.0 +6$/m);
    expect(stderr).toContain("library is not installed: run `howdah migrate`");
  });

  test("status --json has the same keys for each module", async () => {
    const { code, stdout } = await howdah(["status", "--json", "--quiet"], empty);
    expect(code).toBe(3);
    expect((json(stdout) as { module: string }[]).find(({ module }) => module === "library")).toMatchInlineSnapshot(`
      {
        "module": "library",
        "pending": [
          "migrations/0001_tables.sql",
          "migrations/0002_shelf.sql",
          "functions/browse.sql",
          "functions/maintain.sql",
          "functions/policies.sql",
          "functions/shelve.sql",
        ],
        "release": "1.2.0",
        "state": "absent",
      }
    `);
  });

  test("plan prints SQL that can be run as it is, and ends with 3", async () => {
    await using own = await testDatabase();
    const { code, stdout } = await howdah(["plan"], own);
    expect(code).toBe(3);
    expect(stdout).toContain("-- library: migrations/0001_tables.sql (new)\n");
    expect(stdout).toContain("-- lock: none on library.books; new table\ncreate table library.books");
    await own.pool.query(stdout);
    const { rows } = await own.query("select library.add_book('acme', 'Dune') as id");
    expect(rows).toEqual([{ id: "1" }]);
  });

  test("plan --json names each statement with its lock", async () => {
    const { stdout } = await howdah(["plan", "--json"], empty);
    const files = json(stdout) as { file: string; module: string; statements: object[] }[];
    const file = files.find((one) => one.file === "migrations/0002_shelf.sql");
    expect(file).toMatchInlineSnapshot(`
      {
        "file": "migrations/0002_shelf.sql",
        "isInTransaction": true,
        "module": "library",
        "reason": "new",
        "statements": [
          {
            "lock": "none",
            "note": "new table",
            "on": "library.books",
            "rewrites": "no",
            "sql": "alter table library.books add column shelf text, alter column price type numeric(12, 2)",
          },
          {
            "lock": "none",
            "note": "new table",
            "on": "library.books",
            "rewrites": "no",
            "sql": "create index books_shelf_idx on library.books (namespace, shelf)",
          },
        ],
      }
    `);
  });

  test("verify, docs and grants say that the database is behind, and end with 3 or 1", async () => {
    const verified = await howdah(["verify"], empty);
    expect(verified.code).toBe(3);
    expect(verified.stderr).toContain("hint: Is the database up to date? See `howdah status`");
    expect((await howdah(["grants"], empty)).code).toBe(3);
    expect((await howdah(["docs", "library"], empty)).stderr).toContain("schema library does not exist");
  });

  test("migrate --dry-run leaves no trace", async () => {
    const { code, stderr } = await howdah(["migrate", "--dry-run"], empty);
    expect(code).toBe(0);
    expect(stderr).toContain("Rolled back, as this was a dry run");
    const { rows } = await empty.query("select 1 from pg_namespace where nspname in ('howdah', 'library')");
    expect(rows).toEqual([]);
  });
});

describe("migrate", () => {
  test("prints each step with its time on standard error, a summary on standard output, and then has nothing to do", async () => {
    await using own = await testDatabase();
    const first = await howdah(["migrate"], own);
    expect(first.code).toBe(0);
    expect(first.stderr).toMatch(/^library +migrations\/0001_tables\.sql +\d+ ms$/m);
    expect(first.stdout).toMatch(/^library +none +1\.2\.0 +6 +\d+$/m);

    const second = await howdah(["migrate"], own);
    expect(second).toEqual({ code: 0, stdout: "", stderr: "Nothing to do: every module is current\n" });
    expect((await howdah(["status"], own)).code).toBe(0);
    expect((await howdah(["plan"], own)).code).toBe(0);
  });

  test("--json prints the report, and with --quiet nothing else is said", async () => {
    await using own = await testDatabase();
    const { stdout, stderr } = await howdah(["migrate", "--json", "--quiet"], own);
    expect(stderr).toBe("");
    const report = json(stdout) as { modules: { module: string; applied: object[] }[] };
    const library = report.modules.find(({ module }) => module === "library");
    expect(library).toMatchObject({ state: "absent", to: "1.2.0" });
    expect(library?.applied[0]).toEqual({
      module: "library",
      file: "migrations/0001_tables.sql",
      ms: expect.any(Number),
    });
  });

  test("--target stops early, and status ends with 3", async () => {
    await using own = await testDatabase();
    await howdah(["migrate", "--module", "howdah"], own);
    expect((await howdah(["migrate", "--module", "library", "--target", "0001"], own)).code).toBe(0);
    const { code, stdout } = await howdah(["status"], own);
    expect(code).toBe(3);
    expect(stdout).toMatch(/^library +behind +1\.2\.0 +1\.2\.0 +5$/m);
  });

  test("a schema that nobody migrated is refused, and recorded with --baseline", async () => {
    await using own = await testDatabase();
    await own.query("create schema library");
    const refused = await howdah(["migrate"], own);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("--baseline");
    expect((await howdah(["migrate", "--baseline"], own)).code).toBe(0);
    expect((await howdah(["status"], own)).code).toBe(0);
  });
});

describe("verify", () => {
  test("ends well when nothing differs, and tolerates an addition", async () => {
    const clean = await howdah(["verify"], db);
    expect(clean).toEqual({ code: 0, stdout: "", stderr: "The schema is as its migrations made it\n" });
    await db.query("create index books_own_idx on library.books (price)");
    const { code, stdout } = await howdah(["verify"], db);
    expect(code).toBe(0);
    expect(stdout).toContain("books_own_idx");
    await db.query("drop index library.books_own_idx");
  });

  test("ends with 4 when a table was changed by hand, and says what", async () => {
    await using own = await testDatabase({ modules: [libraryModule] });
    await own.query("alter table library.books drop column shelf");
    const { code, stdout, stderr } = await howdah(["verify"], own);
    expect(code).toBe(4);
    expect(stdout).toMatch(/^error +library +column +books\.shelf +missing/m);
    expect(stderr).toMatch(/^Differences that break a module: \d+$/m);
    const rows = json((await howdah(["verify", "--json"], own)).stdout) as object[];
    expect(Object.keys(rows[0] ?? {})).toEqual([
      "severity",
      "module",
      "kind",
      "object",
      "problem",
      "expected",
      "actual",
    ]);
  });

  test("--manifest compares with a file", async () => {
    const file = join(tmpdir(), `howdah-manifest-${process.pid}.json`);
    writeFileSync(file, JSON.stringify(manifest));
    expect((await howdah(["verify", "--manifest", file], db)).code).toBe(0);
    writeFileSync(file, JSON.stringify({ ...manifest, tables: { ...manifest.tables, shelves: {} } }));
    const { code, stdout } = await howdah(["verify", "--manifest", file], db);
    expect(code).toBe(4);
    expect(stdout).toMatch(/^error +library +table +shelves +missing/m);
  });
});

test("migrate of an edited file fails with 1, and changes nothing", async () => {
  await using own = await testDatabase();
  await migrate(connect(own.pool), [libraryModule]);
  await own.query(
    "update howdah.migrations set checksum = 'other' where file = 'migrations/0001_tables.sql' and module = 'library'",
  );
  await own.query("update howdah.modules set fingerprint = 'other' where module = 'library'");
  const { code, stderr } = await howdah(["migrate"], own);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^error: library: migrations\/0001_tables\.sql was applied on .* and has been edited since/);
  expect(stderr).toContain("hint: Restore the file");
  expect(stderr).not.toContain("    at ");
});
