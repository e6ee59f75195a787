import { unknownName } from "../nearest.ts";
import type { AddCommand } from "./help.ts";

/** `howdah revoke`: takes a module away from a role. */
export const revoke: AddCommand = (program, session) => {
  program
    .command("revoke")
    .summary("take a module away from a role")
    .description("Takes a module away from a role, whatever its access was.")
    .argument("<module>", "the module")
    .argument("<role>", "the role")
    .action(async (module: string, role: string) => {
      const { output } = session;
      const db = await session.database();
      const { rows } = await db.query<{ had: boolean }>("select howdah.revoke_module($1, $2) as had", [module, role]);
      const isRevoked = rows[0]?.had === true;
      if (!isRevoked) {
        const grants = await db.query<{ module: string; role: string }>(
          "select module, role_name::text as role from howdah.grants",
        );
        const modules = grants.rows.map((row) => row.module);
        if (!modules.includes(module)) throw unknownName("grant of module", module, [...new Set(modules)]);
        const roles = grants.rows.filter((row) => row.module === module).map((row) => row.role);
        throw unknownName(`role with ${module}`, role, roles);
      }
      output.data({ module, role }, () => `${role} has no access to ${module} any more`);
    });
};
