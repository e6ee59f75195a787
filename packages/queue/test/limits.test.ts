import { type TestDatabase, testDatabase } from "@howdah/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { queueModule } from "../src/module.ts";
import { refuses, rows, value, wipe } from "./sql.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase({ modules: [queueModule] });
});
beforeEach(() => wipe(db));
afterAll(() => db.close());

const call = (sql: string, values: unknown[] = []): Promise<unknown> => value(db, `select ${sql}`, values);

describe("the name of a queue", () => {
  /** Every function that takes a queue, as a call with the queue as $1. */
  const functions = [
    "queue.push('t', $1, '1')",
    "queue.push_batch('t', $1, array['1']::jsonb[])",
    "queue.pull('t', $1)",
    "queue.pull_batch('t', $1)",
    "queue.pull_any('t', array[$1])",
    "queue.exchange('t', $1, 1, 'w', null, null, null)",
    "queue.purge_queue('t', $1)",
    "queue.retry_dead_letters('t', $1)",
    "queue.configure_queue('t', $1, '{}')",
    "queue.pause_queue('t', $1)",
    "queue.resume_queue('t', $1)",
    "queue.get_queue_settings('t', $1)",
    "queue.channel_name('t', $1)",
    "queue.bell('t', $1)",
  ];
  const wrong = [
    [null, "queue_null 22004"],
    ["", "queue_empty 22026"],
    ["q".repeat(257), "queue_too_long 22001"],
    ["a\u0001b", "queue_invalid_chars 22023"],
    ["a\nb", "queue_invalid_chars 22023"],
    ["a\u007f", "queue_invalid_chars 22023"],
    ["a\u2028b", "queue_invalid_chars 22023"],
    ["a\u001fb", "queue_invalid_chars 22023"],
    [" a", "queue_whitespace 22023"],
    ["a\u00a0", "queue_whitespace 22023"],
    ["a ", "queue_whitespace 22023"],
  ] as const;

  test.each(functions)("is checked by %s", async (sql) => {
    for (const [name, code] of wrong) await refuses(call(sql, [name]), code);
  });

  test("is judged alike however the session reads backslashes", async () => {
    const client = await db.client();
    await client.query("set standard_conforming_strings to off");
    for (const [name, code] of wrong) {
      await refuses(value(client, "select queue.push('t', $1, '1')", [name]), code);
      const schedule = value(client, "select queue.delete_schedule('t', $1)", [name]);
      await refuses(schedule, code.replace("queue", "schedule_name"));
    }
    for (const name of ["sales", "grass s", "x01 u0085"]) {
      expect(await value(client, "select queue.push('t', $1, '1')", [name])).not.toBeNull();
      expect(await value(client, "select queue.delete_schedule('t', $1)", [name])).toBe(false);
    }
  });

  test("may hold 256 characters, also inner spaces and characters of any script", async () => {
    for (const name of ["q".repeat(256), "ünï code 漢字 🦊", "漢".repeat(256), "a/b.c:d'e\"f\\g%s"]) {
      expect(await call("queue.push('t', $1, '1')", [name])).not.toBeNull();
      expect(await rows(db, "select queue from queue.pull('t', $1)", [name])).toEqual([{ queue: name }]);
    }
  });

  test("and that of the tenant fit into an index together", async () => {
    const tenant = "漢".repeat(600);
    expect(await call("queue.push($1, $2, '1')", [tenant, "q".repeat(256)])).not.toBeNull();
    await refuses(call("queue.push($1, $2, '1')", [tenant, "漢".repeat(256)]), "queue_too_long 22001");
  });
});

describe("the name of a tenant", () => {
  test("is checked before anything else", async () => {
    await refuses(call("queue.push(null, 'q', null)"), "namespace_null 22004");
    await refuses(call("queue.push('', 'q', null)"), "namespace_empty 22026");
    await refuses(call("queue.push(repeat('n', 1025), 'q', null)"), "namespace_too_long 22001");
    await refuses(call("queue.push($1, 'q', null)", ["a\u0001"]), "namespace_invalid_chars 22023");
    await refuses(call("queue.push(' a', 'q', null)"), "namespace_whitespace 22023");
    expect(await call("queue.push(repeat('n', 1024), 'q', '1')")).not.toBeNull();
  });
});

