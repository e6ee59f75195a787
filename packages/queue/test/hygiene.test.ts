import { hygiene } from "@howdah/testing/hygiene";
import * as functions from "../src/functions.ts";
import { queueModule } from "../src/module.ts";

const notCalled = (name: string, reason: string) => ({ rule: "client-methods", object: `queue.${name}`, reason });

hygiene(queueModule, {
  clients: Object.values(functions),
  ignore: [
    notCalled("exchange", "a lane sends it as a statement of its own, for the columns and types that it needs"),
    notCalled("tick", "the clock sends it as a statement of its own, which reckons how long until something is due"),
    notCalled("get_queue_settings", "the worker sends it as a statement of its own, which reckons milliseconds"),
    notCalled("tick_schedules", "for other languages: tick does it too"),
    notCalled("tick_timeouts", "for other languages: tick does it too"),
    notCalled("release_jobs", "for other languages: unregister_worker does it too"),
    notCalled("prune", "for operators: maintain does it too"),
  ],
});
