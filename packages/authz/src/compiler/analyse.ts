// What the compiler must know of each node before it can choose its code: how far it reaches, whether it can meet itself, what
// it may answer, and the class that follows.
import {
  components,
  type Edge,
  type Exclusion,
  type Grant,
  type Graph,
  type Intersection,
  type Node,
  reachable,
  successors,
  type Union,
} from "./graph.ts";

/**
 * The class of a node, from cheap to dear: direct grants alone (D); and usersets or parents of such (U); any walk over usersets
 * and parents (W); an operator above others (B); an operator in a cycle, so that each object must be asked by itself (R).
 *
 * An operator in a cycle of which only one part leads back is a walk all the same, whose objects the other parts guard.
 */
export type NodeClass = "D" | "U" | "W" | "B" | "R";

/** What must hold of an object, or must not, for what it grants or leads to. */
export interface Guard {
  node: Node;
  isNegated: boolean;
}

/** Something of a kind, and what guards it. */
export type Guarded<T> = T & { guards: readonly Guard[] };

/** All that a node can reach without leaving its object, as one: what its functions scan. */
export interface Kind {
  node: Node;
  /** The relations that it is or contains: whoever is asked as the userset of one of them on the same object has this. */
  names: Guarded<{ name: string }>[];
  grants: Guarded<Grant>[];
  edges: Guarded<Edge>[];
  /** Nodes of the same object that answer by functions of their own. */
  leaves: Node[];
}

/** One way to see a model as kinds. */
interface View {
  kindOf(node: Node): Kind;
  /** The kinds that a kind's edges lead to, its own included if they lead back. */
  kindsBelow(node: Node): Kind[];
}

type Operator = Intersection | Exclusion;

/** The graph and what is known of its nodes. */
export interface Analysis extends View {
  graph: Graph;
  /** The most hops from a resource to a subject, where the model sets a limit. */
  maxDepth: number | undefined;
  classOf(node: Node): NodeClass;
  /** The view in which whatever has an operator in its cycle answers for itself, so that nothing is guarded. */
  unguarded: View;
  /** Whether a node is in a cycle with an operator, or counts hops: it can be visited object by object. */
  isVisited(node: Node): boolean;
  /** Whether two nodes are visited within each other, with one path. */
  areEvaluatedTogether(a: Node, b: Node): boolean;
  /** Whether the answer may be unknown. */
  mayBeUnknown(node: Node): boolean;
  /** Whether objects may lead back to themselves on the way. */
  mayLoop(node: Node): boolean;
  /** Whether something is denied for it, so that a cycle must be told from a plain denial. */
  isSubtracted(node: Node): boolean;
  hasWildcard(node: Node): boolean;
  /** The types of plain subjects that may have it. */
  subjectTypes(node: Node): readonly string[];
  /** A union that is true wherever the node may be: candidates for what must be asked one by one. */
  relaxed(node: Node): Node;
  /** Whether a closure upward from the subject is the way to ask for it: nothing but grants and usersets. */
  isClosable(node: Node): boolean;
}

