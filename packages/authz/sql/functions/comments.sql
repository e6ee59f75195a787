-- What tables and columns mean.
--
-- These comments are the reference of the tables that users read, and partly write, with plain SQL.

comment on table authz.tuples is
  'What is granted: subject has relation on resource. Whoever may write rows may grant; ids are put
into NFC and changes are audited by triggers, but cycles and models are checked by functions only.';
comment on column authz.tuples.id is 'The tuple';
comment on column authz.tuples.namespace is 'The tenant';
comment on column authz.tuples.resource_type is 'What kind of thing the resource is';
comment on column authz.tuples.resource_id is 'The resource, in NFC';
comment on column authz.tuples.relation is 'What the subject has on the resource';
comment on column authz.tuples.subject_type is 'What kind of thing the subject is';
comment on column authz.tuples.subject_id is
  'The subject, in NFC; for types that a model defines, * is every subject of the type';
comment on column authz.tuples.subject_relation is
  'If set, the grant is to all who have this relation on the subject';
comment on column authz.tuples.created_at is 'When the row was made';
comment on column authz.tuples.expires_at is
  'From then on it grants nothing; null for a grant without end';
comment on column authz.tuples.condition_name is
  'The condition of the model under which it holds; such a row means nothing without a model';
comment on column authz.tuples.condition_context is
  'Parameters of the condition, which win over those of a request';
comment on column authz.tuples.resource_id_raw is
  'resource_id as its writer spelled it, where that is not NFC';
comment on column authz.tuples.subject_id_raw is
  'subject_id as its writer spelled it, where that is not NFC';

comment on table authz.permission_hierarchy is
  'Rules: on resources of a type, whoever has one permission has another one too.';
comment on column authz.permission_hierarchy.id is 'The rule';
comment on column authz.permission_hierarchy.namespace is 'The tenant, or global for all tenants';
comment on column authz.permission_hierarchy.resource_type is 'The type';
comment on column authz.permission_hierarchy.permission is 'The permission that is had';
comment on column authz.permission_hierarchy.implies is 'The permission that follows';
comment on column authz.permission_hierarchy.created_at is 'When the row was made';

comment on table authz.permission_closure is
  'What rules imply, kept by triggers. A tenant has rows for the types that it has rules of its own
for, with those of global united; for other types the rows of global hold. A permission that nothing
implies has no row.';
comment on column authz.permission_closure.namespace is 'The tenant, or global';
comment on column authz.permission_closure.resource_type is 'The type';
comment on column authz.permission_closure.permission is 'The permission';
comment on column authz.permission_closure.implied_by is
  'The permission itself, and all that imply it over any number of rules';

comment on table authz.models is 'Models that were written, compiled and not thrown away.';
comment on column authz.models.namespace is 'The tenant, or global';
comment on column authz.models.id is 'The model';
comment on column authz.models.hash is 'What the model and its options hash to: the same, the same';
comment on column authz.models.dsl is 'The text that it was written in';
comment on column authz.models.model is 'The model, in the JSON of OpenFGA';
comment on column authz.models.options is 'max_depth and strict';
comment on column authz.models.tests is 'Tests that must pass before it becomes active';
comment on column authz.models.created_at is 'When the row was made';
comment on column authz.models.created_by is 'Who wrote it, as howdah.set_actor said';

comment on table authz.active_models is
  'The model that a namespace goes by; that of global is for those that have none.';
comment on column authz.active_models.namespace is 'The tenant, or global';
comment on column authz.active_models.model_id is 'The model';
comment on column authz.active_models.hash is 'The program that answers by it';
comment on column authz.active_models.activated_at is 'Since when';

comment on table authz.programs is
  'Compiled models: their functions are in schema authz_rt, and all namespaces share them.';
comment on column authz.programs.namespace is 'Always global';
comment on column authz.programs.hash is
  'What the compiler''s version and the model hash to; functions bear its first twelve digits';
comment on column authz.programs.model_hash is 'The hash of the model';
comment on column authz.programs.compiler_version is 'The version of the compiler';
comment on column authz.programs.ir is 'What the compiler noted of the model';
comment on column authz.programs.source is 'The script that made the functions';
comment on column authz.programs.created_at is 'When the row was made';
comment on column authz.programs.last_used_at is
  'When a namespace last began or ceased to answer by it';

comment on table authz.roles is
  'Names of roles, to catch misspelt ones; who has a role is a tuple. Those of global hold for
all.';
comment on column authz.roles.namespace is 'The tenant, or global';
comment on column authz.roles.slug is 'The name';
comment on column authz.roles.label is 'The name as people read it';
comment on column authz.roles.description is 'What it is for';
comment on column authz.roles.created_at is 'When the row was made';

comment on table authz.permissions is
  'Names of permissions, to catch misspelt ones; who has one is a tuple. Those of global hold for
all.';
comment on column authz.permissions.namespace is 'The tenant, or global';
comment on column authz.permissions.slug is 'The name';
comment on column authz.permissions.label is 'The name as people read it';
comment on column authz.permissions.description is 'What it is for';
comment on column authz.permissions.created_at is 'When the row was made';

comment on table authz.audit_events is
  'Every change of a tuple, a rule, a role, a permission or the active model, written in the same
transaction.';
comment on column authz.audit_events.id is 'The event; later ones have higher ids';
comment on column authz.audit_events.event_id is 'The event, for other systems';
comment on column authz.audit_events.event_type is
  'What happened, such as tuple_created, hierarchy_deleted or model_activated';
comment on column authz.audit_events.event_time is 'When: the start of the transaction';
comment on column authz.audit_events.actor_id is 'Who acted, as howdah.set_actor said';
comment on column authz.audit_events.request_id is 'The request that caused it';
comment on column authz.audit_events.reason is 'Why, such as a ticket';
comment on column authz.audit_events.on_behalf_of is 'Whom the actor acted for';
comment on column authz.audit_events.session_user_name is 'The role that logged in';
comment on column authz.audit_events.current_user_name is
  'The role that called the outermost function, or ran the statement';
comment on column authz.audit_events.client_addr is 'Where the connection came from';
comment on column authz.audit_events.client_port is 'From which port';
comment on column authz.audit_events.application_name is 'What the connection called itself';
comment on column authz.audit_events.backend_pid is 'The server''s process';
comment on column authz.audit_events.namespace is 'The tenant';
comment on column authz.audit_events.resource_type is 'The type of the resource';
comment on column authz.audit_events.resource_id is 'The resource, in NFC';
comment on column authz.audit_events.relation is
  'What was granted; in a rule, the permission that is had';
comment on column authz.audit_events.subject_type is 'The type of the subject; implies for a rule';
comment on column authz.audit_events.subject_id is
  'The subject, in NFC; in a rule, the permission that follows';
comment on column authz.audit_events.subject_relation is 'The relation to the subject, if any';
comment on column authz.audit_events.tuple_id is 'The tuple';
comment on column authz.audit_events.expires_at is 'Its expiry; before the event if it was deleted';
comment on column authz.audit_events.detail is
  'What else there is: condition, condition_context, spellings, and as old what an update changed';
