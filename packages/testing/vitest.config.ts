import { defineConfig } from "vitest/config";
import { postgres } from "./src/vitest.ts";

// Its tests start servers, which a busy machine may take its time for.
export default defineConfig({ test: { globalSetup: [postgres()], testTimeout: 30_000 } });
