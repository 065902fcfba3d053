import { isCancellation, patched } from "@temporalio/workflow";
import type { DeliveryState, SentDelivery } from "../domain/destinations.ts";
import { planning, workingOn } from "./activities.ts";
import { callPerson } from "./report-failure.ts";

/** Sends a batch; one that fails for good is noted as such, so that the next claim begins anew with its people. */
export async function sendOrFail(deliveryId: string, summary: string): Promise<SentDelivery> {
  try {
    return await workingOn(summary).sendDelivery({ deliveryId });
  } catch (error) {
    if (!isCancellation(error)) await planning.settleDelivery({ deliveryId, state: "failed" });
    throw error;
  }
}

/** Calls for a person where a destination can't take people out by itself. @returns whether it can't */
export async function leftToPerson(destination: string, state: DeliveryState): Promise<boolean> {
  const isByHand = state === "manual" || state === "unsupported";
  if (isByHand && patched("removals by hand")) await callPerson(`removal:${destination}`, state);
  return isByHand;
}
