import { type TestDatabase, testDatabase } from "@howdah/testing";
import { metrics, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { call, connect, type Database, fn } from "../src/index.ts";
import { otel } from "../src/otel.ts";

const spans = new InMemorySpanExporter();
const exported = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter: exported, exportIntervalMillis: 3_600_000 });
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }));
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));

const greet = fn<{ name: string }, string>("shop.greet", { args: { name: "text" }, returns: "value" });
let home: TestDatabase;
let db: Database;
beforeAll(async () => {
  home = await testDatabase({ modules: [] });
  await home.query(`create schema shop;
    create function shop.greet(p_namespace text, p_name text) returns text language plpgsql as $$
    begin
      if p_name = 'nobody' then perform howdah.fail('shop', 'name_unknown', 'nobody is nobody', '22023'); end if;
      return 'hello ' || p_name;
    end $$`);
  db = connect(home.pool, { hooks: [otel({ namespace: true })] });
});
afterAll(() => home.close());
beforeEach(() => spans.reset());

test("a call is a CLIENT span by the database conventions, without the values of its arguments", async () => {
  await call(db, greet, { name: "secret" }, { namespace: "acme" });
  const [span] = spans.getFinishedSpans();
  expect(span).toMatchObject({ name: "shop.greet", kind: SpanKind.CLIENT });
  expect(span?.attributes).toEqual({
    "db.system.name": "postgresql",
    "db.operation.name": "shop.greet",
    "db.stored_procedure.name": "shop.greet",
    "howdah.namespace": "acme",
  });
  expect(JSON.stringify(span?.attributes)).not.toContain("secret");
});

test("a failed call is marked with its code", async () => {
  await call(db, greet, { name: "nobody" }, { namespace: "acme" }).catch(() => {});
  const [span] = spans.getFinishedSpans();
  expect(span?.status.code).toBe(SpanStatusCode.ERROR);
  expect(span?.attributes).toMatchObject({ "error.type": "shop.name_unknown", "db.response.status_code": "22023" });
});

test("the namespace is left out unless asked for, and calls in transactions are seen too", async () => {
  const discreet = connect(home.pool, { hooks: [otel()] });
  await discreet.transaction((tx) => call(tx, greet, { name: "x" }, { namespace: "acme" }));
  const [span] = spans.getFinishedSpans();
  expect(span?.name).toBe("shop.greet");
  expect(span?.attributes).not.toHaveProperty("howdah.namespace");
});

test("durations are counted in seconds", async () => {
  await call(db, greet, { name: "x" }, { namespace: "acme" });
  await reader.forceFlush();
  const names = exported.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
  expect(names[0]?.descriptor).toMatchObject({ name: "db.client.operation.duration", unit: "s" });
});

test("a plain statement is no call and leaves no span", async () => {
  await db.query("select 1");
  expect(spans.getFinishedSpans()).toEqual([]);
});
