import { setCurrentDetails } from "@temporalio/workflow";
import type { RequestReport } from "../domain/requests.ts";
import { planning } from "./activities.ts";
import { attendRequest } from "./attend-request.ts";
import { buildAll } from "./build-all.ts";
import { describeRun } from "./search-attributes.ts";

/** Writes down what a person says about the use of their data, and has it take effect in the mart at once. */
export async function applyChoice({ requestId, actor }: { requestId: string; actor: string }): Promise<RequestReport> {
  describeRun({ kind: "request" });
  const ended = await attendRequest(requestId).begin();
  if (ended !== null) return { state: ended, receipt: null };
  setCurrentDetails("noting what was said");
  await planning.applyChoice({ requestId, actor });
  setCurrentDetails("building what follows from it");
  await buildAll("models after a person's choice");
  return await planning.completeChoice({ requestId });
}
