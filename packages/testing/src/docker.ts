import { request } from "node:http";

/**
 * Starts a server in a container, on memory if it need not last. The container goes away with this process: testcontainers
 * keeps its own watchman.
 */
export async function startDocker(
  version: number,
  settings: Readonly<Record<string, string>>,
  isDurable: boolean,
): Promise<{ port: number; url: string; stop(): Promise<void> }> {
  await ping();
  const { PostgreSqlContainer } = await import("@testcontainers/postgresql").catch((cause) => {
    throw new Error("Docker runs, but the package @testcontainers/postgresql is not installed", { cause });
  });
  const container = new PostgreSqlContainer(`postgres:${version}-alpine`).withCommand([
    "postgres",
    ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ]);
  // The image's volume, whose place changed with 18.
  if (!isDurable) container.withTmpFs({ [`/var/lib/postgresql${version < 18 ? "/data" : ""}`]: "rw" });
  const started = await container.start();
  return {
    port: started.getPort(),
    url: started.getConnectionUri(),
    async stop() {
      await started.stop();
    },
  };
}

/** Asks Docker for a sign of life, for at most 3 s: a busy machine may need some. */
function ping(): Promise<void> {
  const host = process.env.DOCKER_HOST ?? "";
  const socketPath =
    host === "" && process.platform === "win32"
      ? "//./pipe/docker_engine"
      : host.replace(/^unix:\/\//, "") || "/var/run/docker.sock";
  const target = /^(tcp|https?):/.test(host) ? host.replace(/^tcp:/, "http:") : undefined;
  return new Promise((alive, dead) => {
    const options = { path: "/_ping", timeout: 3000 };
    const question = target ? request(new URL("/_ping", target), options) : request({ ...options, socketPath });
    const silent = (cause?: Error) => {
      question.destroy();
      dead(new Error(`Docker does not answer at ${target ?? socketPath}`, { cause }));
    };
    question.once("response", (response) => {
      response.resume();
      alive();
    });
    question.once("error", silent).once("timeout", silent).end();
  });
}
