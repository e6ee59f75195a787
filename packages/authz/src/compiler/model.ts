// An OpenFGA model as JSON, in the one normal form that is stored, hashed and compiled.

/** An OpenFGA model, schema 1.1 or 1.2. */
export interface OpenFgaModel {
  schema_version: string;
  type_definitions: TypeDefinition[];
  conditions?: Record<string, ConditionDefinition>;
}

/** One type of an {@link OpenFgaModel}. */
export interface TypeDefinition {
  type: string;
  relations?: Record<string, Rewrite>;
  metadata?: { relations?: Record<string, { directly_related_user_types?: TypeRestriction[] }> };
}

/** Who may stand in a tuple of a relation: `user`, `user:*`, `group#member`, each perhaps `with` a condition. */
export interface TypeRestriction {
  type: string;
  relation?: string;
  wildcard?: Record<string, never>;
  condition?: string;
}

/** How a relation follows from others. */
export type Rewrite =
  | { this: Record<string, never> }
  | { computedUserset: { relation: string } }
  | { tupleToUserset: TupleToUserset }
  | { union: { child: Rewrite[] } }
  | { intersection: { child: Rewrite[] } }
  | { difference: { base: Rewrite; subtract: Rewrite } };

/** `computedUserset from tupleset`. */
export interface TupleToUserset {
  tupleset: { relation: string };
  computedUserset: { relation: string };
}

/** A condition of an {@link OpenFgaModel}, in CEL. */
export interface ConditionDefinition {
  name: string;
  expression: string;
  parameters?: Record<string, { type_name: string; generic_types?: { type_name: string }[] }>;
}

/** Types that are always dynamic, whatever the model: those of roles and permissions. */
export const reservedTypes: readonly string[] = ["rbac_permission", "rbac_role"];

/** The restrictions of a relation's own tuples. */
export const restrictionsOf = (definition: TypeDefinition, relation: string): TypeRestriction[] =>
  definition.metadata?.relations?.[relation]?.directly_related_user_types ?? [];

/** A restriction as the DSL writes it. */
export const describeRestriction = ({ type, relation, wildcard, condition }: TypeRestriction): string =>
  `${type}${wildcard ? ":*" : ""}${relation ? `#${relation}` : ""}${condition ? ` with ${condition}` : ""}`;