/** Analyses a graph. Every question is answered once and remembered. */
export function analyse(graph: Graph, maxDepth: number | undefined): Analysis {
  const below = remember((node: Node): ReadonlySet<Node> => new Set(reachable(successors(node), successors)));
  const isRecursive = (node: Node): boolean => below(node).has(node);
  const reach = remember((node: Node): readonly Node[] => [node, ...below(node)]);
  const component = new Map<Node, number>();
  for (const [index, members] of components(graph.nodes, successors).entries()) {
    for (const member of members) component.set(member, index);
  }
  const twins = new Map<Node, Node>();
  const isTwin = new Set<Node>();
  const isTogether = (a: Node, b: Node): boolean => component.has(a) && component.get(a) === component.get(b);

  const operators = graph.nodes.filter((node): node is Operator => node.kind !== "union" && isRecursive(node));
  const withOperator = new Set(operators.map((node) => component.get(node)));
  const isInCircle = (node: Node): boolean => component.has(node) && withOperator.has(component.get(node));
  const unguardable = new Set(operators.filter((node) => !isGuardable(node)).map((node) => component.get(node)));

  // With a limit of depth, whatever can take a hop counts its hops.
  const isLimited = remember(
    (node: Node): boolean =>
      maxDepth !== undefined && reach(node).some((other) => other.kind === "union" && other.edges.length > 0),
  );
  const isR = (node: Node): boolean =>
    !isTwin.has(node) && (isLimited(node) || (component.has(node) && unguardable.has(component.get(node))));
  const isVisited = (node: Node): boolean => !isTwin.has(node) && (isR(node) || isInCircle(node));
  const isOpaque = (node: Node): boolean => isR(node) || (node.kind !== "union" && !isInCircle(node));
  const isAlone = (node: Node): boolean => node.kind !== "union" || isVisited(node);
  const { kindOf, kindsBelow } = viewOf(isOpaque);
  const nextKinds = (kind: Kind): Kind[] => kind.edges.map(({ target }) => kindOf(target));

  const isClosable = remember((node: Node): boolean =>
    [kindOf(node), ...kindsBelow(node)].every(
      ({ grants, edges, leaves }) =>
        leaves.length === 0 &&
        edges.every(({ subjectRelation }) => subjectRelation !== null) &&
        [...grants, ...edges].every(({ guards }) => guards.length === 0),
    ),
  );

  const classOf = remember((node: Node): NodeClass => {
    if (isR(node)) return "R";
    if (isOpaque(node)) return "B";
    const { edges, leaves } = kindOf(node);
    if (leaves.length > 0) return "W";
    if (edges.length === 0) return "D";
    return nextKinds(kindOf(node)).every((kind) => kind.edges.length + kind.leaves.length === 0) ? "U" : "W";
  });

  const subtracts = graph.nodes.flatMap((node) => (node.kind === "exclusion" ? [node.subtract] : []));
  const subtracted = new Set(reachable(subtracts, successors));
  const subjectTypes = subjectTypesOf(graph);
  const hasWildcard = remember((node: Node): boolean =>
    reach(node).some((other) => other.kind === "union" && other.grants.some(({ isWildcard }) => isWildcard)),
  );

  return {
    graph,
    maxDepth,
    classOf,
    kindOf,
    kindsBelow,
    unguarded: viewOf(isAlone),
    isVisited,
    areEvaluatedTogether: (a, b) => isVisited(a) && isVisited(b) && (maxDepth !== undefined || isTogether(a, b)),
    mayBeUnknown: remember((node: Node): boolean =>
      reach(node).some(
        (other) =>
          isR(other) ||
          (other.kind === "exclusion" && reach(other.subtract).some(isVisited)) ||
          (other.kind === "union" && [...other.grants, ...other.edges].some(({ condition }) => condition !== null)),
      ),
    ),
    mayLoop: remember((node: Node): boolean => reach(node).some(isRecursive)),
    isSubtracted: (node) => subtracted.has(node),
    hasWildcard,
    subjectTypes: remember((node: Node): readonly string[] =>
      [...new Set(subjectTypes.get(node) ?? reach(node).flatMap(grantedTypes))].sort(),
    ),
    relaxed: relax,
    isClosable,
  };

  /** The part of an operator that leads back to it, and the parts that do not. */
  function split(node: Operator): { back: Node[]; guards: Guard[] } {
    const back = successors(node).filter((part) => isTogether(node, part));
    const others = successors(node).filter((part) => !isTogether(node, part));
    return { back, guards: others.map((part) => ({ node: part, isNegated: node.kind === "exclusion" })) };
  }

  /** Whether one part alone leads back, not the subtract, and what it has on the same object can be scanned. */
  function isGuardable(node: Operator): boolean {
    const { back } = split(node);
    if (back.length !== 1 || (node.kind === "exclusion" && back[0] === node.subtract)) return false;
    const parts = reachable(back, (part) => {
      if (part.kind === "union") return part.same;
      return isTogether(node, part) ? split(part).back : [];
    });
    return parts.every((part) => isTogether(node, part) || (part.kind === "union" && !isInCircle(part)));
  }

  function viewOf(isOpaque: (node: Node) => boolean): View {
    const kindOf = remember((node: Node): Kind => {
      const kind: Kind = { node, names: [], grants: [], edges: [], leaves: [] };
      const seen = new Set<string>();
      add(node, []);
      kind.grants = distinct(kind.grants, ({ guards, ...grant }) => key(guards, Object.values(grant)));
      kind.edges = distinct(kind.edges, ({ guards, target, ...tuple }) =>
        key(guards, [...Object.values(tuple), target.number]),
      );
      return kind;

      function add(part: Node, guards: readonly Guard[]): void {
        const reached = key(guards, [part.number]);
        if (seen.has(reached)) return;
        seen.add(reached);
        if (isOpaque(part)) {
          kind.leaves.push(part);
          return;
        }
        if (part.relation !== null) kind.names.push({ name: part.relation, guards });
        if (part.kind !== "union") {
          const { back, guards: more } = split(part);
          for (const other of back) add(other, [...guards, ...more]);
          return;
        }
        kind.grants.push(...part.grants.map((grant) => ({ ...grant, guards })));
        kind.edges.push(...part.edges.map((edge) => ({ ...edge, guards })));
        for (const other of part.same) add(other, guards);
      }
    });
    const next = remember((kind: Kind): Kind[] => [...new Set(kind.edges.map(({ target }) => kindOf(target)))]);
    return { kindOf, kindsBelow: remember((node: Node): Kind[] => reachable(next(kindOf(node)), next)) };
  }

  /**
   * Of an operator, one part will do: whoever has it has that part. Where everybody may be granted by a wildcard, a subject can
   * matter that only another part names, so all parts count.
   */
  function relax(node: Node): Node {
    if (!reach(node).some(isAlone) || isTwin.has(node)) return node;
    const known = twins.get(node);
    if (known !== undefined) return known;
    const twin: Union = {
      number: graph.nodes.length + 1,
      type: node.type,
      relation: node.relation,
      name: `${node.name} relaxed`,
      kind: "union",
      grants: [],
      edges: [],
      same: [],
    };
    graph.nodes.push(twin);
    twins.set(node, twin);
    isTwin.add(twin);
    if (node.kind === "union") {
      twin.grants = node.grants;
      twin.edges = node.edges.map((edge) => ({ ...edge, target: relax(edge.target) }));
      twin.same = node.same.map(relax);
    } else if (hasWildcard(node)) {
      twin.same = successors(node).map(relax);
    } else {
      const [first] = node.kind === "exclusion" ? [node.base] : node.parts;
      twin.same = first === undefined ? [] : [relax(first)];
    }
    return twin;
  }
}

