import { milliseconds } from "./duration.ts";
import { withCore } from "./migrate.ts";
import type { Module, ModuleFile } from "./module.ts";
import { concurrentIndex } from "./statements.ts";

/** What {@link script} writes. */
export interface ScriptOptions {
  /** Without psql's own commands, so that any driver can send it. Default false. */
  plain?: boolean;
  /** A role that gets `use` of every module. */
  grants?: string;
}

/**
 * Writes one SQL script that installs or upgrades modules without Node. It may be run again: files that the database has seen
 * are skipped, and afterwards {@link migrate} has nothing to do.
 *
 * For psql, each file stands as it is between `\if` and `\endif`. A plain script has each file executed inside a `do` block,
 * and builds indexes without `concurrently`, because all of it is one transaction.
 */
export function script(modules: readonly Module[], options: ScriptOptions = {}): string {
  const all = withCore(modules);
  const dialect = options.plain ? plain : psql;
  const title = all.map((module) => `${module.name} ${module.release}`).join(", ");
  return [
    `-- Howdah: ${title}. Apache-2.0. Generated; run it as often as you like.`,
    dialect.open,
    ...all.flatMap((module) => moduleParts(module, dialect)),
    ...(options.grants === undefined ? [] : all.slice(1).map((module) => grant(module, options.grants ?? ""))),
    "commit;",
    "",
  ].join("\n\n");
}

interface Dialect {
  open: string;
  /** Runs `body` if `condition` holds. */
  when(condition: string, body: string): string;
  file(module: Module, file: ModuleFile): string;
}

// A script cannot try and try again as migrate does, and while it waits it would hold up an index that is built concurrently.
// So it does not wait for ever: neither for the lock, nor for the tables, whose traffic would queue up behind it.
const takeLock = (end: string): string =>
  `set local lock_timeout = '1min';
select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('howdah.migrate', 0))${end}
set local lock_timeout = '5s';
set local search_path = pg_catalog, pg_temp;
set local client_min_messages = warning;`;
const psqlLock = takeLock(" as howdah_lock \\gset");

const psql: Dialect = {
  open: `\\set ON_ERROR_STOP on\n\\set QUIET on\nbegin;\n${psqlLock}`,
  when: (condition, body) => `select ${condition} as howdah_run \\gset\n\\if :howdah_run\n${body}\n\\endif`,
  file: (module, file) => {
    const inside = `${atVersion(file, psql, textOf(file))}\n${record(module, file)}`;
    if (file.inTransaction) return psql.when(isDue(module, file), inside);
    const outside = `commit;\n${invalidIndex(module, file, "drop index concurrently", (drop) => `${drop} \\gexec\n`)}${inside}\nbegin;\n${psqlLock}`;
    return psql.when(isDue(module, file), outside);
  },
};

const plain: Dialect = {
  open: `begin;\n${takeLock(";")}`,
  when: (condition, body) => `do $howdah$\nbegin\n  if ${condition} then\n${body}\n  end if;\nend\n$howdah$;`,
  file: (module, file) => {
    const text = file.inTransaction ? textOf(file) : textOf(file).replace(/\bconcurrently\b/gi, "");
    const mend = invalidIndex(module, file, "drop index", (drop) => `execute coalesce((${drop}), 'select');\n`);
    const run = `${mend}execute $howdah_file$\n${text}\n$howdah_file$;`;
    const guarded = file.minVersion === 0 ? run : `if ${hasVersion(file)} then\n${run}\nend if;`;
    return plain.when(isDue(module, file), `${guarded}\n${record(module, file)}`);
  },
};

/** What to do first about an index that a crash left half built: it exists, so it would not be built again. */
function invalidIndex(module: Module, file: ModuleFile, verb: string, use: (drop: string) => string): string {
  const index = file.inTransaction ? undefined : concurrentIndex(file.text);
  if (index === undefined) return "";
  return use(`select '${verb} ' || i.indexrelid::pg_catalog.regclass
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
where c.relname = '${index}' and c.relnamespace = pg_catalog.to_regnamespace('${module.name}') and not i.indisvalid`);
}

/** A file's text with an end to its last statement, and with its own patience for locks. */
function textOf({ text, lockTimeout, inTransaction }: ModuleFile): string {
  const whole = `${text.trimEnd()}\n;`;
  if (lockTimeout === undefined || !inTransaction) return whole;
  return `set local lock_timeout = ${milliseconds(lockTimeout)};\n${whole}\nset local lock_timeout = '5s';`;
}

