// The plans of the statements that run inside a call, as the server's auto_explain tells them.
import { type PlanNode, planNodes } from "@howdah/testing";
import type pg from "pg";

/** A statement and the nodes of its plan, the uppermost first. */
export interface Logged {
  text: string;
  nodes: PlanNode[];
}

/** Runs a statement and returns all statements that it ran, with what they really did. */
export async function plansOf(client: pg.Client, sql: string): Promise<Logged[]> {
  const logged: Logged[] = [];
  const read = ({ message }: { message?: string | undefined }): void => {
    const json = /plan:\n([\s\S]*)$/.exec(message ?? "")?.[1];
    if (!json) return;
    const { "Query Text": text, Plan: plan } = JSON.parse(json) as { "Query Text": string; Plan: PlanNode };
    logged.push({ text, nodes: planNodes(plan) });
  };
  await client.query(
    `load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;
     set auto_explain.log_analyze = on; set auto_explain.log_buffers = on; set auto_explain.log_timing = off;
     set auto_explain.log_format = json; set client_min_messages = log`,
  );
  client.on("notice", read);
  await client.query(sql);
  client.off("notice", read);
  return logged;
}

/** The pages that a node and all below it have touched. */
export const pagesOf = (node: PlanNode | undefined): number =>
  Number(node?.["Shared Hit Blocks"] ?? 0) + Number(node?.["Shared Read Blocks"] ?? 0);
