import { setCurrentDetails } from "@temporalio/workflow";
import type { RequestReport } from "../domain/requests.ts";
import { planning, workingOn } from "./activities.ts";
import { attendRequest } from "./attend-request.ts";
import { buildAll } from "./build-all.ts";
import { describeRun } from "./search-attributes.ts";

/** Corrects what is wrong of one person where it landed, and has models follow. The right values are sealed in the warehouse. */
export async function correctSubject({
  requestId,
  actor,
}: {
  requestId: string;
  actor: string;
}): Promise<RequestReport> {
  describeRun({ kind: "request" });
  const ended = await attendRequest(requestId).begin();
  if (ended !== null) return { state: ended, receipt: null };
  setCurrentDetails("correcting records");
  const corrected = await workingOn("corrects records").correctSubject({ requestId, actor, isReleased: false });
  await buildAll("models after a correction");
  return await planning.completeCorrection({ requestId, corrected });
}
