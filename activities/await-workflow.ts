import { ApplicationFailure } from "@temporalio/common";
import { WorkflowFailedError, type Client } from "@temporalio/client";

/**
 * Waits for a workflow that somebody else started, and gives its result.
 * @throws ApplicationFailure as the workflow itself has failed, not to be tried again: it has had its attempts
 */
export async function awaitWorkflow(client: Client, workflowId: string): Promise<unknown> {
  try {
    return await client.workflow.getHandle(workflowId).result();
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    let innermost: Error = error;
    for (let each: unknown = error.cause; each instanceof Error; each = each.cause) innermost = each;
    const { message } = innermost;
    if (innermost instanceof ApplicationFailure) {
      throw ApplicationFailure.nonRetryable(message, innermost.type, ...(innermost.details ?? []));
    }
    // Cancelled, terminated or out of time.
    throw ApplicationFailure.nonRetryable(`${workflowId}, which had begun before, was ended: ${message}`, "internal");
  }
}
