import { isCancellation, ParentClosePolicy, sleep, startChild, WorkflowIdReusePolicy } from "@temporalio/workflow";
import { HEALTH_WORKFLOW_ID } from "../domain/ids.ts";
import { health } from "./activities.ts";
import { checkHealth } from "./check-health.ts";
import { failureType } from "./failure-type.ts";

/** A failed workflow waits this long for its notice to go out: `npm start -- --once` stops the worker after it. */
const PATIENCE = "30s";

/**
 * Notes that something failed after its retries, and has people told. Whatever goes wrong here is left to the scheduled
 * check of health, since the failure itself is what the caller has to end with.
 * @param subject `sync:shop`, `build`, `run`
 */
export async function reportFailure(subject: string, error: unknown): Promise<void> {
  if (isCancellation(error)) return;
  const code = failureType(error);
  // Which checks failed is told one by one, from what the build has left.
  await callPerson(subject, code === "check_failed" ? null : code);
}

/**
 * Has people told what only a person can mend or do.
 * @param code why; null: it is noted already
 */
export async function callPerson(subject: string, code: string | null): Promise<void> {
  try {
    if (code !== null) await health.raiseAlert({ subject, state: "error", code, counts: {} });
    const child = await startChild(checkHealth, {
      workflowId: HEALTH_WORKFLOW_ID,
      workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
      parentClosePolicy: ParentClosePolicy.ABANDON,
      staticSummary: `after ${subject}`,
    });
    await Promise.race([child.result(), sleep(PATIENCE)]);
  } catch (cause) {
    if (isCancellation(cause)) throw cause;
  }
}
