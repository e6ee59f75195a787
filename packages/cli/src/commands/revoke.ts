import { assertKnown } from "../access.ts";
import type { AddCommand } from "./help.ts";

/** `howdah revoke`: takes a module away from a role. */
export const revoke: AddCommand = (program, session) => {
  program
    .command("revoke")
    .summary("take a module away from a role")
    .description("Takes a module away from a role, whatever its access was.")
    .argument("<module>", "an installed module, or howdah")
    .argument("<role>", "the role")
    .action(async (module: string, role: string) => {
      const db = await session.database();
      const { rows } = await db.query<{ had: boolean }>("select howdah.revoke_module($1, $2) as had", [module, role]);
      const had = rows[0]?.had === true;
      if (!had) await assertKnown(db, module, role);
      session.output.data({ module, role, had }, () =>
        had ? `${role} has no access to ${module} any more` : `${role} had no access to ${module}`,
      );
    });
};
