import { fork } from "node:child_process";
import { once } from "node:events";

/** A process of ours that answers messages, and ends when it is told to. */
export interface Child {
  /** Sends a message and waits for the next one from the process; fails if the process ends instead. */
  ask<Answer>(message: unknown): Promise<Answer>;
  /** Lets the process end, as it does when it has nothing left to do. */
  dismiss(): void;
}

/** Starts a file in a process of its own, whose output goes to our standard error so that ours stays clean. */
export function startChild(file: URL): Child {
  const child = fork(file, {
    execArgv: ["--no-deprecation"], // how the peers use pg is not ours to fix
    stdio: ["ignore", 2, 2, "ipc"],
  });
  const end = once(child, "exit").then(([code]) => {
    throw new Error(`${file.pathname} ended too early with exit code ${code}`);
  });
  end.catch(() => {});
  return {
    async ask<Answer>(message: unknown) {
      const answer = once(child, "message");
      child.send(message as object);
      const [value] = await Promise.race([answer, end]);
      return value as Answer;
    },
    dismiss: () => child.disconnect(),
  };
}
