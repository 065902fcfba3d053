import { condition, defineSignal, isCancellation, patched, setCurrentDetails, sleep } from "@temporalio/workflow";
import type { DeliveryState, PendingErasure } from "../domain/destinations.ts";
import { health, planning, workingOn } from "./activities.ts";
import { callPerson, reportFailure } from "./report-failure.ts";

const FIRST_PAUSE = 60_000;
const LONGEST_PAUSE = 6 * 3_600_000;

/** Says that a destination was asked by hand, and has erased. */
export const doneByHand = defineSignal<[string]>("doneByHand");

/**
 * Has every destination erase what it was handed of a request's person, each with its own patience.
 * @param byHand destinations that a person has seen to
 */
export async function eraseElsewhere(requestId: string, byHand: ReadonlySet<string>): Promise<void> {
  const pending = await planning.listErasures({ requestId });
  await Promise.all(
    pending.map(async (each) => {
      const state = await eraseUntil(each);
      if ((state === "manual" || state === "failed") && patched("erasures by hand")) {
        await awaitPerson(requestId, each, state, byHand);
      }
    }),
  );
}

/** Asks again, by hours in the end, until some days before the request is due: then a person has to see to it. */
async function eraseUntil({ deliveryId, destination, until }: PendingErasure): Promise<DeliveryState> {
  for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    try {
      return await workingOn(`erasure at ${destination}`).eraseAtDestination({ deliveryId });
    } catch (error) {
      if (isCancellation(error)) throw error;
      await reportFailure(`destination:${destination}`, error);
      if (Date.now() + pause >= Date.parse(until)) break;
      await sleep(pause);
    }
  }
  await planning.settleDelivery({ deliveryId, state: "failed" });
  return "failed";
}

/** Calls for a person, and waits for them until shortly before the request is due. The warehouse has what came of it. */
async function awaitPerson(
  requestId: string,
  { destination, due }: PendingErasure,
  state: DeliveryState,
  byHand: ReadonlySet<string>,
): Promise<void> {
  const subject = `task:${requestId}:${destination}`;
  if (!byHand.has(destination)) await callPerson(subject, state);
  setCurrentDetails(`waits for a person to ask ${destination}: miette request task ${requestId} ${destination}`);
  await condition(() => byHand.has(destination), Math.max(1, Date.parse(due) - Date.now()));
  await health.raiseAlert({ subject, state: "ok", code: state, counts: {} });
}
