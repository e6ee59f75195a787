import { postgres } from "@howdah/testing/vitest";
import { defineConfig } from "vitest/config";
import { patience, sqlPlugin } from "../../scripts/vitest.ts";

export default defineConfig({
  plugins: [sqlPlugin()],
  test: { ...patience, globalSetup: [postgres()], setupFiles: ["test/setup.ts"] },
});
