import { workingOn } from "./activities.ts";
import { describeRun } from "./search-attributes.ts";

/** Finishes erasures of which something was held that was released, or whose time is over; retention does so every night. */
export async function releaseHolds(): Promise<{ records: number }> {
  describeRun({ kind: "retention" });
  return await workingOn("holds that have ended").releaseHolds();
}
