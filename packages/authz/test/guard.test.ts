// The same questions to servers of all kinds: each test starts a real one and sends it real requests.
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { connect, type Hook } from "@howdah/core";
import { type TestDatabase, testDatabase } from "@howdah/testing";
import express, { type Request as ExpressRequest } from "express";
import fastify, { type FastifyRequest } from "fastify";
import { type Context, Hono } from "hono";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { Entity } from "../src/entities.ts";
import { authzExpress } from "../src/express.ts";
import { authzFastify } from "../src/fastify.ts";
import { authzWeb, type Denial, type Guarded } from "../src/guard.ts";
import { authzHono } from "../src/hono.ts";
import { authzModule } from "../src/module.ts";
import { authzNode } from "../src/node.ts";
import { all, any, canDo, hasPermission, hasRole, not, type Predicate } from "../src/predicates.ts";
import { Rbac } from "../src/rbac.ts";

let db: TestDatabase;
let authz: Guarded;
beforeAll(async () => {
  db = await testDatabase({ modules: [authzModule] });
  authz = { rbac: new Rbac(db, { namespace: "acme" }) };
  const { rbac } = authz;
  for (const role of ["admin", "editor"]) await rbac.createRole(role);
  await rbac.createPermission("posts:write");
  await rbac.grantRolePermission("editor", "posts:write");
  await rbac.assignRole("user:ann", "editor");
  await rbac.assignRole("user:root", "admin");
  await rbac.assignRole("api_key:7", "editor");
  await db.query("select authz.write('document', '1', 'read', 'user', 'ann', 'acme')");
  await rbac.in("other").createRole("editor");
  await rbac.in("other").assignRole("user:olga", "editor");
});
afterAll(() => db.close());

/** A request as every framework can tell it: its headers and its path. */
interface Asked {
  header(name: string): string | undefined;
  path: string;
}

/** How a test guards its server; each framework translates it into its own words. */
interface Guarding {
  authz?: Guarded;
  predicate: Predicate<Asked>;
  subject?: ((asked: Asked) => Entity | null) | undefined;
  namespace?: (asked: Asked) => string;
  /** True answers 418; false only looks. */
  onDenied?: (denial: Denial) => boolean;
  /** What a guard before has left in the context. */
  context?: object;
}

/** Starts a server that answers `in` to those whom the guard lets through; returns its URL. */
type Start = (guarding: Guarding) => Promise<string>;

async function serve(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.closeAllConnections());
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The predicate over another kind of request. */
function over<R>(predicate: Predicate<Asked>, asked: (request: R) => Asked): Predicate<R> {
  if ("any" in predicate) return any(...predicate.any.map((part) => over(part, asked)));
  if ("all" in predicate) return all(...predicate.all.map((part) => over(part, asked)));
  if ("not" in predicate) return not(over(predicate.not, asked));
  if (!("check" in predicate)) return predicate;
  const { permission, resource } = predicate.check;
  return canDo(permission, typeof resource === "function" ? (request: R) => resource(asked(request)) : resource);
}

const options = <R>({ subject, namespace }: Guarding, asked: (request: R) => Asked) => ({
  ...(subject && { subject: (request: R) => subject(asked(request)) }),
  ...(namespace && { namespace: async (request: R) => namespace(asked(request)) }),
});

const teapot = (): Response => new Response("teapot", { status: 418 });

/** Serves a handler of Web requests by `node:http`. */
const web = (handle: (request: Request) => Response | Promise<Response>): Promise<string> =>
  serve(
    createServer(async (incoming, outgoing) => {
      const headers = Object.entries(incoming.headers).map(([name, value]): [string, string] => [name, String(value)]);
      const response = await handle(new Request(`http://${incoming.headers.host}${incoming.url}`, { headers }));
      outgoing.writeHead(response.status, Object.fromEntries(response.headers)).end(await response.text());
    }),
  );

