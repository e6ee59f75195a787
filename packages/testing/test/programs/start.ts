// Starts a server, says where it is, and then does as it is told: waits to be killed, or ends without stopping the server.
import { startServer } from "../../src/server.ts";

const server = await startServer();
process.stdout.write(`${JSON.stringify({ url: server.url(), folder: server.folder, version: server.version })}\n`);
if (process.argv[2] === "wait") setInterval(() => {}, 60_000);
