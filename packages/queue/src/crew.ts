// The crew: handlers at work. Each slot is a loop that takes one waiting job after the other, so that a job costs one `await`.
import type { BatchHandler } from "./handler.ts";
import { type Claim, Context, type Host, type Job, type JobContext } from "./job.ts";
import { parsePayload } from "./payload.ts";
import { settlementOf } from "./settle.ts";
import type { Source } from "./source.ts";

/** What a crew needs of its worker. */
export interface CrewSetup {
  sources: readonly Source[];
  concurrency: number;
  host: Host;
  onStart(claim: Claim): void;
  /** A job ended that is lost to this worker. */
  onLost(claim: Claim): void;
  /** A handler failed after its job was settled. */
  onStray(error: unknown): void;
  /** A handler of this source is free again. */
  onFree(source: Source): void;
  /** There is something to settle that does not wait for the next claim. */
  onSettlement(): void;
}

/** Runs the handlers of a worker. */
export class Crew {
  /** Handlers that run. */
  active = 0;
  /** Claimed jobs that wait for one, of all queues. */
  waiting = 0;
  private readonly setup: CrewSetup;
  private turn = 0;

  constructor(setup: CrewSetup) {
    this.setup = setup;
  }

  /** Starts as many slots as there is work for. */
  pump(): void {
    while (this.active < this.setup.concurrency && this.waiting > 0) {
      const claim = this.next();
      if (!claim) return;
      void this.slot(claim);
    }
  }

  /** The next waiting job whose queue has a handler to spare, each queue in its turn. */
  private next(): Claim | undefined {
    if (this.waiting === 0) return undefined;
    const { sources } = this.setup;
    for (let i = 0; i < sources.length; i++) {
      const source = sources[this.turn++ % sources.length] as Source;
      if (source.active >= source.options.limit) continue;
      const claim = source.take();
      if (!claim) continue;
      this.waiting--;
      source.active++;
      return claim;
    }
    return undefined;
  }

  private async slot(first: Claim): Promise<void> {
    this.active++;
    for (let claim: Claim | undefined = first; claim; claim = this.next()) {
      const { source } = claim.batch;
      const { handler, schema } = source.options;
      if (typeof handler === "object") {
        await this.runBatch(source, handler, claim);
      } else {
        this.start(claim);
        try {
          if (schema) claim.payload = await parsePayload(schema, claim.payload);
          const context = new Context(this.setup.host, claim);
          const result = handler(claim as unknown as Job<never>, context as unknown as JobContext<never>);
          if (isThenable(result)) await result;
          this.done(claim);
        } catch (error) {
          this.failed(claim, error);
        }
      }
      source.active--;
      this.setup.onFree(source);
    }
    this.active--;
    this.setup.onFree(first.batch.source);
  }

  private async runBatch(source: Source, handler: BatchHandler<never, never>, first: Claim): Promise<void> {
    const { schema } = source.options;
    const ready: Claim[] = [];
    let size = 0;
    for (let claim: Claim | undefined = first; claim; claim = ++size < handler.size ? this.nextOf(source) : undefined) {
      this.start(claim);
      try {
        if (schema) claim.payload = await parsePayload(schema, claim.payload);
        ready.push(claim);
      } catch (error) {
        this.failed(claim, error);
      }
    }
    if (ready.length === 0) return;
    try {
      const contexts = ready.map((claim) => new Context(this.setup.host, claim) as unknown as JobContext<never>);
      const results: unknown = await handler.run(ready as unknown as Job<never>[], contexts);
      ready.forEach((claim, i) => {
        const result: unknown = Array.isArray(results) ? results[i] : undefined;
        if (result instanceof Error) this.failed(claim, result);
        else this.done(claim);
      });
    } catch (error) {
      for (const claim of ready) this.failed(claim, error);
    }
  }

  private nextOf(source: Source): Claim | undefined {
    const claim = source.take();
    if (claim) this.waiting--;
    return claim;
  }

  private start(claim: Claim): void {
    claim.state = "running";
    claim.startedAt = performance.now();
    this.setup.onStart(claim);
  }

  private done(claim: Claim): void {
    const { source } = claim.batch;
    source.finished++;
    if (claim.state !== "running") return;
    claim.state = "ended";
    source.done.push(claim);
    source.flushSoon();
  }

  private failed(claim: Claim, error: unknown): void {
    const { source } = claim.batch;
    source.finished++;
    if (claim.state !== "running") {
      if (!claim.reason) this.setup.onStray(error);
      return;
    }
    claim.state = "ended";
    const settlement = settlementOf(claim, error);
    if (settlement) source.settlements.push(settlement);
    else this.setup.onLost(claim);
    this.setup.onSettlement();
  }
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof (value as PromiseLike<unknown> | undefined)?.then === "function";
