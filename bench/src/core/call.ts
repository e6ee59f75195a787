// What a call through core costs over the same text sent by pg, and what an actor costs over the same call without.
//
// The differences are a few microseconds in a hundred, so the variants take turns every hundred calls: whatever else the
// machine does then falls on all of them alike.
import { connect, fn, ModuleClient, migrate } from "@howdah/core";
import type { Pool } from "pg";
import { median } from "../measure.ts";

const NAMESPACE = "acme";
const ACTOR = { actorId: "user-42", requestId: "request-42" };

/** As cheap as a function can be, so that nothing hides the client's cost. */
const ECHO_SQL = `create function public.echo(p_namespace text, p_value text) returns text
  language sql stable as 'select p_value'`;

const echo = fn<{ value: string }, string>("public.echo", { args: { value: "text" }, returns: "value" });

class Echo extends ModuleClient {
  echo(value: string) {
    return this.call(echo, { value });
  }
}

/** Microseconds per call of each variant, block by block. */
async function compare<Name extends string>(
  variants: Record<Name, () => Promise<unknown>>,
  { inFlight, blocks }: { inFlight: number; blocks: number },
) {
  const CALLS = 96;
  const WARM_UP = 20;
  const names = Object.keys(variants) as Name[];
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let block = 0; block < WARM_UP + blocks; block++) {
    for (const name of block % 2 === 0 ? names : names.toReversed()) {
      const call = variants[name];
      const started = performance.now();
      const lane = async () => {
        for (let i = 0; i < CALLS / inFlight; i++) await call();
      };
      await Promise.all(Array.from({ length: inFlight }, lane));
      if (block >= WARM_UP) times[name].push(((performance.now() - started) * 1000) / CALLS);
    }
  }
  return times;
}

/** The median of what each block of `a` took more than the block of `b` beside it. */
const added = (a: number[], b: number[]) => median(a.map((time, block) => time - (b[block] ?? Number.NaN)));

/** The same as a share of `b`, in percent. */
const addedShare = (a: number[], b: number[]) =>
  median(a.map((time, block) => (time / (b[block] ?? Number.NaN) - 1) * 100));

/** One round of all the rows about calls, as figures of ours and of pg. */
export async function measureCalls(pool: Pool, blocks: number) {
  await migrate(pool, []);
  await pool.query(ECHO_SQL);
  const client = new Echo(connect(pool), { namespace: NAMESPACE });
  const actor = client.as(ACTOR);
  const { text } = echo.query({ value: "" }, { namespace: NAMESPACE });

  const raw = () => pool.query(text, [NAMESPACE, "hello"]);
  const ours = () => client.echo("hello");
  const oursAs = () => actor.echo("hello");
  /** What one writes without core to have an actor: a transaction around the call, because the setting is local to it. */
  const rawAs = async () => {
    const connection = await pool.connect();
    await connection.query("begin");
    await connection.query("select set_config('howdah.actor', $1, true)", [JSON.stringify(ACTOR)]);
    await connection.query(text, [NAMESPACE, "hello"]);
    await connection.query("commit");
    connection.release();
  };

  const one = await compare({ raw, ours, oursAs, rawAs }, { inFlight: 1, blocks });
  const many = await compare({ raw, ours, oursAs, rawAs }, { inFlight: 16, blocks });
  return {
    howdah: {
      call: median(one.ours),
      "call-added": added(one.ours, one.raw),
      "call-16": median(many.ours),
      "call-16-added": added(many.ours, many.raw),
      actor: median(one.oursAs),
      "actor-added": addedShare(one.oursAs, one.ours),
      "actor-16": median(many.oursAs),
      "actor-16-added": addedShare(many.oursAs, many.ours),
    },
    pg: {
      call: median(one.raw),
      "call-16": median(many.raw),
      actor: median(one.rawAs),
      "actor-16": median(many.rawAs),
    },
  };
}
