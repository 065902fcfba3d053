import { defineSignal, isCancellation, setCurrentDetails, setHandler } from "@temporalio/workflow";
import { REVOKE_MORE_SIGNAL } from "../domain/ids.ts";
import { planning } from "./activities.ts";
import { reportFailure } from "./report-failure.ts";
import { describeRun } from "./search-attributes.ts";
import { leftToPerson, sendOrFail } from "./send-or-fail.ts";

const revokeMore = defineSignal(REVOKE_MORE_SIGNAL);

/**
 * Takes out of every destination whoever allows it no longer: by what the consent ledger says now, so it needs to know
 * nobody. A destination that fails is told to the project's channels, and asked again the next time; for one that can't do it a person is called.
 */
export async function revokeDeliveries(): Promise<{ removed: number; byHand: number; failed: number }> {
  describeRun({ kind: "delivery" });
  let isMore = true;
  setHandler(revokeMore, () => void (isMore = true));
  const report = { removed: 0, byHand: 0, failed: 0 };
  while (isMore) {
    isMore = false;
    for (const deliveryId of await planning.claimRevocations()) {
      try {
        const { destination, state, members } = await sendOrFail(deliveryId, "withdrawn");
        report[(await leftToPerson(destination, state)) ? "byHand" : "removed"] += members;
      } catch (error) {
        if (isCancellation(error)) throw error;
        report.failed += 1;
        await reportFailure("destinations", error);
      }
    }
  }
  setCurrentDetails(`${report.removed} removed, ${report.byHand} for a person to remove`);
  return report;
}