describe("a job", () => {
  const push = (options: string, values: unknown[] = []): Promise<unknown> =>
    call(`queue.push('t', 'q', '1', ${options})`, values);

  test("has a payload of at most 1 MiB as text, or as the namespace has it", async () => {
    const text = (bytes: number): string => JSON.stringify("x".repeat(bytes - 2));
    await refuses(call("queue.push('t', 'q', null)"), "payload_null 22004");
    expect(await call("queue.push('t', 'q', $1)", [text(1048576)])).not.toBeNull();
    await refuses(call("queue.push('t', 'q', $1)", [text(1048577)]), "payload_too_large 22023");
    await refuses(
      call("queue.push_batch('t', 'q', array['1', $1::jsonb])", [text(1048577)]),
      "payload_too_large 22023",
    );
    await db.query("insert into queue.config (namespace, max_payload_bytes) values ('t', 100)");
    expect(await call("queue.push_batch('t', 'q', array[$1::jsonb, '1'])", [text(100)])).toHaveLength(2);
    await refuses(call("queue.push_batch('t', 'q', array['1', $1::jsonb])", [text(101)]), "payload_too_large 22023");
    await refuses(
      call("queue.push_batch('t', 'q', array[$1::jsonb])", [`"${"\\u0001".repeat(20)}"`]),
      "payload_too_large 22023",
    );
    await refuses(push("p_metadata => $1", [text(101)]), "payload_too_large 22023");
    await refuses(push("p_trace => $1", [text(101)]), "payload_too_large 22023");
  });

  test("says in its refusal what the limit and the value are", async () => {
    const error = await push("p_priority => 1001").catch((reason: { detail?: string }) => reason.detail);
    expect(error).toBe('[queue.priority_range] {"field": "priority", "actual": 1001}');
  });

  test.each([
    ["p_priority => 1000", null],
    ["p_priority => -1000", null],
    ["p_priority => null", null],
    ["p_priority => 1001", "priority_range 22023"],
    ["p_priority => -1001", "priority_range 22023"],
    ["p_max_attempts => 1", null],
    ["p_max_attempts => 30", null],
    ["p_max_attempts => 0", "max_attempts_range 22023"],
    ["p_max_attempts => 31", "max_attempts_range 22023"],
    ["p_delay => '-1 s'", "not_positive 22023"],
    ["p_expires_in => '0 s'", "not_positive 22023"],
    ["p_throttle => '0 s', p_unique_key => 'k'", "not_positive 22023"],
    ["p_throttle => '1 s'", "unique_key_null 22004"],
    ["p_unique_key => ''", "unique_key_empty 22026"],
    ["p_unique_key => repeat('k', 1024)", null],
    ["p_unique_key => repeat('k', 1025)", "unique_key_too_long 22023"],
    ["p_unique_key => repeat('漢', 900)", "unique_key_too_long 22023"],
    ["p_concurrency_key => repeat('k', 1025)", "concurrency_key_too_long 22023"],
    ["p_fair_key => repeat('k', 1025)", "fair_key_too_long 22023"],
    ["p_tags => array_fill('t'::text, array[50])", null],
    ["p_tags => array_fill('t'::text, array[51])", "tags_limit 22023"],
    ["p_tags => array[repeat('t', 256)]", null],
    ["p_tags => array[repeat('t', 257)]", "tags_limit 22023"],
    ["p_on_conflict => 'explode'", "on_conflict_invalid 22023"],
    ["p_on_conflict => null", null],
    ["p_delay => null, p_tags => null, p_metadata => null, p_max_attempts => null", null],
  ])("with %s: %s", async (options, code) => {
    if (code) await refuses(push(options), code);
    else expect(await push(options)).not.toBeNull();
  });

  test("keeps strange texts as they are", async () => {
    const text = "\u0001\n漢字 🦊 \\ \" ' %s $1";
    await call("queue.push('t', 'q', $1, p_unique_key => $2, p_tags => array[$2])", [JSON.stringify({ text }), text]);
    const [job] = await rows<{ id: string; fence_token: string }>(db, "select * from queue.pull('t', 'q', $1)", [text]);
    expect(job).toMatchObject({ payload: { text }, unique_key: text, tags: [text], locked_by: text });
    await call("queue.fail('t', $1, $2, $3)", [job?.id, job?.fence_token, text]);
    expect(await rows(db, "select last_error from queue.dead_letters")).toEqual([{ last_error: text }]);
  });
});

describe("names that look alike when joined", () => {
  const pairs = [
    ["a/b", "c"],
    ["a", "b/c"],
  ] as const;

  test("never share a channel, a bell, a key or a row", async () => {
    const values = await Promise.all(
      pairs.flatMap((pair) => [call("queue.channel_name($1, $2)", [...pair]), call("queue.bell($1, $2)", [...pair])]),
    );
    expect(new Set(values).size).toBe(4);
    for (const [tenant, queue] of pairs) {
      expect(
        await call("queue.push($1, $2, '1', p_unique_key => 'k', p_throttle => '1 hour')", [tenant, queue]),
      ).not.toBeNull();
    }
    for (const [tenant, queue] of pairs) {
      expect(await rows(db, "select namespace, queue from queue.pull_batch($1, $2)", [tenant, queue])).toEqual([
        { namespace: tenant, queue },
      ]);
    }
  });

  test("make channels that fit and differ from the control channel", async () => {
    const channels = await Promise.all([
      call("queue.channel_name('t', 'q')"),
      call("queue.channel_name(repeat('n', 1024), repeat('q', 256))"),
      call("queue.control_channel('t')"),
      call("queue.control_channel('u')"),
    ]);
    expect(new Set(channels).size).toBe(4);
    for (const channel of channels) expect(Buffer.byteLength(String(channel))).toBeLessThan(63);
  });
});

