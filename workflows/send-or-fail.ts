import { isCancellation } from "@temporalio/workflow";
import type { SentDelivery } from "../domain/destinations.ts";
import { planning, workingOn } from "./activities.ts";

/** Sends a batch; one that fails for good is noted as such, so that the next claim begins anew with its people. */
export async function sendOrFail(deliveryId: string, summary: string): Promise<SentDelivery> {
  try {
    return await workingOn(summary).sendDelivery({ deliveryId });
  } catch (error) {
    if (!isCancellation(error)) await planning.settleDelivery({ deliveryId, state: "failed" });
    throw error;
  }
}
