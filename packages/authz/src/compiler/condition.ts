// Translates a condition, written in CEL, into the body of a PL/pgSQL function.
//
// Every part of the expression gets a static type, so that each operator becomes the one SQL operator that does the same. What
// has no static type (`any`) stays jsonb until its use says what it must be. Unknown is SQL's null, whose AND and OR are those
// of CEL; everything else that CEL calls an error is null as well, see the run-time functions in conditions.sql.
import { parse } from "@bufbuild/cel";
import { matchMethods } from "./condition-methods.ts";
import {
  type CelType,
  celType,
  describe,
  isForeign,
  json,
  literal,
  read,
  readAny,
  type Value,
} from "./condition-types.ts";

/** A condition as OpenFGA's JSON has it. */
export interface ConditionSource {
  expression: string;
  parameters?: Record<string, { type_name: string; generic_types?: { type_name: string }[] }>;
}

/** What is wrong with a condition, and where. */
interface ConditionProblem {
  message: string;
  /** The character in the expression, from 1. */
  position: number;
}

/** A translated condition. */
export interface RenderedCondition {
  /** The types of the parameters, such as `list<string>`. */
  parameters: Record<string, string>;
  /** A PL/pgSQL block that reads `p_stored` and `p_context` and returns a boolean, null for unknown. */
  body: string;
  /** The time zones that it names. */
  timeZones: ReadonlySet<string>;
  /** Empty if the condition can be used. */
  problems: ConditionProblem[];
}

type Expression = NonNullable<ReturnType<typeof parse>["expr"]>;

/** Translates a condition. */
export function renderCondition(name: string, condition: ConditionSource): RenderedCondition {
  const parameters = Object.entries(condition.parameters ?? {}).map(
    ([parameter, { type_name, generic_types }]) =>
      [parameter, celType(type_name, generic_types?.[0]?.type_name)] as const,
  );
  const result: RenderedCondition = {
    parameters: Object.fromEntries(parameters.map(([parameter, type]) => [parameter, type ? describe(type) : "?"])),
    body: "",
    timeZones: new Set(),
    problems: [],
  };
  const untyped = parameters.find(([, type]) => type === undefined);
  if (untyped) return failed(result, `parameter ${untyped[0]} of condition ${name} has no known type`, 1);
  if (condition.expression.length > 4096) {
    return failed(
      result,
      `condition ${name} has ${condition.expression.length} characters, at most 4096 are allowed`,
      1,
    );
  }

  try {
    const parsed = parse(condition.expression);
    const positions = parsed.sourceInfo?.positions ?? {};
    const translator = new Translator(
      new Map(parameters as [string, CelType][]),
      (id) => (positions[`${id}`] ?? 0) + 1,
    );
    const value = translator.as("bool", translator.translate(parsed.expr), parsed.expr);
    result.body = block(translator.used, value.sql);
    result.timeZones = translator.timeZones;
    return result;
  } catch (error) {
    if (error instanceof Refused) return failed(result, error.message, error.position);
    const column = (error as { location?: { start?: { offset?: number } } }).location?.start?.offset ?? 0;
    return failed(
      result,
      `condition ${name} is not a CEL expression: ${(error as Error).message.replace(/^<input>:[\d:]+ /, "")}`,
      column + 1,
    );
  }
}

function failed(result: RenderedCondition, message: string, position: number): RenderedCondition {
  result.problems.push({ message, position });
  return result;
}

function block(used: ReadonlyMap<string, { variable: string; type: CelType }>, expression: string): string {
  const declarations = [...used].map(([parameter, { variable, type }]) => {
    return `  ${variable} ${type.sql} := ${read(`authz._cel_get(v_context, ${literal(parameter)})`, type)};`;
  });
  return [
    "declare",
    "  v_context jsonb := coalesce(p_context, '{}') || coalesce(p_stored, '{}');",
    ...declarations,
    "begin",
    `  return ${expression};`,
    "end",
  ].join("\n");
}

class Refused extends Error {
  readonly position: number;

  constructor(message: string, position: number) {
    super(message);
    this.position = position;
  }
}

