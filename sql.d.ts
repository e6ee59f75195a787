/** A package's `sql` folder as text, put into the bundle by `scripts/sql-module.ts`. */
declare module "#sql" {
  /** File contents by path within `sql`, such as `migrations/0001_tables.sql`, in the order of their names. */
  export const files: Readonly<Record<string, string>>;
  /** The parsed `sql/manifest.json`: what the database looks like when all files are applied. */
  export const manifest: Readonly<Record<string, unknown>>;
}
