// What is measured. Times of checks are those inside the database, over 2,000 questions in one statement, unless said otherwise.
import { createAuthz } from "@howdah/authz";
import type { Pool } from "pg";
import { median, quantile } from "../measure.ts";
import type { Figure } from "../report.ts";
import type { Row } from "../suite.ts";
import { NAMESPACE } from "./data.ts";

/** Figures by system. */
type Measured = Record<string, Record<string, number>>;

export interface AuthzRow extends Row {
  run(pool: Pool, round: number): Promise<Measured>;
}

const lower = (unit: string, title: string, goal: Pick<Figure, "target" | "limit"> = {}): Figure => ({
  title,
  unit,
  better: "lower",
  ...goal,
});

/** Milliseconds that a statement takes, the best of a few to leave out what else the machine does. */
async function time(pool: Pool, statement: string, times = 3): Promise<number> {
  const client = await pool.connect();
  try {
    await client.query("set jit = off");
    const taken: number[] = [];
    for (let i = 0; i < times; i++) {
      const started = performance.now();
      await client.query(statement);
      taken.push(performance.now() - started);
    }
    return Math.min(...taken);
  } finally {
    client.release();
  }
}

const ours = (extra = ""): string => `authz.check('user', q.u, 'viewer', 'document', q.d, '${NAMESPACE}'${extra})`;
const theirs = (name: string): string => `bench.${name}(q.u, 'viewer', 'document', q.d)`;

/** Microseconds a question of one kind takes. */
async function perCheck(pool: Pool, kind: string, check: string): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(`select count(*)::int as n from bench.${kind}`);
  const ms = await time(pool, `select count(*) filter (where ${check}) from bench.${kind} q`);
  return (ms * 1000) / (rows[0]?.n ?? Number.NaN);
}

const systems = ["bare", "recursive", "interpreter"];

async function checks(pool: Pool): Promise<Measured> {
  const measured: Measured = { howdah: {} };
  for (const kind of ["direct", "grouped", "denied"]) {
    const key = `check-${kind}`;
    measured.howdah = { ...measured.howdah, [key]: await perCheck(pool, kind, ours()) };
    for (const system of systems) {
      if (system === "bare" && kind !== "direct") continue;
      measured[system] = { ...measured[system], [key]: await perCheck(pool, kind, theirs(system)) };
    }
  }
  const five = JSON.stringify(Array.from({ length: 5 }, (_, i) => `document:other${i}#viewer@user:somebody${i}`));
  const contextual = await perCheck(pool, "direct", ours(`, p_contextual_tuples => '${five}'`));
  measured.howdah = { ...measured.howdah, "check-contextual": contextual };
  measured["plain check"] = { "check-contextual": measured.howdah["check-direct"] ?? Number.NaN };
  return measured;
}

/** Milliseconds from call to answer, over a number of connections at once. */
async function roundTrips(pool: Pool, clients: number): Promise<number[]> {
  const authz = createAuthz(pool, { namespace: NAMESPACE });
  const { rows } = await pool.query<{ u: string; d: string }>(
    "(select u, d from bench.direct limit 300) union all (select u, d from bench.grouped limit 300) union all (select u, d from bench.denied limit 300)",
  );
  const taken: number[] = [];
  const lane = async (n: number): Promise<void> => {
    for (let i = n; i < rows.length; i += clients) {
      const { u, d } = rows[i] as (typeof rows)[number];
      const started = performance.now();
      await authz.check(["user", u], "viewer", ["document", d]);
      if (i >= clients * 10) taken.push(performance.now() - started);
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, n) => lane(n)));
  return taken;
}

async function loads(pool: Pool): Promise<Measured> {
  const figures: Record<string, number> = {};
  for (const clients of [1, 4, 16]) {
    const taken = await roundTrips(pool, clients);
    figures[`trip-${clients}-p50`] = median(taken);
    figures[`trip-${clients}-p95`] = quantile(taken, 0.95);
    figures[`trip-${clients}-p99`] = quantile(taken, 0.99);
  }
  return { howdah: figures };
}

