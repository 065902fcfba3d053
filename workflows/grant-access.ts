import { ParentClosePolicy, setCurrentDetails, startChild } from "@temporalio/workflow";
import { archiveWorkflowId } from "../domain/ids.ts";
import type { RequestReport } from "../domain/requests.ts";
import { workingOn } from "./activities.ts";
import { expireArchive } from "./expire-archive.ts";
import { describeRun } from "./search-attributes.ts";

/** Writes the archive of what is held about one person. Who it is, and the passphrase, are sealed in the warehouse. */
export async function grantAccess({ requestId, actor }: { requestId: string; actor: string }): Promise<RequestReport> {
  describeRun({ kind: "request" });
  setCurrentDetails("gathering and encrypting");
  const report = await workingOn("gathers and encrypts").writeArchive({ requestId, actor });
  await startChild(expireArchive, {
    args: [{ requestId, expiresInMs: report.expiresInMs }],
    workflowId: archiveWorkflowId(requestId),
    parentClosePolicy: ParentClosePolicy.ABANDON,
    staticSummary: "deletes an archive when its time is over",
  });
  setCurrentDetails(`${report.state}, receipt ${report.receipt}`);
  return { state: report.state, receipt: report.receipt };
}
