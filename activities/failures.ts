import { randomUUID } from "node:crypto";
import { ApplicationFailure, CancelledFailure } from "@temporalio/common";
import type { Logger } from "pino";
import { ConnectorError, Throttled, Unauthorized, Unavailable, InvalidConfig } from "../connectors/errors.ts";
import { CodedError, UserError, type ErrorCode } from "../domain/errors.ts";
import { isAway } from "../warehouse/away.ts";

/** Why a server is away that a person can mend. */
const FULL = new Map([
  ["53100", "the warehouse's disk is full"],
  ["53200", "the warehouse has no memory left"],
  ["53300", "the warehouse takes no more connections"],
]);

/**
 * What a workflow's history may hold of an error: a code, a sentence without values, and whether to try again. Postgres
 * quotes values in its errors, so an error that is not ours becomes its code and the id of a line in the worker's log.
 */
export function toFailure(error: unknown, log: Logger): Error {
  if (error instanceof ApplicationFailure || error instanceof CancelledFailure) return error;
  if (isAbort(error)) return new CancelledFailure("cancelled");
  if (error instanceof UserError) return ApplicationFailure.nonRetryable(error.message, "user_error", error.place);
  if (error instanceof CodedError) {
    return ApplicationFailure.create({ message: error.message, type: error.code, nonRetryable: !error.retryable });
  }
  if (error instanceof ConnectorError) {
    return ApplicationFailure.create({
      message: error.message,
      type: connectorCode(error),
      nonRetryable: !error.retryable,
      ...(error instanceof Throttled && error.retryAfterMs !== undefined ? { nextRetryDelay: error.retryAfterMs } : {}),
    });
  }
  const detail = randomUUID();
  const { code, sentence, retryable } = classify(error);
  log.error({ detail, code, ...describeError(error) }, "unexpected error");
  return ApplicationFailure.create({
    message: `${sentence} (detail ${detail} in the worker's log)`,
    type: code,
    nonRetryable: !retryable,
  });
}

function connectorCode(error: ConnectorError): ErrorCode {
  if (error instanceof Throttled) return "source_throttled";
  if (error instanceof Unavailable) return "source_unavailable";
  if (error instanceof Unauthorized) return "source_unauthorized";
  return error instanceof InvalidConfig ? "source_invalid_config" : "source_rejected";
}

function classify(error: unknown): { code: ErrorCode; sentence: string; retryable: boolean } {
  const state = sqlstate(error);
  if (isAway(error))
    return {
      code: "warehouse_unavailable",
      sentence: FULL.get(state ?? "") ?? "the warehouse can't be reached or ended the connection",
      retryable: true,
    };
  if (state !== null && /^[0-9A-Z]{5}$/.test(state)) {
    return {
      code: "warehouse_statement",
      sentence: `the warehouse refused a statement with SQLSTATE ${state}`,
      retryable: false,
    };
  }
  return { code: "internal", sentence: `an unexpected ${errorName(error)} happened`, retryable: true };
}

/** What a log may hold of any error: its class, its code and where it happened, but not its message. */
export function describeError(error: unknown): { kind: string; sqlstate: string | null; stack: string[] } {
  return { kind: errorName(error), sqlstate: sqlstate(error), stack: frames(error) };
}

/** Postgres's code, or Node's. What looks like neither may be anything. */
function sqlstate(error: unknown): string | null {
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  return typeof code === "string" && /^[A-Z0-9_]{1,40}$/.test(code) ? code : null;
}

function errorName(error: unknown): string {
  return error instanceof Error ? error.constructor.name : typeof error;
}

const FRAME = /^ {4}at (?:.+ \()?(?:file:\/\/|node:|\/|[A-Z]:\\)\S*:\d+:\d+\)?$/;

/** Where it happened. The stack's head is the message, which may hold a value, and lines of its own. */
function frames(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  const { stack = "", message } = error;
  const head = message === "" ? -1 : stack.indexOf(message);
  const places = head === -1 ? stack : stack.slice(head + message.length);
  return places
    .split("\n")
    .filter((line) => FRAME.test(line))
    .map((line) => line.trim());
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}
