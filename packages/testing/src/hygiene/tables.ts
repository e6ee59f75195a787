// Rules about tables: whose rows they hold, who sees them, and what their indexes are for.
import type { Index, Table } from "./catalog.ts";
import type { Rule, Violation } from "./rule.ts";

/** The ledger of the schema howdah describes the installation, not a tenant: its tables have no namespace. */
const isLedger = (schema: string): boolean => schema === "howdah";

export const tableComment: Rule = {
  name: "table-comment",
  says: "every table and column has a comment",
  check: ({ catalog }) =>
    catalog.tables
      .filter((table) => !table.isPartition)
      .flatMap((table) => [
        { object: table.object, comment: table.comment },
        ...table.columns.map(({ name, comment }) => ({ object: `${table.object}.${name}`, comment })),
      ])
      .filter(({ comment }) => !comment?.trim())
      .map(({ object }) => ({ object, problem: "has no comment" })),
};

export const rowSecurity: Rule = {
  name: "row-security",
  says: "every table and partition has row-level security, with policies for all commands that ask for the tenant",
  check: ({ catalog }) =>
    catalog.tables
      .filter((table) => table.isStored)
      .flatMap((table) => securityProblems(table).map((problem) => ({ object: table.object, problem }))),
};

function securityProblems(table: Table): string[] {
  const problems: string[] = [];
  if (!table.hasRowSecurity) problems.push("has no row-level security");
  const covered = table.policies.filter((policy) => policy.isForAll).map((policy) => policy.command);
  const open = ["select", "insert", "update", "delete"].filter(
    (command) => !covered.includes("all") && !covered.includes(command),
  );
  if (open.length > 0) problems.push(`has no policy for ${open.join(", ")}`);
  const isOfTenants = table.columns.some((column) => column.name === "namespace");
  if (isOfTenants && table.policies.some(({ expressions }) => !expressions.includes("namespace = howdah.tenant()"))) {
    problems.push("has a policy that does not say namespace = howdah.tenant()");
  }
  return problems;
}

export const tenantKeys: Rule = {
  name: "tenant-keys",
  says: "every table has a primary key, and all primary keys, unique indexes and foreign keys begin with namespace",
  check: ({ catalog }) => {
    const keys = isLedger(catalog.schema)
      ? []
      : [
          ...catalog.indexes
            .filter((index) => index.isUnique)
            .map((index) => ({ object: index.object, first: index.keys[0]?.split(" ")[0] })),
          ...catalog.foreignKeys.map((key) => ({ object: key.object, first: key.columns[0] })),
        ];
    return [
      ...catalog.tables
        .filter((table) => table.isStored && !table.hasPrimaryKey)
        .map(({ object }) => ({ object, problem: "has no primary key" })),
      ...keys
        .filter(({ first }) => first !== "namespace")
        .map(({ object, first }) => ({ object, problem: `begins with ${first}` })),
    ];
  },
};

export const foreignKeyIndex: Rule = {
  name: "foreign-key-index",
  says: "every foreign key has an index that begins with its columns",
  check: ({ catalog }) =>
    catalog.foreignKeys
      .filter((key) => {
        const serves = ({ table, where, keys }: Index): boolean =>
          table === key.table &&
          where === null &&
          key.columns.every((column) => keys.slice(0, key.columns.length).some((k) => k.split(" ")[0] === column));
        return !catalog.indexes.some(serves);
      })
      .map(({ object, columns }) => ({ object, problem: `has no index on (${columns.join(", ")})` })),
};

export const duplicateIndex: Rule = {
  name: "duplicate-index",
  says: "no index begins another one",
  check: ({ catalog }) =>
    catalog.indexes.flatMap((index): Violation[] => {
      const other = catalog.indexes.find((candidate) => makesNeedless(candidate, index));
      return other ? [{ object: index.object, problem: `is the beginning of ${other.object}` }] : [];
    }),
};

function makesNeedless(other: Index, index: Index): boolean {
  const isSame = other.keys.length === index.keys.length;
  return (
    other !== index &&
    other.table === index.table &&
    other.method === index.method &&
    other.where === index.where &&
    index.keys.every((key, i) => key === other.keys[i]) &&
    index.include.every((column) => [...other.keys, ...other.include].includes(column)) &&
    // A key may be what an index is for. Of two that are quite the same, one goes: not the primary key.
    (!index.isUnique || (isSame && other.isUnique)) &&
    !index.isPrimary &&
    (!isSame || other.isPrimary || other.isUnique > index.isUnique || other.object < index.object)
  );
}
