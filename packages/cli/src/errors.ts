import { type ErrorFields, HowdahError } from "@howdah/core";

/** How the command ended, for scripts. */
export const exitCodes = { fine: 0, failed: 1, usage: 2, behind: 3, drift: 4, unreachable: 5 } as const;

/** The command line itself is wrong. */
export class UsageError extends HowdahError {
  constructor(message: string, hint?: string) {
    super(message, { module: "howdah", code: "usage", sqlstate: "22023", hint });
  }
}

/** Something other than the database is not as it has to be. */
export class CommandError extends HowdahError {
  constructor(code: string, message: string, fields: Pick<ErrorFields, "hint" | "cause"> = {}) {
    super(message, { module: "howdah", code, sqlstate: "55000", ...fields });
  }
}

/** No connection could be made, whatever the reason. */
export class UnreachableError extends HowdahError {
  constructor(message: string, fields: Pick<ErrorFields, "hint" | "cause">) {
    super(message, { module: "howdah", code: "unreachable", sqlstate: "08001", ...fields });
  }
}

/** Somebody pressed ctrl-C, or the system asks the process to end. */
export class Interrupted extends HowdahError {
  readonly exitCode: number;

  constructor(signal: "SIGINT" | "SIGTERM") {
    super("interrupted", { module: "howdah", code: "interrupted", sqlstate: "57014" });
    this.exitCode = signal === "SIGINT" ? 130 : 143;
  }
}
