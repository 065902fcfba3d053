import { sleep } from "@temporalio/workflow";
import { workingOn } from "./activities.ts";
import { describeRun } from "./search-attributes.ts";

/** Looks again, a day and a week after an erasure, whether anything of the person has come back. */
export async function recheckErasure({ requestId }: { requestId: string }): Promise<void> {
  describeRun({ kind: "request" });
  await sleep("24h");
  await workingOn("after a day").recheckErasure({ requestId, occasion: "after 24 hours", isLast: false });
  await sleep("6d");
  await workingOn("after a week").recheckErasure({ requestId, occasion: "after 7 days", isLast: true });
}