const ofWeb = (request: Request): Asked => ({
  header: (name) => request.headers.get(name) ?? undefined,
  path: new URL(request.url).pathname,
});
const ofNode = (request: IncomingMessage): Asked => ({
  header: (name) => request.headers[name]?.toString(),
  path: request.url ?? "",
});

const servers: Record<string, Start> = {
  async "Web requests"(guarding) {
    const { onDenied } = guarding;
    const guard = await authzWeb(guarding.authz ?? authz).require(over(guarding.predicate, ofWeb), {
      ...options(guarding, ofWeb),
      ...(onDenied && { onDenied: (_, denial) => (onDenied(denial) ? teapot() : undefined) }),
    });
    return web(async (request) => {
      Object.assign(request, guarding.context);
      try {
        return (await guard(request)) ?? new Response("in");
      } catch {
        return new Response("broken", { status: 500 });
      }
    });
  },

  async Hono(guarding) {
    type Env = { Variables: Record<string, unknown> };
    const { onDenied } = guarding;
    const ofHono = (c: Context<Env>): Asked => ({ header: (name) => c.req.header(name), path: c.req.path });
    const app = new Hono<Env>();
    app.use(async (c, next) => {
      for (const [key, value] of Object.entries(guarding.context ?? {})) c.set(key, value);
      await next();
    });
    app.use(
      await authzHono<Env>(guarding.authz ?? authz).require(over(guarding.predicate, ofHono), {
        ...options(guarding, ofHono),
        ...(onDenied && { onDenied: (_, denial) => (onDenied(denial) ? teapot() : undefined) }),
      }),
    );
    app.get("*", (c) => c.text("in"));
    app.onError((_, c) => c.text("broken", 500));
    return web(app.fetch);
  },

  async Express(guarding) {
    const { onDenied } = guarding;
    const ofExpress = (request: ExpressRequest): Asked => ({ header: (name) => request.get(name), path: request.path });
    const app = express();
    app.use((request, _, next) => next(void Object.assign(request, guarding.context)));
    app.use(
      await authzExpress(guarding.authz ?? authz).require(over(guarding.predicate, ofExpress), {
        ...options(guarding, ofExpress),
        ...(onDenied && { onDenied: (_, response, denial) => onDenied(denial) && response.status(418).send("teapot") }),
      }),
    );
    app.use((_, response) => void response.send("in"));
    app.use(((_error, _request, response, _next) =>
      response.status(500).send("broken")) as express.ErrorRequestHandler);
    return serve(createServer(app));
  },

  async Fastify(guarding) {
    const { onDenied } = guarding;
    const ofFastify = (request: FastifyRequest): Asked => ofNode(request.raw);
    const app = fastify({ forceCloseConnections: true });
    app.addHook("onRequest", async (request) => void Object.assign(request, guarding.context));
    app.addHook(
      "preHandler",
      await authzFastify(guarding.authz ?? authz).require(over(guarding.predicate, ofFastify), {
        ...options(guarding, ofFastify),
        ...(onDenied && { onDenied: (_, reply, denial) => onDenied(denial) && reply.code(418).send("teapot") }),
      }),
    );
    app.get("*", async () => "in");
    app.setErrorHandler(async (_, __, reply) => reply.code(500).send("broken"));
    onTestFinished(() => app.close());
    return app.listen({ host: "127.0.0.1", port: 0 });
  },

  async "node:http"(guarding) {
    const { onDenied } = guarding;
    const guard = await authzNode(guarding.authz ?? authz).require(over(guarding.predicate, ofNode), {
      ...options(guarding, ofNode),
      ...(onDenied && { onDenied: (_, response, denial) => onDenied(denial) && response.writeHead(418).end("teapot") }),
    });
    return serve(
      createServer(async (request, response) => {
        Object.assign(request, guarding.context);
        try {
          if (await guard(request, response)) response.end("in");
        } catch {
          response.writeHead(500).end("broken");
        }
      }),
    );
  },
};

const subject = (asked: Asked): Entity | null => {
  const user = asked.header("x-user");
  return user === undefined ? null : ["user", user];
};

