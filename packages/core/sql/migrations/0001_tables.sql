-- The ledger: which files of which module this database has seen, and who may use them.
--
-- These are the only tables of Howdah without a namespace: they describe the installation, not a
-- tenant's data.

create schema if not exists howdah;

create table howdah.migrations (
  module text collate "C" not null,
  file text collate "C" not null,
  kind text not null,
  checksum text not null,
  release text not null,
  applied_at timestamptz not null default clock_timestamp(),
  applied_by text not null default current_user,
  duration_ms int not null default 0,
  baseline boolean not null default false,
  primary key (module, file),
  constraint migrations_kind_check check (kind in ('versioned', 'repeatable'))
);

create table howdah.modules (
  module text collate "C" not null primary key,
  release text not null,
  fingerprint text not null,
  api int not null,
  min_api int not null,
  manifest jsonb not null,
  updated_at timestamptz not null default clock_timestamp(),
  constraint modules_module_check check (module ~ '^[a-z][a-z0-9_]{0,30}$'),
  constraint modules_api_check check (min_api between 1 and api)
);

create table howdah.grants (
  module text collate "C" not null,
  role_name name not null,
  access text not null,
  granted_at timestamptz not null default clock_timestamp(),
  primary key (module, role_name)
);

create table howdah.maintenance (
  module text collate "C" not null,
  task text collate "C" not null,
  last_at timestamptz not null default clock_timestamp(),
  last_ms numeric not null,
  affected bigint not null,
  more boolean not null,
  error text,
  primary key (module, task)
);

comment on schema howdah is
  'The ground under every Howdah module: ledger, tenant and actor context, verification, grants.';

comment on table howdah.migrations is
  'Every file of every module that was applied to this database, with its checksum.';
comment on column howdah.migrations.module is 'The module, which is also the name of its schema';
comment on column howdah.migrations.file is
  'The path of the file in the module, such as migrations/0001_tables.sql';
comment on column howdah.migrations.kind is
  'versioned: applied once; repeatable: applied again whenever its text changes';
comment on column howdah.migrations.checksum is
  'SHA-256 of the text in hexadecimal, line ends taken as LF';
comment on column howdah.migrations.release is 'The package version that applied the file';
comment on column howdah.migrations.applied_at is 'When the file was applied';
comment on column howdah.migrations.applied_by is 'The role that applied the file';
comment on column howdah.migrations.duration_ms is 'How long the file took, in milliseconds';
comment on column howdah.migrations.baseline is
  'True if the file was only recorded, because the schema was there before the ledger';

comment on table howdah.modules is 'The installed modules, one row each.';
comment on column howdah.modules.module is 'The module, which is also the name of its schema';
comment on column howdah.modules.release is 'The package version that the database is at';
comment on column howdah.modules.fingerprint is
  'SHA-256 over release, checksums of all files in order, and manifest: equal means nothing to do';
comment on column howdah.modules.api is 'The number that a release raises when it adds something';
comment on column howdah.modules.min_api is
  'The lowest api of a client that this database still serves';
comment on column howdah.modules.manifest is
  'What the schema must look like, as howdah.manifest prints it, and the access sets of the module';
comment on column howdah.modules.updated_at is 'When the module last changed';

comment on table howdah.grants is
  'Which role may do what with which module; applied again after each change of the module.';
comment on column howdah.grants.module is 'The module';
comment on column howdah.grants.role_name is 'The role';
comment on column howdah.grants.access is 'view, use, read, admin, or a set that the module names';
comment on column howdah.grants.granted_at is 'When the access was given';

comment on table howdah.maintenance is 'The last outcome of each maintenance task.';
comment on column howdah.maintenance.module is 'The module';
comment on column howdah.maintenance.task is 'The task, as the module names it';
comment on column howdah.maintenance.last_at is 'When the task last ran';
comment on column howdah.maintenance.last_ms is
  'How long the module''s maintenance took, in milliseconds';
comment on column howdah.maintenance.affected is 'Rows or objects that the task changed';
comment on column howdah.maintenance.more is
  'True if the task stopped at its budget with work left';
comment on column howdah.maintenance.error is 'The error of the last run, null if it went well';
