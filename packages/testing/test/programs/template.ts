// Makes a test database from a template that no other test uses, and says when that was migrated.
import { defineModule } from "@howdah/core";
import { testDatabase } from "../../src/index.ts";

const module = defineModule({
  name: "shared",
  release: "1.0.0",
  api: 1,
  minApi: 1,
  files: { "migrations/0001_things.sql": "create schema shared;\n" },
  manifest: {},
});
const db = await testDatabase({ modules: [module] });
const { rows } = await db.query("select max(applied_at)::text as applied from howdah.migrations");
process.stdout.write(`${JSON.stringify(rows[0])}\n`);
await db.close();
