// A test file of `node --test` in miniature: it makes a database, closes it, and expects the process to end by itself.
import { testDatabase } from "../../src/index.ts";

const db = await testDatabase({ modules: [] });
const { rows } = await db.query<{ count: string }>(
  "select count(*) from pg_stat_user_tables where schemaname = 'public'",
);
process.stdout.write(`${JSON.stringify({ url: db.url, ...rows[0] })}\n`);
await db.close();
