// Writes `dist/<module>.sql` of the package it is run in: one script that any driver can send, to install without Node.
import { writeFileSync } from "node:fs";
import { builtModule, core } from "./built-module.ts";

const module = await builtModule();
writeFileSync(`dist/${module.name}.sql`, core.script(module.name === "howdah" ? [] : [module], { plain: true }));
