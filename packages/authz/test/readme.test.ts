// The examples of the README are run as they stand.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { authzModule, createAuthz } from "../src/index.ts";

const readme = readFileSync(join(import.meta.dirname, "../README.md"), "utf8");
const examples = (language: string): string[] =>
  [...readme.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))].map(([, text = ""]) => text);
const here = (text: string): string =>
  text
    .replace('"@howdah/authz"', JSON.stringify("../../src/index.ts"))
    .replace('"@howdah/authz/hono"', JSON.stringify("../../src/hono.ts"));

let folder: string;
let db: TestDatabase;
beforeAll(async () => {
  folder = mkdtempSync(join(import.meta.dirname, ".readme-"));
  db = await testDatabase({ modules: [authzModule] });
  vi.stubEnv("DATABASE_URL", db.url);
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await db.close();
});

/** Runs TypeScript as a module of its own and returns what it prints. */
async function run(name: string, text: string): Promise<unknown[][]> {
  const file = join(folder, name);
  writeFileSync(file, here(text));
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  try {
    await import(file);
    return [...log.mock.calls];
  } finally {
    log.mockRestore();
  }
}

const [first = "", model = "", roles = "", guards = ""] = examples("ts");

test("the TypeScript runs, and does what it says", async () => {
  expect(await run("first.ts", first)).toEqual([[true], ["api"]]);
});

test("the SQL runs, and answers what it says", async () => {
  const client = await db.client();
  const results = (await client.query(examples("sql")[0] ?? "")) as unknown as { rows: Record<string, unknown>[] }[];
  expect(results.map(({ rows }) => rows).slice(3)).toEqual([
    [{ check: true }],
    [{ explain_text: expect.stringContaining("HIERARCHY") }],
    [{ subject_type: "user", subject_id: "bob" }],
  ]);
});

const start = `
import { connect } from "@howdah/core";
import { createAuthz } from "@howdah/authz";
const db = connect(process.env.DATABASE_URL!);
const authz = createAuthz(db, { namespace: "acme" });
`;

test("the model compiles, and its tuple is refused as the comment says", async () => {
  await expect(run("model.ts", `${start}\n${model}`)).rejects.toMatchObject({ code: "tuple_invalid" });
  const authz = createAuthz(db, { namespace: "acme" });
  await authz.write({
    writes: [
      "team:eng#member@user:ann",
      {
        resource: ["document", "plan"],
        relation: "viewer",
        subject: "team:eng#member",
        condition: { name: "working_hours" },
      },
    ],
  });
  const at = (now: string): Promise<boolean> =>
    authz.check(["user", "ann"], "can_read", ["document", "plan"], { context: { now } });
  expect(await at("2026-07-01T10:00:00Z")).toBe(true);
  expect(await at("2026-07-01T17:00:00Z")).toBe(false);
});

test("a table is filtered by a list, in a query and in a policy", async () => {
  const authz = createAuthz(db, { namespace: "acme" });
  await authz.write({ writes: ["document:7#owner@user:ann"] });
  await db.query("create table docs (id text primary key); insert into docs values ('7'), ('8')");
  const [query = "", policy = ""] = (examples("sql")[1] ?? "").split("\n\n");
  expect((await db.query(query.replace("'can_read', 'acme'", "'owner', 'acme'"))).rows).toEqual([{ id: "7" }]);
  await db.query(policy);
});

test("roles and guards read as they stand", async () => {
  await run("roles.ts", `${start}\n${roles}`);
  const authz = createAuthz(db, { namespace: "acme" });
  expect(await authz.rbac.hasPermission(["user", "ann"], "posts:write")).toBe(true);
  await authz.rbac.createRole("admin");
  const app = `${start}\nimport { Hono } from "hono";\nconst app = new Hono<{ Variables: { userId: string } }>();\n`;
  await run("guards.ts", `${app}${guards.replace(/^import .*@howdah\/core.*$/m, "")}`);
});