class Translator {
  readonly used = new Map<string, { variable: string; type: CelType }>();
  readonly timeZones = new Set<string>();
  private readonly parameters: ReadonlyMap<string, CelType>;
  private readonly positionOf: (id: bigint) => number;
  private depth = 0;

  constructor(parameters: ReadonlyMap<string, CelType>, positionOf: (id: bigint) => number) {
    this.parameters = parameters;
    this.positionOf = positionOf;
  }

  translate(expression: Expression): Value {
    if (++this.depth > 50) throw this.refuse(expression, "the expression is nested more than 50 deep");
    try {
      return this.translateAny(expression);
    } finally {
      this.depth--;
    }
  }

  /** The value as one of a type; a value of type `any` is read as it. */
  as(name: CelType["name"], value: Value, at: Expression): Value {
    if (value.type.name === name) return value;
    const type = celType(name);
    if (value.type.name !== "any" || !type) {
      throw this.refuse(at, `this is of type ${describe(value.type)}, where ${name} is expected`);
    }
    if (isForeign(type)) throw this.refuse(at, `this is of type any: write ${name}(...) around it`);
    return { type, sql: readAny(value.sql, type) };
  }

  refuse(at: Expression, message: string): Refused {
    return new Refused(message, this.positionOf(at.id));
  }

  private translateAny(expression: Expression): Value {
    const { exprKind } = expression;
    switch (exprKind.case) {
      case "constExpr":
        return this.constant(expression, exprKind.value.constantKind);
      case "identExpr":
        return this.parameter(expression, exprKind.value.name);
      case "selectExpr": {
        const operand = exprKind.value.operand;
        if (!operand) throw this.refuse(expression, "a field needs something that has it");
        const map = this.translate(operand);
        if (exprKind.value.testOnly) {
          return this.lookup(
            expression,
            map,
            (sql) => `authz._cel_has(${sql}, ${literal(exprKind.value.field)})`,
            "bool",
          );
        }
        return this.lookup(expression, map, (sql) => `authz._cel_get(${sql}, ${literal(exprKind.value.field)})`);
      }
      case "listExpr": {
        const elements = exprKind.value.elements.map((element) => this.translate(element));
        const [first] = elements;
        const isUniform = first && elements.every(({ type }) => describe(type) === describe(first.type));
        const parts = elements.map((element, i) => this.json(element, exprKind.value.elements[i] ?? expression));
        return {
          type: celType("list", isUniform ? first.type.name : "any") as CelType,
          sql: whole("array", parts),
        };
      }
      case "structExpr": {
        const entries = exprKind.value.entries.map(({ keyKind, value }) => {
          if (exprKind.value.messageName || keyKind.case !== "mapKey" || !value) {
            throw this.refuse(expression, "messages are not supported");
          }
          const key = this.as("string", this.translate(keyKind.value), keyKind.value).sql;
          return [key, this.json(this.translate(value), value)] as const;
        });
        return { type: celType("map", "any") as CelType, sql: whole("object", entries.flat()) };
      }
      case "callExpr":
        return this.operation(expression, exprKind.value.function, exprKind.value.args, exprKind.value.target);
      case "comprehensionExpr":
        throw this.refuse(expression, "macros that loop, such as all and exists, are not supported");
      default:
        throw this.refuse(expression, "this kind of expression is not supported");
    }
  }

  private constant(expression: Expression, constant: { case?: string | undefined; value?: unknown }): Value {
    const text = String(constant.value);
    switch (constant.case) {
      case "boolValue":
        return { type: celType("bool") as CelType, sql: text };
      case "int64Value":
        if (BigInt.asIntN(64, BigInt(text)) !== BigInt(text)) throw this.refuse(expression, `${text} is no 64-bit int`);
        return { type: celType("int") as CelType, sql: `${literal(text)}::bigint` };
      case "uint64Value":
        if (BigInt.asUintN(64, BigInt(text)) !== BigInt(text))
          throw this.refuse(expression, `${text} is no 64-bit uint`);
        return { type: celType("uint") as CelType, sql: `${literal(text)}::numeric` };
      case "doubleValue":
        return { type: celType("double") as CelType, sql: `${literal(text)}::double precision` };
      case "nullValue":
        return { type: { name: "null", sql: "jsonb" }, sql: "'null'::jsonb" };
      case "stringValue":
        if (text.includes("\0")) throw this.refuse(expression, "a string must not contain the character NUL");
        return { type: celType("string") as CelType, sql: `${literal(text)}::text`, constant: text };
      default:
        throw this.refuse(expression, "bytes are not supported");
    }
  }

