// What has become of claimed jobs, once the database knows, and who is told.
import { JobLostError } from "./errors.ts";
import type { Claim, Job } from "./job.ts";
import type { Settlement } from "./settle.ts";

/** What a worker tells of a job. */
export interface JobEvents {
  "job:start": [job: Job];
  /** The job is done and settled. */
  "job:complete": [job: Job];
  /** The job failed or was snoozed, and will run again. */
  "job:retry": [job: Job, error: unknown];
  /** The job failed for good and is a dead letter. */
  "job:dead": [job: Job, error: unknown];
  /** The lease ended before the job was settled: it runs again, maybe elsewhere. */
  "job:lost": [job: Job];
  "job:cancelled": [job: Job];
}

/** An emitter of these events. */
export interface Emitter {
  listenerCount(event: keyof JobEvents): number;
  emit<Event extends keyof JobEvents>(event: Event, ...args: JobEvents[Event]): boolean;
}

/** Ends the life of claims. */
export class Outcomes {
  private readonly emitter: Emitter;

  constructor(emitter: Emitter) {
    this.emitter = emitter;
  }

  /** These jobs were acknowledged, except those that are known to be lost. */
  complete(claims: readonly Claim[]): void {
    const isHeard = this.emitter.listenerCount("job:complete") > 0;
    for (const claim of claims) {
      if (claim.state === "gone") continue;
      this.forget(claim);
      if (isHeard) this.emitter.emit("job:complete", claim);
    }
  }

  /** The job belongs to somebody else by now, or, if an earlier answer was lost, may have been settled then. */
  lose(claim: Claim): void {
    if (claim.state === "gone") return;
    claim.abort(new JobLostError(claim.id));
    this.forget(claim);
    if (!claim.isUnsure) this.emitter.emit("job:lost", claim);
  }

  /** The database answered a settlement. */
  conclude({ claim, error }: Settlement, outcome: string | undefined): void {
    if (claim.state === "gone") return;
    if (outcome === undefined || outcome === "lost") {
      this.lose(claim);
      return;
    }
    this.forget(claim);
    if (outcome === "completed") this.emitter.emit("job:complete", claim);
    else if (outcome === "dead") this.emitter.emit("job:dead", claim, error);
    else if (outcome === "cancelled") this.emitter.emit("job:cancelled", claim);
    else if (outcome === "retry" || outcome === "snoozed") this.emitter.emit("job:retry", claim, error);
  }

  /** The job is none of this worker's business any more. */
  forget(claim: Claim): void {
    if (claim.state === "gone") return;
    claim.state = "gone";
    const { batch } = claim;
    batch.session.left--;
    if (--batch.left > 0) return;
    batch.source.batches.delete(batch);
    if (batch.riding > 0) return; // the exchange that settled its last jobs ended its lease
    batch.source.doneLeases.push(batch.leaseId);
    batch.source.flushSoon();
  }
}
