// Writes `sql/manifest.json` of the package it is run in: what its schema looks like once the built module is installed.
import { writeFileSync } from "node:fs";
import { startServer } from "../packages/testing/src/server.ts";
import { builtModule, core } from "./built-module.ts";

const module = await builtModule();
const server = await startServer();
const db = core.connect(server.url());
try {
  await core.migrate(db, module.name === "howdah" ? [] : [module]);
  const { rows } = await db.query<{ manifest: object }>("select howdah.manifest($1) as manifest", [module.name]);
  const manifest = { ...rows[0]?.manifest, access: module.manifest.access };
  writeFileSync("sql/manifest.json", `${JSON.stringify(manifest, null, 1)}\n`);
} finally {
  await db.close();
  await server.stop();
}
