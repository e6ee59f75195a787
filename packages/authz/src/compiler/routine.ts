// The shape of a function: its head, its variables, its body.
import { type Context, contextualParameter, functionName, type NodeFunction, parameters } from "./context.ts";
import type { Node } from "./graph.ts";
import { indent, list } from "./sql.ts";

/** The variables and the statements of a function, as text. */
export interface Routine {
  variables?: readonly string[];
  body: string;
}

const results: Record<NodeFunction, string> = {
  check: "returns boolean",
  value: "returns int",
  visit: "",
  loops: "returns boolean",
  filter: "returns table (resource_id text, allowed boolean)",
  objects: "returns table (resource_id text, allowed boolean)",
  subjects: "returns table (subject_id text, allowed boolean)",
};

/** More parameters of `visit`: the way to the node, what is known of others, and how many more may be visited. */
const visiting = ["p_path text[]", "p_depth int", "inout p_seen jsonb", "inout p_left int", "out value int"];

/** A function of a node. */
export function nodeRoutine(context: Context, node: Node, name: NodeFunction, routine: Routine): string {
  const declared = [
    ...parameters[name],
    ...(context.isContextual ? [contextualParameter] : []),
    ...(name === "visit" ? visiting : []),
  ];
  return createFunction(functionName(context, node, name), declared, results[name], routine);
}

/** `create function ...` */
export function createFunction(name: string, declared: readonly string[], returns: string, routine: Routine): string {
  const { variables = [], body } = routine;
  return [
    `create function ${name}(\n${list(declared)}\n)${returns === "" ? "" : ` ${returns}`}`,
    "language plpgsql stable parallel safe as $$",
    ...(variables.length === 0 ? [] : ["declare", indent(variables.map((variable) => `${variable};`).join("\n"))]),
    "begin",
    indent(body),
    "end",
    "$$;",
  ].join("\n");
}

/** `if ... then ... end if;` */
export function when(condition: string, ...statements: string[]): string {
  return `if ${condition} then\n${indent(statements.join("\n"))}\nend if;`;
}
