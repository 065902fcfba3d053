import { continueAsNew, setCurrentDetails, sleep, workflowInfo } from "@temporalio/workflow";
import { health } from "./activities.ts";
import { describeRun } from "./search-attributes.ts";
import { tellAll } from "./tell.ts";

/**
 * One request's clock: a durable timer to each moment at which its law asks for something, until it is answered. What an
 * extension moves is read anew at each look; what a channel could not be told, the check of health tells.
 */
export async function watchClock({ requestId }: { requestId: string }): Promise<void> {
  describeRun({ kind: "request" });
  while (!workflowInfo().continueAsNewSuggested) {
    const { next, deliveries } = await health.lookAtClock({ requestId, at: new Date().toISOString() });
    await tellAll(deliveries);
    if (next === null) return setCurrentDetails("answered");
    setCurrentDetails(`looks again at ${next}`);
    await sleep(Math.max(1, Date.parse(next) - Date.now()));
  }
  await continueAsNew<typeof watchClock>({ requestId });
}
