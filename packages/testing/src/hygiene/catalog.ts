import type { Queryable } from "@howdah/core";

/** What a database says about one schema, read at once so that rules are plain functions over it. */
export interface Catalog {
  readonly schema: string;
  readonly functions: readonly SqlFunction[];
  readonly tables: readonly Table[];
  readonly indexes: readonly Index[];
  readonly foreignKeys: readonly ForeignKey[];
  /** What PUBLIC may do: the object, and the right in lower case. */
  readonly publicRights: readonly { object: string; right: string }[];
  /** The names of functions, relations and types that need no schema. */
  readonly builtIn: ReadonlySet<string>;
  readonly hasPlpgsqlCheck: boolean;
}

export interface SqlFunction {
  /** The name with its schema, as opt-outs have it. */
  readonly object: string;
  readonly name: string;
  /** The object identifier in the database. */
  readonly oid: number;
  readonly language: string;
  readonly volatility: "immutable" | "stable" | "volatile";
  readonly isDefiner: boolean;
  readonly isTrigger: boolean;
  /** Settings such as `search_path=pg_catalog, pg_temp`. */
  readonly config: readonly string[];
  readonly comment: string | null;
  readonly parameters: readonly Parameter[];
  /** The columns of the result, if it has more than one value. */
  readonly columns: readonly string[];
  /** The result in words, such as `SETOF text`. */
  readonly result: string;
  /** The whole `create function` statement. */
  readonly definition: string;
  readonly body: string;
}

interface Parameter {
  readonly name: string;
  readonly type: string;
  readonly isOptional: boolean;
}

export interface Table {
  readonly object: string;
  readonly name: string;
  /** False for views and foreign tables. */
  readonly isStored: boolean;
  readonly isPartition: boolean;
  readonly hasRowSecurity: boolean;
  readonly hasPrimaryKey: boolean;
  readonly comment: string | null;
  readonly columns: readonly { name: string; comment: string | null }[];
  readonly policies: readonly { command: string; isForAll: boolean; expressions: string }[];
}

/** An index of a table that is not a partition. */
export interface Index {
  readonly object: string;
  readonly table: string;
  readonly method: string;
  readonly isPrimary: boolean;
  readonly isUnique: boolean;
  /** The keys in words, with collation, operator class and order where these are not the usual ones. */
  readonly keys: readonly string[];
  readonly include: readonly string[];
  readonly where: string | null;
}

interface ForeignKey {
  readonly object: string;
  readonly table: string;
  readonly columns: readonly string[];
}

/** Whether a function is for callers: helpers begin with an underscore, and triggers call themselves. */
export const isPublic = (f: SqlFunction): boolean => !f.name.startsWith("_") && !f.isTrigger;

const functions = `
  select n.nspname || '.' || p.proname as object, p.proname::text as name, p.oid::int, l.lanname::text as language,
    case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end as volatility,
    p.prosecdef as "isDefiner", p.prorettype in ('trigger'::regtype, 'event_trigger'::regtype) as "isTrigger",
    coalesce(p.proconfig, '{}') as config, obj_description(p.oid, 'pg_proc') as comment,
    coalesce(pg_get_function_result(p.oid), 'void') as result,
    case when p.prokind in ('f', 'p') then pg_get_functiondef(p.oid) else '' end as definition, p.prosrc as body,
    (
      select coalesce(json_agg(json_build_object(
        'name', coalesce(p.proargnames[a.i], ''),
        'type', format_type(a.type, null),
        'isOptional', a.input > p.pronargs - p.pronargdefaults
      ) order by a.i) filter (where a.mode in ('i', 'b', 'v')), '[]')
      from (
        select t.i, t.type, coalesce(p.proargmodes[t.i], 'i') as mode,
          count(*) filter (where coalesce(p.proargmodes[t.i], 'i') in ('i', 'b', 'v')) over (order by t.i) as input
        from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality t(type, i)
      ) a
    ) as parameters,
    coalesce(
      (
        select json_agg(p.proargnames[i] order by i)
        from generate_subscripts(p.proargmodes, 1) i
        where p.proargmodes[i] in ('o', 'b', 't')
      ),
      (
        select json_agg(a.attname order by a.attnum)
        from pg_type t
        join pg_attribute a on a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
        where t.oid = p.prorettype
      ),
      '[]'
    ) as columns
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  join pg_language l on l.oid = p.prolang
  where n.nspname = $1
  order by p.proname, p.oid`;