test("a duration with which no time can be reckoned is refused", async () => {
  const id = await value<string>(db, "select queue.push('t', 'q', '1')");
  await call("queue.pull('t', 'q')");
  const held = `'t', ${id}, (select fence_token from queue.jobs where id = ${id})`;
  for (const long of ["101 years", "300000 years"]) {
    for (const sql of [
      `queue.push('t', 'q', '1', '${long}')`,
      `queue.push('t', 'q', '1', p_expires_in => '${long}')`,
      `queue.push('t', 'q', '1', p_unique_key => 'k', p_throttle => '${long}')`,
      `queue.push('t', 'q', '1', p_run_at => 'infinity')`,
      `queue.push('t', 'q', '1', p_run_at => '-infinity', p_delay => '1 day')`,
      `queue.push_batch('t', 'q', array['1']::jsonb[], p_delays => array['${long}']::interval[])`,
      `queue.pull('t', 'q', 'w', '${long}')`,
      `queue.exchange('t', 'q', 1, 'w', '${long}', null, null)`,
      `queue.heartbeat('t', 'w', null, null, '${long}')`,
      `queue.nack(${held}, 'e', '${long}')`,
      `queue.snooze(${held}, '${long}')`,
      `queue.extend_visibility(${held}, '${long}')`,
    ]) {
      await refuses(call(sql), "range_too_large 22023");
    }
  }
  expect(await value(db, "select count(*)::int from queue.jobs")).toBe(1);
});

test("the tables themselves refuse rows that contradict themselves", async () => {
  const insert = (columns: string, values: string): Promise<unknown> =>
    db.query(`insert into queue.jobs (namespace, queue, payload, ${columns}) values ('t', 'q', '1', ${values})`);
  for (const [columns, values] of [
    ["status", "'odd'"],
    ["status", "'running'"],
    ["fence_token, locked_by, locked_at, visibility_timeout_at", "1, 'w', now(), now()"],
    ["status", "'completed'"],
    ["status, completed_at", "'dead', now()"],
    ["phase", "9"],
    ["completed_at", "now()"],
    ["priority", "1001"],
  ] as const) {
    await expect(insert(columns, values), `${columns} = ${values}`).rejects.toMatchObject({ code: "23514" });
  }
});

test("a text that carries its column's collation is compared like any other", async () => {
  await db
    .query(`create table public.names (name text collate "en_US.utf8")`)
    .catch(() => db.query(`create table public.names (name text collate "POSIX")`));
  await db.query("insert into public.names values ('q')");
  expect(await call("queue.push(name, name, '1', p_unique_key => name) from public.names")).not.toBeNull();
  expect(await call("queue.push(name, name, '1', p_unique_key => name) from public.names")).toBeNull();
  expect(
    await call("queue.push_batch(name, name, array['1']::jsonb[], p_unique_keys => array[name]) from public.names"),
  ).toEqual([null]);
  expect(await value(db, "select j.id is not null from public.names, queue.pull(name, name, name) j")).toBe(true);
  const sqls = [
    "select queue.release_jobs(name, name) from public.names",
    "select e.kind from public.names, queue.exchange(name, name, 1, name, null, null, null) e",
    "select h.job_id from public.names, queue.heartbeat(name, name, null, null, null) h",
    "select queue.register_worker(name, name, array[name]) from public.names",
    "select t.promoted from public.names, queue.tick(name) t",
    "select t.job_id from public.names, queue.tick_timeouts(name) t",
    "select queue.cancel(name, 0), queue.request_cancel(name, 0), queue.purge_queue(name, name) from public.names",
    "select r.job_id from public.names, queue.retry_dead_letters(name, name) r",
    "select queue.purge_dead_letters(name, name) from public.names",
    "select d.id from public.names, queue.list_dead_letters(name, name) d",
    "select l.id from public.names, queue.list_jobs(name, name, 'ready') l",
    "select l.id from public.names, queue.list_jobs(name, name, p_search => name) l",
    "select s.queue from public.names, queue.get_queue_stats(name, name) s",
    "select s.pending from public.names, queue.get_stats(name) s",
    "select queue.configure_queue(name, name, '{}'), queue.pause_queue(name, name), queue.resume_queue(name, name) from public.names",
    "select s.notify from public.names, queue.get_queue_settings(name, name) s",
    "select queue.prune(name), queue.channel_name(name, name), queue.bell(name, name) from public.names",
    "select p.id from public.names, queue.pull_any(name, array[name], name) p",
    "select queue.ack_batch(name, null, null), queue.release_batch(name, null, null) from public.names",
    "select s.job_id from public.names, queue.settle_batch(name, '[]') s",
  ];
  for (const sql of sqls) await expect(db.query(sql), sql).resolves.toBeDefined();
});
