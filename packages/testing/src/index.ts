export type { Clock } from "./clock.ts";
export { crash, inRollback, race } from "./concurrency.ts";
export {
  type TestConnection,
  type TestDatabase,
  type TestDatabaseOptions,
  type TestRole,
  testDatabase,
} from "./database.ts";
export { explain, nodeTypes, type PlanNode, planNodes } from "./explain.ts";
export { hasPgBouncer, type Pooler, pooler } from "./pooler.ts";
export { type Server, type ServerKind, type ServerOptions, startServer } from "./server.ts";
