import { executeChild, isCancellation } from "@temporalio/workflow";
import { BUILD_WORKFLOW_ID } from "../domain/ids.ts";
import type { BuildReport } from "../domain/runs.ts";
import { workingOn } from "./activities.ts";
import { buildModels } from "./build-models.ts";
import { isAlreadyStarted } from "./apart.ts";

/**
 * A build that begins after this is called.
 * @param summary what it is for, for the UI
 */
export async function buildAll(summary: string): Promise<BuildReport> {
  for (;;) {
    try {
      return await executeChild(buildModels, {
        args: [{}],
        workflowId: BUILD_WORKFLOW_ID,
        staticSummary: summary,
      });
    } catch (error) {
      if (!isAlreadyStarted(error)) throw error;
      // A build under way may have read before the new rows came, so another follows it.
      await workingOn("waiting for a build")
        .awaitWorkflow({ workflowId: BUILD_WORKFLOW_ID })
        .catch((cause: unknown) => {
          if (isCancellation(cause)) throw cause;
        });
    }
  }
}
