import { setCurrentDetails } from "@temporalio/workflow";
import { archiveWorkflowId } from "../domain/ids.ts";
import type { RequestReport } from "../domain/requests.ts";
import { workingOn } from "./activities.ts";
import { startApart } from "./apart.ts";
import { attendRequest } from "./attend-request.ts";
import { expireArchive } from "./expire-archive.ts";
import { describeRun } from "./search-attributes.ts";

/** Writes the archive of what is held about one person. Who it is, and the passphrase, are sealed in the warehouse. */
export async function grantAccess({ requestId, actor }: { requestId: string; actor: string }): Promise<RequestReport> {
  describeRun({ kind: "request" });
  const ended = await attendRequest(requestId).begin();
  if (ended !== null) return { state: ended, receipt: null };
  setCurrentDetails("gathering and encrypting");
  const report = await workingOn("gathers and encrypts").writeArchive({ requestId, actor });
  await startApart(expireArchive, {
    args: [{ requestId, expiresInMs: report.expiresInMs }],
    workflowId: archiveWorkflowId(requestId),
    summary: "deletes an archive when its time is over",
    again: true,
  });
  setCurrentDetails(`${report.state}, receipt ${report.receipt}`);
  return { state: report.state, receipt: report.receipt };
}