  private parameter(expression: Expression, name: string): Value {
    const type = this.parameters.get(name);
    if (!type) throw this.refuse(expression, `${name} is not a parameter of this condition`);
    const known = this.used.get(name) ?? { variable: `v_${this.used.size + 1}`, type };
    this.used.set(name, known);
    return { type, sql: known.variable };
  }

  private json(value: Value, at: Expression): string {
    const sql = json(value);
    if (sql === undefined)
      throw this.refuse(
        at,
        `a value of type ${describe(value.type)} has no equal in JSON, as lists and maps are compared`,
      );
    return sql;
  }

  /** What a map has under a key, or says about it. */
  private lookup(at: Expression, map: Value, sql: (map: string) => string, result?: CelType["name"]): Value {
    if (map.type.name !== "map" && map.type.name !== "any") {
      throw this.refuse(at, `this is of type ${describe(map.type)}, which has no fields`);
    }
    const type = result ? (celType(result) as CelType) : (map.type.of ?? (celType("any") as CelType));
    return { type, sql: result ? sql(map.sql) : read(sql(map.sql), type) };
  }

  private operation(at: Expression, name: string, args: Expression[], target: Expression | undefined): Value {
    const bool = celType("bool") as CelType;
    const [first, second, third] = args;
    if (target || !first) return this.method(at, name, target, args);
    switch (name) {
      case "_&&_":
      case "_||_": {
        const parts = args.map((arg) => this.as("bool", this.translate(arg), arg).sql);
        return { type: bool, sql: `(${parts.join(name === "_&&_" ? " and " : " or ")})` };
      }
      case "!_":
        return { type: bool, sql: `(not ${this.as("bool", this.translate(first), first).sql})` };
      case "-_":
        return this.negated(at, this.translate(first));
      case "_?_:_": {
        if (!second || !third) break;
        const test = this.as("bool", this.translate(first), first).sql;
        const [a, b] = this.alike(at, this.translate(second), this.translate(third));
        return {
          ...a,
          sql: `(case when ${test} then ${a.sql} when not ${test} then ${b.sql} end)`,
          constant: undefined,
        };
      }
      case "_[_]":
        if (second) return this.element(at, this.translate(first), this.translate(second), second);
        break;
      case "@in":
        if (second) return { type: bool, sql: this.membership(at, this.translate(first), this.translate(second)) };
        break;
      case "_==_":
        if (second) return { type: bool, sql: this.equality(at, this.translate(first), this.translate(second)) };
        break;
      case "_!=_":
        if (second)
          return { type: bool, sql: `(not ${this.equality(at, this.translate(first), this.translate(second))})` };
        break;
    }
    const comparison = /^_(<|<=|>|>=)_$/.exec(name)?.[1];
    if (comparison && second) {
      return { type: bool, sql: this.ordering(at, comparison, this.translate(first), this.translate(second)) };
    }
    const operator = /^_([-+*/%])_$/.exec(name)?.[1];
    if (operator && second) return this.arithmetic(at, operator, this.translate(first), this.translate(second));
    return this.method(at, name, undefined, args);
  }

  private method(at: Expression, name: string, target: Expression | undefined, args: Expression[]): Value {
    const values = [...(target ? [target] : []), ...args].map((arg) => this.translate(arg));
    for (const { signature, result, sql, check, timeZone } of matchMethods(name, target !== undefined, values.length)) {
      const fits = signature.every((type, i) => {
        const actual = values[i]?.type.name;
        return actual === type || actual === "any";
      });
      if (!fits) continue;
      const read = values.map((value, i) => this.as(signature[i] as CelType["name"], value, at));
      const problem = check?.(...read);
      if (problem) throw this.refuse(at, problem);
      const zone = timeZone?.(...read);
      if (zone !== undefined) this.timeZones.add(zone);
      return { type: celType(result) as CelType, sql: sql(...read) };
    }
    const types = values.map((value) => describe(value.type)).join(", ");
    throw this.refuse(at, `there is no function ${name}(${types})`);
  }

