import { condition, defineSignal, isCancellation, patched, setCurrentDetails, sleep } from "@temporalio/workflow";
import type { DeliveryState, PendingErasure } from "../domain/destinations.ts";
import { health, planning, workingOn } from "./activities.ts";
import { callPerson, reportFailure } from "./report-failure.ts";

const FIRST_PAUSE = 60_000;
const LONGEST_PAUSE = 6 * 3_600_000;
/** So often it is looked whether a machine can do what was left to a person, or whether the person has. */
const LOOKS_AGAIN = 24 * 3_600_000;

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

/**
 * Calls for a person, and waits for them until shortly before the request is due. The warehouse has what came of it: a
 * destination that stands in the project again is asked by the machine.
 */
async function awaitPerson(
  requestId: string,
  pending: PendingErasure,
  first: DeliveryState,
  byHand: ReadonlySet<string>,
): Promise<void> {
  const { destination } = pending;
  const due = Date.parse(pending.due);
  const subject = `task:${requestId}:${destination}`;
  if (!byHand.has(destination)) await callPerson(subject, first);
  setCurrentDetails(`waits for a person to ask ${destination}: miette request task ${requestId} ${destination}`);
  let state = first;
  const isDone = (): boolean => byHand.has(destination);
  if (patched("destinations that come back")) {
    while (state === "manual" && Date.now() + LOOKS_AGAIN < due) {
      if (await condition(isDone, LOOKS_AGAIN)) break;
      state = await eraseUntil(pending);
    }
    if (state === "failed" && first === "manual" && !isDone()) await callPerson(subject, state);
  }
  const isOpen = state === "manual" || state === "failed";
  if (isOpen) await condition(isDone, Math.max(1, due - Date.now()));
  await health.raiseAlert({ subject, state: "ok", code: state, counts: {} });
}
