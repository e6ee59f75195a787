import type { NextFunction, Request, Response } from "express";
import { type Denial, denialBody, denialHeaders, type Guarded, type GuardOptions, makeGuard } from "./guard.ts";
import type { Predicate } from "./predicates.ts";

export type { Denial, Guarded, GuardOptions } from "./guard.ts";

/** How a guard for Express is made. */
export interface ExpressGuardOptions<Req extends Request = Request> extends GuardOptions<Req> {
  /** Answers in place of the JSON that is sent if this does not. */
  onDenied?: (request: Req, response: Response, denial: Denial) => unknown;
}

/**
 * Guards for Express: `app.use(await authzExpress(authz).require(hasRole("admin")))`. `Req` is the app's kind of request, if it
 * has one of its own.
 */
export const authzExpress = <Req extends Request = Request>(authz: Guarded) => ({
  /**
   * Makes a middleware that lets those through who meet the predicate.
   *
   * @throws {NotFoundError} `slug_unknown`, with all roles and permissions that do not exist
   */
  async require(
    predicate: Predicate<Req>,
    options: ExpressGuardOptions<Req> = {},
  ): Promise<(request: Req, response: Response, next: NextFunction) => Promise<void>> {
    const guard = await makeGuard(authz, predicate, options, (request) => request);
    return async (request, response, next) => {
      let denial: Denial | null;
      try {
        denial = await guard(request);
        if (denial !== null) {
          await options.onDenied?.(request, response, denial);
          if (!response.headersSent) answer(response, denial);
        }
      } catch (error) {
        return next(error); // Express 4 does not wait for promises
      }
      if (denial === null) next();
    };
  },
});

const answer = (response: Response, denial: Denial): unknown =>
  response.status(denial.status).set(denialHeaders(denial)).json(denialBody(denial));
