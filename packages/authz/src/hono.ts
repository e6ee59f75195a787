import type { Context, Env, MiddlewareHandler } from "hono";
import { type Denial, denialResponse, type Guarded, type GuardOptions, makeGuard } from "./guard.ts";
import type { Predicate } from "./predicates.ts";

export type { Denial, Guarded, GuardOptions } from "./guard.ts";

/** How a guard for Hono is made. */
export interface HonoGuardOptions<E extends Env = Env> extends GuardOptions<Context<E>> {
  /** Answers in place of the JSON that is sent if this does not. */
  onDenied?: (context: Context<E>, denial: Denial) => Response | undefined | Promise<Response | undefined>;
}

/**
 * Guards for Hono: `app.use(await authzHono(authz).require(hasRole("admin")))`. `E` is the app's environment, if what is in
 * its context is asked for.
 */
export const authzHono = <E extends Env = Env>(authz: Guarded) => ({
  /**
   * Makes a middleware that lets those through who meet the predicate.
   *
   * @throws {NotFoundError} `slug_unknown`, with all roles and permissions that do not exist
   */
  async require(predicate: Predicate<Context<E>>, options: HonoGuardOptions<E> = {}): Promise<MiddlewareHandler<E>> {
    const guard = await makeGuard(authz, predicate, options, (context) => context.var);
    return async (context, next) => {
      const denial = await guard(context);
      if (denial === null) return next();
      return (await options.onDenied?.(context, denial)) ?? denialResponse(denial);
    };
  },
});
