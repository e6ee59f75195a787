import type { Module, Queryable } from "@howdah/core";
import { byCapability, type CatalogueFunction, type CatalogueTable, readFunctions, readTables } from "./catalogue.ts";
import { readComment } from "./comment.ts";
import { CommandError } from "./errors.ts";

/**
 * Writes the SQL reference of a schema as Markdown, from the comments that stand in the database.
 *
 * @param module groups the functions by the files that define them; without it they stand by name
 * @throws {HowdahError} `schema_not_found`
 */
export async function sqlReference(db: Queryable, schema: string, module?: Module): Promise<string> {
  const { rows } = await db.query<{ comment: string | null }>(
    "select obj_description(n.oid, 'pg_namespace') as comment from pg_namespace n where n.nspname = $1",
    [schema],
  );
  if (rows.length === 0) {
    throw new CommandError("schema_not_found", `schema ${schema} does not exist in this database`, {
      hint: "Run `howdah migrate` first",
    });
  }
  const groups = byCapability(await readFunctions(db, schema), module);
  const tables = await readTables(db, schema);
  const functions = groups.flatMap(({ name, prose, functions }) => [
    ...(name === undefined ? [groups.length > 1 ? "## Further functions" : "## Functions"] : [`## ${title(name)}`]),
    prose,
    ...functions.flatMap((one) => functionParts(schema, one, module)),
  ]);
  const parts = [
    `# Schema \`${schema}\``,
    rows[0]?.comment ?? "",
    ...functions,
    ...(tables.length === 0 ? [] : ["## Tables", ...tables.flatMap((one) => tableParts(schema, one))]),
  ];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

function functionParts(schema: string, one: CatalogueFunction, module: Module | undefined): string[] {
  const { prose, parameters, returns, errors, example } = readComment(one.comment ?? "");
  return [
    `### ${schema}.${one.name}`,
    block(signature(schema, one)),
    prose,
    one.parameters.length === 0
      ? ""
      : markdownTable(
          ["Parameter", "Type", "Default", "Meaning"],
          one.parameters.map((p) => [
            code(p.name),
            code(p.type),
            code(plainDefault(p.default)),
            parameters.get(p.name) ?? "",
          ]),
        ),
    returns === "" ? "" : `**Returns** ${returns}`,
    errors === "" ? "" : `**Errors** ${marked(errors)}`,
    module === undefined ? "" : `**Access** ${accessOf(one, module).map(code).join(", ")}`,
    example === "" ? "" : `**Example**\n\n${block(example)}`,
  ];
}

function tableParts(schema: string, { name, comment, key, columns }: CatalogueTable): string[] {
  return [
    `### ${schema}.${name}`,
    comment ?? "",
    markdownTable(
      ["Column", "Type", "Default", "Meaning"],
      columns.map((column) => [
        code(column.name),
        code(column.type + (column.required ? "" : " null")),
        code(plainDefault(column.default)),
        column.comment ?? "",
      ]),
    ),
    key === null ? "" : `**Key** ${key.replace(/^PRIMARY KEY /, "")}`,
  ];
}

/** The accesses that include a function. */
function accessOf({ name, readsOnly }: CatalogueFunction, { manifest: { access = {} } }: Module): string[] {
  if (access.admin?.includes(name)) return ["admin"];
  const sets = Object.keys(access).filter((set) => !["admin", "secret"].includes(set) && access[set]?.includes(name));
  return [...(readsOnly && !access.secret?.includes(name) ? ["view"] : []), "use", ...sets];
}

function signature(schema: string, { name, parameters, result }: CatalogueFunction): string {
  const list = parameters.map(
    (p) => `${p.name} ${p.type}${p.default === null ? "" : ` default ${plainDefault(p.default)}`}`,
  );
  const returns = /^TABLE\((.*)\)$/s.exec(result)?.[1];
  const call = wrapped(`${schema}.${name}(`, list, ")");
  const answer =
    returns === undefined ? result.replace(/^SETOF /, "setof ") : wrapped("table (", splitColumns(returns), ")");
  return `${call} returns ${answer}`;
}

/** On one line if it is short, else one item a line. */
function wrapped(open: string, items: readonly string[], close: string): string {
  const line = `${open}${items.join(", ")}${close}`;
  return line.length <= 72 ? line : `${open}\n  ${items.join(",\n  ")}\n${close}`;
}

/** `a text, b numeric(10,2)`: commas within brackets divide nothing. */
const splitColumns = (text: string): string[] => text.split(/, (?![^(]*\))/);

/** `'use'::text` as `'use'`, and `NULL::text` as `null`. */
const plainDefault = (text: string | null): string =>
  (text ?? "").replace(/^('(?:[^']|'')*'|NULL)::[\w .[\]"]+$/, "$1").replace(/^NULL$/, "null");

const title = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");

const block = (text: string): string => `\`\`\`sql\n${text}\n\`\`\``;

const code = (text: string): string => (text === "" ? "" : `\`${text}\``);

/** Error codes as code. */
const marked = (text: string): string => text.replace(/\b[a-z]+(?:[._][a-z0-9]+)+\b/g, "`$&`");

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((text) => text.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
