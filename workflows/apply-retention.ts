import { isCancellation, setCurrentDetails } from "@temporalio/workflow";
import type { RetentionReport } from "../domain/retention.ts";
import { planning, workingOn } from "./activities.ts";
import { buildAll } from "./build-all.ts";
import { reportFailure } from "./report-failure.ts";
import { describeRun } from "./search-attributes.ts";

/** Takes out what is past its age by the project's rules, with a receipt; scheduled once a day. */
export async function applyRetention({ actor }: { actor: string }): Promise<RetentionReport> {
  describeRun({ kind: "retention" });
  try {
    return await retain(actor);
  } catch (error) {
    if (!isCancellation(error)) await reportFailure("retention", error);
    throw error;
  }
}

async function retain(actor: string): Promise<RetentionReport> {
  setCurrentDetails("who is who, and who is restricted");
  // Where models fail, from what was published last.
  await buildAll("models before retention").catch((error: unknown) => {
    if (isCancellation(error)) throw error;
  });
  setCurrentDetails("looking for what is past its age");
  const { runId } = await workingOn("look for what is past its age").beginRetention();
  setCurrentDetails("taking it out");
  const isChanged = await workingOn("take it out").expireRecords({ runId });
  if (isChanged) {
    setCurrentDetails("building what is derived");
    await buildAll("models after retention");
    await workingOn("identifiers that nothing carries").dropUnusedIdentifiers({ runId });
    setCurrentDetails("vacuum and statistics");
    await workingOn("vacuum").vacuumRetention({ runId });
  }
  const report = await planning.completeRetention({ runId, actor });
  const rows = report.relations.reduce((sum, each) => sum + each.rows, 0);
  setCurrentDetails(report.receipt === null ? "nothing to take out" : `${rows} rows, receipt ${report.receipt}`);
  return report;
}