  private negated(at: Expression, value: Value): Value {
    if (value.type.name === "int") return { type: value.type, sql: `authz._cel_to_int(-(${value.sql}::numeric))` };
    if (value.type.name === "double") return { type: value.type, sql: `(-${value.sql})` };
    throw this.refuse(at, `- needs an int or a double, this is of type ${describe(value.type)}`);
  }

  /** Two values as of one type, the one of type `any` being read as the other's. */
  private alike(at: Expression, a: Value, b: Value): [Value, Value] {
    const isSame = describe(a.type) === describe(b.type);
    if (isSame || (a.type.name === b.type.name && !isForeign(a.type) && !isForeign(b.type))) return [a, b];
    if (b.type.name === "any") return [a, this.as(a.type.name, b, at)];
    if (a.type.name === "any") return [this.as(b.type.name, a, at), b];
    throw this.refuse(at, `${describe(a.type)} and ${describe(b.type)} do not go together`);
  }

  private element(at: Expression, collection: Value, index: Value, indexAt: Expression): Value {
    const isList = collection.type.name === "list" || (collection.type.name === "any" && index.type.name === "int");
    if (isList) {
      const type = collection.type.of ?? (celType("any") as CelType);
      return { type, sql: read(`authz._cel_at(${collection.sql}, ${this.as("int", index, indexAt).sql})`, type) };
    }
    const key = this.as("string", index, indexAt).sql;
    return this.lookup(at, collection, (map) => `authz._cel_get(${map}, ${key})`);
  }

  private membership(at: Expression, element: Value, collection: Value): string {
    const of = collection.type.of;
    if (collection.type.name === "list" && of && !["any", "bool", "string", "list", "map"].includes(of.name)) {
      const [wanted] = this.alike(at, element, { type: of, sql: "" });
      const test = `${read("e", of)} = ${wanted.sql}`;
      const search = `exists (select 1 from jsonb_array_elements(${collection.sql}) e where ${test})`;
      return `(case when ${collection.sql} is not null and ${wanted.sql} is not null then ${search} end)`;
    }
    if (!["list", "map", "any"].includes(collection.type.name)) {
      throw this.refuse(at, `in needs a list or a map, this is of type ${describe(collection.type)}`);
    }
    if (collection.type.name === "map")
      return `authz._cel_in(to_jsonb(${this.as("string", element, at).sql}), ${collection.sql})`;
    return `authz._cel_in(${this.json(element, at)}, ${collection.sql})`;
  }

  private equality(at: Expression, a: Value, b: Value): string {
    if (isNumber(a) && isNumber(b)) return compared(a, "=", b);
    if (a.type.of && b.type.of) return `(${this.json(a, at)} = ${this.json(b, at)})`;
    if (a.type.name === b.type.name) return `(${a.sql} = ${b.sql})`;
    const [x, y] = a.type.name === "any" || a.type.name === "null" ? [b, a] : [a, b];
    if (x.type.name === "null") return `(${y.sql} = 'null'::jsonb)`;
    if (y.type.name === "null") return x.type.name === "any" ? `(${x.sql} = ${y.sql})` : `(${x.sql} is null and null)`;
    const sql = y.type.name === "any" ? json(x) : undefined;
    if (sql !== undefined) return `(${y.sql} = ${sql})`;
    const [p, q] = this.alike(at, a, b);
    return `(${p.sql} = ${q.sql})`;
  }

  private ordering(at: Expression, operator: string, a: Value, b: Value): string {
    const asNumber = (value: Value, other: Value): Value =>
      value.type.name === "any" && isNumber(other) ? this.as("double", value, at) : value;
    const [p, q] = [asNumber(a, b), asNumber(b, a)];
    if (isNumber(p) && isNumber(q)) return compared(p, operator, q);
    const [x, y] = this.alike(at, p, q);
    if (["any", "null", "list", "map", "ipaddress"].includes(x.type.name)) {
      throw this.refuse(at, `${operator} cannot compare two values of type ${describe(x.type)}`);
    }
    const collation = x.type.name === "string" ? ' collate "C"' : "";
    return `(${x.sql}${collation} ${operator} ${y.sql})`;
  }

