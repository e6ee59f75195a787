import { defineConfig } from "tsup";
import { config } from "../../scripts/tsup.ts";

export default defineConfig(config(["src/index.ts", "src/hono.ts", "src/express.ts", "src/fastify.ts", "src/node.ts"]));