async function get(
  url: string,
  user?: string,
  path = "/",
): Promise<{ status: number; body: string; headers: Headers }> {
  const response = await fetch(url + path, { headers: user === undefined ? {} : { "x-user": user } });
  return { status: response.status, body: await response.text(), headers: response.headers };
}

test("predicates know the requests of the framework that they are for", async () => {
  type Env = { Variables: { user: string } };
  const hono = authzHono<Env>(authz);
  new Hono<Env>().get(
    "/documents/:id",
    await hono.require(
      any(
        hasRole("admin"),
        canDo("read", (c) => ["document", c.req.param("id") ?? ""]),
      ),
      {
        subject: (c) => ["user", c.get("user")],
      },
    ),
  );
  new Hono().use(await authzHono(authz).require(any(hasRole("admin"), all(hasPermission("posts:write")))));
  express().get(
    "/documents/:id",
    await authzExpress(authz).require(
      canDo("read", (request) => ["document", String(request.params.id)]),
      {
        subject: (request) => `user:${request.get("x-user")}`,
      },
    ),
  );
  fastify().get(
    "/documents/:id",
    { preHandler: await authzFastify(authz).require(canDo("read", (request) => ["document", request.url])) },
    async () => "in",
  );
});

test.each<unknown>([
  { role: "admin", all: [] },
  { permission: "posts:write", any: [] },
  { check: { permission: "read", resource: "document:1" }, all: [] },
  any(hasRole("admin"), { role: "editor", not: hasRole("admin") } as Predicate),
  Object.create({ all: [] }),
  { all: { length: 0 } },
  { role: ["admin"] },
  not(undefined as unknown as Predicate),
  {},
  undefined,
])("a guard is not made of %j, which is no predicate", async (predicate) => {
  await expect(authzWeb(authz).require(predicate as Predicate)).rejects.toMatchObject({
    name: "ValidationError",
    code: "predicate_invalid",
  });
});

