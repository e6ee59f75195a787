import { coreModule } from "@howdah/core";
import { hygiene } from "@howdah/testing/hygiene";

const isBefore18 = Number(process.env.HOWDAH_PG ?? 18) < 18;

hygiene(coreModule, {
  ignore: [
    ...(isBefore18
      ? [
          {
            rule: "plpgsql-check",
            object: "howdah.uuid_v7",
            reason: "calls uuidv7() where the server has it, from 18 on",
          },
        ]
      : []),
    {
      rule: "search-path",
      object: "howdah.guard",
      reason: "a second pin inside the pinned functions that call it costs more than the whole check",
    },
    {
      rule: "dynamic-sql",
      object: "howdah._protect_partition",
      reason: "the statements are made by format() in a query, policy expressions come from the catalog",
    },
    {
      rule: "dynamic-sql",
      object: "howdah._take_from_default",
      reason: "the lists of columns and triggers are quoted one by one by quote_ident() and %I",
    },
    {
      rule: "dynamic-sql",
      object: "howdah.drop_partitions",
      reason: "v_old.partition is a regclass, which quotes itself",
    },
    {
      rule: "dynamic-sql",
      object: "howdah.drop_stale_functions",
      reason: "v_stale holds regprocedures, which quote themselves",
    },
  ],
});
