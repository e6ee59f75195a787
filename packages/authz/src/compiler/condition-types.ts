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

/** A text as a SQL literal, whatever it contains and however the session reads backslashes. */
export function literal(text: string): string {
  const quoted = text.replaceAll("'", "''");
  return quoted.includes("\\") ? `E'${quoted.replaceAll("\\", "\\\\")}'` : `'${quoted}'`;
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

/** The SQL that makes a value jsonb; undefined for types that JSON does not have. */
export function json({ type, sql }: Value): string | undefined {
  if (["any", "null", "list", "map"].includes(type.name)) return sql;
  if (["timestamp", "duration", "ipaddress"].includes(type.name)) return undefined;
  return `to_jsonb(${sql})`;
}
