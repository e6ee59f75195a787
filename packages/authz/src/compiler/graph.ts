// A model as a graph. A node is a relation of a type, or a part of one: what `and` and `but not` join. An edge is a tuple that
// leads from one object to another (a userset or a parent); a node that stands for others on the same object names them.
import { type OpenFgaModel, type Rewrite, restrictionsOf, type TypeDefinition } from "./model.ts";

/** A form of tuple that grants: `user`, `user:*`, perhaps with a condition. */
export interface Grant {
  /** The relation of the tuple. */
  relation: string;
  subjectType: string;
  isWildcard: boolean;
  condition: string | null;
}

/** A form of tuple that leads to another object, of which its subject must have `target`. */
export interface Edge {
  relation: string;
  subjectType: string;
  /** Set for a userset, null for a parent. */
  subjectRelation: string | null;
  condition: string | null;
  target: Node;
}

interface Place {
  /** Names the node's functions. */
  number: number;
  type: string;
  /** The relation that this node is, unless it is a part of one. */
  relation: string | null;
  /** For people: `document#viewer`, `document#viewer part 2`. */
  name: string;
}

/** A union of grants, of edges, and of other nodes of the same object. */
export interface Union extends Place {
  kind: "union";
  grants: Grant[];
  edges: Edge[];
  same: Node[];
}
/** What all parts have. */
export interface Intersection extends Place {
  kind: "intersection";
  parts: Node[];
}
/** What the base has and the subtract has not. */
export interface Exclusion extends Place {
  kind: "exclusion";
  base: Node;
  subtract: Node;
}
export type Node = Union | Intersection | Exclusion;

/** The nodes of a model: the relations by name, and all of them in the order of their numbers. */
export interface Graph {
  nodes: Node[];
  relations: Map<string, Map<string, Node>>;
}

/** Nodes that this one asks, of the same object or of others. */
export function successors(node: Node): Node[] {
  if (node.kind === "union") return [...node.same, ...node.edges.map(({ target }) => target)];
  return node.kind === "intersection" ? node.parts : [node.base, node.subtract];
}

