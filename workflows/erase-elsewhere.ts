import { isCancellation, sleep } from "@temporalio/workflow";
import type { PendingErasure } from "../domain/destinations.ts";
import { planning, workingOn } from "./activities.ts";
import { reportFailure } from "./report-failure.ts";

const FIRST_PAUSE = 60_000;
const LONGEST_PAUSE = 6 * 3_600_000;

/** Has every destination erase what it was handed of a request's person, each with its own patience. */
export async function eraseElsewhere(requestId: string): Promise<void> {
  const pending = await planning.listErasures({ requestId });
  await Promise.all(pending.map((each) => eraseUntil(each)));
}

/** Asks again, by hours in the end, until shortly before the request is due: then a person has to see to it. */
async function eraseUntil({ deliveryId, destination, until }: PendingErasure): Promise<void> {
  for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    try {
      await workingOn(`erasure at ${destination}`).eraseAtDestination({ deliveryId });
      return;
    } catch (error) {
      if (isCancellation(error)) throw error;
      await reportFailure(`destination:${destination}`, error);
      if (Date.now() + pause >= Date.parse(until)) break;
      await sleep(pause);
    }
  }
  await planning.settleDelivery({ deliveryId, state: "failed" });
}
