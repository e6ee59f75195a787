import { readFileSync } from "node:fs";
import { testDatabase } from "@howdah/testing";
import { expect, test } from "vitest";
import { references } from "../src/references.ts";

test("the SQL reference is what the comments in the database say; `npm run docs` writes it", async () => {
  await using db = await testDatabase();
  for (const [file, text] of Object.entries(await references(db.url))) {
    expect(readFileSync(new URL(`../reference/sql/${file}`, import.meta.url), "utf8"), file).toBe(text);
  }
});
