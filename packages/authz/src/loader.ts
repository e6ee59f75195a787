import { StateError } from "@howdah/core";
import { type Entity, entityText, parseEntity } from "./entities.ts";

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
  question: Asked;
  answer: Promise<Answer>;
  settle(answer: Promise<Answer>): void;
}

const batchLimit = 1000;

/**
 * Collects the checks of one turn of the event loop and asks them together, made by `authz.loader()`.
 *
 * Make one for each request: an answer is kept as long as the loader lives.
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
   * @throws {StateError} with the code of the error if it cannot be told
   */
  async check(subject: Entity, permission: string, resource: Entity): Promise<boolean> {
    const [who, what] = [subject, resource].map((entity) => entityText(parseEntity(entity)));
    const key = JSON.stringify([who, permission, what]);
    let waiting = this.known.get(key);
    if (!waiting) {
      waiting = this.enqueue({ subject, permission, resource });
      this.known.set(key, waiting);
    }
    const { allowed, errorCode } = await waiting.answer;
    if (allowed !== null) return allowed;
    throw new StateError(`it cannot be told whether ${who} has ${permission} on ${what}`, {
      module: "authz",
      code: errorCode ?? "condition_invalid",
      sqlstate: "22023",
    });
  }

  private enqueue(question: Asked): Waiting {
    let settle: Waiting["settle"] = () => {};
    const answer = new Promise<Answer>((resolve) => {
      settle = resolve;
    });
    const waiting = { question, answer, settle };
    if (this.queued.push(waiting) === 1) setImmediate(() => this.flush());
    return waiting;
  }

  private flush(): void {
    const all = this.queued;
    this.queued = [];
    for (let start = 0; start < all.length; start += batchLimit) {
      const part = all.slice(start, start + batchLimit);
      const answers = this.ask(part.map(({ question }) => question));
      part.forEach((waiting, i) => {
        waiting.settle(answers.then((found) => found[i] as Answer));
      });
    }
  }
}
