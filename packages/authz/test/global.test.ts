// Namespace global is everybody's to read and administrators' to write, by whichever function.
import { inRollback, type TestDatabase, type TestRole, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { authzModule } from "../src/module.ts";
import { argumentsOf, call, type Place, publicFunctions, settle } from "./functions.ts";

const db: TestDatabase = await testDatabase({ modules: [authzModule] });
afterAll(() => db.close());
const functions = (await publicFunctions(db)).filter(({ parameters }) =>
  parameters.some(({ name }) => name === "p_namespace"),
);
const [place] = (await settle(db)) as [Place];

let roles: Record<"plain" | "bypass" | "admin", TestRole>;
beforeAll(async () => {
  // What namespace modelled has is everybody's from here on.
  for (const table of ["tuples", "permission_hierarchy", "roles", "permissions"]) {
    await db.query(`update authz.${table} set namespace = 'global' where namespace = 'modelled'`);
  }
  await db.query(
    `alter table authz.active_models drop constraint active_models_model_fkey;
     update authz.models set namespace = 'global' where namespace = 'modelled';
     update authz.active_models set namespace = 'global' where namespace = 'modelled'`,
  );
  roles = { plain: await db.role("plain"), bypass: await db.role("bypass"), admin: await db.role("admin") };
  for (const role of Object.values(roles)) await role.grant("authz", role === roles.admin ? "admin" : "use");
  await db.query(
    `alter role ${roles.bypass.name} bypassrls;
     grant execute on all functions in schema authz to ${roles.plain.name}, ${roles.bypass.name}`,
  );
});

describe.each(functions)("$name", (f) => {
  test.each(["plain", "bypass", "admin"] as const)("in namespace global by a role that is %s", async (kind) => {
    for (const tenant of [null, "global"]) {
      await inRollback(roles[kind], async (client) => {
        if (tenant) await client.query("select howdah.set_tenant($1)", [tenant]);
        const args = argumentsOf(f, { ...place, namespace: "global" });
        const code = await call(client, f, args).then(
          () => "done",
          (error: { constraint?: string; message: string }) => error.constraint ?? error.message,
        );
        expect(code).toBe(f.isStable || kind === "admin" ? "done" : "global_write_denied");
      });
    }
  });
});
