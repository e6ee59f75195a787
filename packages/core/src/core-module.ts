import { files, manifest } from "#sql";
import packageJson from "../package.json" with { type: "json" };
import { defineModule, type Module } from "./module.ts";

/** The schema `howdah` itself, which {@link migrate} always brings along. */
export const coreModule: Module = defineModule({
  name: "howdah",
  release: packageJson.version,
  api: 1,
  minApi: 1,
  files,
  manifest,
  access: {
    admin: [
      "apply_grants",
      "drop_partitions",
      "drop_stale_functions",
      "ensure_day_partitions",
      "ensure_month_partitions",
      "grant_module",
      "maintain",
      "revoke_module",
    ],
    context: ["clear_actor", "clear_tenant", "enter", "installed", "set_actor", "set_tenant"],
  },
});
