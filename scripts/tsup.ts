import type { Options } from "tsup";
import { sqlModule } from "./sql-module.ts";

/** The build of every package: ESM, CommonJS and types of the given entries, with the package's SQL inside. */
export const config = (entry: string[] = ["src/index.ts"]): Options => ({
  entry,
  format: ["esm", "cjs"],
  target: "node22",
  dts: true,
  sourcemap: true,
  clean: true,
  esbuildPlugins: [sqlModule(process.cwd())],
});
