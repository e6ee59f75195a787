// A model with tuples in a namespace of its own, asked by the public functions.
import { HowdahError, type Queryable, toHowdahError } from "@howdah/core";
import { type CompiledModel, compileModel, type ModelInput, type ModelOptions } from "../src/compiler/index.ts";
import type { Context, Subject, Tuple } from "./oracle/model.ts";
import { rows, value } from "./sql.ts";

/** What a request brings beside its question. */
export interface Facts {
  context?: Context | undefined;
  tuples?: readonly Tuple[] | undefined;
}

/** `group:g#member` in parts. */
export function subject(text: string): Subject {
  const [, type = "", id = "", relation] = /^([^:]+):([^#]*)(?:#(.+))?$/.exec(text) ?? [];
  return { type, id, relation };
}

/** `document:1#viewer@group:g#member` in parts. */
export function tuple(text: string, more: Pick<Tuple, "condition" | "context" | "isExpired"> = {}): Tuple {
  const [object = "", to = ""] = text.split("@");
  const { type, id, relation = "" } = subject(object);
  return { resource: { type, id }, relation, subject: subject(to), ...more };
}

/** A tuple as a row of authz.tuples. */
export const rowOf = (tuple: Tuple, namespace: string): Record<string, unknown> => ({
  namespace,
  resource_type: tuple.resource.type,
  resource_id: tuple.resource.id,
  relation: tuple.relation,
  subject_type: tuple.subject.type,
  subject_id: tuple.subject.id,
  subject_relation: tuple.subject.relation ?? null,
  condition_name: tuple.condition ?? null,
  condition_context: tuple.context ?? null,
  expires_at: tuple.isExpired ? "2000-01-01T00:00:00Z" : null,
});

/** Stores tuples as they are, also those that the active model does not permit. */
export const store = (db: Queryable, rows: Record<string, unknown>[]): Promise<unknown> =>
  db.query(
    `insert into authz.tuples (namespace, resource_type, resource_id, relation, subject_type, subject_id, subject_relation,
       condition_name, condition_context, expires_at)
     select namespace, resource_type, resource_id, relation, subject_type, subject_id, subject_relation,
       condition_name, condition_context, expires_at
     from jsonb_populate_recordset(null::authz.tuples, $1)`,
    [JSON.stringify(rows)],
  );

/** A tuple as the SQL functions take it. */
export const jsonOf = ({ resource, relation, subject, condition, context }: Tuple): Record<string, unknown> => ({
  resource_type: resource.type,
  resource_id: resource.id,
  relation,
  subject_type: subject.type,
  subject_id: subject.id,
  ...(subject.relation && { subject_relation: subject.relation }),
  ...(condition && { condition, context: context ?? {} }),
});

/** Installs a program and lets a namespace answer by its model. */
export async function activate(db: Queryable, program: CompiledModel, namespace: string): Promise<void> {
  await value(db, "select authz.install_program($1, $2, $3)", [program.hash, program.sql, JSON.stringify(program.ir)]);
  await value(db, "select authz.write_model($1, $2, true, null, null, $3)", [
    JSON.stringify(program.model),
    namespace,
    JSON.stringify(program.options),
  ]);
}

/** A namespace whose types are those of a model. */
export interface Store {
  namespace: string;
  /** Answers by the model of this store again, after that of another one with the same namespace. */
  activate(): Promise<void>;
  write(...tuples: (string | Tuple)[]): Promise<void>;
  /** True, false, or null for unknown. */
  check(who: string, relation: string, object: string, facts?: Facts): Promise<boolean | null>;
  /** In the order of their ids; null if it is unknown of one of them. */
  objects(who: string, relation: string, type: string, facts?: Facts): Promise<string[] | null>;
  /** Subjects of one type, or of its usersets, as `user` or `group#member`. */
  subjects(object: string, relation: string, kind: string, facts?: Facts): Promise<string[] | null>;
  /** Why a tuple may not be written; null if it may. */
  refusal(tuple: string | Tuple): Promise<string | null>;
}

const unknown = ["condition_context_missing", "condition_invalid", "resolution_too_complex"];

/** What a call answers, or null if that is unknown. */
const known = <R>(call: Promise<R>): Promise<R | null> =>
  call.catch((reason: unknown) => {
    const error = toHowdahError(reason);
    if (error instanceof HowdahError && unknown.includes(error.code)) return null;
    throw error;
  });

let stores = 0;

/** Compiles a model and activates it in a new namespace, or in that of another store. */
export async function openStore(
  db: Queryable,
  input: ModelInput | string,
  options: ModelOptions = {},
  namespace = `store-${++stores}`,
): Promise<Store> {
  const program = compileModel(typeof input === "string" ? { dsl: input } : input, options);
  const activateIt = (): Promise<void> => activate(db, program, namespace);
  await activateIt();

  const asTuple = (one: string | Tuple): Tuple => (typeof one === "string" ? tuple(one) : one);
  const brought = ({ context, tuples }: Facts): [string | null, string | null] => [
    context ? JSON.stringify(context) : null,
    tuples ? JSON.stringify(tuples.map(jsonOf)) : null,
  ];
  return {
    namespace,
    activate: activateIt,
    async write(...tuples) {
      await rows(db, "select * from authz.write_tuples($1, '[]', $2)", [
        JSON.stringify(tuples.map((one) => jsonOf(asTuple(one)))),
        namespace,
      ]);
    },
    check(who, relation, object, facts = {}) {
      const [s, o] = [subject(who), subject(object)];
      const values = [s.type, s.id, relation, o.type, o.id, namespace, s.relation ?? null, ...brought(facts)];
      return known(value(db, "select authz.check($1, $2, $3, $4, $5, $6, $7, $8, $9)", values));
    },
    async objects(who, relation, type, facts = {}) {
      const s = subject(who);
      const found = await known(
        rows<{ id: string }>(
          db,
          `select resource_id as id from authz.list_objects($1, $2, $3, $4, $5, $6, $7, $8) order by resource_id collate "C"`,
          [s.type, s.id, type, relation, namespace, s.relation ?? null, ...brought(facts)],
        ),
      );
      return found?.map(({ id }) => `${type}:${id}`) ?? null;
    },
    async subjects(object, relation, kind, facts = {}) {
      const o = subject(object);
      const [type = "", of] = kind.split("#");
      const found = await known(
        rows<{ id: string }>(
          db,
          `select subject_id as id from authz.list_subjects($1, $2, $3, $4, 1000, $5, null, null, $6, $7, $8)`,
          [o.type, o.id, relation, namespace, type, of ?? null, ...brought(facts)],
        ),
      );
      return found?.map(({ id }) => `${type}:${id}${of ? `#${of}` : ""}`) ?? null;
    },
    async refusal(one) {
      const { resource, relation, subject, condition } = asTuple(one);
      const tuple = [resource.type, resource.id, relation, subject.type, subject.id, subject.relation ?? null];
      return value<unknown>(db, "select authz.write_tuple($1, $2, $3, $4, $5, $6, $7, null, $8)", [
        ...tuple,
        namespace,
        condition ?? null,
      ]).then(
        () => null,
        (reason: unknown) => {
          const error = toHowdahError(reason);
          if (error instanceof HowdahError) return error.code;
          throw error;
        },
      );
    },
  };
}
