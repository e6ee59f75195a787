import { type Histogram, metrics, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { Hook } from "./database.ts";
import { HowdahError, sqlstateOf, toHowdahError } from "./errors.ts";

/** What {@link otel} records beyond the defaults. */
export interface OtelOptions {
  /** Record the tenant as `howdah.namespace`; off by default, because it may tell who a user's customers are. */
  namespace?: boolean;
}

/**
 * Traces every call by OpenTelemetry's conventions for databases: a CLIENT span named after the function, and the histogram
 * `db.client.operation.duration` in seconds. Arguments are never recorded.
 */
export function otel(options: OtelOptions = {}): Hook {
  const tracer = trace.getTracer("@howdah/core");
  const duration: Histogram = metrics.getMeter("@howdah/core").createHistogram("db.client.operation.duration", {
    description: "Duration of database client operations",
    unit: "s",
  });
  return {
    start(call) {
      const startedAt = performance.now();
      const attributes: Record<string, string> = {
        "db.system.name": "postgresql",
        "db.operation.name": call.name,
        "db.stored_procedure.name": call.name,
      };
      const span = tracer.startSpan(call.name, { kind: SpanKind.CLIENT, attributes });
      if (options.namespace && call.namespace != null) span.setAttribute("howdah.namespace", call.namespace);
      return (error) => {
        if (error !== undefined) {
          const known = toHowdahError(error);
          const type = known instanceof HowdahError ? `${known.module}.${known.code}` : (sqlstateOf(error) ?? "_OTHER");
          attributes["error.type"] = type;
          span.setAttribute("error.type", type);
          const status = sqlstateOf(error);
          if (status !== undefined) span.setAttribute("db.response.status_code", status);
          span.setStatus({ code: SpanStatusCode.ERROR });
        }
        duration.record((performance.now() - startedAt) / 1000, attributes);
        span.end();
      };
    },
  };
}
