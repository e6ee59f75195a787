// Random tests draw the same cases each time, so that a change fails by what it changes. HOWDAH_PROPERTY_RUNS=<n> draws new ones.
import fc from "fast-check";

if (process.env.HOWDAH_PROPERTY_RUNS === undefined) fc.configureGlobal({ seed: 20261121 });
