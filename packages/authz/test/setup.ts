// Random tests draw the same cases each time, so that a change fails by what it changes. HOWDAH_PROPERTY_RUNS=<n> draws n new ones,
// or those of HOWDAH_PROPERTY_SEED.
import fc from "fast-check";

const { HOWDAH_PROPERTY_RUNS, HOWDAH_PROPERTY_SEED } = process.env;
const seed = HOWDAH_PROPERTY_SEED?.split("/")[0] ?? (HOWDAH_PROPERTY_RUNS === undefined ? "20261121" : undefined);
if (seed !== undefined) fc.configureGlobal({ seed: Number(seed) });
