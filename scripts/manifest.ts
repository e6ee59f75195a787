// Writes `sql/manifest.json` of the package it is run in: what its schema looks like once the built module is installed.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { startServer } from "../packages/testing/src/server.ts";

const core = await import(pathToFileURL(join(import.meta.dirname, "../packages/core/dist/index.js")).href);
const built = await import(pathToFileURL(join(process.cwd(), "dist/index.js")).href);
const module = Object.values<{ name?: string; fingerprint?: string; manifest?: { access?: unknown } }>(built).find(
  (value) => value?.fingerprint !== undefined,
);
if (!module) throw new Error("the package exports no module");

const server = await startServer();
const db = core.connect(server.url());
try {
  await core.migrate(db, module.name === "howdah" ? [] : [module]);
  const { rows } = await db.query("select howdah.manifest($1) as manifest", [module.name]);
  const manifest = { ...rows[0].manifest, access: module.manifest?.access };
  writeFileSync(join(process.cwd(), "sql/manifest.json"), `${JSON.stringify(manifest, null, 1)}\n`);
} finally {
  await db.close();
  await server.stop();
}
