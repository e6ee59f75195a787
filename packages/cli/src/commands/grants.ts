import type { AddCommand } from "./help.ts";

/** `howdah grants`: which roles may use which modules. */
export const grants: AddCommand = (program, session) => {
  program
    .command("grants")
    .summary("list which roles may use which modules")
    .description("Lists which roles may use which modules; with --module, of those modules alone.")
    .action(async () => {
      const { output, options } = session;
      const db = await session.database();
      const { rows } = await db.query<object>(
        `select module, role_name::text as role, access, granted_at
         from howdah.grants where $1::text[] is null or module = any($1::text[]) order by module, role`,
        [options.module ?? null],
      );
      output.data(rows, () => output.table(rows));
      if (rows.length === 0) output.note("No role was granted a module: see `howdah grant --help`");
    });
};
