import { defineConfig } from "vitest/config";
import { patience } from "../../scripts/vitest.ts";
import { postgres } from "./src/vitest.ts";

export default defineConfig({ test: { ...patience, globalSetup: [postgres()] } });
