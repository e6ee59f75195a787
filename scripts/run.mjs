// Runs workspace tasks on any machine with Node >= 20 and npm: brings pnpm, the dependencies and a new enough Node when
// they are missing. `node scripts/run.mjs <task...> [-- arguments of the task]`.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

function pnpm(args, env = process.env) {
  const { status, error } = spawnSync("npx", ["--yes", packageManager, ...args], {
    cwd: root,
    env,
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

const stamp = join(root, "node_modules", ".howdah-lock");
const lock = createHash("sha256")
  .update(readFileSync(join(root, "pnpm-lock.yaml")))
  .digest("hex");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== lock) {
  pnpm(["install", "--frozen-lockfile"]);
  writeFileSync(stamp, lock);
}

// Under an older Node, the tasks run on the one that the lockfile brought.
const bundled = join(root, "node_modules", `node-${process.platform}-${process.arch}`, "bin");
const isOld = Number(process.versions.node.split(".")[0]) < 22;
const PATH = isOld && existsSync(bundled) ? `${bundled}${delimiter}${process.env.PATH}` : process.env.PATH;
const given = process.argv.slice(2);
const [tasks, rest] = given.includes("--")
  ? [given.slice(0, given.indexOf("--")), given.slice(given.indexOf("--"))]
  : [given.filter((word) => !word.startsWith("-")), given.filter((word) => word.startsWith("-"))];
pnpm(["exec", "turbo", "run", ...tasks, ...rest], { ...process.env, PATH, TURBO_TELEMETRY_DISABLED: "1" });
