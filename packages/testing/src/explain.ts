import type { Queryable } from "@howdah/core";

/** A node of a query plan, with the names that PostgreSQL's JSON has. */
export interface PlanNode {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Name"?: string;
  "Index Cond"?: string;
  Filter?: string;
  Plans?: PlanNode[];
  [property: string]: unknown;
}

/**
 * The plan of a statement.
 *
 * @param options `analyze` runs the statement, so that the plan holds what it really did
 */
export async function explain(
  db: Queryable,
  sql: string,
  values: unknown[] = [],
  options: { analyze?: boolean } = {},
): Promise<PlanNode> {
  const { rows } = await db.query<{ "QUERY PLAN": [{ Plan: PlanNode }] }>(
    `explain (format json${options.analyze ? ", analyze, buffers" : ""}) ${sql}`,
    values,
  );
  const plan = rows[0]?.["QUERY PLAN"][0].Plan;
  if (!plan) throw new Error("The server did not explain the statement");
  return plan;
}

/** All nodes of a plan, each before the ones below it. */
export const planNodes = (plan: PlanNode): PlanNode[] => [plan, ...(plan.Plans ?? []).flatMap(planNodes)];

/** The types of all nodes of a plan, such as `["Limit", "Index Scan"]`. */
export const nodeTypes = (plan: PlanNode): string[] => planNodes(plan).map((node) => node["Node Type"]);
