import { defineConfig } from "tsup";
import { config } from "../../scripts/tsup.ts";

// Shims: the CommonJS build asks for its own path too.
export default defineConfig({
  ...config(["src/index.ts", "src/vitest.ts", "src/hygiene.ts", "src/supervisor.ts"]),
  shims: true,
});
