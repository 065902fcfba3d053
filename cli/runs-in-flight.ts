import type { Client } from "@temporalio/client";
import { BUILD_WORKFLOW_ID, RUN_WORKFLOW_ID, syncWorkflowId } from "../domain/ids.ts";

/** Ids of the syncs, builds and runs that are under way. Requests of people are none: they outlive a warehouse's restore. */
export async function runsInFlight(client: Client): Promise<string[]> {
  const ids: string[] = [];
  for await (const { workflowId } of client.workflow.list({ query: 'ExecutionStatus = "Running"' })) {
    const isRun =
      [BUILD_WORKFLOW_ID, RUN_WORKFLOW_ID].includes(workflowId) || workflowId.startsWith(syncWorkflowId(""));
    if (isRun) ids.push(workflowId);
  }
  return ids.toSorted();
}
