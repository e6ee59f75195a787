/** What a statement does to those who use the table at the same time. */
export interface LockNote {
  /** The strongest lock, in PostgreSQL's words, or `none` where no table is locked that is in use. */
  lock: string;
  /** The object that is locked. */
  on?: string;
  /** Whether every row is written anew while the lock is held. */
  rewrites: "no" | "maybe" | "yes";
  note?: string;
}

interface Rule extends Omit<LockNote, "on"> {
  /** Matched against the bare statement, or one action of `alter table`; its first group is the object's name. */
  kind: RegExp;
}

const rule = (kind: RegExp, lock: string, note?: string, rewrites: LockNote["rewrites"] = "no"): Rule => ({
  kind,
  lock,
  rewrites,
  ...(note === undefined ? {} : { note }),
});

const scans = "reads every row first";
const brief = "held until the transaction ends";

/** Locks from the weakest to the strongest; see "Explicit Locking" in PostgreSQL's documentation. */
const strengths = [
  "none",
  "unknown",
  "access share",
  "row share",
  "row exclusive",
  "share update exclusive",
  "share",
  "share row exclusive",
  "exclusive",
  "access exclusive",
];

const name = String.raw`(?:if (?:not )?exists )?(?:only )?([\w."]+)`;
const on = (start: string, rest = ""): RegExp => new RegExp(`^${start} ${name}${rest}`);

