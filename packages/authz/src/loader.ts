import { HowdahError } from "@howdah/core";
import { type Entity, entityText, parseEntity, parseObject } from "./entities.ts";
import { undecided } from "./errors.ts";

interface Asked {
  subject: Entity;
  permission: string;
  resource: Entity;
}

interface Answer {
  allowed: boolean | null;
  errorCode: string | null;
}

interface Waiting {
  key: string;
  question: Asked;
  answer: Promise<Answer>;
  settle(answer: Answer): void;
  fail(error: unknown): void;
}

const batchLimit = 1000;

/**
 * Collects the checks of one turn of the event loop and asks them together, made by `authz.loader()`.
 *
 * Make one for each request: an answer is kept as long as the loader lives, a failure is not.
 */
export class Loader {
  private readonly ask: (questions: readonly Asked[]) => Promise<Answer[]>;
  private readonly known = new Map<string, Waiting>();
  private queued: Waiting[] = [];

  constructor(ask: (questions: readonly Asked[]) => Promise<Answer[]>) {
    this.ask = ask;
  }

  /**
   * Whether a subject has a permission on a resource.
   *
   * @throws {ConditionError} if that cannot be told, because a condition lacks parameters
   * @throws {ValidationError} `type_unknown`, `relation_unknown` under a strict model
   */
  async check(subject: Entity, permission: string, resource: Entity): Promise<boolean> {
    const question = { subject: parseEntity(subject), permission, resource: parseObject(resource) };
    const key = JSON.stringify(question);
    let waiting = this.known.get(key);
    if (!waiting) {
      waiting = this.enqueue(key, question);
      this.known.set(key, waiting);
    }
    const { allowed, errorCode } = await waiting.answer;
    if (allowed !== null) return allowed;
    const [who, what] = [entityText(question.subject), entityText(question.resource)];
    throw undecided(errorCode ?? "condition_invalid", `it cannot be told whether ${who} has ${permission} on ${what}`);
  }

  private enqueue(key: string, question: Asked): Waiting {
    const { promise: answer, resolve: settle, reject: fail } = Promise.withResolvers<Answer>();
    const waiting = { key, question, answer, settle, fail };
    if (this.queued.push(waiting) === 1) setImmediate(() => this.flush());
    return waiting;
  }

  private flush(): void {
    const all = this.queued;
    this.queued = [];
    for (let start = 0; start < all.length; start += batchLimit) void this.answer(all.slice(start, start + batchLimit));
  }

  /** Asks together; a question that is none fails alone, and the others are asked again. */
  private async answer(all: readonly Waiting[]): Promise<void> {
    if (all.length === 0) return;
    try {
      const found = await this.ask(all.map(({ question }) => question));
      all.forEach(({ settle }, i) => {
        settle(found[i] as Answer);
      });
    } catch (error) {
      const index = error instanceof HowdahError && error.code === "array_element_invalid" && error.detail.index;
      const wrong = typeof index === "number" ? all[index - 1] : undefined;
      for (const { key, fail } of wrong ? [wrong] : all) {
        this.known.delete(key);
        fail(error);
      }
      if (wrong) await this.answer(all.filter((waiting) => waiting !== wrong));
    }
  }
}
