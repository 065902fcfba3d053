import type { RequestReport } from "../domain/requests.ts";
import { applyChoice, completeChoice } from "../warehouse/requests/choice.ts";
import type { Dependencies } from "./dependencies.ts";

/** The steps of requests that say how data may be used. */
export function requestActivities({ pool, vault }: Dependencies) {
  return {
    applyChoice: (input: { requestId: string; actor: string }): Promise<void> => applyChoice(pool, vault, input),
    completeChoice: (input: { requestId: string }): Promise<RequestReport> => completeChoice(pool, vault, input),
  };
}
