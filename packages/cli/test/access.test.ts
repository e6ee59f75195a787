import { testDatabase } from "@howdah/testing";
import { afterAll, expect, test } from "vitest";
import { libraryModule } from "./fixture/library.ts";
import { howdah } from "./support.ts";

const db = await testDatabase({ modules: [libraryModule] });
const app = await db.role("reader");
afterAll(() => db.close());

const add = () => app.query("select library.add_book('acme', 'Dune')");
const list = () => app.query("select * from library.list_books('acme')");

test("a role may call nothing before grant, what its access says after it, and nothing after revoke", async () => {
  await expect(list()).rejects.toThrow("permission denied");

  const granted = await howdah(["grant", "library", app.name, "--access", "view"], db);
  expect(granted).toEqual({ code: 0, stdout: `${app.name} has view of library\n`, stderr: "" });
  await list();
  await expect(add()).rejects.toThrow("permission denied");

  await howdah(["grant", "library", app.name], db);
  await add();

  const listed = await howdah(["grants", "--json"], db);
  expect(JSON.parse(listed.stdout)).toEqual([
    { module: "library", role: app.name, access: "use", granted_at: expect.stringMatching(/^\d{4}-/) },
  ]);

  const revoked = await howdah(["revoke", "library", app.name], db);
  expect(revoked.stdout).toBe(`${app.name} has no access to library any more\n`);
  await expect(list()).rejects.toThrow("permission denied");
  const again = await howdah(["revoke", "library", app.name], db);
  expect(again).toEqual({ code: 0, stdout: `${app.name} had no access to library\n`, stderr: "" });
  expect((await howdah(["grants"], db)).stderr).toContain("No role was granted a module");
});

test("a module may name accesses of its own", async () => {
  expect((await howdah(["grant", "library", app.name, "--access", "reader"], db)).code).toBe(0);
  await list();
  await expect(add()).rejects.toThrow("permission denied");
  await howdah(["revoke", "library", app.name], db);
});

test("an unknown module, role or access ends with 2 and the nearest name", async () => {
  const wrong = async (...args: string[]) => {
    const { code, stderr } = await howdah(args, db);
    expect(code).toBe(2);
    return stderr;
  };
  expect(await wrong("grant", "libary", app.name)).toContain("hint: Did you mean library?");
  expect(await wrong("grant", "library", app.name.slice(0, -1))).toContain(`hint: Did you mean ${app.name}?`);
  expect(await wrong("grant", "library", app.name, "--access", "raeder")).toContain("hint: Did you mean reader?");
  expect(await wrong("revoke", "libary", app.name)).toContain("hint: Did you mean library?");
  expect(await wrong("revoke", "library", app.name.slice(0, -1))).toContain(`hint: Did you mean ${app.name}?`);
});
