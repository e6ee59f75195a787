import { defineConfig } from "vitest/config";
import { patience } from "../../scripts/vitest.ts";

export default defineConfig({ test: patience });