const grantedTypes = (node: Node): string[] =>
  node.kind === "union" ? node.grants.map(({ subjectType }) => subjectType) : [];

/** Tells guards apart. */
export const guardKey = (guards: readonly Guard[]): string =>
  [...new Set(guards.map(({ node, isNegated }) => `${isNegated ? "-" : ""}${node.number}`))].sort().join(" ");

const key = (guards: readonly Guard[], values: readonly unknown[]): string => [guardKey(guards), ...values].join("\n");

/** A least fixed point: whoever is to have an intersection must have all of its parts. */
function subjectTypesOf(graph: Graph): Map<Node, ReadonlySet<string>> {
  const types = new Map<Node, ReadonlySet<string>>(graph.nodes.map((node) => [node, new Set<string>()]));
  const of = (node: Node): ReadonlySet<string> => types.get(node) ?? new Set();
  const derive = (node: Node): ReadonlySet<string> => {
    if (node.kind === "exclusion") return of(node.base);
    if (node.kind === "intersection") {
      const [first, ...others] = node.parts.map(of);
      return new Set([...(first ?? [])].filter((type) => others.every((other) => other.has(type))));
    }
    return new Set([...grantedTypes(node), ...successors(node).flatMap((other) => [...of(other)])]);
  };
  // Targets come before what leads to them, so few rounds are needed.
  const order = components(graph.nodes, successors).flat();
  for (let changed = true; changed; ) {
    changed = false;
    for (const node of order) {
      const derived = derive(node);
      if (derived.size !== of(node).size) changed = true;
      types.set(node, derived);
    }
  }
  return types;
}

function remember<A, B>(compute: (from: A) => B): (from: A) => B {
  const known = new Map<A, B>();
  return (from) => {
    const value = known.has(from) ? (known.get(from) as B) : compute(from);
    known.set(from, value);
    return value;
  };
}

function distinct<T>(items: readonly T[], key: (item: T) => string): T[] {
  return [...new Map(items.map((item) => [key(item), item])).values()];
}
