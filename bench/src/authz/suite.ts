// Authorization beside what one would write by hand: the same tuples, the same questions, the same server.
import { authzModule, createAuthz } from "@howdah/authz";
import { migrate } from "@howdah/core";
import { withPool } from "../server.ts";
import { type Suite, version } from "../suite.ts";
import { generate, MODEL, makeQuestions, NAMESPACE } from "./data.ts";
import { BARE, INTERPRETER, RECURSIVE } from "./peers.ts";
import { type AuthzRow, rows } from "./rows.ts";

export const authzSuite: Suite<AuthzRow> = {
  ours: "howdah",
  versions: { howdah: version("@howdah/authz") },
  settings: ({ tuples }) => ({ tuples }),
  rows,

  async *measure(row, round, server, { tuples }) {
    yield* Object.entries(
      await server.withDatabase((url) =>
        withPool(url, 17, async (pool) => {
          await migrate(pool, [authzModule]);
          await createAuthz(pool, { namespace: NAMESPACE }).model.write(MODEL, { activate: true });
          await generate(pool, tuples);
          await makeQuestions(pool);
          for (const peer of [BARE, RECURSIVE, INTERPRETER]) await pool.query(peer);
          return row.run(pool, round);
        }),
      ),
    );
  },
};
