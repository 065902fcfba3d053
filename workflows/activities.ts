import { proxyActivities } from "@temporalio/workflow";
import type { Activities } from "../activities/index.ts";

const retry = { initialInterval: "1s", backoffCoefficient: 2, maximumInterval: "30s", maximumAttempts: 8 } as const;

/** Short: reads files and a few rows. */
export const planning = proxyActivities<Activities>({ startToCloseTimeout: "2m", heartbeatTimeout: "20s", retry });

/** Long, and taken up where they committed last: a worker that dies is noticed by its missing heartbeat. */
export const working = proxyActivities<Activities>({ startToCloseTimeout: "24h", heartbeatTimeout: "20s", retry });

/** The same, with a line in the UI that says what the activity is at. */
export function workingOn(summary: string): typeof working {
  return proxyActivities<Activities>({ startToCloseTimeout: "24h", heartbeatTimeout: "20s", retry, summary });
}
