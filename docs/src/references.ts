import { sqlReference } from "@howdah/cli";
import { connect, migrate } from "@howdah/core";
import { queueModule } from "@howdah/queue";

/** The modules whose reference is kept in this folder. */
const modules = [queueModule];

/** Writes the SQL reference of every schema: file name, within `reference/sql`, and text. */
export async function references(url: string): Promise<Record<string, string>> {
  const db = connect(url);
  try {
    await migrate(db, modules);
    const pages: Record<string, string> = {};
    for (const schema of ["howdah", ...modules.map((module) => module.name)]) {
      pages[`${schema}.md`] = await sqlReference(db, schema);
    }
    return pages;
  } finally {
    await db.close();
  }
}
