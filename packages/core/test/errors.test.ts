import { expect, test } from "vitest";
import { isConnectionFailure, isSerializationFailure, redact } from "../src/errors.ts";
import {
  ConflictError,
  ConnectionError,
  LimitError,
  NotFoundError,
  PermissionError,
  StateError,
  toHowdahError,
  ValidationError,
} from "../src/index.ts";

const raised = (code: string, detail = '[shop.order_not_found] {"id": 7}') =>
  Object.assign(new Error("order 7 does not exist"), { code, detail, hint: "" });

test.each([
  ["P0002", NotFoundError],
  ["22004", ValidationError],
  ["22023", ValidationError],
  ["23505", ConflictError],
  ["PK001", ConflictError],
  ["23514", ValidationError],
  ["40001", ConflictError],
  ["42501", PermissionError],
  ["54000", LimitError],
  ["55000", StateError],
  ["25006", StateError],
])("SQLSTATE %s of a module becomes the matching class", (sqlstate, type) => {
  const error = toHowdahError(raised(sqlstate));
  expect(error).toBeInstanceOf(type);
  expect(error).toMatchObject({
    module: "shop",
    code: "order_not_found",
    sqlstate,
    detail: { id: 7 },
    hint: undefined,
  });
});

test("an error of somebody else whose DETAIL only looks like ours passes unchanged", () => {
  const error = raised("22023", "[shop.order_not_found] {not json}");
  expect(toHowdahError(error)).toBe(error);
});

test("the brackets in DETAIL are enough, for proxies that drop SCHEMA and CONSTRAINT", () => {
  expect(toHowdahError(raised("P0002"))).toMatchObject({ code: "order_not_found" });
});

test("an error that no module raised passes unchanged", () => {
  const error = Object.assign(new Error("duplicate key"), { code: "23505", detail: "Key (id)=(7) already exists." });
  expect(toHowdahError(error)).toBe(error);
  expect(toHowdahError("text")).toBe("text");
  expect(toHowdahError(undefined)).toBe(undefined);
});

test("a module's answer of class 40 is never taken for a serialization failure", () => {
  expect(isSerializationFailure(raised("40001"))).toBe(false);
  expect(isSerializationFailure(raised("40001", ""))).toBe(true);
  expect(isSerializationFailure(raised("40P01", ""))).toBe(true);
});

test("what a broken connection looks like is known", () => {
  for (const code of ["08006", "57P01", "57P03", "53300", "ECONNREFUSED", "ECONNRESET", "EPIPE"]) {
    expect(isConnectionFailure(Object.assign(new Error("x"), { code }))).toBe(true);
  }
  expect(isConnectionFailure(new Error("Connection terminated unexpectedly"))).toBe(true);
  expect(isConnectionFailure(Object.assign(new Error("syntax error"), { code: "42601" }))).toBe(false);
});

test("a password in a connection string reaches no message", () => {
  expect(redact("cannot reach postgres://ann:s3cret@db/app")).toBe("cannot reach postgres://ann:***@db/app");
  expect(redact("postgres://db/app?user=ann&password=s3cret")).toBe("postgres://db/app?user=ann&password=***");
  expect(new ConnectionError(new Error("postgres://ann:s3cret@db/app is down"), false).message).not.toContain("s3cret");
});
