// The uses of models that OpenFGA documents, as its store files: a model, tuples, and what must follow from them.
import { readdirSync, readFileSync } from "node:fs";
import { parse } from "yaml";
import type { Context, Tuple } from "../oracle/model.ts";
import { subject } from "../store.ts";

interface FileTuple {
  user: string;
  relation: string;
  object: string;
  condition?: { name: string; context?: Context };
}

interface StoreFile {
  name: string;
  model: string;
  tuples: FileTuple[];
  tests: {
    name: string;
    tuples?: FileTuple[];
    check?: {
      user?: string;
      users?: string[];
      object?: string;
      objects?: string[];
      context?: Context;
      assertions: Record<string, boolean>;
    }[];
    list_objects?: { user: string; type: string; context?: Context; assertions: Record<string, string[]> }[];
    list_users?: {
      object: string;
      user_filter: [{ type: string; relation?: string }];
      context?: Context;
      assertions: Record<string, { users: string[] }>;
    }[];
  }[];
}

/** A tuple of a store file. */
export const tupleOf = ({ user, relation, object, condition }: FileTuple): Tuple => ({
  resource: subject(object),
  relation,
  subject: subject(user),
  condition: condition?.name,
  context: condition?.context,
});

/** Every store file of this folder. */
export const files = readdirSync(new URL(".", import.meta.url))
  .filter((name) => name.endsWith(".fga.yaml"))
  .map((name): StoreFile => parse(readFileSync(new URL(name, import.meta.url), "utf8")));