const tables = `
  select n.nspname || '.' || c.relname as object, c.relname::text as name, c.relkind in ('r', 'p') as "isStored",
    c.relispartition as "isPartition", c.relrowsecurity as "hasRowSecurity",
    obj_description(c.oid, 'pg_class') as comment,
    exists (select 1 from pg_index i where i.indrelid = c.oid and i.indisprimary) as "hasPrimaryKey",
    (
      select coalesce(json_agg(json_build_object(
        'name', a.attname,
        'comment', col_description(c.oid, a.attnum)
      ) order by a.attnum), '[]')
      from pg_attribute a
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ) as columns,
    (
      select coalesce(json_agg(json_build_object(
        'command', case p.polcmd
          when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
        'isForAll', p.polpermissive and 0 = any (p.polroles),
        'expressions', concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
      ) order by p.polname), '[]')
      from pg_policy p
      where p.polrelid = c.oid
    ) as policies
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'f')
  order by c.relname`;

const indexes = `
  select n.nspname || '.' || c.relname as object, t.relname::text as table, m.amname::text as method,
    i.indisprimary as "isPrimary", i.indisunique as "isUnique", pg_get_expr(i.indpred, i.indrelid) as where,
    k.keys, k.include
  from pg_index i
  join pg_class c on c.oid = i.indexrelid
  join pg_class t on t.oid = i.indrelid and not t.relispartition
  join pg_namespace n on n.oid = c.relnamespace
  join pg_am m on m.oid = c.relam,
    lateral (
      select coalesce(json_agg(concat_ws(' ', pg_get_indexdef(i.indexrelid, a.attnum, false),
          case when a.attnum <= i.indnkeyatts and i.indcollation[a.attnum - 1] <> 0
            then i.indcollation[a.attnum - 1]::regcollation end,
          case when not o.opcdefault then o.opcname end,
          case i.indoption[a.attnum - 1] & 3
            when 1 then 'desc nulls last' when 2 then 'nulls first' when 3 then 'desc' end
        ) order by a.attnum) filter (where a.attnum <= i.indnkeyatts), '[]') as keys,
        coalesce(json_agg(a.attname order by a.attnum) filter (where a.attnum > i.indnkeyatts), '[]') as include
      from pg_attribute a
      left join pg_opclass o on o.oid = i.indclass[a.attnum - 1] and a.attnum <= i.indnkeyatts
      where a.attrelid = i.indexrelid
    ) k
  where n.nspname = $1
  order by c.relname`;

const foreignKeys = `
  select n.nspname || '.' || c.conname as object, t.relname::text as table,
    (
      select json_agg(a.attname order by k.i)
      from unnest(c.conkey) with ordinality k(attnum, i)
      join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum
    ) as columns
  from pg_constraint c
  join pg_class t on t.oid = c.conrelid
  join pg_namespace n on n.oid = t.relnamespace
  where n.nspname = $1 and c.contype = 'f' and c.conparentid = 0
  order by c.conname`;

const publicRights = `
  select r.object, lower(x.privilege_type) as right
  from (
    select n.nspname::text as object, n.nspacl as acl from pg_namespace n where n.nspname = $1
    union all
    select n.nspname || '.' || p.proname, coalesce(p.proacl, acldefault('f', p.proowner))
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = $1
    union all
    select n.nspname || '.' || c.relname, c.relacl
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1
    union all
    select n.nspname || '.' || c.relname || '.' || a.attname, a.attacl
    from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = $1
  ) r, aclexplode(r.acl) x
  where x.grantee = 0
  order by 1, 2`;

// "bigserial" and its like are words of the grammar that no catalog knows.
const builtIn = `
  select array(
    select proname::text from pg_proc where pronamespace = 'pg_catalog'::regnamespace
    union select relname::text from pg_class where relnamespace = 'pg_catalog'::regnamespace
    union select typname::text from pg_type where typnamespace = 'pg_catalog'::regnamespace
    union select unnest(array['smallserial', 'serial', 'bigserial'])
  ) as names, exists (select 1 from pg_available_extensions where name = 'plpgsql_check') as "hasPlpgsqlCheck"`;

/** Reads what the rules want to know about a schema. */
export async function readCatalog(db: Queryable, schema: string): Promise<Catalog> {
  const read = async <R>(sql: string): Promise<R[]> => (await db.query<R>(sql, [schema])).rows;
  const { rows } = await db.query<{ names: string[]; hasPlpgsqlCheck: boolean }>(builtIn);
  return {
    schema,
    functions: await read<SqlFunction>(functions),
    tables: await read<Table>(tables),
    indexes: await read<Index>(indexes),
    foreignKeys: await read<ForeignKey>(foreignKeys),
    publicRights: await read<{ object: string; right: string }>(publicRights),
    builtIn: new Set(rows[0]?.names),
    hasPlpgsqlCheck: rows[0]?.hasPlpgsqlCheck ?? false,
  };
}