/** The first rule that matches holds. */
const rules: readonly Rule[] = [
  rule(on("create table", ".* partition of"), "access exclusive", "on the parent; reads its default partition"),
  rule(
    on("create table", ".*\\breferences\\b"),
    "share row exclusive",
    "on the tables it refers to: they take no writes",
  ),
  rule(on("create (?:unlogged )?table"), "none", "new table"),
  rule(
    /^create (?:unique )?index concurrently .*?\bon (?:only )?([\w."]+)/,
    "share update exclusive",
    "writes go on; takes long",
  ),
  rule(/^create (?:unique )?index .*?\bon (?:only )?([\w."]+)/, "share", "no writes while the index is built"),
  rule(/^drop index concurrently/, "share update exclusive", "writes go on"),
  rule(on("drop (?:table|index|view|materialized view|sequence)"), "access exclusive", brief),
  rule(on("truncate(?: table)?"), "access exclusive", brief),
  rule(/^(?:create|alter|drop) policy .*? on ([\w."]+)/, "access exclusive", brief),
  rule(
    /^create (?:or replace )?(?:constraint )?trigger .*? on ([\w."]+)/,
    "share row exclusive",
    "no writes meanwhile",
  ),
  rule(/^drop trigger .*? on ([\w."]+)/, "access exclusive", brief),
  rule(/^create (?:or replace )?rule .*? to ([\w."]+)/, "access exclusive", brief),
  rule(on("create materialized view"), "access share", "on the tables it reads"),
  rule(on("create (?:or replace )?view"), "access exclusive", "on the view alone"),
  rule(on("refresh materialized view concurrently"), "exclusive", "reads go on"),
  rule(on("refresh materialized view"), "access exclusive", undefined, "yes"),
  rule(on("(?:vacuum full|cluster)"), "access exclusive", undefined, "yes"),
  rule(/^reindex .*concurrently ([\w."]+)/, "share update exclusive", "writes go on"),
  rule(/^reindex (?:index|table|schema) ([\w."]+)/, "access exclusive", "no writes while indexes are built"),
  rule(/^create statistics .*? from ([\w."]+)/, "share update exclusive"),
  rule(/^comment on column ([\w."]+)\.[\w"]+ /, "share update exclusive"),
  rule(on("comment on (?:table|index|view)"), "share update exclusive"),
  rule(on("alter sequence"), "share row exclusive"),
  rule(on("insert into"), "row exclusive"),
  rule(on("(?:update|delete from)"), "row exclusive", "and the rows that it changes"),
  rule(/^select\b/, "access share", "and whatever the functions do that it calls"),
  rule(/^(?:do|call)\b/, "unknown", "runs code: read it"),
  rule(
    /^(?:create (?:or replace )?(?:function|procedure|aggregate)|(?:alter|drop) (?:function|procedure|aggregate))/,
    "none",
    "callers under way are not disturbed",
  ),
  rule(/^(?:create|alter|drop) (?:schema|type|domain|sequence|role|extension|cast|operator|statistics)\b/, "none"),
  rule(/^(?:comment on|grant|revoke|set|reset|alter default privileges)\b/, "none"),
];

/** The actions of `alter table`, each after the other; the strongest of a statement's counts. */
const actions: readonly Rule[] = [
  rule(
    /^add column .*\b(?:generated always as \(|generated .* as identity|\w*serial\b)/,
    "access exclusive",
    undefined,
    "yes",
  ),
  rule(
    /^add column .*\bdefault\b.*\(/,
    "access exclusive",
    "a volatile default rewrites, a stable one does not",
    "maybe",
  ),
  rule(/^add column .*\breferences\b/, "access exclusive", "and share row exclusive on the table it refers to"),
  rule(/^add column/, "access exclusive", brief),
  rule(/^add (?:constraint \S+ )?foreign key.* not valid/, "share row exclusive", "on both tables; reads no rows"),
  rule(/^add (?:constraint \S+ )?foreign key/, "share row exclusive", `on both tables; ${scans}`),
  rule(/^add (?:constraint \S+ )?(?:primary key|unique) using index/, "access exclusive", brief),
  rule(/^add (?:constraint \S+ )?(?:primary key|unique|exclude)/, "access exclusive", "builds an index under the lock"),
  rule(/^add (?:constraint \S+ )?check.* not valid/, "access exclusive", brief),
  rule(/^add (?:constraint \S+ )?(?:check|not null)/, "access exclusive", scans),
  rule(/^validate constraint/, "share update exclusive", `${scans}; writes go on`),
  rule(
    /^alter (?:column )?\S+ (?:set data )?type\b/,
    "access exclusive",
    "not if the stored form stays, as from varchar to text",
    "maybe",
  ),
  rule(/^alter (?:column )?\S+ set not null/, "access exclusive", `${scans}, unless a check constraint proves it`),
  rule(/^alter (?:column )?\S+ add generated/, "access exclusive", brief),
  rule(/^alter (?:column )?\S+ set statistics/, "share update exclusive"),
  rule(/^attach partition/, "share update exclusive", "and access exclusive on the partition, whose rows it reads"),
  rule(/^detach partition \S+ (?:concurrently|finalize)/, "share update exclusive"),
  rule(/^set (?:logged|unlogged|tablespace|access method)/, "access exclusive", undefined, "yes"),
  rule(/^(?:re)?set \(/, "share update exclusive"),
  rule(/^(?:enable|disable) (?:replica |always )?trigger/, "share row exclusive", "no writes meanwhile"),
  rule(/^/, "access exclusive", brief),
];

/** Judges statements one after the other: a table that one of them creates is nobody's trouble in the next. */
export function lockNotes(): (bare: string) => LockNote {
  const created = new Set<string>();
  return (bare) => {
    const table = on("create (?:unlogged )?table").exec(bare)?.[1];
    if (table !== undefined) created.add(table);
    const found = noteOf(bare);
    const isNew = found.on !== undefined && table === undefined && created.has(found.on);
    return isNew ? { lock: "none", on: found.on as string, rewrites: "no", note: "new table" } : found;
  };
}

function noteOf(bare: string): LockNote {
  const altered = on("alter (?:foreign )?table(?: only)?", " (.*)$").exec(bare);
  if (altered) {
    const [, table = "", rest = ""] = altered;
    const notes = splitActions(rest).map((action) => match(actions, action));
    return { on: table, ...notes.reduce((a, b) => (weight(b) > weight(a) ? b : a)) };
  }
  const found = match(rules, bare);
  const partitionOf = /^create table .* partition of ([\w."]+)/.exec(bare)?.[1];
  return partitionOf === undefined ? found : { ...found, on: partitionOf };
}

function match(list: readonly Rule[], bare: string): LockNote {
  for (const { kind, ...note } of list) {
    const object = kind.exec(bare);
    if (object) return object[1] === undefined ? note : { on: object[1], ...note };
  }
  return { lock: "unknown", rewrites: "maybe", note: "this kind of statement is not judged: read it" };
}

const weight = ({ lock, rewrites }: LockNote): number =>
  strengths.indexOf(lock) + ["no", "maybe", "yes"].indexOf(rewrites) * strengths.length;

/** Splits at the commas that stand in no bracket. */
function splitActions(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i <= text.length; i++) {
    if (text[i] === "(") depth++;
    if (text[i] === ")") depth--;
    if (i === text.length || (text[i] === "," && depth === 0)) {
      parts.push(text.slice(start, i).trim());
      start = i + 1;
    }
  }
  return parts;
}
