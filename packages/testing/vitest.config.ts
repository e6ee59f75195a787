import { defineConfig } from "vitest/config";
import { postgres } from "./src/vitest.ts";

export default defineConfig({ test: { globalSetup: [postgres()] } });