describe.each(Object.entries(servers))("a guard for %s", (_, start) => {
  test("lets those through who meet the predicate, and answers the others with 403", async () => {
    const url = await start({
      predicate: any(hasRole("admin"), all(hasPermission("posts:write"), hasRole("editor"))),
      subject,
    });
    expect(await get(url, "ann")).toMatchObject({ status: 200, body: "in" });
    expect(await get(url, "root")).toMatchObject({ status: 200, body: "in" });
    const denied = await get(url, "bob");
    expect(denied.status).toBe(403);
    expect(denied.headers.get("content-type")).toMatch(/^application\/json/);
    expect(JSON.parse(denied.body)).toEqual({ error: { code: "forbidden", message: "you may not do this" } });
  });

  test("answers 401 where nobody is signed in", async () => {
    const url = await start({ predicate: not(hasRole("admin")), subject });
    const denied = await get(url);
    expect(denied.status).toBe(401);
    expect(denied.headers.get("www-authenticate")).toBe("Bearer");
    expect(JSON.parse(denied.body)).toEqual({ error: { code: "unauthenticated", message: "sign in first" } });
  });

  test("asks about the resource of each request", async () => {
    const url = await start({ predicate: canDo("read", ({ path }) => ["document", path.slice(1)]), subject });
    expect((await get(url, "ann", "/1")).status).toBe(200);
    expect((await get(url, "ann", "/2")).status).toBe(403);
    expect((await get(url, "bob", "/1")).status).toBe(403);
  });

  test("works for the tenant of each request", async () => {
    const url = await start({ predicate: hasRole("editor"), subject, namespace: ({ path }) => path.slice(1) });
    expect((await get(url, "olga", "/other")).status).toBe(200);
    expect((await get(url, "olga", "/acme")).status).toBe(403);
    expect((await get(url, "ann", "/acme")).status).toBe(200);
  });

  test("takes the user or the key that another guard has found", async () => {
    const predicate = hasRole("editor");
    const statusWith = async (context: object) => (await get(await start({ predicate, context }))).status;
    expect(await statusWith({ auth: { userId: "ann" } })).toBe(200);
    expect(await statusWith({ auth: { userId: "bob" } })).toBe(403);
    expect(await statusWith({ apiKey: { keyId: "7" } })).toBe(200);
    expect(await statusWith({ apiKey: { keyId: "8" } })).toBe(403);
    expect(await statusWith({ auth: null })).toBe(401);
    expect(await statusWith({})).toBe(401);
  });

  test("lets onDenied answer, or only look", async () => {
    const seen: Denial["code"][] = [];
    const answering = await start({ predicate: hasRole("admin"), subject, onDenied: () => true });
    expect(await get(answering, "bob")).toMatchObject({ status: 418, body: "teapot" });
    const looking = await start({
      predicate: hasRole("admin"),
      subject,
      onDenied: ({ code }) => {
        seen.push(code);
        return false;
      },
    });
    expect((await get(looking, "bob")).status).toBe(403);
    expect((await get(looking)).status).toBe(401);
    expect((await get(looking, "root")).status).toBe(200);
    expect(seen).toEqual(["forbidden", "unauthenticated"]);
  });

  test("names all roles and permissions that do not exist when it is made", async () => {
    const made = start({
      predicate: any(hasRole("edtior"), not(hasPermission("posts:wirte")), all(hasRole("admin"), hasRole("No Slug"))),
      subject,
    });
    await expect(made).rejects.toMatchObject({
      name: "NotFoundError",
      module: "authz",
      code: "slug_unknown",
      detail: { slugs: ["No Slug", "edtior", "posts:wirte"] },
      message: expect.stringContaining("No Slug, edtior, posts:wirte"),
    });
  });

  test("lets nobody in when something fails on the way", async () => {
    const broken = connect(db.pool);
    const failing: Guarded = { rbac: new Rbac(broken, { namespace: "acme" }) };
    const errors = async (guarding: Partial<Guarding>, before = async (): Promise<void> => {}) => {
      const url = await start({ authz: failing, predicate: hasRole("editor"), subject, ...guarding });
      await before();
      return get(url, "ann");
    };
    const failed = { status: 500, body: "broken" };
    const fail = (): never => {
      throw new Error("no");
    };
    expect(await errors({ subject: fail })).toMatchObject(failed);
    expect(await errors({ subject: () => "ann" as Entity })).toMatchObject(failed);
    expect(await errors({ namespace: () => "" })).toMatchObject(failed);
    expect(await errors({ predicate: not(canDo("read", fail)) })).toMatchObject(failed);
    expect(await errors({ predicate: not(canDo("read", () => undefined as unknown as Entity)) })).toMatchObject(failed);
    expect(await errors({ predicate: not(canDo("Read", "document:1")) })).toMatchObject(failed);
    const gone = async (): Promise<void> => {
      broken.query = () => Promise.reject(new Error("the database is gone"));
    };
    expect(await errors({ predicate: not(hasRole("admin")) }, gone)).toMatchObject(failed);
  });

  test("asks the database once a request", async () => {
    const calls: string[] = [];
    const hook: Hook = { start: ({ name }) => void calls.push(name) };
    const watched: Guarded = { rbac: new Rbac(connect(db.pool, { hooks: [hook] }), { namespace: "acme" }) };
    const url = await start({
      authz: watched,
      predicate: any(hasRole("admin"), hasPermission("nothing:at-all"), canDo("read", "document:1")),
      subject,
    }).catch((error: { detail: unknown }) => error.detail);
    expect(url).toEqual({ slugs: ["nothing:at-all"] });
    expect(calls.splice(0)).toEqual(["authz.unknown_slugs"]);
    const good = await start({
      authz: watched,
      predicate: any(hasRole("admin"), hasRole("editor"), canDo("read", "document:1"), canDo("read", "document:2")),
      subject,
    });
    await get(good, "bob");
    await get(good, "ann");
    await get(good);
    expect(calls).toEqual(["authz.unknown_slugs", "authz.evaluate", "authz.evaluate"]);
  });
});
