import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { patience, sqlPlugin } from "../../scripts/vitest.ts";
import { postgres } from "../testing/src/vitest.ts";

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

// @howdah/testing stands on core, so core's own tests use its sources, and those use core's: a dependency would be a circle.
export default defineConfig({
  plugins: [sqlPlugin()],
  resolve: {
    alias: {
      "@howdah/testing/hygiene": source("../testing/src/hygiene.ts"),
      "@howdah/testing": source("../testing/src/index.ts"),
      "@howdah/core": source("src/index.ts"),
    },
  },
  test: { ...patience, globalSetup: [postgres()] },
});
