import { authzModule } from "@howdah/authz";
import { sqlReference } from "@howdah/cli";
import { connect, coreModule, migrate } from "@howdah/core";
import { queueModule } from "@howdah/queue";

/** The modules whose reference is kept in this folder. */
const modules = [coreModule, queueModule, authzModule];

/** Writes the SQL reference of every module: file name, within `reference/sql`, and text. */
export async function references(url: string): Promise<Record<string, string>> {
  const db = connect(url);
  try {
    await migrate(db, modules);
    const pages: Record<string, string> = {};
    for (const module of modules) pages[`${module.name}.md`] = await sqlReference(db, module.name, module);
    return pages;
  } finally {
    await db.close();
  }
}
