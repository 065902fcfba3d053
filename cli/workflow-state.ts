import { setTimeout as sleep } from "node:timers/promises";
import { type Client, WorkflowNotFoundError } from "@temporalio/client";
import { ApplicationFailure, TimeoutFailure } from "@temporalio/common";
import { decodeOptionalFailureToOptionalError } from "@temporalio/common/lib/internal-non-workflow/index.js";

/** What a workflow waits for. */
export interface Waiting {
  /** Id of the workflow, or of the child of it that waits. */
  workflowId: string;
  /** The sentence with which the last attempt failed; another follows. */
  reason: string;
}

const WATCH_MS = 2_000;

/** What the activities of a running workflow and of its children failed with last, while they are tried again. */
async function readWaiting(client: Client, workflowId: string): Promise<Waiting[]> {
  const { waiting, children } = await readOwnWaiting(client, workflowId);
  return [...waiting, ...(await Promise.all(children.map((child) => readWaiting(client, child)))).flat()];
}

async function readOwnWaiting(client: Client, workflowId: string): Promise<{ waiting: Waiting[]; children: string[] }> {
  const { raw } = await client.workflow.getHandle(workflowId).describe();
  const reasons = await Promise.all(
    (raw.pendingActivities ?? []).map(async ({ lastFailure }) => {
      const error = await decodeOptionalFailureToOptionalError(client.options.loadedDataConverter, lastFailure);
      return error ? [{ workflowId, reason: sentenceOf(error) }] : [];
    }),
  );
  return { waiting: reasons.flat(), children: (raw.pendingChildren ?? []).flatMap(({ workflowId: id }) => id ?? []) };
}

/** What each running workflow waits for. */
export async function readAllWaiting(client: Client): Promise<Waiting[]> {
  const found: Waiting[] = [];
  for await (const { workflowId } of client.workflow.list({ query: "ExecutionStatus = 'Running'" })) {
    found.push(...(await readOwnWaiting(client, workflowId)).waiting);
  }
  return found;
}

/** Whether the newest run of a workflow has not ended; false too where Temporal knows none. */
export async function isRunning(client: Client, workflowId: string): Promise<boolean> {
  try {
    return (await client.workflow.getHandle(workflowId).describe()).status.name === "RUNNING";
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

/** With which sentence the last sync of a source that failed has ended; null where Temporal keeps none. */
export async function readLastFailure(client: Client, source: string): Promise<string | null> {
  const query = `WorkflowType = 'syncSource' and MietteSource = '${source}' and ExecutionStatus = 'Failed'`;
  for await (const { workflowId, runId } of client.workflow.list({ query, pageSize: 1 })) {
    const error: unknown = await client.workflow
      .getHandle(workflowId, runId)
      .result()
      .catch((cause: unknown) => cause);
    return error instanceof Error ? sentenceOf(error) : null;
  }
  return null;
}

/**
 * Says on the standard error what a workflow waits for, each reason once, since a source that is away would otherwise
 * look like one that is slow. @returns how to stop
 */
export function sayWaiting(client: Client, workflowId: string): () => void {
  const said = new Set<string>();
  const stopping = new AbortController();
  void (async () => {
    while (!stopping.signal.aborted) {
      await sleep(WATCH_MS, undefined, { signal: stopping.signal, ref: false }).catch(() => undefined);
      // Temporal may be away itself.
      const waiting = await readWaiting(client, workflowId).catch(() => []);
      for (const { workflowId: id, reason } of waiting) {
        const line = `${id} waits, and tries again: ${reason}`;
        if (!said.has(line) && !stopping.signal.aborted) console.error(line);
        said.add(line);
      }
    }
  })();
  return () => stopping.abort();
}

function sentenceOf(error: Error): string {
  let innermost = error;
  for (let each: unknown = error; each instanceof Error; each = each.cause) innermost = each;
  if (innermost instanceof ApplicationFailure) return innermost.message;
  return innermost instanceof TimeoutFailure ? "its worker has not been heard of" : "its last attempt failed";
}
