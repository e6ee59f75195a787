import { connect, type Database, type Module } from "@howdah/core";
import pg from "pg";
import { type Clock, clock } from "./clock.ts";
import { createDatabase, createRole, dropDatabase, ownPool } from "./home.ts";

/** A test database as one role sees it: a core `Database`, and connections beside it. */
export interface TestConnection extends Database, AsyncDisposable {
  readonly url: string;
  /** A `pg` pool on it. */
  readonly pool: pg.Pool;
  /** A connection of its own. All are closed with the database. */
  client(): Promise<pg.Client>;
  /** Several connections of their own. */
  clients(count: number): Promise<pg.Client[]>;
}

/** A database of a test's own. */
export interface TestDatabase extends TestConnection, Clock {
  readonly name: string;
  /** Makes a role that may log in and nothing else, and connects as it. The role goes with the database. */
  role(name: string): Promise<TestRole>;
}

/** A test database as a role without rights of its own sees it. */
export interface TestRole extends TestConnection {
  /** The role's name: the given one and what makes it unique on the server. */
  readonly name: string;
  /** Gives the role access to a module, such as `grant("queue", "producer")`; by default `use`. */
  grant(module: string, access?: string): Promise<void>;
}

/** What a test database holds. */
export interface TestDatabaseOptions {
  /** The modules to install; `howdah` itself comes with them. Without this the database is empty. */
  modules?: readonly Module[];
}

/**
 * Makes a database for a test file (or a test): a copy of one that was migrated once, in some 30 ms.
 *
 * It is on the server that `postgres()` of `@howdah/testing/vitest` has started for the run, else on one that this process
 * starts for itself. Close it, or declare it with `await using`.
 */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { name, url } = await createDatabase(options.modules);
  const connection = open(url);
  const roles: TestRole[] = [];

  async function role(wanted: string): Promise<TestRole> {
    const { name: unique, password } = await createRole(wanted);
    const address = new URL(url);
    address.username = unique;
    address.password = password;
    const made: TestRole = Object.assign(open(address.href), {
      name: unique,
      async grant(module: string, access = "use") {
        await connection.query("select howdah.grant_module($1, $2, $3)", [module, unique, access]);
      },
    });
    roles.push(made);
    return made;
  }

  let closing: Promise<void> | undefined;
  async function closeAll(): Promise<void> {
    await Promise.all([closeConnection(), ...roles.map((made) => made.close())]);
    await dropDatabase(
      name,
      roles.map((made) => made.name),
    );
  }
  const closeConnection = connection.close;
  const close = (): Promise<void> => {
    closing ??= closeAll();
    return closing;
  };
  return Object.assign(connection, { name, role, ...clock(connection), close, [Symbol.asyncDispose]: close });
}

/** Connects to a database as the role of its url. */
function open(url: string): TestConnection {
  const pool = ownPool(url, 10);
  const clients = new Set<pg.Client>();
  pool.on("connect", (client) => clients.add(keepCalm(client as pg.PoolClient)));
  pool.on("remove", (client) => clients.delete(client as pg.PoolClient));
  const database = connect(pool);
  const closeDatabase = database.close.bind(database);

  async function client(): Promise<pg.Client> {
    const made = keepCalm(new pg.Client({ connectionString: url, application_name: pool.options.application_name }));
    clients.add(made);
    await made.connect();
    return made;
  }
  async function close(): Promise<void> {
    await closeDatabase();
    // The pool would wait for what a failed test did not give back, so its connections are ended one by one.
    pool.end().catch(() => {});
    await Promise.all([...clients].map((each) => each.end()));
  }
  return Object.assign(database, {
    url,
    pool,
    client,
    clients: (count: number) => Promise.all(Array.from({ length: count }, client)),
    close,
    [Symbol.asyncDispose]: close,
  });
}

/** A connection that breaks while nothing runs on it raises an event, which would end the process. */
function keepCalm<C extends pg.Client>(client: C): C {
  client.on("error", () => {});
  return client;
}
