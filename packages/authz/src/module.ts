import { defineModule, type Module } from "@howdah/core";
import { files, manifest } from "#sql";
import packageJson from "../package.json" with { type: "json" };
import { commands } from "./commands.ts";
import { seed } from "./seed.ts";

/** The SQL schemas `authz` and `authz_rt`: what `migrate` installs. */
export const authzModule: Module = defineModule({
  name: "authz",
  release: packageJson.version,
  api: 1,
  minApi: 1,
  files,
  manifest,
  access: {
    admin: [
      "maintain",
      "cleanup_expired",
      "install_program",
      "write_model",
      "activate_model",
      "create_audit_partition",
      "ensure_audit_partitions",
      "drop_audit_partitions",
    ],
  },
  commands,
  seed,
});