  private arithmetic(at: Expression, operator: string, a: Value, b: Value): Value {
    const times = operator === "+" || operator === "-" ? ofTimes(operator, a, b) : undefined;
    if (times) return times;
    const [x, y] = this.alike(at, a, b);
    const { name } = x.type;
    if (operator === "+" && name === "string") return { type: x.type, sql: `(${x.sql} || ${y.sql})` };
    if (operator === "+" && name === "list")
      return { type: celType("list", "any") as CelType, sql: `(${this.json(x, at)} || ${this.json(y, at)})` };
    if (name === "double") {
      const doubles: Record<string, string> = {
        "+": `authz._cel_add(${x.sql}, ${y.sql})`,
        "-": `authz._cel_add(${x.sql}, -${y.sql})`,
        "*": `authz._cel_multiply(${x.sql}, ${y.sql})`,
        "/": `authz._cel_divide(${x.sql}, ${y.sql})`,
      };
      const sql = doubles[operator];
      if (sql) return { type: x.type, sql };
    }
    if (name === "int" || name === "uint") {
      const left = `${x.sql}::numeric`;
      const wholes: Record<string, string> = {
        "/": `div(${left}, nullif(${y.sql}, 0))`,
        "%": `mod(${left}, nullif(${y.sql}, 0))`,
      };
      return { type: x.type, sql: `authz._cel_to_${name}(${wholes[operator] ?? `${left} ${operator} ${y.sql}`})` };
    }
    throw this.refuse(at, `${operator} cannot be used with ${describe(a.type)} and ${describe(b.type)}`);
  }
}

const isNumber = ({ type }: Value): boolean => ["int", "uint", "double"].includes(type.name);

/** A comparison of two numbers: with a double as doubles, else exactly. */
function compared(a: Value, operator: string, b: Value): string {
  const types = [a.type.name, b.type.name];
  if (types[0] === types[1]) return `(${a.sql} ${operator} ${b.sql})`;
  const sql = types.includes("double") ? "double precision" : "numeric";
  return `(${a.sql}::${sql} ${operator} ${b.sql}::${sql})`;
}

/** A jsonb array or object of parts, null if one of them is. A function takes at most 100 arguments. */
function whole(kind: "array" | "object", parts: readonly string[]): string {
  if (parts.length === 0) return `jsonb_build_${kind}()`;
  const groups = Array.from({ length: Math.ceil(parts.length / 100) }, (_, i) =>
    parts.slice(i * 100, i * 100 + 100).join(", "),
  );
  const nulls = groups.map((group) => `num_nulls(${group})`).join(" + ");
  const built = groups.map((group) => `jsonb_build_${kind}(${group})`).join(" || ");
  return `(case when ${nulls} = 0 then ${built} end)`;
}

/** Sums and differences of times and durations. */
function ofTimes(operator: "+" | "-", a: Value, b: Value): Value | undefined {
  const timestamp = celType("timestamp") as CelType;
  const duration = celType("duration") as CelType;
  switch (`${a.type.name} ${operator} ${b.type.name}`) {
    case "timestamp + duration":
      return { type: timestamp, sql: `authz._cel_after(${a.sql}, ${b.sql})` };
    case "duration + timestamp":
      return { type: timestamp, sql: `authz._cel_after(${b.sql}, ${a.sql})` };
    case "timestamp - duration":
      return { type: timestamp, sql: `authz._cel_before(${a.sql}, ${b.sql})` };
    case "timestamp - timestamp":
    case "duration + duration":
    case "duration - duration": {
      const seconds = `extract(epoch from ${a.sql}) ${operator} extract(epoch from ${b.sql})`;
      return { type: duration, sql: `authz._cel_seconds(${seconds})` };
    }
    default:
      return undefined;
  }
}
