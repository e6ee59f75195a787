#!/usr/bin/env bash
# Rehearses a release in a throw-away clone: versions, changelogs, build, packing and publishing, all but the last step.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git clone --quiet "$root" "$folder"
cd "$folder"
pnpm="npx --yes $(node -p 'require("./package.json").packageManager')"
node scripts/run.mjs build --output-logs=errors-only
$pnpm exec changeset version
$pnpm --recursive publish --dry-run --no-git-checks --access public
