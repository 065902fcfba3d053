import { workingOn } from "./activities.ts";
import { buildAll } from "./build-all.ts";
import { describeRun } from "./search-attributes.ts";

/** Takes a correction back: what the source has sent stands again. */
export async function releaseCorrection(input: { requestId: string; actor: string }): Promise<{ values: number }> {
  describeRun({ kind: "request" });
  const values = await workingOn("brings back what the source sent").correctSubject({ ...input, isReleased: true });
  await buildAll("models after a correction was taken back");
  return { values };
}
