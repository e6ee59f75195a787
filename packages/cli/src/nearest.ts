import { UsageError } from "./errors.ts";

/** The name that was probably meant, or undefined if none is near. */
export function nearest(word: string, names: readonly string[]): string | undefined {
  const limit = Math.max(2, Math.floor(word.length / 2));
  const [best] = names
    .map((name) => ({ name, distance: editDistance(word.toLowerCase(), name.toLowerCase()) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance);
  return best?.name;
}

/** The error for a name that is not one of those that there are. */
export function unknownName(kind: string, word: string, names: readonly string[]): UsageError {
  const suggestion = nearest(word, names);
  const known = names.length === 0 ? `There is no ${kind} at all` : `There is: ${[...names].sort().join(", ")}`;
  return new UsageError(
    `unknown ${kind} ${JSON.stringify(word)}`,
    suggestion === undefined ? known : `Did you mean ${suggestion}?`,
  );
}

/** How many letters have to be put in, taken out or changed to make one word of the other. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const changed = (row[j] ?? 0) + (letter === b[j] ? 0 : 1);
      next.push(Math.min(changed, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
