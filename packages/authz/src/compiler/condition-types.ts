// The types of CEL, as SQL has them.

/** A type of CEL, and the SQL type that its values have. */
export interface CelType {
  name: keyof typeof sqlTypes;
  sql: string;
  /** The type of a list's elements or a map's values. */
  of?: CelType;
}

/** A part of a condition in SQL. */
export interface Value {
  type: CelType;
  sql: string;
  /** The string itself, where it stands in the condition. */
  constant?: string | undefined;
}

const sqlTypes = {
  bool: "boolean",
  string: 'text collate "C"',
  int: "bigint",
  uint: "numeric",
  double: "double precision",
  duration: "interval",
  timestamp: "timestamptz",
  ipaddress: "inet",
  list: "jsonb",
  map: "jsonb",
  any: "jsonb",
  null: "jsonb",
} as const;

/** The type of a name, which may be written as OpenFGA does: `TYPE_NAME_LIST`. */
export function celType(name: string, of?: string): CelType | undefined {
  const short = name.replace(/^TYPE_NAME_/, "").toLowerCase();
  if (!Object.hasOwn(sqlTypes, short) || short === "null") return undefined;
  const known = short as CelType["name"];
  if (known !== "list" && known !== "map") return { name: known, sql: sqlTypes[known] };
  const inner = celType(of ?? "any");
  return inner && { name: known, sql: sqlTypes[known], of: inner };
}

/** A type as it is written in a model. */
export const describe = ({ name, of }: CelType): string => (of ? `${name}<${of.name}>` : name);

/**
 * A text as a SQL literal on one line, whatever it contains and however the session reads backslashes. It never ends the
 * dollar quotes of the function in which it stands.
 */
export function literal(text: string): string {
  const escaped = text
    .replaceAll("\\", "\\\\")
    .replace(/\p{Cc}|\p{Zl}|\p{Zp}|\$(?=.)/gsu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .replaceAll("'", "''");
  return `${escaped.includes("\\") ? "E" : ""}'${escaped}'`;
}

/** The SQL that reads a jsonb value as one of a type, null if it is none. */
export function read(sql: string, { name, of }: CelType): string {
  switch (name) {
    case "any":
    case "null":
      return sql;
    case "list":
    case "map":
      return `authz._cel_${name}(${sql}, ${literal(of?.name ?? "any")})`;
    case "timestamp":
    case "duration":
      return `authz._cel_${name}(authz._cel_string(${sql}))`;
    case "ipaddress":
      return `authz._cel_ip(authz._cel_string(${sql}))`;
    default:
      return `authz._cel_${name}(${sql})`;
  }
}

/** The SQL that reads a jsonb value of no known type as one of a type. Only what declares a type converts strings to it. */
export function readAny(sql: string, type: CelType): string {
  const isNumber = ["int", "uint", "double"].includes(type.name);
  return isNumber ? `authz._cel_to_${type.name}(authz._cel_json_number(${sql}))` : read(sql, type);
}

/** Whether JSON does not have the type, so that its values are strings there. */
export const isForeign = ({ name, of }: CelType): boolean =>
  ["timestamp", "duration", "ipaddress"].includes(name) || (of !== undefined && isForeign(of));

/** The SQL that makes a value jsonb; undefined for types that JSON does not have. */
export function json({ type, sql }: Value): string | undefined {
  if (isForeign(type)) return undefined;
  return ["any", "null", "list", "map"].includes(type.name) ? sql : `to_jsonb(${sql})`;
}
