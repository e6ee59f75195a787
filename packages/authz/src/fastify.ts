import type { FastifyReply, FastifyRequest } from "fastify";
import { type Denial, denialBody, denialHeaders, type Guarded, type GuardOptions, makeGuard } from "./guard.ts";
import type { Predicate } from "./predicates.ts";

export type { Denial, Guarded, GuardOptions } from "./guard.ts";

/** How a guard for Fastify is made. */
export interface FastifyGuardOptions extends GuardOptions<FastifyRequest> {
  /** Answers in place of the JSON that is sent if this does not. As hooks of Fastify do, it returns the reply if it answers. */
  onDenied?: (request: FastifyRequest, reply: FastifyReply, denial: Denial) => unknown;
}

/** Guards for Fastify: `app.addHook("preHandler", await authzFastify(authz).require(hasRole("admin")))`. */
export const authzFastify = (authz: Guarded) => ({
  /**
   * Makes a `preHandler` that lets those through who meet the predicate.
   *
   * @throws {NotFoundError} `slug_unknown`, with all roles and permissions that do not exist
   */
  async require(
    predicate: Predicate<FastifyRequest>,
    options: FastifyGuardOptions = {},
  ): Promise<(request: FastifyRequest, reply: FastifyReply) => Promise<unknown>> {
    const guard = await makeGuard(authz, predicate, options, (request) => request);
    return async (request, reply) => {
      const denial = await guard(request);
      if (denial === null) return;
      await options.onDenied?.(request, reply, denial);
      return reply.sent ? reply : answer(reply, denial);
    };
  },
});

const answer = (reply: FastifyReply, denial: Denial): FastifyReply =>
  reply.code(denial.status).headers(denialHeaders(denial)).send(denialBody(denial));
