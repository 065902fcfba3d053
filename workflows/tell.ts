import { isCancellation } from "@temporalio/workflow";
import type { Activities } from "../activities/index.ts";
import { telling } from "./activities.ts";

/** Tells the project's channels. @returns how many were told, and how many a later look has to tell */
export async function tellAll(
  deliveries: readonly Parameters<Activities["deliver"]>[0][],
): Promise<{ told: number; untold: number }> {
  const results = await Promise.allSettled(
    deliveries.map((delivery) => telling(`${delivery.channel}: ${delivery.message.subject}`).deliver(delivery)),
  );
  const failures = results.filter((result) => result.status === "rejected");
  const cancelled = failures.find(({ reason }) => isCancellation(reason));
  if (cancelled) throw cancelled.reason;
  return { told: results.length - failures.length, untold: failures.length };
}
