// Every id is one id in all of its spellings, whichever of Unicode's a caller prefers: asked of every function that takes ids, alone,
// in arrays or in JSON. What is listed comes back as it was written.
import { inRollback, type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { type Arguments, argumentsOf, call, outcome, publicFunctions, type Spelling, settle } from "./functions.ts";
import { rows } from "./sql.ts";

const nfc: Spelling = (id) => `${id}\u00e9`;
const nfd: Spelling = (id) => `${id}e\u0301`;
const other: Spelling = (id) => `${id}e`;

const db: TestDatabase = await testDatabase({ modules: [authzModule] });
afterAll(() => db.close());
const places = await settle(db, nfd);
const functions = (await publicFunctions(db)).filter((f) =>
  places.some((place) => JSON.stringify(argumentsOf(f, place, nfc)) !== JSON.stringify(argumentsOf(f, place, nfd))),
);

test.each(functions)("$name does for both spellings of its ids what it does for no other id", (f) =>
  inRollback(db, async (client) => {
    for (const place of places) {
      const did = async (spell: Spelling): Promise<string> => {
        await client.query("savepoint attempt");
        const done = await outcome(client, f, argumentsOf(f, place, spell)).finally(() =>
          client.query("rollback to attempt"),
        );
        return done.normalize("NFC");
      };
      const wanted = await did(nfc);
      expect(await did(nfd)).toBe(wanted);
      const otherwise = await did(other).catch((error: Error) => error.message);
      expect(otherwise).not.toBe(wanted);
    }
  }),
);

test.each(functions.map(({ name }) => name).filter((name) => /^list_(?!audit)/.test(name)))(
  "%s gives ids as they were written, however it was asked",
  async (name) => {
    const f = functions.find((each) => each.name === name);
    if (!f) throw new Error(name);
    for (const place of places) {
      const args = argumentsOf(f, place, nfc);
      const found = JSON.stringify(await call(db, f, args));
      expect(found).toContain("\u0301");
      expect(found).not.toContain("\u00e9");
    }
  },
);

test("expand names users as they were written", async () => {
  const f = functions.find(({ name }) => name === "expand");
  if (!f) throw new Error("expand");
  for (const place of places) {
    expect(JSON.stringify(await call(db, f, argumentsOf(f, place, nfc)))).toContain(`"users":["user:${nfd("ann")}"]`);
  }
});

test("filter_authorized gives ids as they were asked for", async () => {
  for (const { namespace } of places) {
    for (const spell of [nfc, nfd]) {
      const sql = "select authz.filter_authorized('user', $1, 'document', 'viewer', $2, $3) as ids";
      expect(await rows(db, sql, [nfd("ann"), [spell("1"), spell("2")], namespace])).toEqual([
        { ids: [spell("1"), spell("2")] },
      ]);
    }
  }
});

describe.each(places)("pages of one in $namespace", (place) => {
  /** Reads page after page, each after the last row of the one before. */
  async function pages(name: string, next: (row: Record<string, string>) => Arguments): Promise<unknown[]> {
    const f = functions.find((each) => each.name === name);
    if (!f) throw new Error(name);
    const args: Arguments = { ...argumentsOf(f, place, nfc), p_limit: 1 };
    const found: unknown[] = [];
    for (let page = await call(db, f, args); page.length > 0; page = await call(db, f, args)) {
      found.push(...page);
      expect(found.length).toBeLessThan(9);
      Object.assign(args, next(page[0] as Record<string, string>));
    }
    return found;
  }

  test("go on where the one before ended", async () => {
    expect(await pages("list_resources", (id) => ({ p_cursor: id }))).toEqual(["1", "2", "3", "4"].map(nfd));
    const subjects = await pages("list_subjects", ({ subject_type, subject_id }) => ({
      p_cursor_type: subject_type,
      p_cursor_id: subject_id,
    }));
    expect(subjects).toEqual(["ann", "bob"].map((id) => ({ subject_type: "user", subject_id: nfd(id) })));
    const shared = await pages("list_external_resources", (row) => ({
      p_cursor: JSON.stringify([row.created_at, row.namespace, row.resource_id, row.relation]),
    }));
    expect(shared).toHaveLength(2);
  });
});
