import { sleep } from "@temporalio/workflow";
import { planning } from "./activities.ts";
import { describeRun } from "./search-attributes.ts";

/** Deletes an archive that nobody has taken. */
export async function expireArchive(input: { requestId: string; expiresInMs: number }): Promise<void> {
  describeRun({ kind: "request" });
  await sleep(input.expiresInMs);
  await planning.expireArchive({ requestId: input.requestId });
}
