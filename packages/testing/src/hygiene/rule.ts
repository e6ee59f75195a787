import type { Module } from "@howdah/core";
import type { TestDatabase } from "../database.ts";
import type { Catalog } from "./catalog.ts";
import type { Source } from "./source.ts";

/** What is wrong with one object, such as a function, a table or a file. */
export interface Violation {
  /** Its name as an opt-out names it, such as `queue.push`, `queue.jobs.id` or `functions/push.sql`. */
  readonly object: string;
  readonly problem: string;
}

/** A call of a SQL function as a client describes it; what `fn` of `@howdah/core` returns is one. */
export interface ClientFunction {
  /** The function with its schema. */
  readonly name: string;
  readonly spec: {
    readonly args: Readonly<Record<string, string>>;
    readonly columns?: Readonly<Record<string, string>>;
    readonly isNamespaced?: boolean;
    readonly isReadOnly?: boolean;
  };
}

/** What the rules look at: a module, a database it was just installed in, and what is around it. */
export interface Subject {
  readonly module: Module;
  readonly db: TestDatabase;
  /** What the database says about the module's schema. */
  readonly catalog: Catalog;
  /** The SQL of the module's files and of the bodies of its functions, parsed. */
  readonly sources: readonly Source[];
  /** What the module's TypeScript client calls; undefined if the module has no client. */
  readonly clients: readonly ClientFunction[] | undefined;
  /** The texts of the package's test files by name. */
  readonly tests: Readonly<Record<string, string>>;
}

/** Something that must hold for every module. */
export interface Rule {
  /** What an opt-out calls it. */
  readonly name: string;
  /** A sentence that is true when nothing violates the rule: the name of the test. */
  readonly says: string;
  /** Why the rule cannot be checked here, if it cannot. */
  skip?(subject: Subject): string | undefined;
  check(subject: Subject): readonly Violation[] | Promise<readonly Violation[]>;
}
