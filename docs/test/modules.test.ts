// Modules are installed one by one, together, in any order, and file by file: the schemas are the same.
import { authzModule } from "@howdah/authz";
import { type Module, migrate } from "@howdah/core";
import { queueModule } from "@howdah/queue";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { expect, test } from "vitest";

const both = [queueModule, authzModule];

/** The manifests of both schemas after some steps in an empty database. */
async function manifestsAfter(install: (db: TestDatabase) => Promise<unknown>): Promise<unknown[]> {
  await using db = await testDatabase();
  await install(db);
  const { rows } = await db.query<{ name: string; manifest: unknown }>(
    "select name, howdah.manifest(name) as manifest from unnest($1::text[]) name order by name",
    [both.map(({ name }) => name)],
  );
  return rows;
}

const oneByOne =
  (modules: readonly Module[]) =>
  async (db: TestDatabase): Promise<void> => {
    for (const module of modules) await migrate(db, [module]);
  };

test("queue and authz have the same schemas however they are installed", async () => {
  const together = await manifestsAfter((db) => migrate(db, both));
  expect(together).toMatchObject([{ name: "authz" }, { name: "queue" }]);
  expect(await manifestsAfter(oneByOne(both))).toEqual(together);
  expect(await manifestsAfter(oneByOne(both.toReversed()))).toEqual(together);
  const fromTheFirstFile = await manifestsAfter(async (db) => {
    for (const module of both) await migrate(db, [module], { target: 1 });
    await migrate(db, both);
  });
  expect(fromTheFirstFile).toEqual(together);
});
