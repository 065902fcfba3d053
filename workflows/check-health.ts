import { setCurrentDetails } from "@temporalio/workflow";
import { describeRun } from "./search-attributes.ts";
import { health } from "./activities.ts";
import { tellAll } from "./tell.ts";

/**
 * Looks whether streams are late, checks fail or failures are over, and tells the project's channels what has changed.
 * A channel that can't be told now is told by the next check, since what it was told last is kept in the warehouse.
 */
export async function checkHealth(): Promise<{ told: number; untold: number }> {
  describeRun({ kind: "health" });
  const deliveries = await health.checkHealth();
  const report = await tellAll(deliveries);
  setCurrentDetails(`${report.told} told, ${report.untold} to be told by the next check`);
  return report;
}
