import { testDatabase } from "@howdah/testing";
import { afterAll, expect, test } from "vitest";
import { sqlReference } from "../src/index.ts";
import { libraryModule } from "./fixture/library.ts";
import { howdah } from "./support.ts";

const db = await testDatabase({ modules: [libraryModule] });
afterAll(() => db.close());

test("howdah docs prints functions by capability and tables, from the comments in the database", async () => {
  const { code, stdout, stderr } = await howdah(["docs", "library"], db);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatchSnapshot();
  expect(stdout).not.toContain("_secret");
});

test("without the module functions stand by name", async () => {
  const text = await sqlReference(db, "library");
  expect(text.match(/^##+ .*$/gm)).toEqual([
    "## Functions",
    "### library.add_book",
    "### library.list_books",
    "### library.maintain",
    "## Tables",
    "### library.books",
  ]);
});

test("every function of howdah has prose, and every heading of its comment is found", async () => {
  const text = await sqlReference(db, "howdah");
  const sections = text
    .split(/^### /m)
    .slice(1)
    .filter((section) => section.includes("returns"));
  for (const section of sections) expect(section).toMatch(/\*\*Returns\*\*[\s\S]*\*\*Errors\*\*[\s\S]*\*\*Example\*\*/);
  expect(text).not.toContain("::text");
});

test("a schema that is not there is an error with a hint", async () => {
  await expect(sqlReference(db, "nowhere")).rejects.toMatchObject({ code: "schema_not_found" });
});
