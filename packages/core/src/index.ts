export { type CallQuery, call, type Fn, type FnSpec, fn } from "./call.ts";
export { ModuleClient } from "./client.ts";
export type { Actor, Context } from "./context.ts";
export { coreModule } from "./core-module.ts";
export {
  type CallInfo,
  type ConnectOptions,
  connect,
  type Database,
  type Hook,
  isDatabase,
  type Target,
  type Transaction,
  type TransactionOptions,
  transaction,
} from "./database.ts";
export type { Connection, Driver, OwnConnection, Query, Queryable, Result } from "./driver.ts";
export { type Duration, interval, milliseconds } from "./duration.ts";
export {
  ChecksumMismatchError,
  ConflictError,
  ConnectionError,
  type Drift,
  type ErrorFields,
  HowdahError,
  isConnectionFailure,
  LimitError,
  MigrationError,
  NotFoundError,
  PermissionError,
  PoolerError,
  RetryableError,
  redact,
  SchemaBehindError,
  SchemaDriftError,
  SchemaTooNewError,
  StateError,
  toHowdahError,
  ValidationError,
} from "./errors.ts";
export {
  type Maintenance,
  type MaintenanceOptions,
  type MaintenanceTask,
  maintain,
  maintenance,
} from "./maintenance.ts";
export {
  type AppliedStep,
  type MigrateOptions,
  type MigrationReport,
  type ModuleMigration,
  type ModuleStatus,
  migrate,
  plan,
  prepare,
  status,
} from "./migrate.ts";
export {
  type Access,
  type Command,
  defineCommand,
  defineModule,
  defineSeed,
  type Manifest,
  type Module,
  type ModuleDefinition,
  type ModuleFile,
  type SeedChange,
  type SeedOptions,
  type SeedSection,
  type TourStop,
} from "./module.ts";
export type { PGliteLike } from "./pglite.ts";
export type { ModuleState, Step } from "./plan.ts";
export { backoff, type RetryOptions, retry } from "./retry.ts";
export { type ScriptOptions, script } from "./script.ts";
export type { SubscribeOptions, Subscription, SubscriptionHandlers } from "./subscribe.ts";
export { JsonText, type SqlType } from "./values.ts";
export { type VerifyOptions, verify } from "./verify.ts";
