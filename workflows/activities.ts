import { type ActivityInterfaceFor, proxyActivities } from "@temporalio/workflow";
import type { Activities } from "../activities/index.ts";

/** The attempts are counted by the worker, which knows what has failed: `activities/attempts.ts`. */
const retry = { initialInterval: "1s", backoffCoefficient: 2, maximumInterval: "30s" } as const;

/** Short: reads files and a few rows. */
export const planning = proxyActivities<Activities>({ startToCloseTimeout: "2m", heartbeatTimeout: "20s", retry });

/**
 * Long, and taken up where they committed last: a worker that dies is noticed by its missing heartbeat.
 * @param summary what the activity is at, for the UI
 */
export function workingOn(summary: string): ActivityInterfaceFor<Activities> {
  return proxyActivities<Activities>({ startToCloseTimeout: "24h", heartbeatTimeout: "20s", retry, summary });
}

/** A look at the warehouse, and a note in it. Few attempts: the next scheduled check looks again. */
export const health = proxyActivities<Activities>({
  startToCloseTimeout: "30s",
  retry: { ...retry, maximumAttempts: 3 },
});

/** @param summary who is told what, for the UI */
export function telling(summary: string): ActivityInterfaceFor<Activities> {
  return proxyActivities<Activities>({ startToCloseTimeout: "30s", retry: { ...retry, maximumAttempts: 3 }, summary });
}
