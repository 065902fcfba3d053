import { sleep } from "@temporalio/workflow";
import { planning, workingOn } from "./activities.ts";
import { describeRun } from "./search-attributes.ts";

/** Looks on these days after an erasure, whatever was synced. */
const DAYS = new Map([
  [1, "after 24 hours"],
  [7, "after 7 days"],
]);
/** So long a source's next full sync is waited for; what the person was known by is kept no longer. */
const MOST_DAYS = 30;

/**
 * Looks again whether anything of the person has come back: after a day, a week, and the next full sync of each source,
 * the day after it at the latest.
 */
export async function recheckErasure({ requestId }: { requestId: string }): Promise<void> {
  describeRun({ kind: "request" });
  const seen = new Set<string>();
  for (let day = 1; day <= MOST_DAYS; day += 1) {
    await sleep("24h");
    const { reread, waiting } = await planning.listReread({ requestId });
    const fresh = reread.filter((source) => !seen.has(source));
    for (const source of fresh) seen.add(source);
    const isLast = day === MOST_DAYS || (day >= 7 && waiting.length === 0);
    const occasions = [DAYS.get(day) ?? [], fresh.length > 0 ? `after a full sync of ${fresh.join(", ")}` : []].flat();
    if (day === MOST_DAYS && occasions.length === 0) occasions.push(`after ${MOST_DAYS} days`);
    if (occasions.length === 0 && !isLast) continue;
    const occasion = occasions.join(", ");
    await workingOn(occasion).recheckErasure({ requestId, occasion, isLast });
    if (isLast) return;
  }
}
