// What must compile and what must not. Checked by tsc, never run.
import { expectTypeOf } from "vitest";
import { z } from "zod";
import { batchHandler, createQueue, defineQueue, type JobContext, type JobId } from "../src/index.ts";

const emails = defineQueue("emails", { schema: z.object({ to: z.string(), sentAt: z.coerce.date().optional() }) });
const reports = defineQueue("reports");
const q = createQueue("postgres://", { namespace: "acme", queues: { emails, reports } });

expectTypeOf(q.push("emails", { to: "a" })).resolves.toEqualTypeOf<JobId | null>();
expectTypeOf(q.push("reports", { anything: [1, "two"] })).resolves.toEqualTypeOf<JobId | null>();
expectTypeOf(q.using({ query: async () => ({ rows: [] }) })).toEqualTypeOf(q);

// @ts-expect-error `to` is missing
void q.push("emails", {});
// @ts-expect-error `to` is a string
void q.push("emails", { to: 5 });
// @ts-expect-error there is no such queue
void q.push("invoices", {});
// @ts-expect-error the options have no such key
void q.push("emails", { to: "a" }, { priorty: 1 });
// @ts-expect-error one of the payloads is wrong
void q.pushBatch("emails", [{ to: "a" }, { too: "b" }]);
// @ts-expect-error settings have no such key
defineQueue("other", { retries: 3 });

q.worker({
  emails: async (job, context) => {
    expectTypeOf(job.payload).toEqualTypeOf<{ to: string; sentAt?: Date | undefined }>();
    expectTypeOf(context.signal).toEqualTypeOf<AbortSignal>();
    await context.push("reports", job.id);
    // @ts-expect-error `to` is missing
    await context.push("emails", {});
  },
  reports: batchHandler(100, (jobs, contexts) => {
    expectTypeOf(jobs[0]?.payload).toEqualTypeOf<unknown>();
    expectTypeOf(contexts).toExtend<readonly JobContext[]>();
  }),
});
q.worker({ emails: batchHandler(10, (jobs) => expectTypeOf(jobs[0]?.payload.to).toEqualTypeOf<string | undefined>()) });
// @ts-expect-error there is no such queue
q.worker({ invoices: () => {} });
// @ts-expect-error workers have no such option
q.worker({ emails: () => {} }, { paralel: 2 });

expectTypeOf(await q.pull("emails")).toExtend<{ payload: { to: string } } | null>();

const untyped = createQueue("postgres://", { namespace: "acme" });
void untyped.push("whatever", 1);
untyped.worker({ whatever: (job) => expectTypeOf(job.payload).toEqualTypeOf<unknown>() });
