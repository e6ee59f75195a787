// Reading a package's license: an SPDX expression, one of the older forms, or none.
import { readFile, stat } from "node:fs/promises";
import { Fail } from "@howdah/queue";

const limit = 1_000_000;

/** Reads a package.json. What can never succeed fails for good; anything else that throws is tried again by the queue. */
export async function findLicense(path: string): Promise<{ name: string; license: string; kind: string }> {
  const { size } = await stat(path);
  if (size > limit) throw new Fail(`the file has ${size} bytes, at most ${limit} are read`);
  const { name, license, licenses } = parse(await readFile(path, "utf8"));
  if (typeof name !== "string") throw new Fail("the package has no name");
  if (typeof license === "string") return { name, license, kind: "spdx" };
  const older = [license, licenses].flat().map((one) => (typeof one === "string" ? one : one?.type));
  const types = older.filter((type) => typeof type === "string");
  return types.length > 0
    ? { name, license: types.join(" OR "), kind: "legacy" }
    : { name, license: "none", kind: "missing" };
}

function parse(text: string) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Fail(`broken JSON: ${(error as Error).message}`);
  }
}