function moduleParts(module: Module, dialect: Dialect): string[] {
  const manifest = literal(JSON.stringify(module.manifest));
  const hasFunctions = module.manifest.functions !== undefined;
  const name = literal(module.name);
  const versioned = module.files.filter((file) => file.kind === "versioned");
  const repeatable = module.files.filter((file) => file.kind === "repeatable");
  return [
    `-- Module ${module.name} ${module.release}`,
    ...(module.name === "howdah" ? [] : [installedBefore(module)]),
    ...(module.name === "howdah" || versioned.length === 0 ? [] : [uneditedOnly(module, versioned)]),
    ...versioned.map((file) => `-- ${module.name}: ${file.path}\n${dialect.file(module, file)}`),
    ...(hasFunctions
      ? [
          doBlock(
            `if pg_catalog.to_regprocedure('howdah.drop_stale_functions(jsonb)') is not null and ${notNewer(module)} then\n` +
              `    perform howdah.drop_stale_functions(${manifest});\n` +
              `    if found then\n      delete from howdah.migrations where module = ${name} and kind = 'repeatable';\n    end if;\n  end if;`,
          ),
        ]
      : []),
    ...repeatable.map((file) => `-- ${module.name}: ${file.path}\n${dialect.file(module, file)}`),
    doBlock(
      `if ${notNewer(module)} then
    insert into howdah.modules (module, release, fingerprint, api, min_api, manifest)
    values (${name}, ${literal(module.release)}, '${module.fingerprint}', ${module.api}, ${module.minApi}, ${manifest})
    on conflict (module) do update
    set release = excluded.release, fingerprint = excluded.fingerprint, api = excluded.api,
      min_api = excluded.min_api, manifest = excluded.manifest, updated_at = excluded.updated_at;
    perform howdah.apply_grants(${name});
    perform pg_catalog.pg_notify('howdah_core_migrated', ${name});
  end if;`,
    ),
  ];
}

/** Forgets a module whose schema was dropped, and refuses a schema that Howdah did not make. */
const installedBefore = (module: Module): string =>
  doBlock(
    `if pg_catalog.to_regnamespace('${module.name}') is null then
    delete from howdah.migrations where module = '${module.name}';
    delete from howdah.modules where module = '${module.name}';
  elsif not exists (select from howdah.migrations where module = '${module.name}') then
    raise exception 'schema ${module.name} exists, but no Howdah migration made it';
  end if;`,
  );

/** Refuses to go on where an applied file had another text. */
const uneditedOnly = (module: Module, versioned: readonly ModuleFile[]): string =>
  doBlock(
    `if exists (
    select from howdah.migrations m
    join (values ${versioned.map((file) => `('${file.path}', '${file.checksum}')`).join(", ")}) v (file, checksum)
      on v.file = m.file and v.checksum <> m.checksum
    where m.module = '${module.name}'
  ) then
    raise exception 'a migration of ${module.name} that was applied has been edited since';
  end if;`,
  );

/** Whether a file is still to be run. The ledger is asked inside a function body, because at first it does not exist. */
function isDue(module: Module, file: ModuleFile): string {
  if (module.name === "howdah" && file.number === 1) return "pg_catalog.to_regclass('howdah.migrations') is null";
  const seen = `select from howdah.migrations where module = '${module.name}' and file = '${file.path}'`;
  const same = file.kind === "repeatable" ? ` and checksum = '${file.checksum}'` : "";
  return `not exists (${seen}${same}) and ${notNewer(module)}`;
}

/** False in a database that a later release of the module has migrated. */
const notNewer = (module: Module): string =>
  `not exists (select from howdah.modules where module = '${module.name}' and ` +
  `(api > ${module.api} or ${numbers("release")} > ${numbers(literal(module.release))}))`;

/** The numbers of a release, without what marks it as a preview. */
const numbers = (release: string): string =>
  `pg_catalog.string_to_array(pg_catalog.substring(${release}, '^[0-9]+(?:[.][0-9]+)*'), '.')::int[]`;

/** Notes a file as applied. After a versioned one all repeatables are due, as they may tell of what it made anew. */
const record = (module: Module, file: ModuleFile): string =>
  `insert into howdah.migrations (module, file, kind, checksum, release)
values ('${module.name}', '${file.path}', '${file.kind}', '${file.checksum}', ${literal(module.release)})
on conflict (module, file) do update
set checksum = excluded.checksum, release = excluded.release, applied_at = excluded.applied_at,
  applied_by = excluded.applied_by;${
    file.kind === "versioned"
      ? `\ndelete from howdah.migrations where module = '${module.name}' and kind = 'repeatable';`
      : ""
  }`;

const hasVersion = (file: ModuleFile): string =>
  `pg_catalog.current_setting('server_version_num')::int >= ${file.minVersion * 10_000}`;

const atVersion = (file: ModuleFile, dialect: Dialect, text: string): string =>
  file.minVersion === 0 ? text : dialect.when(hasVersion(file), text);

const grant = (module: Module, role: string): string =>
  `select howdah.grant_module('${module.name}', ${literal(role)}, 'use');`;

const doBlock = (body: string): string => `do $howdah$\nbegin\n  ${body}\nend\n$howdah$;`;

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
