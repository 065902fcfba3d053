import {
  continueAsNew,
  defineSignal,
  getExternalWorkflowHandle,
  isCancellation,
  patched,
  setCurrentDetails,
  setHandler,
  sleep,
  workflowInfo,
} from "@temporalio/workflow";
import { erasureWorkflowId } from "../domain/ids.ts";
import { planning, workingOn } from "./activities.ts";
import { buildAll } from "./build-all.ts";
import { reportFailure } from "./report-failure.ts";
import { describeRun } from "./search-attributes.ts";

/** What is found to be left after a sweep is swept again, at the most this often. */
const ROUNDS = 3;
/** An erasure that fails is taken up again after so long, and told to the project's channels meanwhile. */
const PAUSE = "5m";

/** Tells the workflow that more requests are approved. */
export const eraseMore = defineSignal("eraseMore");

/** Carries out all approved erasures, as many together as there are: each table is read once for all of them. */
export async function eraseBatch(): Promise<{ erased: number }> {
  describeRun({ kind: "request" });
  let isMore = true;
  setHandler(eraseMore, () => void (isMore = true));
  let erased = 0;
  while (isMore) {
    isMore = false;
    for (let batch = await planning.claimErasures(); batch; batch = await planning.claimErasures()) {
      await eraseUntilDone(batch);
      await tellErased(batch.requests);
      erased += batch.requests.length;
      if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof eraseBatch>();
    }
  }
  setCurrentDetails(`${erased} people erased`);
  return { erased };
}

async function tellErased(requests: readonly string[]): Promise<void> {
  const tell = (requestId: string): Promise<void> =>
    getExternalWorkflowHandle(erasureWorkflowId(requestId))
      .signal("erased")
      .catch(() => undefined);
  if (patched("told-at-once")) await Promise.all(requests.map(tell));
  else for (const requestId of requests) await tell(requestId);
}

async function eraseUntilDone(batch: { batchId: string; requests: string[] }): Promise<void> {
  for (;;) {
    try {
      return await erase(batch);
    } catch (error) {
      if (isCancellation(error)) throw error;
      await reportFailure("erasure", error);
      setCurrentDetails(`an erasure failed and is tried again every 5 minutes; see miette status`);
      await sleep(PAUSE);
    }
  }
}

async function erase({ batchId, requests }: { batchId: string; requests: string[] }): Promise<void> {
  const show = (step: string): void => setCurrentDetails(`${requests.length} people: ${step}`);
  show("who is who");
  // People are told from what has landed until now. Where models fail, from what was published last.
  await buildAll("models before an erasure").catch((error: unknown) => {
    if (isCancellation(error)) throw error;
  });
  for (let round = 1; round <= ROUNDS; round += 1) {
    show("letting nothing in again");
    await workingOn("tombstone").tombstoneErasures({ batchId });
    show("waiting for older transactions");
    await workingOn("fence").fenceErasures({ batchId });
    show("sweeping");
    await workingOn("sweep").sweepErasures({ batchId });
    show("building what is derived");
    await buildAll("models of an erasure");
    show("vacuum and statistics");
    await workingOn("vacuum").vacuumErasures({ batchId });
    show("looking for what is left");
    const left = await workingOn("verify").verifyErasures({ batchId, requests });
    if (left === 0) break;
  }
  await planning.finishErasures({ batchId });
}
