import { condition, defineSignal, setCurrentDetails, setHandler } from "@temporalio/workflow";
import { clockWorkflowId } from "../domain/ids.ts";
import type { RequestState } from "../domain/requests.ts";
import { planning } from "./activities.ts";
import { startApart } from "./apart.ts";
import { watchClock } from "./watch-clock.ts";

/** Who asks has shown who they are. */
export const identified = defineSignal("identified");
/** Takes the request back, as long as nothing was done. */
export const cancel = defineSignal<[string]>("cancel");

/** What every request begins with: its clock runs, and who asks shows who they are where that has to be. */
export interface Attended {
  /** Who has taken the request back; null: nobody. */
  cancelledBy: string | null;
  /** @returns null: go on; else what the request has ended as */
  begin(): Promise<RequestState | null>;
}

export function attendRequest(requestId: string): Attended {
  let isIdentified = false;
  const attended: Attended = { cancelledBy: null, begin };
  setHandler(identified, () => void (isIdentified = true));
  setHandler(cancel, (actor) => void (attended.cancelledBy ??= actor));
  return attended;

  async function begin(): Promise<RequestState | null> {
    await startApart(watchClock, {
      args: [{ requestId }],
      workflowId: clockWorkflowId(requestId),
      summary: "a request's clock",
      again: false,
    });
    const patience = await planning.beginIdentityCheck({ requestId });
    if (patience === null) return null;
    setCurrentDetails("waiting until who asks has shown who they are");
    await condition(() => isIdentified || attended.cancelledBy !== null, patience);
    if (attended.cancelledBy !== null) return await planning.cancelRequest({ requestId, actor: attended.cancelledBy });
    // The warehouse has the truth: a signal may be lost, and what was shown in time counts.
    const state = await planning.endIdentityCheck({ requestId });
    return state === "verified" ? null : state;
  }
}
