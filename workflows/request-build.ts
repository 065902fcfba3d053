import { BUILD_WORKFLOW_ID } from "../domain/ids.ts";
import { startOrSignal } from "./apart.ts";
import { buildAgain, buildModels } from "./build-models.ts";

/** Starts a build, or asks the one that runs to go on once more, since it may have read before the new rows came. */
export async function requestBuild(): Promise<void> {
  const build = { workflowId: BUILD_WORKFLOW_ID, args: [{}] as [object], summary: "models after a sync" };
  await startOrSignal(buildModels, build, buildAgain);
}
