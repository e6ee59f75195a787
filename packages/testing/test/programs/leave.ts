// Makes a test database and a role, and waits to be killed.
import { testDatabase } from "../../src/index.ts";

const db = await testDatabase();
const role = await db.role("left");
await role.query("select 1");
process.stdout.write(`${JSON.stringify({ name: db.name, role: role.name })}\n`);
setInterval(() => {}, 60_000);
