import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Module } from "@howdah/core";
import { afterAll, describe, expect, test } from "vitest";
import { type TestDatabase, testDatabase } from "./database.ts";
import { readCatalog } from "./hygiene/catalog.ts";
import { clientCalls, clientMethods, readOnly, tested } from "./hygiene/client.ts";
import { definerPath, functionComment, maintainSignature, parameterNames, pinnedPath } from "./hygiene/functions.ts";
import { equalInstalls, freshManifest, plpgsqlCheck } from "./hygiene/install.ts";
import { dynamicSql, otherModules, qualifiedNames } from "./hygiene/names.ts";
import { publicRights, viewAccess, viewSecrets } from "./hygiene/rights.ts";
import type { ClientFunction, Rule, Subject, Violation } from "./hygiene/rule.ts";
import { readSources } from "./hygiene/source.ts";
import { fileStyle } from "./hygiene/style.ts";
import { duplicateIndex, foreignKeyIndex, rowSecurity, tableComment, tenantKeys } from "./hygiene/tables.ts";

export type { ClientFunction, Rule, Subject, Violation } from "./hygiene/rule.ts";

/** All rules. A new one is a value in one of the files of `hygiene/`, a line here, and a bad example in the tests. */
export const rules: readonly Rule[] = [
  functionComment,
  pinnedPath,
  definerPath,
  parameterNames,
  maintainSignature,
  tableComment,
  rowSecurity,
  tenantKeys,
  foreignKeyIndex,
  duplicateIndex,
  publicRights,
  viewAccess,
  viewSecrets,
  qualifiedNames,
  otherModules,
  dynamicSql,
  clientMethods,
  clientCalls,
  readOnly,
  tested,
  freshManifest,
  equalInstalls,
  plpgsqlCheck,
  fileStyle,
];

/** An exception to a rule. One that is not needed, or not any more, fails. */
export interface OptOut {
  /** The rule's name, as a failure shows it. */
  rule: string;
  /** The object as a failure names it. */
  object: string;
  /** Why the rule does not fit here. */
  reason: string;
}

/** What {@link hygiene} may know beside the module. */
export interface HygieneOptions {
  /** What the module's client calls: the values that `fn` of `@howdah/core` returned. */
  clients?: readonly ClientFunction[];
  ignore?: readonly OptOut[];
}

/**
 * Registers one vitest test for each rule that every module keeps: that it is documented, that rows and functions are closed
 * to strangers, that names and indexes are what they should be, that installing it gives what its manifest says.
 *
 * Call it in a file of the package's `test` folder, whose other files are searched for the tests of each function.
 */
export function hygiene(module: Module, options: HygieneOptions = {}): void {
  const { clients, ignore = [] } = options;
  for (const { rule, object, reason } of ignore) {
    if (!rules.some(({ name }) => name === rule)) throw new Error(`There is no rule ${rule} to opt out of`);
    if (!reason.trim()) throw new Error(`The opt-out of ${object} from ${rule} has no reason`);
  }
  describe(`hygiene of ${module.name}`, async () => {
    const db = await testDatabase({ modules: module.name === "howdah" ? [] : [module] });
    afterAll(() => db.close());
    const subject = await inspect(db, module, { clients, tests: readTests() });
    for (const rule of rules) {
      const obstacle = rule.skip?.(subject);
      if (obstacle) test.skip(`${rule.says} (not checked: ${obstacle})`, () => {});
      else test(rule.says, async () => report(rule, await rule.check(subject), ignore));
    }
  });
}

/** Reads what the rules look at from a database that the module is installed in. */
export async function inspect(
  db: TestDatabase,
  module: Module,
  around: { clients?: readonly ClientFunction[] | undefined; tests?: Readonly<Record<string, string>> } = {},
): Promise<Subject> {
  const catalog = await readCatalog(db, module.name);
  const sources = await readSources(module, catalog);
  return { module, db, catalog, sources, clients: around.clients, tests: around.tests ?? {} };
}

/** Fails with all violations that nothing excuses, and with all excuses that nothing needs. */
export function report(rule: Rule, violations: readonly Violation[], ignore: readonly OptOut[]): void {
  const excuses = ignore.filter((optOut) => optOut.rule === rule.name);
  const lines = [
    ...violations
      .filter(({ object }) => !excuses.some((excuse) => excuse.object === object))
      .map(({ object, problem }) => `${object} ${problem}`),
    ...excuses
      .filter(({ object }) => !violations.some((violation) => violation.object === object))
      .map(({ object }) => `${object} needs no opt-out`),
  ];
  if (lines.length > 0) throw new Error(`${rule.name}:\n  ${lines.join("\n  ")}`);
}

/** The other files of the folder that the running test file is in. */
function readTests(): Record<string, string> {
  const { testPath } = expect.getState();
  if (testPath === undefined) return {};
  const folder = dirname(testPath);
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".ts") && join(folder, name) !== testPath,
  );
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}
