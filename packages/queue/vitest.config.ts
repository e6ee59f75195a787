import { postgres } from "@howdah/testing/vitest";
import { defineConfig } from "vitest/config";
import { sqlPlugin } from "../../scripts/vitest.ts";

export default defineConfig({
  plugins: [sqlPlugin()],
  test: { globalSetup: [postgres()] },
});
