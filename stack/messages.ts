import type { Socket } from "node:net";
import { CodedError, type ErrorCode, UserError } from "../domain/errors.ts";
import type { PostgresOptions } from "./postgres.ts";
import type { ProcessOptions } from "./program.ts";
import type { TemporalOptions } from "./temporal.ts";

/**
 * Which messages these are. A command and a supervisor of different numbers do not understand each other: it rises with
 * every change of them and of what they carry. `status` and `stop` stay as they are, so that `miette down` always works.
 */
export const PROTOCOL = 2;

export const OTHER_VERSION =
  "the servers of this home were started by another version of miette; stop them with miette down, then run the command again.";

/** What a command wants to run while it is there. Equal names are one server, shared by all who want it. */
export type Need =
  | { kind: "postgres"; name: string; options: PostgresOptions }
  | { kind: "temporal"; name: string; options: TemporalOptions }
  | { kind: "program"; name: string; options: ProcessOptions };

/** Where the server is: a Postgres's URL with its superuser, Temporal's `host:port`. A program has none. */
export interface Ready {
  url: string | null;
  /** Temporal's web interface. */
  uiUrl: string | null;
  /** Of a program that runs already: the watched variables of which it has another value than was asked for. */
  outdated: string[];
}

export interface ServiceStatus {
  name: string;
  pid: number;
  restarts: number;
}

export interface StackStatus {
  /** Process number of the supervisor. */
  pid: number;
  /** Commands that use the servers. */
  users: number;
  /** Whether the servers stay when no command uses them. */
  isDetached: boolean;
  services: ServiceStatus[];
}

/** From a command to the supervisor. The lease is bound to the connection, so it ends with the process that holds it. */
export type Request =
  | { type: "lease"; protocol?: number }
  | { type: "need"; id: number; need: Need }
  | { type: "detach" }
  | { type: "status" }
  | { type: "leave" }
  | { type: "stop" };

export type Reply =
  | { type: "leased"; protocol?: number }
  | { type: "ready"; id: number; ready: Ready }
  | { type: "failed"; id: number; error: SentError }
  | { type: "detached" }
  | { type: "status"; status: StackStatus }
  /** A sentence for the person: a download, a restart. */
  | { type: "line"; line: string }
  /** The whole stack is being stopped on purpose. */
  | { type: "stopping" };

interface SentError {
  message: string;
  code: ErrorCode | null;
  retryable: boolean;
}

/** Sends one message; a peer that has gone is noticed by its closed connection. */
export function send(socket: Socket, message: Request | Reply): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
}

/** Calls `receive` for every message, in order. */
export function onMessage<M extends Request | Reply>(socket: Socket, receive: (message: M) => void): void {
  let rest = "";
  socket.setEncoding("utf8").on("data", (chunk) => {
    const lines = `${rest}${chunk}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) receive(JSON.parse(line) as M);
  });
}

export function packError(error: unknown): SentError {
  if (error instanceof UserError) return { message: error.message, code: null, retryable: false };
  if (error instanceof CodedError) return { message: error.message, code: error.code, retryable: error.retryable };
  return { message: error instanceof Error ? error.message : String(error), code: "internal", retryable: false };
}

export function unpackError({ message, code, retryable }: SentError): Error {
  return code === null ? new UserError(message) : new CodedError(code, message, { retryable });
}
