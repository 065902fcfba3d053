import { isCancellation, setCurrentDetails } from "@temporalio/workflow";
import type { DeliveryState } from "../domain/destinations.ts";
import { planning, workingOn } from "./activities.ts";
import { describeRun } from "./search-attributes.ts";

/**
 * Sends a code to an address that is held of whoever a request is about. It knows ids: the code and the address are in no
 * history.
 */
export async function challengeSubject(input: {
  requestId: string;
  destination: string;
  actor: string;
}): Promise<{ state: DeliveryState }> {
  const { actor, destination } = input;
  describeRun({ kind: "request" });
  const challenge = await planning.makeChallenge(input);
  try {
    const state = await workingOn(`a code through ${destination}`).sendChallenge({ ...challenge, actor });
    setCurrentDetails(`code ${challenge.number} through ${destination}: ${state}`);
    return { state };
  } catch (error) {
    const { deliveryId } = challenge;
    if (!isCancellation(error)) await planning.settleDelivery({ deliveryId, state: "failed" });
    throw error;
  }
}
