import { celEnv, parse, plan } from "@bufbuild/cel";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { renderCondition } from "../src/compiler/condition.ts";
import { compileModel, type OpenFgaModel } from "../src/compiler/index.ts";
import { createAuthz } from "../src/index.ts";
import { authzModule } from "../src/module.ts";
import { rows, value } from "./sql.ts";

process.env.TZ = "UTC"; // the other implementation counts in the local zone, where an hour may be missing

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
});
afterAll(() => db.close());

const getters = [
  "getFullYear",
  "getMonth",
  "getDayOfMonth",
  "getDate",
  "getDayOfWeek",
  "getDayOfYear",
  "getHours",
  "getMinutes",
  "getSeconds",
  "getMilliseconds",
];
const parts = (time: string, zone: string): string =>
  `[${getters.map((getter) => `${time}.${getter}("${zone}")`).join(", ")}]`;

const parameters = {
  t: { type_name: "TYPE_NAME_TIMESTAMP" },
  parts: { type_name: "TYPE_NAME_LIST", generic_types: [{ type_name: "TYPE_NAME_INT" }] },
};
const inZone = (zone: string) => ({ name: "in_zone", expression: `${parts("t", zone)} == parts`, parameters });

/** What the other implementation says of a time in a zone. */
function expected(time: string, zone: string): number[] {
  const result = plan(celEnv(), parse(parts(`timestamp("${time}")`, zone)))();
  return [...(result as Iterable<bigint>)].map(Number);
}

/** A model of which one condition names a zone. */
const zoned = (zone: string): OpenFgaModel => ({
  schema_version: "1.1",
  type_definitions: [
    { type: "user" },
    {
      type: "document",
      relations: { viewer: { this: {} } },
      metadata: {
        relations: { viewer: { directly_related_user_types: [{ type: "user", condition: "in_zone" }] } },
      },
    },
  ],
  conditions: { in_zone: inZone(zone) },
});

// Midnights, ends of months, and the nights in which clocks change, north and south.
const times = [
  "1999-12-31T23:59:59.999Z",
  "2016-02-29T00:00:00Z",
  "2019-03-10T06:59:59Z",
  "2019-03-10T07:00:00Z",
  "2019-10-27T00:30:00Z",
  "2019-10-27T01:30:00Z",
  "2020-04-04T14:59:59.5Z",
  "2020-04-04T15:00:00Z",
  "2021-06-30T12:34:56.789Z",
  "2021-12-31T10:00:00Z",
];

test.each([
  ...["Europe/Berlin", "America/New_York", "America/Argentina/Buenos_Aires", "America/Port-au-Prince", "Asia/Kolkata"],
  ...["Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Chatham", "Africa/Casablanca", "Etc/UTC"],
  ...["europe/berlin", "AMERICA/NEW_YORK", "US/Pacific", "Asia/Calcutta", "Etc/GMT+3", "Etc/GMT-14", "etc/gmt+3"],
  ...["UTC", "GMT", "+03:00", "-03:00", "05:45", "-00:30", "-09:30", "+14:00"],
])("times in zone %s have the parts that they have in another implementation of CEL", async (zone) => {
  const { body, problems } = renderCondition("in_zone", inZone(zone));
  expect(problems).toEqual([]);
  await db.transaction(async (tx) => {
    await tx.query(
      `create function authz_rt.in_zone(p_stored jsonb, p_context jsonb) returns boolean language plpgsql stable
       as $body$ ${body} $body$`,
    );
    const asked = times.map((t) => ({ t, parts: expected(t, zone) }));
    // What a session says about zones, its own one included, is not about these.
    for (const setting of ["timezone to 'UTC+3'", "intervalstyle to 'sql_standard'", "timezone to 'EST5EDT'"]) {
      await tx.query(`set local ${setting}`);
      const wrong = "select c from jsonb_array_elements($1) c where authz_rt.in_zone(null, c) is not true";
      expect(await rows(tx, wrong, [JSON.stringify(asked)])).toEqual([]);
    }
    await tx.query("drop function authz_rt.in_zone");
  });
});

test.each([
  ...["UTC+3", "UTC-3", "GMT+3", "Etc/UTC+3", "Foo/Bar+3", "Foo/Bar3", "Europe/Berlin-1", "<+03>-3", "EST5EDT"],
  ...["SystemV/PST8", "SystemV/PST8PDT", "Etc/GMT+99", "CET", "Z", "+3", "+03", "+0300", "+03:60", ""],
  ...["Mars/Base", " Europe/Berlin", "Europe/Berlin ", ":Europe/Berlin", "posix/Europe/Berlin", "localtime"],
])("a zone %j, which PostgreSQL may read in a way of its own, is refused", (zone) => {
  const message = "the time zone must be written out, such as Europe/Berlin or +02:00";
  expect(renderCondition("in_zone", inZone(zone)).problems).toEqual([{ message, position: 3 }]);
});

test("a model is refused when it names a zone that only the compiler knows, and no check fails later", async () => {
  const { model } = createAuthz(db, { namespace: "acme" });
  const compiled = compileModel({ model: zoned("Europe/Berlin") });
  const elsewhere = { ...compiled, sql: compiled.sql.replaceAll("Europe/Berlin", "Mars/Base") };
  await expect(model.install(elsewhere)).rejects.toMatchObject({
    code: "model_invalid",
    message: expect.stringContaining("Mars/Base"),
    detail: { field: "time_zone", value: "Mars/Base" },
  });
  expect(await value(db, "select count(*)::int from authz.programs")).toBe(0);
  await model.write(zoned("Europe/Berlin"));
  await model.write(zoned("europe/berlin"));
  await model.write(zoned("+02:00"));
  expect(await model.list()).toHaveLength(3);
});