async function lists(pool: Pool): Promise<Measured> {
  const [busiest] = (
    await pool.query<{ u: string; n: number }>(
      `select u.u, (select count(*)::int from authz.list_objects('user', u.u, 'document', 'viewer', '${NAMESPACE}')) as n
       from (select distinct u from bench.direct limit 100) u
       order by abs((select count(*) from authz.list_objects('user', u.u, 'document', 'viewer', '${NAMESPACE}')) - 4600) limit 1`,
    )
  ).rows;
  const user = busiest?.u ?? "";
  const ids =
    "array(select d from (select distinct d from bench.denied union select d from bench.direct limit 1000) x)";
  const filter = (relation: string): Promise<number> =>
    time(
      pool,
      `select authz.filter_authorized('user', '${user}', 'document', '${relation}', ${ids}, '${NAMESPACE}')`,
      15,
    );
  const each = await time(
    pool,
    `select count(*) filter (where authz.check('user', '${user}', 'viewer', 'document', i, '${NAMESPACE}')) from unnest(${ids}) i`,
  );
  const asked = await pool.query<{ d: string }>("select d from bench.denied limit 100");
  const batch = JSON.stringify(asked.rows.map(({ d }) => `document:${d}#viewer@user:${user}`));
  const singles = await time(
    pool,
    `select count(*) filter (where authz.check('user', '${user}', 'viewer', 'document', d, '${NAMESPACE}'))
     from (select d from bench.denied limit 100) x`,
    5,
  );
  const list = `select count(*) from authz.list_objects('user', '${user}', 'document', 'viewer', '${NAMESPACE}')`;
  return {
    howdah: {
      filter: await filter("viewer"),
      "filter-exclusion": await filter("can_view"),
      batch: await time(pool, `select count(*) from authz.check_batch('${batch}', '${NAMESPACE}')`, 15),
      objects: ((await time(pool, list, 15)) * 1000) / (busiest?.n || 1),
      "objects-4600": ((await time(pool, list, 15)) * 4600) / (busiest?.n || 1),
      page: await time(
        pool,
        `select count(*) from authz.list_resources('user', '${user}', 'document', 'viewer', '${NAMESPACE}', 100)`,
        5,
      ),
    },
    "check per row": { filter: each, batch: singles },
  };
}

/** Lists everybody who may see a document of a folder that a tree of groups may see, with so many members in it. */
async function subjects(pool: Pool): Promise<Measured> {
  const figures: Record<string, number> = {};
  for (const members of [12_500, 25_000]) {
    const name = `broad${members}`;
    await pool.query(
      `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, subject_relation)
       select '${NAMESPACE}', 'group', '${name}-' || n % 100, 'member', 'user', 'm' || n, null from generate_series(1, ${members}) n
       union all
       select '${NAMESPACE}', 'group', '${name}-' || (n - 1) / 3, 'member', 'group', '${name}-' || n, 'member'
       from generate_series(1, 99) n
       union all select '${NAMESPACE}', 'folder', '${name}-top', 'viewer', 'group', '${name}-0', 'member'
       union all select '${NAMESPACE}', 'folder', '${name}-sub', 'parent', 'folder', '${name}-top', null
       union all select '${NAMESPACE}', 'document', '${name}', 'parent', 'folder', '${name}-sub', null
       union all select '${NAMESPACE}', 'document', '${name}', 'viewer', 'user', '*', null
       on conflict do nothing`,
    );
    await pool.query("analyze authz.tuples");
    const count = `select authz.count_subjects('document', '${name}', 'viewer', '${NAMESPACE}', 'user')`;
    figures[`subjects-${members}`] = await time(pool, count);
  }
  return { howdah: figures };
}

