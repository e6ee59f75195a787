// Runs workspace tasks on any machine with Node >= 20 and npm: brings pnpm, the dependencies and a new enough Node when
// they are missing. `node scripts/run.mjs <task...>`, or `demo [example]` and `bench` with arguments of their own.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

function pnpm(args, { env = process.env, stdout = "inherit" } = {}) {
  const { status, error } = spawnSync("npx", ["--yes", packageManager, ...args], {
    cwd: root,
    env,
    stdio: ["inherit", stdout, "inherit"],
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
  pnpm(["install", "--frozen-lockfile"], { stdout: 2 });
  writeFileSync(stamp, lock);
}

// Under a Node that lacks what the tasks use (`await using`), they run on the one that the lockfile brought.
const bundled = join(root, "node_modules", `node-${process.platform}-${process.arch}`, "bin");
const isOld = Number(process.versions.node.split(".")[0]) < 24;
const PATH = isOld && existsSync(bundled) ? `${bundled}${delimiter}${process.env.PATH}` : process.env.PATH;
const env = { ...process.env, PATH, TURBO_TELEMETRY_DISABLED: "1" };

const [task, ...rest] = process.argv.slice(2);
if (task === "demo" || task === "bench") {
  // These own the terminal and their arguments, so they run after the build and not inside turbo.
  const isNamed =
    task === "demo" && rest[0] !== undefined && existsSync(join(root, "examples", rest[0], "package.json"));
  const folder = task === "bench" ? "bench" : join("examples", isNamed ? rest.shift() : "license-audit");
  pnpm(["exec", "turbo", "run", "build", "--output-logs=errors-only"], { env, stdout: 2 });
  pnpm(["--silent", "--dir", folder, "run", task, ...rest], { env });
} else {
  pnpm(["exec", "turbo", "run", task, ...rest], { env });
}
