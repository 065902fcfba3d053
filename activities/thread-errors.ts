import { InvalidConfig, Rejected, Throttled, Unauthorized, Unavailable } from "../connectors/errors.ts";
import { describeError } from "./failures.ts";

/** An error as it goes from thread to thread: a clone of the error itself would lose its class. */
export interface ThreadFailure {
  kind: string;
  /** Of a connector's error, which holds no value; of any other, nothing. */
  message: string;
  retryAfterMs: number | undefined;
  code: string | null;
  stack: string[];
}

const CLASSES = { Unavailable, Unauthorized, Rejected, InvalidConfig };

export function failureOf(error: unknown): ThreadFailure {
  const { kind, sqlstate, stack } = describeError(error);
  const isKnown = error instanceof Throttled || Object.values(CLASSES).some((each) => error instanceof each);
  return {
    kind,
    message: isKnown ? (error as Error).message : "",
    retryAfterMs: error instanceof Throttled ? error.retryAfterMs : undefined,
    code: sqlstate,
    stack,
  };
}

/** The error that was thrown in the thread, or one that tells as much of it as a log may hold. */
export function thrownInThread({ kind, message, retryAfterMs, code, stack }: ThreadFailure): Error {
  if (kind === "Throttled") return new Throttled(message, retryAfterMs === undefined ? {} : { retryAfterMs });
  const known = CLASSES[kind as keyof typeof CLASSES];
  if (known) return new known(message);
  const error = new Error(kind);
  error.stack = [`Error: ${kind}`, ...stack].join("\n");
  return code === null ? error : Object.assign(error, { code });
}
