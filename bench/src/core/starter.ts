// One of the processes that start at once: connects when it hears the URL, migrates when it hears the word.
import { once } from "node:events";
import { migrate } from "@howdah/core";
import { Pool } from "pg";
import { modules } from "./migrate.ts";

const [url] = (await once(process, "message")) as [string];
const pool = new Pool({ connectionString: url, max: 2 });
await pool.query("select");
process.on("message", async () => {
  process.send?.(await migrate(pool, modules));
  await pool.end();
});
process.send?.("ready");
