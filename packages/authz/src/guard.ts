import { NotFoundError } from "@howdah/core";
import type { Entity } from "./entities.ts";
import { type Predicate, slugsOf } from "./predicates.ts";
import type { Rbac } from "./rbac.ts";

/** What guards need of a client: that it is one, or has its `rbac`. */
export interface Guarded {
  readonly rbac: Rbac;
}

/** Why a request was not let through. */
export interface Denial {
  /** 401 if nobody is signed in, 403 if who is may not do this. */
  readonly status: 401 | 403;
  readonly code: "unauthenticated" | "forbidden";
  readonly message: string;
}

/** Whom a guard asks about. `Request` is what the framework gives to its middleware. */
export interface GuardOptions<Request> {
  /**
   * Who makes the request; null if nobody is known to. By default the user or key that a guard before this one left in the
   * framework's context, as `auth.userId` or `apiKey.keyId`.
   */
  subject?: (request: Request) => Entity | null | undefined | Promise<Entity | null | undefined>;
  /** The tenant; by default the client's. */
  namespace?: (request: Request) => string | Promise<string>;
}

const unauthenticated: Denial = { status: 401, code: "unauthenticated", message: "sign in first" };
const forbidden: Denial = { status: 403, code: "forbidden", message: "you may not do this" };

/**
 * Makes a guard: a function that decides a request in one call of the database, and answers null if it may pass. What fails
 * on the way is thrown, so that an error never lets anybody in.
 *
 * @param context where a guard that ran before has left who makes the request
 * @throws {NotFoundError} `slug_unknown`, with all roles and permissions that the predicate misspells
 */
export async function makeGuard<Request>(
  { rbac }: Guarded,
  predicate: Predicate<Request>,
  { subject, namespace }: GuardOptions<Request>,
  context: (request: Request) => object,
): Promise<(request: Request) => Promise<Denial | null>> {
  await assertKnown(rbac, predicate);
  return async (request) => {
    const entity = subject === undefined ? signedIn(context(request)) : await subject(request);
    if (entity === null || entity === undefined) return unauthenticated;
    const client = namespace === undefined ? rbac : rbac.in(await namespace(request));
    return (await client.evaluate(entity, predicate, request)) ? null : forbidden;
  };
}

async function assertKnown(rbac: Rbac, predicate: Predicate<never>): Promise<void> {
  const unknown = await rbac.unknownSlugs(slugsOf(predicate));
  if (unknown.length === 0) return;
  throw new NotFoundError(`a guard asks for roles or permissions that do not exist: ${unknown.join(", ")}`, {
    module: "authz",
    code: "slug_unknown",
    sqlstate: "P0002",
    detail: { slugs: unknown },
    hint: "Mend their spelling, or create them: howdah roles create, howdah perms create",
  });
}

function signedIn(context: object): Entity | null {
  const { auth, apiKey } = context as { auth?: { userId?: unknown } | null; apiKey?: { keyId?: unknown } | null };
  if (typeof auth?.userId === "string") return ["user", auth.userId];
  if (typeof apiKey?.keyId === "string") return ["api_key", apiKey.keyId];
  return null;
}

/** The body of the answer to a request that is not let through. */
export const denialBody = ({ code, message }: Denial): object => ({ error: { code, message } });

/** The headers of that answer. */
export const denialHeaders = ({ status }: Denial): Record<string, string> =>
  status === 401 ? { "www-authenticate": "Bearer" } : {};

/** That answer, where requests and responses are those of the Web. */
export const denialResponse = (denial: Denial): Response =>
  Response.json(denialBody(denial), { status: denial.status, headers: denialHeaders(denial) });

/** How a guard over Web requests is made. */
export interface WebGuardOptions extends GuardOptions<Request> {
  /** Answers in place of the JSON that is sent if this does not. */
  onDenied?: (request: Request, denial: Denial) => Response | undefined | Promise<Response | undefined>;
}

/** Guards for everything that handles Web requests: Deno, Bun, workers, Next.js routes. */
export const authzWeb = (authz: Guarded) => ({
  /**
   * Makes a guard, which answers null where the request may pass and else the response to send.
   *
   * @throws {NotFoundError} `slug_unknown`, with all roles and permissions that do not exist
   */
  async require(
    predicate: Predicate<Request>,
    options: WebGuardOptions = {},
  ): Promise<(request: Request) => Promise<Response | null>> {
    const guard = await makeGuard(authz, predicate, options, (request) => request);
    return async (request) => {
      const denial = await guard(request);
      if (denial === null) return null;
      return (await options.onDenied?.(request, denial)) ?? denialResponse(denial);
    };
  },
});
