// What producers and workers share: the queue, and the application's own table as a module beside it.
import { defineModule } from "@howdah/core";
import { defineQueue } from "@howdah/queue";
import { z } from "zod";

export const namespace = "demo";

/** One job per package. The schema types the payload here and checks it in the worker again. */
export const licenses = defineQueue("licenses", { schema: z.object({ path: z.string() }), retry: { maxAttempts: 3 } });

/** An application's own schema may be a module too: migrated, verified and re-runnable like Howdah's. */
export const auditModule = defineModule({
  name: "audit",
  release: "1.0.0",
  api: 1,
  minApi: 1,
  manifest: {},
  files: {
    "migrations/0001_packages.sql": `
      create schema audit;
      create table audit.packages (namespace text not null, path text not null, primary key (namespace, path),
        name text, license text, kind text, attempt int, found_by text);`,
  },
});
