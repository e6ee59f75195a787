// Writes docs/reference/sql from the comments in a freshly migrated database.
import { writeFileSync } from "node:fs";
import { startServer } from "@howdah/testing";
import { references } from "./references.ts";

await using server = await startServer();
for (const [file, text] of Object.entries(await references(server.url()))) {
  writeFileSync(new URL(`../reference/sql/${file}`, import.meta.url), text);
}
