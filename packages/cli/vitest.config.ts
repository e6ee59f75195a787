import { postgres } from "@howdah/testing/vitest";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { globalSetup: [postgres()], testTimeout: 30_000, expect: { poll: { timeout: 20_000 } } },
});