/** Makes the graph of a valid model. */
export function buildGraph(model: OpenFgaModel): Graph {
  const nodes: Node[] = [];
  const relations = new Map<string, Map<string, Node>>();
  const later: (() => void)[] = [];
  for (const definition of model.type_definitions) {
    const ofType = new Map<string, Node>();
    relations.set(definition.type, ofType);
    for (const [relation, rewrite] of Object.entries(definition.relations ?? {})) {
      ofType.set(relation, relationNode(definition, relation, rewrite));
    }
  }
  for (const fill of later) fill();
  return { nodes, relations };

  function nodeOf(type: string, relation: string): Node {
    const node = relations.get(type)?.get(relation);
    if (node === undefined) throw new Error(`${type}#${relation} is not defined`);
    return node;
  }

  /** The node of a relation, with those of its parts right behind it; what they point to is filled in when all exist. */
  function relationNode(definition: TypeDefinition, relation: string, rewrite: Rewrite): Node {
    const name = `${definition.type}#${relation}`;
    let parts = 0;
    return make(rewrite, relation, name);

    function make(rewrite: Rewrite, relation: string | null, name: string): Node {
      const place = { number: nodes.length + 1, type: definition.type, relation, name };
      if ("intersection" in rewrite) {
        const node: Intersection = { ...place, kind: "intersection", parts: [] };
        nodes.push(node);
        node.parts = [];
        for (const child of rewrite.intersection.child) operand(child, (part) => node.parts.push(part));
        return node;
      }
      if ("difference" in rewrite) {
        const node = { ...place, kind: "exclusion" } as Exclusion;
        nodes.push(node);
        operand(rewrite.difference.base, (part) => {
          node.base = part;
        });
        operand(rewrite.difference.subtract, (part) => {
          node.subtract = part;
        });
        return node;
      }
      const node: Union = { ...place, kind: "union", grants: [], edges: [], same: [] };
      nodes.push(node);
      addTerms(node, rewrite);
      return node;
    }

    /** What an operator joins: a relation by its name is the node of that relation, all else a part of its own. */
    function operand(rewrite: Rewrite, use: (node: Node) => void): void {
      if ("computedUserset" in rewrite) {
        later.push(() => use(nodeOf(definition.type, rewrite.computedUserset.relation)));
        return;
      }
      parts += 1;
      const part = make(rewrite, null, `${definition.type}#${relation} part ${parts}`);
      later.push(() => use(part));
    }

    function addTerms(node: Union, rewrite: Rewrite): void {
      if ("union" in rewrite) {
        for (const child of rewrite.union.child) addTerms(node, child);
      } else if ("this" in rewrite) {
        later.push(() => addTuples(node));
      } else if ("tupleToUserset" in rewrite) {
        const { tupleset, computedUserset } = rewrite.tupleToUserset;
        later.push(() => addParents(node, tupleset.relation, computedUserset.relation));
      } else {
        operand(rewrite, (other) => node.same.push(other));
      }
    }

    function addTuples(node: Union): void {
      for (const { type, relation: member, wildcard, condition = null } of restrictionsOf(definition, relation)) {
        if (member === undefined) {
          node.grants.push({ relation, subjectType: type, isWildcard: wildcard !== undefined, condition });
        } else {
          node.edges.push({
            relation,
            subjectType: type,
            subjectRelation: member,
            condition,
            target: nodeOf(type, member),
          });
        }
      }
    }

    function addParents(node: Union, tupleset: string, computed: string): void {
      for (const { type, condition = null } of restrictionsOf(definition, tupleset)) {
        const target = relations.get(type)?.get(computed);
        if (target === undefined) continue;
        node.edges.push({ relation: tupleset, subjectType: type, subjectRelation: null, condition, target });
      }
    }
  }
}

/**
 * The strongly connected components of a graph, each behind all that it leads to (Tarjan's algorithm, with a stack of its own,
 * because a model may be a long chain).
 */
export function components<N>(nodes: Iterable<N>, next: (node: N) => readonly N[]): N[][] {
  const index = new Map<N, number>();
  const low = new Map<N, number>();
  const open: N[] = [];
  const isOpen = new Set<N>();
  const found: N[][] = [];
  for (const root of nodes) {
    if (!index.has(root)) search(root);
  }
  return found;

  function search(root: N): void {
    const calls = [enter(root)];
    for (let call = calls.at(-1); call !== undefined; call = calls.at(-1)) {
      const { node, targets } = call;
      const target = targets[call.at];
      call.at += 1;
      if (target !== undefined) {
        if (!index.has(target)) calls.push(enter(target));
        else if (isOpen.has(target)) lower(node, index.get(target) ?? 0);
        continue;
      }
      calls.pop();
      const caller = calls.at(-1);
      if (caller !== undefined) lower(caller.node, low.get(node) ?? 0);
      if (low.get(node) === index.get(node)) found.push(close(node));
    }
  }

  function enter(node: N): { node: N; targets: readonly N[]; at: number } {
    low.set(node, index.size);
    index.set(node, index.size);
    open.push(node);
    isOpen.add(node);
    return { node, targets: next(node), at: 0 };
  }

  function lower(node: N, to: number): void {
    low.set(node, Math.min(low.get(node) ?? 0, to));
  }

  function close(node: N): N[] {
    const members = open.splice(open.lastIndexOf(node));
    for (const member of members) isOpen.delete(member);
    return members;
  }
}

/** All nodes that can be reached from some, those included, nearest first. */
export function reachable<N>(roots: Iterable<N>, next: (node: N) => Iterable<N>): N[] {
  const seen = new Set(roots);
  for (const node of seen) for (const other of next(node)) seen.add(other);
  return [...seen];
}
