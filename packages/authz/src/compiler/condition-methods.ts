// The functions and methods of CEL that conditions may call, each by the types of what it is called with.
import { isIP } from "node:net";
import { type CelType, literal, type Value } from "./condition-types.ts";
import { toPostgres } from "./regular-expression.ts";

interface Method {
  name: string;
  /** Whether it is written behind its first argument: `a.name(b)`. */
  isMethod: boolean;
  /** The types of its arguments, with that before the dot first. */
  signature: readonly CelType["name"][];
  result: CelType["name"];
  sql(...args: Value[]): string;
  /** What is wrong with the arguments, if anything is. */
  check?(...args: Value[]): string | undefined;
  /** The time zone that the server must know, if there is one. */
  timeZone?(...args: Value[]): string | undefined;
}

const unless =
  (test: (text: string) => boolean, what: string) =>
  ({ constant }: Value): string | undefined =>
    constant === undefined || test(constant) ? undefined : `${JSON.stringify(constant)} is no ${what}`;

const isDuration = (text: string): boolean =>
  text === "0" || /^[+-]?([0-9]{1,12}(\.[0-9]{0,9})?(ns|us|µs|ms|s|m|h)){1,7}$/.test(text);
const isTimestamp = (text: string): boolean =>
  /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/.test(text) &&
  !Number.isNaN(Date.parse(text.toUpperCase()));

const methods: readonly Method[] = [
  fromString("timestamp", (text) => `authz._cel_timestamp(${text})`, isTimestamp, "time as RFC 3339 writes it"),
  fromString("duration", (text) => `authz._cel_duration(${text})`, isDuration, "duration such as 1h30m"),
  fromString(
    "ipaddress",
    (text) => `authz._cel_ip(${text})`,
    (text) => isIP(text) > 0,
    "IP address",
  ),
  {
    name: "in_cidr",
    isMethod: true,
    signature: ["ipaddress", "string"],
    result: "bool",
    sql: (ip, network) => `(${ip.sql} <<= authz._cel_cidr(${network.sql}))`,
    check: (_, network) => unless(isNetwork, "network such as 10.0.0.0/8")(network),
  },
  stringTest("startsWith", (text, part) => `starts_with(${text}, ${part})`),
  stringTest("endsWith", (text, part) => `(right(${text}, length(${part})) = ${part})`),
  stringTest("contains", (text, part) => `(position(${part} in ${text}) > 0)`),
  ...[true, false].map(
    (isMethod): Method => ({
      name: "matches",
      isMethod,
      signature: ["string", "string"],
      result: "bool",
      sql: (text, { constant = "" }) => `(${text.sql} collate "C" ~ ${literal(toPostgres(constant).pattern)})`,
      check: (_, { constant }) =>
        constant === undefined ? "the pattern must be written out" : toPostgres(constant).problem,
    }),
  ),
  ...(["any", "string", "list", "map"] as const).flatMap((type) =>
    [true, false].map(
      (isMethod): Method => ({ name: "size", isMethod, signature: [type], result: "int", sql: sizeOf(type) }),
    ),
  ),
  ...Object.entries({
    getFullYear: "year",
    getMonth: "month - 1",
    getDayOfMonth: "day - 1",
    getDate: "day",
    getDayOfWeek: "dow",
    getDayOfYear: "doy - 1",
    getHours: "hour",
    getMinutes: "minute",
    getSeconds: "second",
    getMilliseconds: "milliseconds",
  }).flatMap(([name, field]) => getters(name, field)),
];

/** The methods of a name that take so many arguments, with that before the dot. */
export const matchMethods = (name: string, isMethod: boolean, count: number): readonly Method[] =>
  methods.filter((m) => m.name === name && m.isMethod === isMethod && m.signature.length === count);

function fromString(
  name: "timestamp" | "duration" | "ipaddress",
  sql: (text: string) => string,
  test: (text: string) => boolean,
  what: string,
): Method {
  return {
    name,
    isMethod: false,
    signature: ["string"],
    result: name,
    sql: (text) => sql(text.sql),
    check: unless(test, what),
  };
}

function stringTest(name: string, sql: (text: string, part: string) => string): Method {
  const signature = ["string", "string"] as const;
  return { name, isMethod: true, signature, result: "bool", sql: (text, part) => sql(text.sql, part.sql) };
}

function sizeOf(type: CelType["name"]): Method["sql"] {
  return ({ sql }) => (type === "string" ? `length(${sql})::bigint` : `authz._cel_size(${sql})`);
}

/** A part of a time, in UTC or in a time zone that the condition names. */
function getters(name: string, field: string): Method[] {
  const [part = "", ...offset] = field.split(" ");
  const sql = (time: Value, zone: string): string => {
    const value = `floor(extract(${part} from ${time.sql} at time zone ${zone}))::bigint`;
    if (part === "milliseconds") return `mod(${value}, 1000)`;
    return offset.length > 0 ? `(${value} ${offset.join(" ")})` : value;
  };
  return [
    { name, isMethod: true, signature: ["timestamp"], result: "int", sql: (time) => sql(time, zoneSql("UTC")) },
    {
      name,
      isMethod: true,
      signature: ["timestamp", "string"],
      result: "int",
      sql: (time, { constant = "" }) => sql(time, zoneSql(constant)),
      check: (_, { constant }) =>
        constant !== undefined && isZone(constant)
          ? undefined
          : "the time zone must be written out, such as Europe/Berlin or +02:00",
      timeZone: (_, { constant = "" }) => (isOffset(constant) || isUtc(constant) ? undefined : constant),
    },
  ];
}

const isOffset = (zone: string): boolean => /^[+-]?(0\d|1[0-4]):[0-5]\d$/.test(zone);
const isUtc = (zone: string): boolean => ["UTC", "GMT"].includes(zone);

/** A time zone as PostgreSQL takes it. */
function zoneSql(zone: string): string {
  if (isUtc(zone)) return "interval '0'";
  return isOffset(zone) ? `interval '${zone}'` : literal(zone);
}

/**
 * Zones of which all say the same. A word such as CET is an abbreviation in PostgreSQL, whose meaning depends on settings; and a
 * name with a number, such as UTC+3 or X/Y3, is a zone west of Greenwich there, be it known or not.
 */
function isZone(zone: string): boolean {
  if (isOffset(zone) || isUtc(zone)) return true;
  try {
    return namedZone.test(zone) && Boolean(new Intl.DateTimeFormat("en", { timeZone: zone }));
  } catch {
    return false;
  }
}
const namedZone = /^(Etc\/GMT[+-]?\d{1,2}|[A-Za-z_]+(\/[A-Za-z_-]+)+)$/i;

/** Whether a text is an IPv4 or IPv6 address with the length of a network's prefix. */
function isNetwork(text: string): boolean {
  const [, address = "", bits] = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  const version = isIP(address);
  return version > 0 && Number(bits) <= (version === 4 ? 32 : 128);
}
