import { ApplicationFailure, TimeoutFailure } from "@temporalio/common";
import {
  isGrpcServiceError,
  isRetryableError,
  WorkflowFailedError,
  WorkflowIdConflictPolicy,
  type Client,
  type WorkflowHandle,
} from "@temporalio/client";
import { CodedError, UserError, type ErrorCode, type Place } from "../domain/errors.ts";
import { TASK_QUEUE } from "../domain/ids.ts";
import type { RunReport } from "../domain/runs.ts";
import { sayWaiting } from "./workflow-state.ts";

/** Failures that a person has to mend: they end a command with exit code 2. */
const PERSONS = new Set([
  "user_error",
  "source_unauthorized",
  "source_rejected",
  "source_invalid_config",
  "too_many_rejects",
  "model_failed",
  "check_failed",
]);
const WATCH_MS = 500;
/** The client tries a call for about 20 s: 15 minutes. A call that took longer was answered before it broke off. */
const CALLS = 45;
const ANSWERED_MS = 60_000;

/**
 * Runs a workflow to its end, or joins the one of this id that is running, and shows how far it is on a terminal.
 * @param options.ended resolves when the servers were stopped on purpose, so that nothing is waited for any more
 * @throws UserError or CodedError with the sentence of the innermost failure
 */
export async function runWorkflow<T>(
  client: Client,
  workflowType: string,
  options: { workflowId: string; input: unknown; summary: string; quiet: boolean; ended?: Promise<void> },
): Promise<T> {
  const handle = await client.workflow.start(workflowType, {
    workflowId: options.workflowId,
    taskQueue: TASK_QUEUE,
    args: [options.input],
    workflowIdConflictPolicy: WorkflowIdConflictPolicy.USE_EXISTING,
    staticSummary: options.summary,
  });
  const watch = process.stderr.isTTY && !options.quiet ? watchDetails(handle) : undefined;
  const stopSaying = sayWaiting(client, options.workflowId);
  try {
    return (await patientResult(handle, options.ended)) as T;
  } catch (error) {
    throw asSentence(error);
  } finally {
    stopSaying();
    watch?.();
  }
}

/** The result, also where Temporal is away for a while: the workflow goes on when it is back, and so does the command. */
async function patientResult(
  handle: WorkflowHandle,
  ended: Promise<void> = new Promise(() => undefined),
): Promise<unknown> {
  const stopped = ended.then(() => {
    throw new CodedError("stack_stopped", "the servers were stopped by another command.", { retryable: false });
  });
  // Mostly it comes after the result, when nobody waits any more.
  stopped.catch(() => undefined);
  for (let calls = 1; ; calls += 1) {
    const askedAt = Date.now();
    try {
      return await Promise.race([handle.result(), stopped]);
    } catch (error) {
      if (!isTemporalAway(error)) throw error;
      if (Date.now() - askedAt > ANSWERED_MS) calls = 0;
      if (calls < CALLS) continue;
      const message = `Temporal can't be reached; ${handle.workflowId} goes on when it is back, and miette status tells how far it is`;
      throw new CodedError("temporal_unavailable", message, { retryable: true });
    }
  }
}

function isTemporalAway(error: unknown): boolean {
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    if (isGrpcServiceError(each)) return isRetryableError(each);
  }
  return false;
}

/** Writes the first lines of the workflow's current details over one line of the terminal. @returns how to stop */
function watchDetails(handle: WorkflowHandle): () => void {
  let isOver = false;
  const clear = (): void => void process.stderr.write("\r\u001b[K");
  const show = async (): Promise<void> => {
    while (!isOver) {
      const metadata = await handle
        .query<{ currentDetails?: string }>("__temporal_workflow_metadata")
        .catch(() => undefined);
      const line = oneLine(metadata?.currentDetails ?? "");
      if (line && !isOver) process.stderr.write(`\r\u001b[K${line.slice(0, (process.stderr.columns || 100) - 1)}`);
      await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
    }
  };
  void show();
  return () => {
    isOver = true;
    clear();
  };
}

/** A table's rows as `customers 4 20,112 0 done · orders …`. */
function oneLine(details: string): string {
  const rows = details
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| stream |") && !line.startsWith("| model |"));
  const head = details.split("\n").find((line) => line && !line.startsWith("|")) ?? "";
  const cells = rows.map((line) =>
    line
      .split("|")
      .map((cell) => cell.trim())
      .filter(Boolean)
      .join(" "),
  );
  return [head, ...cells.slice(-4)].filter(Boolean).join(" · ");
}

function asSentence(error: unknown): unknown {
  if (!(error instanceof WorkflowFailedError)) return error;
  let innermost: Error = error;
  for (let each: unknown = error.cause; each instanceof Error; each = each.cause) innermost = each;
  if (innermost instanceof ApplicationFailure) {
    const type = innermost.type ?? "internal";
    const report = type === "run_failed" ? (innermost.details?.[0] as RunReport | undefined) : undefined;
    if (PERSONS.has(type) || report?.failed.some(({ code }) => PERSONS.has(code)))
      return withPlace(innermost.message, type === "user_error" ? (innermost.details?.[0] as Place | undefined) : {});
    return new CodedError(type as ErrorCode, `${innermost.message} [${type}]`, { retryable: false });
  }
  if (innermost instanceof TimeoutFailure) {
    return new CodedError("internal", "the workflow ran out of time; its history in the Temporal UI shows where", {
      retryable: false,
    });
  }
  return new CodedError("internal", innermost.message, { retryable: false });
}

/** The message has the place in it already; for machines it stands beside. */
function withPlace(message: string, place: Place = {}): UserError {
  return Object.assign(new UserError(message), { place });
}
