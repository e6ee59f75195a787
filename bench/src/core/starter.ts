// One of the processes that start at once: says that it is connected, waits for the word, migrates, and reports.
import { migrate } from "@howdah/core";
import { Pool } from "pg";
import { modules } from "./migrate.ts";

const pool = new Pool({ connectionString: process.argv[2], max: 2 });
await pool.query("select");
process.once("message", async () => {
  process.send?.(await migrate(pool, modules));
  await pool.end();
  process.disconnect();
});
process.send?.("ready");
