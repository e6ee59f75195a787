// The demo: shares the files of this workspace with teams, guests and the public, and asks who may read what, and why.
import { join } from "node:path";
import { authzModule, createAuthz, type TupleInput } from "@howdah/authz";
import { connect, migrate, StateError } from "@howdah/core";
import { startServer } from "@howdah/testing";
import { filesOf, foldersOf } from "./files.ts";
import { brokenModel, model, nextModel, tests } from "./model.ts";

const root = join(import.meta.dirname, "../../..");
const print = (text = ""): void => void process.stdout.write(`${text}\n`);
const title = (text: string): void => print(`\n${text}\n${"-".repeat(text.length)}`);

// 1. A PostgreSQL in a temporary folder, the schemas in it, and the model, which is active once its tests have passed.
await using server = await startServer();
const db = connect(server.url());
await migrate(db, [authzModule]);
const authz = createAuthz(db, { namespace: "workspace" });
const first = await authz.model.write(model, { tests, activate: true });
print(`PostgreSQL ${server.version} is up, the model compiled to SQL, ${tests.length} test of it passed`);

// 2. Every file is a document in its folder and belongs to who changed it last.
const files = filesOf(root);
const folders = new Set(files.flatMap(({ path }) => foldersOf(path)));
const tuples: TupleInput[] = [];
for (const folder of folders) {
  if (folder !== ".")
    tuples.push({ resource: ["folder", folder], relation: "parent", subject: ["folder", parentOf(folder)] });
}
for (const { path, author } of files) {
  tuples.push({ resource: ["document", path], relation: "parent", subject: ["folder", parentOf(path)] });
  if (author) tuples.push({ resource: ["document", path], relation: "owner", subject: ["user", author] });
}
const startedAt = performance.now();
for (let at = 0; at < tuples.length; at += 5000) await authz.write({ writes: tuples.slice(at, at + 5000) });
const authors = new Set(files.flatMap(({ author }) => author ?? []));
print(`${files.length} files in ${folders.size} folders, by ${[...authors].join(", ")}: ${tuples.length} tuples`);
print(`written, checked against the model and audited in ${Math.round(performance.now() - startedAt)} ms`);

// 3. Sharing: a folder with a team, another one only from the office's network, one file with everybody, one not with Bob.
await authz.write({
  writes: [
    "team:engineers#member@user:ann",
    "team:engineers#member@team:interns#member",
    "team:interns#member@user:ina",
    "team:interns#member@user:bob",
    "folder:packages#viewer@team:engineers#member",
    "document:README.md#viewer@user:*",
    "document:packages/core/package.json#blocked@user:bob",
    {
      resource: ["folder", "bench"],
      relation: "viewer",
      subject: ["user", "gil"],
      condition: { name: "in_office", context: { network: "10.0.0.0/8" } },
    },
  ],
});

title("Check");
const secret = "packages/core/package.json";
const questions: [string, string, Record<string, string>?][] = [
  ["ann", secret],
  ["ina", secret],
  ["bob", secret],
  ["bob", "packages/core/README.md"],
  ["eve", secret],
  ["eve", "README.md"],
  ["gil", "bench/README.md", { ip: "10.1.2.3" }],
  ["gil", "bench/README.md", { ip: "203.0.113.9" }],
  ["gil", "bench/README.md"],
];
for (const [user, path, context] of questions) {
  const { allowed, missing } = await authz.checkDetailed(
    ["user", user],
    "can_read",
    ["document", path],
    context && { context },
  );
  const answer = allowed ? "yes" : missing.length > 0 ? `cannot be told without ${missing.join(", ")}` : "no";
  print(`may ${user} read ${path}${context ? ` from ${context.ip}` : ""}? ${answer}`);
}

title("Explain");
const { rows: lines } = await db.query<{ line: string }>(
  "select line from authz.explain_text('user', 'ina', 'viewer', 'document', $1, 'workspace') line",
  [secret],
);
for (const { line } of lines) print(line);

title("List");
const readable = await authz.listObjects(["user", "ina"], "document", "can_read");
print(`ina may read ${readable.length} of ${files.length} files, by id:`);
for (const path of await authz.listResources(["user", "ina"], "document", "can_read").page({ limit: 3 }))
  print(`  ${path}`);
print(`those who may read ${secret}:`);
for await (const { type, id } of authz.listSubjects(["document", secret], "can_read", { subjectType: "user" })) {
  print(`  ${type}:${id}`);
}

title("Rows of your own tables");
await db.query(`
  create table files (path text primary key, author text);
  alter table files enable row level security;
  create role reader;
  grant select on files to reader;
  select howdah.grant_module('authz', 'reader', 'view');
  create policy readable on files for select to reader using (path = any (array(
    select resource_id from authz.list_objects('user', current_setting('app.user'), 'document', 'can_read', 'workspace'))))`);
await db.query("insert into files select * from unnest($1::text[], $2::text[])", [
  files.map(({ path }) => path),
  files.map(({ author }) => author ?? null),
]);
for (const user of ["ann", "bob", "eve"]) {
  const count = await db.transaction(async (tx) => {
    await tx.query("select set_config('app.user', $1, true)", [user]);
    await tx.query("set local role reader");
    return (await tx.query<{ count: number }>("select count(*)::int as count from files")).rows[0]?.count ?? 0;
  });
  print(`select count(*) from files, for ${user}: ${count}`);
}

title("Change the model");
const rewrite = await authz.model.diff(nextModel);
for (const { change, what, after } of rewrite) print(`${change} ${what}: ${after}`);
const error = await authz.model.write(brokenModel, { tests, activate: true }).catch((reason: unknown) => reason);
if (!(error instanceof StateError)) throw error;
print(`a version with a mistake is refused: ${error.message}`);
await authz.model.write(nextModel, { tests, activate: true });
await authz.grant("owner", { resource: ["folder", "docs"], subject: ["user", "ann"] });
const mayEdit = await authz.check(["user", "ann"], "editor", ["document", "docs/package.json"]);
print(`the next version is active: ann, who owns docs, may edit docs/package.json: ${mayEdit ? "yes" : "no"}`);
await authz.model.activate(first);
const activations = await authz.auditEvents({ eventType: "model_activated" }).page();
print(`the first version is active again, ${activations.length} changes of it are in the audit`);

await db.close();

function parentOf(path: string): string {
  const at = path.lastIndexOf("/");
  return at < 0 ? "." : path.slice(0, at);
}
