import { setCurrentDetails, workflowInfo } from "@temporalio/workflow";
import type { DeliverAudienceInput, DeliveryReport } from "../domain/destinations.ts";
import { planning } from "./activities.ts";
import { reportFailure } from "./report-failure.ts";
import { describeRun } from "./search-attributes.ts";
import { leftToPerson, sendOrFail } from "./send-or-fail.ts";

/** Hands a segment over to a destination: who allows it and is new or changed enters, who is no longer in it leaves. */
export async function deliverAudience(input: DeliverAudienceInput): Promise<DeliveryReport> {
  describeRun({ kind: "delivery" });
  const { destination, segment } = input;
  const { deliveries, excluded } = await planning.claimDeliveries(input);
  const report: DeliveryReport = { delivered: 0, removed: 0, excluded };
  for (const [index, deliveryId] of deliveries.entries()) {
    setCurrentDetails(`batch ${index + 1} of ${deliveries.length}`);
    try {
      const { operation, state, members } = await sendOrFail(deliveryId, `${segment} to ${destination}`);
      if (operation === "deliver") report.delivered += members;
      else if (!(await leftToPerson(destination, state))) report.removed += members;
    } catch (error) {
      if (workflowInfo().parent) await reportFailure(`destination:${destination}`, error);
      throw error;
    }
  }
  setCurrentDetails(`${report.delivered} delivered, ${report.removed} removed`);
  return report;
}
