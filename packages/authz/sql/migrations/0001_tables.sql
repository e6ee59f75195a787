-- Tables of authz.
--
-- One store of tuples serves everything: what applications grant, how resources nest, who is in
-- which group, and roles. A tuple reads "subject has relation on resource". Everything else here is
-- rules about tuples (hierarchy, models), names (roles, permissions), or a record of what changed.
--
-- Names compare byte by byte (collation "C"), because walks over text keys are then as fast as over
-- numbers, and equal only if they are equal after NFC, which a trigger sees to.

create schema if not exists authz;
create schema if not exists authz_rt;

create table authz.tuples (
  id bigserial,
  namespace text collate "C" not null default 'default',
  resource_type text collate "C" not null,
  resource_id text collate "C" not null,
  relation text collate "C" not null,
  subject_type text collate "C" not null,
  subject_id text collate "C" not null,
  subject_relation text collate "C",
  created_at timestamptz not null default howdah.now(),
  expires_at timestamptz,
  condition_name text collate "C",
  condition_context jsonb,
  resource_id_raw text collate "C",
  subject_id_raw text collate "C",
  primary key (namespace, id),
  -- Each expression is read anew by every insert: one of concat() costs a third of one a column.
  constraint tuples_names_check check (
    concat(resource_type, '/', relation, '/', subject_type, '/', coalesce(subject_relation, 'x'))
      ~ '^[a-z][a-z0-9_-]*(/[a-z][a-z0-9_-]*){3}$'
    and resource_id <> ''
    and subject_id <> ''
  ),
  constraint tuples_size_check check (
    octet_length(concat(namespace, resource_type, resource_id, relation, subject_type, subject_id,
      subject_relation, subject_relation, condition_name)) <= 2400
  ),
  constraint tuples_condition_check check (
    condition_name is not null or condition_context is null
  )
)
with (
  fillfactor = 90,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_analyze_scale_factor = 0.02
);

-- A plan is made once and serves all tenants, so it must suit the largest: with this the planner
-- takes any tenant to be as large as that.
alter table authz.tuples alter column namespace set (n_distinct = 1);

-- The included columns let walks read the index alone.
create unique index tuples_forward_idx on authz.tuples (
  namespace, resource_type, resource_id, relation, subject_type, subject_id,
  (coalesce(subject_relation, ''))
) include (subject_relation, expires_at, condition_name);

create index tuples_reverse_idx on authz.tuples (
  namespace, subject_type, subject_id, subject_relation, resource_type, relation, resource_id
) include (expires_at, condition_name);

-- Groups within groups and resources within containers: what the walks of dynamic types follow. Its
-- order also says, by one probe for each, which types have members or contents at all.
create index tuples_edges_idx on authz.tuples (
  namespace, relation, subject_type, subject_id, subject_relation, resource_type, resource_id
) include (expires_at, condition_name)
where relation in ('member', 'parent');

create index tuples_expiry_idx on authz.tuples (namespace, expires_at)
where expires_at is not null;

create table authz.permission_hierarchy (
  id bigserial,
  namespace text collate "C" not null default 'default',
  resource_type text collate "C" not null,
  permission text collate "C" not null,
  implies text collate "C" not null,
  created_at timestamptz not null default howdah.now(),
  primary key (namespace, id),
  constraint permission_hierarchy_rule_key unique (namespace, resource_type, permission, implies),
  constraint permission_hierarchy_self_check check (permission <> implies)
);

create table authz.permission_closure (
  namespace text collate "C" not null,
  resource_type text collate "C" not null,
  permission text collate "C" not null,
  implied_by text[] collate "C" not null,
  primary key (namespace, resource_type, permission)
);

create table authz.models (
  namespace text collate "C" not null,
  id uuid not null default howdah.uuid_v7(),
  hash text collate "C" not null,
  dsl text,
  model jsonb not null,
  options jsonb not null default '{}',
  tests jsonb,
  created_at timestamptz not null default howdah.now(),
  created_by text,
  primary key (namespace, id),
  constraint models_hash_key unique (namespace, hash)
);

create table authz.active_models (
  namespace text collate "C" not null primary key,
  model_id uuid not null,
  hash text collate "C" not null,
  activated_at timestamptz not null default howdah.now(),
  constraint active_models_model_fkey foreign key (namespace, model_id)
  references authz.models (namespace, id)
);

create index active_models_model_idx on authz.active_models (namespace, model_id);

create table authz.programs (
  namespace text collate "C" not null default 'global',
  hash text collate "C" not null,
  model_hash text collate "C" not null,
  compiler_version int not null,
  ir jsonb not null,
  source text not null,
  created_at timestamptz not null default howdah.now(),
  last_used_at timestamptz not null default howdah.now(),
  primary key (namespace, hash)
);

-- The functions of a program are named by the first twelve digits of its hash.
create unique index programs_name_idx on authz.programs (namespace, (left(hash, 12)));

create index programs_model_idx on authz.programs (namespace, model_hash, compiler_version desc);

create table authz.roles (
  namespace text collate "C" not null,
  slug text collate "C" not null,
  label text,
  description text,
  created_at timestamptz not null default howdah.now(),
  primary key (namespace, slug),
  constraint roles_slug_check check (
    slug ~ '^[a-z][a-z0-9_:-]*$' and octet_length(slug) <= 64
  )
);

create table authz.permissions (
  namespace text collate "C" not null,
  slug text collate "C" not null,
  label text,
  description text,
  created_at timestamptz not null default howdah.now(),
  primary key (namespace, slug),
  constraint permissions_slug_check check (
    slug ~ '^[a-z][a-z0-9_:-]*$' and octet_length(slug) <= 64
  )
);

create table authz.audit_events (
  id bigint generated always as identity,
  event_id uuid not null default howdah.uuid_v7(),
  event_type text not null,
  event_time timestamptz not null default howdah.now(),
  actor_id text,
  request_id text,
  reason text,
  on_behalf_of text,
  session_user_name text not null default session_user,
  current_user_name text not null default current_user,
  client_addr inet default inet_client_addr(),
  client_port int default inet_client_port(),
  application_name text default current_setting('application_name', true),
  backend_pid int not null default pg_backend_pid(),
  namespace text collate "C" not null,
  resource_type text collate "C",
  resource_id text collate "C",
  relation text collate "C",
  subject_type text collate "C",
  subject_id text collate "C",
  subject_relation text collate "C",
  tuple_id bigint,
  expires_at timestamptz,
  detail jsonb,
  primary key (namespace, event_time, id)
) partition by range (event_time);

create index audit_events_resource_idx
on authz.audit_events (namespace, resource_type, resource_id, event_time desc);
create index audit_events_actor_idx on authz.audit_events (namespace, actor_id, event_time desc)
where actor_id is not null;
create index audit_events_subject_idx
on authz.audit_events (namespace, subject_type, subject_id, event_time desc);
create index audit_events_tuple_idx on authz.audit_events (namespace, tuple_id);

create table authz.audit_events_default partition of authz.audit_events default;

create type authz.permission_path as (
  path_type text,
  via_relation text,
  via_subject_type text,
  via_subject_id text,
  via_membership text,
  path_chain text[]
);
