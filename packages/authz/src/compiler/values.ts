// What a node answers, as an expression. A value is 3 true, 2 unknown, 1 false because of a cycle, 0 false: then a union is the
// greatest and an intersection the least.
import { type Context, call } from "./context.ts";
import type { Node } from "./graph.ts";

type Given = Readonly<Record<string, string>>;

/** An expression for the value of a node, 0 to 3, from outside of it. */
export function valueExpression(context: Context, node: Node, given: Given = {}): string {
  const { analysis } = context;
  if (analysis.classOf(node) === "R" || analysis.mayLoop(node)) return call(context, node, "value", given);
  return checkedValue(context, node, given);
}

/** The same where a cycle is as good as a plain denial. */
export function checkedValue(context: Context, node: Node, given: Given = {}): string {
  const check = call(context, node, "check", given);
  return context.analysis.mayBeUnknown(node) ? `coalesce(${check}::int * 3, 2)` : `${check}::int * 3`;
}

/** Whether the subtract does not hold; not true where it loops. */
export function isNot(context: Context, node: Node, given: Given = {}): string {
  if (!context.analysis.mayLoop(node)) return `not ${call(context, node, "check", given)}`;
  // In brackets, because the IF of PL/pgSQL ends at the first THEN outside of any.
  return `(case ${valueExpression(context, node, given)} when 0 then true when 2 then null else false end)`;
}
