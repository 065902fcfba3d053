import { planning } from "./activities.ts";
import { attendRequest } from "./attend-request.ts";
import { describeRun } from "./search-attributes.ts";

/** Lets an erased person in again. */
export async function readmitSubject(input: { requestId: string; actor: string }): Promise<{ receipt: number | null }> {
  describeRun({ kind: "request" });
  if ((await attendRequest(input.requestId).begin()) !== null) return { receipt: null };
  return { receipt: await planning.readmitSubject(input) };
}
