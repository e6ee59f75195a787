import type { Module, Queryable } from "@howdah/core";

/** A public function as the catalogue knows it. */
export interface CatalogueFunction {
  name: string;
  parameters: { name: string; type: string; default: string | null }[];
  result: string;
  /** True if it changes nothing. */
  readsOnly: boolean;
  comment: string | null;
}

/** A table and its columns. */
export interface CatalogueTable {
  name: string;
  comment: string | null;
  key: string | null;
  columns: { name: string; type: string; required: boolean; default: string | null; comment: string | null }[];
}

/** The functions that users of a schema call, by name. */
export async function readFunctions(db: Queryable, schema: string): Promise<CatalogueFunction[]> {
  const { rows } = await db.query<CatalogueFunction>(
    `select p.proname::text as name, pg_get_function_result(p.oid) as result, p.provolatile <> 'v' as "readsOnly",
       obj_description(p.oid, 'pg_proc') as comment,
       (select coalesce(jsonb_agg(jsonb_build_object('name', p.proargnames[a.number], 'type', format_type(a.type, null),
            'default', pg_get_function_arg_default(p.oid, a.number::int)) order by a.number), '[]')
        from unnest(p.proargtypes::oid[]) with ordinality a (type, number)) as parameters
     from pg_proc p
     where p.pronamespace = to_regnamespace(quote_ident($1))
       and left(p.proname, 1) <> '_'
       and p.prorettype <> 'trigger'::regtype
     order by p.proname, p.oid`,
    [schema],
  );
  return rows;
}

/** The tables of a schema, without partitions. */
export async function readTables(db: Queryable, schema: string): Promise<CatalogueTable[]> {
  const { rows } = await db.query<CatalogueTable>(
    `select c.relname::text as name, obj_description(c.oid, 'pg_class') as comment,
       (select pg_get_constraintdef(k.oid) from pg_constraint k where k.conrelid = c.oid and k.contype = 'p') as key,
       (select jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
            'required', a.attnotnull, 'comment', col_description(c.oid, a.attnum),
            'default', case when a.attidentity <> '' then 'identity' else pg_get_expr(d.adbin, d.adrelid) end)
            order by a.attnum)
        from pg_attribute a
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
     from pg_class c
     where c.relnamespace = to_regnamespace(quote_ident($1)) and c.relkind in ('r', 'p') and not c.relispartition
     order by c.relname`,
    [schema],
  );
  return rows;
}

/** Functions that belong together: one SQL file of the module, in the order in which it defines them. */
export interface Capability {
  /** The file's name without folder and ending, such as `push`; undefined where no file is known. */
  name: string | undefined;
  /** The idea, as the file's first comment tells it. */
  prose: string;
  functions: CatalogueFunction[];
}

/** Groups functions by the file that defines them. Those that no file defines come last, or alone. */
export function byCapability(functions: readonly CatalogueFunction[], module: Module | undefined): Capability[] {
  const left = new Set(functions);
  const groups: Capability[] = [];
  for (const { path, text, kind } of module?.files ?? []) {
    if (kind !== "repeatable") continue;
    const defined = text.matchAll(/^create (?:or replace )?function\s+\w+\.(\w+)/gim);
    const found = [...defined].flatMap(([, name]) => [...left].filter((one) => one.name === name));
    for (const one of found) left.delete(one);
    const name = path.replace(/^.*\/|\.sql$/g, "");
    if (found.length > 0) groups.push({ name, prose: openingProse(text), functions: [...new Set(found)] });
  }
  if (left.size > 0) groups.push({ name: undefined, prose: "", functions: [...left] });
  return groups;
}

/** The comment that a file opens with. */
function openingProse(text: string): string {
  const lines = text.split("\n").filter((line, i) => i > 0 || !line.startsWith("-- howdah:"));
  const end = lines.findIndex((line) => !line.startsWith("--"));
  return lines
    .slice(0, end === -1 ? undefined : end)
    .map((line) => line.replace(/^-- ?/, "").trimEnd())
    .join("\n")
    .trim();
}
