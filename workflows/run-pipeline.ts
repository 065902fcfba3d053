import { ApplicationFailure, executeChild, isCancellation, rootCause, setCurrentDetails } from "@temporalio/workflow";
import { RUN_WORKFLOW_ID, syncWorkflowId } from "../domain/ids.ts";
import type { RunReport, SyncReport } from "../domain/runs.ts";
import { planning, workingOn } from "./activities.ts";
import { buildAll } from "./build-all.ts";
import { failureType } from "./failure-type.ts";
import { reportFailure } from "./report-failure.ts";
import { isAlreadyStarted } from "./apart.ts";
import { describeRun } from "./search-attributes.ts";
import { syncSource } from "./sync-source.ts";

/**
 * One run of the pipeline: all sources in parallel, then the models and checks. A source that fails does not keep the
 * others from the mart; the run then ends as failed, with its report in the failure's details.
 */
export async function runPipeline(input: { full?: boolean }): Promise<RunReport> {
  describeRun({ kind: "run" });
  const sources = await planning.listSources().catch(async (error: unknown) => {
    await reportFailure(RUN_WORKFLOW_ID, error);
    throw error;
  });
  const syncs: SyncReport[] = [];
  const failed: RunReport["failed"] = [];
  const show = (state: string): void =>
    setCurrentDetails(
      `${state}: ${syncs.length} of ${sources.length} sources landed${failed.length ? `, ${failed.length} failed` : ""}`,
    );
  show("syncing");
  await Promise.all(
    sources.map(async (source) => {
      try {
        syncs.push(await syncOne(source, input.full ?? false));
      } catch (error) {
        if (isCancellation(error)) throw error;
        failed.push({ source, code: failureType(error), reason: rootCause(error) ?? "unknown" });
      }
      show("syncing");
    }),
  );
  show("building");
  const build = await buildAll("models of the run").catch((error: unknown) => {
    if (isCancellation(error) || failed.length === 0) throw error;
    // A source that did not land is the likelier cause, so both are told.
    failed.push({ source: "build", code: failureType(error), reason: rootCause(error) ?? "unknown" });
    return null;
  });
  const report: RunReport = { syncs, failed, build };
  if (failed.length > 0) {
    const reasons = failed.map(({ source, reason }) => `${source}: ${reason}`).join("; ");
    throw ApplicationFailure.nonRetryable(`the run failed: ${reasons}`, "run_failed", report);
  }
  show("done");
  return report;
}

async function syncOne(source: string, full: boolean): Promise<SyncReport> {
  const workflowId = syncWorkflowId(source);
  try {
    return await executeChild(syncSource, {
      args: [{ source, full }],
      workflowId,
      staticSummary: source,
    });
  } catch (error) {
    if (!isAlreadyStarted(error)) throw error;
    // Somebody else's sync of this source is under way: its end is the run's too.
    return (await workingOn(`waiting for ${workflowId}`).awaitWorkflow({ workflowId })) as SyncReport;
  }
}
