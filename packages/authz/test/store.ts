// A model with tuples in a namespace of its own, asked through the compiled program.
import type { Queryable } from "@howdah/core";
import { compileModel, type ModelInput, type ModelOptions } from "../src/compiler/index.ts";
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

/** A model in use: its program is installed, and its tuples have a namespace of their own. */
export interface Store {
  namespace: string;
  /** Stores tuples that the model permits. */
  write(...tuples: (string | Tuple)[]): Promise<void>;
  /** True, false, or null for unknown. */
  check(who: string, relation: string, object: string, facts?: Facts): Promise<boolean | null>;
  /** In the order of their ids; those of which it is unknown end in `?`. */
  objects(who: string, relation: string, type: string, facts?: Facts): Promise<string[]>;
  /** Subjects of one type, or of its usersets, as `user` or `group#member`. */
  subjects(object: string, relation: string, kind: string, facts?: Facts): Promise<string[]>;
  /** Why the model does not permit a tuple; null if it does. */
  refusal(tuple: string | Tuple): Promise<string | null>;
}

let stores = 0;

/** Compiles a model and opens a store for it, or for the tuples of a store that another model has filled. */
export async function openStore(
  db: Queryable,
  input: ModelInput | string,
  options: ModelOptions = {},
  namespace = `store-${++stores}`,
): Promise<Store> {
  const program = compileModel(typeof input === "string" ? { dsl: input } : input, options);
  await value(db, "select authz.install_program($1, $2, $3)", [
    program.hash,
    program.sql,
    JSON.stringify({ ...program.ir, model_hash: program.modelHash }),
  ]);
  const prefix = `authz_rt.m_${program.hash.slice(0, 12)}_`;
  const asTuple = (one: string | Tuple): Tuple => (typeof one === "string" ? tuple(one) : one);

  /** Calls a function of the program; `$1` is the namespace. */
  async function ask<R>(
    name: string,
    from: string,
    parameters: unknown[],
    { context, tuples }: Facts = {},
  ): Promise<R[]> {
    const places = parameters.map((_, index) => `$${index + 2}::text collate "C"`).join(", ");
    const contextual = `array(select t from jsonb_populate_recordset(null::authz.tuples, $${parameters.length + 3}) t)`;
    const call = `${prefix}${name}${tuples ? "_x" : ""}($1::text collate "C", ${places}, $${parameters.length + 2}::jsonb${
      tuples ? `, ${contextual}` : ""
    })`;
    return rows<R>(db, from.replace("CALL", call), [
      namespace,
      ...parameters,
      context ? JSON.stringify(context) : null,
      ...(tuples ? [JSON.stringify(tuples.map((each) => rowOf(each, namespace)))] : []),
    ]);
  }
  const listed = (list: { id: string; allowed: boolean | null }[], before: string, after = ""): string[] =>
    list.map(({ id, allowed }) => `${before}:${id}${after}${allowed ? "" : "?"}`);

  const refusal: Store["refusal"] = async (one) => {
    const { resource, relation, subject, condition } = asTuple(one);
    return value(db, `select ${prefix}refusal($1, $2, $3, $4, $5, $6)`, [
      resource.type,
      relation,
      subject.type,
      subject.id,
      subject.relation ?? null,
      condition ?? null,
    ]);
  };
  return {
    namespace,
    refusal,
    async write(...tuples) {
      for (const one of tuples) {
        const refused = await refusal(one);
        if (refused !== null) throw new Error(`${JSON.stringify(one)} is refused: ${refused}`);
      }
      await store(
        db,
        tuples.map((one) => rowOf(asTuple(one), namespace)),
      );
    },
    async check(who, relation, object, facts) {
      const [s, o] = [subject(who), subject(object)];
      const parameters = [s.type, s.id, s.relation ?? null, relation, o.type, o.id];
      const [row] = await ask<{ allowed: boolean | null }>("check", "select CALL as allowed", parameters, facts);
      return row?.allowed ?? null;
    },
    async objects(who, relation, type, facts) {
      const s = subject(who);
      const parameters = [s.type, s.id, s.relation ?? null, relation, type];
      return listed(await ask("objects", "select * from CALL as r(id, allowed) order by id", parameters, facts), type);
    },
    async subjects(object, relation, kind, facts) {
      const o = subject(object);
      const [type = "", kindRelation] = kind.split("#");
      const parameters = [o.type, o.id, relation, type, kindRelation ?? null];
      const list = await ask<{ id: string; allowed: boolean | null }>(
        "subjects",
        "select * from CALL as r(id, allowed) order by id",
        parameters,
        facts,
      );
      return listed(list, type, kindRelation ? `#${kindRelation}` : "");
    },
  };
}
