import { defineConfig } from "tsup";
import { config } from "../../scripts/tsup.ts";

export default defineConfig(config(["src/index.ts"]));
