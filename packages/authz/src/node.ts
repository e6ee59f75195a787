import type { IncomingMessage, ServerResponse } from "node:http";
import { type Denial, denialBody, denialHeaders, type Guarded, type GuardOptions, makeGuard } from "./guard.ts";
import type { Predicate } from "./predicates.ts";

export type { Denial, Guarded, GuardOptions } from "./guard.ts";

/** How a guard for `node:http` is made. */
export interface NodeGuardOptions extends GuardOptions<IncomingMessage> {
  /** Answers in place of the JSON that is sent if this does not. */
  onDenied?: (request: IncomingMessage, response: ServerResponse, denial: Denial) => unknown;
}

/** Guards for servers of `node:http`. */
export const authzNode = (authz: Guarded) => ({
  /**
   * Makes a guard that tells whether the request may pass, and has answered it if not:
   * `if (await guard(request, response)) ...`.
   *
   * @throws {NotFoundError} `slug_unknown`, with all roles and permissions that do not exist
   */
  async require(
    predicate: Predicate<IncomingMessage>,
    options: NodeGuardOptions = {},
  ): Promise<(request: IncomingMessage, response: ServerResponse) => Promise<boolean>> {
    const guard = await makeGuard(authz, predicate, options, (request) => request);
    return async (request, response) => {
      const denial = await guard(request);
      if (denial === null) return true;
      await options.onDenied?.(request, response, denial);
      if (!response.headersSent) answer(response, denial);
      return false;
    };
  },
});

const answer = (response: ServerResponse, denial: Denial): unknown =>
  response
    .writeHead(denial.status, { "content-type": "application/json", ...denialHeaders(denial) })
    .end(JSON.stringify(denialBody(denial)));
