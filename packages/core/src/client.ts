import { call, type Fn } from "./call.ts";
import type { Actor, Context } from "./context.ts";
import type { Queryable } from "./driver.ts";

/** The base of every module's client: where its calls go, for which tenant, and in whose name. */
export class ModuleClient {
  protected readonly db: Queryable;
  protected readonly context: Context;

  constructor(db: Queryable, context: Context) {
    this.db = db;
    this.context = context;
  }

  /** The same client inside a transaction: its calls commit or roll back with everything else in it. */
  using(tx: Queryable): this {
    return this.derive({ db: tx });
  }

  /** The same client, acting as somebody. Inside a transaction the actor stays set until the transaction ends. */
  as(actor: Actor): this {
    return this.derive({ context: { ...this.context, actor } });
  }

  /** The same client for another tenant. */
  in(namespace: string): this {
    return this.derive({ context: { ...this.context, namespace } });
  }

  /** Calls a SQL function of the module in this client's context. */
  protected call<A, R>(f: Fn<A, R>, args: A): Promise<R> {
    return call(this.db, f, args, this.context);
  }

  private derive(changes: { db?: Queryable; context?: Context }): this {
    return Object.assign(Object.create(Object.getPrototypeOf(this)), this, changes) as this;
  }
}
