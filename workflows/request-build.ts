import { getExternalWorkflowHandle, ParentClosePolicy, startChild, WorkflowIdReusePolicy } from "@temporalio/workflow";
import { BUILD_WORKFLOW_ID } from "../domain/ids.ts";
import { buildAgain, buildModels } from "./build-models.ts";

/** Starts a build, or asks the one that runs to go on once more, since it may have read before the new rows came. */
export async function requestBuild(): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await startChild(buildModels, {
        args: [{}],
        workflowId: BUILD_WORKFLOW_ID,
        workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
        parentClosePolicy: ParentClosePolicy.ABANDON,
        staticSummary: "models after a sync",
      });
      return;
    } catch (error) {
      if (!isAlreadyStarted(error)) throw error;
    }
    try {
      await getExternalWorkflowHandle(BUILD_WORKFLOW_ID).signal(buildAgain);
      return;
    } catch (error) {
      // The build ended between the two calls: it has to be started after all.
      if (attempt === 3) throw error;
    }
  }
}

export function isAlreadyStarted(error: unknown): boolean {
  return error instanceof Error && error.name === "WorkflowExecutionAlreadyStartedError";
}
