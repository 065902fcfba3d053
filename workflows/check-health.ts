import { isCancellation, setCurrentDetails } from "@temporalio/workflow";
import { describeRun } from "./search-attributes.ts";
import { health, telling } from "./activities.ts";

/**
 * Looks whether streams are late, checks fail or failures are over, and tells the project's channels what has changed.
 * A channel that can't be told now is told by the next check, since what it was told last is kept in the warehouse.
 */
export async function checkHealth(): Promise<{ told: number; untold: number }> {
  describeRun({ kind: "health" });
  const deliveries = await health.checkHealth();
  const results = await Promise.allSettled(
    deliveries.map((delivery) => telling(`${delivery.channel}: ${delivery.message.subject}`).deliver(delivery)),
  );
  const failures = results.filter((result) => result.status === "rejected");
  const cancelled = failures.find(({ reason }) => isCancellation(reason));
  if (cancelled) throw cancelled.reason;
  const report = { told: results.length - failures.length, untold: failures.length };
  setCurrentDetails(`${report.told} told, ${report.untold} to be told by the next check`);
  return report;
}