async function writes(pool: Pool, round: number): Promise<Measured> {
  const write = (offset: number): string =>
    `select count(authz.write_tuple('document', 'w' || n, 'viewer', 'user', 'u' || n % 100, null, '${NAMESPACE}'))
     from generate_series(${offset}, ${offset + 999}) n`;
  const bulk = (offset: number): string =>
    `select authz.write_tuples_bulk('document', 'bulk${offset}', 'viewer', 'user',
       array(select 'u' || n from generate_series(1, 1000) n), '${NAMESPACE}')`;
  const singles: number[] = [];
  const bulks: number[] = [];
  for (let i = 0; i < 3; i++) {
    singles.push(await time(pool, write((round * 10 + i) * 1000), 1));
    bulks.push(await time(pool, bulk(round * 10 + i), 1));
  }
  return { howdah: { write: median(singles), "write-bulk": median(bulks) } };
}

/** A model of 50 relations, different in each round. */
function bigModel(round: number): string {
  const types = Array.from({ length: 10 }, (_, i) => {
    const relations = [
      `define parent: [${i === 0 ? "t0" : `t${i - 1}`}]`,
      "define owner: [user]",
      `define editor: [user, group#member] or owner`,
      `define viewer: [user, user:*, group#member] or editor or viewer from parent`,
      i === 0 ? `define r${round}: viewer but not owner` : "define can_view: viewer but not owner",
    ];
    return `type t${i}\n  relations\n${relations.map((relation) => `    ${relation}`).join("\n")}`;
  });
  const group = "type group\n  relations\n    define member: [user, group#member]";
  return `model\n  schema 1.1\ntype user\n${group}\n${types.join("\n")}\n`;
}

async function activation(pool: Pool, round: number): Promise<Measured> {
  const authz = createAuthz(pool, { namespace: `activation${round}` });
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const started = performance.now();
    await work();
    return performance.now() - started;
  };
  const model = bigModel(round);
  const first = await timed(() => authz.model.write(model, { activate: true }));
  const known = await authz.model.write(model);
  const again = await Promise.all([timed(() => authz.in("elsewhere").model.write(model))]);
  const activate = await timed(() => authz.model.activate(known));
  return { howdah: { activate: first, "write-known": again[0] ?? Number.NaN, "activate-known": activate } };
}

export const rows: readonly AuthzRow[] = [
  {
    name: "check",
    figures: {
      "check-direct": lower("us", "check, granted directly", { limit: 15 }),
      "check-grouped": lower("us", "check, granted through a group", { limit: 40 }),
      "check-denied": lower("us", "check, denied, folders and groups 7 deep", { limit: 200 }),
      "check-contextual": lower("us", "check with 5 contextual tuples", { target: 0.5 }),
    },
    run: checks,
  },
  {
    name: "load",
    figures: Object.fromEntries(
      [1, 4, 16].flatMap((clients) =>
        ["p50", "p95", "p99"].map((share) => [
          `trip-${clients}-${share}`,
          lower("ms", `check from the client, ${clients} at once, ${share}`),
        ]),
      ),
    ),
    run: loads,
  },
  {
    name: "list",
    figures: {
      filter: lower("ms", "filter 1,000 documents", { limit: 15, target: 20 }),
      "filter-exclusion": lower("ms", "filter 1,000 documents, with an exclusion"),
      batch: lower("ms", "100 checks in one batch", { limit: 2, target: 5 }),
      objects: lower("us", "list documents, per document"),
      "objects-4600": lower("ms", "  for 4,600 documents", { limit: 12 }),
      page: lower("ms", "list the first 100 documents", { limit: 5 }),
    },
    run: lists,
  },
  {
    name: "subjects",
    figures: {
      "subjects-12500": lower("ms", "list 12,500 subjects of a recursive relation"),
      "subjects-25000": lower("ms", "list 25,000 subjects of a recursive relation", { limit: 300 }),
    },
    run: subjects,
  },
  {
    name: "write",
    figures: {
      write: lower("us", "write one tuple, audited", { limit: 120 }),
      "write-bulk": lower("ms", "write 1,000 tuples at once", { limit: 25 }),
    },
    run: writes,
  },
  {
    name: "activate",
    figures: {
      activate: lower("ms", "compile, install and activate a model of 50 relations", { limit: 400 }),
      "write-known": lower("ms", "write a model that another tenant has"),
      "activate-known": lower("ms", "activate a known model", { limit: 5 }),
    },
    run: activation,
  },
];
